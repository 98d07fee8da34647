//! What stands on the counter, as a TOML file.
//!
//! ```toml
//! [till]
//! name = "Till 1"
//! store = "till.db"          # beside this file unless absolute
//!
//! [printers.receipt]
//! address = "escpos+tcp://10.0.0.20"
//!
//! [terminals.counter]
//! address = ["zvt+tcp://10.0.0.30", "zvt+tcp://10.0.0.31"]   # the first that answers
//! password = "000000"
//!
//! [routes]
//! receipt = ["receipt", "kitchen"]
//! ```
//! Everything that may stand in it is in `examples/till.toml`. An unknown key is an error: a
//! mistyped one would otherwise be lost in silence.

mod locate;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use tresen_hal::{Address, Currency, Error, Kind, Result};

use crate::sale::Language;

/// A till's configuration, read and checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The till itself.
    #[serde(default)]
    pub till: Till,
    /// Receipt printers by logical name.
    #[serde(default)]
    pub printers: BTreeMap<String, Device>,
    /// Payment terminals by logical name.
    #[serde(default)]
    pub terminals: BTreeMap<String, Device>,
    /// Barcode scanners by logical name.
    #[serde(default)]
    pub scanners: BTreeMap<String, Device>,
    /// Cameras that read codes, by logical name.
    #[serde(default)]
    pub cameras: BTreeMap<String, Device>,
    /// Where paper goes: a name, and the printers to try in order.
    #[serde(default)]
    pub routes: BTreeMap<String, Vec<String>>,
    /// In-store codes: weight and price in an EAN.
    #[serde(default, rename = "in-store")]
    pub in_store: Vec<String>,
}

/// The till itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Till {
    /// Its name, as it stands on receipts.
    pub name: String,
    /// The database; relative to the configuration's folder.
    pub store: PathBuf,
    /// The currency of its prices.
    #[serde(deserialize_with = "currency")]
    pub currency: Currency,
    /// The language of the words that the library puts on receipts.
    pub language: Language,
}

impl Default for Till {
    fn default() -> Self {
        Self { name: "Till".into(), store: "till.db".into(), currency: Currency::EUR, language: Language::English }
    }
}

/// One device: where it may be, and its options.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Device {
    /// Addresses in the order in which they are tried.
    pub address: Vec<Address>,
    /// Every other key is an option of the address, under the same name.
    pub options: BTreeMap<String, OptionValue>,
}

/// An option's value: a string, a number or a truth value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum OptionValue {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// True or false.
    Truth(bool),
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Truth(truth) => truth.fmt(f),
        }
    }
}

impl Device {
    /// A device at one address.
    pub fn at(address: Address) -> Self {
        Self { address: vec![address], options: BTreeMap::new() }
    }

    /// The addresses with the options applied; an address's own option wins.
    pub fn addresses(&self) -> Vec<Address> {
        let with_options = |address: &Address| {
            let missing = self.options.iter().filter(|(name, _)| address.option(name).is_none());
            missing.fold(address.clone(), |address, (name, value)| address.with(name, value.to_string()))
        };
        self.address.iter().map(with_options).collect()
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`Kind::Config`] names the file, the line, the key and what is allowed; a file that cannot
    /// be read is named as such.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::from(e).at(path.display()))?;
        let mut config = Self::parse(&text, &path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.till.store = folder.join(&config.till.store);
        Ok(config)
    }

    /// Reads and checks a configuration; `name` stands for it in messages.
    ///
    /// # Errors
    /// [`Kind::Config`] names the line, the key and what is allowed.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| locate::error(&e, text, name))?;
        config.check().map_err(|fault| {
            let place = locate::place(text, name, &fault.key);
            fault.into_error().at(place)
        })?;
        Ok(config)
    }

    /// Checks a configuration that was put together in the program.
    ///
    /// # Errors
    /// [`Kind::Config`] names the key and what is allowed.
    pub fn validate(&self) -> Result<()> {
        self.check().map_err(Fault::into_error)
    }

    /// The printers that a name stands for, in the order in which they are tried.
    pub fn route(&self, name: &str) -> Option<Vec<String>> {
        let alone = || self.printers.contains_key(name).then(|| vec![name.to_owned()]);
        self.routes.get(name).cloned().or_else(alone)
    }

    fn check(&self) -> Result<(), Fault> {
        let classes = [
            ("printers", &self.printers),
            ("terminals", &self.terminals),
            ("scanners", &self.scanners),
            ("cameras", &self.cameras),
        ];
        for (class, devices) in classes {
            for (name, device) in devices {
                let at = |key: &str| vec![class.to_owned(), name.clone(), key.to_owned()];
                if device.address.is_empty() {
                    return Err(Fault::new(at("address"), "there is no address in the list".into(), ""));
                }
                for address in device.addresses() {
                    crate::manager::check_address(class, &address).map_err(|e| {
                        let option = device.options.keys().find(|o| e.what().contains(&format!("`{o}`")));
                        let key = option.map_or("address", String::as_str);
                        let hint = e.next_step().unwrap_or_default().to_owned();
                        Fault { key: at(key), what: e.what().to_owned(), hint }
                    })?;
                }
            }
        }
        for (route, printers) in &self.routes {
            let key = || vec!["routes".to_owned(), route.clone()];
            let known = || format!("printers are: {}", list(self.printers.keys()));
            if printers.is_empty() {
                return Err(Fault::new(key(), "there is no printer in the list".into(), &known()));
            }
            if let Some(missing) = printers.iter().find(|p| !self.printers.contains_key(*p)) {
                return Err(Fault::new(key(), format!("there is no printer `{missing}`"), &known()));
            }
        }
        for template in &self.in_store {
            template
                .parse::<tresen_scanners::instore::Template>()
                .map_err(|e| Fault::new(vec!["in-store".into()], e.to_string(), ""))?;
        }
        Ok(())
    }
}

/// A key that says something it must not.
struct Fault {
    key: Vec<String>,
    what: String,
    hint: String,
}

impl Fault {
    fn new(key: Vec<String>, what: String, hint: &str) -> Self {
        Self { key, what, hint: hint.to_owned() }
    }

    fn into_error(self) -> Error {
        let error = Error::new(Kind::Config, format!("key `{}`: {}", self.key.join("."), self.what));
        if self.hint.is_empty() { error } else { error.hint(self.hint) }
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(String::as_str).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn currency<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|e: Error| serde::de::Error::custom(e.what()))
}

/// By hand, because `serde(flatten)` would lose the line that an error is on.
impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Device;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a device: a table with `address` and options")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Device, A::Error> {
                let (mut address, mut options) = (None, BTreeMap::new());
                while let Some(key) = table.next_key::<String>()? {
                    if key == "address" {
                        address = Some(table.next_value::<Addresses>()?.0);
                    } else {
                        options.insert(key, table.next_value()?);
                    }
                }
                let address = address.ok_or_else(|| serde::de::Error::missing_field("address"))?;
                Ok(Device { address, options })
            }
        }
        deserializer.deserialize_map(Table)
    }
}

/// One address or a list of them.
struct Addresses(Vec<Address>);

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Addresses;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as \"escpos+tcp://10.0.0.20\", or a list of them")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Addresses, E> {
                text.parse().map(|address| Addresses(vec![address])).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Addresses, A::Error> {
                let mut addresses = Vec::new();
                while let Some(address) = list.next_element()? {
                    addresses.push(address);
                }
                Ok(Addresses(addresses))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

#[cfg(test)]
mod tests;
