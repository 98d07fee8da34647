//! The till's side: who offers what, under which names, and the drivers of it.

mod camera;
mod printer;
mod scanner;
mod slot;
mod terminal;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tresen::api::Right;
use tresen::config::Config;
use tresen::{Cameras, Class, DeviceId, Error, Kind, Plan, Printers, Result, Scanners, Terminals, Tresen};

use self::slot::{Here, Slot, Wire};
use super::wire::{Attached, Device, FromHandheld, FromTill, Gone, Notice, Offered};
use super::{DEVICES, NAME};
use crate::server::lock;
use crate::trust::Principal;

/// The name at the till of a device that a handheld calls `name`: `belt.7`.
pub fn name(name: &str, suffix: &str) -> String {
    format!("{name}.{suffix}")
}

/// The devices of handhelds at one till. They stay attached, away, when their handheld leaves.
pub struct Hub {
    till: Tresen,
    seats: Mutex<BTreeMap<String, Seat>>,
    numbers: AtomicU64,
    /// Held while devices are attached: an offer is answered after those before it.
    attaching: tokio::sync::Mutex<()>,
}

/// What is known of one handheld.
#[derive(Default)]
struct Seat {
    current: Option<Current>,
    /// The run of its last offer.
    last: Option<String>,
    /// Runs that another run has replaced, latest last.
    replaced: VecDeque<String>,
    slots: BTreeMap<DeviceId, Arc<Slot>>,
}

/// The connection of a handheld.
struct Current {
    generation: u64,
    run: String,
    wire: Arc<Wire>,
}

/// One connection of a handheld. Dropping it makes its devices go away.
pub struct Attachment {
    hub: Arc<Hub>,
    principal: Principal,
    generation: u64,
    wire: Arc<Wire>,
}

impl Hub {
    /// Attaches devices to `till`.
    pub fn new(till: &Tresen) -> Arc<Self> {
        Arc::new(Self {
            till: till.clone(),
            seats: Mutex::default(),
            numbers: AtomicU64::new(0),
            attaching: tokio::sync::Mutex::default(),
        })
    }

    /// A new connection of a handheld; messages to it go to `out`. Nothing is attached before its offer.
    pub fn connect(self: &Arc<Self>, principal: Principal, out: mpsc::Sender<String>) -> Attachment {
        let (generation, wire) = (self.number(), Wire::new(out));
        Attachment { hub: self.clone(), principal, generation, wire }
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Attaches a new device.
    async fn attach(&self, slot: &Arc<Slot>) -> Result<()> {
        let (till, name) = (&self.till, slot.name.as_str());
        match slot.id.class {
            Class::Printer => till.attach::<Printers>(name, vec![plan(slot, printer::open)]).await,
            Class::Scanner => till.attach::<Scanners>(name, vec![plan(slot, scanner::open)]).await,
            Class::Camera => till.attach::<Cameras>(name, vec![plan(slot, camera::open)]).await,
            Class::Terminal => till.attach::<Terminals>(name, vec![plan(slot, terminal::open)]).await,
            other => Err(Error::new(Kind::Unsupported, format!("a {other} cannot be offered"))),
        }
        .map(drop)
    }
}

/// Opens a device of a handheld that is here.
type Opener<D> = fn(Arc<Slot>, Arc<Here>, tresen::Context) -> Result<Box<D>>;

fn plan<D: ?Sized + Send + 'static>(slot: &Arc<Slot>, open: Opener<D>) -> Plan<D> {
    let slot = slot.clone();
    Plan::new(format!("{} of {}", slot.id.name, slot.owner), move |context| {
        std::future::ready(slot.here().and_then(|here| open(slot.clone(), here, context)))
    })
}

impl Attachment {
    /// Takes in a message. Returns at once: what takes time goes on by itself.
    ///
    /// # Errors
    /// [`Kind::Input`]: an offer is wrong; nothing of it was taken. [`Kind::Permission`]: the right `attach` is missing.
    pub fn take(&self, message: FromHandheld) -> Result<()> {
        match message {
            FromHandheld::Answer(answered) => self.wire.answered(answered),
            FromHandheld::Offer(offered) => self.offered(offered)?,
            FromHandheld::Gone(Gone { device, why }) => {
                if let Some(slot) = self.slot(&device) {
                    slot.leave(self.generation, &format!("the handheld says: {why}"));
                }
            }
            FromHandheld::Notice(Notice { device, event }) => {
                if let Some(slot) = self.slot(&device)
                    && let Ok(here) = slot.here()
                    && here.generation == self.generation
                {
                    slot.told(&here, event);
                }
            }
        }
        Ok(())
    }

    fn slot(&self, device: &DeviceId) -> Option<Arc<Slot>> {
        lock(&self.hub.seats).get(&self.principal.name)?.slots.get(device).cloned()
    }

    fn offered(&self, Offered { run, devices }: Offered) -> Result<()> {
        if !self.principal.grants.some(Right::Attach) {
            let error = Error::new(Kind::Permission, "offering devices needs the right `attach`");
            return Err(error.hint("whoever runs the till can grant it"));
        }
        check(&run, &devices)?;
        let config = self.hub.till.config();
        let suffix = suffix(&config, &self.principal);
        let mut seats = lock(&self.hub.seats);
        let taken: BTreeMap<(Class, String), String> = seats
            .iter()
            .filter(|(owner, _)| **owner != self.principal.name)
            .flat_map(|(owner, seat)| {
                seat.slots.values().map(|slot| ((slot.id.class, slot.name.clone()), owner.clone()))
            })
            .collect();
        let seat = seats.entry(self.principal.name.clone()).or_default();
        if let Some(by) = seat.refuses(self.generation, &run) {
            self.wire.close();
            self.wire.try_send(&FromTill::Replaced { by });
            return Ok(());
        }
        seat.seated(self.generation, &run, &self.wire);
        let offered: BTreeSet<DeviceId> = devices.iter().map(Device::id).collect();
        for (id, slot) in &seat.slots {
            if !offered.contains(id) {
                slot.leave(self.generation, "the handheld does not offer it any more");
            }
        }
        let (mut told, mut new, mut known) = (Vec::new(), Vec::new(), Vec::new());
        for device in devices {
            let (id, visit) = (device.id(), self.hub.number());
            let name = name(&id.name, &suffix);
            let (run, wire) = (run.clone(), self.wire.clone());
            let here = Arc::new(Here { visit, generation: self.generation, run, wire, device });
            if let Some(owner) = taken.get(&(id.class, name.clone())) {
                told.push(refused(
                    id,
                    Error::new(Kind::Config, format!("`{name}` is a device of {owner}")).hint(SUFFIX),
                ));
            } else if !self.principal.grants.allow(Right::Attach, Some(&name)) {
                let error = Error::new(Kind::Permission, format!("the right `attach` does not extend to `{name}`"));
                told.push(refused(id, error));
            } else if let Some(slot) = seat.slots.get(&id) {
                slot.arrive(here);
                told.push(Attached { device: id.clone(), name: Some(slot.name.clone()), refused: None });
                known.push(DeviceId::new(id.class, &slot.name));
            } else {
                let slot = Slot::new(id.clone(), name, self.principal.name.clone(), here);
                seat.slots.insert(id, slot.clone());
                new.push(slot);
            }
        }
        drop(seats);
        for device in known {
            // Opened now instead of at its next attempt. One that still serves a call notices by itself.
            if self.hub.till.phase(&device).is_ok_and(|phase| phase.borrow().is_away()) {
                self.hub.till.reset(&device).ok();
            }
        }
        let (hub, owner, wire) = (self.hub.clone(), self.principal.name.clone(), self.wire.clone());
        tokio::spawn(async move {
            let _turn = hub.attaching.lock().await;
            for slot in new {
                match hub.attach(&slot).await {
                    Ok(()) => {
                        told.push(Attached { device: slot.id.clone(), name: Some(slot.name.clone()), refused: None });
                    }
                    Err(error) => {
                        tracing::warn!(device = slot.name, %error, "a device of a handheld cannot be attached");
                        if let Some(seat) = lock(&hub.seats).get_mut(&owner) {
                            seat.slots.remove(&slot.id);
                        }
                        told.push(refused(slot.id.clone(), error));
                    }
                }
            }
            told.sort_by(|a, b| a.device.cmp(&b.device));
            wire.try_send(&FromTill::Attached { devices: told });
        });
        Ok(())
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.wire.close();
        let mut seats = lock(&self.hub.seats);
        let Some(seat) = seats.get_mut(&self.principal.name) else { return };
        if seat.current.as_ref().is_some_and(|current| current.generation == self.generation) {
            seat.current = None;
        }
        for slot in seat.slots.values() {
            slot.leave(self.generation, "the connection to the handheld was lost");
        }
    }
}

impl Seat {
    /// By which run an offer of `run` over this connection was replaced, if it was.
    fn refuses(&self, generation: u64, run: &str) -> Option<String> {
        let current = self.current.as_ref();
        let later = current.filter(|current| current.generation > generation);
        let replaced = self.replaced.iter().any(|replaced| replaced == run);
        match (later, replaced) {
            (Some(later), _) => Some(later.run.clone()),
            (None, true) => Some(current.map(|current| current.run.clone()).unwrap_or_default()),
            (None, false) => None,
        }
    }

    /// This is the handheld's connection from now on; an earlier one is told.
    fn seated(&mut self, generation: u64, run: &str, wire: &Arc<Wire>) {
        let now = Current { generation, run: run.to_owned(), wire: wire.clone() };
        if let Some(before) = self.current.replace(now).filter(|before| before.generation != generation) {
            before.wire.close();
            before.wire.try_send(&FromTill::Replaced { by: run.to_owned() });
        }
        if let Some(before) = self.last.replace(run.to_owned()).filter(|before| before != run) {
            self.replaced.push_back(before);
            if self.replaced.len() > REPLACED {
                self.replaced.pop_front();
            }
        }
    }
}

/// The offer is well-formed.
fn check(run: &str, devices: &[Device]) -> Result<()> {
    let wrong = |what: String| Err(Error::new(Kind::Input, what));
    if run.is_empty() || run.len() > NAME {
        return wrong(format!("`run` has {} bytes; expected 1 to {NAME}", run.len()));
    }
    if devices.len() > DEVICES {
        return wrong(format!("{} devices are offered; expected at most {DEVICES}", devices.len()));
    }
    let mut seen = BTreeSet::new();
    for device in devices {
        let id = device.id();
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

fn refused(device: DeviceId, error: Error) -> Attached {
    Attached { device, name: None, refused: Some(error) }
}

/// What to do about two handhelds with one suffix.
const SUFFIX: &str = "give its station a `suffix` of its own";
/// Runs of a handheld that are remembered as replaced.
const REPLACED: usize = 16;
