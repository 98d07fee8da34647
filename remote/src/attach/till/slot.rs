//! One device of a handheld, at the till: where it is now, and what it has told. It outlives connections.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;
use tresen::payment::{Host, IntentId};
use tresen::printers::Status;
use tresen::{DeviceId, Effect, Error, Kind, Result, Scan};

use super::arrivals::{Arrival, Arrivals, Arrived};
pub(super) use super::connection::{Unanswered, Wire, gone};
use crate::attach::bounds;
use crate::attach::wire::{Device, FromTill, Taken, Told};
use crate::server::lock;
use crate::trust::Principal;

/// A device of a handheld. The driver of each of its visits holds it.
pub(super) struct Slot {
    /// Its class, and its name at the handheld.
    pub(super) id: DeviceId,
    /// Its name at the till.
    pub(super) name: String,
    /// The handheld.
    pub(super) owner: String,
    /// Its station.
    pub(super) station: String,
    link: watch::Sender<Link>,
    /// The last status that a printer has told.
    pub(super) status: watch::Sender<Option<Status>>,
    arrivals: Mutex<Arrivals>,
    notices: Mutex<VecDeque<String>>,
    /// Something came for the driver: a scan, a notice.
    pub(super) arrived: Notify,
    /// What the terminal does for the till now.
    pub(super) serving: Mutex<Option<Serving>>,
    /// Over which connection each undecided transaction was sent.
    pub(super) sent: Sent,
}

/// The number of the connection over which each undecided transaction was sent.
pub(super) type Sent = Arc<Mutex<BTreeMap<IntentId, u64>>>;

/// Where a device is.
#[derive(Clone)]
enum Link {
    Away { why: String },
    Here(Arc<Here>),
}

/// A visit of a device: from its offer until it is gone.
pub(super) struct Here {
    /// Its number, among all visits of all devices.
    pub(super) visit: u64,
    /// The number of its connection.
    pub(super) generation: u64,
    /// The run of the handheld.
    pub(super) run: String,
    pub(super) wire: Arc<Wire>,
    /// What was offered.
    pub(super) device: Device,
}

/// A transaction that runs at the handheld.
pub(super) struct Serving {
    pub(super) key: String,
    pub(super) host: Host,
    /// The questions that it has asked; one is withdrawn when its sender is dropped.
    questions: BTreeMap<String, oneshot::Sender<()>>,
}

impl Serving {
    pub(super) fn new(key: String, host: Host) -> Self {
        Self { key, host, questions: BTreeMap::new() }
    }
}

impl Slot {
    pub(super) fn new(id: DeviceId, name: String, by: &Principal, here: Arc<Here>, sent: Sent) -> Arc<Self> {
        Arc::new(Self {
            id,
            name,
            owner: by.name.clone(),
            station: by.station().to_owned(),
            link: watch::Sender::new(Link::Here(here)),
            status: watch::Sender::new(None),
            arrivals: Mutex::default(),
            notices: Mutex::default(),
            arrived: Notify::new(),
            serving: Mutex::default(),
            sent,
        })
    }

    /// It, as the till names it.
    pub(super) fn at_till(&self) -> DeviceId {
        DeviceId::new(self.id.class, &self.name)
    }

    /// Its visit now.
    ///
    /// # Errors
    /// [`Kind::Closed`]: it is away, and why.
    pub(super) fn here(&self) -> Result<Arc<Here>> {
        match &*self.link.borrow() {
            Link::Here(here) => Ok(here.clone()),
            Link::Away { why } => Err(gone(why.clone()).with_effect(Effect::None)),
        }
    }

    /// It is here. A visit that goes on over the same connection is not interrupted.
    pub(super) fn arrive(&self, here: Arc<Here>) {
        self.link.send_if_modified(|link| match link {
            Link::Here(before) if before.generation == here.generation => false,
            _ => {
                *link = Link::Here(here);
                true
            }
        });
    }

    /// It is away, if this is its connection.
    pub(super) fn leave(&self, generation: u64, why: &str) {
        self.end_if(|here| here.generation == generation, why);
    }

    /// It is away, whatever its connection.
    pub(super) fn end(&self, why: &str) {
        self.end_if(|_| true, why);
    }

    fn end_if(&self, concerned: impl Fn(&Here) -> bool, why: &str) {
        self.link.send_if_modified(|link| match link {
            Link::Here(here) if concerned(here) => {
                *link = Link::Away { why: why.to_owned() };
                self.status.send_replace(None);
                true
            }
            _ => false,
        });
    }

    /// Waits until a visit has ended, and returns why.
    pub(super) async fn left(&self, visit: u64) -> Error {
        let mut link = self.link.subscribe();
        let ended = link.wait_for(|link| !matches!(link, Link::Here(here) if here.visit == visit)).await;
        match ended.as_deref() {
            Ok(Link::Away { why }) => gone(why.clone()),
            _ => gone("the handheld has connected again"),
        }
    }

    /// Waits until the same run of the handheld is here over a later connection; `None` if another run is.
    pub(super) async fn back(&self, before: &Here) -> Option<Arc<Here>> {
        let mut link = self.link.subscribe();
        let later = |link: &Link| matches!(link, Link::Here(here) if here.generation > before.generation);
        match link.wait_for(later).await.as_deref() {
            Ok(Link::Here(here)) if here.run == before.run => Some(here.clone()),
            _ => None,
        }
    }

    /// What it tells unasked. Returns a scan that is lost.
    pub(super) fn told(self: &Arc<Self>, here: &Arc<Here>, told: Told) -> Option<Box<Scan>> {
        match told {
            Told::Scan { number, scan } => return self.scanned(here, number, *scan),
            Told::ScanLost(scan) => return Some(Box::new(scan.from_device(&self.name))),
            Told::Status(status) => _ = self.status.send_replace(Some(status)),
            Told::Notice(text) => {
                let mut notices = lock(&self.notices);
                if notices.len() >= NOTICES {
                    notices.pop_front();
                }
                notices.push_back(bounds::text(text));
                drop(notices);
                self.arrived.notify_one();
            }
            Told::Progress { key, progress } => {
                if let Some(serving) = lock(&self.serving).as_ref().filter(|serving| serving.key == key) {
                    serving.host.tell(progress);
                }
            }
            Told::Question { key, id, mut question } => {
                let mut serving = lock(&self.serving);
                let asks = |serving: &&mut Serving| serving.key == key && serving.questions.len() < QUESTIONS;
                let serving = serving.as_mut().filter(asks)?;
                question.within = question.within.min(ANSWER_WITHIN);
                let mut pending = serving.host.ask(*question);
                let (withdraw, withdrawn) = oneshot::channel();
                serving.questions.insert(id.clone(), withdraw);
                let (slot, here) = (self.clone(), here.clone());
                tokio::spawn(async move {
                    let answer = tokio::select! {
                        biased;
                        _ = withdrawn => return,
                        answer = pending.answer() => answer,
                    };
                    let reply = crate::attach::wire::Reply { question: id, answer };
                    if let Err(error) = slot.ask::<()>(&here, "answer", &reply, SHORT).await {
                        tracing::debug!(%error, "an answer did not reach the terminal");
                    }
                });
            }
            Told::Withdrawn { id } => {
                if let Some(serving) = &mut *lock(&self.serving) {
                    serving.questions.remove(&id);
                }
            }
        }
        None
    }

    fn scanned(&self, here: &Here, number: u64, scan: Scan) -> Option<Box<Scan>> {
        let mut lost = None;
        let mut arrivals = lock(&self.arrivals);
        let answer = match arrivals.arrived(&here.run, number) {
            Arrival::New => {
                arrivals.keep(scan.from_device(&self.name));
                self.arrived.notify_one();
                return None;
            }
            Arrival::Waits => return None,
            Arrival::Taken => FromTill::Taken(Taken { device: self.id.clone(), number }),
            Arrival::Full => {
                lost = Some(Box::new(scan.from_device(&self.name)));
                FromTill::Lost(Taken { device: self.id.clone(), number })
            }
            Arrival::Lost => FromTill::Lost(Taken { device: self.id.clone(), number }),
        };
        drop(arrivals);
        here.wire.try_send(&answer);
        lost
    }

    /// The next scan, if there is one. The handheld is told, if the run that has sent it is here.
    pub(super) fn take_scan(&self) -> Option<Scan> {
        let Arrived { run, number, scan } = lock(&self.arrivals).take()?;
        if let Ok(here) = self.here()
            && here.run == *run
        {
            here.wire.try_send(&FromTill::Taken(Taken { device: self.id.clone(), number }));
        }
        Some(scan)
    }

    /// The next notice, if there is one.
    pub(super) fn take_notice(&self) -> Option<String> {
        lock(&self.notices).pop_front()
    }

    /// Calls the device and reads its reply.
    ///
    /// # Errors
    /// As the handheld says, with the effect that it says; or it is lost, does not answer within `within`, or answers with
    /// something else: the effect is then unknown unless nothing was sent.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        here: &Here,
        call: &str,
        with: &impl Serialize,
        within: Duration,
    ) -> Result<T> {
        let with = serde_json::to_value(with).map_err(|e| unreadable(call, e).with_effect(Effect::None))?;
        let reply = timeout(within, here.wire.ask(&self.id, call, with)).await;
        let reply = reply.unwrap_or_else(|_| {
            let what = format!("the handheld did not answer `{call}` within {} s", within.as_secs());
            Err(Unanswered::Refused(Error::new(Kind::Timeout, what).with_effect(Effect::Unknown)))
        });
        read(call, reply.map_err(Error::from)?)
    }
}

/// Reads the reply to a call.
///
/// # Errors
/// [`Kind::Protocol`]: it is something else; the effect of the call is unknown.
pub(super) fn read<T: DeserializeOwned>(call: &str, reply: Value) -> Result<T> {
    serde_json::from_value(reply).map_err(|e| unreadable(call, e))
}

fn unreadable(call: &str, error: serde_json::Error) -> Error {
    let what = format!("the handheld's answer to `{call}` cannot be read; is it another version?");
    Error::new(Kind::Protocol, what).with_effect(Effect::Unknown).because(error)
}

/// Time limit of calls that the handheld answers at once: 15 s.
pub(super) const SHORT: Duration = Duration::from_secs(15);
/// The longest that a question waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);
/// Questions that a transaction may have open at a time.
const QUESTIONS: usize = 8;
/// Notices kept for a driver.
const NOTICES: usize = 16;
