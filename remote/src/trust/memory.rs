//! A gate in memory, with callers that the program names.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tresen_hal::{BoxFuture, Error, Kind, Result};

use super::{Audit, Gate, Principal};

/// Callers by their token or certificate, kept in memory.
#[derive(Debug)]
pub struct Guests {
    known: Mutex<BTreeMap<Vec<u8>, Principal>>,
    record: Mutex<Vec<Audit>>,
    begun: Mutex<Vec<Audit>>,
    changes: watch::Sender<u64>,
}

impl Default for Guests {
    fn default() -> Self {
        let (known, record, begun) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { known, record, begun, changes: watch::Sender::new(0) }
    }
}

impl Guests {
    /// Lets `principal` in with this token, or this certificate (DER).
    pub fn admit(&self, proof: impl AsRef<[u8]>, principal: Principal) {
        lock(&self.known).insert(proof.as_ref().to_vec(), principal);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Lets nobody of this name in any more.
    pub fn revoke(&self, name: &str) {
        lock(&self.known).retain(|_, principal| principal.name != name);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// The privileged calls that have begun so far, oldest first.
    pub fn begun(&self) -> Vec<Audit> {
        lock(&self.begun).clone()
    }

    /// What was recorded so far, oldest first: refusals, and privileged calls that have ended.
    pub fn record(&self) -> Vec<Audit> {
        lock(&self.record).clone()
    }

    fn find(&self, proof: &[u8]) -> Result<Principal> {
        let unknown = || Error::new(Kind::Permission, "the till does not know this caller");
        lock(&self.known).get(proof).cloned().ok_or_else(unknown)
    }
}

impl Gate for Guests {
    fn by_certificate(&self, der: &[u8]) -> BoxFuture<'_, Result<Principal>> {
        let found = self.find(der);
        Box::pin(async move { found })
    }

    fn by_token(&self, token: &str, _origin: Option<&str>) -> BoxFuture<'_, Result<Principal>> {
        let found = self.find(token.as_bytes());
        Box::pin(async move { found })
    }

    fn is_known(&self, name: &str) -> BoxFuture<'_, Result<bool>> {
        let known = lock(&self.known).values().any(|principal| principal.name == name);
        Box::pin(async move { Ok(known) })
    }

    fn revoked(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn note(&self, entry: Audit) -> BoxFuture<'_, ()> {
        lock(&self.record).push(entry);
        Box::pin(async {})
    }

    fn begin(&self, entry: &Audit) -> BoxFuture<'_, Result<i64>> {
        let mut begun = lock(&self.begun);
        begun.push(entry.clone());
        Box::pin(std::future::ready(Ok(begun.len() as i64)))
    }

    fn end(&self, _begun: i64, entry: Audit) -> BoxFuture<'_, ()> {
        self.note(entry)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
