//! What all connections share.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tresen::Tresen;
use tresen::api::{self, IN_FLIGHT, InFlight, PROTOCOL};
use tresen_hal::{Error, Kind, Result};

use super::Peer;
use super::calls::Running;
use crate::attach;
use crate::session::{Keys, Ring, SWEEP};
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
    pub(super) draining: watch::Sender<bool>,
    pub(super) keys: Mutex<Keys<Arc<Running>>>,
    pub(super) numbers: AtomicU64,
    /// How many calls are running.
    running: watch::Sender<usize>,
    /// The requests over plain HTTP that are not answered yet, by caller.
    posts: Mutex<BTreeMap<String, InFlight>>,
    /// The devices of others.
    pub(super) attach: Arc<attach::Hub>,
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

    /// Counts a call while it runs.
    pub(super) fn count(self: &Arc<Self>) -> Counted {
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
                    Ok(false) if !hub.attach.forget(&owner, latest) => continue,
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, owner, "it cannot be found out whether its devices may stay"),
                }
                break;
            }
        }
    }
}

/// A running call.
pub(super) struct Counted(Arc<Hub>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
