//! What all connections share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;
use tresen::Tresen;
use tresen::api::{self, Dispatch, IN_FLIGHT, InFlight, PROTOCOL};
use tresen_hal::{Effect, Error, Kind, Result, Retry};

use super::Peer;
use crate::attach;
use crate::session::{Asked, Checked, Keyed, Keys, Ring, SWEEP, owns};
use crate::trust::{Audit, Gate, Principal};
use crate::wire::Welcome;

/// What all connections share.
pub(super) struct Hub {
    pub(super) till: Tresen,
    pub(super) gate: Arc<dyn Gate>,
    /// The id of this run of the server.
    pub(super) run: String,
    pub(super) ring: Mutex<Ring>,
    /// The number of the last event in the ring.
    pub(super) latest: watch::Sender<u64>,
    /// Why the server ends; every connection is closed then.
    pub(super) closing: watch::Sender<Option<String>>,
    /// No new calls are taken, and those that only wait end.
    draining: watch::Sender<bool>,
    keys: Mutex<Keys<Arc<Running>>>,
    numbers: AtomicU64,
    /// How many calls are running.
    running: watch::Sender<usize>,
    /// The requests over plain HTTP that are not answered yet, by caller.
    posts: Mutex<BTreeMap<String, InFlight>>,
    /// The devices of others.
    pub(super) attach: Arc<attach::Hub>,
}

/// The outcome of a call; `None` while it runs.
type Outcome = Option<Arc<Result<Value>>>;

/// A call under a key.
struct Running {
    outcome: watch::Receiver<Outcome>,
    abort: watch::Sender<bool>,
    /// Held by each connection that waits for it.
    here: Weak<watch::Sender<()>>,
    waits: bool,
    durable: bool,
}

impl Running {
    /// A new call under the same key is not this one: it only waited, and nobody waits for it any more; or its outcome
    /// was open, and the till recognises the key.
    fn is_over(&self) -> bool {
        match &*self.outcome.borrow() {
            None => self.waits && self.here.strong_count() == 0,
            Some(done) => self.durable && is_open(done),
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

impl Hub {
    /// Starts to follow the till's events.
    pub(super) fn new(till: &Tresen, gate: Arc<dyn Gate>) -> Arc<Self> {
        let (seq, mut events) = api::relay(till);
        let run = till.new_id();
        let hub = Arc::new(Self {
            till: till.clone(),
            gate,
            ring: Mutex::new(Ring::new(run.clone(), seq)),
            run,
            latest: watch::Sender::new(seq),
            closing: watch::Sender::new(None),
            draining: watch::Sender::new(false),
            keys: Mutex::default(),
            numbers: AtomicU64::new(0),
            running: watch::Sender::new(0),
            posts: Mutex::default(),
            attach: attach::Hub::new(till),
        });
        let shared = Arc::downgrade(&hub);
        let mut closing = hub.closing.subscribe();
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    biased;
                    _ = closing.wait_for(Option::is_some) => return,
                    event = events.next() => event,
                };
                let (Some(event), Some(hub)) = (event, shared.upgrade()) else { return };
                let seq = event.seq;
                lock(&hub.ring).push(event);
                hub.latest.send_replace(seq);
            }
        });
        tokio::spawn(forget_revoked(Arc::downgrade(&hub)));
        let shared = Arc::downgrade(&hub);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(hub) = shared.upgrade() else { return };
                let now = hub.now();
                lock(&hub.keys).sweep(now);
                lock(&hub.posts).retain(|_, posts| !posts.is_idle());
            }
        });
        hub
    }

    pub(super) fn now(&self) -> Instant {
        self.till.runtime().now()
    }

    /// The first answer to a caller.
    pub(super) fn welcome(&self, principal: &Principal) -> Welcome {
        Welcome {
            tresen: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL,
            till: self.till.store().till().to_owned(),
            name: self.till.config().till.name.clone(),
            run: self.run.clone(),
            you: principal.name.clone(),
            rights: principal.grants.clone(),
            expires: principal.expires,
        }
    }

    /// When a caller has to prove again who it is.
    pub(super) fn until(&self, principal: &Principal) -> Option<Instant> {
        let left = principal.expires?.duration_since(self.till.runtime().wall());
        Some(self.now() + Duration::try_from(left).unwrap_or_default())
    }

    /// Who a peer is: by its certificate, or by its token. A refusal is recorded.
    ///
    /// # Errors
    /// [`Kind::Permission`]: it is not let in. [`Kind::Busy`]: it has too many connections.
    pub(super) async fn admit(&self, peer: &Peer, token: Option<&str>, origin: Option<&str>) -> Result<Principal> {
        self.ask_gate(peer, token, origin, false).await
    }

    /// As [`Hub::admit`], about a connection that is open: its caller has not presented the token now.
    ///
    /// # Errors
    /// As [`Hub::admit`].
    pub(super) async fn admit_again(
        &self,
        peer: &Peer,
        token: Option<&str>,
        origin: Option<&str>,
    ) -> Result<Principal> {
        self.ask_gate(peer, token, origin, true).await
    }

    /// A caller with a certificate is no stranger, before it has sent anything. Others are asked when they send.
    pub(super) async fn recognise(&self, peer: &Peer) {
        let Some(certificate) = &peer.certificate else { return };
        if let Ok(principal) = self.gate.by_certificate(certificate).await {
            // Where it has too many connections, it is told so when it sends.
            peer.place.admit(&principal.name).ok();
        }
    }

    async fn ask_gate(&self, peer: &Peer, token: Option<&str>, origin: Option<&str>, again: bool) -> Result<Principal> {
        let admitted = match (&peer.certificate, token) {
            (Some(_), Some(_)) => {
                let error = Error::new(Kind::Permission, "the caller shows a certificate and a token");
                Err(error.hint("use one of them"))
            }
            (Some(certificate), None) => self.gate.by_certificate(certificate).await,
            (None, Some(token)) if again => self.gate.by_token_again(token, origin).await,
            (None, Some(token)) => self.gate.by_token(token, origin).await,
            (None, None) => {
                let error = Error::new(Kind::Permission, "the caller shows neither a certificate nor a token");
                Err(error.hint("join the till first: `tresen enrol` and `tresen token` let callers in"))
            }
        };
        let (caller, error) = match admitted {
            Ok(principal) if self.until(&principal).is_none_or(|until| self.now() < until) => {
                match peer.place.admit(&principal.name) {
                    Ok(()) => return Ok(principal),
                    Err(error) => (Some(principal), error),
                }
            }
            Ok(_) => (None, Error::new(Kind::Permission, "the caller's certificate or token has expired")),
            Err(error) => (None, error),
        };
        self.refused(peer, caller.as_ref(), "connect", &error).await;
        Err(error)
    }

    /// Records a refusal.
    pub(super) async fn refused(&self, peer: &Peer, principal: Option<&Principal>, action: &str, why: &Error) {
        let principal = principal.map(|principal| principal.name.clone());
        let (address, action, refused) = (peer.address.clone(), action.to_owned(), Some(why.what().to_owned()));
        self.gate.note(Audit { principal, address, action, device: None, key: None, refused }).await;
    }

    /// The requests of a caller over plain HTTP.
    pub(super) fn posts(&self, caller: &str) -> InFlight {
        lock(&self.posts).entry(caller.to_owned()).or_insert_with(|| InFlight::up_to(IN_FLIGHT)).clone()
    }

    /// Runs a call to its end, or joins the one that runs under its key. `None`: it only waits, and `here` was dropped
    /// by everybody who waits for it.
    ///
    /// Dropping the future abandons the reply; a call under a key runs on.
    pub(super) async fn call(
        self: &Arc<Self>,
        principal: &Principal,
        peer: &Peer,
        checked: Checked,
        gone: impl Future<Output = ()>,
    ) -> Outcome {
        let Checked { mut call, leases, key, durable, .. } = checked;
        // Under a key something may be known of the call.
        if *self.draining.borrow() && key.is_none() {
            return Some(Arc::new(Err(stopping())));
        }
        let info = call.info();
        let mut audit = Audit {
            principal: Some(principal.name.clone()),
            address: peer.address.clone(),
            action: info.name.to_owned(),
            device: call.device().map(str::to_owned),
            key: key.as_ref().map(|keyed| keyed.key.clone()),
            refused: None,
        };
        let permitted = match call.as_station(principal.station()).and_then(|()| owns(principal, &mut call)) {
            Ok(()) => call.permit(&self.till, &principal.grants).await,
            Err(error) => Err(error),
        };
        let needs = match permitted {
            Ok(needs) => needs,
            Err(error) => {
                if error.kind() == Kind::Permission {
                    audit.refused = Some(error.what().to_owned());
                    self.gate.note(audit).await;
                }
                return Some(Arc::new(Err(error)));
            }
        };
        let audit = needs.iter().any(|need| need.right.is_privileged()).then_some(audit);
        let waits = info.waits;
        let call = Dispatch::new(&self.till, call).on_behalf_of(principal.station()).with_leases(&leases);
        let ready = Ready { call, audit, waits, durable };
        match key {
            Some(keyed) => self.keyed(&principal.owner(), &keyed, ready, gone).await,
            None => {
                let here = watch::Sender::new(());
                let _running = self.count();
                let begun = match self.begin(ready.audit).await {
                    Ok(begun) => begun,
                    Err(error) => return Some(Arc::new(Err(error))),
                };
                let mut draining = self.draining.subscribe();
                let done = tokio::select! {
                    biased;
                    done = ready.call.until(here.subscribe()).run() => done.map(Arc::new),
                    () = gone => None,
                    _ = draining.wait_for(|draining| *draining), if waits => Some(Arc::new(Err(stopping()))),
                };
                self.ended(begun, &done).await;
                done
            }
        }
    }

    /// Runs a call under its key, or joins the one that runs there, or gives its reply again.
    async fn keyed(
        self: &Arc<Self>,
        caller: &str,
        keyed: &Keyed,
        ready: Ready,
        gone: impl Future<Output = ()>,
    ) -> Outcome {
        let (waits, durable) = (ready.waits, ready.durable);
        let mut ready = Some(ready);
        let (running, _here) = loop {
            let here = Arc::new(watch::Sender::new(()));
            let ((outcome, told), abort) = (watch::channel(None), watch::Sender::new(false));
            let aborted = abort.subscribe();
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let running = || Arc::new(Running { outcome: told, abort, here: Arc::downgrade(&here), waits, durable });
            let asked = lock(&self.keys).ask(self.now(), caller, keyed, number, |call| call.is_over(), running);
            match asked {
                Err(error) => return Some(Arc::new(Err(error))),
                Ok(Asked::Known(running)) => match running.here.upgrade() {
                    // Its last caller has left since.
                    None if running.is_over() => {}
                    here => break (running, here),
                },
                Ok(Asked::New(_)) if *self.draining.borrow() => {
                    lock(&self.keys).done(self.now(), caller, &keyed.key, number, false);
                    return Some(Arc::new(Err(stopping())));
                }
                Ok(Asked::New(running)) => {
                    let ready = ready.take()?;
                    let (hub, caller, key) = (self.clone(), caller.to_owned(), keyed.key.clone());
                    let (gone, counted) = (here.subscribe(), self.count());
                    tokio::spawn(async move {
                        let done = hub.run(ready, gone, aborted).await;
                        let nothing = |error: &Error| error.effect() == Effect::None;
                        let keep = done.as_deref().is_some_and(|done| !done.as_ref().is_err_and(nothing));
                        lock(&hub.keys).done(hub.now(), &caller, &key, number, keep);
                        outcome.send_replace(done);
                        drop(counted);
                    });
                    break (running, Some(here));
                }
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
            Err(_) if waits => None,
            // It panicked, and is not run again under this key.
            Err(_) => {
                let error =
                    Error::new(Kind::Protocol, "the call ended without an outcome").with_effect(Effect::Unknown);
                Some(Arc::new(Err(error.hint("look at the till whether it was done"))))
            }
        }
    }

    /// Runs a call to its end. `None`: it only waited, and `gone` is closed.
    async fn run(&self, ready: Ready, gone: watch::Receiver<()>, aborted: watch::Receiver<bool>) -> Outcome {
        let Ready { call, audit, waits, .. } = ready;
        let begun = match self.begin(audit).await {
            Ok(begun) => begun,
            Err(error) => return Some(Arc::new(Err(error))),
        };
        let (mut left, mut draining) = (aborted.clone(), self.draining.subscribe());
        let done = tokio::select! {
            biased;
            done = call.until(gone).aborted_by(aborted).run() => done.map(Arc::new),
            _ = left.wait_for(|left| *left), if waits => {
                Some(Arc::new(Err(Error::new(Kind::Cancelled, "its caller does not wait for it any more"))))
            }
            _ = draining.wait_for(|draining| *draining), if waits => Some(Arc::new(Err(stopping()))),
        };
        self.ended(begun, &done).await;
        done
    }

    /// Requests the call under a key of `caller` to abort; whether it is running.
    pub(super) fn abort(&self, caller: &str, key: &str) -> bool {
        let running = lock(&self.keys).running(caller, key).cloned();
        running.inspect(|running| _ = running.abort.send_replace(true)).is_some()
    }

    /// Records a privileged call before it begins.
    ///
    /// # Errors
    /// The record cannot be written.
    async fn begin(&self, audit: Option<Audit>) -> Result<Option<(i64, Audit)>> {
        let Some(audit) = audit else { return Ok(None) };
        let begun = self.gate.begin(&audit).await.map_err(|error| error.with_effect(Effect::None))?;
        Ok(Some((begun, audit)))
    }

    async fn ended(&self, begun: Option<(i64, Audit)>, done: &Outcome) {
        let Some((begun, mut audit)) = begun else { return };
        audit.refused = match done.as_deref() {
            Some(done) => done.as_ref().err().map(|error| error.what().to_owned()),
            None => Some("its caller has left".to_owned()),
        };
        self.gate.end(begun, audit).await;
    }

    fn count(self: &Arc<Self>) -> Counted {
        self.running.send_modify(|running| *running += 1);
        Counted(self.clone())
    }

    /// Refuses new calls, ends those that only wait, and waits for the others until `deadline`; whether all have ended.
    pub(super) async fn drain(&self, deadline: tokio::time::Instant) -> bool {
        self.draining.send_replace(true);
        let mut running = self.running.subscribe();
        tokio::time::timeout_at(deadline, running.wait_for(|running| *running == 0)).await.is_ok()
    }
}

/// Takes the devices of handhelds away that are not let in any more, connected or not.
async fn forget_revoked(hub: Weak<Hub>) {
    let Some((mut changes, mut closing)) = hub.upgrade().map(|hub| (hub.gate.revoked(), hub.closing.subscribe()))
    else {
        return;
    };
    loop {
        tokio::select! {
            biased;
            _ = closing.wait_for(Option::is_some) => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
        let Some(hub) = hub.upgrade() else { return };
        for owner in hub.attach.owners() {
            // While the gate is asked, another client may be enrolled under the name and offer its devices: then the answer
            // is not about it, and the gate is asked again.
            loop {
                let latest = hub.attach.latest();
                match hub.gate.is_known(&owner).await {
                    Ok(false) if !hub.attach.forget_until(&owner, latest) => continue,
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, owner, "it cannot be found out whether its devices may stay"),
                }
                break;
            }
        }
    }
}

/// A call that its caller may make.
struct Ready {
    call: Dispatch,
    /// What is recorded before it begins and when it is done.
    audit: Option<Audit>,
    waits: bool,
    durable: bool,
}

/// A running call.
struct Counted(Arc<Hub>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}

fn stopping() -> Error {
    Error::new(Kind::Cancelled, "the till stops").with_effect(Effect::None).with_retry(Retry::AfterReconnect)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
