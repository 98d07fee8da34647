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
use super::printer::Printers;
use super::scanner::Scanners;
use super::state::DeviceState;
use super::terminal::Terminals;
use crate::class::{Class, DeviceId};
use crate::config;
use crate::drivers::{Drivers, Plan};

/// All devices of a till. Each device's owner ends when it is detached or the registry is dropped.
pub(crate) struct Registry {
    drivers: Drivers,
    till: Till,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    devices: BTreeMap<DeviceId, Entry>,
    /// The hot-plug watcher, once there is a device that can be plugged in.
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

type Attach = fn(&Arc<Registry>, &str, &config::Device) -> Result<()>;

fn attach<C: DeviceClass>(registry: &Arc<Registry>, name: &str, device: &config::Device) -> Result<()> {
    let plans =
        device.addresses().iter().map(|address| registry.drivers.plan::<C>(address)).collect::<Result<Vec<_>>>();
    registry.add::<C>(name, plans.map_err(|e| if e.device().is_some() { e } else { e.at(name) })?, Some(device))?;
    Ok(())
}

impl Registry {
    pub(crate) fn new(drivers: Drivers, till: Till) -> Arc<Self> {
        Arc::new(Self { drivers, till, state: Mutex::default() })
    }

    pub(crate) fn drivers(&self) -> &Drivers {
        &self.drivers
    }

    /// Attaches a device of the configuration.
    ///
    /// # Errors
    /// Its address is invalid, or its name is taken.
    pub(crate) fn attach_configured(self: &Arc<Self>, id: &DeviceId, device: &config::Device) -> Result<()> {
        let row = ATTACH.iter().find(|(class, _)| *class == id.class);
        let (_, attach) = row.ok_or_else(|| Error::new(Kind::Unsupported, "cannot be attached").at(id))?;
        attach(self, &id.name, device)
    }

    /// Attaches a device; `plans` are tried in order.
    ///
    /// # Errors
    /// [`Kind::Config`]: the name is taken; [`Kind::Cancelled`]: the till was closed.
    pub(crate) fn attach<C: DeviceClass>(
        self: &Arc<Self>,
        name: &str,
        plans: Vec<Plan<C::Driver>>,
    ) -> Result<Device<C>> {
        self.add(name, plans, None)
    }

    fn add<C: DeviceClass>(
        self: &Arc<Self>,
        name: &str,
        plans: Vec<Plan<C::Driver>>,
        configured: Option<&config::Device>,
    ) -> Result<Device<C>> {
        let id = DeviceId::new(C::CLASS, name);
        let addresses: Vec<_> = plans.iter().filter_map(|plan| plan.address().cloned()).collect();
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Error::new(Kind::Cancelled, "the till was closed").at(&id));
        }
        if state.devices.contains_key(&id) {
            return Err(Error::new(Kind::Config, "a device of that name already exists").at(&id));
        }
        let device = Device::<C>::start(name, plans, self.till.clone())?;
        if state.hot_plug.is_none() && addresses.iter().any(HotPlug::concerns) {
            state.hot_plug = Some(HotPlug::watch(Arc::downgrade(self)));
        }
        let entry = Entry { device: Arc::new(device.clone()), addresses, configured: configured.cloned() };
        state.devices.insert(id, entry);
        Ok(device)
    }

    /// Removes a device: its running call may finish until `deadline` and is then aborted. Its handles refuse every
    /// call afterwards. False if there is no such device.
    pub(crate) async fn detach(&self, id: &DeviceId, deadline: Instant) -> bool {
        let removed = lock(&self.state).devices.remove(id);
        match removed {
            Some(entry) => entry.device.close(deadline).await,
            None => return false,
        }
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
            for entry in state.devices.values() {
                ending.spawn(entry.device.close(deadline));
            }
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
