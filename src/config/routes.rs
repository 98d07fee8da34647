//! Reads and checks `[routes]`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Fault, Path};
use super::read::Reader;
use super::route::{FailBack, PaperKind, Route};
use super::values::{kind, quoted};
use super::{Config, Reconnect};
use crate::class::Class;

const KEYS: [&str; 8] = ["printers", "prints", "groups", "own", "copies", "fail-back", "warn-after", "stall"];
const FAIL_BACK: [(&str, FailBack); 2] = [("at-once", FailBack::AtOnce), ("when-empty", FailBack::WhenEmpty)];
/// Instead of a duration.
const NEVER: &str = "never";

impl Reader {
    pub(super) fn routes(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(path, value, "`[routes]`") else { return };
        for (name, value) in table {
            let path = path.key(name.get_ref());
            self.named(&path, name.get_ref());
            let route = match value.get_ref() {
                DeValue::Table(table) => self.route(&path, table),
                DeValue::Array(_) => Route::of(self.names(&path, value)),
                other => {
                    let what = format!(
                        "expected a list of printers, such as [\"a\", \"b\"], or a section of its own; found {}",
                        kind(other)
                    );
                    self.fault(Fault::error(path, what));
                    continue;
                }
            };
            self.config.routes.insert(name.get_ref().to_string(), route);
        }
    }

    fn route(&mut self, path: &Path, table: &DeTable<'_>) -> Route {
        let mut route = Route::of([""; 0]);
        if !table.contains_key("printers") {
            let fault = Fault::error(path.key("printers"), "is missing");
            self.fault(fault.hint("add one, such as printers = [\"kitchen\", \"bar\"]"));
        }
        for (key, value) in table {
            let path = path.key(key.get_ref());
            match &**key.get_ref() {
                "printers" => route.printers = self.names(&path, value),
                "prints" => route.prints = self.prints(&path, value),
                "groups" => {
                    let groups = self.texts(&path, value);
                    for (path, _) in groups.iter().filter(|(_, group)| group.trim().is_empty()) {
                        self.fault(Fault::error(path.clone(), "must not be empty"));
                    }
                    route.groups = groups.into_iter().map(|(_, group)| group).collect();
                }
                "own" => route.own = self.truth(&path, value).unwrap_or(route.own),
                "copies" => route.copies = self.copies(&path, value).unwrap_or(route.copies),
                "fail-back" => route.fail_back = self.fail_back(&path, value).unwrap_or(route.fail_back),
                "warn-after" => {
                    route.warn_after = match value.get_ref().as_str() {
                        Some(NEVER) => None,
                        _ => self.duration(&path, value).or(route.warn_after),
                    }
                }
                "stall" => route.stall = self.duration(&path, value).unwrap_or(route.stall),
                _ => self.fault(Fault::error(path, format!("unknown key; expected one of {}", quoted(&KEYS)))),
            }
        }
        route
    }

    fn names(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Vec<String> {
        self.texts(path, value).into_iter().map(|(_, text)| text).collect()
    }

    fn prints(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> BTreeSet<PaperKind> {
        let mut prints = BTreeSet::new();
        for (path, name) in self.texts(path, value) {
            match name.parse() {
                Ok(kind) => _ = prints.insert(kind),
                Err(error) => self.fault(Fault::because(path, &error)),
            }
        }
        prints
    }

    fn copies(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<u8> {
        let read = match value.get_ref() {
            DeValue::Integer(number) => u8::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let read = read.filter(|copies| (1..=Route::COPIES).contains(copies));
        if read.is_none() {
            let what = format!("expected a number from 1 to {}; found {}", Route::COPIES, kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
        }
        read
    }

    fn fail_back(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<FailBack> {
        let text = value.get_ref().as_str();
        if let Some((_, when)) = FAIL_BACK.iter().find(|(name, _)| Some(*name) == text) {
            return Some(*when);
        }
        let time = text.and_then(super::values::span);
        if time.is_none() {
            let what = format!(
                "expected one of {} or a duration such as \"30s\"; found {}",
                quoted(&FAIL_BACK.map(|(name, _)| name)),
                kind(value.get_ref())
            );
            self.fault(Fault::error(path.clone(), what));
        }
        time.map(FailBack::After)
    }

    /// `{ first = "250ms", at-most = "30s" }`; what is not said is as before.
    pub(super) fn reconnect(&mut self, path: &Path, value: &Spanned<DeValue<'_>>, usual: Reconnect) -> Reconnect {
        let mut read = usual;
        let like = "`{ first = \"250ms\", at-most = \"30s\" }`";
        let Some(table) = self.table(path, value, like) else { return read };
        for (key, value) in table {
            let path = path.key(key.get_ref());
            let place: &mut Duration = match &**key.get_ref() {
                "first" => &mut read.first,
                "at-most" => &mut read.at_most,
                _ => {
                    let what = format!("unknown key; expected one of {}", quoted(&["first", "at-most"]));
                    self.fault(Fault::error(path, what));
                    continue;
                }
            };
            if let Some(delay) = self.duration(&path, value) {
                *place = delay;
            }
        }
        if read.first > read.at_most {
            let what = format!("the first delay, {:?}, is longer than the longest, {:?}", read.first, read.at_most);
            self.fault(Fault::error(path.clone(), what));
            return usual;
        }
        read
    }
}

/// Checks that the printers of each route exist, and that it is clear which route prints what.
pub(super) fn check(config: &Config, faults: &mut Vec<Fault>) {
    for (name, route) in &config.routes {
        printers(config, name, route, faults);
        rules(config, name, route, faults);
    }
    let mut taken: BTreeMap<PaperKind, &str> = BTreeMap::new();
    // A route whose rules say so comes before one that is only named like it.
    let mut all: Vec<_> = config.routes.iter().collect();
    all.sort_by_key(|(_, route)| route.prints.is_empty());
    for (name, route) in all.into_iter().filter(|(_, route)| route.groups.is_empty()) {
        for kind in route.prints(name) {
            let Some(other) = taken.insert(kind, name) else { continue };
            let path = Path::of(&["routes", name]);
            let path = if route.prints.is_empty() { path } else { path.key("prints") };
            let what = format!("the route `{other}` prints the kind of paper `{kind}` already");
            faults.push(Fault::error(path, what).hint("give one of them `groups`, or other `prints`"));
        }
    }
    for (station, printer) in config.own_printers() {
        if config.routes.values().all(|route| !route.own) {
            let what = format!("no route prints on `{printer}` first for this station");
            let fault = Fault::warning(Path::of(&["stations", station, "printer"]), what);
            faults.push(fault.hint("add `own = true` to the routes that should"));
        }
    }
}

fn printers(config: &Config, name: &str, route: &Route, faults: &mut Vec<Fault>) {
    let path = Path::of(&["routes", name]);
    // In the short form the list is the route itself.
    let at = |i: usize| [path.key("printers").index(i), path.index(i)];
    let known: Vec<_> = config.names(Class::Printer).collect();
    let known = || match known.is_empty() {
        true => "no printer is configured".to_owned(),
        false => format!("expected one of {}", known.join(", ")),
    };
    if name.trim().is_empty() {
        faults.push(Fault::error(path.clone(), "the name must not be empty"));
    }
    if route.printers.is_empty() {
        faults.push(Fault::error(path.clone(), "the list of printers is empty").hint(known()));
    }
    for (i, printer) in route.printers.iter().enumerate() {
        if config.device(Class::Printer, printer).is_none() {
            faults.push(
                Fault::error(at(i)[0].clone(), format!("unknown printer `{printer}`")).hint(known()).or(&at(i)[1]),
            );
        } else if route.printers[..i].contains(printer) {
            faults.push(Fault::warning(at(i)[0].clone(), format!("`{printer}` is listed twice")).or(&at(i)[1]));
        }
    }
    if config.device(Class::Printer, name).is_some() && !route.printers.iter().any(|p| p == name) {
        let what =
            format!("the route `{name}` does not contain the printer of that name, so its receipts go elsewhere");
        faults.push(Fault::warning(path, what));
    }
}

fn rules(config: &Config, name: &str, route: &Route, faults: &mut Vec<Fault>) {
    let path = Path::of(&["routes", name]);
    if !route.groups.is_empty() && !route.prints(name).contains(&PaperKind::Kitchen) {
        let what = "groups select kitchen tickets, which this route does not print";
        faults.push(Fault::error(path.key("groups"), what).hint("add \"kitchen\" to `prints`"));
    } else if !route.groups.is_empty() && route.prints(name).len() > 1 {
        let what = "a route with groups prints their kitchen tickets only";
        faults.push(Fault::error(path.key("prints"), what).hint("use another route for the rest"));
    }
    if route.own && config.own_printers().next().is_none() {
        let fault = Fault::warning(path.key("own"), "no station has a printer of its own");
        faults.push(fault.hint("add `[stations.NAME]` with `printer`"));
    }
    if !(1..=Route::COPIES).contains(&route.copies) {
        faults.push(Fault::error(path.key("copies"), format!("expected a number from 1 to {}", Route::COPIES)));
    }
    if route.stall.is_zero() {
        faults.push(Fault::error(path.key("stall"), "must not be zero"));
    }
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
