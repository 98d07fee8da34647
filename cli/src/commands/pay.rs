use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tresen::payment::{Journal as _, Request};
use tresen::{Amount, Context, Result, Store, SystemRuntime, Terminals};

use super::diagnose::diagnosed;
use super::terminal::{At, Desk, EXIT, Texts, print_settled};
use crate::devices;
use crate::out::Out;

/// Take a payment at a terminal
///
/// The intent is journalled before anything is sent, and payments still open from an earlier run are
/// settled first. Ctrl-C asks the terminal to abort and still waits for the outcome; a second Ctrl-C exits
/// at once, leaving the outcome unknown. `tresen reverse` takes a payment back.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,

    /// The amount, such as 12.50 or "12.50 CHF"; euro unless a currency is given
    #[arg(required_unless_present = "recover")]
    amount: Option<Amount>,

    /// Take no payment; only settle open ones, by asking the terminal
    #[arg(long, conflicts_with = "amount")]
    recover: bool,

    /// A payment key of your choice: repeating the command with the same key never charges twice
    #[arg(long)]
    key: Option<String>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let Some(amount) = args.amount else { return recover(args.at, *out).await };
    let desk = Desk::open(args.at, *out).await?;
    out.say(format_args!("{amount} at {}", desk.name));
    let texts =
        Texts { what: "payment", done: "charged", not_done: "not charged", unknown: "not known whether charged" };
    let request = Request::new(args.key.unwrap_or_else(tresen::new_key), amount);
    desk.transact(request, &texts, async |terminal, request, abort| terminal.pay_as(request, abort).await).await
}

/// Settles open payments and reports how, and what stays open.
async fn recover(at: At, out: Out) -> Result<ExitCode> {
    let (name, clock) = (at.address.label(), Arc::new(SystemRuntime::new()));
    let file = at.journal.file()?;
    let store = Store::open(&file, clock.clone()).await?;
    out.say(format_args!("journal: {}", file.display()));
    let asked = tokio::select! {
        asked = ask(&at, &name, &store) => asked,
        _ = tokio::signal::ctrl_c() => Err(tresen::Error::new(tresen::Kind::Cancelled, "interrupted").at(&name)),
    };
    let settled = match asked {
        Ok(settled) => settled,
        Err(error) => return Err(diagnosed(&at.address, error).await),
    };
    for settled in &settled {
        print_settled(settled, out);
    }
    let open = store.open(&name).await?;
    let summary = json!({ "settled": settled.len().saturating_sub(open.len()), "open": open.len() });
    if open.is_empty() {
        out.answer(&summary, "nothing is open");
        return Ok(ExitCode::SUCCESS);
    }
    out.answer(
        &summary,
        format_args!(
            "{} open: the terminal cannot determine the outcome. Decide by hand with `tresen settle`",
            open.len()
        ),
    );
    Ok(ExitCode::from(4))
}

async fn ask(at: &At, name: &str, store: &Store) -> Result<Vec<tresen::payment::Settled>> {
    let journal = Arc::new(store.clone());
    let context = Context::new(name).with_journal(journal);
    let mut terminal = devices::drivers().open::<Terminals>(&at.address, context).await?;
    let settled = terminal.recover().await;
    terminal.close().await;
    settled
}
