use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;
use tresen::config::Device;
use tresen::payment::{Progress, Request};
use tresen::{Address, Amount, Config, Error, Kind, Payment, Result, SystemClock, Tresen, What};

use crate::out::Out;

/// Take a payment at a terminal
///
/// The intent is written to a journal before anything is sent, and what is still open from an
/// earlier run is settled first. Ctrl-C asks the terminal to abort; the outcome is still waited
/// for. Exit status: 0 charged, 3 not charged, 4 not known: then run `tresen pay --recover ADDRESS`
/// as soon as the terminal can be reached.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The terminal, such as zvt+tcp://10.0.0.30:20007?password=000000
    address: Address,

    /// How much, such as 12.50 or "12.50 CHF"; without a currency it is euro
    #[arg(required_unless_present = "recover")]
    amount: Option<Amount>,

    /// Take no payment; only settle what is open
    #[arg(long, conflicts_with = "amount")]
    recover: bool,

    /// A key of your own: the same key is the same payment and is never charged twice
    #[arg(long)]
    key: Option<String>,

    /// The journal; by default `tresen/journal.db` in the user's state folder
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

/// The terminal's name in the journal is its address, so that each terminal's payments stay its own.
pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let journal = match args.journal {
        Some(file) => file,
        None => default_journal()?,
    };
    let name = args.address.label();
    let mut config = Config::default();
    config.till.store = journal.clone();
    config.terminals.insert(name.clone(), Device::at(args.address));
    let till = Tresen::with(config, Arc::new(SystemClock)).await?;
    let _events = crate::commands::pay::tell(&till, *out);
    let terminal = till.terminal(&name)?;
    out.say(format_args!("journal: {}", journal.display()));
    let Some(amount) = args.amount else {
        // What was open is settled as soon as the terminal is reached; this waits for that.
        terminal.status().await?;
        let open = till.open_payments(&name).await?;
        for intent in &open {
            out.answer(
                &json!({ "open": intent.id, "amount": intent.amount }),
                format_args!("still open: {} of {}", intent.amount, intent.at),
            );
        }
        out.say(if open.is_empty() {
            "nothing is open"
        } else {
            "what is open stays open until the terminal can tell"
        });
        return Ok(if open.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(4) });
    };
    let (stop, abort) = watch::channel(false);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
        }
    });
    let key = args.key.unwrap_or_else(tresen::new_key);
    out.say(format_args!("{amount} at {name}"));
    let payment = terminal.pay_as(Request::new(key, amount), abort).await?;
    Ok(report(&payment, *out))
}

fn report(payment: &Payment, out: Out) -> ExitCode {
    match payment {
        Payment::Charged(charge) => {
            for line in &charge.customer_slip {
                out.say(format_args!("  | {line}"));
            }
            let number = charge.receipt_number.as_deref().unwrap_or("-");
            out.answer(payment, format_args!("charged {}, receipt {number}", charge.amount));
            ExitCode::SUCCESS
        }
        Payment::NotCharged(why) => {
            out.answer(payment, format_args!("not charged: {}", why.text));
            ExitCode::from(3)
        }
        Payment::Unknown(intent) => {
            let next = "do not charge again; run `tresen pay --recover` when the terminal can be reached";
            out.answer(payment, format_args!("not known whether charged ({}): {next}", intent.0));
            ExitCode::from(4)
        }
    }
}

/// Tells what happens while it happens; ends when dropped.
pub(crate) fn tell(till: &Tresen, out: Out) -> tokio::task::JoinHandle<()> {
    let mut events = till.events();
    tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            match event.what {
                What::Payment(Progress::Status { text, .. }) => out.say(format_args!("  {text}")),
                What::Payment(Progress::Approved) => out.say("  approved"),
                What::Settled(settled) => out.say(format_args!(
                    "  settled: {} of {} is {}; {}",
                    settled.intent.amount,
                    settled.intent.at,
                    match settled.payment {
                        Payment::Charged(_) => "charged",
                        Payment::NotCharged(_) => "not charged",
                        Payment::Unknown(_) => "still unknown",
                    },
                    settled.evidence
                )),
                What::Unsettled { why } => out.say(format_args!("  not settled: {why}")),
                What::Disconnected { why } => out.say(format_args!("  {why}")),
                What::Notice(text) => out.say(format_args!("  {text}")),
                _ => {}
            }
        }
    })
}

/// `$XDG_STATE_HOME/tresen/journal.db` (XDG Base Directory Specification), or `%LOCALAPPDATA%`.
fn default_journal() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .ok_or_else(|| Error::new(Kind::Config, "no home folder for the journal").hint("name one with --journal FILE"))?
        .join("tresen");
    std::fs::create_dir_all(&state).map_err(|e| Error::from(e).at(state.display()))?;
    Ok(state.join("journal.db"))
}
