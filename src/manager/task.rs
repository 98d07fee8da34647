//! The task that owns one device: it opens the link, runs one call at a time, and reconnects when the link is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tresen_hal::{Clock, Driver, Error, Kind, Result, Retry};

use super::calls::{After, Calls, Next, Running, copy, was_reset};
use super::owner::{Hooks, LossReason, Opened, Opener};
use super::phase::Phase;
use crate::config::Reconnect;
use crate::health::Activity;

pub(super) struct Task<D: ?Sized, H> {
    pub(super) name: Arc<str>,
    pub(super) opener: Opener<D>,
    pub(super) hooks: Arc<H>,
    pub(super) phase: Arc<watch::Sender<Phase>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) calls: Arc<Calls<D>>,
    pub(super) reconnect: Reconnect,
    pub(super) activity: Arc<Activity>,
}

/// Runs the owner; a driver that panics is restarted, at most five times a minute.
pub(super) async fn supervise<D, H>(task: Arc<Task<D, H>>)
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
        let mut backoff = self.reconnect.delays(seed);
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
        self.calls.opening();
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
            let wanted = self.hooks.wants_tending().map(|after| Instant::now() + after);
            tend = tend.into_iter().chain(wanted).min();
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
                    self.calls.running(Some(Running::now(H::TENDING, None)));
                    let began = Instant::now();
                    let tended = self.unless_broken_off(self.hooks.tend(&mut driver)).await;
                    self.calls.running(None);
                    let failed = tended.as_ref().map_or(true, |tended| tended.failed);
                    self.activity.called(H::TENDING, began.elapsed(), failed);
                    match tended {
                        Ok(tended) => {
                            tend = tended.again.map(|after| Instant::now() + after);
                            tended.after
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

/// A device that stays open this long counts as connected: the next loss restarts the backoff.
const PROVEN: Duration = Duration::from_secs(10);
/// Time limit for closing a session.
const GOODBYE: Duration = Duration::from_secs(5);
/// A driver that panics more often than this within [`RESTART_WINDOW`] is not restarted.
pub(super) const RESTARTS: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);
