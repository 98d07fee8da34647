//! One task owns one device ([`super::task`]); everyone else holds a cheap handle, [`Owned`].
//!
//! A hung device blocks only its own callers, and only for a bounded time: a call that cannot begin is refused while
//! the device is away, and a reset aborts a hung call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tresen_hal::{BoxFuture, Clock, Driver, Error, Kind, Result, Retry};

use super::calls::{After, Begun, Call, Calls, Failure, Run, Running, Terms, closed};
use super::phase::Phase;
use super::task::{Task, supervise};
use crate::config::Reconnect;
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
    /// What [`Hooks::tend`] does, for the messages of calls that wait behind it.
    const TENDING: &'static str = "a recovery";
    /// The delay until [`Hooks::tend`] should be called, for what calls and events have changed since. It is never put
    /// off by this.
    fn wants_tending(&self) -> Option<Duration> {
        None
    }
    /// Looks after the device between calls, when it is wanted.
    fn tend<'a>(&'a self, driver: &'a mut D) -> BoxFuture<'a, Tended> {
        let _ = driver;
        Box::pin(async { Tended { again: None, failed: false, after: After::Keep } })
    }
    /// Handles an unsolicited event of the device.
    fn event(&self, event: D::Event);
    /// The device can no longer be used; called once per reason.
    fn lost(&self, reason: LossReason<'_>);
}

/// The result of [`Hooks::tend`].
pub struct Tended {
    /// The delay until it is wanted again, if at all.
    pub(crate) again: Option<Duration>,
    /// Whether it counts as failed.
    pub(crate) failed: bool,
    /// Whether the link can still be used.
    pub(crate) after: After,
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

    /// Calls wait because the device is being opened.
    pub(crate) fn is_opening(&self) -> bool {
        !self.phase.borrow().is_ready() && self.handle.calls.accepts()
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
        reconnect: Reconnect,
        activity: Arc<Activity>,
    ) {
        let (calls, phase) = (self.handle.calls.clone(), self.handle.phase.clone());
        let task = Task { name: self.name.clone(), opener, hooks, phase, clock, calls, reconnect, activity };
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
    /// Refused at once while the device is away. While it is opened, the call waits for as long as it may begin, and is
    /// refused with the reason if the device cannot be opened. Dropping the future withdraws a call that has not begun;
    /// for one that has begun it discards the answer, not the effect.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        terms: Terms,
        call: impl for<'a> FnOnce(&'a mut D) -> BoxFuture<'a, (T, After)> + Send + 'static,
    ) -> Result<T, Failure> {
        self.call_unless(terms, std::future::pending(), call).await
    }

    /// As [`Owned::call`], but withdrawn when `withdrawn` resolves before it has begun, and refused with that error.
    pub(crate) async fn call_unless<T: Send + 'static>(
        &self,
        terms: Terms,
        withdrawn: impl Future<Output = Error>,
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
        let why = tokio::select! {
            biased;
            outcome = &mut outcome => return outcome,
            error = withdrawn => error,
            () = tokio::time::sleep_until(now + terms.begin_within) => self.did_not_begin(terms.begin_within),
        };
        if begun.0.withdraw() {
            return Err(Failure::NotBegun(here(why)));
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
        if !self.phase.borrow().is_ready() {
            let error = Error::new(Kind::Timeout, "it is still being opened").with_retry(Retry::AfterReconnect);
            return error.hint("ask again in a moment; `tresen doctor` says why a device does not open");
        }
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

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
