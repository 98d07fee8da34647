//! A whole sale: basket, payment, receipt, drawer; the till's own files in a folder. If it is killed at any
//! moment and restarted, it resumes where it was.
//!
//! ```text
//! cargo run --example full_sale                  with simulated devices
//! cargo run --example full_sale till.toml        with your own: a terminal `counter`, a printer `receipt`
//! ```

use std::path::Path;

use tresen::hal::sim;
use tresen::payment::zvt::sim::{Profile, Simulator};
use tresen::printers::DrawerPin;
use tresen::printers::escpos;
use tresen::sale::{Line, Sold, Vat};
use tresen::{Amount, Result, Tresen};

#[tokio::main]
async fn main() -> Result<()> {
    let printer = sim::Shared::new(escpos::sim::Simulator::new(tresen::printers::Profile::epson_tm_m30()));
    let terminal = sim::Shared::new(Simulator::new(Profile::default()));
    let bind = || tokio::net::TcpListener::bind("127.0.0.1:0");
    let (_printer, printer_at) = sim::tcp(bind().await?, printer.clone())?;
    let (_terminal, terminal_at) = sim::tcp(bind().await?, terminal)?;
    if let Some(config) = std::env::args().nth(1) {
        return sell(Path::new(&config)).await;
    }
    let dir = std::env::temp_dir().join(format!("tresen-full-sale-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let text = format!(
        "[printers.receipt]\naddress = 'escpos+tcp://{printer_at}'\n\
         [terminals.counter]\naddress = 'zvt+tcp://{terminal_at}'\n"
    );
    std::fs::write(dir.join("till.toml"), text)?;
    sell(&dir.join("till.toml")).await?;
    println!("{}", printer.with(|p| p.roll().text().to_owned()));
    Ok(())
}

/// Resumes the sales that an earlier run left open, then sells two items.
pub(crate) async fn sell(config: &Path) -> Result<()> {
    let till = Tresen::open(config).await?;
    let checkout = till.checkout("receipt")?.drawer(DrawerPin::Two);
    for (sale, sold) in checkout.resume().await? {
        println!("resumed {}: {sold:?}", sale.id());
    }

    let mut sale = till.open_sale().await?;
    sale.add(Line::pieces("Flat white", 2, Amount::eur(3_80), Vat::percent(19))?).await?;
    sale.add(Line::weighed("Mountain cheese", 456, Amount::eur(24_90), Vat::percent(7))?).await?;

    let (_stop, abort) = tokio::sync::watch::channel(false);
    match checkout.run(&mut sale, "counter", abort).await? {
        Sold::Closed { print, drawer } => {
            let number = sale.ticket().number().unwrap_or_default();
            println!(
                "{number}: {} paid; {print:?}; drawer: {}",
                sale.ticket().total(),
                drawer.as_deref().unwrap_or("open")
            );
        }
        open => println!("not paid: {open:?}"),
    }
    println!("database: {}", till.store().path().display());
    Ok(())
}
