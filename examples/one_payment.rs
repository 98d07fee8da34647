//! Take one payment at any terminal, such that `kill -9` at any moment loses and doubles nothing: start it again with the
//! same key, and it tells what became of the payment instead of taking another.
//!
//! ```text
//! tresen sim terminal --protocol zvt          prints its address; also opi, nexo, paytec
//! printf "[terminals.counter]\naddress = '%s'\n" "zvt+tcp://127.0.0.1:20007" > till.toml
//! cargo run --example one_payment till.toml "12.50 EUR" order-4711
//! cargo run --example one_payment             without a file: at a simulated terminal
//! ```

use std::time::Duration;

use tresen::hal::sim::{self, Shared};
use tresen::payment::Request;
use tresen::payment::zvt::sim::{Profile, Simulator};
use tresen::{Payment, Result, Retry, Tresen};

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [config, amount, key] = &args[..] {
        println!("{}", take(config, amount, key).await?);
        return Ok(());
    }
    // Without arguments: at a simulated terminal. The same key is the same payment, charged once.
    let folder = tempfile::tempdir()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (_server, at) = sim::tcp(listener, Shared::new(Simulator::new(Profile::default())))?;
    let config = folder.path().join("till.toml").display().to_string();
    std::fs::write(&config, format!("[till]\nsocket = false\n[terminals.counter]\naddress = 'zvt+tcp://{at}'\n"))?;
    for _ in 0..2 {
        println!("{}", take(&config, "12.50 EUR", "order-4711").await?);
    }
    Ok(())
}

/// Takes `amount` under `key`, which is the payment's name for ever: an order's number, never a new one for a retry.
pub(crate) async fn take(config: &str, amount: &str, key: &str) -> Result<String> {
    // The journal stands beside the configuration. What an earlier run left open is settled before anything is paid.
    let till = Tresen::open(config).await?;
    let (terminal, request) = (till.terminal("counter")?, Request::new(key, amount.parse()?));
    let (_keep, abort) = tokio::sync::watch::channel(false);
    let payment = loop {
        match terminal.pay_as(request.clone(), abort.clone()).await {
            // The terminal is away, or busy with what was left open. Nothing was sent.
            Err(error) if error.retry() == Retry::AfterReconnect => tokio::time::sleep(Duration::from_secs(1)).await,
            ended => break ended?,
        }
    };
    till.close(Duration::from_secs(5)).await?;
    Ok(match payment {
        Payment::Charged(charge) => format!("charged {}", charge.amount),
        Payment::NotCharged(not) => format!("not charged: {}", not.text),
        other => format!("in doubt, compare the terminal's receipts: {other:?}"),
    })
}
