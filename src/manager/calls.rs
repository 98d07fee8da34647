//! Calls on their way to a device: the envelope, and the queue between handles and the owner task.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tresen_hal::{BoxFuture, Effect, Error, Kind, Result, Retry};

use super::lock;

/// In which order calls are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// First come, first served.
    Normal,
    /// Before every normal call that waits: what takes a moment, and what people wait for.
    Urgent,
}

/// How a call is to be served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// What it is, for those who wait behind it: `a print job`.
    pub(crate) what: &'static str,
    pub(crate) lane: Lane,
    /// It begins within this time, or not at all.
    pub(crate) begin_within: Duration,
    /// How long the caller waits for the answer, from now. A call that has begun goes on without its caller.
    pub(crate) within: Duration,
}

impl Terms {
    /// A call in the normal lane that may begin as late as its caller waits.
    pub(crate) fn normal(what: &'static str, within: Duration) -> Self {
        Self { what, lane: Lane::Normal, begin_within: within, within }
    }

    /// The same in the urgent lane.
    pub(crate) fn urgent(what: &'static str, within: Duration) -> Self {
        Self { lane: Lane::Urgent, ..Self::normal(what, within) }
    }
}

/// Why a call has no answer. What it did to the world is known exactly.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It never began and never will: nothing happened.
    NotBegun(Error),
    /// It began and was broken off: by a reset, by closing the till, or by a defect in the driver.
    Ended(Error),
    /// It began and is still running, longer than its caller waits.
    Running(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotBegun(error) => error.with_effect(Effect::None),
            Failure::Ended(error) | Failure::Running(error) => error.with_effect(Effect::Unknown),
        }
    }
}

/// Whether a call has begun. Owner and caller decide it once: either it begins, or it never will.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun(Arc<AtomicU8>);

impl Begun {
    /// The owner begins the call; false if the caller has withdrawn it.
    fn begin(&self) -> bool {
        self.decide(BEGUN)
    }

    /// The caller withdraws the call; false if it has begun.
    pub(super) fn withdraw(&self) -> bool {
        self.decide(WITHDRAWN)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire) == BEGUN
    }

    fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire) == WITHDRAWN
    }

    fn decide(&self, to: u8) -> bool {
        self.0.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

pub(super) type Run<D> = Box<dyn for<'a> FnOnce(&'a mut D) -> BoxFuture<'a, After> + Send>;

/// Whether the link is still good after a call.
#[derive(Debug)]
pub enum After {
    Keep,
    /// It is not, for this reason.
    Reopen(Error),
}

impl After {
    /// What an error says about the link under the driver.
    pub(crate) fn of(error: &Error) -> Self {
        match error.kind() {
            Kind::Closed | Kind::Io | Kind::Timeout | Kind::Protocol => Self::Reopen(copy(error)),
            _ => Self::Keep,
        }
    }
}

/// The same error for a second reader, its cause as text.
pub(crate) fn copy(error: &Error) -> Error {
    let device = error.device().unwrap_or_default();
    let copy = Error::new(error.kind(), error.said_of(device)).with_effect(error.effect()).with_retry(error.retry());
    if device.is_empty() { copy } else { copy.at(device) }
}

/// What an owner is doing.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// `a print job`
    pub(crate) what: &'static str,
    /// For whom, if that was said.
    pub(crate) caller: Option<Arc<str>>,
    pub(crate) since: Instant,
}

impl Running {
    pub(super) fn now(what: &'static str, caller: Option<Arc<str>>) -> Self {
        Self { what, caller, since: Instant::now() }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        self.caller.as_ref().map_or(Ok(()), |caller| write!(f, " of {caller}"))
    }
}

/// A call in its envelope.
pub(super) struct Call<D: ?Sized> {
    what: &'static str,
    caller: Option<Arc<str>>,
    begun: Begun,
    run: Run<D>,
    refuse: oneshot::Sender<Error>,
}

impl<D: ?Sized> Call<D> {
    pub(super) fn new(
        what: &'static str,
        caller: Option<Arc<str>>,
        begun: Begun,
        run: Run<D>,
        refuse: oneshot::Sender<Error>,
    ) -> Self {
        Self { what, caller, begun, run, refuse }
    }

    /// What an owner does that runs it now.
    pub(super) fn running(&self) -> Running {
        Running::now(self.what, self.caller.clone())
    }

    /// What runs it on the driver; none if its caller has withdrawn it.
    pub(super) fn begin(self) -> Option<Run<D>> {
        self.begun.begin().then_some(self.run)
    }

    fn refuse(self, error: Error) {
        if self.begun.withdraw() {
            self.refuse.send(error).ok();
        }
    }
}

/// Calls that wait for a device, and what its owner is told. Handles write, the owner reads.
pub(super) struct Calls<D: ?Sized> {
    name: Arc<str>,
    state: Mutex<State<D>>,
    /// Something is there for [`Calls::next`].
    wake: Notify,
    /// Something is there for [`Calls::broken_off`] or [`Calls::opening_broken_off`].
    interrupt: Notify,
}

struct State<D: ?Sized> {
    urgent: VecDeque<Call<D>>,
    normal: VecDeque<Call<D>>,
    running: Option<Running>,
    /// Why calls are refused, and since when.
    refusing: Option<(Error, Instant)>,
    reset: bool,
    arrived: bool,
    closing: bool,
    /// Also the running call is to end.
    closing_now: bool,
}

/// What the owner does next.
pub(super) enum Next<D: ?Sized> {
    Call(Call<D>),
    Reset,
    /// The system has seen the device come.
    Arrived,
    /// The last handle was dropped, or the till is closed.
    Ended,
}

impl<D: ?Sized> Calls<D> {
    pub(super) fn new(name: Arc<str>) -> Self {
        let state = State {
            urgent: VecDeque::new(),
            normal: VecDeque::new(),
            running: None,
            refusing: None,
            reset: false,
            arrived: false,
            closing: false,
            closing_now: false,
        };
        Self { name, state: Mutex::new(state), wake: Notify::new(), interrupt: Notify::new() }
    }

    /// Queues a call.
    ///
    /// # Errors
    /// The device is away, or too many calls wait for it.
    pub(super) fn push(&self, lane: Lane, call: Call<D>) -> Result<()> {
        let mut state = lock(&self.state);
        if let Some((error, since)) = &state.refusing {
            return Err(self.refusal(error, *since));
        }
        let queue = match lane {
            Lane::Urgent => &mut state.urgent,
            Lane::Normal => &mut state.normal,
        };
        queue.retain(|call| !call.begun.is_withdrawn());
        if queue.len() >= QUEUE {
            return Err(Error::new(Kind::Busy, format!("{QUEUE} calls are waiting for it already")));
        }
        queue.push_back(call);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// What is next, control before calls, urgent calls before the others. Cancel-safe.
    pub(super) async fn next(&self) -> Next<D> {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.wake.notified().await;
        }
    }

    fn take(&self) -> Option<Next<D>> {
        let mut state = lock(&self.state);
        if state.closing {
            return Some(Next::Ended);
        }
        if std::mem::take(&mut state.reset) {
            return Some(Next::Reset);
        }
        if std::mem::take(&mut state.arrived) {
            return Some(Next::Arrived);
        }
        let call = state.urgent.pop_front().or_else(|| state.normal.pop_front())?;
        Some(Next::Call(call))
    }

    /// What runs now, for those who wait behind it.
    pub(super) fn running(&self, running: Option<Running>) {
        lock(&self.state).running = running;
    }

    /// What runs.
    pub(super) fn busy_with(&self) -> Option<Running> {
        lock(&self.state).running.clone()
    }

    /// Accepts calls.
    pub(super) fn accept(&self) {
        let mut state = lock(&self.state);
        if !state.closing {
            state.refusing = None;
        }
    }

    /// Refuses calls from now on, those that wait included.
    pub(super) fn refuse(&self, error: Error) {
        let mut state = lock(&self.state);
        let since = state.refusing.take().map_or_else(Instant::now, |(_, since)| since);
        let waiting: Vec<_> = state.take_waiting().collect();
        let refusals = waiting.into_iter().map(|call| (call, self.refusal(&error, since)));
        refusals.for_each(|(call, error)| call.refuse(error));
        state.refusing = Some((error, since));
    }

    fn refusal(&self, error: &Error, since: Instant) -> Error {
        let why = error.said_of(&self.name);
        let what = match error.kind() {
            Kind::Cancelled => why,
            _ => format!("not connected: {why} (away for {} s)", since.elapsed().as_secs()),
        };
        Error::new(error.kind(), what).with_effect(Effect::None).with_retry(error.retry())
    }

    /// The device is to be opened anew; calls wait for that as for a first opening.
    pub(super) fn reset(&self) {
        {
            let mut state = lock(&self.state);
            state.reset = true;
            if !state.closing {
                state.refusing = None;
            }
        }
        self.wake.notify_one();
        self.interrupt.notify_one();
    }

    pub(super) fn arrived(&self) {
        lock(&self.state).arrived = true;
        self.wake.notify_one();
    }

    /// No more calls: those that wait are refused, the one that runs is finished, unless `now`.
    pub(super) fn close(&self, now: bool) {
        {
            let mut state = lock(&self.state);
            state.closing = true;
            state.closing_now |= now;
        }
        self.refuse(closed());
        self.wake.notify_one();
        self.interrupt.notify_one();
    }

    /// Calls wait again, as for a first opening. Called while nobody owns the device.
    pub(super) fn open_again(&self) {
        let mut state = lock(&self.state);
        (state.closing, state.closing_now) = (false, false);
        (state.reset, state.arrived, state.refusing) = (false, false, None);
    }

    /// Why the running call is to be broken off, as soon as it is: a reset, or the end.
    pub(super) async fn broken_off(&self) -> Error {
        self.interrupted(|state| state.closing_now).await
    }

    /// Why opening is to be broken off, as soon as it is. A reset only breaks it off to begin anew.
    pub(super) async fn opening_broken_off(&self) -> Error {
        self.interrupted(|state| state.closing).await
    }

    async fn interrupted(&self, ended: impl Fn(&State<D>) -> bool) -> Error {
        loop {
            {
                let mut state = lock(&self.state);
                if ended(&state) {
                    return closed();
                }
                if std::mem::take(&mut state.reset) {
                    return was_reset();
                }
            }
            self.interrupt.notified().await;
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        lock(&self.state).closing
    }
}

impl<D: ?Sized> State<D> {
    fn take_waiting(&mut self) -> impl Iterator<Item = Call<D>> {
        std::mem::take(&mut self.urgent).into_iter().chain(std::mem::take(&mut self.normal))
    }
}

pub(super) fn closed() -> Error {
    Error::new(Kind::Cancelled, CLOSED).with_retry(Retry::Never)
}

pub(super) fn was_reset() -> Error {
    Error::new(Kind::Cancelled, "the device was reset").with_retry(Retry::AfterReconnect)
}

/// Why a device is closed. Which of the two it was is known to whoever did it.
pub(super) const CLOSED: &str = "the device was detached, or the till was closed";
/// How many calls may wait for one device in each lane.
pub(super) const QUEUE: usize = 32;
