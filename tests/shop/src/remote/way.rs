//! The way from a handheld to the till: bytes through memory, of which the seed loses, delays and holds up some.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tresen::hal::BoxFuture;
use tresen::{Effect, Error, Kind, Result};
use tresen_remote::client::{Dial, Stream};

use crate::dice::Dice;
use crate::radio::Radio;
use crate::world::World;

/// How a handheld reaches the till.
pub struct Way {
    world: Weak<World>,
    radio: Arc<Radio>,
    dice: Mutex<Dice>,
}

impl Way {
    /// From this handheld.
    pub fn new(world: &Arc<World>, radio: Arc<Radio>, dice: Dice) -> Self {
        Self { world: Arc::downgrade(world), radio, dice: Mutex::new(dice) }
    }

    fn dice(&self) -> MutexGuard<'_, Dice> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dial for Way {
    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let refused = || Error::new(Kind::Refused, "nobody listens").with_effect(Effect::None);
            let world = self.world.upgrade().ok_or_else(refused)?;
            // Out of range nothing answers: the client gives up after its own time.
            self.radio.until_near(&world).await;
            let latency = self.dice().millis(1, 40);
            tokio::time::sleep(latency).await;
            let (near, here) = duplex(BUFFER);
            let (there, far) = duplex(BUFFER);
            // A telephone gets another address now and then.
            let (net, host, port) = {
                let mut dice = self.dice();
                (dice.below(4), dice.below(250), 1_024 + dice.below(60_000))
            };
            let address = format!("10.0.{net}.{host}:{port}");
            if world.is_dead() || !world.door.arrive(far, address.clone()) {
                return Err(refused());
            }
            let number = self.radio.connects();
            let plan = Plan::draw(&mut self.dice(), self.radio.trouble());
            let name = format!("{}~{number}", self.radio.name());
            let place = world.radios.iter().position(|radio| radio.name() == self.radio.name()).unwrap_or_default();
            let turn = place as u64 * TURNS + number % TURNS;
            world.story.trace(format_args!("{name} connects from {address}: {plan:?}"));
            world.notebook().count("connections of handhelds");
            let relay = Relay { life: world.life(), world, radio: self.radio.clone(), name, turn };
            tokio::spawn(relay.run(here, there, plan, self.dice().fork()));
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }

    fn host(&self) -> &str {
        "127.0.0.1:7480"
    }
}

/// What goes wrong on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// Nothing, unless somebody walks out of range.
    Good,
    /// Both ends hear of the end once so many bytes have passed in a direction, the last message in part.
    Cut { to_till: bool, after: usize },
    /// The same, and one direction goes silent for ever: neither end hears of it.
    Gap { to_till: bool, after: usize },
    /// One direction is held up for a while once.
    Stall { to_till: bool, after: usize, time: Duration },
}

impl Plan {
    fn draw(dice: &mut Dice, trouble: u64) -> Self {
        if !dice.percent(trouble) {
            return Self::Good;
        }
        let to_till = dice.percent(50);
        let after = dice.index(if to_till { 6_000 } else { 60_000 });
        match dice.below(4) {
            0 | 1 => Self::Cut { to_till, after },
            2 => Self::Gap { to_till, after },
            _ => Self::Stall { to_till, after, time: dice.millis(500, 40_000) },
        }
    }
}

/// One connection.
struct Relay {
    world: Arc<World>,
    radio: Arc<Radio>,
    name: String,
    /// The life of the till that it was made in.
    life: u64,
    /// When it hears of the end of the till, among others: a runtime drops its tasks in any order.
    turn: u64,
}

/// Why a direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its sender has closed it.
    Closed,
    /// It is cut.
    Cut,
    /// The other direction goes on for ever, or until its sender closes it.
    Silent,
}

impl Relay {
    async fn run(self, client: DuplexStream, till: DuplexStream, plan: Plan, mut dice: Dice) {
        let (from_client, to_client) = split(client);
        let (from_till, to_till) = split(till);
        let (there, back) = (dice.fork(), dice.fork());
        let mut breaks = self.radio.breaks();
        let broken = async {
            loop {
                // A short absence is not noticed: what is on its way waits.
                if breaks.changed().await.is_err() || dice.percent(40) {
                    return;
                }
            }
        };
        let both = async {
            let there = self.carry(true, from_client, to_till, plan, there);
            let back = self.carry(false, from_till, to_client, plan, back);
            tokio::pin!(there, back);
            let end = tokio::select! {
                biased;
                end = &mut there => end,
                end = &mut back => {
                    // What the client sends is read, and lost.
                    if end == End::Silent { there.await } else { end }
                }
            };
            self.world.story.trace(format_args!("{} ends: {end:?}", self.name));
        };
        tokio::select! {
            biased;
            () = both => {}
            () = broken => self.world.story.trace(format_args!("{} breaks", self.name)),
        }
    }

    /// Carries bytes one way.
    async fn carry(
        &self,
        to_till: bool,
        mut from: ReadHalf<DuplexStream>,
        mut to: WriteHalf<DuplexStream>,
        plan: Plan,
        mut dice: Dice,
    ) -> End {
        let (mut passed, mut bytes) = (0, vec![0; BUFFER]);
        let arrow = if to_till { ">" } else { "<" };
        loop {
            let count = from.read(&mut bytes).await.unwrap_or(0);
            // What a dying till still says is not heard, and nobody may hear of its end.
            if self.world.is_dead() || self.world.life() != self.life {
                let others = self.world.radios.len() as u64 * TURNS;
                tokio::time::sleep(Duration::from_millis(dice.below(20) * others + self.turn)).await;
                return if !to_till && dice.percent(30) { End::Silent } else { End::Cut };
            }
            if count == 0 {
                return End::Closed;
            }
            tokio::time::sleep(dice.millis(1, 30)).await;
            self.radio.until_near(&self.world).await;
            let arrives = match plan {
                Plan::Cut { to_till: way, after } | Plan::Gap { to_till: way, after } if way == to_till => {
                    count.min(after.saturating_sub(passed))
                }
                Plan::Stall { to_till: way, after, time }
                    if way == to_till && (passed..passed + count).contains(&after) =>
                {
                    self.world.story.trace(format_args!("{} {arrow} is held up for {time:?}", self.name));
                    tokio::time::sleep(time).await;
                    count
                }
                _ => count,
            };
            passed += count;
            self.world.story.trace(format_args!("{} {arrow} {arrives} of {count} bytes", self.name));
            if to.write_all(&bytes[..arrives]).await.is_err() {
                return End::Closed;
            }
            if arrives < count && matches!(plan, Plan::Cut { .. }) {
                return End::Cut;
            }
        }
    }
}

/// As many connections of one handheld have a turn of their own.
const TURNS: u64 = 4;
/// Bytes that wait at each end.
const BUFFER: usize = 64 << 10;
