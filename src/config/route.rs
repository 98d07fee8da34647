//! Print routes: which printers print what, in which order.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize, Serializer};
use tresen_hal::{Error, Kind};

use super::Config;
use crate::class::Class;

/// A print route: printers in order, and rules.
///
/// A job goes to the first printer that can print it. If another one than the first prints it, the paper says so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The printers in the order they are tried.
    pub printers: Vec<String>,
    /// What it prints. Empty means what its name says (`receipt`, `kitchen`, `slip`, `label`), or nothing by itself: then
    /// it is used by its name only.
    pub prints: BTreeSet<PaperKind>,
    /// Groups of lines whose kitchen tickets it prints. Empty means all groups that no other route has, if it prints
    /// kitchen tickets.
    pub groups: BTreeSet<String>,
    /// Whether a station's own printer ([`Station::printer`](super::Station)) is tried first for the jobs of that station.
    pub own: bool,
    /// The number of copies of each job, each cut off by itself.
    pub copies: u8,
    /// When an earlier printer takes over again from a later one.
    pub fail_back: FailBack,
    /// How long paper may wait before a person is told; `None` means that nobody is.
    pub warn_after: Option<Duration>,
    /// How long jobs wait for a printer that is busy with another job before they go to the next one.
    pub stall: Duration,
}

/// Kinds of paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum PaperKind {
    /// A customer's receipt.
    Receipt,
    /// A ticket for those who make what was ordered: kitchen, bar, grill.
    Kitchen,
    /// A terminal's slip or report.
    Slip,
    /// A label.
    Label,
}

/// When an earlier printer of a route takes over again after a later one has printed in its place.
///
/// Serialises as in a configuration: `at-once`, `when-empty`, `30s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailBack {
    /// With the next job, as soon as it can print.
    #[default]
    AtOnce,
    /// When no job of the route waits any more, so that a series of papers stays on one printer.
    WhenEmpty,
    /// When it has been able to print for this long, so that a loose cable does not scatter the papers.
    After(Duration),
}

impl Route {
    /// The usual limit of [`Route::warn_after`]: 2 min.
    pub const WARN_AFTER: Duration = Duration::from_secs(120);
    /// The usual [`Route::stall`]: 15 s.
    pub const STALL: Duration = Duration::from_secs(15);
    /// The most copies of a job.
    pub const COPIES: u8 = 9;

    /// A route with the usual rules.
    pub fn of<S: Into<String>>(printers: impl IntoIterator<Item = S>) -> Self {
        Self {
            printers: printers.into_iter().map(Into::into).collect(),
            prints: BTreeSet::new(),
            groups: BTreeSet::new(),
            own: false,
            copies: 1,
            fail_back: FailBack::default(),
            warn_after: Some(Self::WARN_AFTER),
            stall: Self::STALL,
        }
    }

    /// What a route of this name prints.
    pub fn prints(&self, name: &str) -> BTreeSet<PaperKind> {
        match (self.prints.is_empty(), self.groups.is_empty()) {
            (false, _) => self.prints.clone(),
            (true, false) => BTreeSet::from([PaperKind::Kitchen]),
            (true, true) => name.parse().into_iter().collect(),
        }
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Route {
    fn from(printers: [S; N]) -> Self {
        Self::of(printers)
    }
}

impl PaperKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Receipt, Self::Kitchen, Self::Slip, Self::Label];

    /// Its name in a configuration: `receipt`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Kitchen => "kitchen",
            Self::Slip => "slip",
            Self::Label => "label",
        }
    }

    /// The kind that stands in where no route prints this one.
    fn otherwise(self) -> Option<Self> {
        (self == Self::Slip).then_some(Self::Receipt)
    }
}

impl fmt::Display for PaperKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PaperKind {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(|kind| format!("`{kind}`")).join(", ");
            Error::new(Kind::Config, format!("unknown kind of paper `{name}`; expected one of {known}"))
        })
    }
}

impl fmt::Display for FailBack {
    /// As in a configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => f.write_str("at-once"),
            Self::WhenEmpty => f.write_str("when-empty"),
            Self::After(time) => f.write_str(&friendly(*time)),
        }
    }
}

impl Serialize for FailBack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A duration as in a configuration: `2m`.
pub(super) fn friendly(time: Duration) -> String {
    match SignedDuration::try_from(time) {
        Ok(time) => format!("{time:#}"),
        Err(_) => format!("{time:?}"),
    }
}

impl Config {
    /// The route of that name, or the printer of that name as its own route.
    pub fn route(&self, name: &str) -> Option<Route> {
        let alone = || self.device(Class::Printer, name).map(|_| Route::of([name]));
        self.routes.get(name).cloned().or_else(alone)
    }

    /// The route that prints a kind of paper: the one whose rules say so, otherwise the route or printer of that name.
    /// Slips go where receipts go if nothing else is configured.
    ///
    /// # Errors
    /// [`Kind::Config`]: none does.
    pub fn route_for(&self, kind: PaperKind) -> Result<String, Error> {
        let found = [Some(kind), kind.otherwise()].into_iter().flatten().find_map(|kind| self.route_of(kind));
        found.ok_or_else(|| {
            let hint = format!("add `prints = [\"{kind}\"]` to a route, or name a route or printer `{kind}`");
            Error::new(Kind::Config, format!("no route prints the kind of paper `{kind}`")).hint(hint)
        })
    }

    fn route_of(&self, kind: PaperKind) -> Option<String> {
        let rules = |(name, route): &(&String, &Route)| route.groups.is_empty() && route.prints(name).contains(&kind);
        let route = self.routes.iter().find(rules).map(|(name, _)| name.clone());
        let alone = || self.device(Class::Printer, kind.name()).map(|_| kind.name().to_owned());
        let overridden = self.routes.contains_key(kind.name());
        route.or_else(|| alone().filter(|_| !overridden))
    }

    /// The routes that print the kitchen tickets of a group of lines: all that name the group, otherwise the one for
    /// all other groups. Lines without a group need no route: there is nothing to make.
    ///
    /// # Errors
    /// [`Kind::Config`]: there is none for that group; the error names the groups that have one.
    pub fn routes_for_group(&self, group: Option<&str>) -> Result<Vec<String>, Error> {
        let Some(group) = group else {
            return Ok(self.route_for(PaperKind::Kitchen).into_iter().collect());
        };
        let named: Vec<_> =
            self.routes.iter().filter(|(_, r)| r.groups.contains(group)).map(|(name, _)| name.clone()).collect();
        if !named.is_empty() {
            return Ok(named);
        }
        let Ok(other) = self.route_for(PaperKind::Kitchen) else {
            let groups: BTreeSet<_> = self.routes.values().flat_map(|route| &route.groups).cloned().collect();
            let hint = match groups.is_empty() {
                true => "no route has groups or prints `kitchen`".to_owned(),
                false => {
                    let known: Vec<_> = groups.into_iter().collect();
                    format!(
                        "groups with a route: {}; or add a route without groups that prints `kitchen`",
                        known.join(", ")
                    )
                }
            };
            return Err(Error::new(Kind::Config, format!("no route prints the group `{group}`")).hint(hint));
        };
        Ok(vec![other])
    }

    /// The printers of a route in the order they are tried for the jobs of a station; `None` for any other.
    pub fn printers_for(&self, route: &str, station: Option<&str>) -> Vec<String> {
        let Some(route) = self.route(route) else { return Vec::new() };
        let own = station.filter(|_| route.own).and_then(|name| self.own_printer(name));
        let mut printers: Vec<String> = own.map(str::to_owned).into_iter().collect();
        for printer in route.printers {
            if !printers.contains(&printer) {
                printers.push(printer);
            }
        }
        printers
    }

    fn own_printer(&self, station: &str) -> Option<&str> {
        self.stations.get(station)?.printer.as_deref()
    }

    /// The stations that have a printer of their own, with it.
    pub(crate) fn own_printers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.stations.iter().filter_map(|(name, station)| Some((name.as_str(), station.printer.as_deref()?)))
    }
}
