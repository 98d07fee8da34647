//! Calls to a device: the envelope, and the queue between handles and the owner task.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tresen_hal::{BoxFuture, Effect, Error, Kind, Result, Retry};

use super::lock;

/// The order in which calls are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// First come, first served.
    Normal,
    /// Before every waiting normal call: for short calls, and for those that people wait for.
    Urgent,
}

/// How a call is to be served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// What it is, for error messages of calls waiting behind it: `a print job`.
    pub(crate) what: &'static str,
    pub(crate) lane: Lane,
    /// Time limit for the call to begin; after that it is refused.
    pub(crate) begin_within: Duration,
    /// How long the caller waits for the answer, from now. A call that has begun continues without its caller.
    pub(crate) within: Duration,
}

impl Terms {
    /// A call in the normal lane that may begin as long as its caller waits.
    pub(crate) fn normal(what: &'static str, within: Duration) -> Self {
        Self { what, lane: Lane::Normal, begin_within: within, within }
    }

    /// The same in the urgent lane.
    pub(crate) fn urgent(what: &'static str, within: Duration) -> Self {
        Self { lane: Lane::Urgent, ..Self::normal(what, within) }
    }
}

/// Why a call returned no answer, and whether it had an effect.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It never began and never will: no effect.
    NotBegun(Error),
    /// It began and was aborted: by a reset, by closing the till, or by a defect in the driver.
    Ended(Error),
    /// It began and is still running after its caller's time limit.
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

/// Whether a call has begun. Owner and caller decide it atomically: either it begins, or it never will.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun(Arc<AtomicU8>);

impl Begun {
    /// Called by the owner to begin the call; false if the caller has withdrawn it.
    fn begin(&self) -> bool {
        self.decide(BEGUN)
    }

    /// Called by the caller to withdraw the call; false if it has begun.
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

/// Whether the link can still be used after a call.
#[derive(Debug)]
pub(crate) enum After {
    Keep,
    /// It can, but the call has failed.
    Failed(Error),
    /// It cannot, for this reason.
    Reopen(Error),
}

impl After {
    /// Whether the link can still be used after `error`.
    pub(crate) fn of(error: &Error) -> Self {
        match error.kind() {
            Kind::Closed | Kind::Io | Kind::Timeout | Kind::Protocol => Self::Reopen(copy(error)),
            _ => Self::Failed(copy(error)),
        }
    }

    /// Why the call has failed, if it has.
    pub(super) fn error(&self) -> Option<&Error> {
        match self {
            Self::Keep => None,
            Self::Failed(error) | Self::Reopen(error) => Some(error),
        }
    }
}

/// A copy of the error, its cause as text.
pub(crate) fn copy(error: &Error) -> Error {
    let device = error.device().unwrap_or_default();
    let copy = Error::new(error.kind(), error.said_of(device)).with_effect(error.effect()).with_retry(error.retry());
    if device.is_empty() { copy } else { copy.at(device) }
}

/// What an owner is currently running.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// `a print job`
    pub(crate) what: &'static str,
    /// On whose behalf, if specified.
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

    /// The call as reported while it runs.
    pub(super) fn running(&self) -> Running {
        Running::now(self.what, self.caller.clone())
    }

    /// The function to run on the driver; `None` if the caller has withdrawn the call.
    pub(super) fn begin(self) -> Option<Run<D>> {
        self.begun.begin().then_some(self.run)
    }

    fn refuse(self, error: Error) {
        if self.begun.withdraw() {
            self.refuse.send(error).ok();
        }
    }
}

/// The queue of calls for a device, and control requests to its owner. Handles write, the owner reads.
pub(super) struct Calls<D: ?Sized> {
    name: Arc<str>,
    state: Mutex<State<D>>,
    /// Notified when there is something for [`Calls::next`].
    wake: Notify,
    /// Notified when there is something for [`Calls::broken_off`] or [`Calls::opening_broken_off`].
    interrupt: Notify,
}

struct State<D: ?Sized> {
    urgent: VecDeque<Call<D>>,
    normal: VecDeque<Call<D>>,
    running: Option<Running>,
    /// Why calls are refused, and since when.
    refusing: Option<(Error, Instant)>,
    /// The link of a device that was away is open again: calls wait until the device is ready or away.
    opening: bool,
    reset: bool,
    arrived: bool,
    closing: bool,
    /// The running call is to be aborted as well.
    closing_now: bool,
}

/// The owner's next action.
pub(super) enum Next<D: ?Sized> {
    Call(Call<D>),
    Reset,
    /// The system has reported that the device was plugged in.
    Arrived,
    /// The last handle was dropped, or the till was closed.
    Ended,
}

impl<D: ?Sized> Calls<D> {
    pub(super) fn new(name: Arc<str>) -> Self {
        let state = State {
            urgent: VecDeque::new(),
            normal: VecDeque::new(),
            running: None,
            refusing: None,
            opening: false,
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
    /// The device is away, or too many calls are waiting for it.
    pub(super) fn push(&self, lane: Lane, call: Call<D>) -> Result<()> {
        let mut state = lock(&self.state);
        if let Some((error, since)) = state.refusing() {
            return Err(self.refusal(error, *since));
        }
        let queue = match lane {
            Lane::Urgent => &mut state.urgent,
            Lane::Normal => &mut state.normal,
        };
        queue.retain(|call| !call.begun.is_withdrawn());
        if queue.len() >= QUEUE {
            return Err(Error::new(Kind::Busy, format!("{QUEUE} calls are already waiting for it")));
        }
        queue.push_back(call);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// The next action: control requests before calls, urgent calls before normal ones. Cancel-safe.
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

    /// Records what is running, for the error messages of waiting calls.
    pub(super) fn running(&self, running: Option<Running>) {
        lock(&self.state).running = running;
    }

    /// How many calls wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        let state = lock(&self.state);
        state.urgent.iter().chain(&state.normal).filter(|call| !call.begun.is_withdrawn()).count()
    }

    /// What is running.
    pub(super) fn busy_with(&self) -> Option<Running> {
        lock(&self.state).running.clone()
    }

    /// Accepts calls.
    pub(super) fn accept(&self) {
        let mut state = lock(&self.state);
        if !state.closing {
            (state.refusing, state.opening) = (None, false);
        }
    }

    /// Has calls wait: the link is open, and the device is made ready.
    pub(super) fn opening(&self) {
        let mut state = lock(&self.state);
        state.opening = !state.closing;
    }

    /// Whether calls are taken, to be served now or later.
    pub(super) fn accepts(&self) -> bool {
        lock(&self.state).refusing().is_none()
    }

    /// Refuses calls from now on, including waiting ones.
    pub(super) fn refuse(&self, error: Error) {
        let mut state = lock(&self.state);
        let since = state.refusing.take().map_or_else(Instant::now, |(_, since)| since);
        let waiting: Vec<_> = state.take_waiting().collect();
        let refusals = waiting.into_iter().map(|call| (call, self.refusal(&error, since)));
        refusals.for_each(|(call, error)| call.refuse(error));
        (state.refusing, state.opening) = (Some((error, since)), false);
    }

    fn refusal(&self, error: &Error, since: Instant) -> Error {
        let why = error.said_of(&self.name);
        let what = match error.kind() {
            Kind::Cancelled => why,
            _ => format!("not connected: {why} (away for {} s)", since.elapsed().as_secs()),
        };
        Error::new(error.kind(), what).with_effect(Effect::None).with_retry(error.retry())
    }

    /// Requests that the device is reopened; calls wait as for a first opening.
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

    /// Stops accepting calls: waiting ones are refused, the running one may finish, unless `now`.
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

    /// Accepts calls again, which wait as for a first opening. Called while the device has no owner task.
    pub(super) fn open_again(&self) {
        let mut state = lock(&self.state);
        (state.closing, state.closing_now) = (false, false);
        (state.reset, state.arrived) = (false, false);
        (state.refusing, state.opening) = (None, false);
    }

    /// Why the running call is to be broken off, as soon as it is: a reset, or the end.
    pub(super) async fn broken_off(&self) -> Error {
        self.interrupted(|state| state.closing_now).await
    }

    /// Resolves with the reason when opening is to be aborted. After a reset it starts over.
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
    /// Why a new call is refused, and since when.
    fn refusing(&self) -> Option<&(Error, Instant)> {
        self.refusing.as_ref().filter(|_| !self.opening)
    }

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

/// Why a device is closed; the owner does not know which of the two it was.
pub(super) const CLOSED: &str = "the device was detached, or the till was closed";
/// How many calls may wait for one device in each lane.
pub(super) const QUEUE: usize = 32;
