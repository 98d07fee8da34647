//! Devices of the configuration that a program outside offers: they are there, away, before somebody offers them.

use std::sync::{Arc, Mutex};

use tresen_hal::{Effect, Error, Kind, Retry};

use super::device::first;
use super::lock;
use crate::drivers::Plan;

/// How a device is opened, once somebody offers it. Clones share it.
pub(super) struct Expected<D: ?Sized>(Arc<Mutex<Vec<Plan<D>>>>);

impl<D: ?Sized> Default for Expected<D> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<D: ?Sized> Clone for Expected<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: ?Sized + Send + 'static> Expected<D> {
    /// Somebody offers it: these plans are tried in order from now on.
    pub(super) fn offer(&self, plans: Vec<Plan<D>>) {
        *lock(&self.0) = plans;
    }

    /// Opens what is offered.
    pub(super) fn plan(&self, station: &str) -> Plan<D> {
        let offered = self.clone();
        Plan::new(station, move |context| {
            let plans = lock(&offered.0).clone();
            async move {
                if plans.is_empty() {
                    let error = Error::new(Kind::Closed, "its program does not offer the device now");
                    let error = error.with_effect(Effect::None).with_retry(Retry::AfterReconnect);
                    return Err(error.hint("connect it with `tresen attach`"));
                }
                first(&plans, context).await.map(|(driver, _)| driver)
            }
        })
    }
}
