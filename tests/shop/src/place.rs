//! A device at its place on the counter: its simulator, which outlives the till, and the cable to it, which the
//! weather cuts, stalls and delays.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tresen::hal::link::fault::{Damage, Fault, Noise, Plan};
use tresen::hal::link::memory::{self, Memory};
use tresen::hal::sim::{self, Action, Device, Shared};
use tresen::hal::{BoxFuture, Link};
use tresen::{Effect, Error, Kind, Result};

use crate::dice::Dice;
use crate::world::World;

/// A device and the way to it.
pub struct Place<D> {
    name: String,
    device: Shared<Timed<D>>,
    cable: Mutex<Cable>,
    /// Cuts the links that are open, when it changes.
    cuts: watch::Sender<u64>,
    /// Held while a host is served: one at a time, as real devices do.
    serving: tokio::sync::Mutex<()>,
}

struct Cable {
    dice: Dice,
    /// Of a hundred connections this many have a fault.
    trouble: u64,
    /// Whether a link may fall silent for ever; a scanner that is silent is not noticed.
    stalls: bool,
    /// No connection is accepted before this time of the run.
    refused_until: Duration,
    connections: u64,
}

impl<D: Device + 'static> Place<D> {
    /// `device` under this name; `dice` decides about its cable.
    pub fn new(name: &str, device: D, dice: Dice, stalls: bool) -> Arc<Self> {
        let cable = Cable { dice, trouble: 0, stalls, refused_until: Duration::ZERO, connections: 0 };
        Arc::new(Self {
            name: name.to_owned(),
            device: Shared::new(Timed::new(device)),
            cable: Mutex::new(cable),
            cuts: watch::Sender::new(0),
            serving: tokio::sync::Mutex::default(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Looks at the device, or operates it.
    pub fn with<T>(&self, operate: impl FnOnce(&mut D) -> T) -> T {
        self.device.with(|timed| operate(&mut timed.device))
    }

    /// Whether the device has something to do by itself.
    pub fn is_idle(&self) -> bool {
        self.device.with(|timed| timed.device.deadline().is_none())
    }

    /// Of a hundred connections this many have a fault from now on.
    pub fn trouble(&self, percent: u64) {
        self.cable().trouble = percent;
    }

    /// Refuses connections until this time of the run.
    pub fn refuse_until(&self, until: Duration) {
        self.cable().refused_until = until;
    }

    /// Cuts the link that is open now.
    pub fn cut(&self) {
        self.cuts.send_modify(|n| *n += 1);
    }

    /// A life of the till begins: `past` is the virtual time of those before. Call it within its runtime.
    pub fn begin(&self, past: Duration) {
        let now = tokio::time::Instant::now().into_std();
        self.device.with(|timed| (timed.past, timed.life) = (past, now));
    }

    /// The till is gone, `lived` after its life began: the device sees its connection end.
    pub fn abandon(&self, lived: Duration) {
        self.device.with(|timed| {
            if timed.connected {
                timed.disconnected(timed.life + lived);
            }
        });
    }

    /// Waits until the device has done what it had begun. Call it while nothing is connected.
    pub async fn rest(&self) {
        while let Some(due) = self.device.with(|timed| timed.deadline()) {
            tokio::time::sleep_until(due.into()).await;
            self.device.with(|timed| {
                timed.timeout(tokio::time::Instant::now().into_std());
                while timed.next_action().is_some() {}
            });
        }
    }

    /// Connects to the device.
    ///
    /// # Errors
    /// It refuses for a while.
    pub fn connect(self: &Arc<Self>, world: &Arc<World>) -> BoxFuture<'static, Result<Box<dyn Link>>> {
        let (place, world) = (self.clone(), world.clone());
        Box::pin(async move {
            world.alive().await;
            let (number, plan) = {
                let mut cable = place.cable();
                cable.connections += 1;
                if world.story.time() < cable.refused_until {
                    world.story.trace(format_args!("{}#{} refused", place.name, cable.connections));
                    return Err(Error::new(Kind::Closed, "connection refused").with_effect(Effect::None));
                }
                (cable.connections, cable.draw())
            };
            world.story.trace(format_args!("{}#{number} connected: {plan:?}", place.name));
            let (near, far) = memory::pair();
            let served = place.clone();
            tokio::spawn(async move {
                let _turn = served.serving.lock().await;
                sim::link(&far, &served.device).await;
            });
            let (cuts, name) = (place.cuts.subscribe(), format!("{}#{number}", place.name));
            Ok(Box::new(Fault::new(Tap { inner: near, name, world, cuts }, plan)) as Box<dyn Link>)
        })
    }

    fn cable(&self) -> MutexGuard<'_, Cable> {
        self.cable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cable {
    /// What goes wrong on the next link.
    fn draw(&mut self) -> Plan {
        let dice = &mut self.dice;
        let mut plan = Plan::default();
        if dice.percent(50) {
            plan.split = Some(dice.bits());
        }
        if !dice.percent(self.trouble) {
            return plan;
        }
        match dice.below(if self.stalls { 6 } else { 4 }) {
            0 => plan.cut_after_sent_bytes = Some(dice.index(600)),
            1 => plan.cut_before_recv = Some(dice.index(30)),
            2 => plan.cut_after_send = Some(dice.index(20)),
            3 => {
                let damages = vec![Damage::Delay(dice.millis(20, 3_000)), Damage::Delay(dice.millis(1, 200))];
                plan = plan.noisy(Noise { seed: dice.bits(), per_mille: 200, damages });
            }
            4 => plan = plan.received(dice.index(25), Damage::Stall),
            _ => plan = plan.sent(dice.index(15), Damage::Stall),
        }
        plan
    }
}

/// A device whose time goes on from one life of the till to the next, although each has a clock of its own.
#[derive(Debug)]
struct Timed<D> {
    device: D,
    /// An instant that stands for the beginning of the run.
    epoch: Instant,
    past: Duration,
    life: Instant,
    connected: bool,
}

impl<D> Timed<D> {
    fn new(device: D) -> Self {
        let epoch = Instant::now();
        Self { device, epoch, past: Duration::ZERO, life: epoch, connected: false }
    }

    fn time(&self, now: Instant) -> Instant {
        self.epoch + self.past + now.saturating_duration_since(self.life)
    }
}

impl<D: Device> Device for Timed<D> {
    fn connected(&mut self, now: Instant) {
        self.connected = true;
        self.device.connected(self.time(now));
    }
    fn input(&mut self, bytes: &[u8], now: Instant) {
        self.device.input(bytes, self.time(now));
    }
    fn next_action(&mut self) -> Option<Action> {
        self.device.next_action()
    }
    fn is_ready(&self) -> bool {
        self.device.is_ready()
    }
    fn deadline(&self) -> Option<Instant> {
        let due = self.device.deadline()?;
        Some(self.life + due.saturating_duration_since(self.epoch + self.past))
    }
    fn timeout(&mut self, now: Instant) {
        self.device.timeout(self.time(now));
    }
    fn disconnected(&mut self, now: Instant) {
        self.connected = false;
        self.device.disconnected(self.time(now));
    }
}

/// Notes every byte that passes, may kill the till at each of them, and carries nothing once it is dead.
struct Tap {
    inner: Memory,
    name: String,
    world: Arc<World>,
    cuts: watch::Receiver<u64>,
}

impl Tap {
    async fn until_cut(&self) {
        self.cuts.clone().changed().await.ok();
    }

    fn note(&self, arrow: &str, bytes: &[u8]) {
        let mut hash = DefaultHasher::new();
        bytes.hash(&mut hash);
        let (count, hash) = (bytes.len(), hash.finish());
        self.world.story.trace(format_args!("{} {arrow} {count} bytes {hash:016x}", self.name));
    }

    async fn cut<T>(&self) -> Result<T> {
        self.inner.close().await;
        Err(Error::new(Kind::Closed, "the cable was pulled"))
    }
}

impl Link for Tap {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.world.alive().await;
            self.note(">", bytes);
            self.world.passed();
            self.world.alive().await;
            tokio::select! {
                biased;
                () = self.until_cut() => self.cut().await,
                sent = self.inner.send(bytes) => sent,
            }
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let before = into.len();
            let got = tokio::select! {
                biased;
                () = self.until_cut() => return self.cut().await,
                got = self.inner.recv(into) => got,
            };
            self.world.alive().await;
            match &got {
                Ok(_) => self.note("<", &into[before..]),
                Err(_) => self.note("<", b"the end"),
            }
            self.world.passed();
            self.world.alive().await;
            got
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tap").field(&self.name).finish()
    }
}
