use std::path::PathBuf;

use jiff::Timestamp;
use tresen::api::listing;
use tresen::payment::{Payment, Transaction};
use tresen::{Result, StoredPayment};

use super::listed::pages;
use super::running;
use super::when::when;
use crate::out::Out;

/// List a till's payments at terminals, oldest first; works while the till is running
///
/// A running till is asked; if none is running, its database is read. Card numbers are masked. A payment that
/// is open is settled when its terminal is back; `tresen settle` decides it by hand.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen payments till.toml --open               what is not decided
  tresen payments till.toml --since 2026-01-02 --terminal counter
  tresen --json payments till.db --limit 100 --after 1200")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// Only payments that are not decided
    #[arg(short, long)]
    open: bool,

    /// Only payments at this terminal
    #[arg(long, value_name = "NAME")]
    terminal: Option<String>,

    /// Only payments begun since then: 2026-01-02, "2026-01-02 08:00", or 90m for 90 minutes ago
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<Timestamp>,

    /// Only payments after this position, as the end of the previous page names it
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: i64,

    /// At most this many; the end of the page says how to go on
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let till = running::open(&running::store(&args.file)?, *out).await?;
    let none = if args.open { "no payment is open" } else { "no payments" };
    let page = async |after| {
        let (open, limit, since, terminal) = (args.open, args.limit, args.since, args.terminal.clone());
        till.payments(listing::Payments { after, limit, open, terminal, since }).await
    };
    pages(*out, args.after, args.limit, none, page, line).await
}

fn line(payment: &StoredPayment) -> String {
    let intent = &payment.intent;
    let what = intent.operation.name();
    let how = match payment.outcome() {
        Some(Payment::Charged(charge) | Payment::Partial(charge)) => {
            let receipt = charge.receipt_number.map_or(String::new(), |number| format!(", receipt {number}"));
            format!("{} {}{receipt}", charge.amount, stands(&intent.operation))
        }
        Some(Payment::NotCharged(not)) => format!("not charged: {}", not.text),
        Some(Payment::Unknown(unknown)) => format!("unknown: {}", unknown.why),
        _ => "open: the terminal's answer is not known yet".to_owned(),
    };
    let by = match &payment.decision {
        Some(decision) => format!(", settled by {}: {}", decision.by, decision.reason),
        None => String::new(),
    };
    let ended = if intent.operation == Transaction::PreAuthorisation { "ended" } else { "reversed" };
    let reversed = payment.reversed_by.as_ref().map_or(String::new(), |by| format!(", {ended} by {}", by.0));
    format!(
        "{}  {what} of {} at {}, {:.0}  {how}{by}{reversed}",
        intent.id.0, intent.amount, intent.terminal, intent.at
    )
}

/// What it means that a transaction stands: only what is charged is turnover.
fn stands(transaction: &Transaction) -> &'static str {
    match transaction {
        Transaction::PreAuthorisation | Transaction::Increment { .. } => "held",
        Transaction::Release { .. } => "released",
        Transaction::TopUp { .. } => "loaded",
        _ => "charged",
    }
}
