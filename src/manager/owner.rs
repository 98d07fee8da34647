//! One task owns one device: it opens the link, holds the driver, runs one call at a time, and reconnects when
//! the link is lost. Everyone else holds a cheap handle.
//!
//! A hung device blocks only its own callers, and only for a bounded time: a call that cannot begin is refused while
//! the device is away, and a reset aborts a hung call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};
use tresen_hal::{Backoff, BoxFuture, Clock, Driver, Error, Kind, Result, Retry};

use super::calls::{After, Begun, Call, Calls, Failure, Next, Run, Running, Terms, closed, copy, was_reset};
use super::phase::Phase;
use crate::health::Activity;

/// A driver on its open link.
pub(crate) struct Opened<D: ?Sized> {
    pub(crate) driver: Box<D>,
    /// The name used in messages: where it was found, without options.
    pub(crate) address: String,
    /// A recording stands in for the device: when it ends, it is not reopened.
    pub(crate) recording: bool,
}

/// Opens the link and creates the driver, or fails in time; called again after each loss.
pub(crate) type Opener<D> = Arc<dyn Fn() -> BoxFuture<'static, Result<Opened<D>>> + Send + Sync>;

/// The class-specific part of owning a device.
pub trait Hooks<D: Driver + ?Sized>: Send + Sync + 'static {
    /// How long [`Hooks::opened`] may take.
    const OPENED_WITHIN: Duration = Duration::from_secs(10);
    /// Called once per connection, before any call is served. An error closes the link. Returns the delay until
    /// [`Hooks::tend`] should be called, if at all.
    fn opened<'a>(&'a self, driver: &'a mut D, address: &'a str) -> BoxFuture<'a, Result<Option<Duration>>>;
    /// Called after [`Hooks::opened`], once the phase says that the device is ready: who hears of it here and looks at
    /// the phase finds it so.
    fn connected(&self, driver: &mut D, address: &str);
    /// What was left to do after opening; called between calls. Returns when it is wanted again.
    fn tend<'a>(&'a self, driver: &'a mut D) -> BoxFuture<'a, (Option<Duration>, After)> {
        let _ = driver;
        Box::pin(async { (None, After::Keep) })
    }
    /// Handles an unsolicited event of the device.
    fn event(&self, event: D::Event);
    /// The device can no longer be used; called once per reason.
    fn lost(&self, reason: LossReason<'_>);
}

/// Why a device can no longer be used.
#[derive(Clone, Copy)]
pub enum LossReason<'a> {
    /// It was lost or cannot be reached; it is retried.
    Lost(&'a Error),
    /// The recording was played to its end.
    Ended(&'a str),
    /// The driver failed too often.
    Faulted(&'a str),
    /// It was detached, or the till was closed.
    Closed,
}

/// A cheap handle to an owned device.
pub(crate) struct Owned<D: ?Sized> {
    name: Arc<str>,
    handle: Arc<Handle<D>>,
    phase: watch::Receiver<Phase>,
    /// On whose behalf calls are made, if specified.
    caller: Option<Arc<str>>,
}

/// Ends the owner with the last handle.
struct Handle<D: ?Sized> {
    calls: Arc<Calls<D>>,
    phase: Arc<watch::Sender<Phase>>,
    /// How often it was closed and became good again.
    lives: AtomicU64,
}

impl<D: ?Sized> Drop for Handle<D> {
    fn drop(&mut self) {
        self.calls.close(false);
    }
}

impl<D: ?Sized> Clone for Owned<D> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            handle: self.handle.clone(),
            phase: self.phase.clone(),
            caller: self.caller.clone(),
        }
    }
}

/// A device that nobody owns yet; see [`Owned::start`].
pub(crate) fn unowned<D: Driver + ?Sized + 'static>(name: &str) -> Owned<D> {
    let (phase, watched) = watch::channel(Phase::Opening);
    let name: Arc<str> = name.into();
    let (calls, phase) = (Arc::new(Calls::new(name.clone())), Arc::new(phase));
    let handle = Handle { calls, phase, lives: AtomicU64::new(0) };
    Owned { name, handle: Arc::new(handle), phase: watched, caller: None }
}

impl<D: Driver + ?Sized + 'static> Owned<D> {
    /// The logical name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The state of the device; changes can be awaited.
    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// The running call.
    pub(crate) fn busy_with(&self) -> Option<Running> {
        self.handle.calls.busy_with()
    }

    /// How many calls wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.handle.calls.waiting()
    }

    /// The same device for calls on behalf of `caller`.
    pub(crate) fn on_behalf_of(&self, caller: Option<Arc<str>>) -> Self {
        Self { caller, ..self.clone() }
    }

    /// All handles are good again, after [`Owned::close`] has ended and before the next [`Owned::start`].
    pub(crate) fn open_again(&self) {
        self.handle.lives.fetch_add(1, Ordering::AcqRel);
        self.handle.calls.open_again();
        self.handle.phase.send_replace(Phase::Opening);
    }

    /// Starts owning the device.
    pub(crate) fn start<H: Hooks<D>>(
        &self,
        opener: Opener<D>,
        hooks: Arc<H>,
        clock: Arc<dyn Clock>,
        activity: Arc<Activity>,
    ) {
        let (calls, phase) = (self.handle.calls.clone(), self.handle.phase.clone());
        let task = Task { name: self.name.clone(), opener, hooks, phase, clock, calls, activity };
        tokio::spawn(supervise(Arc::new(task)));
    }

    /// How often a device was attached under its name before, for this handle.
    pub(crate) fn lives(&self) -> u64 {
        self.handle.lives.load(Ordering::Acquire)
    }

    /// Whether this is not the only handle.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.handle) > 1
    }

    /// Whether both are handles to one owner.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }

    /// Runs `call` on the driver.
    ///
    /// Refused at once while the device is away. While it is opened for the first time, the call waits, at most
    /// [`FIRST_OPENING`]. Dropping the future withdraws a call that has not begun; for one that has begun it discards
    /// the answer, not the effect.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        terms: Terms,
        call: impl for<'a> FnOnce(&'a mut D) -> BoxFuture<'a, (T, After)> + Send + 'static,
    ) -> Result<T, Failure> {
        let now = Instant::now();
        let (answer, answered) = oneshot::channel();
        let (refuse, refused) = oneshot::channel();
        let begun = Withdraw(Begun::default());
        let run: Run<D> = Box::new(move |driver| {
            let called = call(driver);
            Box::pin(async move {
                let (result, after) = called.await;
                answer.send(result).ok();
                after
            })
        });
        let here = |error: Error| error.at(&self.name);
        self.handle
            .calls
            .push(terms.lane, Call::new(terms.what, self.caller.clone(), begun.0.clone(), run, refuse))
            .map_err(|e| Failure::NotBegun(here(e)))?;
        let outcome = async {
            match answered.await {
                Ok(result) => Ok(result),
                Err(_) if begun.0.has_begun() => Err(Failure::Ended(here(self.broken_off()))),
                Err(_) => Err(Failure::NotBegun(here(refused.await.unwrap_or_else(|_| closed())))),
            }
        };
        tokio::pin!(outcome);
        let begin_by = now + terms.begin_within;
        if let Ok(outcome) = tokio::time::timeout_at(begin_by.min(now + FIRST_OPENING), &mut outcome).await {
            return outcome;
        }
        if !self.phase.borrow().is_ready() && begun.0.withdraw() {
            let error = Error::new(Kind::Timeout, "it is still being opened").with_retry(Retry::AfterReconnect);
            return Err(Failure::NotBegun(here(error)));
        }
        if let Ok(outcome) = tokio::time::timeout_at(begin_by, &mut outcome).await {
            return outcome;
        }
        if begun.0.withdraw() {
            return Err(Failure::NotBegun(here(self.did_not_begin(terms.begin_within))));
        }
        tokio::time::timeout_at(now + terms.within, outcome).await.unwrap_or_else(|_| {
            let what = format!("no answer within {} s", terms.within.as_secs());
            Err(Failure::Running(here(Error::new(Kind::Timeout, what))))
        })
    }

    /// As [`Owned::call`], for operations whose error tells whether the link can still be used.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        terms: Terms,
        ask: impl for<'a> FnOnce(&'a mut D) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let answer = self.call(terms, move |driver| {
            let answer = ask(driver);
            Box::pin(async move {
                let answer = answer.await;
                let after = answer.as_ref().err().map_or(After::Keep, After::of);
                (answer, after)
            })
        });
        answer.await?.map_err(|e| e.at(&self.name))
    }

    /// The device was plugged in: it is opened now instead of at its next attempt.
    pub(crate) fn arrived(&self) {
        self.handle.calls.arrived();
    }

    /// Reopens the device at once, even if it is faulted, or if opening it or a call hangs.
    pub(crate) fn reset(&self) -> Result<()> {
        if self.handle.calls.is_closing() {
            return Err(closed().at(&self.name));
        }
        self.handle.calls.reset();
        Ok(())
    }

    /// Ends the owner in an orderly way: the running call may finish until `deadline` and is then aborted.
    pub(crate) async fn close(&self, deadline: Instant) {
        let mut phase = self.phase.clone();
        self.handle.calls.close(false);
        let ended = async { phase.wait_for(|p| *p == Phase::Closed).await.is_ok() };
        if tokio::time::timeout_at(deadline, ended).await.is_err() {
            self.handle.calls.close(true);
            // Bounded by the driver's own goodbye.
            phase.wait_for(|p| *p == Phase::Closed).await.ok();
        }
    }

    fn broken_off(&self) -> Error {
        match &*self.phase.borrow() {
            Phase::Closed => closed(),
            phase => {
                let why = phase.why().unwrap_or("its driver failed");
                Error::new(Kind::Cancelled, format!("the call was aborted: {why}")).with_retry(Retry::AfterReconnect)
            }
        }
    }

    fn did_not_begin(&self, within: Duration) -> Error {
        let what = match self.busy_with() {
            Some(running) => {
                format!("it has been busy with {running} for {} s", running.since.elapsed().as_secs())
            }
            None => format!("it did not begin within {} s", within.as_secs()),
        };
        Error::new(Kind::Busy, what).with_retry(Retry::Now)
    }
}

/// Withdraws a call whose caller has dropped it.
struct Withdraw(Begun);

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

struct Task<D: ?Sized, H> {
    name: Arc<str>,
    opener: Opener<D>,
    hooks: Arc<H>,
    phase: Arc<watch::Sender<Phase>>,
    clock: Arc<dyn Clock>,
    calls: Arc<Calls<D>>,
    activity: Arc<Activity>,
}

/// Runs the owner; a driver that panics is restarted, at most five times a minute.
async fn supervise<D, H>(task: Arc<Task<D, H>>)
where
    D: Driver + ?Sized + 'static,
    H: Hooks<D>,
{
    let mut panics: Vec<Instant> = Vec::new();
    loop {
        let ran = tokio::spawn({
            let task = task.clone();
            async move { task.run().await }
        });
        match ran.await {
            Err(failure) if failure.is_panic() => {
                tracing::error!(device = %task.name, "the driver panicked; this is a defect, please report it");
                task.calls.running(None);
                let error = Error::new(Kind::Closed, "the driver panicked");
                task.activity.failed(&error, task.clock.wall());
                task.activity.ended();
                task.phase.send_replace(Phase::Opening);
                panics.retain(|at| at.elapsed() < RESTART_WINDOW);
                panics.push(Instant::now());
            }
            _ => break,
        }
        if panics.len() > RESTARTS {
            let why = format!("the driver failed {} times within {} s", panics.len(), RESTART_WINDOW.as_secs());
            let error = Error::new(Kind::Closed, format!("{why}; reset the device")).with_retry(Retry::AfterOperator);
            task.calls.refuse(error);
            task.phase.send_replace(Phase::Faulted { why: why.clone() });
            task.hooks.lost(LossReason::Faulted(&why));
            if !task.until_reset().await {
                break;
            }
            task.phase.send_replace(Phase::Opening);
            task.calls.accept();
            panics.clear();
        }
    }
    task.calls.close(true);
    task.hooks.lost(LossReason::Closed);
    task.phase.send_replace(Phase::Closed);
}

/// Why serving ended.
enum Left {
    /// The link cannot be used any more.
    Lost(Error),
    /// The recording was played to its end.
    Played(Error),
    Reset,
    /// The last handle was dropped, or the till was closed.
    Ended,
}

impl<D: Driver + ?Sized + 'static, H: Hooks<D>> Task<D, H> {
    /// Opens, serves, reopens; ends when the last handle is dropped.
    async fn run(&self) {
        let seed = self.name.bytes().fold(0, |seed: u64, b| seed.wrapping_mul(31).wrapping_add(b.into()));
        let mut backoff = Backoff::new(seed);
        loop {
            let left = tokio::select! {
                biased;
                why = self.calls.opening_broken_off() => {
                    if self.calls.is_closing() { Left::Ended } else { Left::Lost(why) }
                }
                opened = self.open() => match opened {
                    Ok((mut opened, tend)) => {
                        let since = Instant::now();
                        self.calls.accept();
                        self.activity.connected(self.clock.wall());
                        self.phase.send_replace(Phase::Ready);
                        self.hooks.connected(&mut opened.driver, &opened.address);
                        let left = self.serve(opened, tend).await;
                        self.activity.ended();
                        // A device that accepts the connection and closes it does not count as connected.
                        if since.elapsed() >= PROVEN {
                            backoff.reset();
                        }
                        left
                    }
                    Err(left) => left,
                },
            };
            match left {
                Left::Ended => return,
                Left::Reset => {
                    backoff.reset();
                    self.away(&was_reset());
                }
                Left::Played(error) => {
                    let why = error.to_string();
                    self.calls.refuse(error);
                    self.phase.send_replace(Phase::Ended { why: why.clone() });
                    self.hooks.lost(LossReason::Ended(&why));
                    if !self.until_reset().await {
                        return;
                    }
                }
                Left::Lost(error) => {
                    self.away(&error);
                    let delay = if error.kind() == Kind::Cancelled { Duration::ZERO } else { backoff.next_delay() };
                    match self.wait(delay).await {
                        Waited::Due => {}
                        Waited::Reset => backoff.reset(),
                        Waited::Arrived => backoff.hot_plugged(),
                        Waited::Ended => return,
                    }
                }
            }
        }
    }

    /// Marks the device as away. Reports it if it is new, or for a new reason.
    fn away(&self, error: &Error) {
        let was_reset = error.kind() == Kind::Cancelled;
        // A reset is not a reason for being away: the previous one is kept.
        if was_reset && self.phase.borrow().is_away() {
            return;
        }
        tracing::debug!(device = %self.name, %error, "away");
        self.activity.failed(error, self.clock.wall());
        let retry = if error.retry() == Retry::AfterOperator { error.retry() } else { Retry::AfterReconnect };
        let refusal = copy(error).with_retry(retry);
        if was_reset {
            // Calls waiting for the old connection are refused; new calls wait for the new one.
            self.calls.refuse(Error::new(Kind::Closed, refusal.what()).with_retry(retry));
            self.calls.accept();
        } else {
            self.calls.refuse(refusal);
        }
        let (why, now) = (error.to_string(), self.clock.wall());
        let news = self.phase.send_if_modified(|phase| {
            let since = match phase {
                Phase::Away { why: before, .. } if *before == why => return false,
                Phase::Away { since, .. } => *since,
                _ => now,
            };
            *phase = Phase::Away { why, since };
            true
        });
        if news {
            self.hooks.lost(LossReason::Lost(error));
        }
    }

    async fn open(&self) -> Result<(Opened<D>, Option<Duration>), Left> {
        self.activity.attempt();
        let mut opened = (self.opener)().await.map_err(Left::Lost)?;
        let hooked = self.hooks.opened(&mut opened.driver, &opened.address);
        let hooked = timeout(H::OPENED_WITHIN, hooked)
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::Timeout, "was not ready in time").at(&opened.address)));
        match hooked {
            Ok(tend) => Ok((opened, tend)),
            Err(error) if opened.recording => Err(Left::Played(error)),
            Err(error) => Err(Left::Lost(error)),
        }
    }

    /// Runs calls and handles events in between, until the link cannot be used any more.
    async fn serve(&self, opened: Opened<D>, tend: Option<Duration>) -> Left {
        let Opened { mut driver, recording, .. } = opened;
        let lost = |error| if recording { Left::Played(error) } else { Left::Lost(error) };
        let mut tend = tend.map(|after| Instant::now() + after);
        loop {
            let after = tokio::select! {
                biased;
                next = self.calls.next() => match next {
                    Next::Call(call) => {
                        let running = call.running();
                        let Some(run) = call.begin() else { continue };
                        let (what, began) = (running.what, running.since);
                        self.calls.running(Some(running));
                        let after = self.unless_broken_off(run(&mut driver)).await;
                        self.calls.running(None);
                        self.noted(what, began, &after);
                        match after {
                            Ok(after) => after,
                            // The state of the link is unknown, so the session is not closed either.
                            Err(_) if self.calls.is_closing() => return Left::Ended,
                            Err(_) => return Left::Reset,
                        }
                    }
                    Next::Arrived => After::Keep,
                    Next::Reset => {
                        goodbye(&mut *driver).await;
                        return Left::Reset;
                    }
                    Next::Ended => {
                        goodbye(&mut *driver).await;
                        return Left::Ended;
                    }
                },
                () = until(tend) => {
                    self.calls.running(Some(Running::now("a recovery", None)));
                    let began = Instant::now();
                    let tended = self.unless_broken_off(self.hooks.tend(&mut driver)).await;
                    self.calls.running(None);
                    self.activity.called("a recovery", began.elapsed(), !matches!(tended, Ok((None, After::Keep))));
                    match tended {
                        Ok((again, after)) => {
                            tend = again.map(|after| Instant::now() + after);
                            after
                        }
                        Err(_) if self.calls.is_closing() => return Left::Ended,
                        Err(_) => return Left::Reset,
                    }
                }
                event = driver.event() => match event {
                    Ok(event) => {
                        self.hooks.event(event);
                        // A driver that has an event at every look must not keep its thread to itself.
                        tokio::task::consume_budget().await;
                        After::Keep
                    }
                    Err(error) => return lost(error),
                },
            };
            if let After::Reopen(error) = after {
                goodbye(&mut *driver).await;
                return lost(error);
            }
        }
    }

    /// Notes how long a call took, and how it failed. What makes the link unusable is noted with its loss.
    fn noted(&self, what: &'static str, began: Instant, ended: &Result<After>) {
        let failed = match ended {
            Ok(After::Failed(error)) => {
                self.activity.failed(error, self.clock.wall());
                true
            }
            Ok(after) => after.error().is_some(),
            Err(_) => true,
        };
        self.activity.called(what, began.elapsed(), failed);
    }

    async fn unless_broken_off<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            why = self.calls.broken_off() => Err(why),
        }
    }

    /// Waits before the next attempt.
    async fn wait(&self, delay: Duration) -> Waited {
        let due = Instant::now() + delay;
        loop {
            let next = tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => return Waited::Due,
                next = self.calls.next() => next,
            };
            match next {
                Next::Reset => return Waited::Reset,
                Next::Arrived => return Waited::Arrived,
                Next::Ended => return Waited::Ended,
                // It was withdrawn; otherwise it would have been refused.
                Next::Call(_) => {}
            }
        }
    }

    /// Waits for a reset; false if the owner is to end.
    async fn until_reset(&self) -> bool {
        loop {
            match self.calls.next().await {
                Next::Reset => return true,
                Next::Ended => return false,
                Next::Arrived | Next::Call(_) => {}
            }
        }
    }
}

/// Why waiting ended.
enum Waited {
    /// The next attempt is due.
    Due,
    /// A reset was requested.
    Reset,
    /// The device was plugged in.
    Arrived,
    /// The last handle was dropped, or the till was closed.
    Ended,
}

/// Closes the protocol session, without waiting for a hung device.
async fn goodbye<D: Driver + ?Sized>(driver: &mut D) {
    timeout(GOODBYE, driver.close()).await.ok();
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// How long a call waits for a device that is being opened for the first time, or after a reset.
pub(crate) const FIRST_OPENING: Duration = Duration::from_secs(5);
/// A device that stays open this long counts as connected: the next loss restarts the backoff.
const PROVEN: Duration = Duration::from_secs(10);
/// Time limit for closing a session.
const GOODBYE: Duration = Duration::from_secs(5);
/// A driver that panics more often than this within [`RESTART_WINDOW`] is not restarted.
const RESTARTS: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
