//! A restaurant: handhelds share one till's terminals and printers. Orders go to the kitchen and the bar by the group of
//! a line, receipts to the waiter's own belt printer, and a second waiter at the same terminal is told who has it.
//!
//! ```text
//! cargo run --example restaurant      on simulated devices, without waiting in real time
//! ```
//!
//! The waiters' steps are commands (`tresen::api`): a handheld sends the same ones over its own connection.

use tresen::api::sale;
use tresen::sale::{Line, Vat};
use tresen::testing::Counter;
use tresen::{Amount, Origin, Result, Tresen};

const TILL: &str = "
    [printers.counter]
    address = 'escpos+tcp://10.0.0.20'
    [printers.kitchen]
    address = 'escpos+tcp://10.0.0.21'
    [printers.bar]
    address = 'escpos+tcp://10.0.0.22'
    [printers.belt]
    address = 'escpos+tcp://10.0.0.23'
    [terminals.terrace]
    address = 'zvt+tcp://10.0.0.30'
    [stations.'handheld 7']
    terminal = 'terrace'
    printer = 'belt'
    [stations.'handheld 8']
    terminal = 'terrace'
    [routes.food]
    printers = ['kitchen', 'counter']
    prints = ['kitchen']
    groups = ['food']
    [routes.drinks]
    printers = ['bar', 'counter']
    prints = ['kitchen']
    groups = ['drinks']
    [routes.receipt]
    printers = ['counter']
    own = true
";

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let counter = Counter::parse(TILL, folder.path())?;
    let till = counter.open().await?;
    let anna = till.on_behalf_of(Origin::new().station("handheld 7").operator("Anna"));
    let ben = till.on_behalf_of(Origin::new().station("handheld 8").operator("Ben"));

    // Anna takes an order; dessert follows later. Only what is new is sent.
    let table = anna.ask(sale::Open::default()).await?.ticket.id().to_owned();
    order(&anna, &table, &[("Soup", "food", 6_50), ("Pinot", "drinks", 5_80)]).await?;
    order(&anna, &table, &[("Crumble", "food", 7_20)]).await?;
    for printer in ["kitchen", "bar"] {
        let paper = counter.printer(printer)?.with(|printer| printer.roll().text().to_owned());
        println!("--- {printer}\n{}", paper.trim());
    }

    // She takes the terminal to her table. Ben is told who has it, queues, and gets it when she is done.
    let hers = anna.lease(&anna.my_terminal()?).await?;
    let refused = ben.lease(&ben.my_terminal()?).await.err();
    println!("Ben: {}", refused.map(|error| error.to_string()).unwrap_or_default());
    let place = ben.queue(&ben.my_terminal()?).await?;
    println!("Ben waits at place {}", place.position().await?);

    let pay = sale::CheckOut {
        sale: table.clone(),
        rev: None,
        by: None,
        terminal: "terrace".into(),
        printer: "receipt".into(),
        drawer: None,
    };
    println!("Anna: {:?}", anna.ask(pay).await?.sold);
    hers.release().await?;
    let his = place.wait().await?;
    println!("{} has the terminal now", his.holder());

    let belt = counter.printer("belt")?.with(|printer| printer.roll().text().to_owned());
    println!("--- Anna's belt printer\n{}", belt.trim());
    till.close(std::time::Duration::from_secs(5)).await
}

/// Adds lines to a table's sale, and sends what is new to those who make it.
async fn order(waiter: &Tresen, table: &str, items: &[(&str, &str, i64)]) -> Result<()> {
    for (name, group, cents) in items {
        let line = Line::pieces(*name, 1, Amount::eur(*cents), Vat::percent(19))?.group(*group);
        waiter.ask(sale::Add { sale: table.to_owned(), rev: None, by: None, line, key: None }).await?;
    }
    let ordered = waiter.ask(sale::Order { sale: table.to_owned(), rev: None, by: None }).await?;
    for ticket in ordered.tickets {
        let names: Vec<_> = ticket.lines.iter().map(|line| line.article.name.as_str()).collect();
        waiter.print_job(&ticket.job).outcome(std::time::Duration::from_secs(30)).await?;
        println!("order {} to {}: {}", ticket.number, ticket.route, names.join(", "));
    }
    Ok(())
}
