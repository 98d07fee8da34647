use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tresen::api::{printer, sale};
use tresen::{Error, Kind, Print, Result, Store, SystemRuntime};

use super::running;
use crate::out::Out;

/// Reprint a job that may already be on paper, or a ticket's receipt, marked as a copy
///
/// A running till prints it now. If no till has the database open, a job is queued for the next start; the receipt of a
/// ticket needs a running till.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen jobs till.toml --state unknown          which jobs may be on paper
  tresen reprint till.toml receipt-17")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// The job, as `tresen jobs` lists it
    #[arg(required_unless_present = "ticket", conflicts_with = "ticket")]
    job: Option<String>,

    /// Instead of a job: the closed ticket, by its number or its id
    #[arg(long, requires = "printer")]
    ticket: Option<String>,

    /// With --ticket: the epoch in which its number was assigned, if that is not clear
    #[arg(long, requires = "ticket", value_name = "NUMBER")]
    epoch: Option<i64>,

    /// With --ticket: the printer or route
    #[arg(long, requires = "ticket")]
    printer: Option<String>,

    /// Wait this many seconds for it to be printed
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let place = running::store(&args.file)?;
    let till = running::till(&place).await?;
    let within = Some(Duration::from_secs(args.timeout));
    let (what, print) = match (till, args.job, args.ticket) {
        (None, Some(job), _) => {
            let clock = Arc::new(SystemRuntime::new());
            // Opened read-only first, so that a missing database is not created.
            drop(Store::open_read_only(&place, clock.clone()).await?);
            let store = Store::open(&place, clock).await?;
            store.reprint_job(&job).await?;
            store.close().await;
            out.answer(&json!({ "queued": job }), format!("{job} is queued: the till prints it at its next start"));
            return Ok(());
        }
        (Some(till), Some(job), _) => {
            let print = till.call(printer::Reprint { job: job.clone(), within }).await?;
            (job, print)
        }
        (Some(till), None, Some(ticket)) => {
            let number = ticket.parse().ok();
            let sale = number.is_none().then(|| ticket.clone());
            let printer = args.printer.unwrap_or_default();
            let copy = sale::Reprint { sale, number, epoch: args.epoch, printer, within };
            (format!("the copy of ticket {ticket}"), till.call(copy).await?)
        }
        (None, None, _) | (Some(_), None, None) => {
            let what = "no till is running here, and only a till composes a ticket's receipt";
            return Err(Error::new(Kind::NotFound, what).at(place.display()).hint("start the till"));
        }
    };
    let line = match &print {
        Print::Printed { on, .. } => format!("printed on {on}"),
        Print::Accepted { on } => format!("accepted by {on}, which cannot confirm printing"),
        Print::Waiting { why, .. } => format!("is waiting: {why}"),
        Print::Printing { on, .. } => format!("is being printed on {on}"),
        Print::Unknown { why, .. } => format!("may be on paper or not: {why}"),
        Print::Unreadable { why, .. } => format!("cannot be printed: {why}"),
        _ => "was cancelled".to_owned(),
    };
    out.answer(&print, format_args!("{what} {line}"));
    Ok(())
}
