//! Shared by the terminal commands: journal, progress, Ctrl-C, and the outcome.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tresen::config::Device;
use tresen::payment::{Progress, Reference, Request, Settled, Unknown, nexo, opi, paytec, zvt};
use tresen::{Address, Amount, Class, Config, Effect, Error, EventKind, Kind, Payment, Phase, Result, Tresen};

use super::console::Console;
use super::diagnose::diagnosed;
use crate::devices;
use crate::interrupts::Interrupts;
use crate::out::Out;

/// The terminal, and where its transactions are journalled.
#[derive(clap::Args)]
pub(crate) struct At {
    /// The terminal, such as zvt+tcp://10.0.0.30:20007?password=000000
    #[arg(value_parser = devices::address)]
    pub(super) address: Address,

    #[command(flatten)]
    pub(super) journal: Journal,
}

/// Where transactions are journalled.
#[derive(clap::Args)]
pub(crate) struct Journal {
    /// The journal; by default `tresen/journal.db` in the user's state folder
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

/// A transaction that names no earlier one.
#[derive(clap::Args)]
pub(crate) struct New {
    #[command(flatten)]
    at: At,

    /// The amount, such as 12.50 or "12.50 CHF"; euro unless a currency is given
    amount: Amount,

    /// A key of your choice: repeating the command with the same key is the same transaction
    #[arg(long)]
    key: Option<String>,
}

impl New {
    /// Runs it.
    pub(super) async fn run(
        self,
        texts: &Texts,
        out: &Out,
        begin: impl AsyncFn(&tresen::Terminal, Request, watch::Receiver<bool>) -> Result<Payment>,
    ) -> Result<ExitCode> {
        let Self { at, amount, key } = self;
        let request = Request::new(key.unwrap_or_else(tresen::new_key), amount);
        let desk = Desk::open(at, *out).await?;
        out.say(format_args!("{} of {amount} at {}", texts.what, desk.name));
        desk.transact(request, texts, begin).await
    }
}

/// A transaction that names an earlier one.
#[derive(clap::Args)]
pub(crate) struct FollowUp {
    #[command(flatten)]
    at: At,

    /// The receipt number that the terminal assigned to the earlier transaction, such as 0417; of an OPI terminal its
    /// trace number (STAN, TA-Nr.), of a nexo terminal number and time of its transaction, TRANSACTION@TIME; of
    /// a PayTec terminal Trx. Seq-Cnt
    receipt: String,

    /// The amount, such as 12.50 or "12.50 CHF"
    amount: Amount,

    /// A key of your choice: repeating the command with the same key is the same transaction
    #[arg(long)]
    key: Option<String>,
}

impl FollowUp {
    /// Runs it.
    pub(super) async fn run(
        self,
        texts: &Texts,
        out: &Out,
        begin: impl AsyncFn(&tresen::Terminal, Reference, Request, watch::Receiver<bool>) -> Result<Payment>,
    ) -> Result<ExitCode> {
        let Self { at, receipt, amount, key } = self;
        let request = Request::new(key.unwrap_or_else(tresen::new_key), amount);
        let of = named(&at.address, &receipt)?;
        let desk = Desk::open(at, *out).await?;
        out.say(format_args!("{} of receipt {receipt}, {amount}, at {}", texts.what, desk.name));
        desk.transact(request, texts, async |terminal, request, abort| {
            begin(terminal, of.clone(), request, abort).await
        })
        .await
    }
}

/// The reference that a slip's number stands for. OPI names a transaction by its trace number, nexo by its number and
/// time.
fn named(address: &Address, receipt: &str) -> Result<Reference> {
    Ok(match address.protocol() {
        "opi" => opi::reference(None, receipt),
        "paytec" => paytec::reference(None, receipt),
        "nexo" => {
            let (transaction, time) = receipt.split_once('@').ok_or_else(|| {
                Error::new(Kind::Input, format!("`{receipt}` names no transaction of a nexo terminal"))
                    .hint("write TRANSACTION@TIME, as the journal has them: oLkO001.8828@2026-01-02T03:04:05.000Z")
            })?;
            nexo::reference(transaction, time)
        }
        _ => zvt::reference(None, receipt, None),
    })
}

/// Exit status of every command that moves money, for `--help`.
pub(super) const EXIT: &str = "\
Exit status: 0 done; 1 failed, nothing was sent that moves money; 2 wrong usage; 3 not done by the terminal; \
4 unknown whether money moved: run `tresen pay --recover ADDRESS` once the terminal is reachable, and \
`tresen settle` if it cannot tell; 5 charged in part, the rest is still to be paid (terminals with partial=true).";

impl Journal {
    /// The journal file; the default one's folder is created.
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
    /// The terminal's name in the journal is its address, which keeps the payments of different terminals apart.
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
        let terminal = till.terminal(&name)?;
        let events = follow(&till, terminal.clone(), out);
        out.say(format_args!("journal: {}", journal.display()));
        Ok(Self { till, terminal, name, address, events, out })
    }

    /// Runs a command that moves no money. Ctrl-C exits.
    pub(super) async fn ask<T>(self, asked: impl AsyncFn(&tresen::Terminal) -> Result<T>) -> Result<T> {
        let answer = tokio::select! {
            answer = self.reopened(|| true, async || asked(&self.terminal).await) => answer,
            _ = tokio::signal::ctrl_c() => Err(Error::new(Kind::Cancelled, "interrupted").at(&self.name)),
        };
        self.finish(answer).await
    }

    /// Runs a transaction that moves money. The first Ctrl-C asks the terminal to abort, the second exits at once.
    pub(super) async fn transact(
        self,
        request: Request,
        words: &Texts,
        begin: impl AsyncFn(&tresen::Terminal, Request, watch::Receiver<bool>) -> Result<Payment>,
    ) -> Result<ExitCode> {
        let Request { intent: key, amount: asked, .. } = request.clone();
        let (stop, abort) = watch::channel(false);
        let mut interrupts = Interrupts::new();
        let ended = {
            let begin = async || begin(&self.terminal, request.clone(), abort.clone()).await;
            let mut transaction = std::pin::pin!(self.reopened(|| !*abort.borrow(), begin));
            loop {
                tokio::select! {
                    ended = &mut transaction => break ended,
                    () = interrupts.next() => {
                        if stop.send_replace(true) {
                            // The transaction may be in any state: only the journal and the terminal know.
                            let why = "the command was interrupted before the terminal had answered";
                            break Ok(Payment::Unknown(Unknown::new(key, why)));
                        }
                        self.out.note("asking the terminal to abort; press Ctrl-C again to exit without waiting for its answer");
                    }
                }
            }
        };
        let out = self.out;
        let payment = self.finish(ended).await?;
        Ok(report(&payment, asked, words, out))
    }

    /// Retries on a new connection if nothing was sent because the driver had to drop the old connection, as it does
    /// after looking for an earlier payment at a terminal that does not answer that query. Bounded: a terminal is asked
    /// about one payment three times.
    async fn reopened<T>(&self, wanted: impl Fn() -> bool, call: impl AsyncFn() -> Result<T>) -> Result<T> {
        let not_sent = |error: &Error| error.kind() == Kind::Closed && error.effect() == Effect::None;
        let mut ended = call().await;
        for _ in 0..REOPENED {
            match &ended {
                Err(error) if not_sent(error) && self.reconnects().await && wanted() => ended = call().await,
                _ => break,
            }
        }
        ended
    }

    /// Waits until a terminal that was open has reopened.
    async fn reconnects(&self) -> bool {
        if self.terminal.capabilities().is_none() {
            return false;
        }
        let mut phase = self.terminal.phase();
        // The connection is released shortly after the call has failed.
        timeout(RELEASED, phase.wait_for(|phase| !phase.is_ready())).await.ok();
        let settled = |phase: &Phase| phase.is_ready() || !phase.is_away() && *phase != Phase::Opening;
        timeout(RECONNECTED, phase.wait_for(settled)).await.is_ok_and(|phase| phase.is_ok_and(|phase| phase.is_ready()))
    }

    /// Releases the terminal, so that the address can be probed if it did not answer like a terminal.
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

/// Runs an administrative function, and shows what the terminal printed about it.
pub(super) async fn administer(
    at: At,
    out: &Out,
    done: &str,
    asked: impl AsyncFn(&tresen::Terminal) -> Result<Vec<String>>,
) -> Result<()> {
    let lines = Desk::open(at, *out).await?.ask(asked).await?;
    out.receipt(&lines);
    out.answer(&json!({ "receipt": lines }), done);
    Ok(())
}

/// The texts for a kind of transaction.
pub(super) struct Texts {
    pub(super) what: &'static str,
    pub(super) done: &'static str,
    pub(super) not_done: &'static str,
    pub(super) unknown: &'static str,
}

fn report(payment: &Payment, asked: Amount, words: &Texts, out: Out) -> ExitCode {
    out.receipt(payment.charge().iter().flat_map(|charge| &charge.customer_slip));
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
            let advice = why.advice.as_ref().map_or(String::new(), |advice| format!(". {advice}"));
            out.answer(payment, format_args!("{}: {}{advice}", words.not_done, why.text));
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

/// Prints events as they happen, until the till closes or the task is aborted.
fn follow(till: &Tresen, terminal: tresen::Terminal, out: Out) -> JoinHandle<()> {
    let mut events = till.events();
    let mut console = Console::new(terminal, out);
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                line = console.typed() => {
                    console.take(&line);
                    continue;
                }
            };
            let Some(event) = event else { return };
            match event.kind {
                EventKind::Question(asked) => console.ask(*asked),
                EventKind::QuestionClosed { id } => console.closed(&id),
                EventKind::Payment(Progress::Status { text, .. } | Progress::Display(text)) => {
                    out.say(format_args!("  {text}"));
                }
                EventKind::Payment(Progress::Approved) => out.say("  approved"),
                EventKind::Settled(settled) => print_settled(&settled, out),
                EventKind::Unsettled { why, .. } => out.say(format_args!("  not settled: {why}")),
                EventKind::Disconnected { why } => out.say(format_args!("  {why}")),
                EventKind::Notice(text) => out.say(format_args!("  {text}")),
                _ => {}
            }
        }
    })
}

/// Prints a settled payment: amount, outcome, and the evidence for it.
pub(super) fn print_settled(settled: &Settled, out: Out) {
    let Settled { intent, payment, evidence, .. } = settled;
    let outcome = match payment {
        Payment::Charged(_) => "was charged",
        Payment::Partial(_) => "was charged in part",
        Payment::NotCharged(_) => "was not charged",
        _ => "is still unknown",
    };
    out.answer(
        &json!({
            "settled": intent.id, "terminal": intent.terminal, "amount": intent.amount, "at": intent.at.to_string(),
            "outcome": payment.word(), "evidence": evidence, "payment": payment,
        }),
        format_args!("  {} of {} {outcome}: {evidence}", intent.amount, intent.at),
    );
}

/// How often a command is retried on a new connection.
const REOPENED: usize = 4;
/// How long a terminal may take to reconnect.
const RECONNECTED: Duration = Duration::from_secs(60);
/// How long a broken connection may still be reported as open.
const RELEASED: Duration = Duration::from_secs(6);

/// `$XDG_STATE_HOME/tresen/journal.db` (XDG Base Directory Specification), or `%LOCALAPPDATA%`. The folder is
/// accessible to its owner only.
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
