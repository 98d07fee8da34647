//! The calls of a client that are not answered yet. Sans-IO: time is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use tresen_hal::{Effect, Error, Kind, Result, Retry};

/// Whether a call may be sent again when its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It changes nothing.
    Always,
    /// The till recognises its key as long as the server runs.
    SameRun,
    /// The till recognises it after a restart as well.
    Durable,
}

/// The calls of a client that are not answered yet, by number. `W` waits for the answer.
#[derive(Debug)]
pub struct Calls<W> {
    pending: BTreeMap<u64, Pending<W>>,
    /// How long a call waits for a till that is away.
    patience: Duration,
    /// Since when the till is away.
    away: Option<Instant>,
    run: Option<String>,
}

#[derive(Debug)]
struct Pending<W> {
    text: String,
    again: Again,
    made: Instant,
    /// The run of the server to which it was sent.
    sent: Option<String>,
    waits: W,
}

impl<W> Calls<W> {
    /// None yet; the till is away since `now`.
    pub fn new(patience: Duration, now: Instant) -> Self {
        Self { pending: BTreeMap::new(), patience, away: Some(now), run: None }
    }

    /// A call was made. Returns the message to be sent now, if the till is there.
    pub fn add(&mut self, now: Instant, id: u64, text: String, again: Again, waits: W) -> Option<&str> {
        let sent = if self.away.is_none() { self.run.clone() } else { None };
        let pending = Pending { text, again, made: now, sent, waits };
        let pending = self.pending.entry(id).insert_entry(pending).into_mut();
        self.away.is_none().then_some(pending.text.as_str())
    }

    /// The till let the client in, in this run of its server. Returns the messages to be sent, oldest first, and the
    /// calls that cannot be sent again.
    pub fn connected(&mut self, run: &str) -> (Vec<String>, Vec<(W, Error)>) {
        self.away = None;
        self.run = Some(run.to_owned());
        let lost =
            |call: &Pending<W>| call.again == Again::SameRun && call.sent.as_deref().is_some_and(|sent| sent != run);
        let ids: Vec<u64> = self.pending.iter().filter(|(_, call)| lost(call)).map(|(id, _)| *id).collect();
        let failed = ids.into_iter().filter_map(|id| self.pending.remove(&id)).map(|call| {
            let what = "the till's server was restarted before it answered";
            let error = Error::new(Kind::Closed, what).with_effect(Effect::Unknown).with_retry(Retry::Never);
            (call.waits, error.hint("look at the till whether it was done"))
        });
        let failed = failed.collect();
        let send = self.pending.values_mut().map(|call| {
            call.sent = Some(run.to_owned());
            call.text.clone()
        });
        (send.collect(), failed)
    }

    /// The connection was lost.
    pub fn lost(&mut self, now: Instant) {
        self.away.get_or_insert(now);
    }

    /// The answer to a call came: who waits for it.
    pub fn answered(&mut self, id: u64) -> Option<W> {
        self.pending.remove(&id).map(|call| call.waits)
    }

    /// Nobody waits for a call any more; whether the till has to be told.
    pub fn left(&mut self, id: u64) -> bool {
        self.pending.remove(&id).is_some_and(|call| call.sent.is_some()) && self.away.is_none()
    }

    /// The till does not let the client in: all calls fail with `why`.
    pub fn refused(&mut self, why: &Error) -> Vec<(W, Error)> {
        let all = std::mem::take(&mut self.pending);
        all.into_values()
            .map(|call| {
                let effect = call.effect();
                (call.waits, why.clone().with_effect(effect))
            })
            .collect()
    }

    /// When [`Calls::expired`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.values().filter_map(|call| self.due(call)).min()
    }

    /// The calls that have waited too long for a till that is away.
    pub fn expired(&mut self, now: Instant) -> Vec<(W, Error)> {
        let due = self.pending.iter().filter(|(_, call)| self.due(call).is_some_and(|due| due <= now));
        let due: Vec<u64> = due.map(|(id, _)| *id).collect();
        due.into_iter()
            .filter_map(|id| self.pending.remove(&id))
            .map(|call| {
                let error = match (call.again, call.effect()) {
                    // The till may have been restarted, and knows the key no more.
                    (Again::SameRun, Effect::Unknown) => unreachable(Effect::Unknown)
                        .with_retry(Retry::Never)
                        .hint("look at the till whether it was done before asking again"),
                    (_, effect) => unreachable(effect),
                };
                (call.waits, error)
            })
            .collect()
    }

    fn due(&self, call: &Pending<W>) -> Option<Instant> {
        Some(self.away?.max(call.made) + self.patience)
    }
}

impl<W> Pending<W> {
    /// What is known of a call that is not answered.
    fn effect(&self) -> Effect {
        match (self.again, &self.sent) {
            (Again::Always, _) | (_, None) => Effect::None,
            _ => Effect::Unknown,
        }
    }
}

/// The error of a call whose till is away.
pub(super) fn unreachable(effect: Effect) -> Error {
    let error = Error::new(Kind::Closed, "the till cannot be reached");
    let error = error.with_effect(effect).with_retry(Retry::AfterReconnect);
    match effect {
        Effect::None => error.hint("is it switched on, and on the same network?"),
        _ => error.hint("repeat the call under the same key when the till is back"),
    }
}

/// What becomes of an answer.
pub(super) type Waits = tokio::sync::oneshot::Sender<Result<Value>>;

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn errors(failed: Vec<(u8, Error)>) -> Vec<(u8, Effect)> {
        failed.into_iter().map(|(who, error)| (who, error.effect())).collect()
    }

    #[test]
    fn what_is_not_answered_is_sent_again_to_the_same_run_of_the_server() {
        let now = Instant::now();
        let mut calls = Calls::new(PATIENCE, now);
        assert_eq!(calls.add(now, 1, "one".into(), Again::SameRun, 1), None, "the till is away");
        assert_eq!(calls.connected("a").0, ["one"]);
        assert_eq!(calls.add(now, 2, "two".into(), Again::Durable, 2), Some("two"));
        assert_eq!(calls.add(now, 3, "three".into(), Again::Always, 3), Some("three"));
        calls.lost(now);
        calls.lost(now + Duration::from_secs(1));
        let (sent, failed) = calls.connected("a");
        assert_eq!(sent, ["one", "two", "three"]);
        assert!(failed.is_empty());
        assert_eq!(calls.answered(2), Some(2));
        assert_eq!(calls.answered(2), None, "an answer to nothing");
        calls.lost(now);
        let (sent, failed) = calls.connected("b");
        assert_eq!((sent, errors(failed)), (vec!["three".to_owned()], vec![(1, Effect::Unknown)]));
    }

    #[test]
    fn a_call_waits_for_the_till_for_a_while_and_its_error_says_what_is_known() {
        let now = Instant::now();
        let mut calls = Calls::new(PATIENCE, now);
        calls.connected("a");
        calls.add(now, 1, "paid".into(), Again::Durable, 1);
        calls.add(now, 2, "looked".into(), Again::Always, 2);
        assert_eq!(calls.poll_timeout(), None, "a till that is there may take its time");
        let lost = now + Duration::from_secs(100);
        calls.lost(lost);
        calls.add(lost + Duration::from_secs(1), 3, "late".into(), Again::SameRun, 3);
        assert_eq!(calls.poll_timeout(), Some(lost + PATIENCE));
        assert_eq!(errors(calls.expired(lost + PATIENCE - Duration::from_millis(1))), []);
        assert_eq!(errors(calls.expired(lost + PATIENCE)), [(1, Effect::Unknown), (2, Effect::None)]);
        assert_eq!(errors(calls.expired(lost + PATIENCE + Duration::from_secs(1))), [(3, Effect::None)]);
        assert_eq!(calls.poll_timeout(), None);
    }

    #[test]
    fn a_refusal_is_the_answer_to_all() {
        let now = Instant::now();
        let mut calls = Calls::new(PATIENCE, now);
        calls.connected("a");
        calls.add(now, 1, "paid".into(), Again::SameRun, 1);
        calls.lost(now);
        calls.add(now, 2, "late".into(), Again::SameRun, 2);
        let failed = calls.refused(&Error::new(Kind::Permission, "revoked"));
        assert!(failed.iter().all(|(_, error)| error.kind() == Kind::Permission));
        assert_eq!(errors(failed), [(1, Effect::Unknown), (2, Effect::None)]);
    }
}
