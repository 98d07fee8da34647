//! Stations and their fixed devices: `[stations."handheld 7"]`.

use toml::Spanned;
use toml::de::DeValue;

use super::Config;
use super::problem::{Fault, Path};
use super::read::Reader;
use super::values::quoted;
use crate::class::Class;

/// The devices assigned to a station, by their logical names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Station {
    /// Its payment terminal.
    pub terminal: Option<String>,
    /// Its own printer, such as a belt printer.
    pub printer: Option<String>,
    /// Its scanner.
    pub scanner: Option<String>,
    /// What follows the dot in the names of the devices that it offers from outside: `7` for `belt.7`. The last word of
    /// its name, if absent.
    pub suffix: Option<String>,
}

impl Station {
    /// What follows the dot in the names of the devices that the station `name` offers from outside.
    pub fn suffix<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.suffix.as_deref().or_else(|| name.split_whitespace().next_back())
    }

    /// The device of a class assigned to it.
    pub fn device(&self, class: Class) -> Option<&str> {
        match class {
            Class::Terminal => self.terminal.as_deref(),
            Class::Printer => self.printer.as_deref(),
            Class::Scanner => self.scanner.as_deref(),
            _ => None,
        }
    }
}

const CLASSES: [Class; 3] = [Class::Terminal, Class::Printer, Class::Scanner];

impl Reader {
    pub(super) fn stations(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(path, value, "`[stations.NAME]`") else { return };
        for (name, value) in table {
            let path = path.key(name.get_ref());
            self.named(&path, name.get_ref());
            let Some(table) = self.table(&path, value, "`{ terminal = \"…\" }` or a section of its own") else {
                continue;
            };
            let mut station = Station::default();
            for (key, value) in table {
                let path = path.key(key.get_ref());
                let place = match &**key.get_ref() {
                    "terminal" => &mut station.terminal,
                    "printer" => &mut station.printer,
                    "scanner" => &mut station.scanner,
                    "suffix" => &mut station.suffix,
                    _ => {
                        let keys: Vec<_> = CLASSES.map(Class::name).into_iter().chain(["suffix"]).collect();
                        self.fault(Fault::error(path, format!("unknown key; expected one of {}", quoted(&keys))));
                        continue;
                    }
                };
                *place = self.filled(&path, value);
            }
            self.config.stations.insert(name.get_ref().to_string(), station);
        }
    }
}

/// Whether a device may come from outside: its name has a station's suffix.
fn offered(config: &Config, device: &str) -> bool {
    let suffixes = config.stations.iter().filter_map(|(name, station)| station.suffix(name));
    config.remote.is_some()
        && suffixes.into_iter().any(|suffix| {
            device.strip_suffix(suffix).and_then(|name| name.strip_suffix('.')).is_some_and(|name| !name.is_empty())
        })
}

/// Checks that each device of a station exists.
pub(super) fn check(config: &Config, faults: &mut Vec<Fault>) {
    for (name, station) in &config.stations {
        for class in CLASSES {
            let Some(device) = station.device(class) else { continue };
            if config.device(class, device).is_some() || offered(config, device) {
                continue;
            }
            let known: Vec<_> = config.names(class).collect();
            let fault = Fault::error(
                Path::of(&["stations", name, class.name()]),
                format!("unknown {} `{device}`", class.name()),
            );
            faults.push(match known.is_empty() {
                true => fault.hint(format!("no {} is configured", class.name())),
                false => fault.hint(format!("expected one of {}", known.join(", "))),
            });
        }
    }
}
