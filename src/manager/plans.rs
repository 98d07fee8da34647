//! How a device is opened: by fixed plans, or by those that somebody offers, which come and go while the device stays.

use std::any::Any;
use std::sync::{Arc, Mutex};

use tresen_hal::{Effect, Error, Kind, Result, Retry};

use super::lock;
use crate::drivers::Plan;

/// The plans by which a device is opened now, tried in order. Clones share them.
pub(super) struct Plans<D: ?Sized>(Arc<Mutex<Vec<Plan<D>>>>);

impl<D: ?Sized> Plans<D> {
    pub(super) fn new(plans: Vec<Plan<D>>) -> Self {
        Self(Arc::new(Mutex::new(plans)))
    }

    /// It is opened by these from now on.
    pub(super) fn replace(&self, plans: Vec<Plan<D>>) {
        *lock(&self.0) = plans;
    }

    /// The plans to be tried now.
    ///
    /// # Errors
    /// [`Kind::Closed`]: nobody offers the device.
    pub(super) fn now(&self) -> Result<Vec<Plan<D>>> {
        let plans = lock(&self.0).clone();
        if plans.is_empty() {
            let error = Error::new(Kind::Closed, "its program does not offer the device now");
            let error = error.with_effect(Effect::None).with_retry(Retry::AfterReconnect);
            return Err(error.hint("connect it with `tresen attach`"));
        }
        Ok(plans)
    }
}

impl<D: ?Sized> Clone for Plans<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What a program offers for one name, and what the configuration expects somebody to offer.
pub(super) struct Offered {
    plans: Box<dyn AnyPlans>,
    /// The number of the offer; `None` while nobody offers it.
    number: Option<u64>,
    /// The station that offers it, if it said so.
    station: Option<String>,
}

impl Offered {
    /// Plans that somebody offers.
    pub(super) fn new<D: ?Sized + 'static>(plans: Plans<D>, number: u64, station: Option<&str>) -> Self {
        Self { plans: Box::new(plans), number: Some(number), station: station.map(str::to_owned) }
    }

    /// Nobody offers it yet.
    pub(super) fn none<D: ?Sized + 'static>() -> Self {
        Self { plans: Box::new(Plans::<D>::new(Vec::new())), number: None, station: None }
    }

    pub(super) fn is(&self, number: u64) -> bool {
        self.number == Some(number)
    }

    /// Whether the configuration may expect it from `station`.
    pub(super) fn may_be_of(&self, station: &str) -> bool {
        self.station.as_deref().is_none_or(|of| of == station)
    }

    /// Its plans, which are replaced in their place.
    pub(super) fn plans<D: ?Sized + 'static>(&self) -> Option<Plans<D>> {
        self.plans.as_any().downcast_ref::<Plans<D>>().cloned()
    }

    /// Nobody offers it any more. A device that it has opened stays open until its driver ends.
    pub(super) fn withdraw(&mut self) {
        self.plans.clear();
        (self.number, self.station) = (None, None);
    }
}

/// Plans of any class.
trait AnyPlans: Send {
    fn clear(&self);
    fn as_any(&self) -> &dyn Any;
}

impl<D: ?Sized + 'static> AnyPlans for Plans<D> {
    fn clear(&self) {
        self.replace(Vec::new());
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
