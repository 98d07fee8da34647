//! A whole sale: basket, payment, receipt, drawer; the till's own files in a folder.
//!
//! ```text
//! cargo run --example full_sale                  with simulated devices
//! cargo run --example full_sale till.toml        with yours: a terminal `counter`, a printer `receipt`
//! ```

use tresen::hal::sim;
use tresen::payment::zvt::sim::{Profile, Simulator};
use tresen::printers::DrawerPin;
use tresen::printers::escpos::sim::VirtualPrinter;
use tresen::sale::{Line, Sold, Vat};
use tresen::{Amount, Result, Tresen};

#[tokio::main]
async fn main() -> Result<()> {
    let printer = sim::Shared::new(VirtualPrinter::new(tresen::printers::Profile::epson_tm_m30()));
    let terminal = sim::Shared::new(Simulator::new(Profile::default()));
    let bind = || tokio::net::TcpListener::bind("127.0.0.1:0");
    let (_printer, printer_at) = sim::tcp(bind().await?, printer.clone())?;
    let (_terminal, terminal_at) = sim::tcp(bind().await?, terminal)?;

    let config = match std::env::args().nth(1) {
        Some(config) => config.into(),
        None => {
            let dir = std::env::temp_dir().join(format!("tresen-full-sale-{}", std::process::id()));
            std::fs::create_dir_all(&dir)?;
            let text = format!(
                "[printers.receipt]\naddress = 'escpos+tcp://{printer_at}'\n\
                 [terminals.counter]\naddress = 'zvt+tcp://{terminal_at}'\n"
            );
            std::fs::write(dir.join("till.toml"), text)?;
            dir.join("till.toml")
        }
    };

    let till = Tresen::open(&config).await?;
    let mut ticket = till.open_ticket().await?;
    ticket.add(Line::pieces("Flat white", 2, Amount::eur(3_80), Vat::percent(19))?)?;
    ticket.add(Line::weighed("Mountain cheese", 456, Amount::eur(24_90), Vat::percent(7))?)?;

    let (_stop, abort) = tokio::sync::watch::channel(false);
    match till.checkout("counter", "receipt")?.drawer(DrawerPin::Two).run(&ticket, abort).await? {
        Sold::Paid { charge, print, drawer } => {
            println!("{} charged; {print:?}; drawer: {}", charge.amount, drawer.as_deref().unwrap_or("open"));
            println!("{}", printer.with(|p| p.roll().text().to_owned()));
        }
        open => println!("not paid: {open:?}"),
    }
    println!("books: {}", till.store().path().display());
    Ok(())
}
