//! Who a caller is, and what it may do.
//!
//! The server asks a [`Gate`] about each connection: about the certificate that it presents, or the token of its first
//! message. [`StoredGate`] knows those whom the till's database knows; [`Trust`] makes certificates and tokens for them,
//! [`routes`] and [`join`] are the two ends by which a client gets its own. [`memory::Guests`] is a gate of fixed callers for tests and programs that bring their own.

mod attempts;
pub mod authority;
mod codes;
mod credentials;
mod enrolment;
mod files;
mod gate;
mod identity;
mod join;
pub mod memory;
mod offers;
mod refusals;
mod routes;
mod secret;
mod serving;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use tresen::api::Grants;
use tresen_hal::{BoxFuture, Result};

pub use credentials::Credentials;
pub(crate) use gate::RENEW;
pub use gate::{CERTIFICATE_OVERLAP, StoredGate, TOKEN};
pub use identity::Identity;
pub use join::join;
pub(crate) use offers::OFFER;
pub use routes::{PUBLIC, routes};
pub use serving::Trust;

/// A caller that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Its name, unique among those that may connect.
    pub name: String,
    /// The station on whose behalf it calls: [`Tresen::on_behalf_of`](tresen::Tresen::on_behalf_of). Its name, if absent.
    pub station: Option<String>,
    /// What it may do.
    pub grants: Grants,
    /// From when on it is not let in any more, and its connection is cut.
    pub expires: Option<Timestamp>,
    /// How it proved who it is.
    pub by: By,
}

impl Principal {
    /// The name of the station on whose behalf it calls.
    pub fn station(&self) -> &str {
        self.station.as_deref().unwrap_or(&self.name)
    }

    /// To whom its idempotency keys belong: another client that is given the same name later does not share them. Whoever
    /// begins a session with a new code under the same name does: it is the same page.
    pub fn owner(&self) -> String {
        match &self.by {
            By::Certificate { client, .. } => format!("{}#{client}", self.name),
            By::Token { .. } => self.name.clone(),
        }
    }
}

/// How a caller proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// By a client certificate.
    Certificate {
        /// Its SHA-256, in hexadecimal.
        fingerprint: String,
        /// The number of the client that it was issued to.
        client: i64,
    },
    /// By a token.
    Token {
        /// The token's public id; not the token.
        id: String,
    },
}

/// Something to be recorded: an attempt that was refused, or the use of a privileged right.
///
/// It names command, device and key; never the content of a call, a token, a code or a key of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Who, if it is known.
    pub principal: Option<String>,
    /// The address from which it came.
    pub address: String,
    /// What it asked for: the name of a command, `connect`, or `offer`.
    pub action: String,
    /// The device concerned, if one is; of `offer` all that the client has.
    pub device: Option<String>,
    /// The idempotency key of the call.
    pub key: Option<String>,
    /// Why it was refused or failed; `None` if it was done.
    pub refused: Option<String>,
}

/// The answer to a command of the gate. `Debug` does not show it: it may hold a secret.
#[derive(Clone)]
pub struct Answered {
    /// The reply.
    pub reply: Value,
    /// The token that the connection has from now on, if it has a new one.
    pub token: Option<String>,
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answered")
    }
}

/// Decides who is let in, and keeps the record of what was refused.
pub trait Gate: Send + Sync + 'static {
    /// Who holds this certificate (DER). The TLS handshake has shown that the caller has its key, nothing else.
    ///
    /// # Errors
    /// [`Kind::Permission`](tresen_hal::Kind::Permission): unknown, expired or revoked.
    fn by_certificate(&self, der: &[u8]) -> BoxFuture<'_, Result<Principal>>;

    /// Who holds this token. `origin` is the page that the call comes from, as the browser says.
    ///
    /// # Errors
    /// [`Kind::Permission`](tresen_hal::Kind::Permission): unknown, expired, revoked, or issued for another page.
    fn by_token(&self, token: &str, origin: Option<&str>) -> BoxFuture<'_, Result<Principal>>;

    /// As [`Gate::by_token`], asked again about an open connection: its caller has not presented the token now.
    ///
    /// # Errors
    /// As [`Gate::by_token`].
    fn by_token_again(&self, token: &str, origin: Option<&str>) -> BoxFuture<'_, Result<Principal>> {
        self.by_token(token, origin)
    }

    /// Whether a caller of this name may be let in at all, whatever it shows.
    ///
    /// # Errors
    /// That cannot be found out.
    fn is_known(&self, name: &str) -> BoxFuture<'_, Result<bool>>;

    /// A command of the gate's own, whose name begins with `session.`, such as the renewal of a token. `None`: there is
    /// no such command.
    fn command(&self, principal: &Principal, command: &str, with: &Value) -> Option<BoxFuture<'_, Result<Answered>>> {
        _ = (principal, command, with);
        None
    }

    /// Changes whenever a caller's rights were withdrawn or changed: the server asks again about each open connection, and
    /// cuts those that are not let in any more.
    fn revoked(&self) -> watch::Receiver<u64>;

    /// Records `entry`, together with the time. Refusals and offers of devices that repeat may be counted and recorded
    /// later. A record that cannot be written is logged.
    fn note(&self, entry: Audit) -> BoxFuture<'_, ()>;

    /// Records a privileged call before it begins, and returns what [`Gate::end`] takes.
    ///
    /// # Errors
    /// The record cannot be written: the call is not made.
    fn begin(&self, entry: &Audit) -> BoxFuture<'_, Result<i64>>;

    /// Records how a privileged call ended: `entry.refused` says why it failed.
    fn end(&self, begun: i64, entry: Audit) -> BoxFuture<'_, ()>;

    /// The server ends in an orderly way: records what was only counted so far.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
