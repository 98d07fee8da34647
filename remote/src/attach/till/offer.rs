//! Taking in an offer: what it names is here, new, away or refused; what it leaves out is taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tresen::api::Right;
use tresen::config::Config;
use tresen::{Class, DeviceId, Error, Kind, Offering, Result, Retry, Tresen};

use super::seat::Seat;
use super::slot::{Here, Slot};
use super::{Attachment, name};
use crate::attach::wire::{Device, FromTill, Offered};
use crate::attach::{ALL_DEVICES, DEVICES, NAME};
use crate::server::lock;
use crate::trust::Principal;

impl Attachment {
    pub(super) fn offered(&self, Offered { run, devices, away }: Offered) -> Result<()> {
        if !self.principal.grants.some(Right::Attach) {
            let error = Error::new(Kind::Permission, "offering devices needs the right `attach`");
            return Err(error.hint("whoever runs the till can grant it"));
        }
        check(&run, &devices, &away)?;
        let config = self.hub.till.config();
        let mut seats = lock(&self.hub.seats);
        let taken = Taken::by_others(&seats, &self.principal.name, &self.hub.till);
        let seat = seats.entry(self.principal.name.clone()).or_default();
        if let Some(by) = seat.refuses(self.generation, &run) {
            self.wire.close();
            self.wire.try_send(&FromTill::Replaced { by });
            return Ok(());
        }
        seat.seated(self.generation, &run, &self.wire);
        let here: BTreeSet<DeviceId> = devices.iter().map(Device::id).collect();
        let kept: BTreeSet<&DeviceId> = here.iter().chain(&away).collect();
        for (id, place) in &seat.places {
            if !here.contains(id) {
                let why =
                    if kept.contains(id) { "it is away from the handheld" } else { "the handheld has it no more" };
                place.slot.end(why);
            }
        }
        let expected = |slot: &Slot| self.hub.expects(&slot.at_till()).is_some_and(|from| from == slot.station);
        seat.unwanted(|slot| !kept.contains(&slot.id) && !expected(slot));
        let (mut refused, mut known) = (BTreeMap::new(), Vec::new());
        for device in devices {
            let (id, visit) = (device.id(), self.hub.number());
            let here = Here { visit, generation: self.generation, run: run.clone(), wire: self.wire.clone(), device };
            match self.place(&config, &taken, seat, &id, Arc::new(here)) {
                Ok(offering) => known.extend(offering),
                Err(error) => {
                    if let Some(place) = seat.places.get(&id) {
                        place.slot.end("the till does not take it any more");
                    }
                    seat.unwanted(|slot| slot.id == id);
                    refused.insert(id, error);
                }
            }
        }
        seat.answers(self.wire.clone(), here.into_iter().collect(), refused);
        self.hub.work(&self.principal.name, seat);
        drop(seats);
        for (device, offering) in known {
            // Opened now instead of at its next attempt. One that still serves a call notices by itself.
            let till = &self.hub.till;
            if till.is_attached(&offering) && till.phase(&device).is_ok_and(|phase| phase.borrow().is_away()) {
                till.reset(&device).ok();
            }
        }
        Ok(())
    }

    /// A device that is here, known before or new. Returns what the till has of it already.
    fn place(
        &self,
        config: &Config,
        taken: &Taken,
        seat: &mut Seat,
        id: &DeviceId,
        here: Arc<Here>,
    ) -> Result<Option<(DeviceId, Offering)>> {
        let known = seat.places.get_mut(id);
        let name = match &known {
            Some(place) => place.slot.name.clone(),
            None => name(&id.name, &suffix(config, &self.principal)),
        };
        taken.is_free(id.class, &name)?;
        self.may_offer(config, id.class, &name)?;
        if let Some(place) = known {
            place.wanted = true;
            place.slot.arrive(here);
            return Ok(place.offering().map(|offering| (place.slot.at_till(), offering.clone())));
        }
        if seat.places.len() >= 2 * DEVICES || taken.count + seat.places.len() >= ALL_DEVICES {
            let error = Error::new(Kind::Busy, "too many devices are offered, or still being taken away");
            return Err(error.with_retry(Retry::Now));
        }
        seat.add(Slot::new(id.clone(), name.clone(), &self.principal, here, self.hub.sent(&name)));
        Ok(None)
    }

    /// The caller's right and the configuration, which may have changed since it offered the device before.
    fn may_offer(&self, config: &Config, class: Class, name: &str) -> Result<()> {
        if !self.principal.grants.allow(Right::Attach, Some(name)) {
            let what = format!("the right `attach` does not extend to `{name}`");
            return Err(Error::new(Kind::Permission, what));
        }
        let station = self.principal.station();
        match config.device(class, name).map(|device| device.from.as_deref()) {
            Some(Some(expected)) if expected != station => {
                let what = format!("`{name}` is expected from the station {expected}, not from {station}");
                Err(Error::new(Kind::Config, what).hint(SUFFIX))
            }
            Some(None) => {
                let error = Error::new(Kind::Config, format!("`{name}` is a device of the till itself"));
                Err(error.hint(SUFFIX))
            }
            _ => Ok(()),
        }
    }
}

/// The names of the devices of other handhelds.
struct Taken {
    /// Who has it; whether it is being taken away.
    names: BTreeMap<(Class, String), (String, bool)>,
    count: usize,
}

impl Taken {
    fn by_others(seats: &BTreeMap<String, Seat>, own: &str, till: &Tresen) -> Self {
        let others = seats.iter().filter(|(owner, _)| *owner != own);
        let names = others.flat_map(|(owner, seat)| {
            let named = |slot: &Slot| (slot.id.class, slot.name.clone());
            // What the till does not have of it any more is nobody's.
            let places = seat.places.values().filter(|place| place.offering().is_none_or(|has| till.is_attached(has)));
            places.map(move |place| (named(&place.slot), (owner.clone(), !place.wanted)))
        });
        let names: BTreeMap<_, _> = names.collect();
        Self { count: names.len(), names }
    }

    /// # Errors
    /// [`Kind::Config`]: another handheld has it. [`Kind::Busy`]: not for much longer.
    fn is_free(&self, class: Class, name: &str) -> Result<()> {
        match self.names.get(&(class, name.to_owned())) {
            None => Ok(()),
            Some((owner, false)) => {
                Err(Error::new(Kind::Config, format!("`{name}` is a device of {owner}")).hint(SUFFIX))
            }
            Some((owner, true)) => {
                let error = Error::new(Kind::Busy, format!("`{name}` of {owner} is being taken away"));
                Err(error.with_retry(Retry::Now))
            }
        }
    }
}

/// The offer is well-formed.
fn check(run: &str, devices: &[Device], away: &[DeviceId]) -> Result<()> {
    let wrong = |what: String| Err(Error::new(Kind::Input, what));
    if run.is_empty() || run.len() > NAME {
        return wrong(format!("`run` has {} bytes; expected 1 to {NAME}", run.len()));
    }
    let count = devices.len() + away.len();
    if count > DEVICES {
        return wrong(format!("{count} devices are offered; expected at most {DEVICES}"));
    }
    let mut seen = BTreeSet::new();
    for id in devices.iter().map(Device::id).chain(away.iter().cloned()) {
        if id.name.trim().is_empty() || id.name.len() > NAME || id.name.chars().any(char::is_control) {
            return wrong(format!("`{}` is not a device's name", id.name.escape_debug()));
        }
        if !seen.insert(id.clone()) {
            return wrong(format!("{id} is offered twice"));
        }
    }
    Ok(())
}

/// What follows the dot in the names of a handheld's devices: what its station's configuration says, or the last word of
/// its name.
fn suffix(config: &Config, principal: &Principal) -> String {
    let station = principal.station();
    let settings = config.stations.get(station).cloned().unwrap_or_default();
    settings.suffix(station).unwrap_or(station).to_owned()
}

/// What to do about two handhelds with one suffix.
const SUFFIX: &str = "give its station a `suffix` of its own";
