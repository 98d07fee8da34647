//! Opening a till.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tresen_hal::{Result, Runtime, SystemRuntime};

use crate::config::Config;
use crate::drivers::Drivers;
use crate::event::Bus;
use crate::manager::{Registry, Till};
use crate::registry::routes;
use crate::spool::Spool;
use crate::store::Store;
use crate::tresen::{Inner, Tresen};

/// What a till is opened with besides its configuration.
#[derive(Clone, Default)]
pub struct Builder {
    drivers: Drivers,
    runtime: Option<Arc<dyn Runtime>>,
}

impl Builder {
    /// The protocols that it speaks; otherwise [`Drivers::standard`].
    #[must_use]
    pub fn drivers(mut self, drivers: Drivers) -> Self {
        self.drivers = drivers;
        self
    }

    /// Where it takes time, ids, randomness and threads from; otherwise the system.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Opens the till that a configuration file describes.
    ///
    /// # Errors
    /// As [`Tresen::open`].
    pub async fn open(self, path: impl AsRef<Path>) -> Result<Tresen> {
        let config = Config::load(path.as_ref(), &self.drivers)?;
        self.start(config, Some(path.as_ref().to_owned())).await
    }

    /// Opens a till from a configuration in hand.
    ///
    /// # Errors
    /// The configuration is wrong, or the database cannot be used.
    pub async fn with(self, config: Config) -> Result<Tresen> {
        config.validate(&self.drivers)?;
        self.start(config, None).await
    }

    async fn start(self, config: Config, file: Option<PathBuf>) -> Result<Tresen> {
        let runtime = self.runtime.unwrap_or_else(|| Arc::new(SystemRuntime::new()));
        let store = Store::open(&config.till.store, runtime.clone()).await?;
        let bus = Bus::new(runtime.clone());
        let language = config.till.language;
        let shared = Till { runtime: runtime.clone(), store: store.clone(), language, bus: bus.clone() };
        let registry = Registry::new(self.drivers, shared);
        for (id, device) in &config.devices {
            registry.attach_configured(id, device, false)?;
        }
        let spool = Spool::start(store.clone(), bus.clone(), routes(&config, &registry), language).await?;
        let config = Mutex::new(Arc::new(config));
        let (changing, closed) = Default::default();
        Ok(Tresen(Arc::new(Inner { config, file, store, runtime, bus, spool, registry, changing, closed })))
    }
}
