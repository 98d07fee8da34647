//! The handheld's side: what it offers, and what the till has it do.

mod camera;
mod port;
mod printer;
mod scans;
mod terminal;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tresen::{
    Class, DeviceCapabilities, DeviceId, Effect, Error, Event, EventKind, Kind, Phase, Result, Retry, Source, Tresen,
};

use self::printer::Attempts;
use self::scans::Scans;
use super::DEVICES;
use super::wire::{Attached, Device, FromHandheld, Gone, Notice, Offered, Switch, Told};
use crate::server::lock;
use crate::wire::{Welcome, required, text};

/// Devices of this program for a till: [`Options::offer`](crate::client::Options::offer) of a client that connects to it.
///
/// All clones are one offer: one run, for one client at a time. The devices stay those of this program, and serve it and the
/// till in turn.
#[derive(Clone)]
pub struct Offer(Arc<Shared>);

/// How an offer stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Standing {
    /// No till is there, or it has not answered yet.
    Away,
    /// The till has answered.
    Attached {
        /// Each device, with its name at the till or the reason why it was not taken.
        devices: Vec<Attached>,
    },
    /// Another run of this handheld has taken over. This one offers nothing any more.
    Replaced {
        /// That run.
        by: String,
    },
}

struct Shared {
    till: Tresen,
    chosen: Option<BTreeSet<DeviceId>>,
    run: String,
    state: Mutex<State>,
    standing: watch::Sender<Standing>,
    /// How many asks may run at a time.
    places: Arc<Semaphore>,
    listening: Mutex<Option<AbortHandle>>,
    /// Held by the client that uses it.
    claim: Mutex<Weak<()>>,
    /// Held while a message of the till is taken in, or the connection changes: what came over an earlier connection is
    /// known before anything of the next, or ignored.
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The connection to the till.
    port: Option<Connected>,
    ports: u64,
    scans: BTreeMap<String, Scans>,
    attempts: Attempts,
    /// The abort signals of the transactions that the till has asked for, by key of this journal.
    running: BTreeMap<String, watch::Sender<bool>>,
}

/// The till at the other end.
#[derive(Clone)]
struct Connected {
    number: u64,
    out: mpsc::Sender<String>,
    till: Arc<Peer>,
}

/// Which till it is.
struct Peer {
    id: String,
    name: String,
    /// The run of its server.
    run: String,
}

impl Peer {
    /// A key of the till among those of all tills.
    fn ours(&self, key: &str) -> String {
        format!("{}/{key}", self.id)
    }
}

/// One connection to the till.
pub struct Port {
    shared: Arc<Shared>,
    number: u64,
    till: Arc<Peer>,
    messages: mpsc::Receiver<String>,
    out: mpsc::Sender<String>,
}

impl Offer {
    /// All devices of `till`, as they come and go. Call it within a tokio runtime.
    pub fn of(till: &Tresen) -> Self {
        Self::start(till, None)
    }

    /// Of the devices of `till` these, as they come and go. Call it within a tokio runtime.
    pub fn only(till: &Tresen, devices: impl IntoIterator<Item = DeviceId>) -> Self {
        Self::start(till, Some(devices.into_iter().collect()))
    }

    fn start(till: &Tresen, chosen: Option<BTreeSet<DeviceId>>) -> Self {
        let shared = Arc::new(Shared {
            till: till.clone(),
            chosen,
            run: till.new_id(),
            state: Mutex::default(),
            standing: watch::Sender::new(Standing::Away),
            places: Arc::new(Semaphore::new(ASKS)),
            listening: Mutex::default(),
            claim: Mutex::default(),
            turn: Mutex::default(),
        });
        // Following the events counts as somebody who may answer a terminal's questions: the till may.
        let (_, mut events) = till.follow();
        let listener: Weak<Shared> = Arc::downgrade(&shared);
        let listening = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let Some(shared) = listener.upgrade() else { return };
                shared.heard(event);
            }
        });
        *lock(&shared.listening) = Some(listening.abort_handle());
        Self(shared)
    }

    /// The id of this run.
    pub fn run(&self) -> &str {
        &self.0.run
    }

    /// How it stands; changes can be awaited.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.0.standing.subscribe()
    }

    /// Reserves it for a client, until what is returned is dropped.
    ///
    /// # Errors
    /// [`Kind::Input`]: another client has it.
    pub(crate) fn claim(&self) -> Result<Arc<()>> {
        let mut claim = lock(&self.0.claim);
        if claim.strong_count() > 0 {
            let error = nothing(Kind::Input, "another client of this program offers these devices".to_owned());
            return Err(error.hint("use that client, or drop it first; devices are offered to one till at a time"));
        }
        let own = Arc::new(());
        *claim = Arc::downgrade(&own);
        Ok(own)
    }

    /// A new connection to the till that has greeted with `welcome`; it replaces an earlier one, from which nothing is taken
    /// in any more.
    pub fn connect(&self, welcome: &Welcome) -> Port {
        let _turn = lock(&self.0.turn);
        let (out, messages) = mpsc::channel(QUEUED);
        let (id, name, run) = (welcome.till.clone(), welcome.name.clone(), welcome.run.clone());
        let till = Arc::new(Peer { id, name, run });
        let number = {
            let mut state = lock(&self.0.state);
            state.ports += 1;
            let number = state.ports;
            state.port = Some(Connected { number, out: out.clone(), till: till.clone() });
            number
        };
        let port = Port { shared: self.0.clone(), number, till, messages, out };
        if !matches!(&*self.0.standing.borrow(), Standing::Replaced { .. }) {
            self.0.offer();
            self.0.send_scans(true);
        }
        port
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(listening) = lock(&self.listening).take() {
            listening.abort();
        }
    }
}

/// A call that has begun.
type Work = tresen::hal::BoxFuture<'static, Result<Value>>;

impl Shared {
    fn has(&self, device: &DeviceId) -> bool {
        let known = matches!(device.class, Class::Printer | Class::Scanner | Class::Camera | Class::Terminal);
        known && self.chosen.as_ref().is_none_or(|chosen| chosen.contains(device))
    }

    /// The devices that are here now, and those that are away.
    fn devices(&self) -> (Vec<Device>, Vec<DeviceId>) {
        let states = self.till.devices().into_iter().filter(|state| self.has(&state.id));
        let (ready, away): (Vec<_>, Vec<_>) = states.partition(|state| state.phase == Phase::Ready);
        let devices = ready.into_iter().filter_map(|state| {
            let name = state.id.name;
            Some(match state.capabilities? {
                DeviceCapabilities::Printer(capabilities) => Device::Printer { name, capabilities },
                DeviceCapabilities::Scanner(capabilities) => Device::Scanner { name, capabilities },
                DeviceCapabilities::Camera(capabilities) => Device::Camera { name, capabilities },
                DeviceCapabilities::Terminal(capabilities) => {
                    // A restored database has the same id and another epoch: it may have forgotten payments.
                    let store = self.till.store();
                    Device::Terminal { name, capabilities, journal: format!("{}/{}", store.till(), store.epoch()) }
                }
                _ => return None,
            })
        });
        let mut devices: Vec<_> = devices.collect();
        let mut away: Vec<_> = away.into_iter().map(|state| state.id).collect();
        if devices.len() + away.len() > DEVICES {
            tracing::warn!(count = devices.len() + away.len(), "only the first {DEVICES} devices are offered");
            devices.truncate(DEVICES);
            away.truncate(DEVICES - devices.len());
        }
        (devices, away)
    }

    /// Sends a message to the till, if it is there; whether it was.
    fn send(&self, message: &FromHandheld) -> bool {
        let port = lock(&self.state).port.clone();
        port.is_some_and(|port| port.out.try_send(text(message)).is_ok())
    }

    fn offer(&self) {
        if !matches!(&*self.standing.borrow(), Standing::Replaced { .. }) {
            let (devices, away) = self.devices();
            self.send(&FromHandheld::Offer(Offered { run: self.run.clone(), devices, away }));
        }
    }

    /// Sends the scans that wait; `again` those as well that were sent over an earlier connection.
    fn send_scans(&self, again: bool) {
        let now = self.till.runtime().now();
        let mut state = lock(&self.state);
        let State { port: Some(port), scans, .. } = &mut *state else { return };
        for (scanner, scans) in scans {
            if again {
                scans.reconnected(&port.till.run, now);
            }
            let tell = |event| {
                let notice = Notice { device: DeviceId::new(Class::Scanner, scanner), event };
                port.out.try_send(text(&FromHandheld::Notice(notice))).is_ok()
            };
            scans.take_lost().into_iter().for_each(|scan| _ = tell(Told::ScanLost(Box::new(scan))));
            scans.send(&port.till.run, |number, scan| tell(Told::Scan { number, scan: Box::new(scan.clone()) }));
        }
    }

    /// Passes on what a device tells.
    fn heard(&self, event: Event) {
        let Source::Device(device) = event.source else { return };
        if !self.has(&device) {
            return;
        }
        let told = match event.kind {
            EventKind::Connected { .. } => return self.offer(),
            EventKind::Disconnected { why } | EventKind::Faulted { why } | EventKind::Ended { why } => {
                self.send(&FromHandheld::Gone(Gone { device, why }));
                return;
            }
            EventKind::Detached => {
                if let Some(scans) = lock(&self.state).scans.get_mut(&device.name) {
                    scans.removed();
                }
                return self.offer();
            }
            EventKind::Scanned(scan) if device.class == Class::Scanner => {
                let now = self.till.runtime().now();
                lock(&self.state).scans.entry(device.name).or_default().scanned(*scan, now);
                return self.send_scans(false);
            }
            EventKind::Printer(status) => Told::Status(status),
            kind => match self.told(&device, kind) {
                Some(told) => told,
                None => return,
            },
        };
        self.send(&FromHandheld::Notice(Notice { device, event: told }));
    }

    /// Begins a call of the till; what is returned runs to its end in any case.
    fn begin(self: &Arc<Self>, till: &Arc<Peer>, device: DeviceId, call: &str, with: Value) -> Result<Work> {
        if !self.has(&device) {
            return Err(nothing(Kind::NotFound, format!("{device} is not offered")));
        }
        let here = self.till.on_behalf_of(till.name.as_str());
        let name = device.name.as_str();
        let none = |error: Error| error.with_effect(Effect::None);
        match (device.class, call) {
            (Class::Printer, "print") => self.print(&here, till, name, required(call, with).map_err(none)?),
            (Class::Printer, _) => printer::begin(&here, name, call, with),
            (Class::Camera, "frame") => camera::frame(&here, name, with),
            (Class::Terminal, _) => self.terminal(&here, till, name, call, with),
            (Class::Scanner, "set-enabled" | "beep" | "trigger") => {
                let (scanner, call) = (here.scanner(name).map_err(none)?, call.to_owned());
                let Switch { on } = required(&call, with).map_err(none)?;
                Ok(Box::pin(async move {
                    let done = match call.as_str() {
                        "set-enabled" => scanner.set_enabled(on).await,
                        "beep" => scanner.beep(on).await,
                        _ => scanner.trigger(on).await,
                    };
                    done.map(|()| Value::Null)
                }))
            }
            _ => Err(nothing(Kind::Unsupported, format!("a {} cannot `{call}`", device.class))),
        }
    }
}

/// An error of what was not begun.
fn nothing(kind: Kind, what: String) -> Error {
    Error::new(kind, what).with_effect(Effect::None).with_retry(Retry::Never)
}

/// A value as a reply.
fn reply(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|e| Error::new(Kind::Protocol, "it cannot be written as JSON").because(e))
}

/// Calls of the till that may be pending at a time.
const ASKS: usize = 64;
/// Messages that wait for the connection.
const QUEUED: usize = 1024;
