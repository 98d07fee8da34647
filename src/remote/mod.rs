//! Callers from outside, as the till itself sees them: who may reach it, invitations, the audit table.
//!
//! The server is the crate `tresen-remote`. It lets callers in; this module is what a technician asks the till about
//! them, over the local socket as well.

mod code;
mod till;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Error, Kind, Result};

use crate::api::Grants;
use crate::store::{RemoteClient, RemoteSession, Store};
pub use code::OneTimeCode;

/// Somebody who is to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// The name of the caller: 1 to 64 characters, unique among those that may connect.
    pub name: String,
    /// The station that it works as: [`Origin::station`](crate::Origin). Its name, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<String>,
    /// What it may do.
    pub rights: Grants,
}

impl Invitation {
    /// An invitation for a caller of this name.
    pub fn new(name: impl Into<String>, rights: Grants) -> Self {
        Self { name: name.into(), station: None, rights }
    }

    /// Sets the station.
    #[must_use]
    pub fn station(self, station: impl Into<String>) -> Self {
        Self { station: Some(station.into()), ..self }
    }

    /// Checks names and rights.
    ///
    /// # Errors
    /// [`Kind::Input`]: a name is empty, too long, or has control characters, `/`, `#`, or spaces at its ends; or there is no
    /// right.
    pub fn check(&self) -> Result<()> {
        for (what, name) in [("name", Some(&self.name)), ("station", self.station.as_ref())] {
            let Some(name) = name else { continue };
            let plain = name.trim() == name && !name.contains(['/', '#']) && !name.chars().any(char::is_control);
            if name.is_empty() || name.chars().count() > LONGEST || !plain {
                let error = Error::new(Kind::Input, format!("{name:?} cannot be the {what} of a caller"));
                return Err(error.hint(format!(
                    "use 1 to {LONGEST} characters, without control characters, `/`, `#`, and spaces at the ends"
                )));
            }
        }
        if self.rights == Grants::default() {
            let error = Error::new(Kind::Input, "a caller without any right cannot do anything");
            return Err(error.hint("name some rights, such as \"watch print:bar\""));
        }
        Ok(())
    }
}

/// A one-time code, shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Invited {
    /// The name of the caller.
    pub name: String,
    /// The code. It is good for one caller.
    pub code: OneTimeCode,
    /// Until when it is good.
    pub expires: Timestamp,
    /// Where the till can be reached: `wss://192.0.2.10:7443`, or the page's `http://127.0.0.1:7480`.
    pub at: Vec<String>,
    /// SHA-256 of the till's authority, 64 hex digits: what a person compares who installs its certificate by hand.
    pub authority: String,
}

impl Invited {
    /// A code that was made for `name`.
    pub fn new(
        name: impl Into<String>,
        code: OneTimeCode,
        expires: Timestamp,
        at: Vec<String>,
        authority: impl Into<String>,
    ) -> Self {
        Self { name: name.into(), code, expires, at, authority: authority.into() }
    }
}

/// What an invitation is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// A client with a certificate of its own.
    Client,
    /// A session of a browser or a script, with a token.
    Session {
        /// The web origin that may redeem the code; `None`: any that may call, or a program that sends none. The session is
        /// bound to the one that does.
        origin: Option<String>,
    },
}

/// A server that lets callers in: [`Tresen::set_inviter`](crate::Tresen::set_inviter).
pub trait Inviter: Send + Sync + 'static {
    /// Makes a one-time code.
    ///
    /// # Errors
    /// [`Kind::Busy`]: too many codes are open. [`Kind::Input`]: the name is in use, or the origin is not one that may
    /// call.
    fn invite(&self, invitation: Invitation, purpose: Purpose) -> BoxFuture<'_, Result<Invited>>;
}

impl fmt::Debug for dyn Inviter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inviter")
    }
}

/// Everybody who was enrolled, and the open sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Callers {
    /// Clients with a certificate, in the order of their enrolment; revoked ones, too.
    pub clients: Vec<RemoteClient>,
    /// Sessions with a token that has not ended, oldest first.
    pub sessions: Vec<RemoteSession>,
}

impl Callers {
    /// Those in a database.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn of(store: &Store) -> Result<Self> {
        Ok(Self { clients: store.remote_clients().await?, sessions: store.remote_sessions().await? })
    }
}

/// The longest name, in characters.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests;
