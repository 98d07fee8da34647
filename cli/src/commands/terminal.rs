//! What the commands at a payment terminal share: the journal, progress, Ctrl-C, and how it ended.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tresen::config::Device;
use tresen::payment::{IntentId, Progress, Settled, Unknown};
use tresen::{Address, Amount, Class, Config, Effect, Error, EventKind, Kind, Payment, Phase, Result, Tresen};

use super::diagnose::diagnosed;
use crate::devices;
use crate::out::Out;

/// Which terminal, and where its transactions are written down.
#[derive(clap::Args)]
pub(crate) struct At {
    /// The terminal, such as zvt+tcp://10.0.0.30:20007?password=000000
    #[arg(value_parser = devices::address)]
    pub(super) address: Address,

    #[command(flatten)]
    pub(super) journal: Journal,
}

/// Where transactions are written down.
#[derive(clap::Args)]
pub(crate) struct Journal {
    /// The journal; by default `tresen/journal.db` in the user's state folder
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

/// The exit status of every command that moves money, for `--help`.
pub(super) const EXIT: &str = "\
Exit status: 0 done; 1 failed, nothing was sent that moves money; 2 wrong usage; 3 the terminal did not do it; \
4 not known whether the money moved: run `tresen pay --recover ADDRESS` when the terminal can be reached, and \
`tresen settle` if it cannot tell; 5 only a part was charged, the rest is still to be paid (terminals with partial=true).";

impl Journal {
    /// The file; its folder is made if it is the default one.
    pub(super) fn file(&self) -> Result<PathBuf> {
        match &self.journal {
            Some(file) => Ok(file.clone()),
            None => default_journal(),
        }
    }
}

/// One terminal with its journal.
pub(super) struct Desk {
    pub(super) till: Tresen,
    pub(super) terminal: tresen::Terminal,
    /// The terminal's name in the journal is its address, so that each terminal's payments stay its own.
    pub(super) name: String,
    address: Address,
    events: JoinHandle<()>,
    out: Out,
}

impl Desk {
    pub(super) async fn open(at: At, out: Out) -> Result<Self> {
        devices::drivers().check(Class::Terminal, &at.address).map_err(|e| e.at(at.address.label()))?;
        let journal = at.journal.file()?;
        let (name, address) = (at.address.label(), at.address.clone());
        let mut config = Config::default().with(Class::Terminal, &name, Device::at(at.address));
        config.till.store = journal.clone();
        let till = Tresen::with(config).await?;
        let events = tell(&till, out);
        let terminal = till.terminal(&name)?;
        out.say(format_args!("journal: {}", journal.display()));
        Ok(Self { till, terminal, name, address, events, out })
    }

    /// Does something at the terminal that moves no money. Ctrl-C leaves.
    pub(super) async fn ask<T>(self, asked: impl AsyncFn(&tresen::Terminal) -> Result<T>) -> Result<T> {
        let answer = tokio::select! {
            answer = self.reopened(|| true, async || asked(&self.terminal).await) => answer,
            _ = tokio::signal::ctrl_c() => Err(Error::new(Kind::Cancelled, "interrupted").at(&self.name)),
        };
        self.finish(answer).await
    }

    /// Moves money. Ctrl-C asks the terminal to abort, a second one leaves at once.
    pub(super) async fn transact(
        self,
        key: String,
        asked: Amount,
        words: &Words,
        begin: impl AsyncFn(&tresen::Terminal, watch::Receiver<bool>) -> Result<Payment>,
    ) -> Result<ExitCode> {
        let (stop, abort) = watch::channel(false);
        let ended = {
            let begin = async || begin(&self.terminal, abort.clone()).await;
            let mut transaction = std::pin::pin!(self.reopened(|| !*abort.borrow(), begin));
            loop {
                tokio::select! {
                    ended = &mut transaction => break ended,
                    _ = tokio::signal::ctrl_c() => {
                        if stop.send_replace(true) {
                            // It may be in the middle of anything: only the journal and the terminal know.
                            let why = "the command was interrupted before the terminal had answered";
                            break Ok(Payment::Unknown(Unknown::new(IntentId(key), why)));
                        }
                        self.out.note("asking the terminal to abort; Ctrl-C again leaves without waiting for its answer");
                    }
                }
            }
        };
        let out = self.out;
        let payment = self.finish(ended).await?;
        Ok(report(&payment, asked, words, out))
    }

    /// Does it again on a new connection if nothing was sent because the driver had to leave its own, as it
    /// does after looking for an earlier payment at a terminal that does not answer that question. Bounded: a
    /// terminal is asked about one payment three times.
    async fn reopened<T>(&self, wanted: impl Fn() -> bool, call: impl AsyncFn() -> Result<T>) -> Result<T> {
        let spent = |error: &Error| error.kind() == Kind::Closed && error.effect() == Effect::None;
        let mut ended = call().await;
        for _ in 0..REOPENED {
            match &ended {
                Err(error) if spent(error) && self.comes_back().await && wanted() => ended = call().await,
                _ => break,
            }
        }
        ended
    }

    /// Waits until a terminal that was open is open again.
    async fn comes_back(&self) -> bool {
        if self.terminal.capabilities().is_none() {
            return false;
        }
        let mut phase = self.terminal.phase();
        // The connection is let go a moment after the call has failed.
        timeout(LET_GO, phase.wait_for(|phase| !phase.is_ready())).await.ok();
        let settled = |phase: &Phase| phase.is_ready() || !phase.is_away() && *phase != Phase::Opening;
        timeout(BACK, phase.wait_for(settled)).await.is_ok_and(|phase| phase.is_ok_and(|phase| phase.is_ready()))
    }

    /// Lets the terminal go, so that it can be asked what it is if it did not answer as one.
    async fn finish<T>(self, ended: Result<T>) -> Result<T> {
        let Self { till, terminal, address, events, .. } = self;
        drop((till, terminal));
        events.abort();
        match ended {
            Ok(done) => Ok(done),
            Err(error) => Err(diagnosed(&address, error).await),
        }
    }
}

/// What a transaction is called.
pub(super) struct Words {
    pub(super) done: &'static str,
    pub(super) not_done: &'static str,
    pub(super) unknown: &'static str,
}

fn report(payment: &Payment, asked: Amount, words: &Words, out: Out) -> ExitCode {
    for line in payment.charge().iter().flat_map(|charge| &charge.customer_slip) {
        out.say(format_args!("  | {line}"));
    }
    match payment {
        Payment::Charged(charge) => {
            let number = charge.receipt_number.as_deref().unwrap_or("-");
            out.answer(payment, format_args!("{} {}, receipt {number}", words.done, charge.amount));
            ExitCode::SUCCESS
        }
        Payment::Partial(charge) => {
            let number = charge.receipt_number.as_deref().unwrap_or("-");
            let rest =
                asked.checked_sub(charge.amount).map_or(String::new(), |rest| format!("; {rest} still to be paid"));
            out.answer(
                payment,
                format_args!("{} only {} of {asked}, receipt {number}{rest}", words.done, charge.amount),
            );
            ExitCode::from(5)
        }
        Payment::NotCharged(why) => {
            out.answer(payment, format_args!("{}: {}", words.not_done, why.text));
            ExitCode::from(3)
        }
        Payment::Unknown(unknown) => {
            let next = "do not repeat it; run `tresen pay --recover` when the terminal can be reached";
            out.answer(payment, format_args!("{} ({}): {}; {next}", words.unknown, unknown.intent.0, unknown.why));
            ExitCode::from(4)
        }
        other => {
            out.answer(payment, format_args!("{} ({}): {}", words.unknown, other.intent().0, other.word()));
            ExitCode::from(4)
        }
    }
}

/// Tells what happens while it happens, until the till ends or the task is aborted.
fn tell(till: &Tresen, out: Out) -> JoinHandle<()> {
    let mut events = till.events();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event.kind {
                EventKind::Payment(Progress::Status { text, .. } | Progress::Display(text)) => {
                    out.say(format_args!("  {text}"));
                }
                EventKind::Payment(Progress::Approved) => out.say("  approved"),
                EventKind::Settled(settled) => tell_settled(&settled, out),
                EventKind::Unsettled { why, .. } => out.say(format_args!("  not settled: {why}")),
                EventKind::Disconnected { why } => out.say(format_args!("  {why}")),
                EventKind::Notice(text) => out.say(format_args!("  {text}")),
                _ => {}
            }
        }
    })
}

/// What was open, how it stands now, and what that rests on.
pub(super) fn tell_settled(settled: &Settled, out: Out) {
    let Settled { intent, payment, evidence, .. } = settled;
    let words = match payment {
        Payment::Charged(_) => "is charged",
        Payment::Partial(_) => "is charged in part",
        Payment::NotCharged(_) => "is not charged",
        _ => "is still unknown",
    };
    out.answer(
        &json!({
            "settled": intent.id, "terminal": intent.terminal, "amount": intent.amount, "at": intent.at.to_string(),
            "outcome": payment.word(), "evidence": evidence, "payment": payment,
        }),
        format_args!("  {} of {} {words}: {evidence}", intent.amount, intent.at),
    );
}

/// How often a command is tried again on a new connection.
const REOPENED: usize = 4;
/// How long a terminal may take to be there again.
const BACK: Duration = Duration::from_secs(60);
/// How long a connection that is no good any more may still count as open.
const LET_GO: Duration = Duration::from_secs(6);

/// `$XDG_STATE_HOME/tresen/journal.db` (XDG Base Directory Specification), or `%LOCALAPPDATA%`. The folder
/// is its owner's alone.
fn default_journal() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .ok_or_else(|| Error::new(Kind::Config, "no home folder for the journal").hint("name one with --journal FILE"))?
        .join("tresen");
    private_folder(&state).map_err(|e| Error::file(&state, e))?;
    Ok(state.join("journal.db"))
}

fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
