//! The capabilities of a till, from its devices' states and its configuration.

use std::collections::BTreeMap;

use tresen_hal::Known;
use tresen_payment::OperationKind;
use tresen_printers::Paper;

use super::{
    Answer, MethodCapabilities, PrinterCapabilities, RouteCapabilities, ScannerCapabilities, TenderCapabilities,
    TenderName, TillCapabilities,
};
use crate::class::Class;
use crate::config::Can;
use crate::manager::possible::source;
use crate::manager::printer::PrinterDevice;
use crate::manager::{DeviceCapabilities, DeviceState, Phase, hindrance, lock};
use crate::sync::SyncState;
use crate::tresen::Tresen;

impl Answer {
    fn yes() -> Self {
        Self { now: Known::Yes, can: Known::Yes, why: None }
    }

    /// Possible if `can` is, and the device can be reached.
    fn of(can: Self, reach: &Reach) -> Self {
        match (can.can, reach.now) {
            (Known::No, _) => Self { now: Known::No, ..can },
            (_, Known::Yes) => Self { now: can.can, ..can },
            (_, now) => Self { now, can: can.can, why: reach.why.clone() },
        }
    }

    /// What is declared comes before what the device told.
    fn declared(declared: Option<Known>, told: Known, not: impl FnOnce() -> String) -> Self {
        let can = declared.unwrap_or(told);
        let why = match (declared, can) {
            (_, Known::Yes) => None,
            (Some(Known::No), _) => Some(not()),
            (Some(_), _) => Some("declared by configuration as unknown".to_owned()),
            (None, Known::No) => Some("the device told that it cannot".to_owned()),
            (None, Known::Unknown) => Some("the device does not tell; an attempt shows it".to_owned()),
        };
        Self { now: can, can, why }
    }
}

/// Whether a device can be reached now.
struct Reach {
    now: Known,
    why: Option<String>,
}

impl Reach {
    fn yes() -> Self {
        Self { now: Known::Yes, why: None }
    }

    fn of(state: &DeviceState) -> Self {
        let id = &state.id;
        let (now, why) = match &state.phase {
            Phase::Ready => return Self::yes(),
            Phase::Opening => (Known::Unknown, format!("{id} is being opened")),
            Phase::Away { why, since } => (Known::No, format!("{id} is away since {since:.0}: {why}")),
            Phase::Ended { why } | Phase::Faulted { why } => (Known::No, format!("{id} failed: {why}")),
            Phase::Closed => (Known::No, format!("{id} was detached")),
        };
        Self { now, why: Some(why) }
    }
}

impl Tresen {
    pub(super) fn compose(&self) -> TillCapabilities {
        let devices = self.devices();
        let of = |class: Class| devices.iter().filter(move |state| state.id.class == class);
        let cash = self.own("cash", TenderName::Cash, Reach::yes());
        let terminals = of(Class::Terminal).map(|state| self.terminal_can(state));
        let account = self.account();
        let own =
            self.own_names().into_iter().map(|name| self.own(&name, TenderName::Other(name.clone()), self.set(&name)));
        TillCapabilities {
            tenders: std::iter::once(cash).chain(terminals).chain(account).chain(own).collect(),
            routes: self.0.spool.names().into_iter().map(|name| self.route_can(name)).collect(),
            scanners: of(Class::Scanner).chain(of(Class::Camera)).map(|state| self.scanner_can(state)).collect(),
        }
    }

    /// What a device can do, and whether that is only remembered.
    fn told(&self, state: &DeviceState) -> (Option<DeviceCapabilities>, bool) {
        let kept = || lock(&self.0.capabilities.remembered).get(&state.id).map(|kept| kept.capabilities.clone());
        let told = state.capabilities.clone().or_else(kept);
        let remembered = told.is_some() && !state.phase.is_ready();
        (told, remembered)
    }

    fn terminal_can(&self, state: &DeviceState) -> TenderCapabilities {
        let (told, remembered) = self.told(state);
        let told = match told {
            Some(DeviceCapabilities::Terminal(told)) => told,
            _ => tresen_payment::Capabilities::default(),
        };
        let declared = self.config().declared.get(&state.id.name).cloned().unwrap_or_default();
        let reach = Reach::of(state);
        let all = &declared.can;
        let answer = |declared: Option<Known>, told: Known, cannot: &str| {
            Answer::of(Answer::declared(declared, told, || by_configuration(&state.id.name, all, cannot)), &reach)
        };
        let able = |kind: OperationKind, told: Known| answer(all.of(kind), told, kind.verb());
        let pay = able(OperationKind::Pay, Known::Yes);
        let [refund, reversal] = [OperationKind::Refund, OperationKind::Reversal].map(|kind| able(kind, told.of(kind)));
        let others = OperationKind::ALL.iter().filter(|kind| !kind.is_tender());
        let methods = declared.methods.iter().map(|method| {
            // What the whole terminal cannot do, none of its methods can.
            let answer = |kind: OperationKind, all: &Answer| match method.can.of(kind) {
                Some(declared) if !all.can.is_no() => {
                    let not = || by_configuration(&method.name, &method.can, kind.verb());
                    Answer::of(Answer::declared(Some(declared), Known::Unknown, not), &reach)
                }
                _ => all.clone(),
            };
            MethodCapabilities {
                name: method.name.clone(),
                provider: method.can.provider.clone().or_else(|| all.provider.clone()),
                integration: method.can.integration.clone().or_else(|| all.integration.clone()),
                pay: answer(OperationKind::Pay, &pay),
                refund: answer(OperationKind::Refund, &refund),
                reversal: answer(OperationKind::Reversal, &reversal),
            }
        });
        TenderCapabilities {
            methods: methods.collect(),
            others: others.map(|kind| (*kind, able(*kind, told.of(*kind)))).collect(),
            tender: TenderName::Terminal(state.id.name.clone()),
            tip: answer(all.tip, Known::Yes, "pay tips"),
            partial: answer(all.partial, told.partial, "pay a part"),
            pay,
            refund,
            reversal,
            remembered,
        }
    }

    /// Customers' accounts, if there is a server.
    fn account(&self) -> Option<TenderCapabilities> {
        let state = self.0.sync.as_ref()?.state().borrow().clone();
        let reach = match state {
            SyncState::Local { since, why } => {
                let why = format!(
                    "the server is away since {since:.0}: {why}; what the balance last seen allows may be taken"
                );
                Reach { now: Known::Unknown, why: Some(why) }
            }
            _ => Reach::yes(),
        };
        Some(self.own("account", TenderName::Account, reach))
    }

    /// The names of the vendor's own tenders.
    fn own_names(&self) -> Vec<String> {
        let config = self.config();
        let mut names: Vec<_> = config.tenders.keys().cloned().collect();
        names.extend(lock(&self.0.capabilities.tenders).keys().cloned());
        let account = self.0.sync.is_some();
        names.retain(|name| name != "cash" && !(account && name == "account"));
        names.sort();
        names.dedup();
        names
    }

    /// What the program told about one of its own tenders.
    fn set(&self, name: &str) -> Reach {
        match lock(&self.0.capabilities.tenders).get(name).cloned() {
            Some((now, why)) => Reach { now, why },
            None => Reach::yes(),
        }
    }

    /// A tender without a device: what is not declared, it can.
    fn own(&self, name: &str, tender: TenderName, reach: Reach) -> TenderCapabilities {
        let config = self.config();
        let nothing = Can::default();
        let can = config.tenders.get(name).unwrap_or(&nothing);
        let answer = |declared: Option<Known>, cannot: &str| {
            let declared = Answer::declared(declared, Known::Yes, || by_configuration(name, can, cannot));
            Answer::of(declared, &reach)
        };
        let able = |kind: OperationKind| answer(can.of(kind), kind.verb());
        TenderCapabilities {
            tender,
            pay: able(OperationKind::Pay),
            refund: able(OperationKind::Refund),
            reversal: able(OperationKind::Reversal),
            tip: answer(can.tip, "pay tips"),
            partial: answer(can.partial, "pay a part"),
            methods: Vec::new(),
            others: BTreeMap::new(),
            remembered: false,
        }
    }

    fn route_can(&self, route: String) -> RouteCapabilities {
        let station = self.origin().and_then(|origin| origin.station);
        let printers: Vec<_> =
            self.0.spool.printers(&route, station.as_deref()).iter().map(|printer| self.printer_can(printer)).collect();
        let able = printers.iter().find(|printer| !printer.print.now.is_no());
        let print = match able {
            Some(printer) => printer.print.clone(),
            None => {
                let why: Vec<_> = printers.iter().filter_map(|printer| printer.print.why.clone()).collect();
                Answer { now: Known::No, can: Known::Yes, why: Some(why.join("; ")) }
            }
        };
        RouteCapabilities { route, on: able.map(|printer| printer.printer.clone()), print, printers }
    }

    fn printer_can(&self, printer: &PrinterDevice) -> PrinterCapabilities {
        let state = printer.state();
        let (told, remembered) = self.told(&state);
        let drawer = match told {
            Some(DeviceCapabilities::Printer(told)) => told.drawer,
            _ => Known::Unknown,
        };
        let (status, reach) = (*printer.last_status().borrow(), Reach::of(&state));
        let name = printer.name().to_owned();
        let print = match (&status, reach.now) {
            (Some(status), Known::Yes) if hindrance(status).is_some() => {
                let why = hindrance(status).map(|why| format!("{name}: {why}"));
                Answer { now: Known::No, can: Known::Yes, why }
            }
            (Some(status), Known::Yes) if status.online.is_yes() => Answer::yes(),
            (_, Known::Yes) => {
                Answer { now: Known::Unknown, can: Known::Yes, why: Some(format!("{name} does not report its state")) }
            }
            _ => Answer::of(Answer::yes(), &reach),
        };
        PrinterCapabilities {
            printer: name,
            print,
            drawer: Answer::of(Answer::declared(None, drawer, String::new), &reach),
            paper: status.map_or(Paper::Unknown, |status| status.paper),
            remembered,
        }
    }

    fn scanner_can(&self, state: &DeviceState) -> ScannerCapabilities {
        let (told, remembered) = self.told(state);
        let beep = match told {
            Some(DeviceCapabilities::Scanner(told)) => told.beep,
            _ => Known::No,
        };
        let reach = Reach::of(state);
        ScannerCapabilities {
            device: state.id.clone(),
            scan: Answer::of(Answer::yes(), &reach),
            beep: Answer::of(Answer::declared(None, beep, String::new), &reach),
            remembered,
        }
    }
}

/// Why something is impossible by configuration.
fn by_configuration(who: &str, can: &Can, cannot: &str) -> String {
    format!("declared by configuration: {who}{} cannot {cannot}", source(can))
}
