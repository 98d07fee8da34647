//! A terminal at a handheld: journalled here, then there.
//!
//! | the handheld says of a key | then |
//! |---|---|
//! | how it ended | so, if amount and key fit; else unknown |
//! | it runs, or is open | unknown; asked again |
//! | never heard of it, with the journal of the intent | not charged: it reads one connection only, and in order |
//! | the same over the connection on which it was sent | unknown: it contradicts itself |
//! | the same with another journal | unknown: the other one may know |

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tresen::hal::{BoxFuture, Driver};
use tresen::payment::{
    Capabilities, Entry, Host, Intent, Journal, NotCharged, Notice, Operation, Outcome, Payment, Reason, Reference,
    Request, Settled, Terminal, TerminalStatus, Transaction, Unknown, books,
};
use tresen::{Context, Effect, Error, Kind, Result, Runtime};

use super::slot::{Here, SHORT, Serving, Slot, Unanswered, gone, read};
use crate::attach::wire::{Device, Found, Key, Transact, Transacted};
use crate::server::lock;

/// A terminal at a handheld, during one visit.
struct RemoteTerminal {
    slot: Arc<Slot>,
    here: Arc<Here>,
    capabilities: Capabilities,
    /// The handheld's journal.
    theirs: String,
    journal: Arc<dyn Journal>,
    runtime: Arc<dyn Runtime>,
}

pub(super) fn open(slot: Arc<Slot>, here: Arc<Here>, context: Context) -> Result<Box<dyn Terminal>> {
    let Device::Terminal { capabilities, journal: theirs, .. } = &here.device else {
        return Err(Error::new(Kind::Protocol, "it is not offered as a terminal"));
    };
    let journal = context.journal.ok_or_else(|| Error::new(Kind::Config, "a terminal needs a journal"))?;
    let (capabilities, theirs, runtime) = (capabilities.clone(), theirs.clone(), context.runtime);
    Ok(Box::new(RemoteTerminal { slot, here, capabilities, theirs, journal, runtime }))
}

impl Driver for RemoteTerminal {
    type Event = Notice;

    fn event(&mut self) -> BoxFuture<'_, Result<Notice>> {
        Box::pin(async move {
            loop {
                let arrived = self.slot.arrived.notified();
                if let Some(text) = self.slot.take_notice() {
                    return Ok(Notice::Text(text));
                }
                tokio::select! {
                    biased;
                    () = arrived => {}
                    why = self.slot.left(self.here.visit) => return Err(why),
                }
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Terminal for RemoteTerminal {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The handheld logs in by itself.
    fn login(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(
            async move { self.slot.ask::<TerminalStatus>(&self.here, "status", &Value::Null, STATUS).await.map(drop) },
        )
    }

    fn transact<'a>(&'a mut self, operation: Operation, host: Host) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(async move {
            let sent = Transact::of(&operation);
            match operation.into_transaction() {
                Ok((transaction, request)) => self.moves(transaction, request, &sent, host).await.map(Outcome::Payment),
                Err(_) => {
                    let done: Transacted = self.slot.ask(&self.here, "transact", &sent, TRANSACTION).await?;
                    Ok(done.into())
                }
            }
        })
    }

    fn recover(&mut self) -> BoxFuture<'_, Result<Vec<Settled>>> {
        Box::pin(async move { self.settle().await })
    }

    fn status(&mut self) -> BoxFuture<'_, Result<TerminalStatus>> {
        Box::pin(async move { self.slot.ask(&self.here, "status", &Value::Null, STATUS).await })
    }
}

impl RemoteTerminal {
    async fn moves(
        &self,
        operation: Transaction,
        request: Request,
        sent: &Transact,
        mut host: Host,
    ) -> Result<Payment> {
        let terminal = self.slot.name.as_str();
        if let Some(payment) = books::already(&*self.journal, terminal, &request, &operation).await? {
            return Ok(payment);
        }
        if books::unasked(&*self.journal, terminal).await? {
            self.settle().await.map_err(|e| e.with_effect(Effect::None))?;
        }
        books::unended(&*self.journal, terminal, &request, &operation).await?;
        if self.here.wire.is_closed() {
            return Err(gone("the handheld is away").with_effect(Effect::None).at(terminal));
        }
        if *host.abort.borrow_and_update() {
            let what = "the caller has aborted before anything was sent";
            return Err(Error::new(Kind::Cancelled, what).with_effect(Effect::None).at(terminal));
        }
        let with = serde_json::to_value(sent).map_err(|e| {
            Error::new(Kind::Input, "it cannot be written as JSON").with_effect(Effect::None).because(e)
        })?;
        let Request { intent: id, amount, .. } = request;
        let journal = Reference::new(PROTOCOL).with(JOURNAL, &*self.theirs);
        let intent = Intent::new(id, terminal, operation, amount, self.runtime.wall(), Some(journal));
        self.journal.intend(&intent).await?;
        lock(&self.slot.sent).insert(intent.id.clone(), self.here.generation);
        let abort = host.abort.clone();
        *lock(&self.slot.serving) = Some(Serving::new(intent.id.0.clone(), host));
        let _served = Served(&self.slot);
        let answered = self.answered(&intent.id.0, with, abort).await;
        let payment = self.concluded(&intent, answered);
        let payment = books::conclude(&*self.journal, payment).await?;
        if payment.is_decided() {
            lock(&self.slot.sent).remove(&intent.id);
        }
        Ok(payment)
    }

    /// Has the handheld run it, and passes on what its caller asks meanwhile.
    async fn answered(&self, key: &str, with: Value, mut abort: watch::Receiver<bool>) -> Result<Value, Unanswered> {
        let deadline = Instant::now() + TRANSACTION;
        let ask = timeout_at(deadline, self.here.wire.ask(&self.slot.id, "transact", with));
        let mut ask = std::pin::pin!(ask);
        let mut asks = true;
        loop {
            tokio::select! {
                biased;
                answered = &mut ask => return answered.unwrap_or_else(|_| {
                    let what = format!("the handheld did not say within {} s how it ended", TRANSACTION.as_secs());
                    Err(Unanswered::Refused(Error::new(Kind::Timeout, what).with_effect(Effect::Unknown)))
                }),
                changed = abort.changed(), if asks => {
                    asks = changed.is_ok();
                    if asks && *abort.borrow_and_update() {
                        let (slot, here, key) = (self.slot.clone(), self.here.clone(), Key { key: key.to_owned() });
                        tokio::spawn(async move {
                            if let Err(error) = slot.ask::<bool>(&here, "abort", &key, SHORT).await {
                                tracing::debug!(%error, "an abort did not reach the terminal");
                            }
                        });
                    }
                }
            }
        }
    }

    /// What the handheld's answer to the request itself says.
    fn concluded(&self, intent: &Intent, answered: Result<Value, Unanswered>) -> Payment {
        let not = |reason, text: String| Payment::NotCharged(NotCharged::new(intent.id.clone(), reason, None, text));
        match answered {
            Ok(reply) => match read("transact", reply) {
                Ok(Transacted::Payment(payment)) => {
                    fits(intent, payment).unwrap_or_else(|why| Payment::unknown(&intent.id, why))
                }
                Ok(_) => Payment::unknown(&intent.id, "the handheld answered with the outcome of something else"),
                Err(error) => Payment::unknown(&intent.id, error.to_string()),
            },
            Err(Unanswered::NotSent) => {
                not(Reason::Unavailable, "the handheld was lost before anything was sent".to_owned())
            }
            Err(Unanswered::Refused(error)) if error.effect() == Effect::None => {
                let aborted = error.kind() == Kind::Cancelled;
                not(if aborted { Reason::Aborted } else { Reason::Unavailable }, error.to_string())
            }
            Err(lost) => Payment::unknown(&intent.id, Error::from(lost).to_string()),
        }
    }

    async fn settle(&self) -> Result<Vec<Settled>> {
        let mut settled = Vec::new();
        let open = books::open(&*self.journal, &self.slot.name).await?;
        // A person may have decided the others.
        lock(&self.slot.sent).retain(|id, _| open.iter().any(|entry| entry.intent.id == *id));
        for entry in open {
            let key = Key { key: entry.intent.id.0.clone() };
            let found: Found = self.slot.ask(&self.here, "find", &key, SHORT).await?;
            let (payment, evidence) = self.found(&entry, found);
            // What is known already is not written again.
            let payment = match entry.payment {
                Some(known) if known == payment => payment,
                _ => books::conclude(&*self.journal, payment).await?,
            };
            if payment.is_decided() {
                lock(&self.slot.sent).remove(&entry.intent.id);
            }
            settled.push(Settled::new(entry.intent, payment, evidence));
        }
        Ok(settled)
    }

    /// What the handheld's journal says, and in words what that rests on.
    fn found(&self, entry: &Entry, found: Found) -> (Payment, String) {
        let (intent, owner) = (&entry.intent, &self.slot.owner);
        let unknown = |why: String, asked: bool| {
            let mut unknown = Unknown::new(intent.id.clone(), &*why);
            unknown.asked = asked;
            (Payment::Unknown(unknown), why)
        };
        match found {
            Found::Ended(payment) => match fits(intent, payment) {
                Ok(payment) => {
                    let evidence = format!("the journal of {owner} says so");
                    (payment, evidence)
                }
                Err(why) => unknown(why, true),
            },
            Found::Running => unknown(format!("it still runs at {owner}"), false),
            Found::Open { why, asked } => unknown(format!("{owner}: {why}"), asked),
            Found::Never => {
                let named = |reference: &Reference| {
                    reference.protocol() == PROTOCOL && reference.field(JOURNAL) == Some(&*self.theirs)
                };
                if !intent.last_before.as_ref().is_some_and(named) {
                    return unknown(format!("{owner} has another journal now, which does not know it"), true);
                }
                if lock(&self.slot.sent).get(&intent.id) == Some(&self.here.generation) {
                    return unknown(format!("{owner} says that it never got what was sent to it"), true);
                }
                let words = format!("{owner} never got it, and cannot get it any more");
                let not = NotCharged::new(intent.id.clone(), Reason::NotFound, None, &*words);
                (Payment::NotCharged(not), words)
            }
        }
    }
}

/// The payment, if it is an end of this intent. `Err` is why not.
fn fits(intent: &Intent, payment: Payment) -> Result<Payment, String> {
    if *payment.intent() != intent.id {
        return Err(format!("the handheld answered for `{}`", payment.intent().0));
    }
    let Some(charge) = payment.charge() else { return Ok(payment) };
    let asked = match charge.tip {
        Some(tip) if tip.currency() == charge.amount.currency() && tip.minor() >= 0 => {
            tresen::Amount::new(charge.amount.minor().saturating_sub(tip.minor()), charge.amount.currency())
        }
        Some(_) => return Err("the handheld tells a tip that cannot be".to_owned()),
        None => charge.amount,
    };
    let partial = matches!(payment, Payment::Partial(_));
    let whole = asked == intent.amount;
    if whole == partial || !intent.allows(asked, partial) {
        return Err(format!("not {} was charged, but {}", intent.amount, charge.amount));
    }
    Ok(payment)
}

/// A transaction that is no longer served.
struct Served<'a>(&'a Slot);

impl Drop for Served<'_> {
    fn drop(&mut self) {
        *lock(&self.0.serving) = None;
    }
}

/// The protocol of references to a handheld's journal.
const PROTOCOL: &str = "attach";
/// The field with its id.
const JOURNAL: &str = "journal";
/// Time limit of a transaction: that of the till.
const TRANSACTION: Duration = Duration::from_secs(900);
/// Time limit of a status request.
const STATUS: Duration = Duration::from_secs(60);
