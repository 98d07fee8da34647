//! A canteen: it sells on when the server is gone, and its tickets go up once when it is back. Guests pay from accounts
//! at the server, up to a limit while it is away.
//!
//! ```text
//! cargo run --example canteen         on simulated devices and a server in memory, without waiting in real time
//! ```
//!
//! With PostgreSQL, leave `Builder::server` out and set `url` under `[server]` (feature `postgres`).

use std::time::Duration;

use tresen::sale::{Line, Vat};
use tresen::sync::sim::Server;
use tresen::testing::Counter;
use tresen::{Amount, Result, Tresen};

const TILL: &str = "
    [printers.receipt]
    address = 'escpos+tcp://10.0.0.20'
    [server]
    account-limit = '20.00'
    reference = ['guests']
";

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let server = Server::new();
    server.set_balance("guest 17", Amount::eur(30_00));
    server.set_row("guests", "guest 17", Some(serde_json::json!({ "name": "Jo", "group": "staff" })));

    let folder = tempfile::tempdir()?;
    let counter = Counter::parse(TILL, folder.path())?;
    let till = counter.builder().server(server.clone()).with(counter.config()).await?;
    let mut mode = till.sync_state();
    mode.wait_for(|state| state.is_connected()).await.ok();
    // The start of a service: guests and balances come down.
    let fresh = till.refresh_reference().await?;
    println!("{}; reference tables: {}", fresh.state.name(), fresh.tables.len());

    lunch(&till, "guest 17", 6_80).await?;
    server.set_reachable(false);
    for price in [4_20, 5_50] {
        lunch(&till, "guest 17", price).await?;
    }
    mode.wait_for(|state| !state.is_connected()).await.ok();
    let status = till.sync().await?;
    println!("{}: the server lacks {} entries", status.state.name(), status.behind);

    server.set_reachable(true);
    mode.wait_for(|state| state.is_connected()).await.ok();
    while till.sync().await?.behind > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let entries = server.entries(till.store().till());
    let tickets = entries.iter().filter(|entry| entry.kind == "closed").count();
    println!("{}: the server has {tickets} tickets, each once", till.sync().await?.state.name());
    till.refresh_reference().await?;
    if let Some((free, balance)) = server.balance("guest 17") {
        println!("balance {balance}, {free} of it free; not booked: {}", till.unbooked().await?.len());
    }
    assert_eq!(tickets, 3);
    till.close(Duration::from_secs(5)).await
}

/// One guest at the counter. Who is known as a guest may pay from the account, also without the server.
async fn lunch(till: &Tresen, guest: &str, cents: i64) -> Result<()> {
    let mut sale = till.open_sale().await?;
    sale.add(Line::pieces("Lunch", 1, Amount::eur(cents), Vat::percent(7))?).await?;
    let known = till.reference_row("guests", guest).await?;
    match known {
        Some(_) => drop(sale.pay_account(&till.accounts()?, guest, Amount::eur(cents)).await?),
        None => drop(sale.pay_cash(Amount::eur(cents)).await?),
    }
    if sale.open_amount().minor() != 0 {
        println!("the account does not cover it: the guest pays in cash");
        sale.pay_cash(sale.open_amount()).await?;
    }
    let sold = till.checkout("receipt")?.close(&mut sale).await?;
    println!("{} {}: {sold:?}", sale.ticket().label(), sale.ticket().total());
    Ok(())
}
