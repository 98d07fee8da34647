//! Adding, removing and replacing devices and routes while the till runs.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tresen_hal::{Error, Kind, Result};

use crate::class::{Class, DeviceId};
use crate::config::Config;
use crate::drivers::Plan;
use crate::event::{EventKind, Source};
use crate::manager::{DeviceClass, Printers, Registry, lock};
use crate::spool::Route;
use crate::tresen::Tresen;

impl Tresen {
    /// Attaches a device that is not in the configuration; `plans` are tried in order. From then on it is a device like
    /// the others, including hot-plug, print jobs and events.
    ///
    /// # Errors
    /// [`Kind::Config`]: the name is taken, or there is no plan; [`Kind::Cancelled`]: the till was closed;
    /// [`Kind::Storage`]: the database cannot be read.
    pub async fn attach<C: DeviceClass>(&self, name: &str, plans: Vec<Plan<C::Driver>>) -> Result<DeviceId> {
        let _changing = self.0.changing.lock().await;
        let id = self.0.registry.attach::<C>(name, plans)?.id();
        self.0.bus.publish(Source::Device(id.clone()), EventKind::Attached);
        self.set_routes().await?;
        Ok(id)
    }

    /// Removes a device: its running call may finish within `within` and is then aborted. Its handles refuse every call
    /// afterwards; print jobs that only it could print wait until it is attached again, or are moved to another route.
    ///
    /// # Errors
    /// [`Kind::Config`]: unknown device; [`Kind::Storage`]: the database cannot be read.
    pub async fn detach(&self, device: &DeviceId, within: Duration) -> Result<()> {
        let _changing = self.0.changing.lock().await;
        self.0.registry.any(device)?;
        self.remove(device, within).await;
        self.set_routes().await
    }

    async fn remove(&self, device: &DeviceId, within: Duration) {
        if self.0.registry.detach(device, Instant::now() + within).await {
            self.0.bus.publish(Source::Device(device.clone()), EventKind::Detached);
        }
    }

    /// Reads the configuration file again and applies the changes: see [`Tresen::reload_with`].
    ///
    /// # Errors
    /// As [`Tresen::reload_with`]; [`Kind::Config`]: the till was not opened from a file.
    pub async fn reload(&self, within: Duration) -> Result<Reloaded> {
        let no_file = || Error::new(Kind::Config, "the till was not opened from a file");
        let file = self.0.file.as_ref().ok_or_else(no_file)?;
        self.reload_with(Config::load(file, self.0.registry.drivers())?, within).await
    }

    /// Applies `config` as the new configuration: new devices are attached, removed or changed ones detached as by
    /// [`Tresen::detach`], and changed ones attached again. All others are left alone, including connections and
    /// running calls; so are devices added with [`Tresen::attach`].
    ///
    /// # Errors
    /// [`Kind::Config`]: the configuration is wrong, or changes a setting that requires a restart: store, currency,
    /// language, socket. Then nothing is changed. [`Kind::Storage`]: the database cannot be read.
    pub async fn reload_with(&self, config: Config, within: Duration) -> Result<Reloaded> {
        let _changing = self.0.changing.lock().await;
        config.validate(self.0.registry.drivers())?;
        let (now, new) = (&self.config().till, &config.till);
        let fixed = [
            ("store", now.store != new.store),
            ("currency", now.currency != new.currency),
            ("language", now.language != new.language),
            ("socket", now.socket != new.socket),
        ];
        if let Some((key, _)) = fixed.iter().find(|(_, changed)| *changed) {
            let what = format!("key `till.{key}` cannot change while the till is open");
            return Err(Error::new(Kind::Config, what).hint("close the till and open it again"));
        }
        let before = self.0.registry.configured();
        let taken = |id: &&DeviceId| !before.contains_key(id) && self.0.registry.any(id).is_ok();
        if let Some(id) = config.devices.keys().find(taken) {
            return Err(Error::new(Kind::Config, "the program has already attached a device of that name").at(id));
        }
        let mut reloaded = Reloaded::default();
        let (mut ending, mut new) = (Vec::new(), Vec::new());
        for (id, device) in &before {
            match config.devices.get(id) {
                Some(same) if same == device => {}
                Some(_) => {
                    reloaded.replaced.push(id.clone());
                    ending.push(self.remove(id, within));
                    new.push(id);
                }
                None => {
                    reloaded.detached.push(id.clone());
                    ending.push(self.remove(id, within));
                }
            }
        }
        for id in config.devices.keys().filter(|id| !before.contains_key(id)) {
            reloaded.attached.push(id.clone());
            new.push(id);
        }
        join_all(ending).await;
        for id in new {
            self.0.registry.attach_configured(id, &config.devices[id])?;
            self.0.bus.publish(Source::Device(id.clone()), EventKind::Attached);
        }
        *lock(&self.0.config) = Arc::new(config);
        self.set_routes().await?;
        Ok(reloaded)
    }

    async fn set_routes(&self) -> Result<()> {
        self.0.spool.set_routes(routes(&self.config(), &self.0.registry)).await
    }
}

/// The changes applied by a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    let printer = |name: &String| registry.find::<Printers>(name);
    let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for name in registry.names(Class::Printer) {
        all.insert(name.clone(), printer(&name).into_iter().collect());
    }
    for (name, printers) in &config.routes {
        all.insert(name.clone(), printers.iter().filter_map(printer).collect());
    }
    let all = all.into_iter().filter(|(_, printers)| !printers.is_empty());
    all.map(|(name, printers)| Route { name, printers }).collect()
}

/// Runs the futures concurrently.
async fn join_all(futures: Vec<impl Future<Output = ()>>) {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|cx| {
        running.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
