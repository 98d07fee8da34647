//! The till's configuration file.
//!
//! ```toml
//! [till]
//! name = "Till 1"
//! store = "till.db"          # relative to this file
//!
//! [printers.receipt]
//! address = "escpos+tcp://10.0.0.20"
//!
//! [printers."belt.7"]
//! from = "handheld 7"                                         # offered by its program: `tresen attach`
//!
//! [terminals.counter]
//! address = ["zvt+tcp://10.0.0.30", "zvt+tcp://10.0.0.31"]   # the first that answers
//! password = "000000"
//!
//! [routes]
//! receipt = ["receipt", "kitchen"]
//! ```
//! `examples/till.toml` shows every key. An unknown key is an error, because a mistyped one would
//! otherwise be ignored silently.
//!
//! The available addresses and options come from the driver table that is passed to each of these functions.
//!
//! [`Config::load`] stops at the first error. [`Config::check_file`] finds all of them, each with its line and key, and
//! warns about what is allowed but looks like a mistake.

mod check;
mod declared;
mod expected;
mod health;
mod place;
mod plan;
mod positions;
mod problem;
mod read;
mod reconnect;
mod remote;
mod route;
mod routes;
mod server;
mod stations;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tresen_hal::{Address, Currency, Error, Language, Result};

pub use self::declared::{Can, Declared, Method};
pub(crate) use self::place::place;
pub use self::plan::{AwayPlan, PrintersAt, Redirected, RoutePlan};
pub use self::problem::{Problem, Severity};
pub use self::reconnect::Reconnect;
pub use self::remote::Remote;
pub use self::route::{FailBack, PaperKind, Route};
pub use self::server::Server;
pub use self::stations::Station;
use crate::class::{Class, DeviceId};
use crate::drivers::Drivers;
use crate::health::Limits;
use crate::lease::TIME_TO_LIVE;

/// A till's configuration.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Config {
    /// The till itself.
    pub till: Till,
    /// The devices, by class and logical name.
    pub devices: BTreeMap<DeviceId, Device>,
    /// What is declared about terminals, by the terminal's name.
    pub declared: BTreeMap<String, Declared>,
    /// What is declared about cash (`cash`) and the vendor's own tenders, by name.
    pub tenders: BTreeMap<String, Can>,
    /// The server that takes in the till's journal.
    pub server: Option<Server>,
    /// Where the till can be reached over the network; `None` means nowhere.
    pub remote: Option<Remote>,
    /// The fixed devices of stations, by the station's name: [`Origin::station`](crate::Origin).
    pub stations: BTreeMap<String, Station>,
    /// Print routes by name.
    pub routes: BTreeMap<String, Route>,
    /// Patterns of in-store codes: weight and price in an EAN.
    pub in_store: Vec<String>,
    /// When alerts are raised.
    pub health: Limits,
}

/// The till itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Till {
    /// The till's name.
    pub name: String,
    /// The database; in a file, relative to the file's folder.
    pub store: PathBuf,
    /// The currency of its prices.
    pub currency: Currency,
    /// The language of texts that the library prints on receipts.
    pub language: Language,
    /// Whether the running till serves commands on a socket beside its database: see [`crate::api`]. Enabled by default
    /// on platforms with Unix sockets.
    pub socket: bool,
    /// How long a payment may stay undecided before a person is told: [`crate::EventKind::PaymentInDoubt`]. Default 5
    /// min.
    pub tell_after: Duration,
    /// How long [`Printer::print`](crate::Printer::print) waits for paper; default 60 s. A job is printed anyway, however
    /// long that takes.
    pub patience: Duration,
    /// The delays between attempts to reach a device that is away, unless the device has its own.
    pub reconnect: Reconnect,
    /// How long a lease lasts unless it is renewed: see [`crate::lease`]. Between 1 s and 24 h; default 180 s.
    pub lease: Duration,
}

impl Default for Till {
    fn default() -> Self {
        let (currency, language) = (Currency::EUR, Language::English);
        let (patience, reconnect, tell_after) = (PATIENCE, Reconnect::default(), TELL_AFTER);
        Self {
            name: "Till".into(),
            store: "till.db".into(),
            currency,
            language,
            socket: cfg!(unix),
            tell_after,
            patience,
            reconnect,
            lease: TIME_TO_LIVE,
        }
    }
}

/// One device: its addresses and options.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Device {
    /// Addresses in the order they are tried.
    pub address: Vec<Address>,
    /// The station whose program offers it, for a device without an address: it is away until then.
    pub from: Option<String>,
    /// The delays between attempts to reach it; `None` means those of the till.
    pub reconnect: Option<Reconnect>,
    /// Every other key is an option of the address, under the same name.
    pub options: BTreeMap<String, OptionValue>,
}

/// An option's value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum OptionValue {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A number with decimals, finite.
    Decimal(f64),
    /// True or false.
    Truth(bool),
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Decimal(number) => number.fmt(f),
            Self::Truth(truth) => truth.fmt(f),
        }
    }
}

impl Device {
    /// A device at one address.
    pub fn at(address: Address) -> Self {
        Self { address: vec![address], ..Self::default() }
    }

    /// A device that the program of a station offers from outside: see `[remote]`.
    pub fn offered_by(station: impl Into<String>) -> Self {
        Self { from: Some(station.into()), ..Self::default() }
    }

    /// The addresses with the options applied; an option in an address takes precedence.
    pub fn addresses(&self) -> Vec<Address> {
        self.address.iter().map(|address| applied(address, &self.options)).collect()
    }
}

/// `address` with those `options` that it does not set itself.
fn applied(address: &Address, options: &BTreeMap<String, OptionValue>) -> Address {
    let missing = options.iter().filter(|(name, _)| address.option(name).is_none());
    missing.fold(address.clone(), |address, (name, value)| address.with(name, value.to_string()))
}

/// A configuration and everything wrong with it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Checked {
    /// What could be read. Use it only if there are no errors among the problems.
    pub config: Config,
    /// Errors and warnings, in the order of the file.
    pub problems: Vec<Problem>,
}

impl Checked {
    /// The configuration, unless there are errors.
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Config`]: the first error.
    pub fn into_config(self) -> Result<Config> {
        match self.problems.into_iter().find(|p| p.severity == Severity::Error) {
            Some(problem) => Err(problem.into()),
            None => Ok(self.config),
        }
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Config`] names the file, the line, the key and the allowed values. A file that cannot be
    /// read is reported as such.
    pub fn load(path: &Path, drivers: &Drivers) -> Result<Self> {
        let checked = Self::check_file(path, drivers)?;
        for problem in checked.problems.iter().filter(|p| p.severity == Severity::Warning) {
            tracing::warn!("{problem}");
        }
        checked.into_config()
    }

    /// Reads and checks a configuration; `name` is the file name used in messages.
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Config`] names the line, the key and the allowed values.
    pub fn parse(text: &str, name: &str, drivers: &Drivers) -> Result<Self> {
        Self::check_text(text, name, drivers).into_config()
    }

    /// Finds everything wrong with a configuration file, including missing files that it refers to. Opens no device.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn check_file(path: &Path, drivers: &Drivers) -> Result<Checked> {
        let name = path.display().to_string();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return Err(Error::file(path, error)),
        };
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let config = Self::default();
                return Ok(Checked { config, problems: vec![positions::not_utf8(&bytes, error.valid_up_to(), &name)] });
            }
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(check::all(text, &name, Some(folder), drivers))
    }

    /// Finds everything wrong with a configuration; `name` is the file name used in messages.
    pub fn check_text(text: &str, name: &str, drivers: &Drivers) -> Checked {
        check::all(text, name, None, drivers)
    }

    /// Checks a configuration built in code.
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Config`] names the key and the allowed values.
    pub fn validate(&self, drivers: &Drivers) -> Result<()> {
        match check::config(self, drivers).into_iter().find(|f| f.severity == Severity::Error) {
            Some(fault) => Err(fault.without_place().into()),
            None => Ok(()),
        }
    }

    /// A device by class and logical name.
    pub fn device(&self, class: Class, name: &str) -> Option<&Device> {
        self.devices.get(&DeviceId::new(class, name))
    }

    /// The names of all devices of a class.
    pub fn names(&self, class: Class) -> impl Iterator<Item = &str> {
        self.devices.keys().filter(move |id| id.class == class).map(|id| id.name.as_str())
    }

    /// Adds a device, or replaces the one of that name.
    #[must_use]
    pub fn with(mut self, class: Class, name: impl Into<String>, device: Device) -> Self {
        self.devices.insert(DeviceId::new(class, name), device);
        self
    }
}

/// How long a print waits for paper, unless configured.
const PATIENCE: Duration = Duration::from_secs(60);
/// Default of [`Till::tell_after`].
const TELL_AFTER: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
