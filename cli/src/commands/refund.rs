use std::process::ExitCode;

use tresen::payment::Request;
use tresen::{Amount, Result};

use super::terminal::{At, Desk, EXIT, Texts};
use crate::out::Out;

/// Refund an amount to a card, without reference to a payment
///
/// Prefer `tresen reverse` for a payment of the same day: it cannot give back more than was paid, nor to
/// another card.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,

    /// The amount, such as 12.50 or "12.50 CHF"
    amount: Amount,

    /// A key of your choice: repeating the command with the same key never refunds twice
    #[arg(long)]
    key: Option<String>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let Args { at, amount, key } = args;
    let key = key.unwrap_or_else(tresen::new_key);
    let desk = Desk::open(at, *out).await?;
    out.say(format_args!("refund of {amount} at {}", desk.name));
    let texts = Texts { done: "refunded", not_done: "not refunded", unknown: "not known whether refunded" };
    let request = Request::new(key.clone(), amount);
    desk.transact(key, amount, &texts, async |terminal, abort| terminal.refund_as(request.clone(), abort).await).await
}
