//! Parses TOML text into a [`Config`], keeping the position of each key.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use tresen_hal::{Address, Language};

use super::positions::Places;
use super::problem::{Fault, Path, Problem};
use super::values::{kind, quoted};
use super::{Config, Device, Reconnect};
use crate::class::{Class, DeviceId};

/// The parsed configuration, the positions, and what could not be read.
pub(super) struct Read<'t> {
    pub(super) config: Config,
    pub(super) places: Places<'t>,
    pub(super) faults: Vec<Fault>,
}

/// Reads everything that can be read.
///
/// # Errors
/// Not valid TOML: every syntax error.
pub(super) fn text<'t>(text: &'t str, name: &'t str) -> Result<Read<'t>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut places = Places::new(text, name);
    places.note_table(&Path::default(), table.get_ref());
    if !errors.is_empty() {
        return Err(places.syntax(&errors));
    }
    let mut reader = Reader { config: Config::default(), faults: Vec::new() };
    reader.file(table.get_ref());
    Ok(Read { config: reader.config, places, faults: reader.faults })
}

pub(super) struct Reader {
    pub(super) config: Config,
    faults: Vec<Fault>,
}

/// Sections besides those of the classes.
const SECTIONS: [&str; 8] = ["till", "tenders", "server", "remote", "stations", "routes", "in-store", "health"];
const LANGUAGES: [(&str, Language); 2] = [("english", Language::English), ("german", Language::German)];

impl Reader {
    fn file(&mut self, table: &DeTable<'_>) {
        let mut server = None;
        for (key, value) in table {
            let path = Path::of(&[key.get_ref()]);
            match &**key.get_ref() {
                "server" => server = Some((path, value)),
                "till" => self.till(&path, value),
                "tenders" => self.tenders(&path, value),
                "remote" => self.remote(&path, value),
                "stations" => self.stations(&path, value),
                "routes" => self.routes(&path, value),
                "in-store" => {
                    self.config.in_store = self.texts(&path, value).into_iter().map(|(_, text)| text).collect();
                }
                "health" => self.health(&path, value),
                section => match Class::of_section(section) {
                    Some(class) => self.devices(class, &path, value),
                    None => {
                        let what = format!("unknown key; expected one of {}", quoted(&sections()));
                        self.fault(Fault::error(path, what));
                    }
                },
            }
        }
        if let Some((path, value)) = server {
            self.server(&path, value);
        }
    }

    fn till(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) {
        const KEYS: [&str; 9] =
            ["name", "store", "currency", "language", "socket", "patience", "reconnect", "lease", "tell-after"];
        let Some(table) = self.table(path, value, "`[till]`") else { return };
        for (key, value) in table {
            let path = path.key(key.get_ref());
            let key = &**key.get_ref();
            if !KEYS.contains(&key) {
                let fault = Fault::error(path, format!("unknown key; expected one of {}", quoted(&KEYS)));
                self.fault(match sections().contains(&key) {
                    true => fault.hint(format!("`{key}` belongs at the top of the file, before the first `[section]`")),
                    false => fault,
                });
                continue;
            }
            match key {
                "socket" => {
                    self.config.till.socket = self.truth(&path, value).unwrap_or(self.config.till.socket);
                    continue;
                }
                "patience" => {
                    self.config.till.patience = self.duration(&path, value).unwrap_or(self.config.till.patience);
                    continue;
                }
                "lease" => {
                    self.config.till.lease = self.duration(&path, value).unwrap_or(self.config.till.lease);
                    continue;
                }
                "reconnect" => {
                    self.config.till.reconnect = self.reconnect(&path, value, Reconnect::default());
                    continue;
                }
                _ => {}
            }
            if key == "tell-after" {
                self.config.till.tell_after = self.duration(&path, value).unwrap_or(self.config.till.tell_after);
                continue;
            }
            let Some(text) = self.filled(&path, value) else { continue };
            match key {
                "name" => {
                    self.named(&path, &text);
                    self.config.till.name = text;
                }
                "store" => self.config.till.store = text.into(),
                "currency" => match text.parse() {
                    Ok(currency) => self.config.till.currency = currency,
                    Err(error) => self.fault(Fault::because(path, &error)),
                },
                _ => match LANGUAGES.iter().find(|(name, _)| *name == text) {
                    Some((_, language)) => self.config.till.language = *language,
                    None => {
                        let names = LANGUAGES.map(|(name, _)| name);
                        let what = format!("unknown language `{text}`; expected one of {}", quoted(&names));
                        self.fault(Fault::error(path, what));
                    }
                },
            }
        }
    }

    fn devices(&mut self, class: Class, path: &Path, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(path, value, &format!("`[{path}.NAME]`")) else { return };
        for (name, value) in table {
            let path = path.key(name.get_ref());
            self.named(&path, name.get_ref());
            let like = "`{ address = \"…\" }` or a section of its own";
            let device = match self.table(&path, value, like) {
                Some(table) => {
                    let declared = if class == Class::Terminal { self.declared(&path, table) } else { None };
                    if let Some(declared) = declared {
                        self.config.declared.insert(name.get_ref().to_string(), declared);
                    }
                    self.device(class, &path, table)
                }
                // Routes can refer to it all the same.
                None => Device::default(),
            };
            self.config.devices.insert(DeviceId::new(class, name.get_ref().to_string()), device);
        }
    }

    /// A name is shown on screens and in lists, in one line.
    pub(super) fn named(&mut self, path: &Path, name: &str) {
        if name.chars().any(char::is_control) {
            self.fault(Fault::error(path.clone(), "a name must not contain control characters"));
        }
    }

    fn device(&mut self, class: Class, path: &Path, table: &DeTable<'_>) -> Device {
        let mut device = Device::default();
        for (key, value) in table {
            let path = path.key(key.get_ref());
            match &**key.get_ref() {
                "address" => device.address = self.addresses(&path, value),
                "reconnect" => device.reconnect = Some(self.reconnect(&path, value, Reconnect::default())),
                "from" => {
                    device.from = self.filled(&path, value);
                    if device.from.is_none() {
                        // Nothing else is said about one that cannot be read.
                        device.from = Some(String::new());
                    }
                }
                // Declared, and no option of the protocol.
                "can" | "methods" if class == Class::Terminal => {}
                name => {
                    if let Some(value) = self.option(&path, value.get_ref()) {
                        device.options.insert(name.to_owned(), value);
                    }
                }
            }
        }
        if !table.contains_key("address") && device.from.is_none() {
            // Which options there are depends on the address: one of these may be `from`, mistyped.
            let found: Vec<_> = table.keys().map(|key| &**key.get_ref()).collect();
            let only = if found.is_empty() { String::new() } else { format!("; found only {}", quoted(&found)) };
            let fault = Fault::error(path.key("address"), format!("is missing{only}"));
            let hint = "add one, such as address = \"escpos+tcp://10.0.0.20\", or `from` for a device of a handheld";
            self.fault(fault.hint(hint));
        }
        device
    }

    fn addresses(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Vec<Address> {
        let texts = match value.get_ref() {
            DeValue::String(text) => vec![(path.clone(), text.to_string())],
            DeValue::Array(_) => self.texts(path, value),
            other => {
                let what = format!(
                    "expected an address such as \"escpos+tcp://10.0.0.20\", or a list of them; found {}",
                    kind(other)
                );
                self.fault(Fault::error(path.clone(), what));
                return Vec::new();
            }
        };
        let mut addresses = Vec::new();
        for (path, text) in texts {
            match text.parse::<Address>() {
                Ok(address) => addresses.push(address),
                Err(error) => {
                    let fault = Fault::because(path, &error);
                    let what = error.device().map_or(fault.what.clone(), |text| format!("{text}: {}", fault.what));
                    self.fault(Fault { what, ..fault });
                }
            }
        }
        addresses
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }
}

/// All sections of a file, those of the classes in their order.
fn sections() -> Vec<&'static str> {
    let [till, rest @ ..] = SECTIONS;
    [till].into_iter().chain(Class::all().map(Class::section)).chain(rest).collect()
}
