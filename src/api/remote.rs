//! Callers from outside: invitations, revocation, the audit table.

use serde::{Deserialize, Serialize};
use tresen_hal::Result;

use super::{Command, Grants, Right};
use crate::remote::{Callers, Invitation, Invited};
use crate::store::AuditEntry;
use crate::tresen::Tresen;

/// Makes a one-time code by which a client gets a certificate: [`Tresen::invite_client`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The client's name.
    pub name: String,
    /// The station that it works as; its name, if absent.
    #[serde(default)]
    pub station: Option<String>,
    /// What it may do: `watch print:bar`.
    pub rights: Grants,
}

impl Command for Enrol {
    const NAME: &'static str = "remote.enrol";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = true;
    type Reply = Invited;

    async fn run(self, till: &Tresen) -> Result<Invited> {
        let Self { name, station, rights } = self;
        till.invite_client(Invitation { name, station, rights }).await
    }
}

/// Makes a one-time code by which a browser or a script gets a token: [`Tresen::invite_session`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The session's name.
    pub name: String,
    /// The station that it works as; its name, if absent.
    #[serde(default)]
    pub station: Option<String>,
    /// What it may do: `watch print:bar`.
    pub rights: Grants,
    /// The web origin of the page, such as `https://kiosk.example`; absent for a program that sends none.
    #[serde(default)]
    pub origin: Option<String>,
}

impl Command for Token {
    const NAME: &'static str = "remote.token";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = true;
    type Reply = Invited;

    async fn run(self, till: &Tresen) -> Result<Invited> {
        let Self { name, station, rights, origin } = self;
        till.invite_session(Invitation { name, station, rights }, origin).await
    }
}

/// Everybody who may connect: [`Tresen::remote_callers`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Clients {}

impl Command for Clients {
    const NAME: &'static str = "remote.clients";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = false;
    type Reply = Callers;

    async fn run(self, till: &Tresen) -> Result<Callers> {
        till.remote_callers().await
    }
}

/// Revokes a client, or ends a session: [`Tresen::revoke_caller`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// Its name.
    pub name: String,
    /// The reason, for the audit table.
    pub why: String,
}

impl Command for Revoke {
    const NAME: &'static str = "remote.revoke";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = true;
    type Reply = ();

    async fn run(self, till: &Tresen) -> Result<()> {
        till.revoke_caller(&self.name, &self.why).await
    }
}

/// The audit table, newest first: [`Tresen::audit`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Only lines before the one of this number.
    #[serde(default)]
    pub before: Option<i64>,
    /// The maximum number of lines; 100 if absent, at most 10,000.
    #[serde(default)]
    pub limit: Option<u32>,
}

impl Command for Audit {
    const NAME: &'static str = "remote.audit";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = false;
    type Reply = Vec<AuditEntry>;

    async fn run(self, till: &Tresen) -> Result<Vec<AuditEntry>> {
        till.audit(self.before, self.limit.unwrap_or(100)).await
    }
}
