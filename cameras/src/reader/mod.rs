//! From frames to codes: a decoder on a thread of its own, which always takes the latest frame.
//!
//! Decoding a hard frame takes longer than the camera needs for the next. Frames that come meanwhile replace each
//! other, so a code is never older than one look. A hung decoder is abandoned with its thread, and another one
//! takes over. A picture that does not change is looked at less and less often, and [`Reader::wants_frame`] tells the
//! camera's owner to take fewer frames.

mod guard;
mod look;
mod options;
mod pace;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tresen_hal::runtime::Worker;
use tresen_hal::{BoxFuture, Error, Kind, Result, Runtime};

pub use guard::Agreement;
pub use options::Options;

use self::look::Looker;
use crate::decode::{Code, Decoder, best};
use crate::{Camera, Frame};

/// A code and the frame that it was in.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Read {
    /// The code.
    pub code: Code,
    /// The frame's number.
    pub sequence: u64,
    /// When the frame was taken, monotonic.
    pub captured: std::time::Instant,
    /// When the frame was taken, date and time.
    pub at: Timestamp,
}

/// Makes a decoder, on the thread that will use it.
pub type Factory = Arc<dyn Fn() -> Box<dyn Decoder> + Send + Sync>;

/// Reads the frames that are pushed into it. Dropping it ends its thread after the look at hand.
pub struct Reader {
    shared: Arc<Shared>,
    factory: Factory,
    options: Options,
    runtime: Arc<dyn Runtime>,
}

impl Reader {
    /// A reader with the [`best`] decoder, on a thread of `runtime`, which also measures the decoder's time.
    ///
    /// # Errors
    /// The system starts no more threads.
    pub fn new(options: Options, runtime: Arc<dyn Runtime>) -> Result<Self> {
        Self::with_decoder(options, Arc::new(best), runtime)
    }

    /// A reader with decoders of your own.
    ///
    /// # Errors
    /// The system starts no more threads.
    pub fn with_decoder(options: Options, factory: Factory, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let state = State {
            worker: Arc::new(runtime.worker(THREAD)?),
            looker: None,
            waiting: None,
            pushed: None,
            skipped: 0,
            busy_since: None,
            generation: 0,
            hanging: 0,
            found: VecDeque::new(),
            is_closed: false,
        };
        let shared = Shared { state: Mutex::new(state), woken: Notify::new(), interval: watch::Sender::default() };
        Ok(Self { shared: Arc::new(shared), factory, options, runtime })
    }

    /// Hands over a frame. It replaces a frame that is still waiting to be decoded.
    pub fn push(&self, frame: Frame) {
        {
            let mut state = self.shared.lock();
            state.pushed = Some(Instant::now());
            if state.waiting.replace(frame).is_some() {
                state.skipped += 1;
            }
        }
        self.replace_if_stuck();
        self.begin();
    }

    /// Waits until another frame is worth pushing: no time while something moves, 200 ms after the last one once the
    /// picture has not changed for 2 s. An owner that takes no frames meanwhile keeps an idle camera cheap.
    ///
    /// Cancel-safe.
    pub async fn wants_frame(&self) {
        let mut interval = self.shared.interval.subscribe();
        loop {
            let Some(pushed) = self.shared.lock().pushed else { return };
            let due = pushed + *interval.borrow_and_update();
            tokio::select! {
                biased;
                // The sender lives as long as the reader.
                _ = interval.changed() => {}
                () = tokio::time::sleep_until(due) => return,
            }
        }
    }

    /// The next code. It also starts the next decode and replaces a hung decoder, so one task must be waiting here
    /// while frames are pushed.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`Kind::Input`]: a frame was damaged, or the decoder failed on it; the next one may go well. Others: all
    /// decoders hang, or the system starts no more threads.
    pub async fn next(&self) -> Result<Read> {
        loop {
            if let Some(found) = self.shared.lock().found.pop_front() {
                return found;
            }
            self.replace_if_stuck();
            self.begin();
            let patience = self.options.stuck.max(LEAST_PATIENCE);
            tokio::time::timeout(patience, self.shared.woken.notified()).await.ok();
        }
    }

    /// The next code of a camera whose frames are used for nothing else. Cancel-safe.
    ///
    /// # Errors
    /// As [`Reader::next`]; or the camera failed.
    pub fn next_of<'a>(&'a self, camera: &'a mut dyn Camera) -> BoxFuture<'a, Result<Read>> {
        Box::pin(async move {
            loop {
                let frame = async {
                    self.wants_frame().await;
                    camera.event().await
                };
                tokio::select! {
                    biased;
                    read = self.next() => return read,
                    frame = frame => self.push(frame?),
                }
            }
        })
    }

    /// How many frames were replaced before they were decoded.
    pub fn skipped(&self) -> u64 {
        self.shared.lock().skipped
    }

    /// Starts decoding the waiting frame if the decoder is free.
    fn begin(&self) {
        let mut state = self.shared.lock();
        if state.busy_since.is_some() {
            return;
        }
        let Some(frame) = state.waiting.take() else { return };
        state.busy_since = Some(Instant::now());
        let (looker, generation, worker) = (state.looker.take(), state.generation, state.worker.clone());
        drop(state);
        let (shared, factory) = (self.shared.clone(), self.factory.clone());
        let (options, runtime) = (self.options.clone(), self.runtime.clone());
        worker.run(Box::new(move || {
            let looked = catch_unwind(AssertUnwindSafe(|| {
                let mut looker = looker.unwrap_or_else(|| Looker::new(factory(), options, runtime));
                let found = looker.look(&frame, &|| shared.is_outdated(generation));
                (looker, found)
            }));
            shared.done(generation, looked.ok());
        }));
    }

    /// Abandons a hung decoder with its thread and starts another one; at most [`HANGING`] are abandoned.
    fn replace_if_stuck(&self) {
        let mut state = self.shared.lock();
        if state.busy_since.is_none_or(|since| since.elapsed() < self.options.stuck) {
            return;
        }
        let left_behind = state.hanging;
        let worker = if left_behind < HANGING {
            self.runtime.worker(THREAD)
        } else {
            Err(Error::new(Kind::Io, format!("{left_behind} decoders hang; no other is started"))
                .hint("look for fewer kinds of codes, by the option `codes`"))
        };
        tracing::warn!(left_behind, "a decoder hangs");
        match worker {
            Ok(worker) => {
                (state.worker, state.looker) = (Arc::new(worker), None);
                state.generation += 1;
                state.hanging += 1;
                state.busy_since = None;
            }
            Err(error) => {
                state.busy_since = Some(Instant::now());
                state.find(Err(error));
                self.shared.woken.notify_one();
            }
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        state.waiting = None;
    }
}

struct Shared {
    state: Mutex<State>,
    /// Something was found, or the decoder is free.
    woken: Notify,
    /// The least time from one frame to the next that is wanted.
    interval: watch::Sender<Duration>,
}

struct State {
    worker: Arc<Worker>,
    /// None before the first look, and while the worker has it.
    looker: Option<Looker>,
    /// The latest frame, until it is looked at.
    waiting: Option<Frame>,
    /// When the last frame was pushed.
    pushed: Option<Instant>,
    skipped: u64,
    busy_since: Option<Instant>,
    /// Counts workers: results of abandoned ones are ignored.
    generation: u64,
    /// Abandoned workers that are still running.
    hanging: usize,
    found: VecDeque<Result<Read>>,
    is_closed: bool,
}

impl State {
    fn find(&mut self, found: Result<Read>) {
        if self.found.len() < WAITING {
            self.found.push_back(found);
        } else {
            tracing::debug!("dropped a code: its owner is too slow");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether to give up a longer look: there is a newer frame, or the reader was dropped.
    fn is_outdated(&self, generation: u64) -> bool {
        let state = self.lock();
        state.waiting.is_some() || state.is_closed || state.generation != generation
    }

    /// Records the result of a look; none if the decoder panicked.
    fn done(&self, generation: u64, looked: Option<(Looker, Result<Vec<Read>>)>) {
        let mut state = self.lock();
        if state.generation != generation {
            state.hanging -= 1;
            return;
        }
        state.busy_since = None;
        match looked {
            Some((looker, found)) => {
                let interval = looker.interval();
                self.interval.send_if_modified(|now| std::mem::replace(now, interval) != interval);
                state.looker = Some(looker);
                match found {
                    Ok(reads) => reads.into_iter().for_each(|read| state.find(Ok(read))),
                    Err(error) => state.find(Err(error)),
                }
            }
            None => state.find(Err(Error::new(Kind::Input, "the barcode decoder panicked on a frame"))),
        }
        drop(state);
        self.woken.notify_one();
    }
}

/// The name of the threads that decode.
const THREAD: &str = "tresen-decode";
/// How many codes wait for a slow owner; more are dropped, since the camera still sees them.
const WAITING: usize = 256;
/// How many hung decoders may be abandoned: each keeps a core busy.
const HANGING: usize = 2;
/// The shortest interval between checks for a hung decoder.
const LEAST_PATIENCE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
