//! What the owner of a printer and its handles share: its status, which is followed while it is connected.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tresen_hal::{BoxFuture, Error, Kind, Result};
use tresen_printers::{Panel, Status};

use super::Printer;
use crate::event::{EventKind, Reporter};
use crate::health::DeviceHealth;
use crate::manager::device::{Common, Setup, Shared};
use crate::manager::owner::{Hooks, LossReason, Tended};
use crate::manager::state::{self, Attention, DeviceCapabilities, hindrance};
use crate::manager::{After, AnyPrinter, lock};

/// Shared between the owner of a printer and its handles.
pub struct SharedPrinter {
    pub(super) common: Common,
    pub(super) status: StatusOf,
    /// The open driver's panel: functions that work while the printer is busy.
    pub(super) panel: Mutex<Option<Panel>>,
    watching: Mutex<Watching>,
}

/// What the till knows about a printer's way to report its status, on this connection.
#[derive(Default)]
struct Watching {
    /// It answers when it is asked.
    answers: bool,
    /// It has reported changes unasked.
    reports: bool,
    /// How often it was asked since it could print.
    looks: u32,
    /// It could not print when it was opened, and has not told its model: it answers that only when it is ready.
    unrecognised: bool,
}

impl Shared<AnyPrinter> for SharedPrinter {
    fn new(setup: Setup) -> Self {
        let status = StatusOf { reporter: setup.common.reporter.clone(), status: Arc::new(watch::Sender::new(None)) };
        Self { common: setup.common, status, panel: Mutex::default(), watching: Mutex::default() }
    }
    fn common(&self) -> &Common {
        &self.common
    }
    fn attention(&self) -> Vec<Attention> {
        self.status.status.borrow().as_ref().map(state::attention).unwrap_or_default()
    }
    fn health(&self, health: &mut DeviceHealth) {
        health.paper = self.status.status.borrow().map(|status| status.paper);
    }
}

impl Hooks<AnyPrinter> for SharedPrinter {
    fn opened<'a>(&'a self, driver: &'a mut AnyPrinter, address: &'a str) -> BoxFuture<'a, Result<Option<Duration>>> {
        Box::pin(async move {
            let answers = driver.capabilities().status.is_yes();
            let panel = driver.panel();
            // One that says nothing is not asked: that would only take its time.
            let status = if answers { Some(driver.status().await) } else { None };
            self.common.found(address, Some(DeviceCapabilities::Printer(driver.capabilities().clone())));
            *lock(&self.panel) = Some(panel);
            if let Some(Err(error)) = &status
                && let After::Reopen(error) = After::of(error)
            {
                return Err(error);
            }
            let mut watching = Watching { answers, ..Watching::default() };
            if let Some(Ok(status)) = status {
                self.status.status.send_replace(Some(status));
                watching.unrecognised = hindrance(&status).is_some();
            }
            *lock(&self.watching) = watching;
            Ok(answers.then_some(LOOK))
        })
    }
    fn connected(&self, driver: &mut AnyPrinter, address: &str) {
        self.common.reporter.connected(address);
        let found = *self.status.status.borrow();
        if let Some(status) = found {
            self.common.reporter.publish(EventKind::Printer(status));
        }
        self.status.follow(&driver.panel());
    }
    fn event(&self, status: Status) {
        self.status.set(status);
    }
    const TENDING: &'static str = "a status request";
    fn wants_tending(&self) -> Option<Duration> {
        let watching = lock(&self.watching);
        let asked = watching.answers && !watching.reports && self.hindered();
        asked.then(|| pause(watching.looks))
    }
    fn tend<'a>(&'a self, driver: &'a mut AnyPrinter) -> BoxFuture<'a, Tended> {
        Box::pin(async move {
            let reports = driver.capabilities().automatic_status.is_yes();
            lock(&self.watching).reports = reports;
            if reports && !self.hindered() && !lock(&self.watching).unrecognised {
                // It says so itself.
                return Tended { again: None, failed: false, after: After::Keep };
            }
            let late = |_| Err(Error::new(Kind::Timeout, "it did not answer a status request in time"));
            let looked = timeout(Printer::ANSWER, self.look(driver)).await.unwrap_or_else(late);
            let again = match (self.hindered(), reports) {
                (true, true) => LOOK_AT_LEAST_EVERY,
                (true, false) => pause(lock(&self.watching).looks),
                (false, _) => LOOK,
            };
            let after = looked.as_ref().err().map_or(After::Keep, After::of);
            Tended { again: Some(again), failed: looked.is_err(), after }
        })
    }
    fn lost(&self, reason: LossReason<'_>) {
        self.status.unknown();
        *lock(&self.panel) = None;
        self.common.lost(reason);
    }
}

impl SharedPrinter {
    /// Whether it was last heard to be unable to print.
    fn hindered(&self) -> bool {
        self.status.status.borrow().as_ref().is_some_and(|status| hindrance(status).is_some())
    }

    /// Asks for the status. As soon as it can print, one that was opened out of order also tells what it is, which
    /// switches its own reports on.
    async fn look(&self, driver: &mut AnyPrinter) -> Result<()> {
        let looks = lock(&self.watching).looks;
        let status = if looks.is_multiple_of(FULL_LOOK) { driver.status().await? } else { driver.recheck().await? };
        self.status.set(status);
        lock(&self.watching).looks = if hindrance(&status).is_some() { looks + 1 } else { 0 };
        if hindrance(&status).is_none() && lock(&self.watching).unrecognised {
            driver.identity().await?;
            lock(&self.watching).unrecognised = false;
            self.common.learned(DeviceCapabilities::Printer(driver.capabilities().clone()));
            // Whoever looks at capabilities hears of printers by their status.
            self.common.reporter.publish(EventKind::Printer(status));
        }
        Ok(())
    }
}

/// Publishes a printer's status: to its watchers, and to the event bus if it has changed.
#[derive(Clone)]
pub(super) struct StatusOf {
    reporter: Reporter,
    pub(super) status: Arc<watch::Sender<Option<Status>>>,
}

impl StatusOf {
    fn set(&self, status: Status) {
        let news = self.status.send_if_modified(|last| last.replace(status) != Some(status));
        if news {
            self.reporter.publish(EventKind::Printer(status));
        }
    }

    fn unknown(&self) {
        self.status.send_replace(None);
    }

    /// Follows a driver's panel, which changes during print jobs too. Ends with the driver.
    fn follow(&self, panel: &Panel) {
        let (mut seen, this) = (panel.watch(), self.clone());
        tokio::spawn(async move {
            while seen.changed().await.is_ok() {
                let status = *seen.borrow_and_update();
                this.set(status);
            }
        });
    }
}

/// How long to wait before a printer is asked again that cannot print and does not report changes itself.
///
/// Requests are three bytes, and stay in its buffer until it can print: after five minutes it is asked less often, so that
/// a buffer of 4 KiB is not filled within eight hours. A job that is being printed is not disturbed.
fn pause(looks: u32) -> Duration {
    let doubled = looks.saturating_sub(SOON).min(8);
    (LOOK_WHILE_HINDERED * (1 << doubled)).min(LOOK_AT_LEAST_EVERY)
}

/// The first pause, how often it is made, and the longest one.
const LOOK_WHILE_HINDERED: Duration = Duration::from_secs(2);
const SOON: u32 = 150;
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// Every so many times it is asked for all statuses: the reason may be another one by now.
const FULL_LOOK: u32 = 10;
/// How often a printer that can print is asked, as its cover may be opened. One that reports changes is asked only while it
/// cannot print, as a report may be lost, and with the longest pause.
const LOOK: Duration = Duration::from_secs(30);
