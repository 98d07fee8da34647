//! Print a receipt and show the outcome.
//!
//! ```text
//! cargo run --example print_receipt                            on a virtual printer
//! cargo run --example print_receipt escpos+tcp://10.0.0.20     on your own
//! ```

use tresen::hal::sim;
use tresen::printers::document::{Qr, Style};
use tresen::printers::escpos::sim::Simulator;
use tresen::printers::{Job, Profile};
use tresen::{Address, Context, Drivers, Printers, Receipt, Result, new_key};

#[tokio::main]
async fn main() -> Result<()> {
    let receipt = Receipt::new()
        .styled("Café Tresen", Style::new().bold().centre().size(2, 2))
        .row("2 Flat white", "7.60")
        .row("1 Croissant", "2.40")
        .rule()
        .styled_row("Total EUR", "10.00", Style::new().bold())
        .qr(Qr::new("https://tresen.example/r/1")?)
        .cut();

    // Without an address, a virtual printer on a local port stands in for a real one.
    let device = sim::Shared::new(Simulator::new(Profile::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (_server, at) = sim::tcp(listener, device.clone())?;
    let address: Address = match std::env::args().nth(1) {
        Some(address) => address.parse()?,
        None => Address::tcp("escpos", "127.0.0.1", at.port()),
    };

    let name = address.label();
    let mut printer = Drivers::standard().open::<Printers>(&address, Context::new("receipt")).await?;
    let outcome = printer.print(&Job::new(new_key(), receipt)).await;
    println!("{name}: {outcome:?}");
    println!("{}", device.with(|d| d.roll().text().to_owned()));
    printer.close().await;
    Ok(())
}
