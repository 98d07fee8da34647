//! One device of a handheld, at the till: where it is now, and what it has told. It outlives connections.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;
use tresen::payment::{Host, IntentId};
use tresen::printers::Status;
use tresen::{DeviceId, Effect, Error, Kind, Result, Retry, Scan};

use crate::attach::SCANS;
use crate::attach::wire::{Answered, Ask, Device, FromTill, Taken, Told};
use crate::server::lock;
use crate::wire::text;

/// A device of a handheld. The driver of each of its visits holds it.
pub(super) struct Slot {
    /// Its class, and its name at the handheld.
    pub(super) id: DeviceId,
    /// Its name at the till.
    pub(super) name: String,
    /// The handheld.
    pub(super) owner: String,
    link: watch::Sender<Link>,
    /// The last status that a printer has told.
    pub(super) status: watch::Sender<Option<Status>>,
    scans: Mutex<Scans>,
    notices: Mutex<VecDeque<String>>,
    /// Something came for the driver: a scan, a notice.
    pub(super) arrived: Notify,
    /// What the terminal does for the till now.
    pub(super) serving: Mutex<Option<Serving>>,
    /// Over which connection each undecided transaction was sent.
    pub(super) sent: Mutex<BTreeMap<IntentId, u64>>,
}

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

/// Scans that came and were not taken, and the number of the last that came.
#[derive(Default)]
struct Scans {
    run: String,
    last: u64,
    queue: VecDeque<(u64, Scan)>,
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
    pub(super) fn new(id: DeviceId, name: String, owner: String, here: Arc<Here>) -> Arc<Self> {
        Arc::new(Self {
            id,
            name,
            owner,
            link: watch::Sender::new(Link::Here(here)),
            status: watch::Sender::new(None),
            scans: Mutex::default(),
            notices: Mutex::default(),
            arrived: Notify::new(),
            serving: Mutex::default(),
            sent: Mutex::default(),
        })
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
        self.link.send_if_modified(|link| match link {
            Link::Here(here) if here.generation == generation => {
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

    /// What it tells unasked.
    pub(super) fn told(self: &Arc<Self>, here: &Arc<Here>, told: Told) {
        match told {
            Told::Status(status) => _ = self.status.send_replace(Some(status)),
            Told::Scan { number, scan } => self.scanned(here, number, *scan),
            Told::Notice(text) => {
                let mut notices = lock(&self.notices);
                if notices.len() >= NOTICES {
                    notices.pop_front();
                }
                notices.push_back(text);
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
                let Some(serving) = serving.as_mut().filter(asks) else { return };
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
    }

    fn scanned(&self, here: &Here, number: u64, scan: Scan) {
        let mut scans = lock(&self.scans);
        if scans.run != here.run {
            scans.run.clone_from(&here.run);
            scans.last = 0;
        }
        if number <= scans.last {
            let waits = scans.queue.iter().any(|(waiting, _)| *waiting == number);
            if !waits {
                here.wire.try_send(&FromTill::Taken(Taken { device: self.id.clone(), number }));
            }
            return;
        }
        if scans.queue.len() >= SCANS {
            tracing::warn!(scanner = self.name, "more scans came than anybody takes");
            return;
        }
        scans.last = number;
        scans.queue.push_back((number, scan.from_device(&self.name)));
        drop(scans);
        self.arrived.notify_one();
    }

    /// The next scan, if there is one.
    pub(super) fn take_scan(&self, here: &Here) -> Option<Scan> {
        let (number, scan) = lock(&self.scans).queue.pop_front()?;
        here.wire.try_send(&FromTill::Taken(Taken { device: self.id.clone(), number }));
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

pub(super) fn gone(why: impl Into<String>) -> Error {
    Error::new(Kind::Closed, why).with_retry(Retry::AfterReconnect)
}

/// The till's end of one connection of a handheld.
pub(super) struct Wire {
    out: mpsc::Sender<String>,
    asks: Mutex<Asks>,
}

#[derive(Default)]
struct Asks {
    last: u64,
    open: BTreeMap<u64, oneshot::Sender<Result<Value>>>,
    closed: bool,
}

/// Why an ask has no reply.
pub(super) enum Unanswered {
    /// It was not sent, and will not be.
    NotSent,
    /// The connection was lost.
    Lost,
    /// The handheld answered with an error, or not in time.
    Refused(Error),
}

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotSent => gone("the handheld is away").with_effect(Effect::None),
            Unanswered::Lost => gone("the connection to the handheld was lost").with_effect(Effect::Unknown),
            Unanswered::Refused(error) => error,
        }
    }
}

impl Wire {
    pub(super) fn new(out: mpsc::Sender<String>) -> Arc<Self> {
        Arc::new(Self { out, asks: Mutex::default() })
    }

    /// Sends an ask and waits for its answer. Dropping the future abandons the answer.
    async fn asked(&self, device: &DeviceId, call: &str, with: Value) -> Result<Value, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut asks = lock(&self.asks);
            if asks.closed {
                return Err(Unanswered::NotSent);
            }
            asks.last += 1;
            let id = asks.last;
            asks.open.insert(id, answer);
            id
        };
        let _forget = Forget { wire: self, id };
        let ask = FromTill::Ask(Ask { id, device: device.clone(), call: call.to_owned(), with });
        self.out.send(text(&ask)).await.map_err(|_| Unanswered::NotSent)?;
        match answered.await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(Unanswered::Refused(error)),
            Err(_) => Err(Unanswered::Lost),
        }
    }

    pub(super) fn ask(
        &self,
        device: &DeviceId,
        call: &str,
        with: Value,
    ) -> impl Future<Output = Result<Value, Unanswered>> + Send {
        self.asked(device, call, with)
    }

    /// Takes in an answer. One that nobody waits for is dropped.
    pub(super) fn answered(&self, Answered { id, reply, error }: Answered) {
        let Some(answer) = lock(&self.asks).open.remove(&id) else {
            tracing::debug!(id, "a handheld answered what it was not asked, or what nobody waits for");
            return;
        };
        let done = match (reply, error) {
            (_, Some(error)) => Err(error),
            (Some(reply), None) => Ok(reply),
            (None, None) => Ok(Value::Null),
        };
        answer.send(done).ok();
    }

    /// Sends a message that may be lost.
    pub(super) fn try_send(&self, message: &FromTill) {
        self.out.try_send(text(message)).ok();
    }

    /// Nothing is sent any more, and what is not answered is lost.
    pub(super) fn close(&self) {
        let mut asks = lock(&self.asks);
        asks.closed = true;
        asks.open.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.asks).closed
    }
}

/// Forgets an ask that is answered or abandoned.
struct Forget<'a> {
    wire: &'a Wire,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.wire.asks).open.remove(&self.id);
    }
}

/// Time limit of calls that the handheld answers at once: 15 s.
pub(super) const SHORT: Duration = Duration::from_secs(15);
/// The longest that a question waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);
/// Questions that a transaction may have open at a time.
const QUESTIONS: usize = 8;
/// Notices kept for a driver.
const NOTICES: usize = 16;
