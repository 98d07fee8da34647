//! Read scans and interpret them for a shop.
//!
//! ```text
//! cargo run --example scan                                      from a simulated scanner
//! cargo run --example scan scanner+serial:///dev/ttyACM0        from your own
//! ```

use tresen::hal::sim;
use tresen::scanners::Symbology;
use tresen::scanners::instore::{Template, Templates};
use tresen::scanners::serial::sim::{Settings, Simulator};
use tresen::{Address, Context, Drivers, Result, Scanners};

#[tokio::main]
async fn main() -> Result<()> {
    let device = sim::Shared::new(Simulator::new(Settings::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (_server, at) = sim::tcp(listener, device.clone())?;
    let (address, scans) = match std::env::args().nth(1) {
        Some(address) => (address.parse()?, usize::MAX),
        None => (Address::tcp("scanner", "127.0.0.1", at.port()), 3),
    };
    // An article, 456 g of something with the shop's own label, and a misprint.
    for code in ["4006381333931", "2812345004562", "4006381333932"] {
        device.with(|d| d.scan(code, Symbology::Ean13));
    }

    let templates = Templates::from(vec!["28PPPPPWWWWWC".parse::<Template>()?]);
    let mut scanner = Drivers::standard().open::<Scanners>(&address, Context::new("hand")).await?;
    for _ in 0..scans {
        let scan = scanner.event().await?;
        match scan.code(&templates) {
            Ok(code) => println!("{}: {code:?}", scan.text),
            Err(error) => println!("{}: {error}", scan.text),
        }
    }
    scanner.close().await;
    Ok(())
}
