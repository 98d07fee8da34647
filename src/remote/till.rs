//! What a till offers of its callers from outside.

use std::sync::Weak;

use tresen_hal::{Error, Kind, Result};

use super::{Callers, Invitation, Invited, Inviter, Purpose};
use crate::manager::lock;
use crate::store::{AuditEntry, AuditNote};
use crate::tresen::Tresen;

impl Tresen {
    /// Makes a one-time code by which a client gets a certificate of its own. It is good for 10 minutes and for one
    /// client. The audit table records it, not the code.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: no server is running. [`Kind::Input`]: a name or an origin is wrong or in use.
    /// [`Kind::Busy`]: too many codes are open. [`Kind::Storage`].
    pub async fn invite_client(&self, invitation: Invitation) -> Result<Invited> {
        self.invite("remote.enrol", invitation, Purpose::Client).await
    }

    /// Makes a one-time code by which a browser or a script gets a token. The session is bound to the origin that
    /// redeems the code: scheme, host and port of a page, or none for a program that sends none. Given an `origin`
    /// (`https://kiosk.example`), only that one may.
    ///
    /// # Errors
    /// As [`Tresen::invite_client`].
    pub async fn invite_session(&self, invitation: Invitation, origin: Option<String>) -> Result<Invited> {
        self.invite("remote.token", invitation, Purpose::Session { origin }).await
    }

    async fn invite(&self, action: &str, invitation: Invitation, purpose: Purpose) -> Result<Invited> {
        invitation.check()?;
        let inviter = lock(&self.0.inviter).as_ref().and_then(Weak::upgrade);
        let inviter = inviter.ok_or_else(|| {
            let error = Error::new(Kind::Unsupported, "this till is not served to callers from outside");
            error.hint("add `[remote]` to its configuration and start it with `tresen serve`")
        })?;
        let station = invitation.station.as_deref().map(|station| format!(" at {station}")).unwrap_or_default();
        let origin = match &purpose {
            Purpose::Session { origin: Some(origin) } => format!(" for {origin}"),
            _ => String::new(),
        };
        let about = format!("{}{station}{origin}: {}", invitation.name, invitation.rights);
        let invited = inviter.invite(invitation, purpose).await?;
        self.store().note_audit(self.note(action).about(about)).await?;
        Ok(invited)
    }

    /// Everybody who was enrolled, and the open sessions.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn remote_callers(&self) -> Result<Callers> {
        Callers::of(self.store()).await
    }

    /// Revokes a client's certificates, or ends a session, by its name. Its connections are cut at once; a transaction
    /// that runs for it goes on to its end. `why` is recorded.
    ///
    /// # Errors
    /// [`Kind::Input`]: no caller of this name may connect, or no reason is given. [`Kind::Storage`].
    pub async fn revoke_caller(&self, name: &str, why: &str) -> Result<()> {
        if why.trim().is_empty() {
            return Err(Error::new(Kind::Input, "a revocation needs a reason").hint("such as \"lost on Friday\""));
        }
        let note = self.note("remote.revoke").about(format!("{name}: {why}"));
        if self.store().revoke_remote(name, why, note).await? {
            return Ok(());
        }
        let callers = self.remote_callers().await?;
        let clients = callers.clients.into_iter().filter(|client| client.revoked.is_none()).map(|client| client.name);
        let known: Vec<_> = clients.chain(callers.sessions.into_iter().map(|session| session.name)).collect();
        let hint = match known.is_empty() {
            true => "nobody may connect".to_owned(),
            false => format!("expected one of {}", known.join(", ")),
        };
        Err(Error::new(Kind::Input, format!("no caller `{name}` may connect")).hint(hint))
    }

    /// The audit table, newest first: every refused and every privileged action from outside. At most `limit` lines, and
    /// only those before the line numbered `before`.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>> {
        self.store().audit(before, limit.clamp(1, 10_000)).await
    }

    /// The server that makes codes from now on. It is forgotten when it ends.
    pub fn set_inviter(&self, inviter: Weak<dyn Inviter>) {
        *lock(&self.0.inviter) = Some(inviter);
    }

    fn note(&self, action: &str) -> AuditNote {
        let caller = self.1.origin.as_ref().and_then(|origin| origin.caller()).unwrap_or("the till's own program");
        AuditNote::new(action).by(caller)
    }
}
