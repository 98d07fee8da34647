use std::process::ExitCode;

use tresen::hal::{Error, Kind};
use tresen::payment::{Request, nexo, opi, zvt};
use tresen::{Amount, Result};

use super::terminal::{At, Desk, EXIT, Texts};
use crate::out::Out;

/// Reverse a payment by its receipt number
///
/// The terminal reverses payments of the current day; after its end of day use `tresen refund`.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,

    /// The receipt number that the terminal assigned to the payment, such as 0417; of an OPI terminal its trace
    /// number (STAN, TA-Nr.), of a nexo terminal number and time of its transaction, TRANSACTION@TIME
    receipt: String,

    /// The amount paid, such as 12.50 or "12.50 CHF"
    amount: Amount,

    /// A key of your choice: repeating the command with the same key never reverses twice
    #[arg(long)]
    key: Option<String>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let Args { at, receipt, amount, key } = args;
    let key = key.unwrap_or_else(tresen::new_key);
    // OPI names a transaction by its trace number, nexo by its number and time.
    let paid = match at.address.protocol() {
        "opi" => opi::reference(None, &receipt),
        "nexo" => {
            let (transaction, time) = receipt.split_once('@').ok_or_else(|| {
                Error::new(Kind::Input, format!("`{receipt}` names no transaction of a nexo terminal"))
                    .hint("write TRANSACTION@TIME, as the journal has them: oLkO001.8828@2026-01-02T03:04:05.000Z")
            })?;
            nexo::reference(transaction, time)
        }
        _ => zvt::reference(None, &receipt, None),
    };
    let desk = Desk::open(at, *out).await?;
    out.say(format_args!("reversal of receipt {receipt}, {amount}, at {}", desk.name));
    let texts = Texts { done: "reversed", not_done: "not reversed", unknown: "not known whether reversed" };
    let request = Request::new(key.clone(), amount);
    desk.transact(key, amount, &texts, async |terminal, abort| terminal.reverse_as(&paid, request.clone(), abort).await)
        .await
}
