//! The registry of a till's devices, which change while the till runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio::time::Instant;
use tresen_hal::{Address, Error, Kind, Result};

use super::camera::Cameras;
use super::device::{AnyDevice, Device, DeviceClass, Till};
use super::hotplug::HotPlug;
use super::lock;
use super::plans::{Offered, Plans};
use super::printer::Printers;
use super::scanner::Scanners;
use super::state::DeviceState;
use super::terminal::Terminals;
use crate::class::{Class, DeviceId};
use crate::config;
use crate::drivers::{Drivers, Plan};
use crate::event::{EventKind, Source};
use crate::health::DeviceHealth;

/// All devices of a till. Each device's owner ends when it is detached or the registry is dropped.
pub(crate) struct Registry {
    drivers: Drivers,
    till: Till,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    devices: BTreeMap<DeviceId, Entry>,
    /// Those that are being detached, and those that were while somebody has a handle to them: it is good again when a
    /// device of that name is attached.
    former: BTreeMap<DeviceId, Arc<dyn AnyDevice>>,
    /// How the devices that the program attached are opened, and those of the configuration that it is to offer; the
    /// latter outlive the device, so that a reload that replaces it does not part it from them.
    offered: BTreeMap<DeviceId, Offered>,
    /// Offers so far.
    offers: u64,
    /// Watches for devices that are plugged in, as soon as there is one that can be.
    hot_plug: Option<HotPlug>,
    closed: bool,
}

struct Entry {
    device: Arc<dyn AnyDevice>,
    /// Its possible addresses, for hot-plug.
    addresses: Vec<Address>,
    /// Its configuration; `None` for a device attached by the program.
    configured: Option<config::Device>,
}

/// How devices of each class are attached.
const ATTACH: [(Class, Attach); 4] = [
    (Class::Printer, attach::<Printers>),
    (Class::Terminal, attach::<Terminals>),
    (Class::Scanner, attach::<Scanners>),
    (Class::Camera, attach::<Cameras>),
];

type Attach = fn(&Arc<Registry>, &str, &config::Device, bool) -> Result<()>;

fn attach<C: DeviceClass>(registry: &Arc<Registry>, name: &str, device: &config::Device, announce: bool) -> Result<()> {
    let id = DeviceId::new(C::CLASS, name);
    let Some(station) = &device.from else {
        let plans: Result<Vec<_>> =
            device.addresses().iter().map(|address| registry.drivers.plan::<C>(address)).collect();
        let plans = plans.map_err(|e| if e.device().is_some() { e } else { e.at(name) })?;
        let addresses = addresses(name, &plans)?;
        registry.add::<C>(name, Plans::new(plans), addresses, Some(device), announce)?;
        // What somebody offered before under its name is not this device.
        lock(&registry.state).offered.remove(&id);
        return Ok(());
    };
    registry.add::<C>(name, registry.expected::<C>(&id, station), Vec::new(), Some(device), announce)?;
    Ok(())
}

/// The known locations of a device that is opened by `plans`.
///
/// # Errors
/// [`Kind::Config`]: there is no plan.
fn addresses<D: ?Sized + 'static>(name: &str, plans: &[Plan<D>]) -> Result<Vec<Address>> {
    if plans.is_empty() {
        return Err(Error::new(Kind::Config, "no address given").at(name));
    }
    Ok(plans.iter().filter_map(|plan| plan.address().cloned()).collect())
}

impl Registry {
    pub(crate) fn new(drivers: Drivers, till: Till) -> Arc<Self> {
        Arc::new(Self { drivers, till, state: Mutex::default() })
    }

    /// Replaces what the configuration declares about terminals.
    pub(crate) fn declare(&self, declared: BTreeMap<String, config::Declared>) {
        self.till.declared.replace(declared);
    }

    pub(crate) fn drivers(&self) -> &Drivers {
        &self.drivers
    }

    /// Attaches a configured device; `announce` publishes [`EventKind::Attached`].
    ///
    /// # Errors
    /// Its address is wrong, or its name is taken.
    pub(crate) fn attach_configured(
        self: &Arc<Self>,
        id: &DeviceId,
        device: &config::Device,
        announce: bool,
    ) -> Result<()> {
        let row = ATTACH.iter().find(|(class, _)| *class == id.class);
        let (_, attach) = row.ok_or_else(|| Error::new(Kind::Unsupported, "cannot be attached").at(id))?;
        attach(self, &id.name, device, announce)
    }

    /// Attaches a device that `station` offers, or the program itself, and publishes [`EventKind::Attached`]; `plans` are
    /// tried in order. A device of the configuration that is expected from outside is opened by them from now on. Returns
    /// the number of the offer.
    ///
    /// # Errors
    /// [`Kind::Config`]: the name or the place is taken, the name is empty, it is expected from another station, or there is
    /// no plan; [`Kind::Cancelled`]: the till was closed.
    pub(crate) fn attach<C: DeviceClass>(
        self: &Arc<Self>,
        name: &str,
        station: Option<&str>,
        plans: Vec<Plan<C::Driver>>,
    ) -> Result<u64> {
        let (id, addresses) = (DeviceId::new(C::CLASS, name), addresses(name, &plans)?);
        for address in &addresses {
            self.is_free(address, |_| true)?;
        }
        let plans: Vec<_> = plans.into_iter().map(|plan| self.drivers.redacted::<C>(plan)).collect();
        let expected = self.find::<C>(name).zip(self.expected_from(&id));
        let plans = match &expected {
            Some((_, from)) => {
                if let Some(other) = station.filter(|station| *station != from.as_str()) {
                    let what = format!("it is expected from the station {from}, not from {other}");
                    return Err(Error::new(Kind::Config, what).at(&id));
                }
                let shared = self.expected::<C>(&id, from);
                shared.replace(plans);
                shared
            }
            None => {
                let plans = Plans::new(plans);
                self.add::<C>(name, plans.clone(), addresses, None, true)?;
                plans
            }
        };
        let number = {
            let mut state = lock(&self.state);
            state.offers += 1;
            let number = state.offers;
            state.offered.insert(id, Offered::new(plans, number, station));
            number
        };
        if let Some((device, _)) = expected {
            device.owned.reset()?;
        }
        Ok(number)
    }

    /// The station from which the configuration expects a device.
    fn expected_from(&self, id: &DeviceId) -> Option<String> {
        lock(&self.state).devices.get(id)?.configured.as_ref()?.from.clone()
    }

    /// The plans of a device that is expected from `station`: those that were offered before, unless by another.
    fn expected<C: DeviceClass>(&self, id: &DeviceId, station: &str) -> Plans<C::Driver> {
        let mut state = lock(&self.state);
        let offered = state.offered.entry(id.clone()).or_insert_with(Offered::none::<C::Driver>);
        if !offered.may_be_of(station) {
            *offered = Offered::none::<C::Driver>();
        }
        offered.plans().unwrap_or_else(|| Plans::new(Vec::new()))
    }

    /// Whether the device is there, opened by what was offered under this number.
    pub(crate) fn is_attached(&self, id: &DeviceId, number: u64) -> bool {
        let state = lock(&self.state);
        state.devices.contains_key(id) && state.offered.get(id).is_some_and(|offered| offered.is(number))
    }

    /// Whether a device that is not of the configuration may be the one that it expects from `station`.
    pub(crate) fn may_be_of(&self, id: &DeviceId, station: &str) -> bool {
        lock(&self.state).offered.get(id).is_none_or(|offered| offered.may_be_of(station))
    }

    /// What was offered under this number is not offered any more; a device of the configuration stays, away. Returns
    /// whether the device is to be detached.
    pub(crate) fn withdraw(&self, id: &DeviceId, number: u64) -> bool {
        let mut state = lock(&self.state);
        let configured = state.devices.get(id).map(|entry| entry.configured.is_some());
        let Some(offered) = state.offered.get_mut(id).filter(|offered| offered.is(number)) else { return false };
        if configured == Some(false) {
            return true;
        }
        offered.withdraw();
        false
    }

    /// A device that the program has attached is one of the configuration from now on.
    pub(crate) fn adopt(&self, id: &DeviceId, device: &config::Device) {
        if let Some(entry) = lock(&self.state).devices.get_mut(id) {
            entry.configured = Some(device.clone());
        }
    }

    /// Checks that no attached device among those that count uses the same link as `address`.
    ///
    /// # Errors
    /// [`Kind::Config`]: one does; the error names it.
    pub(crate) fn is_free(&self, address: &Address, counts: impl Fn(&DeviceId) -> bool) -> Result<()> {
        let place = |address: &Address| config::place(self.drivers.resolve(address).link());
        let Some(here) = place(address) else { return Ok(()) };
        let state = lock(&self.state);
        let at = |there: &Address| place(there).as_ref() == Some(&here);
        let mut held = state.devices.iter().filter(|(id, _)| counts(id));
        let Some((id, _)) = held.find(|(_, entry)| entry.addresses.iter().any(at)) else { return Ok(()) };
        let what = format!("{} is also an address of the {id}", self.drivers.resolve(address).label());
        Err(Error::new(Kind::Config, what).hint("a device serves one name: use that name for both, or a route"))
    }

    fn add<C: DeviceClass>(
        self: &Arc<Self>,
        name: &str,
        plans: Plans<C::Driver>,
        addresses: Vec<Address>,
        configured: Option<&config::Device>,
        announce: bool,
    ) -> Result<()> {
        let id = DeviceId::new(C::CLASS, name);
        if name.trim().is_empty() {
            return Err(Error::new(Kind::Config, "the name must not be empty").at(C::CLASS));
        }
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Error::new(Kind::Cancelled, "the till was closed").at(&id));
        }
        if state.devices.contains_key(&id) {
            return Err(Error::new(Kind::Config, "a device of that name already exists").at(&id));
        }
        let former = state.former.get(&id).and_then(|former| former.as_any().downcast_ref::<Device<C>>());
        let reconnect = configured.and_then(|device| device.reconnect).unwrap_or(self.till.reconnect);
        let (device, start) = Device::<C>::new(name, plans, self.till.clone(), reconnect, former);
        state.former.remove(&id);
        if state.hot_plug.is_none() && addresses.iter().any(HotPlug::concerns) {
            state.hot_plug = Some(HotPlug::watch(Arc::downgrade(self)));
        }
        let entry = Entry { device: Arc::new(device), addresses, configured: configured.cloned() };
        state.devices.insert(id.clone(), entry);
        drop(state);
        // Published once the device can be found, and before any other event about it.
        if announce {
            self.till.bus.publish(Source::Device(id), EventKind::Attached);
        }
        start();
        Ok(())
    }

    /// Removes a device: its running call may finish until `deadline` and is then aborted. Its handles refuse every call
    /// from now on. False if there is no such device.
    pub(crate) async fn detach(&self, id: &DeviceId, deadline: Instant) -> bool {
        let closing = {
            let mut state = lock(&self.state);
            let Some(entry) = state.devices.remove(id) else { return false };
            if entry.configured.is_none() {
                state.offered.remove(id);
            }
            let closing = entry.device.close(deadline);
            state.former.insert(id.clone(), entry.device);
            closing
        };
        closing.await;
        lock(&self.state).former.retain(|_, former| former.is_shared());
        true
    }

    /// The device `name`, as a handle of its class.
    ///
    /// # Errors
    /// [`Kind::Config`]: unknown name; the error lists the known ones.
    pub(crate) fn device<C: DeviceClass>(&self, name: &str) -> Result<Device<C>> {
        self.find::<C>(name).ok_or_else(|| no_device(C::CLASS.name(), name, self.names(C::CLASS)))
    }

    /// The device `name`, if there is one.
    pub(crate) fn find<C: DeviceClass>(&self, name: &str) -> Option<Device<C>> {
        let state = lock(&self.state);
        let entry = state.devices.get(&DeviceId::new(C::CLASS, name))?;
        entry.device.as_any().downcast_ref::<Device<C>>().cloned()
    }

    /// The names of all devices of a class.
    pub(crate) fn names(&self, class: Class) -> Vec<String> {
        lock(&self.state).devices.keys().filter(|id| id.class == class).map(|id| id.name.clone()).collect()
    }

    /// A device of any class.
    ///
    /// # Errors
    /// [`Kind::Config`]: unknown device.
    pub(crate) fn any(&self, id: &DeviceId) -> Result<Arc<dyn AnyDevice>> {
        let found = lock(&self.state).devices.get(id).map(|entry| entry.device.clone());
        found.ok_or_else(|| no_device(id.class.name(), &id.name, self.names(id.class)))
    }

    /// The current state of all devices, by class and name.
    pub(crate) fn snapshot(&self) -> Vec<DeviceState> {
        let devices: Vec<_> = lock(&self.state).devices.values().map(|entry| entry.device.clone()).collect();
        devices.iter().map(|device| device.state()).collect()
    }

    /// The health of all devices, by class and name.
    pub(crate) fn health(&self) -> Vec<DeviceHealth> {
        let devices: Vec<_> = lock(&self.state).devices.values().map(|entry| entry.device.clone()).collect();
        devices.iter().map(|device| device.health()).collect()
    }

    /// The configured devices with their configuration.
    pub(crate) fn configured(&self) -> BTreeMap<DeviceId, config::Device> {
        let state = lock(&self.state);
        let configured = state.devices.iter().filter_map(|(id, entry)| Some((id.clone(), entry.configured.clone()?)));
        configured.collect()
    }

    /// The possible addresses of all devices, with the device to wake for each.
    pub(super) fn places(&self) -> Vec<(Vec<Address>, Arc<dyn AnyDevice>)> {
        lock(&self.state).devices.values().map(|entry| (entry.addresses.clone(), entry.device.clone())).collect()
    }

    /// Releases all devices: running calls may finish until `deadline` and are then aborted. No device can be attached
    /// any more.
    pub(crate) async fn close(&self, deadline: Instant) {
        let mut ending = JoinSet::new();
        {
            let mut state = lock(&self.state);
            state.closed = true;
            state.hot_plug = None;
            let devices = state.devices.values().map(|entry| &entry.device).chain(state.former.values());
            devices.for_each(|device| _ = ending.spawn(device.close(deadline)));
        }
        while ending.join_next().await.is_some() {}
    }
}

/// The error for an unknown `what`.
pub(crate) fn no_device(what: &str, name: &str, known: Vec<String>) -> Error {
    let known = match known.is_empty() {
        true => "none is configured".to_owned(),
        false => format!("expected one of {}", known.join(", ")),
    };
    Error::new(Kind::Config, format!("unknown {what} `{name}`")).hint(known)
}
