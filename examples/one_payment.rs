//! Take one payment at any terminal, such that `kill -9` at any moment loses and doubles nothing: start it again with the
//! same key, and it tells what became of the payment instead of taking another.
//!
//! ```text
//! tresen sim terminal --protocol zvt          prints its address; also opi, nexo, paytec
//! printf "[terminals.counter]\naddress = '%s'\n" "zvt+tcp://127.0.0.1:20007" > till.toml
//! cargo run --example one_payment till.toml "12.50 EUR" order-4711
//! ```

use tresen::payment::Request;
use tresen::{Payment, Result, Tresen};

#[tokio::main]
pub(crate) async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, config, amount, key] = &args[..] else { panic!("CONFIG AMOUNT KEY") };
    println!("{}", take(config, amount, key).await?);
    Ok(())
}

/// Takes `amount` under `key`, which is the payment's name for ever: an order's number, never a new one for a retry.
pub(crate) async fn take(config: &str, amount: &str, key: &str) -> Result<String> {
    // The journal stands beside the configuration. What an earlier run left open is settled before anything is paid.
    let till = Tresen::open(config).await?;
    let terminal = till.terminal("counter")?;
    terminal.recover().await?;
    let (_keep, abort) = tokio::sync::watch::channel(false);
    Ok(match terminal.pay_as(Request::new(key, amount.parse()?), abort).await? {
        Payment::Charged(charge) => format!("charged {}", charge.amount),
        Payment::NotCharged(not) => format!("not charged: {}", not.text),
        other => format!("in doubt, compare the terminal's receipts: {other:?}"),
    })
}
