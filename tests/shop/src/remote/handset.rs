//! What somebody holds in his hand: the client, and a note of the call that it makes.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tresen::api::{Call, Command};
use tresen::hal::runtime::SimulatedRuntime;
use tresen::lease::Key;
use tresen::{Effect, Error, Kind, Result, Retry};
use tresen_remote::Client;
use tresen_remote::client::{Connection, Options};

use super::listener;
use super::way::Way;
use crate::counter::Counter;
use crate::dice::Dice;
use crate::mortal::OPENED;
use crate::radio::{Answer, Radio};
use crate::world::World;

/// A handheld with its client. The client goes on while the till is dead; when the handheld breaks, it is gone, and
/// what the handheld had noted may be read on the next one.
pub struct Handset {
    name: String,
    world: Weak<World>,
    air: Handle,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    on: Option<On>,
    /// Calls that were made.
    calls: u64,
    noted: Option<Noted>,
    /// Calls that are not answered.
    running: u32,
    /// Until when the till may have been busy with a call.
    busy: Duration,
}

/// Switched on.
struct On {
    client: Client,
    listener: AbortHandle,
}

/// The note of a call.
#[derive(Clone)]
struct Noted {
    key: String,
    command: &'static str,
    with: Value,
    lease: Option<Key>,
    bound: Duration,
    /// The run of the server, as far as it was known when the call was made.
    run: Option<String>,
    outcome: watch::Receiver<Option<Arc<Result<Value>>>>,
    task: AbortHandle,
    /// When it was made.
    made: Duration,
    /// The handheld broke meanwhile.
    broke: bool,
}

/// What a handheld learns of a call that it made before the till died, or before it broke.
pub struct Learnt {
    /// The command.
    pub command: &'static str,
    /// Its fields.
    pub with: Value,
    /// Its outcome.
    pub outcome: Arc<Result<Value>>,
    /// When the call was made.
    pub made: Duration,
    /// The handheld broke meanwhile.
    pub broke: bool,
}

impl Learnt {
    /// The reply to this command, if this is it and there is one.
    pub fn reply<C: Command>(&self) -> Option<C::Reply> {
        let reply = self.outcome.as_ref().as_ref().ok().filter(|_| self.command == C::NAME)?;
        serde_json::from_value(reply.clone()).ok()
    }

    /// A text among its fields.
    pub fn field(&self, name: &str) -> String {
        self.with[name].as_str().unwrap_or_default().to_owned()
    }
}

impl Handset {
    /// Switched off.
    pub fn new(world: &Arc<World>, radio: &Radio, air: Handle, dice: Dice) -> Arc<Self> {
        world.door.admit(radio.name());
        let never = Duration::ZERO;
        let state = State { dice, on: None, calls: 0, noted: None, running: 0, busy: never };
        Arc::new(Self { name: radio.name().to_owned(), world: Arc::downgrade(world), air, state: Mutex::new(state) })
    }

    /// When the till was last busy with a call: now, if it is, or may be.
    pub fn active(&self, now: Duration) -> Duration {
        let state = self.state();
        if state.running > 0 { now } else { state.busy.min(now) }
    }

    /// It breaks: nothing of it goes on. What was noted on it may be lost, too.
    pub fn breaks(&self, now: Duration) {
        let mut state = self.state();
        state.switch_off();
        let noted = state.noted.take();
        if let Some(noted) = noted {
            noted.task.abort();
            state.busy = state.busy.max(now + noted.bound + LATE);
            if state.dice.percent(60) {
                state.noted = Some(Noted { broke: true, ..noted });
            }
        }
        state.running = 0;
    }

    /// The till was put back to an earlier time: its people begin anew.
    pub fn forget(&self) {
        let mut state = self.state();
        state.switch_off();
        state.noted.take().inspect(|noted| noted.task.abort());
        state.running = 0;
    }

    /// Makes a call; the till has to answer within `bound` after it has heard of it.
    pub async fn ask<C: Command + fmt::Debug>(
        self: &Arc<Self>,
        counter: &Counter,
        radio: &Arc<Radio>,
        lease: Option<Key>,
        command: C,
        bound: Duration,
    ) -> Answer<C::Reply> {
        let world = &counter.world;
        world.alive().await;
        let said = format!("{command:?}");
        world.story.tell(&self.name, &said);
        let with = serde_json::to_value(command).expect("a command is JSON");
        let key = self.next_key();
        self.call(world, radio, key, C::NAME, with, lease, bound);
        for repeats in 0.. {
            let Some((noted, outcome)) = self.outcome().await else { return std::future::pending().await };
            self.hears(counter, &noted, &outcome).await;
            match outcome.as_ref() {
                Ok(reply) => return self.reply(world, &noted, reply.clone()).await,
                Err(error) if is_lost(error) => {
                    counter.pause(Duration::from_secs(1)).await;
                    let may_repeat = error.retry() == Retry::AfterReconnect && error.effect() == Effect::Unknown;
                    if repeats < 2 && may_repeat && self.state().dice.percent(50) {
                        world.story.tell(&self.name, format_args!("{}: says it again under {}", C::NAME, noted.key));
                        world.notebook().count("calls said again");
                        self.repeat(world, radio, noted);
                        continue;
                    }
                    return Answer::Silence;
                }
                Err(error) => return Answer::Refused(error.clone()),
            }
        }
        Answer::Silence
    }

    /// What became of the call that was made before the till died or the handheld broke. A handheld that broke repeats
    /// it, unless the till may have forgotten its key.
    pub async fn resume(self: &Arc<Self>, counter: &Counter, radio: &Arc<Radio>) -> Option<Learnt> {
        let noted = self.state().noted.clone()?;
        let world = &counter.world;
        let Noted { broke, made, .. } = noted;
        if broke && noted.outcome.borrow().is_none() {
            let run = self.run(world, radio).await;
            if !is_durable(&noted) && (run.is_none() || run != noted.run) {
                world.story.tell(&self.name, format_args!("finds {} noted, and asks what became of it", noted.command));
                self.state().noted = None;
                return None;
            }
            world.story.tell(&self.name, format_args!("finds {} noted, and says it again", noted.command));
            world.notebook().count("calls said again by another handheld");
            self.repeat(world, radio, noted);
        }
        let (noted, outcome) = self.outcome().await?;
        world.story.tell(&self.name, format_args!("learns what became of {}", noted.command));
        self.hears(counter, &noted, &outcome).await;
        Some(Learnt { command: noted.command, with: noted.with, outcome, made, broke })
    }

    /// Waits for the outcome of the call that is noted; none if it was aborted.
    async fn outcome(&self) -> Option<(Noted, Arc<Result<Value>>)> {
        let mut noted = self.state().noted.clone()?;
        let outcome = noted.outcome.wait_for(Option::is_some).await.ok()?.clone()?;
        Some((noted, outcome))
    }

    /// An outcome was heard, and need not be noted any more.
    async fn hears(&self, counter: &Counter, noted: &Noted, outcome: &Result<Value>) {
        counter.world.alive().await;
        self.state().noted = None;
        match outcome {
            Ok(_) => counter.world.story.tell(&self.name, format_args!("{}: done", noted.command)),
            Err(error) => {
                let effect = error.effect();
                counter.world.story.tell(&self.name, format_args!("{}: error: {error} ({effect:?})", noted.command));
            }
        }
        counter.check().await;
    }

    async fn reply<R: DeserializeOwned>(&self, world: &World, noted: &Noted, reply: Value) -> Answer<R> {
        let asked = noted.with["sale"].as_str();
        let told = [&reply["ticket"], &reply["sale"]["ticket"]].into_iter().find_map(|ticket| ticket["id"].as_str());
        if let (Some(asked), Some(told)) = (asked, told)
            && asked != told
        {
            world.violated(format!("{} asked for {} of {asked}, and hears of {told}", self.name, noted.command));
            return std::future::pending().await;
        }
        match serde_json::from_value(reply) {
            Ok(reply) => Answer::Reply(reply),
            Err(error) => {
                world.violated(format!("the reply to {} of {} cannot be read: {error}", noted.command, self.name));
                std::future::pending().await
            }
        }
    }

    /// The run of the server, once the client is connected.
    async fn run(self: &Arc<Self>, world: &Arc<World>, radio: &Arc<Radio>) -> Option<String> {
        let mut state = self.client(world, radio).state();
        let connected = state.wait_for(|state| matches!(state, Connection::Connected(_)));
        tokio::time::timeout(LATE, connected).await.ok()?.ok().and_then(|state| run_of(&state))
    }

    fn repeat(self: &Arc<Self>, world: &Arc<World>, radio: &Arc<Radio>, noted: Noted) {
        let Noted { key, command, with, lease, bound, .. } = noted;
        self.call(world, radio, key, command, with, lease, bound);
    }

    /// Notes a call and makes it.
    #[expect(clippy::too_many_arguments, reason = "a call has so many parts")]
    fn call(
        self: &Arc<Self>,
        world: &Arc<World>,
        radio: &Arc<Radio>,
        key: String,
        command: &'static str,
        with: Value,
        lease: Option<Key>,
        bound: Duration,
    ) {
        let client = self.client(world, radio);
        let run = run_of(&client.state().borrow());
        let client = match &lease {
            Some(lease) => client.with_leases([lease.clone()]),
            None => client,
        };
        let (told, outcome) = watch::channel(None);
        let (handset, world) = (self.clone(), world.clone());
        let (key_of_it, with_of_it) = (key.clone(), with.clone());
        self.state().running += 1;
        let task = self.air.spawn(async move {
            let call = client.call_json(&key_of_it, command, with_of_it);
            let Some(done) = bounded(client.state(), bound + LATE, call).await else {
                return world.broken(format!("{} hears nothing of {command}, {key_of_it}", handset.name));
            };
            let (now, may_go_on) = (world.story.time(), done.as_ref().is_err_and(|e| e.effect() != Effect::None));
            world.story.trace(format_args!("{} {key_of_it} ends: {}", handset.name, done.is_ok()));
            let mut state = handset.state();
            state.running = state.running.saturating_sub(1);
            state.busy = state.busy.max(if may_go_on { now + bound + LATE } else { now });
            drop(state);
            told.send_replace(Some(Arc::new(done)));
        });
        let task = task.abort_handle();
        let made = self.world.upgrade().map_or(Duration::ZERO, |world| world.story.time());
        let noted = Noted { key, command, with, lease, bound, run, outcome, task, made, broke: false };
        self.state().noted = Some(noted);
    }

    /// The client; switched on if it is not.
    fn client(self: &Arc<Self>, world: &Arc<World>, radio: &Arc<Radio>) -> Client {
        let mut state = self.state();
        if let Some(on) = &state.on {
            return on.client.clone();
        }
        let (seed, way, ears) = (state.dice.bits(), state.dice.fork(), state.dice.fork());
        let _inside = self.air.enter();
        let runtime = SimulatedRuntime::new(seed, OPENED.parse().expect("a time"));
        let options = Options::new(Arc::new(runtime)).token(self.name.clone());
        let client = Client::lazy(Way::new(world, radio.clone(), way), options).expect("it offers nothing");
        let listener = tokio::spawn(listener::listen(world.clone(), self.name.clone(), client.clone(), ears));
        state.on = Some(On { client: client.clone(), listener: listener.abort_handle() });
        client
    }

    fn next_key(&self) -> String {
        let mut state = self.state();
        state.calls += 1;
        format!("call-{}", state.calls)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Handset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handset").field(&self.name).finish()
    }
}

impl State {
    fn switch_off(&mut self) {
        if let Some(on) = self.on.take() {
            on.listener.abort();
        }
    }
}

fn run_of(state: &Connection) -> Option<String> {
    match state {
        Connection::Connected(welcome) => Some(welcome.run.clone()),
        _ => None,
    }
}

/// Whether the till knows the key of a call after a restart as well.
fn is_durable(noted: &Noted) -> bool {
    Call::read(noted.command, noted.with.clone()).is_ok_and(|mut call| call.key_slot().is_some())
}

/// Whether nothing was heard of the till.
fn is_lost(error: &Error) -> bool {
    error.kind() == Kind::Closed
}

/// What the call returns within `bound` after the last time at which the client connected.
async fn bounded<T>(
    mut state: watch::Receiver<Connection>,
    bound: Duration,
    call: impl Future<Output = Result<T>>,
) -> Option<Result<T>> {
    tokio::pin!(call);
    let mut until = Instant::now() + bound;
    loop {
        tokio::select! {
            biased;
            done = &mut call => return Some(done),
            Ok(()) = state.changed() => until = Instant::now() + bound,
            () = sleep_until(until) => return None,
        }
    }
}

/// How long what was said may be on its way, or a till that is away is waited for.
const LATE: Duration = Duration::from_secs(90);
