//! Who calls, and whether a lease lets the call pass.

use std::sync::Arc;

use tokio::sync::watch;
use tresen_hal::Result;

use super::desk::Leases;
use super::slot::{Claim, Use};
use super::words::{Key, Target};
use crate::class::DeviceId;
use crate::store::Origin;

/// Who calls, as far as leases are concerned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asker {
    name: Option<Arc<str>>,
    /// The leases that the call depends on.
    keys: Arc<[Key]>,
    /// Closed when the caller has left without waiting for the answer.
    gone: Option<watch::Receiver<()>>,
}

impl Asker {
    /// The same caller under the name in `origin`, without the leases of the former name.
    pub(crate) fn named(&self, origin: &Origin) -> Self {
        let name = origin.caller().map(str::trim).filter(|name| !name.is_empty());
        Self { name: name.map(Arc::from), keys: Arc::default(), gone: self.gone.clone() }
    }

    /// The same caller with calls that depend on these leases as well.
    pub(crate) fn with(&self, keys: &[Key]) -> Self {
        let kept = self.keys.iter().filter(|key| keys.iter().all(|new| new.target != key.target));
        Self { keys: kept.chain(keys).cloned().collect(), ..self.clone() }
    }

    /// The same caller, who has left as soon as `gone` is closed.
    pub(crate) fn until(&self, gone: watch::Receiver<()>) -> Self {
        Self { gone: Some(gone), ..self.clone() }
    }

    /// The caller's name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The leases that its calls depend on.
    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The claim to a target.
    pub(crate) fn claim(&self, target: &Target) -> Claim<'_> {
        let key = self.keys.iter().find(|key| key.target == *target);
        Claim { name: self.name(), token: key.map(|key| key.token) }
    }

    /// Resolves when the caller has left; never, if nothing tells.
    pub(crate) async fn left(&self) {
        match self.gone.clone() {
            // Nothing is ever sent on it.
            Some(mut gone) => while gone.changed().await.is_ok() {},
            None => std::future::pending().await,
        }
    }
}

/// One caller at one device.
#[derive(Clone)]
pub(crate) struct Gate {
    leases: Leases,
    device: DeviceId,
    target: Target,
    asker: Asker,
}

impl Gate {
    pub(crate) fn new(leases: Leases, device: DeviceId, asker: Asker) -> Self {
        let target = Target::Device(device.clone());
        Self { leases, device, target, asker }
    }

    /// The caller begins to wait for a call.
    ///
    /// # Errors
    /// Somebody else has the device, or the caller's lease has ended.
    pub(crate) fn enter(&self, purpose: Use) -> Result<Present> {
        let (claim, ttl) = (self.asker.claim(&self.target), self.leases.ttl());
        let (entered, _) =
            self.leases.device(&self.device, &Origin::new(), |slot, now| slot.enter(claim, purpose, ttl, now));
        let token = entered.map_err(|refusal| refusal.into_error(&self.target))?;
        Ok(Present { gate: self.clone(), token })
    }

    /// A call is about to begin on the device; the lease may have ended while it waited.
    ///
    /// # Errors
    /// As [`Gate::enter`].
    pub(crate) fn pass(&self) -> Result<()> {
        let claim = self.asker.claim(&self.target);
        let check = |slot: &mut super::Slot, now| {
            slot.tick(now);
            slot.check(claim, Use::Call, now)
        };
        let (checked, _) = self.leases.device(&self.device, &Origin::new(), check);
        checked.map_err(|refusal| refusal.into_error(&self.target))
    }

    /// A transaction is about to begin on the device. Its lease does not end before it.
    ///
    /// # Errors
    /// As [`Gate::enter`].
    pub(crate) fn begin(&self, transaction: &str) -> Result<Running> {
        let claim = self.asker.claim(&self.target);
        let (begun, _) =
            self.leases.device(&self.device, &Origin::new(), |slot, now| slot.begin(claim, transaction, now));
        let token = begun.map_err(|refusal| refusal.into_error(&self.target))?;
        Ok(Running { gate: self.clone(), token, transaction: transaction.to_owned() })
    }

    /// The caller gets the scans of the device now. While `listening` is held, it is the listener.
    ///
    /// # Errors
    /// Somebody else gets them, or the caller's lease has ended.
    pub(crate) fn listen(&self, listening: &mut Option<Present>) -> Result<()> {
        if listening.is_some() && self.may_listen() {
            return Ok(());
        }
        // Given up first: a caller is not its own obstacle.
        *listening = None;
        *listening = Some(self.enter(Use::Listen)?);
        Ok(())
    }

    /// Whether the caller would get the scans of the device now.
    pub(crate) fn may_listen(&self) -> bool {
        let claim = self.asker.claim(&self.target);
        let check = |slot: &mut super::Slot, now| {
            slot.tick(now);
            slot.check(claim, Use::Listen, now).is_ok()
        };
        self.leases.device(&self.device, &Origin::new(), check).0
    }

    /// Notified when anything but the time of the lease has changed.
    pub(crate) fn moved(&self) -> Arc<tokio::sync::Notify> {
        self.leases.moved(&self.target)
    }

    /// Resolves when the caller has left; never, if nothing tells.
    pub(crate) async fn left(&self) {
        self.asker.left().await;
    }
}

/// A caller that is waiting for the answer of a call.
pub(crate) struct Present {
    gate: Gate,
    token: Option<u64>,
}

impl Drop for Present {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            self.gate.leases.device(&self.gate.device, &Origin::new(), |slot, now| slot.exit(token, now));
        }
    }
}

/// A running transaction.
pub(crate) struct Running {
    gate: Gate,
    token: Option<u64>,
    transaction: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(token) = self.token else { return };
        let ended = |slot: &mut super::Slot, now| slot.ended(token, &self.transaction, now);
        self.gate.leases.device(&self.gate.device, &Origin::new(), ended);
    }
}
