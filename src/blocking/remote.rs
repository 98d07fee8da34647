//! Callers from outside.

use std::sync::Weak;

use tresen_hal::Result;

use super::Tresen;
use crate::api::remote as api;
use crate::remote::{Callers, Invitation, Invited, Inviter};
use crate::store::AuditEntry;

impl Tresen {
    /// Makes a one-time code by which a client gets a certificate of its own.
    ///
    /// # Errors
    /// As [`crate::Tresen::invite_client`].
    pub fn invite_client(&self, invitation: Invitation) -> Result<Invited> {
        let Invitation { name, station, rights } = invitation;
        self.ask(api::Enrol { name, station, rights })
    }

    /// Makes a one-time code by which a browser or a script gets a token.
    ///
    /// # Errors
    /// As [`crate::Tresen::invite_client`].
    pub fn invite_session(&self, invitation: Invitation, origin: Option<String>) -> Result<Invited> {
        let Invitation { name, station, rights } = invitation;
        self.ask(api::Token { name, station, rights, origin })
    }

    /// Everybody who was enrolled, and the open sessions.
    ///
    /// # Errors
    /// As [`crate::Tresen::remote_callers`].
    pub fn remote_callers(&self) -> Result<Callers> {
        self.ask(api::Clients {})
    }

    /// Revokes a client, or ends a session; its connections are cut at once.
    ///
    /// # Errors
    /// As [`crate::Tresen::revoke_caller`].
    pub fn revoke_caller(&self, name: &str, why: &str) -> Result<()> {
        self.ask(api::Revoke { name: name.to_owned(), why: why.to_owned() })
    }

    /// The audit table, newest first.
    ///
    /// # Errors
    /// As [`crate::Tresen::audit`].
    pub fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>> {
        self.ask(api::Audit { before, limit: Some(limit) })
    }

    /// The server that makes codes from now on.
    pub fn set_inviter(&self, inviter: Weak<dyn Inviter>) {
        self.inner().set_inviter(inviter);
    }
}
