//! A route as the spool runs it: its printers, its rules, and a lane for each station with a printer of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::FailBack;
use crate::manager::printer::PrinterDevice;

/// One route.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) name: String,
    /// Its printers in order.
    pub(crate) printers: Vec<PrinterDevice>,
    /// The printers of stations, which come first for their jobs.
    pub(crate) own: BTreeMap<String, PrinterDevice>,
    pub(crate) rules: Rules,
}

/// The rules of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) copies: u8,
    pub(crate) fail_back: FailBack,
    pub(crate) warn_after: Option<Duration>,
    pub(crate) stall: Duration,
}

/// The jobs of a route that are tried at the same printers in the same order. They keep their order; those of another
/// lane do not wait for them.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) route: String,
    pub(super) jobs: Jobs,
    pub(super) printers: Vec<PrinterDevice>,
    pub(super) rules: Rules,
}

/// Which jobs of a route belong to a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Jobs {
    /// Those of one station.
    Of(String),
    /// Those of all stations but these.
    AllBut(Vec<String>),
}

impl Jobs {
    /// All jobs of a route.
    pub(crate) fn all() -> Self {
        Self::AllBut(Vec::new())
    }
}

impl Route {
    /// The lanes: one per station with its own printer, and one for all others.
    pub(super) fn lanes(&self) -> Vec<Lane> {
        let lane = |jobs, printers| Lane { route: self.name.clone(), jobs, printers, rules: self.rules };
        let own = self.own.keys().map(|station| lane(Jobs::Of(station.clone()), self.printers_for(Some(station))));
        let mut lanes: Vec<_> = own.collect();
        lanes.push(lane(Jobs::AllBut(self.own.keys().cloned().collect()), self.printers_for(None)));
        lanes
    }

    /// The printers in the order they are tried for the jobs of a station.
    pub(super) fn printers_for(&self, station: Option<&str>) -> Vec<PrinterDevice> {
        let mut printers: Vec<_> = station.and_then(|station| self.own.get(station)).cloned().into_iter().collect();
        for printer in &self.printers {
            if !printers.iter().any(|p| p.is_same(printer)) {
                printers.push(printer.clone());
            }
        }
        printers
    }

    /// Whether it is the same route with the same devices.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |a: &PrinterDevice, b: &PrinterDevice| a.is_same(b);
        self.rules == other.rules
            && self.printers.len() == other.printers.len()
            && self.printers.iter().zip(&other.printers).all(|(a, b)| same(a, b))
            && self.own.keys().eq(other.own.keys())
            && self.own.values().zip(other.own.values()).all(|(a, b)| same(a, b))
    }

    /// Which of the devices of its name each printer is: another one may print what this one could not.
    pub(super) fn lives(&self) -> Vec<u64> {
        self.printers.iter().chain(self.own.values()).map(|printer| printer.owned.lives()).collect()
    }
}
