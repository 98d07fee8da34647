use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tresen::api::{listing, server, terminal};
use tresen::payment::{Decision, Entry, IntentId, Journal as _, Payment};
use tresen::{Amount, Error, Kind, Result, Store, StoredBooking, SystemRuntime};

use super::listed::unreadable;
use super::running::{self, Till};
use super::terminal::Journal;
use crate::out::Out;

/// List payments with an unknown outcome, or decide one by hand
///
/// First ask the terminal: `tresen pay --recover ADDRESS`. If it cannot tell, because it was replaced or its
/// end of day has passed, check its slips or ask the acquirer, then record the outcome, who decided and why.
/// The decision is final: it is written to the journal, and nothing is sent to a terminal. If a till has the
/// database open, it is asked to do it. A payment from a customer's account is decided the same way when the
/// server that could tell is gone. Exit status: 0 nothing is open; 1 failed; 2 wrong usage; 4 something
/// is open.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("outcome").args(["charged", "not_charged"]))]
#[command(after_long_help = "Examples:
  tresen settle --store till.toml                what is open
  tresen settle a-17 --charged 12.50 --by Anna --reason \"slip 0417\" --store till.toml
  tresen settle a-17 --not-charged --by Anna --reason \"no slip, acquirer asked\" --store till.toml")]
pub(crate) struct Args {
    /// The key of the payment to decide, as listed; without it, open payments are listed
    #[arg(requires = "outcome")]
    key: Option<String>,

    /// Money has moved: the amount, such as 12.50 or "12.50 CHF"
    #[arg(long, value_name = "AMOUNT", requires_all = ["key", "by", "reason"])]
    charged: Option<Amount>,

    /// No money has moved
    #[arg(long, requires_all = ["key", "by", "reason"])]
    not_charged: bool,

    /// Who made the decision
    #[arg(long, value_name = "NAME", requires = "outcome")]
    by: Option<String>,

    /// The reason, such as "slip 0417 in the terminal's roll"
    #[arg(long, value_name = "TEXT", requires = "outcome")]
    reason: Option<String>,

    /// The till's configuration or database, instead of the journal of `tresen pay`
    #[arg(value_name = "FILE", long = "store", conflicts_with = "journal")]
    store: Option<PathBuf>,

    #[command(flatten)]
    journal: Journal,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let file = match &args.store {
        Some(file) => running::store(file)?,
        None => args.journal.file()?,
    };
    let clock = Arc::new(SystemRuntime::new());
    let Some(key) = args.key else {
        return list(&running::open(&file, *out).await?, *out).await;
    };
    let (Some(by), Some(reason)) = (args.by, args.reason) else {
        return Err(Error::new(Kind::Input, "name who decided and why: --by NAME --reason TEXT").at(&key));
    };
    let decision = match args.charged {
        Some(amount) => Decision::charged(amount, by, reason),
        None => Decision::not_charged(by, reason),
    };
    let id = IntentId(key);
    let unknown = || {
        let error = Error::new(Kind::NotFound, format!("unknown payment `{}`", id.0)).at(file.display());
        error.hint("`tresen settle` lists what is open")
    };
    let entry = match running::till(&file).await? {
        Some(till) => {
            let find = || terminal::Find { key: id.clone() };
            if till.call(find()).await?.is_none() {
                let settle = server::SettleAccount { key: id.0.clone(), decision: decision.clone() };
                let settled = till.call(settle).await.map_err(|error| unless_missing(error, unknown));
                return settled.map(|booking| tell_account_settled(&booking, &decision, *out));
            }
            let settle = terminal::Settle { key: id.clone(), decision: decision.clone(), terminal: None };
            // Taken from the journal, with everything known before.
            let _ = till.call(settle).await?;
            till.call(find()).await?.ok_or_else(unknown)?.entry
        }
        None => {
            let store = Store::open(&file, clock).await?;
            if store.find(&id).await?.is_none() {
                let settled = store.settle_account(&id.0, &decision).await;
                let settled = settled.map_err(|error| unless_missing(error, unknown));
                return settled.map(|booking| tell_account_settled(&booking, &decision, *out));
            }
            store.settle(&id, &decision).await?
        }
    };
    let how = match entry.outcome().as_ref().and_then(Payment::charge) {
        Some(charge) => format!("charged {}", charge.amount),
        None => "not charged".to_owned(),
    };
    let line = format!(
        "settled: {} of {} is {how}, by {}: {}",
        entry.intent.amount, entry.intent.at, decision.by, decision.reason
    );
    out.answer(&json!({ "settled": entry }), line);
    Ok(ExitCode::SUCCESS)
}

/// Lists open payments with what is known about them.
async fn list(till: &Till, out: Out) -> Result<ExitCode> {
    let (mut open, mut after) = (0, Some(0));
    while let Some(from) = after {
        let page = till.payments(listing::Payments { after: from, open: true, ..Default::default() }).await?;
        for payment in &page.rows {
            open += 1;
            tell(&payment.entry, out);
        }
        unreadable(&page.unreadable, out);
        after = page.next;
    }
    for booking in till.accounts_in_doubt().await? {
        open += 1;
        let StoredBooking { key, account, amount, at, why, .. } = &booking;
        let why = why.as_deref().unwrap_or("the server's answer is not known");
        out.answer(&booking, format_args!("{key}  {amount} from account {account}, {at:.0}\n  {why}"));
    }
    if open == 0 {
        out.say("nothing is open");
        return Ok(ExitCode::SUCCESS);
    }
    out.say("decide one with: tresen settle KEY --charged AMOUNT|--not-charged --by NAME --reason TEXT");
    Ok(ExitCode::from(4))
}

/// `unknown`, if neither a terminal nor an account has such a payment.
fn unless_missing(error: Error, unknown: impl Fn() -> Error) -> Error {
    if error.kind() == Kind::NotFound { unknown() } else { error }
}

fn tell_account_settled(booking: &StoredBooking, decision: &Decision, out: Out) -> ExitCode {
    let how = if decision.charged.is_some() { "charged" } else { "not charged" };
    let StoredBooking { amount, account, .. } = booking;
    let line = format!("settled: {amount} from account {account} is {how}, by {}: {}", decision.by, decision.reason);
    out.answer(&json!({ "settled": booking }), line);
    ExitCode::SUCCESS
}

fn tell(entry: &Entry, out: Out) {
    let intent = &entry.intent;
    let what = intent.operation.name();
    let known = match &entry.approved {
        None => "the terminal's answer is not known".to_owned(),
        Some(charge) => match &charge.reference {
            Some(reference) => {
                format!("the terminal approved {} as {reference}, then the connection was lost", charge.amount)
            }
            None => format!("the terminal approved {}, then the connection was lost", charge.amount),
        },
    };
    out.answer(
        entry,
        format_args!("{}  {what} of {} at {}, {}\n  {known}", intent.id.0, intent.amount, intent.terminal, intent.at),
    );
}
