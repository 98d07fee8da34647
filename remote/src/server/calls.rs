//! Calls: each is run once under its key, and joined or given its reply again when it comes again.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use serde_json::Value;
use tokio::sync::watch;
use tresen::api::{Call, Dispatch, Message, Need};
use tresen::{Tresen, lease};
use tresen_hal::{Effect, Error, Kind, Result, Retry};

use super::Peer;
use super::hub::{Hub, lock};
use crate::session::{Asked, Checked, owns};
use crate::trust::{Audit, Principal};
use crate::wire::text;

/// The outcome of a call; `None` while it runs.
pub(super) type Outcome = Option<Arc<Done>>;

/// How a call ended.
pub(super) struct Done {
    /// The reply as JSON: kept as a tree of values it would take several times as much memory.
    pub(super) reply: Result<Box<str>>,
    /// Whether asking again may tell more.
    open: bool,
}

impl Done {
    fn new(done: Result<Value>) -> Arc<Self> {
        let open = is_open(&done);
        Arc::new(Self { reply: done.map(|reply| reply.to_string().into()), open })
    }

    /// The message that answers request `id`.
    pub(super) fn answer(&self, id: u64) -> String {
        match &self.reply {
            Ok(reply) => format!("{{\"id\":{id},\"reply\":{reply}}}"),
            Err(error) => text(&Message::Error { id: Some(id), error }),
        }
    }
}

/// A call under a key.
pub(super) struct Running {
    outcome: watch::Receiver<Outcome>,
    /// What it needs, once its caller was found to have it.
    needs: watch::Receiver<Option<Vec<Need>>>,
    abort: watch::Sender<bool>,
    /// Held by each connection that waits for it.
    here: Weak<watch::Sender<()>>,
    waits: bool,
    durable: bool,
}

impl Running {
    /// A new call under the same key is not this one: it only waited, and nobody waits for it any more; or its outcome
    /// was open, and the till recognises the key. A till that is `stopping` begins nothing, and what it knows stays.
    fn is_over(&self, stopping: bool) -> bool {
        match &*self.outcome.borrow() {
            None => self.waits && self.here.strong_count() == 0,
            Some(done) => self.durable && done.open && !stopping,
        }
    }
}

/// Whether asking again may tell more: a payment whose outcome is not known, paper that is waiting or being printed.
fn is_open(done: &Result<Value>) -> bool {
    match done {
        Ok(reply) => {
            // A step of a sale has its outcome in a field.
            let outcomes = [Some(reply), reply.get("payment"), reply.get("paid")].into_iter().flatten();
            outcomes.into_iter().any(|of| ["unknown", "waiting", "printing"].iter().any(|open| of.get(open).is_some()))
        }
        Err(error) => error.effect() != Effect::None,
    }
}

/// A call that came, and its caller. Whether he may make it is not known yet.
struct Wanted {
    call: Call,
    leases: Vec<lease::Key>,
    principal: Principal,
    /// What is recorded of it.
    audit: Audit,
    waits: bool,
    durable: bool,
}

/// A call that was taken in: its reply can be awaited, [`Hub::reply`].
pub(super) struct Taken(Way);

enum Way {
    /// It has no key, and runs while its reply is awaited.
    Free(Box<Wanted>),
    /// It runs under its key, and is this one.
    Begun(Arc<Running>, Arc<watch::Sender<()>>),
    /// It was there already under its key; what is held while it is awaited, if it has not ended.
    Known(Box<Wanted>, Arc<Running>, Option<Arc<watch::Sender<()>>>),
    /// Nothing can be begun under its key.
    Refused(Box<Wanted>, Error),
}

impl Hub {
    /// Takes a call in. It does not wait: what comes after this, such as an abort, finds the call under its key.
    pub(super) fn take(self: &Arc<Self>, principal: &Principal, peer: &Peer, checked: Checked) -> Taken {
        let Checked { call, leases, key, durable, .. } = checked;
        let audit = Audit {
            principal: Some(principal.name.clone()),
            address: peer.address.clone(),
            action: call.info().name.to_owned(),
            device: call.device().map(str::to_owned),
            key: key.as_ref().map(|keyed| keyed.key.clone()),
            refused: None,
        };
        let (waits, principal) = (call.info().waits, principal.clone());
        let wanted = Box::new(Wanted { call, leases, principal, audit, waits, durable });
        let Some(keyed) = key else { return Taken(Way::Free(wanted)) };
        let (caller, stopping) = (wanted.principal.owner(), *self.draining.borrow());
        loop {
            let here = Arc::new(watch::Sender::new(()));
            let ((outcome, told), (permitted, needs)) = (watch::channel(None), watch::channel(None));
            let (abort, aborted) = watch::channel(false);
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let running =
                || Arc::new(Running { outcome: told, needs, abort, here: Arc::downgrade(&here), waits, durable });
            let is_over = |call: &Arc<Running>| call.is_over(stopping);
            let asked = lock(&self.keys).ask(self.now(), &caller, &keyed, number, is_over, running);
            match asked {
                Err(error) => return Taken(Way::Refused(wanted, error)),
                Ok(Asked::Known(running)) => match running.here.upgrade() {
                    // Its last caller has left since.
                    None if running.is_over(stopping) => {}
                    here => return Taken(Way::Known(wanted, running, here)),
                },
                Ok(Asked::New(running)) => {
                    let (hub, gone, counted) = (self.clone(), here.subscribe(), self.count());
                    tokio::spawn(async move {
                        let done = hub.run(*wanted, &permitted, gone, aborted.clone()).await;
                        let keep = is_kept(&done, !waits && *aborted.borrow());
                        lock(&hub.keys).done(hub.now(), &caller, &keyed.key, number, keep);
                        outcome.send_replace(done);
                        drop(counted);
                    });
                    return Taken(Way::Begun(running, here));
                }
            }
        }
    }

    /// The reply to a call, when it has ended. `None`: it only waits, and `here` was dropped by everybody who waits for it.
    ///
    /// Dropping the future abandons the reply; a call under a key runs on.
    pub(super) async fn reply(self: &Arc<Self>, taken: Taken, gone: impl Future<Output = ()>) -> Outcome {
        let (running, _here) = match taken.0 {
            Way::Free(wanted) => return self.free(*wanted, gone).await,
            Way::Refused(mut wanted, error) => {
                // With other content it is another call than the one that was made.
                let other = error.kind() == Kind::Input;
                return Some(Done::new(Err(if other { error } else { wanted.not_begun(&self.till, error).await })));
            }
            Way::Begun(running, here) => (running, Some(here)),
            Way::Known(wanted, running, here) => {
                if let Err(error) = self.still_permitted(&wanted, &running).await {
                    return Some(Done::new(Err(error)));
                }
                (running, here)
            }
        };
        let mut outcome = running.outcome.clone();
        let done = tokio::select! {
            biased;
            done = outcome.wait_for(Option::is_some) => done.map(|done| done.clone()),
            () = gone => Ok(None),
        };
        match done {
            Ok(done) => done,
            Err(_) if running.waits => None,
            // It panicked, and is not run again under this key.
            Err(_) => {
                let error =
                    Error::new(Kind::Protocol, "the call ended without an outcome").with_effect(Effect::Unknown);
                Some(Done::new(Err(error.hint("look at the till whether it was done"))))
            }
        }
    }

    /// Runs a call without a key to its end. `None`: it only waits, and its caller has left.
    async fn free(self: &Arc<Self>, mut wanted: Wanted, gone: impl Future<Output = ()>) -> Outcome {
        if *self.draining.borrow() {
            return Some(Done::new(Err(stopping())));
        }
        let _running = self.count();
        let begun = match self.permit(&mut wanted).await {
            Ok(needs) => self.begin(&wanted, &needs).await,
            Err(error) => Err(error),
        };
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => return Some(Done::new(Err(error))),
        };
        let (waits, mut draining) = (wanted.waits, self.draining.subscribe());
        let here = watch::Sender::new(());
        let done = tokio::select! {
            biased;
            done = self.dispatch(wanted).until(here.subscribe()).run() => done.map(Done::new),
            () = gone => None,
            _ = draining.wait_for(|draining| *draining), if waits => Some(Done::new(Err(stopping()))),
        };
        self.ended(begun, &done).await;
        done
    }

    /// Runs a call under a key to its end. `None`: it only waited, and `gone` is closed.
    async fn run(
        &self,
        mut wanted: Wanted,
        permitted: &watch::Sender<Option<Vec<Need>>>,
        gone: watch::Receiver<()>,
        aborted: watch::Receiver<bool>,
    ) -> Outcome {
        let begun = match self.permit(&mut wanted).await {
            Ok(needs) => {
                permitted.send_replace(Some(needs.clone()));
                if *aborted.borrow() {
                    Err(Error::new(Kind::Cancelled, "it was aborted before it began").with_effect(Effect::None))
                } else if *self.draining.borrow() {
                    Err(stopping())
                } else {
                    self.begin(&wanted, &needs).await
                }
            }
            Err(error) => Err(error),
        };
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => return Some(Done::new(Err(wanted.not_begun(&self.till, error).await))),
        };
        let (mut left, mut draining) = (aborted.clone(), self.draining.subscribe());
        let waits = wanted.waits;
        let done = tokio::select! {
            biased;
            done = self.dispatch(wanted).until(gone).aborted_by(aborted).run() => done.map(Done::new),
            _ = left.wait_for(|left| *left), if waits => {
                Some(Done::new(Err(Error::new(Kind::Cancelled, "its caller does not wait for it any more"))))
            }
            _ = draining.wait_for(|draining| *draining), if waits => Some(Done::new(Err(stopping()))),
        };
        self.ended(begun, &done).await;
        done
    }

    /// What a call needs, if its caller has it. A refusal is recorded.
    ///
    /// # Errors
    /// [`Kind::Permission`]: he has not. Otherwise the database cannot be read.
    async fn permit(&self, wanted: &mut Wanted) -> Result<Vec<Need>> {
        let Wanted { call, principal, audit, .. } = wanted;
        let permitted = match call.as_station(principal.station()).and_then(|()| owns(principal, call)) {
            Ok(()) => call.permit(&self.till, &principal.grants).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &permitted {
            self.note_refusal(audit, error).await;
        }
        permitted
    }

    /// Checks that a caller still has what the call needs that is known under its key.
    ///
    /// # Errors
    /// [`Kind::Permission`]: it was withdrawn. What became of the call is not told.
    async fn still_permitted(&self, wanted: &Wanted, running: &Running) -> Result<()> {
        let mut needs = running.needs.clone();
        let needs = match needs.wait_for(Option::is_some).await {
            Ok(needs) => needs.clone().unwrap_or_default(),
            // It was refused, and its outcome says so.
            Err(_) => return Ok(()),
        };
        let Err(error) = wanted.call.covered(&needs, &wanted.principal.grants) else { return Ok(()) };
        self.note_refusal(&wanted.audit, &error).await;
        let error = error.with_effect(Effect::Unknown);
        Err(error.hint("whoever runs the till can say what became of the call that was made under this key"))
    }

    async fn note_refusal(&self, audit: &Audit, error: &Error) {
        if error.kind() == Kind::Permission {
            self.gate.note(Audit { refused: Some(error.what().to_owned()), ..audit.clone() }).await;
        }
    }

    /// Records a privileged call before it begins.
    ///
    /// # Errors
    /// The record cannot be written.
    async fn begin(&self, wanted: &Wanted, needs: &[Need]) -> Result<Option<(i64, Audit)>> {
        if !needs.iter().any(|need| need.right.is_privileged()) {
            return Ok(None);
        }
        let begun = self.gate.begin(&wanted.audit).await.map_err(|error| error.with_effect(Effect::None))?;
        Ok(Some((begun, wanted.audit.clone())))
    }

    async fn ended(&self, begun: Option<(i64, Audit)>, done: &Outcome) {
        let Some((begun, mut audit)) = begun else { return };
        audit.refused = match done.as_deref() {
            Some(done) => done.reply.as_ref().err().map(|error| error.what().to_owned()),
            None => Some("its caller has left".to_owned()),
        };
        self.gate.end(begun, audit).await;
    }

    fn dispatch(&self, wanted: Wanted) -> Dispatch {
        let Wanted { call, leases, principal, .. } = wanted;
        Dispatch::new(&self.till, call).on_behalf_of(principal.station()).with_leases(&leases)
    }

    /// Requests the call under a key of `caller` to abort; whether it is running.
    pub(super) fn abort(&self, caller: &str, key: &str) -> bool {
        let running = lock(&self.keys).running(caller, key).cloned();
        running.inspect(|running| _ = running.abort.send_replace(true)).is_some()
    }
}

impl Wanted {
    /// Why it was not begun. Under a durable key it may have been made before, in an earlier run of the till too: then, or
    /// if the till cannot tell, `error` does not say that nothing has happened.
    async fn not_begun(&mut self, till: &Tresen, error: Error) -> Error {
        if !self.durable || error.effect() != Effect::None {
            return error;
        }
        match self.call.was_made(till).await {
            Ok(false) => error,
            Ok(true) | Err(_) => error
                .with_effect(Effect::Unknown)
                .hint("it may have been done under this key before: look at the till, and choose no other key for it"),
        }
    }
}

/// Whether the outcome stays under its key: not if nothing has happened, unless that is what its caller wanted. An abort
/// is not undone by a call that comes again because its answer was lost.
fn is_kept(done: &Outcome, aborted: bool) -> bool {
    match done.as_deref().map(|done| &done.reply) {
        None => false,
        Some(Ok(_)) => true,
        Some(Err(error)) => error.effect() != Effect::None || (aborted && error.kind() == Kind::Cancelled),
    }
}

fn stopping() -> Error {
    Error::new(Kind::Cancelled, "the till stops").with_effect(Effect::None).with_retry(Retry::AfterReconnect)
}
