//! The way from a handheld to the till: commands as JSON, which somebody out of range neither sends nor hears the
//! answer to. What the till has received it carries out, whoever hears about it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tresen::Error;
use tresen::api::Command;
use tresen::lease::Key;

use crate::counter::Counter;
use crate::dice::Dice;
use crate::remote::Handset;
use crate::world::World;

/// A handheld's radio.
#[derive(Debug)]
pub struct Radio {
    name: String,
    state: Mutex<State>,
    /// Counts how often the connection broke.
    breaks: watch::Sender<u64>,
    /// Counts how often the handheld was dropped.
    drops: watch::Sender<u64>,
    /// Those that reach the till through its server have one.
    handset: OnceLock<Arc<Handset>>,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    /// Out of range until this time of the run.
    away_until: Duration,
    /// Broken until this time of the run, when another device is taken from the drawer.
    broken_until: Duration,
    /// Commands that the till is carrying out.
    running: u32,
    /// When the last one ended.
    ended: Duration,
    /// Connections that were made to the till's server.
    connections: u64,
    /// Of a hundred of them this many have a fault.
    trouble: u64,
}

/// What a handheld hears.
#[derive(Debug)]
pub enum Answer<T> {
    /// The reply.
    Reply(T),
    /// The till's error.
    Refused(Error),
    /// The connection broke. The till may have carried the command out.
    Silence,
}

impl<T> Answer<T> {
    /// The reply, if that is what was heard.
    pub fn reply(self) -> Option<T> {
        match self {
            Self::Reply(reply) => Some(reply),
            _ => None,
        }
    }
}

impl Radio {
    /// In range.
    pub fn new(name: String, dice: Dice) -> Arc<Self> {
        let (never, running) = (Duration::ZERO, 0);
        let state =
            State { dice, away_until: never, broken_until: never, running, ended: never, connections: 0, trouble: 0 };
        let (breaks, drops) = (watch::Sender::new(0), watch::Sender::new(0));
        Arc::new(Self { name, state: Mutex::new(state), breaks, drops, handset: OnceLock::new() })
    }

    /// The handheld's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From now on it reaches the till through its server.
    pub fn goes_through(&self, handset: Arc<Handset>) {
        self.handset.set(handset).ok();
    }

    /// What reaches the till through its server, if that is so.
    pub fn handset(&self) -> Option<&Arc<Handset>> {
        self.handset.get()
    }

    /// Of a hundred connections to the till's server this many have a fault from now on.
    pub fn set_trouble(&self, percent: u64) {
        self.state().trouble = percent;
    }

    /// See [`Radio::set_trouble`].
    pub fn trouble(&self) -> u64 {
        self.state().trouble
    }

    /// Counts a connection to the till's server.
    pub fn connects(&self) -> u64 {
        let mut state = self.state();
        state.connections += 1;
        state.connections
    }

    /// Changes when a connection may break.
    pub fn breaks(&self) -> watch::Receiver<u64> {
        self.breaks.subscribe()
    }

    /// Breaks the connection, which may be made again at once.
    pub fn cut(&self) {
        self.breaks.send_modify(|n| *n += 1);
    }

    /// Returns once it is in range.
    pub async fn until_near(&self, world: &World) {
        while self.is_away(world) {
            let away = self.state().away_until.saturating_sub(world.story.time());
            tokio::time::sleep(away.max(Duration::from_millis(1))).await;
        }
    }

    /// Out of range until this time of the run.
    pub fn carry_away(&self, until: Duration) {
        self.state().away_until = until;
        self.breaks.send_modify(|n| *n += 1);
    }

    /// The handheld breaks, and forgets what it knew; another one is taken at this time of the run.
    pub fn drop_it(&self, now: Duration, until: Duration) {
        if let Some(handset) = self.handset() {
            handset.breaks(now);
        }
        self.state().broken_until = until;
        self.breaks.send_modify(|n| *n += 1);
        self.drops.send_modify(|n| *n += 1);
    }

    /// A life of the till begins: whoever was connected is not any more.
    pub fn begin(&self) {
        self.state().running = 0;
        self.breaks.send_modify(|n| *n += 1);
    }

    /// When the till last carried out a command of this handheld: now, if it does.
    pub fn active(&self, now: Duration) -> Duration {
        if let Some(handset) = self.handset() {
            return handset.active(now);
        }
        let state = self.state();
        if state.running > 0 { now } else { state.ended }
    }

    /// Returns once the handheld is dropped.
    pub async fn dropped(&self) {
        self.drops.subscribe().changed().await.ok();
    }

    /// Waits until somebody has another handheld.
    pub async fn replaced(&self, counter: &Counter) {
        let until = self.state().broken_until;
        counter.pause(until.saturating_sub(counter.world.story.time())).await;
    }

    /// Sends a command on behalf of this handheld, which depends on `lease`. The till has to answer within `bound`,
    /// whether that is heard or not.
    pub async fn ask<C: Command + fmt::Debug>(
        self: &Arc<Self>,
        counter: &Counter,
        lease: Option<Key>,
        command: C,
        bound: Duration,
    ) -> Answer<C::Reply> {
        if let Some(handset) = self.handset() {
            return handset.ask(counter, self, lease, command, bound).await;
        }
        let world = &counter.world;
        world.alive().await;
        let said = format!("{command:?}");
        world.story.tell(&self.name, &said);
        let with = serde_json::to_value(command).expect("a command is JSON");
        counter.pause(self.delay()).await;
        if self.is_away(world) {
            world.story.tell(&self.name, format_args!("{}: is out of range", C::NAME));
            self.until_in_range(counter).await;
            return Answer::Silence;
        }
        let mut breaks = self.breaks.subscribe();
        let (sender, reply) = oneshot::channel();
        let (at, radio, name) = (counter.clone(), self.clone(), self.name.clone());
        tokio::spawn(async move {
            let mut till = at.till.on_behalf_of(name.as_str());
            if let Some(key) = &lease {
                till = till.with_lease(key);
            }
            radio.state().running += 1;
            let result = tokio::time::timeout(bound, till.ask_json(C::NAME, with)).await;
            at.world.alive().await;
            radio.ended(&at.world);
            let Ok(result) = result else {
                at.world.violated(format!("a command did not return within {bound:?}: {name} {said}"));
                return;
            };
            if let Err(error) = &result {
                at.world.story.tell(&name, format_args!("{}: error: {error}", C::NAME));
            }
            at.check().await;
            sender.send(result).ok();
        });
        let result = tokio::select! {
            biased;
            result = reply => result,
            _ = breaks.changed() => {
                world.alive().await;
                world.story.tell(&self.name, format_args!("{}: the connection breaks", C::NAME));
                self.until_in_range(counter).await;
                return Answer::Silence;
            }
        };
        counter.pause(self.delay()).await;
        if self.is_away(world) {
            world.story.tell(&self.name, format_args!("{}: does not hear the answer", C::NAME));
            self.until_in_range(counter).await;
            return Answer::Silence;
        }
        match result {
            Ok(Ok(reply)) => match serde_json::from_value(reply) {
                Ok(reply) => {
                    world.story.tell(&self.name, format_args!("{}: done", C::NAME));
                    Answer::Reply(reply)
                }
                Err(error) => {
                    world.violated(format!("the reply to {} cannot be read: {error}", C::NAME));
                    std::future::pending().await
                }
            },
            Ok(Err(error)) => Answer::Refused(error),
            // The task was dropped: the till is dying, or something is violated.
            Err(_) => std::future::pending().await,
        }
    }

    fn ended(&self, world: &World) {
        let mut state = self.state();
        state.running = state.running.saturating_sub(1);
        state.ended = world.story.time();
    }

    async fn until_in_range(&self, counter: &Counter) {
        while self.is_away(&counter.world) {
            let away = self.state().away_until.saturating_sub(counter.world.story.time());
            counter.pause(away.max(Duration::from_millis(1))).await;
        }
    }

    fn is_away(&self, world: &World) -> bool {
        world.story.time() < self.state().away_until
    }

    fn delay(&self) -> Duration {
        self.state().dice.millis(2, 80)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
