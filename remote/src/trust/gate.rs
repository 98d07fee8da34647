//! The gate over the till's database: enrolled clients, sessions, the audit table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tresen::{AuditNote, Store};
use tresen_hal::{BoxFuture, Error, Kind, Result, Runtime};

use super::attempts::Attempts;
use super::authority::{Authority, is_due};
use super::memory::lock;
use super::offers::{OFFER, Offers};
use super::refusals::{Refusals, VARIOUS};
use super::secret::{hex, random, sha256};
use super::{Answered, Audit, By, Gate, Principal};

/// How long a token is good: 15 minutes.
pub const TOKEN: Duration = Duration::from_secs(15 * 60);
/// How long the certificate before a renewed one is good: a week, for a client that was switched off meanwhile.
pub const CERTIFICATE_OVERLAP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Lets in whom the till's database knows. Clones share their memory.
///
/// Certificates are remembered until a right is withdrawn; tokens are looked up each time. It has one command of its own,
/// `session.renew`: for a token `{}`, with the reply `{"token":…,"expires":…}`; for a certificate in the last third of its
/// life `{"request":"PKCS #10, PEM"}`, with the reply `{"certificate":"PEM","expires":…}`. The earlier certificate is good
/// for [`CERTIFICATE_OVERLAP`] more. The earlier token is good until its own end, or until the new one is first presented:
/// if the reply is lost, the caller renews again with the token that it has. Each renewal makes another token.
#[derive(Clone)]
pub struct StoredGate(Arc<Inner>);

struct Inner {
    store: Store,
    runtime: Arc<dyn Runtime>,
    authority: Arc<Authority>,
    /// Principals by the fingerprint of their certificate, and the count of withdrawals before they were read.
    known: Mutex<(u64, BTreeMap<String, Principal>)>,
    refusals: Mutex<Refusals>,
    offers: Mutex<Offers>,
    strangers: Mutex<Strangers>,
}

/// What nobody known did: recorded up to a measure, so that a stranger cannot fill the disk.
struct Strangers {
    measure: Attempts,
    /// Since the last that was recorded.
    left_out: u64,
}

impl Strangers {
    /// Takes in a line; `None`: it is counted only.
    fn take(&mut self, now: Instant, note: AuditNote) -> Option<AuditNote> {
        if !self.measure.take(now) {
            self.left_out += u64::from(note.times.unwrap_or(1));
            return None;
        }
        Some(match std::mem::take(&mut self.left_out) {
            0 => note,
            more => {
                let before = format!("{more} attempts of strangers before this one are not listed");
                let about = note.about.as_deref().map(|about| format!("{about}; {before}"));
                note.about(about.unwrap_or(before))
            }
        })
    }

    /// The line of those that are not recorded: the server ends.
    fn rest(&mut self) -> Option<AuditNote> {
        let more = std::mem::take(&mut self.left_out);
        (more > 0).then(|| AuditNote::new(VARIOUS).about(format!("{more} attempts of strangers are not listed")))
    }
}

impl StoredGate {
    /// A gate over this database, whose clients have certificates of this authority.
    pub fn new(store: Store, runtime: Arc<dyn Runtime>, authority: Arc<Authority>) -> Self {
        let strangers = Strangers { measure: Attempts::new(STRANGERS, Duration::from_secs(10)), left_out: 0 };
        let (known, refusals, offers) = Default::default();
        let strangers = Mutex::new(strangers);
        Self(Arc::new(Inner { store, runtime, authority, known, refusals, offers, strangers }))
    }

    /// Writes counted refusals and offers when their time is over, as long as the gate is there.
    pub(super) fn sweep(&self) -> impl Future<Output = ()> + Send + 'static {
        let gate: Weak<Inner> = Arc::downgrade(&self.0);
        async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(gate) = gate.upgrade().map(Self) else { return };
                let now = gate.0.runtime.now();
                let mut due = lock(&gate.0.refusals).due(now);
                due.extend(lock(&gate.0.offers).due(now));
                gate.write(due).await;
            }
        }
    }

    async fn certified(&self, fingerprint: String) -> Result<Principal> {
        let inner = &*self.0;
        let now = inner.runtime.wall();
        let count = *inner.store.remote_withdrawals().borrow();
        let remembered = {
            let mut known = lock(&inner.known);
            if known.0 != count {
                *known = (count, BTreeMap::new());
            }
            known.1.get(&fingerprint).cloned()
        };
        let principal = match remembered {
            Some(principal) => principal,
            None => {
                let unknown = || refused("the till does not know this certificate", JOIN);
                let (client, expires) = inner.store.remote_client_with(&fingerprint).await?.ok_or_else(unknown)?;
                if client.revoked.is_some() {
                    return Err(refused("the certificate was revoked", JOIN));
                }
                let by = By::Certificate { fingerprint: fingerprint.clone(), client: client.id };
                let (name, station, grants) = (client.name, client.station, client.rights);
                let principal = Principal { name, station, grants, expires: Some(expires), by };
                let mut known = lock(&inner.known);
                // A right that was withdrawn meanwhile may not be in what was read.
                if known.0 == count && known.1.len() < REMEMBERED {
                    known.1.insert(fingerprint, principal.clone());
                }
                principal
            }
        };
        match principal.expires {
            Some(expires) if expires <= now => Err(refused("the certificate has expired", JOIN)),
            _ => Ok(principal),
        }
    }

    async fn tokened(&self, token: String, origin: Option<String>, presented: bool) -> Result<Principal> {
        let unknown = || refused("the token is unknown or has ended", AGAIN);
        let (store, hash) = (&self.0.store, hashed(&token));
        let session = store.remote_session_with(&hash).await?.ok_or_else(unknown)?;
        if session.origin != origin {
            return Err(refused("the token was issued for another page", AGAIN));
        }
        if presented && let Err(error) = store.present_remote_token(&hash).await {
            // The earlier tokens end by themselves, and a disk that is full must not sign a page out.
            tracing::error!(%error, "the tokens before a renewed one stay good until their end");
        }
        let by = By::Token { id: session.id.to_string() };
        let (name, station, grants) = (session.name, session.station, session.rights);
        Ok(Principal { name, station, grants, expires: Some(session.expires), by })
    }

    async fn renew(&self, principal: Principal, with: Value) -> Result<Answered> {
        let Renew { request } = match with {
            Value::Null => Renew { request: None },
            with => serde_path_to_error::deserialize(with)
                .map_err(|error| Error::new(Kind::Input, format!("`{RENEW}`: {error}")))?,
        };
        match (&principal.by, request) {
            (By::Token { id }, None) => self.renew_token(id).await,
            (By::Certificate { .. }, Some(request)) => self.renew_certificate(&principal, &request).await,
            (By::Token { .. }, Some(_)) => {
                Err(Error::new(Kind::Input, format!("`{RENEW}`: field `request`: a token is renewed without one")))
            }
            (By::Certificate { .. }, None) => {
                let what = format!("`{RENEW}`: field `request` is missing: a certificate request (PKCS #10, PEM)");
                Err(Error::new(Kind::Input, what))
            }
        }
    }

    async fn renew_token(&self, session: &str) -> Result<Answered> {
        let now = self.0.runtime.wall();
        let (token, expires) = (new_token()?, now + TOKEN);
        let session: i64 = session.parse().map_err(|_| refused("the session has ended", AGAIN))?;
        self.0.store.renew_remote_session(session, &hashed(&token), expires).await?;
        let reply = json!({ "token": token, "expires": expires });
        Ok(Answered { reply, token: Some(token) })
    }

    async fn renew_certificate(&self, principal: &Principal, request: &str) -> Result<Answered> {
        let now = self.0.runtime.wall();
        if let Some(expires) = principal.expires.filter(|expires| !is_due(*expires, now)) {
            let what =
                format!("the certificate is good until {expires:.0}; it is renewed in the last third of its life");
            return Err(Error::new(Kind::Busy, what));
        }
        let issued = self.0.authority.issue(&principal.name, request, now)?;
        let overlap = now + CERTIFICATE_OVERLAP;
        let note = AuditNote::new(RENEW).by(&principal.name);
        let (name, store) = (&principal.name, &self.0.store);
        store.renew_remote_client(name, &issued.fingerprint, issued.expires, overlap, note).await?;
        // What is remembered of the earlier certificate says too late an end.
        lock(&self.0.known).1.clear();
        Ok(Answered { reply: json!({ "certificate": issued.pem, "expires": issued.expires }), token: None })
    }

    /// Records an entry. Refusals and offers that repeat are counted, and what strangers do is recorded up to a measure.
    pub(super) async fn record(&self, note: AuditNote) {
        let now = self.0.runtime.now();
        let due = match note.refused {
            Some(_) => lock(&self.0.refusals).take(now, note),
            None if note.action == OFFER => lock(&self.0.offers).take(now, note),
            None => vec![note],
        };
        self.write(due).await;
    }

    async fn write(&self, notes: Vec<AuditNote>) {
        for note in notes {
            self.write_one(note).await;
        }
    }

    async fn write_one(&self, note: AuditNote) {
        let note = match note.principal {
            Some(_) => Some(note),
            None => lock(&self.0.strangers).take(self.0.runtime.now(), note),
        };
        if let Some(note) = note {
            self.store(note).await;
        }
    }

    async fn store(&self, note: AuditNote) {
        if let Err(error) = self.0.store.note_audit(note).await {
            tracing::error!(%error, "the audit table cannot be written");
        }
    }
}

impl Gate for StoredGate {
    fn by_certificate(&self, der: &[u8]) -> BoxFuture<'_, Result<Principal>> {
        let fingerprint = hex(&sha256(der));
        Box::pin(self.certified(fingerprint))
    }

    fn by_token(&self, token: &str, origin: Option<&str>) -> BoxFuture<'_, Result<Principal>> {
        let (token, origin) = (token.to_owned(), origin.map(str::to_owned));
        Box::pin(self.tokened(token, origin, true))
    }

    fn by_token_again(&self, token: &str, origin: Option<&str>) -> BoxFuture<'_, Result<Principal>> {
        let (token, origin) = (token.to_owned(), origin.map(str::to_owned));
        Box::pin(self.tokened(token, origin, false))
    }

    fn is_known(&self, name: &str) -> BoxFuture<'_, Result<bool>> {
        let name = name.to_owned();
        Box::pin(async move {
            match self.0.store.remote_name_is_free(&name).await {
                Ok(()) => Ok(false),
                Err(error) if error.kind() == Kind::Input => Ok(true),
                Err(error) => Err(error),
            }
        })
    }

    fn command(&self, principal: &Principal, command: &str, with: &Value) -> Option<BoxFuture<'_, Result<Answered>>> {
        let (principal, with) = (principal.clone(), with.clone());
        (command == RENEW).then(|| Box::pin(self.renew(principal, with)) as BoxFuture<'_, _>)
    }

    fn revoked(&self) -> watch::Receiver<u64> {
        self.0.store.remote_withdrawals()
    }

    fn note(&self, entry: Audit) -> BoxFuture<'_, ()> {
        Box::pin(self.record(entry.into()))
    }

    fn begin(&self, entry: &Audit) -> BoxFuture<'_, Result<i64>> {
        let note = entry.clone().into();
        Box::pin(async move { self.0.store.begin_audit(note).await })
    }

    fn end(&self, begun: i64, entry: Audit) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.0.store.end_audit(begun, entry.into()).await {
                tracing::error!(%error, begun, "the result of a privileged call cannot be recorded");
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let mut counted = lock(&self.0.refusals).drain();
        counted.extend(lock(&self.0.offers).drain());
        Box::pin(async move {
            self.write(counted).await;
            let rest = lock(&self.0.strangers).rest();
            if let Some(rest) = rest {
                self.store(rest).await;
            }
        })
    }
}

impl From<Audit> for AuditNote {
    fn from(entry: Audit) -> Self {
        let Audit { principal, address, action, device, key, refused } = entry;
        let address = Some(address);
        Self { principal, address, action, device, key, refused, ..Self::default() }
    }
}

impl std::fmt::Debug for StoredGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StoredGate").field(&self.0.store).finish()
    }
}

/// The fields of `session.renew`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renew {
    #[serde(default)]
    request: Option<String>,
}

/// A new token: 256 bits.
pub(super) fn new_token() -> Result<String> {
    Ok(hex(&random::<32>()?))
}

/// What is stored of a token.
pub(super) fn hashed(token: &str) -> String {
    hex(&sha256(token.as_bytes()))
}

/// When a token that is issued now ends.
pub(super) fn token_end(now: Timestamp) -> Timestamp {
    now + TOKEN
}

fn refused(what: &str, hint: &str) -> Error {
    Error::new(Kind::Permission, what).hint(hint)
}

pub(crate) const RENEW: &str = "session.renew";
const JOIN: &str = "enrol this client again: `tresen enrol` at the till, then `tresen join`";
const AGAIN: &str = "begin another session with a new code: `tresen token`";
/// How many certificates are remembered.
const REMEMBERED: usize = 10_000;
/// How often counted refusals are looked at.
const SWEEP: Duration = Duration::from_secs(60);
/// How many attempts of strangers are recorded at once; then one each 10 s.
const STRANGERS: u32 = 100;
