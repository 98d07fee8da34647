//! The device handle common to all classes, and what the owner shares with it.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::Instant;
use tresen_hal::{Address, BoxFuture, Clock, Driver, Error, Kind, Language, Result, Runtime};

use super::calls::Terms;
use super::lock;
use super::owner::{Hooks, LossReason, Opened, Opener, Owned, unowned};
use super::phase::Phase;
use super::plans::Plans;
use super::state::{Attention, DeviceCapabilities, DeviceState};
use crate::class::{Class, DeviceId};
use crate::config::{Declared, Reconnect};
use crate::drivers::{Context, Plan};
use crate::event::{Bus, Reporter, Source};
use crate::health::{Alerts, DeviceHealth, Observed};
use crate::lease::{Asker, Gate, Leases, Use};
use crate::store::{Origin, Store};

/// A class of devices as a type: [`Printers`](crate::Printers), [`Terminals`](crate::Terminals), …
pub trait DeviceClass: Send + Sync + 'static {
    /// The class.
    const CLASS: Class;
    /// Options allowed for every address of the class, whatever its protocol.
    const OPTIONS: &'static [&'static str] = &[];
    /// The driver trait of such a device: `dyn tresen::printers::Printer`.
    type Driver: Driver + ?Sized + 'static;
    /// The state shared between owner and handles.
    #[doc(hidden)]
    type Shared: Shared<Self::Driver>;
}

/// State shared between the owner of a device and its handles.
pub trait Shared<D: Driver + ?Sized>: Hooks<D> {
    /// The state of a newly attached device.
    fn new(setup: Setup) -> Self
    where
        Self: Sized;
    /// Wraps a driver that was just opened at `address`, for the owner to hold instead.
    fn wrap(&self, driver: Box<D>, address: Option<&Address>) -> Result<Box<D>> {
        let _ = address;
        Ok(driver)
    }
    /// The part common to all classes.
    fn common(&self) -> &Common;
    /// Conditions that require a person's attention while it is connected.
    fn attention(&self) -> Vec<Attention> {
        Vec::new()
    }
    /// Adds what only its class knows.
    fn health(&self, health: &mut DeviceHealth) {
        let _ = health;
    }
}

/// Shared by all devices of a till.
#[derive(Clone)]
pub(crate) struct Till {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) store: Store,
    pub(crate) language: Language,
    pub(crate) bus: Bus,
    /// The delays for devices that have none of their own.
    pub(crate) reconnect: Reconnect,
    pub(crate) leases: Leases,
    /// The till's name.
    pub(crate) name: Arc<str>,
    pub(crate) alerts: Arc<Alerts>,
    /// What the configuration declares about terminals.
    pub(crate) declared: Declarations,
}

/// What the configuration declares about terminals, by name. Clones share it; a reload replaces it.
#[derive(Clone, Default)]
pub(crate) struct Declarations(Arc<Mutex<BTreeMap<String, Declared>>>);

impl Declarations {
    pub(crate) fn replace(&self, declared: BTreeMap<String, Declared>) {
        *lock(&self.0) = declared;
    }

    pub(super) fn of(&self, terminal: &str) -> Declared {
        lock(&self.0).get(terminal).cloned().unwrap_or_default()
    }
}

/// Starts the owner of a device.
pub(super) type Start = Box<dyn FnOnce() + Send>;

/// A device that is being attached.
pub struct Setup {
    pub(crate) common: Common,
    pub(crate) runtime: Arc<dyn Runtime>,
}

/// The part of the shared state common to all classes.
pub struct Common {
    pub(crate) reporter: Reporter,
    last: Mutex<Last>,
}

/// The last known properties of the device; kept while it is away.
#[derive(Default)]
struct Last {
    address: Option<String>,
    capabilities: Option<DeviceCapabilities>,
}

impl Common {
    pub(crate) fn new(reporter: Reporter) -> Self {
        Self { reporter, last: Mutex::default() }
    }

    /// Records that the device is open at `address`.
    pub(crate) fn found(&self, address: &str, capabilities: Option<DeviceCapabilities>) {
        *lock(&self.last) = Last { address: Some(address.to_owned()), capabilities };
    }

    /// Records what has become known of its capabilities since it was opened.
    pub(crate) fn learned(&self, capabilities: DeviceCapabilities) {
        lock(&self.last).capabilities = Some(capabilities);
    }

    pub(crate) fn capabilities(&self) -> Option<DeviceCapabilities> {
        lock(&self.last).capabilities.clone()
    }

    /// Tells how the device was lost.
    pub(crate) fn lost(&self, reason: LossReason<'_>) {
        match reason {
            LossReason::Lost(error) => self.reporter.lost(error),
            LossReason::Ended(why) => self.reporter.ended(why),
            LossReason::Faulted(why) => self.reporter.faulted(why),
            // The caller of `close` publishes this.
            LossReason::Closed => {}
        }
    }
}

/// A device of a till, by its logical name. Clones are cheap; the till keeps the device.
///
/// A handle stands for the name: when its device is detached, every call is refused, and when a device of that class and
/// name is attached again, as a reload does with one that has changed, the handle serves that one. A wait for the next
/// scan goes on through both.
///
/// A [`Scanner`](crate::Scanner) is a `Device<Scanners>`. What all classes have stands here, the rest at each class.
pub struct Device<C: DeviceClass> {
    pub(crate) owned: Owned<C::Driver>,
    pub(super) shared: Arc<C::Shared>,
    pub(super) till: Till,
    pub(super) origin: Arc<Origin>,
    asker: Asker,
}

impl<C: DeviceClass> Clone for Device<C> {
    fn clone(&self) -> Self {
        let (owned, shared) = (self.owned.clone(), self.shared.clone());
        Self { owned, shared, till: self.till.clone(), origin: self.origin.clone(), asker: self.asker.clone() }
    }
}

impl<C: DeviceClass> Device<C> {
    /// What the first of the current `plans` opens that can be opened, and what starts owning it. With `former`, a device of that
    /// name that was closed, its handles become those of this one.
    pub(super) fn new(
        name: &str,
        plans: Plans<C::Driver>,
        till: Till,
        reconnect: Reconnect,
        former: Option<&Self>,
    ) -> (Self, Start) {
        let shared = match former {
            Some(former) => former.shared.clone(),
            None => {
                let common = Common::new(Reporter::new(C::CLASS, name, till.name.clone(), till.bus.clone()));
                Arc::new(C::Shared::new(Setup { common, runtime: till.runtime.clone() }))
            }
        };
        *lock(&shared.common().last) = Last::default();
        let (reporter, clock) = (&shared.common().reporter, till.runtime.clone());
        let (activity, terminal) = (reporter.activity.clone(), Source::Device(reporter.device.clone()));
        let journal = Arc::new(Observed {
            journal: Arc::new(till.store.clone()),
            clock,
            activity: activity.clone(),
            alerts: till.alerts.clone(),
            terminal,
            last: Mutex::default(),
        });
        let context = Context {
            language: till.language,
            ..Context::new(name).with_runtime(till.runtime.clone()).with_journal(journal)
        };
        let wraps = shared.clone();
        let opener: Opener<C::Driver> = Arc::new(move || {
            let (plans, context, wraps) = (plans.now(), context.clone(), wraps.clone());
            Box::pin(async move {
                let plans = plans?;
                let (driver, plan) = first(&plans, context).await?;
                let (address, recording) = (plan.label().to_owned(), plan.is_recording());
                Ok(Opened { driver: wraps.wrap(driver, plan.address())?, address, recording })
            })
        });
        let clock: Arc<dyn Clock> = till.runtime.clone();
        let owned = match former {
            Some(former) => {
                former.owned.open_again();
                former.owned.on_behalf_of(None)
            }
            None => unowned(name),
        };
        let (starts, hooks) = (owned.clone(), shared.clone());
        let start = Box::new(move || starts.start(opener, hooks, clock, reconnect, activity));
        (Self { owned, shared, till, origin: Arc::default(), asker: Asker::default() }, start)
    }

    /// Its logical name.
    pub fn name(&self) -> &str {
        self.owned.name()
    }

    /// Its class and name.
    pub fn id(&self) -> DeviceId {
        self.shared.common().reporter.device.clone()
    }

    /// Its state; changes can be awaited.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.owned.phase()
    }

    /// Everything known about it without a query.
    pub fn state(&self) -> DeviceState {
        let common = self.shared.common();
        let last = lock(&common.last);
        DeviceState {
            id: common.reporter.device.clone(),
            phase: self.owned.phase().borrow().clone(),
            address: last.address.clone(),
            attention: self.shared.attention(),
            busy_with: self.owned.busy_with().map(|running| running.to_string()),
            capabilities: last.capabilities.clone(),
            lease: self.till.leases.view(&common.reporter.device),
        }
    }

    /// Its state and its past, without a query.
    pub fn health(&self) -> DeviceHealth {
        let past = self.shared.common().reporter.activity.past();
        let mut health = DeviceHealth {
            state: self.state(),
            connected_since: past.connected_since,
            reconnects: past.connections.saturating_sub(1),
            attempts: past.attempts,
            errors: past.errors,
            calls: past.calls,
            waiting: self.owned.waiting() as u64,
            printed: past.printed,
            parked: past.parked,
            paper: None,
            scans: past.scans,
            last_scan: past.last_scan,
            clock: past.clock,
        };
        self.shared.health(&mut health);
        health
    }

    /// Reopens it at once, even if it is away, if its driver is faulted, or if opening it or a call hangs. An aborted
    /// call may have had its effect: a print job is parked, a payment is unknown until recovery has asked the terminal.
    ///
    /// # Errors
    /// The till was closed, or the device was detached.
    pub async fn reset(&self) -> Result<()> {
        self.owned.reset()
    }

    /// The same device for calls on behalf of `origin`, a handheld or a cashier: payments are journalled with it, and
    /// errors of calls waiting behind them name it.
    #[must_use]
    pub fn on_behalf_of(&self, origin: impl Into<Origin>) -> Self {
        let origin = origin.into();
        let caller = origin.caller().map(Arc::from);
        let asker = self.asker.named(&origin);
        Self { owned: self.owned.on_behalf_of(caller), origin: Arc::new(origin), asker, ..self.clone() }
    }

    /// The same device for calls of this caller.
    pub(crate) fn asked_by(self, asker: Asker) -> Self {
        Self { asker, ..self }
    }

    /// Lets the caller's calls pass, or refuses them, by the device's lease.
    pub(super) fn gate(&self) -> Gate {
        Gate::new(self.till.leases.clone(), self.id(), self.asker.clone())
    }

    /// Runs a short call, unless somebody else has the device.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        terms: Terms,
        ask: impl for<'a> FnOnce(&'a mut C::Driver) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let gate = self.gate();
        let _present = gate.enter(Use::Call)?;
        let call = self.owned.ask(terms, move |driver| match gate.pass() {
            Ok(()) => ask(driver),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        });
        call.await
    }

    /// Whether both are handles to the same attached device.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.owned.is_same(&other.owned)
    }
}

/// A device of any class.
pub(crate) trait AnyDevice: Send + Sync {
    fn state(&self) -> DeviceState;
    fn health(&self) -> DeviceHealth;
    /// The device was plugged in.
    fn arrived(&self);
    /// Releases it: the running call may finish until `deadline` and is then aborted.
    fn close(&self, deadline: Instant) -> BoxFuture<'static, ()>;
    fn reset(&self) -> Result<()>;
    fn phase(&self) -> watch::Receiver<Phase>;
    /// Whether somebody else has a handle to it.
    fn is_shared(&self) -> bool;
    fn as_any(&self) -> &dyn Any;
}

impl<C: DeviceClass> AnyDevice for Device<C> {
    fn state(&self) -> DeviceState {
        Device::state(self)
    }
    fn health(&self) -> DeviceHealth {
        Device::health(self)
    }
    fn arrived(&self) {
        self.owned.arrived();
    }
    fn close(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let owned = self.owned.clone();
        Box::pin(async move { owned.close(deadline).await })
    }
    fn reset(&self) -> Result<()> {
        self.owned.reset()
    }
    fn phase(&self) -> watch::Receiver<Phase> {
        self.owned.phase()
    }
    fn is_shared(&self) -> bool {
        self.owned.is_shared()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Opens the first of several plans that can be opened; otherwise an error with the reason for each.
pub(super) async fn first<D: ?Sized + 'static>(plans: &[Plan<D>], context: Context) -> Result<(Box<D>, &Plan<D>)> {
    let mut failed: Option<Error> = None;
    for plan in plans {
        match plan.open(context.clone()).await {
            Ok(driver) => return Ok((driver, plan)),
            Err(error) => {
                failed = Some(match failed {
                    None => error,
                    Some(before) => Error::new(error.kind(), format!("{before}; {error}")).with_retry(error.retry()),
                });
            }
        }
    }
    Err(failed.unwrap_or_else(|| Error::new(Kind::Config, "no address given")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Opens an address ending in 2, after 30 s; others never.
    fn plan(address: &str) -> Plan<()> {
        let address: Address = address.parse().expect(address);
        let comes = address.label().ends_with('2');
        let plan = Plan::new(address.label(), move |_context| async move {
            if !comes {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
            Ok(Box::new(()))
        });
        plan.reached_at(&address)
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_hangs_delays_the_next_for_a_while_only() {
        let first = |plans: Vec<Plan<()>>| async move {
            first(&plans, Context::new("bar")).await.map(|(_, plan)| plan.label().to_owned())
        };
        let start = Instant::now();
        let both = vec![plan("escpos+tcp://10.0.0.1:9100"), plan("escpos+ble://AA:BB:CC:DD:EE:F2")];
        assert_eq!(first(both).await.expect("the second"), "escpos+ble://AA:BB:CC:DD:EE:F2");
        assert_eq!(start.elapsed(), Duration::from_secs(40), "Bluetooth has more time");
        let both = vec![plan("escpos+tcp://10.0.0.1:9102"), plan("escpos+tcp://10.0.0.1:9101")];
        let error = first(both).await.expect_err("neither in time");
        assert_eq!(error.kind(), Kind::Timeout);
        assert!(error.to_string().contains(":9102") && error.to_string().contains(":9101"), "{error}");
    }
}
