//! Transactions for the till: journalled here under the till's id and key.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;
use tresen::payment::{IntentId, Journal, Outcome, Payment};
use tresen::{DeviceId, Effect, Error, EventKind, Kind, Result, Terminal, Tresen};

use super::{Peer, Shared, Work, nothing, reply};
use crate::attach::wire::{Found, Key, Reply, Told, Transact, Transacted};
use crate::server::lock;
use crate::wire::required;

impl Shared {
    /// Begins a call to a terminal.
    pub(super) fn terminal(
        self: &Arc<Self>,
        here: &Tresen,
        till: &Arc<Peer>,
        name: &str,
        call: &str,
        with: Value,
    ) -> Result<Work> {
        let none = |error: Error| error.with_effect(Effect::None);
        let terminal = here.terminal(name).map_err(none)?;
        match call {
            "status" => Ok(Box::pin(async move { reply(&terminal.status().await?) })),
            "transact" => self.transact(till, terminal, required(call, with).map_err(none)?),
            "find" => {
                let Key { key } = required(call, with).map_err(none)?;
                let (shared, key) = (self.clone(), till.ours(&key));
                let runs = lock(&self.state).running.contains_key(&key);
                let till = till.clone();
                Ok(Box::pin(async move {
                    if runs {
                        return reply(&Found::Running);
                    }
                    let entry = Journal::find(shared.till.store(), &IntentId(key)).await?;
                    let unknown = || "it was begun, and the terminal has not been asked about it yet".to_owned();
                    reply(&match entry.map(|entry| entry.outcome()) {
                        None => Found::Never,
                        Some(None) => Found::Open { why: unknown(), asked: false },
                        Some(Some(Payment::Unknown(open))) => Found::Open { why: open.why, asked: open.asked },
                        Some(Some(payment)) => Found::Ended(theirs(&till, payment)),
                    })
                }))
            }
            "abort" => {
                let Key { key } = required(call, with).map_err(none)?;
                let abort = lock(&self.state).running.get(&till.ours(&key)).cloned();
                let runs = abort.inspect(|abort| _ = abort.send_replace(true)).is_some();
                Ok(Box::pin(async move { Ok(runs.into()) }))
            }
            "answer" => {
                let Reply { question, answer } = required(call, with).map_err(none)?;
                terminal.answer(&question, answer)?;
                Ok(Box::pin(async { Ok(Value::Null) }))
            }
            _ => Err(nothing(Kind::Unsupported, format!("a terminal cannot `{call}`"))),
        }
    }

    fn transact(self: &Arc<Self>, till: &Arc<Peer>, terminal: Terminal, with: Transact) -> Result<Work> {
        let operation = with.clone().into_operation(|key| till.ours(key)).map_err(|e| e.with_effect(Effect::None))?;
        let (abort, aborted) = watch::channel(false);
        let key = with.key.filter(|_| operation.kind().moves_money()).map(|key| till.ours(&key));
        // From here on it is found as running, until the journal knows how it ended.
        if let Some(key) = &key {
            lock(&self.state).running.insert(key.clone(), abort.clone());
        }
        let (shared, till) = (self.clone(), till.clone());
        Ok(Box::pin(async move {
            let done = terminal.run(operation, aborted).await;
            if let Some(key) = &key {
                let mut state = lock(&shared.state);
                // The same key asked twice is running until the last of them has ended.
                if state.running.get(key).is_some_and(|running| running.same_channel(&abort)) {
                    state.running.remove(key);
                }
            }
            let done = match done? {
                Outcome::Payment(payment) => Outcome::Payment(theirs(&till, payment)),
                other => other,
            };
            reply(&Transacted::of(done)?)
        }))
    }

    /// What a terminal tells about a transaction of the till, or to everybody.
    pub(super) fn told(&self, device: &DeviceId, kind: EventKind) -> Option<Told> {
        let peer = lock(&self.state).port.as_ref()?.till.clone();
        let asked = |key: &IntentId| {
            let runs = lock(&self.state).running.contains_key(&key.0);
            runs.then(|| key.0.strip_prefix(&peer.ours("")).map(str::to_owned)).flatten()
        };
        match kind {
            EventKind::Notice(text) => Some(Told::Notice(text)),
            EventKind::Payment(progress) => {
                let serving = self.till.terminal(&device.name).ok()?.serving()?;
                Some(Told::Progress { key: asked(&serving)?, progress })
            }
            EventKind::Question(open) => {
                let key = asked(open.intent.as_ref()?)?;
                Some(Told::Question { key, id: open.id, question: Box::new(open.question) })
            }
            EventKind::QuestionClosed { id } => Some(Told::Withdrawn { id }),
            _ => None,
        }
    }
}

/// A payment of the handheld's journal under the key of the till.
fn theirs(till: &Peer, mut payment: Payment) -> Payment {
    let intent = match &mut payment {
        Payment::Charged(charge) | Payment::Partial(charge) => &mut charge.intent,
        Payment::NotCharged(not) => &mut not.intent,
        Payment::Unknown(unknown) => &mut unknown.intent,
        _ => return payment,
    };
    if let Some(key) = intent.0.strip_prefix(&till.ours("")) {
        intent.0 = key.to_owned();
    }
    payment
}
