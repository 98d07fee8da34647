//! What a configuration prints where, also with a printer away.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Config;
use super::route::{FailBack, PaperKind, Route, friendly};
use crate::class::Class;

/// What a route prints, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RoutePlan {
    /// The route, or the printer that is its own route.
    pub route: String,
    /// The kinds of paper that it prints; empty if it is used by its name only.
    pub prints: BTreeSet<PaperKind>,
    /// The groups of lines whose kitchen tickets it prints; empty means all groups that no other route has, if it prints
    /// kitchen tickets at all.
    pub groups: BTreeSet<String>,
    /// The number of copies.
    pub copies: u8,
    /// When an earlier printer takes over again.
    pub fail_back: FailBack,
    /// How long paper may wait before a person is told, as in a configuration: `2m`.
    pub warn_after: Option<String>,
    /// The printers in the order they are tried, for each station with a printer of its own and for all others.
    pub printers: Vec<PrintersAt>,
}

/// The printers in the order they are tried for the jobs of a station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrintersAt {
    /// The station; `None` stands for all that have no printer of their own.
    pub station: Option<String>,
    /// The printers.
    pub printers: Vec<String>,
}

/// What is printed elsewhere while a printer is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AwayPlan {
    /// The printer.
    pub away: String,
    /// The routes that it changes.
    pub changes: Vec<Redirected>,
    /// The routes that it does not change.
    pub unaffected: Vec<String>,
}

/// Where a route prints while a printer is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Redirected {
    /// The route.
    pub route: String,
    /// For which station; `None` stands for all that have no printer of their own.
    pub station: Option<String>,
    /// The printer, whose paper says that it was meant for another one; `None` if the paper waits.
    pub on: Option<String>,
}

impl Config {
    /// What each route prints, and where; also each printer that is its own route.
    pub fn plan(&self) -> Vec<RoutePlan> {
        let plan = |name: &String| {
            let route = self.route(name)?;
            Some(RoutePlan {
                prints: self.printed_by(name, &route),
                printers: self.printers_at(name, &route),
                route: name.clone(),
                groups: route.groups,
                copies: route.copies,
                fail_back: route.fail_back,
                warn_after: route.warn_after.map(friendly),
            })
        };
        self.all_routes().iter().filter_map(plan).collect()
    }

    /// What changes while each printer is away, by printer.
    pub fn plan_away(&self) -> Vec<AwayPlan> {
        let plans = self.plan();
        let away = self.names(Class::Printer).map(|away| {
            let (mut changes, mut unaffected) = (Vec::new(), Vec::new());
            for plan in &plans {
                // The printer that is its own route is no news.
                if !self.routes.contains_key(&plan.route) {
                    continue;
                }
                let first = |at: &&PrintersAt| at.printers.first().is_some_and(|first| first == away);
                let redirected = plan.printers.iter().filter(first).map(|at| Redirected {
                    route: plan.route.clone(),
                    station: at.station.clone(),
                    on: at.printers.get(1).cloned(),
                });
                let before = changes.len();
                changes.extend(redirected);
                if changes.len() == before {
                    unaffected.push(plan.route.clone());
                }
            }
            AwayPlan { away: away.to_owned(), changes, unaffected }
        });
        away.collect()
    }

    fn all_routes(&self) -> BTreeSet<String> {
        self.routes.keys().cloned().chain(self.names(Class::Printer).map(str::to_owned)).collect()
    }

    /// What comes to this route by its kind.
    fn printed_by(&self, name: &str, route: &Route) -> BTreeSet<PaperKind> {
        if !route.groups.is_empty() {
            return BTreeSet::from([PaperKind::Kitchen]);
        }
        let here = |kind: &PaperKind| self.route_for(*kind).is_ok_and(|route| route == name);
        PaperKind::ALL.into_iter().filter(here).collect()
    }

    fn printers_at(&self, name: &str, route: &Route) -> Vec<PrintersAt> {
        let own = self.own_printers().filter(|_| route.own).map(|(station, _)| Some(station.to_owned()));
        let stations = own.chain([None]);
        let at = stations.map(|station| PrintersAt { printers: self.printers_for(name, station.as_deref()), station });
        at.collect()
    }
}
