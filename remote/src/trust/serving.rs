//! What a served till needs to be trusted: its authority and certificate, the gate, the open codes.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::watch;
use tresen::config::Remote;
use tresen::remote::{Invitation, Invited, Inviter, OneTimeCode, Purpose};
use tresen::{AuditNote, NewClient, NewSession, Tresen};
use tresen_hal::{BoxFuture, Error, Kind, Result};

use super::authority::Authority;
use super::codes::Codes;
use super::enrolment::{Ask, Desk, Enrolled, Offer, Verdict};
use super::gate::{StoredGate, hashed, new_token, token_end};
use super::memory::lock;
use super::secret::{hex, key_of, random, sha256};

/// The trust of one served till. It makes the certificate for the server, lets clients enrol and browsers begin sessions.
///
/// ```no_run
/// # async fn serve(till: tresen::Tresen, tls: tokio::net::TcpListener) -> tresen::Result<()> {
/// use std::sync::Arc;
///
/// use tresen_remote::server::{Options, Server};
/// use tresen_remote::trust::{self, Trust};
///
/// let trust = Trust::open(&till, &["till-1.local".into()]).await?;
/// trust.reachable_at(["wss://till-1.local:7443".into()]);
/// let mut options = Options::default();
/// options.tls = Some((tls, trust.tls()));
/// options.routes = trust::routes(trust.clone());
/// let server = Server::start(&till, Arc::new(trust.gate()), options)?;
/// # Ok(())
/// # }
/// ```
pub struct Trust {
    till: Tresen,
    authority: Arc<Authority>,
    gate: StoredGate,
    names: Vec<String>,
    tls: watch::Sender<Arc<ServerConfig>>,
    /// SHA-256 of the certificates that connections may have been opened with: the current one first.
    leaves: Mutex<Vec<[u8; 32]>>,
    /// The salt of this run's codes.
    salt: [u8; 32],
    enrolment: Mutex<Desk>,
    sessions: Mutex<Codes>,
    at: Mutex<Vec<String>>,
}

impl Trust {
    /// Opens the till's authority, or makes it, and its certificate for `names` besides `localhost` and the machine's
    /// addresses. The till makes one-time codes from now on, as long as this lives; the certificate is renewed daily where
    /// that is due, for the connections that follow. The audit table is pruned now and daily, as `audit-days` of `[remote]`
    /// says; without that section, after [`Remote::AUDIT_DAYS`].
    ///
    /// # Errors
    /// As [`Authority::open`]; [`Kind::Storage`]: the till's database cannot be read.
    pub async fn open(till: &Tresen, names: &[String]) -> Result<Arc<Self>> {
        let runtime = till.runtime().clone();
        let in_use = !till.store().remote_clients().await?.iter().all(|client| client.revoked.is_some());
        let (path, id, now) = (till.store().path().to_owned(), till.store().till().to_owned(), runtime.wall());
        let listed = names.to_owned();
        let opened = runtime.run_blocking(move || {
            let authority = Authority::open(&path, &id, in_use, now)?;
            let leaf = authority.leaf(&with_own(&listed), now)?;
            Ok::<_, Error>((authority, leaf))
        });
        let (authority, leaf) = opened.await??;
        let authority = Arc::new(authority);
        let config = authority.tls(&leaf, runtime.clone())?;
        let trust = Arc::new(Self {
            till: till.clone(),
            gate: StoredGate::new(till.store().clone(), runtime, authority.clone()),
            authority,
            names: names.to_owned(),
            tls: watch::Sender::new(config),
            leaves: Mutex::new(vec![sha256(&leaf.certificate)]),
            salt: random()?,
            enrolment: Mutex::new(Desk::new()),
            sessions: Mutex::new(Codes::new()),
            at: Mutex::default(),
        });
        let inviter: Weak<dyn Inviter> = Arc::downgrade(&(trust.clone() as Arc<dyn Inviter>));
        till.set_inviter(inviter);
        tokio::spawn(keep(Arc::downgrade(&trust)));
        tokio::spawn(trust.gate.sweep());
        Ok(trust)
    }

    /// The gate.
    pub fn gate(&self) -> StoredGate {
        self.gate.clone()
    }

    /// TLS for the server; it changes when the till's certificate is renewed.
    pub fn tls(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.tls.subscribe()
    }

    /// The authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The addresses that are shown with a code, such as `wss://till-1.local:7443`.
    pub fn reachable_at(&self, addresses: impl IntoIterator<Item = String>) {
        *lock(&self.at) = addresses.into_iter().collect();
    }

    /// Renews the till's certificate if that is due, or its names have changed.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub async fn renew(&self) -> Result<()> {
        let (authority, names) = (self.authority.clone(), self.names.clone());
        let runtime = self.till.runtime();
        let now = runtime.wall();
        let leaf = runtime.run_blocking(move || authority.leaf(&with_own(&names), now)).await??;
        let print = sha256(&leaf.certificate);
        let config = self.authority.tls(&leaf, runtime.clone())?;
        let mut leaves = lock(&self.leaves);
        if leaves.first() != Some(&print) {
            leaves.insert(0, print);
            leaves.truncate(2);
            self.tls.send_replace(config);
        }
        Ok(())
    }

    async fn prune_audit(&self) {
        let days = self.till.config().remote.as_ref().map_or(Remote::AUDIT_DAYS, |remote| remote.audit_days);
        match self.till.store().prune_audit(days).await {
            Ok(0) => {}
            Ok(lines) => tracing::info!(lines, days, "old lines of the audit table were removed"),
            Err(error) => tracing::error!(%error, "the audit table cannot be pruned"),
        }
    }

    pub(super) fn offer(&self) -> Offer {
        let (till, name) = (self.till.store().till().to_owned(), self.till.config().till.name.clone());
        Offer { till, name, salt: hex(&self.salt) }
    }

    /// A client asks for a certificate. What was begun is finished, even if the client leaves.
    pub(super) async fn enrol(self: &Arc<Self>, ask: Ask, address: Option<String>) -> Result<Enrolled> {
        let trust = self.clone();
        let work = tokio::spawn(async move {
            let done = trust.try_enrol(&ask, address.clone()).await;
            if let Err(error) = &done {
                trust.gate.record(AuditNote::new("enrol").from(address).refused(error.what())).await;
            }
            done
        });
        work.await.map_err(|_| Error::new(Kind::Cancelled, "the till is closing"))?
    }

    async fn try_enrol(&self, ask: &Ask, address: Option<String>) -> Result<Enrolled> {
        let (now, leaves) = (self.till.runtime().now(), lock(&self.leaves).clone());
        let verdict = lock(&self.enrolment).check(now, ask, &leaves)?;
        let accepted = match verdict {
            Verdict::Again(enrolled) => return Ok(*enrolled),
            Verdict::Issue(accepted) => accepted,
        };
        let Invitation { name, station, rights, .. } = accepted.invitation.clone();
        let issued = self.authority.issue(&name, &accepted.request, self.till.runtime().wall())?;
        let note = AuditNote::new("enrol").by(&name).from(address).about(rights.to_string());
        let (fingerprint, expires) = (issued.fingerprint, issued.expires);
        let client = NewClient { name, station, rights, fingerprint, expires };
        self.till.store().add_remote_client(client, note).await?;
        let der = pem_to_der(&issued.pem)?;
        let authority = (self.authority.pem(), self.authority.certificate().as_ref());
        Ok(lock(&self.enrolment).answer(now, &accepted, (&issued.pem, &der), authority))
    }

    /// A browser or a script redeems a code: the token, when it ends, and the name of the session.
    pub(super) async fn begin(
        self: &Arc<Self>,
        code: OneTimeCode,
        origin: Option<String>,
        address: Option<String>,
    ) -> Result<Begun> {
        let trust = self.clone();
        let work = tokio::spawn(async move {
            let done = trust.try_begin(&code, origin, address.clone()).await;
            if let Err(error) = &done {
                trust.gate.record(AuditNote::new("session").from(address).refused(error.what())).await;
            }
            done
        });
        work.await.map_err(|_| Error::new(Kind::Cancelled, "the till is closing"))?
    }

    async fn try_begin(&self, code: &OneTimeCode, origin: Option<String>, address: Option<String>) -> Result<Begun> {
        let runtime = self.till.runtime();
        let (key, token) = (sha256(code.as_bytes()), new_token()?);
        let open = lock(&self.sessions).redeem(runtime.now(), |open| {
            let same = open.key.iter().zip(&key).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0;
            same & open.origin.as_ref().is_none_or(|only| origin.as_ref() == Some(only))
        })?;
        let Invitation { name, station, rights, .. } = open.invitation;
        let page = origin.as_deref().map(|origin| format!(" for {origin}")).unwrap_or_default();
        let note = AuditNote::new("session").by(&name).from(address).about(format!("{rights}{page}"));
        let expires = token_end(runtime.wall());
        let begun = Begun { token: token.clone(), expires, you: name.clone() };
        let session = NewSession { name, station, rights, origin, token: hashed(&token), expires };
        self.till.store().open_remote_session(session, note).await?;
        Ok(begun)
    }
}

impl Inviter for Trust {
    fn invite(&self, invitation: Invitation, purpose: Purpose) -> BoxFuture<'_, Result<Invited>> {
        Box::pin(async move {
            invitation.check()?;
            let runtime = self.till.runtime();
            self.till.store().remote_name_is_free(&invitation.name).await?;
            let code = OneTimeCode::of(u64::from_be_bytes(random()?));
            let name = invitation.name.clone();
            match purpose {
                Purpose::Client => {
                    let (secret, salt) = (code.clone(), self.salt);
                    let key = runtime.run_blocking(move || key_of(secret.as_bytes(), &salt)).await?;
                    lock(&self.enrolment).open(runtime.now(), invitation, key)?;
                }
                Purpose::Session { origin } => {
                    let key = sha256(code.as_bytes());
                    lock(&self.sessions).open(runtime.now(), invitation, origin, key)?;
                }
                _ => return Err(Error::new(Kind::Unsupported, "an invitation of an unknown kind")),
            }
            let expires = runtime.wall() + super::codes::LIFE;
            Ok(Invited::new(name, code, expires, lock(&self.at).clone(), self.authority.fingerprint()))
        })
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// A session that has begun. There is no `Debug`: it holds the token.
#[derive(serde::Serialize)]
pub(super) struct Begun {
    token: String,
    expires: jiff::Timestamp,
    you: String,
}

/// Prunes the audit table, and renews the till's certificate where that is due, as long as it is served.
async fn keep(trust: Weak<Trust>) {
    loop {
        let Some(kept) = trust.upgrade() else { return };
        kept.prune_audit().await;
        drop(kept);
        tokio::time::sleep(DAILY).await;
        let Some(trust) = trust.upgrade() else { return };
        if let Err(error) = trust.renew().await {
            tracing::error!(%error, "the till's certificate cannot be renewed");
        }
    }
}

/// These names, and the machine's addresses, unless they are link-local.
fn with_own(names: &[String]) -> Vec<String> {
    let mut names = names.to_owned();
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => names.extend(
            interfaces.iter().filter(|own| !own.is_link_local() && !own.is_loopback()).map(|own| own.ip().to_string()),
        ),
        Err(error) => tracing::warn!(%error, "the machine's addresses cannot be listed"),
    }
    names
}

fn pem_to_der(pem: &str) -> Result<Vec<u8>> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let der = CertificateDer::from_pem_slice(pem.as_bytes());
    der.map(|der| der.to_vec()).map_err(|_| Error::new(Kind::Input, "not a certificate in PEM"))
}

const DAILY: Duration = Duration::from_secs(24 * 3600);
