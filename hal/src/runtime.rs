//! The environment of a till besides its devices: time, ids, randomness and threads. All code above the links uses one
//! injected [`Runtime`], so that a whole shop can be replayed from a seed.
//!
//! Tasks and timers are tokio's; on a current-thread runtime with a paused clock these are deterministic, too.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::random::splitmix;
use crate::{Clock, Error, Kind, Result, SystemClock};

/// Work that may block its thread.
pub type Work = Box<dyn FnOnce() + Send>;

/// The source of time, ids, randomness and threads.
pub trait Runtime: Clock {
    /// 64 random bits; for jitter and ids, not for secrets.
    fn random(&self) -> u64;

    /// A new id, unique everywhere and sorted by time: a UUID of version 7 (RFC 9562, section 5.7).
    fn new_id(&self) -> String;

    /// Runs `work`, which may block, without blocking the caller's task.
    fn offload(&self, work: Work);

    /// Starts a thread called `name` that runs work in order.
    ///
    /// # Errors
    /// The system cannot start another thread.
    fn worker(&self, name: &str) -> Result<Worker>;
}

impl dyn Runtime {
    /// Runs blocking work and waits for its result. Dropping the future discards the result, not the work.
    ///
    /// # Errors
    /// [`Kind::Cancelled`]: the work panicked, or the program is ending.
    pub async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (done, result) = oneshot::channel();
        self.offload(Box::new(move || _ = done.send(work())));
        result.await.map_err(|_| Error::new(Kind::Cancelled, "the work panicked, or the program is ending"))
    }
}

/// A thread that runs work in order; [`Runtime::worker`] starts it. When this handle is dropped, the thread finishes
/// its queue and ends. Work that panics does not end it: the next piece runs all the same.
pub struct Worker(Queue);

enum Queue {
    Thread {
        work: Option<mpsc::Sender<Work>>,
        ended: Mutex<Option<oneshot::Receiver<()>>>,
    },
    /// Runs on the caller's thread.
    Inline(Mutex<()>),
    /// Runs in a task, one piece a turn.
    Turns {
        work: Option<UnboundedSender<Work>>,
        ended: Mutex<Option<oneshot::Receiver<()>>>,
    },
}

impl Worker {
    /// Queues `work`.
    pub fn run(&self, work: Work) {
        match &self.0 {
            // The thread outlives this handle.
            Queue::Thread { work: queue, .. } => _ = queue.as_ref().map(|queue| queue.send(work)),
            Queue::Turns { work: queue, .. } => _ = queue.as_ref().map(|queue| queue.send(work)),
            Queue::Inline(turn) => {
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                guarded(work);
            }
        }
    }

    /// Waits until all queued work is done and the thread has ended.
    pub async fn close(mut self) {
        let ended = match &mut self.0 {
            Queue::Inline(_) => return,
            Queue::Thread { work, ended } => {
                *work = None;
                ended
            }
            Queue::Turns { work, ended } => {
                *work = None;
                ended
            }
        };
        let ended = ended.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            ended.await.ok();
        }
    }

    fn turns() -> Self {
        let (work, mut queue) = unbounded_channel::<Work>();
        let (end, ended) = oneshot::channel();
        tokio::spawn(async move {
            let _end: oneshot::Sender<()> = end;
            while let Some(work) = queue.recv().await {
                tokio::task::yield_now().await;
                guarded(work);
            }
        });
        Self(Queue::Turns { work: Some(work), ended: Mutex::new(Some(ended)) })
    }

    fn thread(name: &str) -> Result<Self> {
        let (work, queue) = mpsc::channel::<Work>();
        let (end, ended) = oneshot::channel();
        let run = move || {
            let _end: oneshot::Sender<()> = end;
            queue.iter().for_each(guarded);
        };
        let started = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        started.map_err(|e| Error::new(Kind::Io, format!("cannot start the thread `{name}`")).because(e))?;
        Ok(Self(Queue::Thread { work: Some(work), ended: Mutex::new(Some(ended)) }))
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

/// Runs work whose panic concerns only whoever waits for it. The panic hook has reported it.
fn guarded(work: Work) {
    catch_unwind(AssertUnwindSafe(work)).ok();
}

/// The system's threads and randomness, with its clock or another one.
#[derive(Debug, Clone)]
pub struct SystemRuntime(Arc<dyn Clock>);

impl SystemRuntime {
    /// The system's clock, threads and randomness.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// The system's threads and randomness with another clock. Ids are still sorted by the system's time.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }
}

impl Default for SystemRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemRuntime {
    fn now(&self) -> Instant {
        self.0.now()
    }
    fn wall(&self) -> Timestamp {
        self.0.wall()
    }
}

impl Runtime for SystemRuntime {
    fn random(&self) -> u64 {
        // Each half has a few fixed bits: the version and the variant. They do not meet.
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        high ^ low.rotate_left(32)
    }
    fn new_id(&self) -> String {
        uuid::Uuid::now_v7().to_string()
    }
    fn offload(&self, work: Work) {
        tokio::task::spawn_blocking(work);
    }
    fn worker(&self, name: &str) -> Result<Worker> {
        Worker::thread(name)
    }
}

/// A deterministic runtime: the same seed gives the same ids and random numbers, and there are no threads. Its time is
/// tokio's, which a test pauses, counted from a given date and time. Clones share the state.
#[derive(Debug, Clone)]
pub struct SimulatedRuntime(Arc<Simulated>);

#[derive(Debug)]
struct Simulated {
    start: (tokio::time::Instant, Timestamp),
    seed: Mutex<u64>,
    ids: AtomicU64,
    in_turns: bool,
}

impl SimulatedRuntime {
    /// A runtime whose time starts at `wall` now. Call it within a tokio runtime.
    pub fn new(seed: u64, wall: Timestamp) -> Self {
        Self::start(seed, wall, false)
    }

    /// As [`SimulatedRuntime::new`], with work in turns of its own: whoever waits for it is suspended, as by a thread.
    /// For tests that drop a future at each of its suspensions.
    pub fn in_turns(seed: u64, wall: Timestamp) -> Self {
        Self::start(seed, wall, true)
    }

    fn start(seed: u64, wall: Timestamp, in_turns: bool) -> Self {
        let start = (tokio::time::Instant::now(), wall);
        Self(Arc::new(Simulated { start, seed: Mutex::new(seed), ids: AtomicU64::new(0), in_turns }))
    }

    fn elapsed(&self) -> Duration {
        self.0.start.0.elapsed()
    }
}

impl Clock for SimulatedRuntime {
    fn now(&self) -> Instant {
        (self.0.start.0 + self.elapsed()).into_std()
    }
    fn wall(&self) -> Timestamp {
        self.0.start.1 + self.elapsed()
    }
}

impl Runtime for SimulatedRuntime {
    fn random(&self) -> u64 {
        splitmix(&mut self.0.seed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn new_id(&self) -> String {
        let millis = u64::try_from(self.wall().as_millisecond()).unwrap_or(0);
        // The counter keeps the ids of one millisecond in order.
        let count = self.0.ids.fetch_add(1, Ordering::Relaxed);
        // RFC 9562: 12 bits before the variant, `rand_a`, and 62 after it, `rand_b`. 32 of them count.
        let (rand_a, rest) = ((count >> 20) & 0xfff, count & 0xf_ffff);
        let rand_b = rest << 42 | self.random() >> 22;
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&rand_a.to_be_bytes()[6..]);
        bytes[2..].copy_from_slice(&rand_b.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid().to_string()
    }

    fn offload(&self, work: Work) {
        match self.0.in_turns {
            true => _ = tokio::spawn(async { guarded(work) }),
            false => guarded(work),
        }
    }

    fn worker(&self, _name: &str) -> Result<Worker> {
        if self.0.in_turns {
            return Ok(Worker::turns());
        }
        Ok(Worker(Queue::Inline(Mutex::new(()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_gives_the_same_ids_and_time_is_tokios() {
        let wall: Timestamp = "2026-01-02T07:59:01Z".parse().expect("a timestamp");
        let ids = |seed: u64| {
            let runtime = SimulatedRuntime::new(seed, wall);
            [runtime.new_id(), runtime.new_id(), runtime.new_id()]
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
        assert!(ids(7).is_sorted(), "{:?}", ids(7));
        let runtime = SimulatedRuntime::new(0, wall);
        let before = runtime.now();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(runtime.wall().to_string(), "2026-01-02T08:00:01Z");
        assert_eq!(runtime.now() - before, Duration::from_secs(60));
    }

    #[tokio::test]
    async fn a_worker_does_all_it_was_handed_in_order_before_it_ends() {
        for runtime in [&SystemRuntime::new() as &dyn Runtime, &SimulatedRuntime::new(0, Timestamp::UNIX_EPOCH)] {
            let worker = runtime.worker("test").expect("a thread");
            let done = Arc::new(Mutex::new(Vec::new()));
            for n in 0..100 {
                let done = done.clone();
                worker.run(Box::new(move || done.lock().expect("whole").push(n)));
            }
            worker.close().await;
            assert_eq!(*done.lock().expect("whole"), (0..100).collect::<Vec<_>>());
            assert_eq!(runtime.run_blocking(|| 42).await.expect("runs"), 42);
        }
    }

    #[tokio::test]
    async fn work_that_panics_fails_alone() {
        for runtime in [&SystemRuntime::new() as &dyn Runtime, &SimulatedRuntime::new(0, Timestamp::UNIX_EPOCH)] {
            let worker = runtime.worker("test").expect("a thread");
            worker.run(Box::new(|| panic!("a test panics")));
            let (done, waits) = oneshot::channel();
            worker.run(Box::new(move || done.send(7).expect("someone waits")));
            assert_eq!(waits.await, Ok(7), "the next piece of work runs");
            worker.close().await;
            let failed = runtime.run_blocking(|| -> u8 { panic!("a test panics") }).await;
            assert_eq!(failed.expect_err("it panicked").kind(), Kind::Cancelled);
        }
    }

    #[test]
    fn each_bit_of_the_systems_randomness_is_random() {
        let runtime = SystemRuntime::new();
        let (mut zeros, mut ones) = (0, 0);
        for bits in (0..128).map(|_| runtime.random()) {
            zeros |= !bits;
            ones |= bits;
        }
        assert_eq!((zeros, ones), (u64::MAX, u64::MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn simulated_ids_of_one_millisecond_stay_in_order() {
        let runtime = SimulatedRuntime::new(3, "2026-01-02T07:59:01Z".parse().expect("a timestamp"));
        // The variant stands in the third byte after the time, the version in the first.
        for at in [0, 0x3ff0, 0xf_fff0, 0xfff_fff0] {
            runtime.0.ids.store(at, Ordering::Relaxed);
            let ids: Vec<_> = (0..64).map(|_| runtime.new_id()).collect();
            assert!(ids.is_sorted_by(|a, b| a < b), "from {at:#x}: {ids:?}");
            assert!(ids.iter().all(|id| id.as_bytes()[14] == b'7' && b"89ab".contains(&id.as_bytes()[19])));
        }
    }

    #[test]
    fn ids_of_the_system_are_unique_and_sorted() {
        let runtime = SystemRuntime::new();
        let ids: Vec<_> = (0..1000).map(|_| runtime.new_id()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }
}
