//! A self-order kiosk: it asks what is possible before it offers anything, and says what it will not do before the guest
//! pays. A declined card is offered again; without a terminal, the guest is sent to the counter.
//!
//! ```text
//! cargo run --example kiosk                  on simulated devices, without waiting in real time
//! cargo run --example kiosk till.toml        what your own till can do, until Ctrl-C
//! ```

use std::time::Duration;

use tresen::capabilities::TillCapabilities;
use tresen::payment::zvt::sim::Misbehaviour;
use tresen::sale::{Line, Sold, Vat};
use tresen::testing::Counter;
use tresen::{Amount, Known, Payment, Print, Result, Tresen};

const TILL: &str = "
    [printers.receipt]
    address = 'escpos+tcp://127.0.0.1'
    [terminals.card]
    address = 'zvt+tcp://127.0.0.1'
    [terminals.card.methods.giropay]
    reversal = false
    [tenders.cash]
    pay = false
";

fn main() -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    match std::env::args().nth(1) {
        Some(config) => runtime.enable_all().build()?.block_on(watch(&config)),
        None => runtime.enable_all().start_paused(true).build()?.block_on(evening()),
    }
}

/// The screen of a real till.
async fn watch(config: &str) -> Result<()> {
    let till = Tresen::open(config).await?;
    let mut now = till.watch_capabilities();
    loop {
        show(&now.borrow_and_update());
        if now.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn evening() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let counter = Counter::parse(TILL, folder.path())?;
    let till = counter.open().await?;
    let (terminal, printer) = (counter.terminal("card")?, counter.printer("receipt")?);

    println!("1. everything works");
    guest(&till).await?;
    println!("2. the card is declined once");
    terminal.with(|terminal| terminal.misbehave(Misbehaviour::Decline(0x6c)));
    guest(&till).await?;
    println!("3. the roll is empty");
    printer.with(|printer| printer.remove_paper());
    tokio::time::sleep(Duration::from_secs(5)).await;
    guest(&till).await?;
    println!("4. the terminal is gone");
    terminal.unplug();
    tokio::time::sleep(Duration::from_secs(5)).await;
    guest(&till).await?;
    till.close(Duration::from_secs(5)).await
}

/// Shows what is offered, and why the rest is not; true if the guest can pay.
fn show(now: &TillCapabilities) -> bool {
    for tender in &now.tenders {
        match (tender.pay.now, &tender.pay.why) {
            (Known::Yes, _) => println!("   [{}]", tender.tender),
            (_, why) => println!("    {}: not offered: {}", tender.tender, why.as_deref().unwrap_or_default()),
        }
        for method in tender.methods.iter().filter(|method| method.reversal.can.is_no()) {
            println!("        {}: cannot be taken back", method.name);
        }
    }
    for route in now.routes.iter().filter(|route| !route.print.now.is_yes()) {
        println!("    no receipts: {}", route.print.why.as_deref().unwrap_or_default());
    }
    now.tenders.iter().any(|tender| tender.pay.now.is_yes())
}

async fn guest(till: &Tresen) -> Result<()> {
    let mut sale = till.open_sale().await?;
    sale.add(Line::pieces("Bowl", 1, Amount::eur(9_90), Vat::percent(7))?).await?;
    if !show(&till.capabilities()) {
        println!("   please order at the counter");
        return sale.void("the kiosk cannot take payments").await;
    }
    for attempt in 1..=2 {
        let abort = tokio::sync::watch::channel(false).1;
        match till.checkout("receipt")?.run(&mut sale, "card", abort).await? {
            Sold::Closed { print: Print::Printed { .. }, .. } => {
                println!("   thank you, here is your receipt {}", sale.ticket().label());
                return Ok(());
            }
            Sold::Closed { .. } => {
                println!("   thank you, your number is {}", sale.ticket().label());
                return Ok(());
            }
            Sold::Open { payment: Some(Payment::NotCharged(why)), .. } => {
                println!("   attempt {attempt}: {}; another card?", why.text);
            }
            // It may have been charged: the till finds out, and a person helps.
            _ => {
                println!("   please ask at the counter for {}", sale.ticket().label());
                return Ok(());
            }
        }
    }
    println!("   please pay at the counter");
    sale.void("declined twice").await
}
