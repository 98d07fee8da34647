//! A self-order kiosk: it asks what is possible before it offers anything, and says what it will not do before the guest
//! pays. A declined card is offered again; without a terminal, the guest is sent to the counter.
//!
//! ```text
//! cargo run --example kiosk           on simulated devices, without waiting in real time
//! ```

use std::time::Duration;

use tresen::payment::zvt::sim::Misbehaviour;
use tresen::sale::{Line, Sold, Vat};
use tresen::testing::Counter;
use tresen::{Amount, Payment, Print, Result, Tresen};

const TILL: &str = "
    [printers.receipt]
    address = 'escpos+tcp://127.0.0.1'
    [terminals.card]
    address = 'zvt+tcp://127.0.0.1'
";

/// What the screen shows.
struct Offer {
    card: bool,
    receipt: bool,
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
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

fn offer(till: &Tresen) -> Offer {
    let now = till.capabilities();
    let card = now.terminal("card").is_some_and(|terminal| terminal.pay.now.is_yes());
    let receipt = now.route("receipt").is_some_and(|route| route.print.now.is_yes());
    Offer { card, receipt }
}

async fn guest(till: &Tresen) -> Result<()> {
    let offer = offer(till);
    if !offer.receipt {
        println!("   screen: no paper receipts at the moment");
    }
    let mut sale = till.open_sale().await?;
    sale.add(Line::pieces("Bowl", 1, Amount::eur(9_90), Vat::percent(7))?).await?;
    if !offer.card {
        println!("   screen: please order at the counter");
        return sale.void("the kiosk cannot take payments").await;
    }
    for attempt in 1..=2 {
        let sold = till.checkout("receipt")?.run(&mut sale, "card", tokio::sync::watch::channel(false).1).await?;
        match sold {
            Sold::Closed { print: Print::Printed { .. }, .. } => {
                println!("   screen: thank you, here is your receipt {}", sale.ticket().label());
                return Ok(());
            }
            Sold::Closed { .. } => {
                println!("   screen: thank you, your number is {}", sale.ticket().label());
                return Ok(());
            }
            Sold::Open { payment: Some(Payment::NotCharged(why)), .. } => {
                println!("   screen: attempt {attempt}: {}; another card?", why.text);
            }
            // It may have been charged: the till finds out, and a person helps.
            open => {
                println!("   screen: please ask at the counter for {}: {open:?}", sale.ticket().label());
                return Ok(());
            }
        }
    }
    println!("   screen: please pay at the counter");
    sale.void("declined twice").await
}
