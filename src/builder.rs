//! Opening a till.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tresen_hal::{Result, Runtime, SystemRuntime};

use crate::api::Socket;
use crate::capabilities::{self, Kept};
use crate::config::Config;
use crate::drivers::Drivers;
use crate::event::Bus;
use crate::health::{Alerts, Vitals, Watcher};
use crate::lease::Leases;
use crate::manager::{Declarations, Registry, Till};
use crate::registry::routes;
use crate::sale::{Checkout, sweeper};
use crate::spool::Spool;
use crate::store::Store;
use crate::sync::{self, Exchange, Upstream};
use crate::tresen::{Caller, CheckoutSetup, Inner, Tresen};

/// Settings for opening a till, besides its configuration.
#[derive(Clone, Default)]
pub struct Builder {
    drivers: Drivers,
    runtime: Option<Arc<dyn Runtime>>,
    checkout: Option<CheckoutSetup>,
    server: Option<Arc<dyn Upstream>>,
}

impl Builder {
    /// Sets the supported protocols; default [`Drivers::standard`].
    #[must_use]
    pub fn drivers(mut self, drivers: Drivers) -> Self {
        self.drivers = drivers;
        self
    }

    /// Sets the source of time, ids, randomness and threads; default the system.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Configures every checkout of the till: fiscal device, receipts, drawer. Applies to sales closed through the
    /// [command interface](crate::api) as well.
    #[must_use]
    pub fn checkout(mut self, setup: impl Fn(Checkout) -> Checkout + Send + Sync + 'static) -> Self {
        self.checkout = Some(Arc::new(setup));
        self
    }

    /// Sets the server that takes in the till's journal; default the one that `[server]` configures. Reference tables
    /// and the limit for accounts are taken from there in any case.
    #[must_use]
    pub fn server(mut self, server: impl Upstream + 'static) -> Self {
        self.server = Some(Arc::new(server));
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

    /// Opens a till from a configuration built in code.
    ///
    /// # Errors
    /// The configuration is wrong, or the database cannot be used.
    pub async fn with(self, config: Config) -> Result<Tresen> {
        config.validate(&self.drivers)?;
        self.start(config, None).await
    }

    async fn start(self, config: Config, file: Option<PathBuf>) -> Result<Tresen> {
        let server = sync::choose(self.server, config.server.as_ref())?;
        let runtime = self.runtime.unwrap_or_else(|| Arc::new(SystemRuntime::new()));
        let store = Store::open(&config.till.store, runtime.clone()).await?;
        let bus = Bus::new(runtime.clone());
        let language = config.till.language;
        let (capabilities, declared) = (Kept::new(store.remembered().await?), Declarations::default());
        declared.replace(config.declared.clone());
        let (changes, outcomes) = (bus.overhear(), bus.overhear());
        let leases = Leases::start(store.clone(), bus.clone(), config.till.lease).await?;
        let name: Arc<str> = config.till.name.as_str().into();
        store.name(name.clone());
        let alerts = Arc::new(Alerts::new(bus.clone(), config.health));
        let vitals = Vitals::new(alerts.clone(), runtime.wall());
        let reconnect = config.till.reconnect;
        let (for_devices, for_bus) = (store.clone(), bus.clone());
        let shared = Till {
            runtime: runtime.clone(),
            store: for_devices,
            language,
            bus: for_bus,
            leases: leases.clone(),
            reconnect,
            name,
            alerts: alerts.clone(),
            declared,
        };
        let registry = Registry::new(self.drivers, shared);
        for (id, device) in &config.devices {
            registry.attach_configured(id, device, false)?;
        }
        let spool = Spool::start(store.clone(), bus.clone(), alerts, routes(&config, &registry), language).await?;
        store.set_server(server.is_some()).await?;
        let sync = match server {
            Some(upstream) => {
                let settings = config.server.clone().unwrap_or_default();
                Some(Exchange::start(upstream, &settings, &config.till.name, &store, &bus).await?)
            }
            None => {
                // It was configured when they began: they show what they wait for.
                store.doubt_asked().await?;
                None
            }
        };
        let serve = config.till.socket;
        let config = Mutex::new(Arc::new(config));
        let (changing, closed) = Default::default();
        let checkout = self.checkout;
        let inner = Arc::new(Inner {
            config,
            file,
            store,
            runtime,
            bus,
            spool,
            registry,
            leases,
            capabilities,
            checkout,
            sync,
            changing,
            closed,
            vitals,
            inviter: std::sync::Mutex::default(),
        });
        Watcher::start(&inner);
        let till = Tresen(inner, Caller::default());
        till.capabilities_changed();
        tokio::spawn(capabilities::keep(Arc::downgrade(&till.0), changes));
        let doubts = sweeper::first_look(&till).await;
        tokio::spawn(sweeper::run(Arc::downgrade(&till.0), outcomes, doubts));
        let socket = if serve { Socket::open(&till).await } else { None };
        Ok(Tresen(till.0, Caller { socket, ..till.1 }))
    }
}
