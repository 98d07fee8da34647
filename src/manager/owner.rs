//! One task owns one device: it opens the link, holds the driver, runs one call at a time, and
//! reconnects when the link is lost. Everyone else holds a cheap handle.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tresen_hal::{Backoff, BoxFuture, Driver, Effect, Error, Kind, Result, Retry};

use super::hotplug::Ring;

/// How many calls may wait for one device.
const QUEUE: usize = 32;
/// A driver that panics more often than this within [`RESTART_WINDOW`] is not started again.
const RESTARTS: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// Opens the link and makes the driver, or fails in time; called again after each loss.
pub(crate) type Opener<D> = Arc<dyn Fn() -> BoxFuture<'static, Result<(Box<D>, String)>> + Send + Sync>;

/// What the class of a device adds to owning it.
pub(crate) trait Hooks<D: Driver + ?Sized>: Send + Sync + 'static {
    /// How long [`Hooks::opened`] may take: calls queue behind it.
    const OPENED_WITHIN: Duration = Duration::from_secs(10);
    /// A new driver stands on a new link; it is not yet used by anyone. An error drops it.
    fn opened<'a>(&'a self, driver: &'a mut D, address: &'a str) -> BoxFuture<'a, Result<()>>;
    /// The device said something.
    fn event(&self, event: D::Event);
    /// The device cannot be reached or was lost.
    fn lost(&self, error: &Error);
    /// The driver failed too often.
    fn faulted(&self, why: &str);
}

/// Where a device stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Being opened for the first time, or again.
    Opening,
    /// Open.
    Ready,
    /// Not reachable; tried again soon. Why, in words. Powered off looks like this: it is a state, not an error.
    Away(String),
    /// The driver failed too often and waits for a reset.
    Faulted(String),
}

/// Whether the link is still good after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    Reopen,
}

impl After {
    /// What an error says about the link under the driver.
    pub(crate) fn of(error: &Error) -> Self {
        match error.kind() {
            Kind::Closed | Kind::Io | Kind::Timeout | Kind::Protocol => Self::Reopen,
            _ => Self::Keep,
        }
    }
}

type Call<D> = Box<dyn for<'a> FnOnce(&'a mut D) -> BoxFuture<'a, After> + Send>;

enum Message<D: ?Sized> {
    Call(Call<D>, oneshot::Sender<Error>),
    Reset,
    /// The system has seen the device come.
    Arrived,
}

/// A cheap handle to an owned device.
pub(crate) struct Owned<D: ?Sized> {
    name: Arc<str>,
    calls: mpsc::Sender<Message<D>>,
    phase: watch::Receiver<Phase>,
}

impl<D: ?Sized> Clone for Owned<D> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), calls: self.calls.clone(), phase: self.phase.clone() }
    }
}

/// Starts owning the device `name`.
pub(crate) fn own<D, H>(name: &str, opener: Opener<D>, hooks: Arc<H>) -> Owned<D>
where
    D: Driver + ?Sized + 'static,
    H: Hooks<D>,
{
    let (calls, queue) = mpsc::channel(QUEUE);
    let (phase, watched) = watch::channel(Phase::Opening);
    let name: Arc<str> = name.into();
    let task = Task { name: name.clone(), opener, hooks, phase };
    tokio::spawn(supervise(Arc::new(task), Arc::new(Mutex::new(queue))));
    Owned { name, calls, phase: watched }
}

impl<D: Driver + ?Sized + 'static> Owned<D> {
    /// The logical name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where the device stands; changes can be awaited.
    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// Runs `call` on the driver, at most `within` from now.
    ///
    /// A caller who leaves abandons the answer: a call that has begun is finished.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        within: Duration,
        call: impl for<'a> FnOnce(&'a mut D) -> BoxFuture<'a, (T, After)> + Send + 'static,
    ) -> Result<T> {
        let (answer, mut answered) = oneshot::channel();
        let (refuse, refused) = oneshot::channel();
        let deadline = Instant::now() + within;
        let call: Call<D> = Box::new(move |driver| {
            Box::pin(async move {
                // Nobody waits any more and nothing has begun: then it does not begin.
                if answer.is_closed() || Instant::now() >= deadline {
                    return After::Keep;
                }
                let (result, after) = call(driver).await;
                answer.send(result).ok();
                after
            })
        });
        self.calls.try_send(Message::Call(call, refuse)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => {
                Error::new(Kind::Busy, format!("{QUEUE} calls wait for it already")).at(&self.name)
            }
            mpsc::error::TrySendError::Closed(_) => self.ended(Effect::None),
        })?;
        let outcome = async {
            match (&mut answered).await {
                Ok(result) => Ok(result),
                Err(_) => Err(refused.await.unwrap_or_else(|_| self.ended(Effect::Unknown))),
            }
        };
        match tokio::time::timeout_at(deadline, outcome).await {
            Ok(result) => result.map_err(|e| e.at(&self.name)),
            Err(_) => Err(Error::new(Kind::Timeout, format!("no answer within {} s", within.as_secs())).at(&self.name)),
        }
    }

    /// As [`Owned::call`], for what fails with an error that says whether the link is still good.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        within: Duration,
        ask: impl for<'a> FnOnce(&'a mut D) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let answer = self.call(within, move |driver| {
            let answer = ask(driver);
            Box::pin(async move {
                let answer = answer.await;
                let after = answer.as_ref().err().map_or(After::Keep, After::of);
                (answer, after)
            })
        });
        answer.await?.map_err(|e| e.at(&self.name))
    }

    /// Wakes the owner when the system has seen the device come; does not keep the owner alive.
    pub(crate) fn ring(&self) -> Ring {
        let calls = self.calls.downgrade();
        Box::new(move || {
            if let Some(calls) = calls.upgrade() {
                // A full queue has its owner busy, so it is not waiting for the device.
                calls.try_send(Message::Arrived).ok();
            }
        })
    }

    /// Lets a faulted device be tried again, or one that is away at once.
    pub(crate) async fn reset(&self) -> Result<()> {
        self.calls.send(Message::Reset).await.map_err(|_| self.ended(Effect::None))
    }

    fn ended(&self, effect: Effect) -> Error {
        Error::new(Kind::Cancelled, "the device's driver has ended").with_effect(effect).at(&self.name)
    }
}

struct Task<D: ?Sized, H> {
    name: Arc<str>,
    opener: Opener<D>,
    hooks: Arc<H>,
    phase: watch::Sender<Phase>,
}

type Queue<D> = Arc<Mutex<mpsc::Receiver<Message<D>>>>;

/// Runs the owner; a driver that panics is started again, five times a minute at most.
async fn supervise<D, H>(task: Arc<Task<D, H>>, queue: Queue<D>)
where
    D: Driver + ?Sized + 'static,
    H: Hooks<D>,
{
    let mut panics: Vec<Instant> = Vec::new();
    loop {
        let ran = tokio::spawn({
            let (task, queue) = (task.clone(), queue.clone());
            async move { task.run(&mut *queue.lock().await).await }
        });
        match ran.await {
            Ok(()) => return,
            Err(failure) if failure.is_panic() => {
                tracing::error!(device = %task.name, "the driver panicked; this is a defect, please report it");
                panics.retain(|at| at.elapsed() < RESTART_WINDOW);
                panics.push(Instant::now());
            }
            Err(_) => return,
        }
        if panics.len() > RESTARTS {
            let why = format!("the driver failed {} times within {} s", panics.len(), RESTART_WINDOW.as_secs());
            task.phase.send_replace(Phase::Faulted(why.clone()));
            task.hooks.faulted(&why);
            let error = || Error::new(Kind::Closed, &*why).with_effect(Effect::None).with_retry(Retry::AfterOperator);
            let mut queue = queue.lock().await;
            loop {
                match queue.recv().await {
                    Some(Message::Call(_, refuse)) => _ = refuse.send(error().hint("reset the device")),
                    Some(Message::Reset) => break,
                    Some(Message::Arrived) => {}
                    None => return,
                }
            }
            panics.clear();
        }
    }
}

impl<D: Driver + ?Sized + 'static, H: Hooks<D>> Task<D, H> {
    /// Opens, serves, reopens; ends when the last handle is dropped.
    async fn run(&self, queue: &mut mpsc::Receiver<Message<D>>) {
        let seed = self.name.bytes().fold(0, |seed: u64, b| seed.wrapping_mul(31).wrapping_add(b.into()));
        let mut backoff = Backoff::new(seed);
        loop {
            self.phase.send_replace(Phase::Opening);
            let error = match self.open().await {
                Ok(driver) => {
                    backoff.reset();
                    self.phase.send_replace(Phase::Ready);
                    match self.serve(driver, queue).await {
                        Some(error) => error,
                        None => return,
                    }
                }
                Err(error) => error,
            };
            tracing::debug!(device = %self.name, %error, "away");
            self.phase.send_replace(Phase::Away(error.to_string()));
            self.hooks.lost(&error);
            match self.wait(backoff.next_delay(), &error, queue).await {
                Waited::Due => {}
                Waited::Arrived => backoff.hot_plugged(),
                Waited::Ended => return,
            }
        }
    }

    async fn open(&self) -> Result<Box<D>> {
        let (mut driver, address) = (self.opener)().await?;
        let late = || Error::new(Kind::Timeout, "was not ready in time").with_effect(Effect::None).at(&address);
        timeout(H::OPENED_WITHIN, self.hooks.opened(&mut driver, &address)).await.map_err(|_| late())??;
        Ok(driver)
    }

    /// Runs calls and listens in between. Returns why the link is no good any more, or none at the
    /// end.
    async fn serve(&self, mut driver: Box<D>, queue: &mut mpsc::Receiver<Message<D>>) -> Option<Error> {
        loop {
            tokio::select! {
                message = queue.recv() => match message {
                    Some(Message::Call(call, _refuse)) => {
                        if call(&mut driver).await == After::Reopen {
                            driver.close().await;
                            return Some(Error::new(Kind::Closed, "the link was lost").with_effect(Effect::None));
                        }
                    }
                    Some(Message::Arrived) => {}
                    Some(Message::Reset) => {
                        driver.close().await;
                        return Some(Error::new(Kind::Cancelled, "was reset"));
                    }
                    None => {
                        driver.close().await;
                        return None;
                    }
                },
                event = driver.event() => match event {
                    Ok(event) => self.hooks.event(event),
                    Err(error) => return Some(error),
                },
            }
        }
    }

    /// Waits before the next try; calls get their answer at once instead of hanging.
    async fn wait(&self, delay: Duration, error: &Error, queue: &mut mpsc::Receiver<Message<D>>) -> Waited {
        let until = Instant::now() + delay;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return Waited::Due,
                message = queue.recv() => match message {
                    Some(Message::Call(_, refuse)) => {
                        let why = Error::new(error.kind(), format!("not connected: {}", error.said_of(&self.name)));
                        refuse.send(why.with_effect(Effect::None).with_retry(Retry::AfterReconnect)).ok();
                    }
                    Some(Message::Reset) => return Waited::Due,
                    Some(Message::Arrived) => return Waited::Arrived,
                    None => return Waited::Ended,
                },
            }
        }
    }
}

/// Why waiting ended.
enum Waited {
    /// The next try is due, or someone wants it now.
    Due,
    /// The device has come.
    Arrived,
    /// The last handle was dropped.
    Ended,
}

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
