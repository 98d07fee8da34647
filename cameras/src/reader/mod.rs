//! From frames to codes: a decoder on its own thread, which always takes the latest frame.
//!
//! Decoding a hard frame takes longer than the camera needs for the next. Frames that come meanwhile
//! replace each other, so a code is never older than one decoding. A decoder that hangs is left behind
//! with its thread, and a new one takes over.

mod guard;
mod options;
mod pace;

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tresen_hal::{BoxFuture, Error, Kind, Result};

pub use guard::Agreement;
pub use options::{OPTIONS, Options};

use self::pace::Pace;
use crate::decode::{Code, Decoder, Effort, best};
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
    pub captured: Instant,
    /// When the frame was taken, date and time.
    pub at: Timestamp,
}

/// Makes a decoder on the thread that will use it.
pub type Factory = Arc<dyn Fn() -> Box<dyn Decoder> + Send + Sync>;

/// A decoding thread. Dropping it ends the thread once the frame at hand is done.
pub struct Reader {
    shared: Arc<Shared>,
    factory: Factory,
    options: Options,
    to: mpsc::Sender<Result<Read>>,
    from: mpsc::Receiver<Result<Read>>,
}

impl Reader {
    /// A reader with the [`best`] decoder.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn new(options: Options) -> Result<Self> {
        Self::with_decoder(options, Arc::new(best))
    }

    /// A reader with decoders of your own.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn with_decoder(options: Options, factory: Factory) -> Result<Self> {
        let (to, from) = mpsc::channel(WAITING);
        let reader = Self { shared: Arc::default(), factory, options, to, from };
        reader.start(0)?;
        Ok(reader)
    }

    /// Hands over a frame; one that waits is replaced.
    pub fn see(&self, frame: Frame) {
        {
            let mut state = self.shared.lock();
            if state.frame.replace(frame).is_some() {
                state.skipped += 1;
            }
        }
        self.replace_if_stuck();
        self.shared.wake.notify_all();
    }

    /// Leaves a decoder behind that hangs, and starts another; not more than [`HANGING`] are left behind.
    fn replace_if_stuck(&self) {
        let (generation, left_behind) = {
            let mut state = self.shared.lock();
            if state.busy_since.is_none_or(|since| since.elapsed() <= self.options.stuck) {
                return;
            }
            if state.hanging >= HANGING {
                state.busy_since = Some(Instant::now());
                (None, state.hanging)
            } else {
                state.generation += 1;
                state.busy_since = None;
                state.hanging += 1;
                (Some(state.generation), state.hanging)
            }
        };
        tracing::warn!(left_behind, "a decoder hangs");
        let started = match generation {
            Some(generation) => self.start(generation),
            None => Err(Error::new(Kind::Io, format!("{left_behind} decoders hang; no other is started"))
                .hint("look for fewer kinds of codes, by the option `codes`")),
        };
        if let Err(error) = started {
            self.to.try_send(Err(error)).ok();
        }
    }

    /// The next code. Cancel-safe.
    ///
    /// # Errors
    /// The decoder failed on a frame, or a frame was damaged; the next frame may go well.
    pub async fn next(&mut self) -> Result<Read> {
        loop {
            match tokio::time::timeout(self.options.stuck.max(LEAST_PATIENCE), self.from.recv()).await {
                Ok(read) => return read.unwrap_or_else(|| Err(Error::new(Kind::Closed, "the reader has ended"))),
                Err(_) => self.replace_if_stuck(),
            }
        }
    }

    /// How many frames were replaced before they were decoded.
    pub fn skipped(&self) -> u64 {
        self.shared.lock().skipped
    }

    /// The next code of a camera: shows its frames to this reader meanwhile. Cancel-safe.
    ///
    /// # Errors
    /// As [`Reader::next`]; or the camera failed, with an error of its own.
    pub fn next_of<'a>(&'a mut self, camera: &'a mut dyn Camera) -> BoxFuture<'a, Result<Read>> {
        Box::pin(async move {
            loop {
                tokio::select! {
                    biased;
                    read = self.from.recv() => {
                        return read.unwrap_or_else(|| Err(Error::new(Kind::Closed, "the reader has ended")));
                    }
                    frame = camera.event() => self.see(frame?),
                    () = tokio::time::sleep(self.options.stuck.max(LEAST_PATIENCE)) => self.replace_if_stuck(),
                }
            }
        })
    }

    fn start(&self, generation: u64) -> Result<()> {
        let (shared, to) = (self.shared.clone(), self.to.clone());
        let (factory, options) = (self.factory.clone(), self.options.clone());
        std::thread::Builder::new()
            .name("tresen-decode".into())
            .spawn(move || run(&shared, generation, &*factory, options, &to))
            .map(drop)
            .map_err(|e| Error::new(Kind::Io, "no thread for decoding").because(e))
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    frame: Option<Frame>,
    skipped: u64,
    /// Which thread may go on.
    generation: u64,
    busy_since: Option<Instant>,
    /// Threads that were left behind and still run.
    hanging: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// The next frame for the thread of this generation; none once it has to end.
    fn next_frame(&self, generation: u64) -> Option<Frame> {
        let mut state = self.lock();
        loop {
            if state.closed || state.generation != generation {
                return None;
            }
            if let Some(frame) = state.frame.take() {
                state.busy_since = Some(Instant::now());
                return Some(frame);
            }
            state = self.wake.wait(state).expect("no holder of this lock panics");
        }
    }

    /// Whether the thread of this generation has nothing newer to look at.
    fn is_idle(&self, generation: u64) -> bool {
        let state = self.lock();
        state.frame.is_none() && !state.closed && state.generation == generation
    }

    /// Whether the thread of this generation may deliver what it found.
    fn done(&self, generation: u64) -> bool {
        let mut state = self.lock();
        if state.generation != generation {
            state.hanging -= 1;
            return false;
        }
        state.busy_since = None;
        !state.closed
    }
}

fn run(
    shared: &Shared,
    generation: u64,
    factory: &(dyn Fn() -> Box<dyn Decoder> + Send + Sync),
    options: Options,
    to: &mpsc::Sender<Result<Read>>,
) {
    let mut decoder = factory();
    let mut guard = Agreement::new(options.frames, options.window);
    let (mut scratch, mut is_quick, mut pace) = (Vec::new(), false, Pace::default());
    while let Some(frame) = shared.next_frame(generation) {
        let (is_still, captured) = (frame.is_still(), frame.captured());
        let decoded = frame.grey(&mut scratch).and_then(|view| {
            if !is_still && !pace.is_due(&view, captured) {
                return Ok(None);
            }
            let mut hints = options.hints.clone();
            if is_quick && !is_still {
                hints.effort = Effort::Fast;
            }
            is_quick = !is_quick;
            let started = Instant::now();
            let mut codes = decoder.decode(&view, &hints)?;
            // A picture that is shown only once, or lies still, deserves a longer look while no newer one waits.
            let longer = if is_still || pace.deserves_longer_look() { LONGER_LOOKS } else { 0 };
            for _ in 0..longer {
                if !codes.is_empty() || !shared.is_idle(generation) {
                    break;
                }
                hints.effort = options.hints.effort;
                hints.budget *= 4;
                codes = decoder.decode(&view, &hints)?;
            }
            pace.looked(captured, started.elapsed(), !codes.is_empty());
            Ok(Some(codes))
        });
        if !shared.done(generation) {
            return;
        }
        let (sequence, at) = (frame.sequence(), frame.at());
        let believed = match decoded {
            Ok(None) => continue,
            Ok(Some(codes)) if is_still => Ok(guard.admit_still(codes)),
            Ok(Some(codes)) => Ok(guard.admit(codes, captured)),
            Err(error) => Err(error),
        };
        let results: Vec<_> = match believed {
            Ok(codes) => codes.into_iter().map(|code| Ok(Read { code, sequence, captured, at })).collect(),
            Err(error) => vec![Err(error)],
        };
        for result in results {
            if to.try_send(result).is_err() {
                tracing::debug!("dropped a code: its owner is slow or gone");
            }
        }
    }
}

/// Codes that wait for a slow owner; more are dropped, since the camera still sees them.
const WAITING: usize = 256;
/// How often the budget grows, fourfold each time, in a longer look.
const LONGER_LOOKS: u8 = 2;
/// How many hanging decoders are left behind: each keeps a core busy.
const HANGING: usize = 2;
/// How often a hanging decoder is looked for at the most.
const LEAST_PATIENCE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Format, Hints, code_for_tests as code};
    use crate::frame::{GreyView, PixelFormat};
    use std::sync::mpsc as std_mpsc;
    use tresen_hal::SystemClock;

    /// A decoder that reads the first pixel as a QR code, when it is let.
    struct Pixel(std_mpsc::Receiver<()>);

    impl Decoder for Pixel {
        fn decode(&mut self, picture: &GreyView<'_>, _: &Hints) -> Result<Vec<Code>> {
            self.0.recv().ok();
            match picture.row(0)[0] {
                0 => Err(Error::new(Kind::Input, "black")),
                n => Ok(vec![code(Format::Qr, &n.to_string())]),
            }
        }
    }

    fn frame(pixel: u8) -> Frame {
        Frame::new(PixelFormat::Grey8, 1, 1, vec![pixel], &SystemClock).expect("good").numbered(pixel.into())
    }

    /// A reader that decodes one frame for each `()` sent, with as many decoders as receivers given.
    fn reader(options: Options, gates: Vec<std_mpsc::Receiver<()>>) -> Reader {
        let gates = Mutex::new(gates);
        let factory: Factory = Arc::new(move || Box::new(Pixel(gates.lock().expect("unbroken").remove(0))));
        Reader::with_decoder(options, factory).expect("a thread")
    }

    fn is_busy(reader: &Reader) -> bool {
        reader.shared.lock().busy_since.is_some()
    }

    #[tokio::test]
    async fn the_latest_frame_wins() {
        let (gate, opens) = std_mpsc::channel();
        let mut reader = reader(Options::default(), vec![opens]);
        reader.see(frame(1));
        while !is_busy(&reader) {
            tokio::task::yield_now().await;
        }
        for n in 2..=9 {
            reader.see(frame(n));
        }
        gate.send(()).expect("open");
        gate.send(()).expect("open");
        let read = reader.next().await.expect("a code");
        assert_eq!((read.code.text.as_str(), read.sequence), ("1", 1));
        assert_eq!(reader.next().await.expect("a code").code.text, "9");
        assert_eq!(reader.skipped(), 7);
    }

    #[tokio::test]
    async fn a_bad_frame_is_an_error_and_the_next_goes_well() {
        let (gate, opens) = std_mpsc::channel();
        let mut reader = reader(Options::default(), vec![opens]);
        gate.send(()).expect("open");
        gate.send(()).expect("open");
        reader.see(frame(0));
        assert_eq!(reader.next().await.expect_err("black").kind(), Kind::Input);
        reader.see(frame(5));
        assert_eq!(reader.next().await.expect("a code").code.text, "5");
    }

    #[tokio::test]
    async fn a_hanging_decoder_is_replaced_and_its_answer_ignored() {
        let (hang, first) = std_mpsc::channel();
        let (gate, second) = std_mpsc::channel();
        let mut reader = reader(Options { stuck: Duration::ZERO, ..Options::default() }, vec![first, second]);
        reader.see(frame(1));
        while !is_busy(&reader) {
            tokio::task::yield_now().await;
        }
        gate.send(()).expect("open");
        reader.see(frame(2));
        assert_eq!(reader.next().await.expect("a code").code.text, "2");
        hang.send(()).expect("it still hangs");
        gate.send(()).expect("open");
        reader.see(frame(3));
        assert_eq!(reader.next().await.expect("a code").code.text, "3", "not 1");
    }

    #[tokio::test]
    async fn the_thread_ends_with_the_reader() {
        let (gate, opens) = std_mpsc::channel();
        let reader = reader(Options::default(), vec![opens]);
        drop(reader);
        // The decoder, and with it the receiver, is dropped when the thread ends.
        while gate.send(()).is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(gate.send(()).is_err());
    }

    #[tokio::test]
    async fn not_every_hanging_decoder_is_replaced() {
        let (senders, gates): (Vec<_>, Vec<_>) = (0..=HANGING).map(|_| std_mpsc::channel()).unzip();
        let mut reader = reader(Options { stuck: Duration::ZERO, ..Options::default() }, gates);
        reader.see(frame(1));
        let error = loop {
            // No frame comes any more; hanging decoders take the one that waits.
            reader.see(frame(2));
            match tokio::time::timeout(Duration::from_millis(60), reader.next()).await {
                Ok(read) => break read.expect_err("all hang"),
                Err(_) => continue,
            }
        };
        assert!(error.to_string().contains("no other is started"), "{error}");
        drop(senders);
    }

    #[tokio::test]
    async fn an_article_in_a_picture_file_is_read_once_shown() {
        struct Ean(bool);
        impl Decoder for Ean {
            fn decode(&mut self, _: &GreyView<'_>, _: &Hints) -> Result<Vec<Code>> {
                Ok(vec![Code { enhanced: self.0, ..code(Format::Ean13, "4006381333931") }, code(Format::Qr, "q")])
            }
        }
        for (enhanced, first) in [(false, "4006381333931"), (true, "q")] {
            let factory: Factory = Arc::new(move || Box::new(Ean(enhanced)));
            let mut reader = Reader::with_decoder(Options::default(), factory).expect("a thread");
            reader.see(frame(1).still());
            assert_eq!(reader.next().await.expect("a code").code.text, first);
        }
    }
}
