//! The till itself, and devices of any class.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tresen_hal::{Known, Result};

use super::millis::{self, patience};
use super::{Command, Right};
use crate::capabilities::TillCapabilities;
use crate::class::DeviceId;
use crate::config::PaperKind;
use crate::export;
use crate::manager;
use crate::registry::Reloaded;
use crate::store::{self, SpooledJob};
use crate::tresen::{self, Tresen};

/// Identifies the till.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Info {}

/// A till's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct About {
    /// Its name in the configuration.
    pub name: String,
    /// Its own id: [`Store::till`](crate::Store::till).
    pub till: String,
    /// The epoch of its database, incremented when a backup is restored: [`Store::epoch`](crate::Store::epoch).
    pub epoch: i64,
    /// The currency of its prices: `EUR`.
    pub currency: String,
    /// The version of this library.
    pub version: String,
}

impl Command for Info {
    const NAME: &'static str = "till.info";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = About;

    async fn run(self, till: &Tresen) -> Result<About> {
        let (config, store) = (till.config(), till.store());
        Ok(About {
            name: config.till.name.clone(),
            till: store.till().to_owned(),
            epoch: store.epoch(),
            currency: config.till.currency.code().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

/// The names of all commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Commands {}

impl Command for Commands {
    const NAME: &'static str = "till.commands";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<String>;

    async fn run(self, _: &Tresen) -> Result<Vec<String>> {
        Ok(super::commands().map(str::to_owned).collect())
    }
}

/// The current state of all devices, and the number of the last event before it: [`Tresen::follow`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Snapshot {}

impl Command for Snapshot {
    const NAME: &'static str = "till.snapshot";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = tresen::Snapshot;

    async fn run(self, till: &Tresen) -> Result<tresen::Snapshot> {
        Ok(till.follow().0)
    }
}

/// What the till can do now: [`Tresen::capabilities`]. [`EventKind::CapabilitiesChanged`](crate::EventKind) tells when to
/// ask again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Capabilities {}

impl Command for Capabilities {
    const NAME: &'static str = "till.capabilities";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = TillCapabilities;

    async fn run(self, till: &Tresen) -> Result<TillCapabilities> {
        Ok(till.capabilities())
    }
}

/// Tells whether one of the vendor's own tenders can pay now: [`Tresen::set_tender`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetTender {
    /// Its name.
    pub name: String,
    /// Whether it can.
    pub now: Known,
    /// Why not.
    #[serde(default)]
    pub why: Option<String>,
}

impl Command for SetTender {
    const NAME: &'static str = "till.set-tender";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = true;
    type Reply = ();

    async fn run(self, till: &Tresen) -> Result<()> {
        till.set_tender(&self.name, self.now, self.why.as_deref());
        Ok(())
    }
}

/// The state of a device: [`Tresen::phase`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// The device.
    pub device: DeviceId,
}

impl Command for Phase {
    const NAME: &'static str = "till.phase";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = manager::Phase;

    fn device(&self) -> Option<&str> {
        Some(&self.device.name)
    }

    async fn run(self, till: &Tresen) -> Result<manager::Phase> {
        Ok(till.phase(&self.device)?.borrow().clone())
    }
}

/// Reopens a device: [`Tresen::reset`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The device.
    pub device: DeviceId,
}

impl Command for Reset {
    const NAME: &'static str = "till.reset";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = true;
    type Reply = ();

    fn device(&self) -> Option<&str> {
        Some(&self.device.name)
    }

    async fn run(self, till: &Tresen) -> Result<()> {
        till.reset(&self.device)
    }
}

/// Removes a device: [`Tresen::detach`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Detach {
    /// The device.
    pub device: DeviceId,
    /// How long its running call may take; default 10 s.
    #[serde(rename = "within_ms", with = "millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for Detach {
    const NAME: &'static str = "till.detach";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = true;
    type Reply = ();

    fn device(&self) -> Option<&str> {
        Some(&self.device.name)
    }

    async fn run(self, till: &Tresen) -> Result<()> {
        till.detach(&self.device, patience(self.within, ENDING)).await
    }
}

/// Reads the configuration file again and applies the changes: [`Tresen::reload`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reload {
    /// How long running calls of removed or changed devices may take; default 10 s.
    #[serde(rename = "within_ms", with = "millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for Reload {
    const NAME: &'static str = "till.reload";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = true;
    type Reply = Reloaded;

    async fn run(self, till: &Tresen) -> Result<Reloaded> {
        till.reload(patience(self.within, ENDING)).await
    }
}

/// The name of the route that prints a kind of paper, for the commands `printer.…`: [`Tresen::printer_for`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PrinterFor {
    /// The kind of paper.
    pub paper: PaperKind,
}

impl Command for PrinterFor {
    const NAME: &'static str = "till.printer-for";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = String;

    async fn run(self, till: &Tresen) -> Result<String> {
        Ok(till.printer_for(self.paper)?.name().to_owned())
    }
}

/// Print jobs that are waiting, printing or parked: [`Tresen::open_jobs`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenJobs {}

impl Command for OpenJobs {
    const NAME: &'static str = "till.open-jobs";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<SpooledJob>;

    async fn run(self, till: &Tresen) -> Result<Vec<SpooledJob>> {
        till.open_jobs().await
    }
}

/// Copies the database while the till runs: [`Tresen::backup`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// A new file, or an existing folder, on the till's own machine.
    pub to: PathBuf,
}

impl Command for Backup {
    const NAME: &'static str = "till.backup";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = true;
    type Reply = store::Backup;

    async fn run(self, till: &Tresen) -> Result<store::Backup> {
        till.backup(self.to).await
    }
}

/// A page of an export, as text: [`Tresen::export_page`]. Ask again with `after` set to `next` of the reply until there is
/// none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// What to export.
    pub what: export::What,
    /// The format; default that of the mapping, or else CSV.
    #[serde(default)]
    pub format: Option<export::Format>,
    /// The first date or time: [`Export::range`](export::Export::range).
    #[serde(default)]
    pub from: Option<String>,
    /// The last date, or the time before which it ends.
    #[serde(default)]
    pub to: Option<String>,
    /// Sales that are still open, too.
    #[serde(default)]
    pub open: bool,
    /// The text of a mapping.
    #[serde(default)]
    pub mapping: Option<export::Mapping>,
    /// Where the page before ended; default the beginning.
    #[serde(default)]
    pub after: Option<String>,
    /// The most records of a page; default 500.
    #[serde(default)]
    pub limit: Option<u32>,
}

impl Command for Export {
    const NAME: &'static str = "till.export";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = false;
    type Reply = export::Page;

    async fn run(self, till: &Tresen) -> Result<export::Page> {
        let mapping = self.mapping.unwrap_or_default();
        let format = self.format.or(mapping.format()).unwrap_or_default();
        let export = export::Export::new(self.what, format).mapping(mapping).open(self.open);
        let export = export.range(self.from.as_deref(), self.to.as_deref())?;
        till.export_page(export, self.after.as_deref(), self.limit.unwrap_or(RECORDS)).await
    }
}

/// A new key for a payment or print job: [`Tresen::new_id`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewId {}

impl Command for NewId {
    const NAME: &'static str = "till.new-id";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = String;

    async fn run(self, till: &Tresen) -> Result<String> {
        Ok(till.new_id())
    }
}

/// Default time for running calls to finish before they are aborted.
const ENDING: Duration = Duration::from_secs(10);
/// Records per page of an export.
const RECORDS: u32 = 500;
