//! The till's side: who offers what, under which names, and the drivers of it.

mod arrivals;
mod camera;
mod connection;
mod offer;
mod printer;
mod scanner;
mod seat;
mod slot;
mod terminal;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tresen::{Cameras, Class, DeviceId, Error, Kind, Offering, Plan, Printers, Result, Scanners, Terminals, Tresen};

use self::seat::{Seat, Step};
use self::slot::{Here, Sent, Slot, Wire};
use super::wire::{FromHandheld, Gone, Notice};
use super::{LAST, bounds};
use crate::server::lock;
use crate::trust::Principal;

/// The name at the till of a device that a handheld calls `name`: `belt.7`.
pub fn name(name: &str, suffix: &str) -> String {
    format!("{name}.{suffix}")
}

/// The devices of handhelds at one till. They stay attached, away, when their handheld leaves, until it offers others or is
/// [forgotten](Hub::forget).
pub struct Hub {
    till: Tresen,
    seats: Mutex<BTreeMap<String, Seat>>,
    numbers: AtomicU64,
    /// Over which connection each undecided transaction was sent, by the terminal's name. It outlives the terminal: one
    /// that is offered again over the same connection has got what was sent before.
    sent: Mutex<BTreeMap<String, Sent>>,
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
        let (seats, sent) = Default::default();
        Arc::new(Self { till: till.clone(), seats, numbers: AtomicU64::new(0), sent })
    }

    /// A new connection of a handheld; messages to it go to `out`. Nothing is attached before its offer.
    pub fn connect(self: &Arc<Self>, principal: Principal, out: mpsc::Sender<String>) -> Attachment {
        let (generation, wire) = (self.number(), Wire::new(out));
        Attachment { hub: self.clone(), principal, generation, wire }
    }

    /// The names of the handhelds that have devices here, also while they are away.
    pub fn owners(&self) -> Vec<String> {
        lock(&self.seats).keys().cloned().collect()
    }

    /// The number of the last connection so far, or a higher one, for [`Hub::forget`].
    pub fn latest(&self) -> u64 {
        self.numbers.load(Ordering::Relaxed)
    }

    /// A handheld was revoked: its devices are taken away, and nothing is taken from its connection any more. Returns at
    /// once; the names of its devices are free as soon as their running calls have ended, within [`LAST`].
    ///
    /// Nothing is done, and this is `false`, if a handheld of this name has made its last offer over a connection that is
    /// later than `latest`: another one may have been enrolled under the name meanwhile.
    pub fn forget(self: &Arc<Self>, owner: &str, latest: u64) -> bool {
        let mut seats = lock(&self.seats);
        let Some(seat) = seats.get_mut(owner) else { return true };
        if seat.generation > latest {
            return false;
        }
        if let Some(current) = seat.current.take() {
            current.wire.close();
        }
        for place in seat.places.values() {
            place.slot.end("the handheld was revoked");
        }
        seat.unwanted(|_| true);
        self.work(owner, seat);
        true
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Where it is noted over which connection transactions of a terminal were sent.
    fn sent(&self, terminal: &str) -> Sent {
        lock(&self.sent).entry(terminal.to_owned()).or_default().clone()
    }

    /// Sees to it that the devices of a handheld are attached and taken away as it wants.
    fn work(self: &Arc<Self>, owner: &str, seat: &mut Seat) {
        if std::mem::replace(&mut seat.working, true) {
            return;
        }
        let (hub, owner) = (self.clone(), owner.to_owned());
        tokio::spawn(async move {
            while let Some(step) = hub.next(&owner) {
                match step {
                    Step::Attach(slot) => {
                        let done = hub.attach(&slot).await;
                        if let Err(error) = &done {
                            tracing::warn!(device = slot.name, %error, "a device of a handheld cannot be attached");
                        }
                        if let Some(seat) = lock(&hub.seats).get_mut(&owner) {
                            seat.attached(&slot.id, done);
                        }
                    }
                    Step::TakeAway(slot, offering) => {
                        if let Err(error) = hub.till.withdraw(&offering, LAST).await {
                            tracing::warn!(device = slot.name, %error, "a device of a handheld was not taken away");
                        }
                        if let Some(seat) = lock(&hub.seats).get_mut(&owner) {
                            seat.taken_away(&slot.id);
                        }
                    }
                    Step::Answer(wire, attached) => wire.try_send(&attached),
                    Step::Rest => return,
                }
            }
        });
    }

    /// What to do next about the devices of a handheld. One without connection and devices is forgotten.
    fn next(&self, owner: &str) -> Option<Step> {
        let mut seats = lock(&self.seats);
        let seat = seats.get_mut(owner)?;
        let step = seat.next(|offering| !self.till.is_attached(offering));
        if matches!(step, Step::Rest) {
            if seat.current.is_none() && seat.places.is_empty() {
                seats.remove(owner);
            }
            lock(&self.sent).retain(|_, sent| Arc::strong_count(sent) > 1 || !lock(sent).is_empty());
        }
        Some(step)
    }

    /// Attaches a new device.
    async fn attach(&self, slot: &Arc<Slot>) -> Result<Offering> {
        let (till, station, name) = (&self.till, slot.station.as_str(), slot.name.as_str());
        match slot.id.class {
            Class::Printer => till.attach_from::<Printers>(station, name, vec![plan(slot, printer::open)]).await,
            Class::Scanner => till.attach_from::<Scanners>(station, name, vec![plan(slot, scanner::open)]).await,
            Class::Camera => till.attach_from::<Cameras>(station, name, vec![plan(slot, camera::open)]).await,
            Class::Terminal => till.attach_from::<Terminals>(station, name, vec![plan(slot, terminal::open)]).await,
            other => Err(Error::new(Kind::Unsupported, format!("a {other} cannot be offered"))),
        }
    }

    /// The station from which the configuration expects a device.
    fn expects(&self, device: &DeviceId) -> Option<String> {
        self.till.config().devices.get(device)?.from.clone()
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
        // It was replaced or revoked.
        if self.wire.is_closed() {
            return Ok(());
        }
        match message {
            FromHandheld::Answer(answered) => self.wire.answered(answered),
            FromHandheld::Offer(offered) => self.offered(offered)?,
            FromHandheld::Gone(Gone { device, why }) => {
                if let Some(slot) = self.slot(&device) {
                    slot.leave(self.generation, &bounds::text(format!("the handheld says: {why}")));
                }
            }
            FromHandheld::Notice(Notice { device, event }) => {
                if let Some(slot) = self.slot(&device)
                    && let Ok(here) = slot.here()
                    && here.generation == self.generation
                    && let Some(lost) = slot.told(&here, event)
                    && let Ok(scanner) = self.hub.till.scanner(&slot.name)
                {
                    tracing::warn!(scanner = slot.name, "a scan was lost");
                    scanner.lost(*lost);
                }
            }
        }
        Ok(())
    }

    fn slot(&self, device: &DeviceId) -> Option<Arc<Slot>> {
        Some(lock(&self.hub.seats).get(&self.principal.name)?.places.get(device)?.slot.clone())
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
        for place in seat.places.values() {
            place.slot.leave(self.generation, "the connection to the handheld was lost");
        }
        // It has offered nothing, or all of it was refused.
        if seat.current.is_none() && seat.places.is_empty() && !seat.working {
            seats.remove(&self.principal.name);
        }
    }
}
