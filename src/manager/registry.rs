//! The registry of a till's devices, which change while the till runs.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio::time::Instant;
use tresen_hal::{Address, Error, Kind, Result};

use super::camera::Cameras;
use super::device::{AnyDevice, Device, DeviceClass, Till};
use super::expected::Expected;
use super::hotplug::HotPlug;
use super::lock;
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
    offered: BTreeMap<DeviceId, Box<dyn Any + Send>>,
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
    let plans = match &device.from {
        Some(station) => Ok(vec![registry.expected::<C>(name).plan(station)]),
        None => device.addresses().iter().map(|address| registry.drivers.plan::<C>(address)).collect(),
    };
    let plans = plans.map_err(|e: Error| if e.device().is_some() { e } else { e.at(name) })?;
    registry.add::<C>(name, plans, Some(device), announce)?;
    Ok(())
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

    /// Attaches a device and publishes [`EventKind::Attached`]; `plans` are tried in order. A device of the configuration
    /// that is expected from outside is opened by them from now on.
    ///
    /// # Errors
    /// [`Kind::Config`]: the name or the place is taken, or the name is empty; [`Kind::Cancelled`]: the till was closed.
    pub(crate) fn attach<C: DeviceClass>(
        self: &Arc<Self>,
        name: &str,
        plans: Vec<Plan<C::Driver>>,
    ) -> Result<Device<C>> {
        for address in plans.iter().filter_map(Plan::address) {
            self.is_free(address, |_| true)?;
        }
        let plans: Vec<_> = plans.into_iter().map(|plan| self.drivers.redacted::<C>(plan)).collect();
        if let Some(device) = self.find::<C>(name).filter(|_| self.is_expected(&DeviceId::new(C::CLASS, name))) {
            self.expected::<C>(name).offer(plans);
            device.owned.reset()?;
            return Ok(device);
        }
        let device = self.add(name, plans.clone(), None, true)?;
        self.expected::<C>(name).offer(plans);
        Ok(device)
    }

    /// Whether it is a device of the configuration that somebody offers from outside.
    fn is_expected(&self, id: &DeviceId) -> bool {
        let state = lock(&self.state);
        let configured = state.devices.get(id).and_then(|entry| entry.configured.as_ref());
        configured.is_some_and(|device| device.from.is_some())
    }

    /// Where the plans for a device are put that somebody offers.
    fn expected<C: DeviceClass>(&self, name: &str) -> Expected<C::Driver> {
        let mut state = lock(&self.state);
        let offered = state.offered.entry(DeviceId::new(C::CLASS, name));
        let offered = offered.or_insert_with(|| Box::new(Expected::<C::Driver>::default()));
        offered.downcast_ref::<Expected<C::Driver>>().cloned().unwrap_or_default()
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
        plans: Vec<Plan<C::Driver>>,
        configured: Option<&config::Device>,
        announce: bool,
    ) -> Result<Device<C>> {
        let id = DeviceId::new(C::CLASS, name);
        let addresses: Vec<_> = plans.iter().filter_map(|plan| plan.address().cloned()).collect();
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
        let (device, start) = Device::<C>::new(name, plans, self.till.clone(), reconnect, former)?;
        state.former.remove(&id);
        if state.hot_plug.is_none() && addresses.iter().any(HotPlug::concerns) {
            state.hot_plug = Some(HotPlug::watch(Arc::downgrade(self)));
        }
        let entry = Entry { device: Arc::new(device.clone()), addresses, configured: configured.cloned() };
        state.devices.insert(id.clone(), entry);
        drop(state);
        // Published once the device can be found, and before any other event about it.
        if announce {
            self.till.bus.publish(Source::Device(id), EventKind::Attached);
        }
        start();
        Ok(device)
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
