//! What a till can do now, for a screen that offers only what is possible:
//! [`Tresen::capabilities`](crate::Tresen::capabilities).
//!
//! ```no_run
//! # fn look(till: &tresen::Tresen) {
//! use tresen::Known;
//!
//! for tender in till.capabilities().tenders {
//!     match (tender.pay.now, &tender.pay.why) {
//!         (Known::Yes, _) => println!("{}: offered", tender.tender),
//!         (answer, why) => println!("{}: {answer}: {}", tender.tender, why.as_deref().unwrap_or_default()),
//!     }
//! }
//! # }
//! ```

mod compose;
mod till;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tresen_hal::Known;
use tresen_payment::OperationKind;
use tresen_printers::Paper;

use crate::class::DeviceId;
use crate::store::Remembered;

pub(crate) use watch::keep;

/// What a till can do now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TillCapabilities {
    /// The tenders: cash, each terminal, accounts if there is a server, the vendor's own.
    pub tenders: Vec<TenderCapabilities>,
    /// Printing, by route; a printer is a route of its own name.
    pub routes: Vec<RouteCapabilities>,
    /// Scanners and cameras.
    pub scanners: Vec<ScannerCapabilities>,
}

/// Whether something is possible.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "CapabilityAnswer"))]
#[non_exhaustive]
pub struct Answer {
    /// Whether it is possible now.
    pub now: Known,
    /// Whether the device and its provider can do it at all, as far as is known. Kept while the device is away.
    pub can: Known,
    /// Why it is not possible now, or why that is not known.
    pub why: Option<String>,
}

/// What one tender can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TenderCapabilities {
    /// The tender.
    pub tender: TenderName,
    /// It takes a payment.
    pub pay: Answer,
    /// It gives money back without reference to a payment.
    pub refund: Answer,
    /// It takes a payment back.
    pub reversal: Answer,
    /// What else a terminal can do; empty for tenders without one.
    pub others: BTreeMap<OperationKind, Answer>,
    /// It pays a tip that is part of the sale.
    pub tip: Answer,
    /// It may pay less than was asked for, and the rest stays open.
    pub partial: Answer,
    /// The methods of payment that the configuration declares for it; empty if it declares none.
    pub methods: Vec<MethodCapabilities>,
    /// The device is not connected, and what it can do is what it told last, possibly before a restart.
    pub remembered: bool,
}

/// A tender. Displays as its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TenderName {
    /// Banknotes and coins: `cash`.
    Cash,
    /// A payment terminal, by its logical name.
    Terminal(String),
    /// Customers' accounts at the server: `account`.
    Account,
    /// The vendor's own means, by its name.
    Other(String),
}

impl fmt::Display for TenderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cash => "cash",
            Self::Account => "account",
            Self::Terminal(name) | Self::Other(name) => name,
        })
    }
}

/// What one method of payment of a terminal can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct MethodCapabilities {
    /// Its name: `girocard`.
    pub name: String,
    /// Its provider, as declared.
    pub provider: Option<String>,
    /// Its integration, as declared.
    pub integration: Option<String>,
    /// It takes a payment.
    pub pay: Answer,
    /// It gives money back without reference to a payment.
    pub refund: Answer,
    /// It takes a payment back.
    pub reversal: Answer,
}

/// What a print route can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RouteCapabilities {
    /// Its name.
    pub route: String,
    /// A receipt would come out.
    pub print: Answer,
    /// The printer that would print it, for the caller's station.
    pub on: Option<String>,
    /// Its printers, in the order they are tried.
    pub printers: Vec<PrinterCapabilities>,
}

/// What one printer of a route can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PrinterCapabilities {
    /// Its name.
    pub printer: String,
    /// It prints.
    pub print: Answer,
    /// It opens a drawer.
    pub drawer: Answer,
    /// Its paper; known as soon as it is connected, if it reports it.
    pub paper: Paper,
    /// As [`TenderCapabilities::remembered`].
    pub remembered: bool,
}

/// What a scanner or a camera can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ScannerCapabilities {
    /// The device.
    pub device: DeviceId,
    /// It reads codes.
    pub scan: Answer,
    /// It beeps on command.
    pub beep: Answer,
    /// As [`TenderCapabilities::remembered`].
    pub remembered: bool,
}

impl TillCapabilities {
    /// A terminal's, by its name.
    pub fn terminal(&self, name: &str) -> Option<&TenderCapabilities> {
        self.tenders.iter().find(|t| matches!(&t.tender, TenderName::Terminal(terminal) if terminal == name))
    }

    /// Those of `cash`, of `account`, or of one of the vendor's own tenders, by its name.
    pub fn tender(&self, name: &str) -> Option<&TenderCapabilities> {
        let own = |t: &&TenderCapabilities| !matches!(t.tender, TenderName::Terminal(_));
        self.tenders.iter().filter(own).find(|t| t.tender.to_string() == name)
    }

    /// A route's, by its name.
    pub fn route(&self, name: &str) -> Option<&RouteCapabilities> {
        self.routes.iter().find(|route| route.route == name)
    }

    /// A scanner's or a camera's.
    pub fn scanner(&self, device: &DeviceId) -> Option<&ScannerCapabilities> {
        self.scanners.iter().find(|scanner| scanner.device == *device)
    }
}

/// What is kept for the capabilities of a till.
pub(crate) struct Kept {
    /// As last published.
    published: tokio::sync::watch::Sender<TillCapabilities>,
    /// What devices could do when they were last connected.
    remembered: Mutex<BTreeMap<DeviceId, Remembered>>,
    /// The vendor's own tenders, as the program told.
    tenders: Mutex<BTreeMap<String, (Known, Option<String>)>>,
}

impl Kept {
    pub(crate) fn new(remembered: BTreeMap<DeviceId, Remembered>) -> Self {
        let (published, tenders) = (tokio::sync::watch::Sender::default(), Mutex::default());
        Self { published, remembered: Mutex::new(remembered), tenders }
    }
}
