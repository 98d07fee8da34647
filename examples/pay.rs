//! Take a payment and show its progress.
//!
//! ```text
//! cargo run --example pay                                              at a simulated terminal
//! cargo run --example pay "zvt+tcp://10.0.0.30?password=000000" 1.00    at your own: this charges a card
//! ```

use std::sync::Arc;

use tresen::hal::sim;
use tresen::payment::zvt::sim::{Profile, Simulator};
use tresen::payment::{Host, MemoryJournal, Request};
use tresen::{Address, Amount, Context, Drivers, Result, Terminals, new_key};

#[tokio::main]
async fn main() -> Result<()> {
    let device = sim::Shared::new(Simulator::new(Profile::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (_server, at) = sim::tcp(listener, device)?;
    let mut args = std::env::args().skip(1);
    let address: Address = match args.next() {
        Some(address) => address.parse()?,
        None => Address::tcp("zvt", "127.0.0.1", at.port()),
    };
    let amount: Amount = args.next().unwrap_or_else(|| "12.50 EUR".into()).parse()?;

    // A till keeps its journal on disk (see `full_sale`); a journal in memory cannot settle payments after a crash.
    let journal = Arc::new(MemoryJournal::new());
    let context = Context::new("counter").with_journal(journal);
    let mut terminal = Drivers::standard().open::<Terminals>(&address, context).await?;
    terminal.recover().await?;

    let (progress, mut steps) = tokio::sync::mpsc::channel(Host::KEPT);
    let (_stop, abort) = tokio::sync::watch::channel(false);
    let watcher = tokio::spawn(async move {
        while let Some(step) = steps.recv().await {
            println!("  {step:?}");
        }
    });
    let payment = terminal.pay(Request::new(new_key(), amount), Host::with(progress, abort)).await?;
    watcher.await.ok();
    println!("{payment:#?}");
    terminal.close().await;
    Ok(())
}
