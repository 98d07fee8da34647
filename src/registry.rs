//! Adding, removing and replacing devices and routes while the till runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tresen_hal::{Error, Kind, Result};

use crate::class::{Class, DeviceId};
use crate::config::{self, Config};
use crate::drivers::Plan;
use crate::event::{EventKind, Source};
use crate::manager::{DeviceClass, Printers, Registry, after, lock};
use crate::spool::{Route, Rules};
use crate::tresen::Tresen;

impl Tresen {
    /// Attaches a device that is not in the configuration, or that the configuration expects
    /// from a station; `plans` are tried in order. From then on it is a device like the
    /// others, including hot-plug, print jobs and events.
    ///
    /// Handles to an earlier device of that class and name are handles to this one from now on. Dropping the future
    /// discards the answer, not the change.
    ///
    /// # Errors
    /// [`Kind::Config`]: the name or the address is another device's, or there is no plan; [`Kind::Cancelled`]: the till
    /// was closed; [`Kind::Storage`]: the database cannot be read.
    pub async fn attach<C: DeviceClass>(&self, name: &str, plans: Vec<Plan<C::Driver>>) -> Result<DeviceId> {
        let (till, name) = (self.clone(), name.to_owned());
        to_its_end(async move {
            let _changing = till.0.changing.lock().await;
            let id = till.0.registry.attach::<C>(&name, plans)?.id();
            till.set_routes().await?;
            Ok(id)
        })
        .await
    }

    /// Removes a device. Its running call may finish within `within` and is then aborted; a driver that hangs while it
    /// closes takes up to 5 s more. Its handles refuse every call until a device of that class and name is attached
    /// again. Its lease ends, and so does the queue for it. Print jobs that only this device could print stay queued. An
    /// aborted payment stays open in the journal. A device of the configuration returns with the next reload. Dropping the future discards the answer, not the change.
    ///
    /// # Errors
    /// [`Kind::Config`]: unknown device; [`Kind::Storage`]: the database cannot be read.
    pub async fn detach(&self, device: &DeviceId, within: Duration) -> Result<()> {
        let (till, device) = (self.clone(), device.clone());
        to_its_end(async move {
            let _changing = till.0.changing.lock().await;
            till.0.registry.any(&device)?;
            till.remove(&device, within).await;
            till.set_routes().await
        })
        .await
    }

    /// Detaches a device for good.
    async fn remove(&self, device: &DeviceId, within: Duration) {
        self.take_out(device, within).await;
        self.0.leases.removed(device).await;
    }

    /// Detaches a device, which keeps its lease.
    async fn take_out(&self, device: &DeviceId, within: Duration) {
        if self.0.registry.detach(device, after(within)).await {
            self.0.bus.publish(Source::Device(device.clone()), EventKind::Detached);
        }
    }

    /// Reads the configuration file again and applies the changes: see [`Tresen::reload_with`].
    ///
    /// # Errors
    /// As [`Tresen::reload_with`]; [`Kind::Config`]: the till was not opened from a file.
    pub async fn reload(&self, within: Duration) -> Result<Reloaded> {
        let till = self.clone();
        to_its_end(async move {
            // Read under the lock: the file may change while another reload is running.
            let _changing = till.0.changing.lock().await;
            let no_file = || Error::new(Kind::Config, "the till was not opened from a file");
            let file = till.0.file.as_ref().ok_or_else(no_file)?;
            till.change_to(Config::load(file, till.0.registry.drivers())?, within).await
        })
        .await
    }

    /// Makes `config` the configuration: devices that are new are attached, those that are gone or changed are
    /// detached as by [`Tresen::detach`], and attached again if they changed. All others are left alone, connection
    /// and running calls included; so is what [`Tresen::attach`] added. Handles to a device that changed are handles
    /// to the new one, which keeps its lease. Dropping the future discards the answer, not the change.
    ///
    /// # Errors
    /// [`Kind::Config`]: the configuration is wrong, has a device or an address that [`Tresen::attach`] added, or changes
    /// what only a restart can: store, currency, language, socket, reconnect, server. Then everything stays as it was.
    /// [`Kind::Cancelled`]: the till was closed. [`Kind::Storage`]: the database cannot be read.
    pub async fn reload_with(&self, config: Config, within: Duration) -> Result<Reloaded> {
        let till = self.clone();
        to_its_end(async move {
            let _changing = till.0.changing.lock().await;
            till.change_to(config, within).await
        })
        .await
    }

    /// Called while nothing else changes.
    async fn change_to(&self, config: Config, within: Duration) -> Result<Reloaded> {
        config.validate(self.0.registry.drivers())?;
        let (now, new) = (&self.config().till, &config.till);
        let fixed = [
            ("store", now.store != new.store),
            ("currency", now.currency != new.currency),
            ("language", now.language != new.language),
            ("socket", now.socket != new.socket),
            ("reconnect", now.reconnect != new.reconnect),
        ];
        if let Some((key, _)) = fixed.iter().find(|(_, changed)| *changed) {
            let what = format!("key `till.{key}` cannot change while the till is open");
            return Err(Error::new(Kind::Config, what).hint("close the till and open it again"));
        }
        if self.config().server != config.server {
            let error = Error::new(Kind::Config, "section `server` cannot change while the till is open");
            return Err(error.hint("close the till and open it again"));
        }
        let before = self.0.registry.configured();
        let attached = |id: &DeviceId| !before.contains_key(id) && self.0.registry.any(id).is_ok();
        // One that is offered already is the one that is expected.
        let taken = |id: &&DeviceId| attached(id) && config.devices.get(id).is_some_and(|device| device.from.is_none());
        if let Some(id) = config.devices.keys().find(taken) {
            return Err(Error::new(Kind::Config, "the program has already attached a device of that name").at(id));
        }
        for (id, device) in &config.devices {
            let others = |id: &DeviceId| !before.contains_key(id);
            device.address.iter().try_for_each(|a| self.0.registry.is_free(a, others)).map_err(|e| e.at(id))?;
        }
        let mut reloaded = Reloaded::default();
        let (mut ending, mut new) = (JoinSet::new(), Vec::new());
        let mut end = |id: &DeviceId, for_good: bool| {
            let (till, id) = (self.clone(), id.clone());
            ending.spawn(async move {
                match for_good {
                    true => till.remove(&id, within).await,
                    false => till.take_out(&id, within).await,
                }
            });
        };
        for (id, device) in &before {
            match config.devices.get(id) {
                Some(same) if same == device => {}
                Some(_) => {
                    reloaded.replaced.push(id.clone());
                    end(id, false);
                    new.push(id);
                }
                None => {
                    reloaded.detached.push(id.clone());
                    end(id, true);
                }
            }
        }
        for (id, device) in config.devices.iter().filter(|(id, _)| !before.contains_key(id)) {
            if attached(id) {
                self.0.registry.adopt(id, device);
                continue;
            }
            reloaded.attached.push(id.clone());
            new.push(id);
        }
        ending.join_all().await;
        for id in new {
            self.0.registry.attach_configured(id, &config.devices[id], true)?;
        }
        self.0.registry.declare(config.declared.clone());
        self.0.leases.set_ttl(config.till.lease);
        self.0.vitals.alerts.limit(config.health);
        *lock(&self.0.config) = Arc::new(config);
        self.set_routes().await?;
        self.capabilities_changed();
        Ok(reloaded)
    }

    async fn set_routes(&self) -> Result<()> {
        self.0.spool.set_routes(routes(&self.config(), &self.0.registry)).await
    }
}

/// The changes applied by a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Reloaded {
    /// New devices.
    pub attached: Vec<DeviceId>,
    /// Removed devices.
    pub detached: Vec<DeviceId>,
    /// Devices with changed addresses or options.
    pub replaced: Vec<DeviceId>,
}

/// The configured routes, and each printer as its own route unless a route has its name. Printers that are not attached
/// are left out.
pub(crate) fn routes(config: &Config, registry: &Registry) -> Vec<Route> {
    let printer = |name: &str| registry.find::<Printers>(name);
    let mut all: BTreeMap<String, config::Route> = BTreeMap::new();
    for name in registry.names(Class::Printer) {
        all.insert(name.clone(), config::Route::of([name]));
    }
    all.extend(config.routes.clone());
    let all = all.into_iter().map(|(name, route)| Route {
        name,
        printers: route.printers.iter().filter_map(|name| printer(name)).collect(),
        own: match route.own {
            true => config.own_printers().filter_map(|(at, name)| Some((at.to_owned(), printer(name)?))).collect(),
            false => BTreeMap::new(),
        },
        rules: Rules {
            copies: route.copies,
            fail_back: route.fail_back,
            warn_after: route.warn_after,
            stall: route.stall,
        },
    });
    all.filter(|route| !route.printers.is_empty() || !route.own.is_empty()).collect()
}

/// Runs a change to completion, even if its caller is dropped.
pub(crate) async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(change).await {
        Ok(changed) => changed,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(_) => Err(Error::new(Kind::Cancelled, "the program is ending")),
    }
}
