//! From frames to codes: a decoder on its own thread, which always takes the latest frame.
//!
//! Decoding a hard frame takes longer than the camera needs for the next. Frames that come meanwhile
//! replace each other, so a code is never older than one decoding. A decoder that hangs is left behind
//! with its thread, and a new one takes over.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tresen_hal::{BoxFuture, Error, Kind, Result};

use crate::decode::{Code, Decoder, Effort, Format, Hints, best};
use crate::{Camera, Frame};

/// Codes that wait for a slow owner; more are dropped, since the camera still sees them.
const WAITING: usize = 256;

/// How often the budget grows, fourfold each time, for a picture without a code while no newer one waits.
const LONGER_LOOKS: u8 = 2;

/// How a [`Reader`] decodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What to look for. The effort is that of every second frame, the others get a quick look.
    pub hints: Hints,
    /// In how many frames within [`Options::window`] an EAN or UPC must be seen before it is believed: a
    /// misread one can have a right check digit. 1 believes at once.
    pub frames: u8,
    /// See [`Options::frames`].
    pub window: Duration,
    /// After how long a decoder counts as hanging.
    pub stuck: Duration,
}

impl Default for Options {
    /// Retail formats with 40 ms for the thorough look, two agreeing frames within a second.
    fn default() -> Self {
        Self {
            hints: Hints::retail().with_budget(Duration::from_millis(40)),
            frames: 2,
            window: Duration::from_secs(1),
            stuck: Duration::from_secs(5),
        }
    }
}

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
        let stuck = {
            let mut state = self.shared.lock();
            if state.frame.replace(frame).is_some() {
                state.skipped += 1;
            }
            let stuck = state.busy_since.is_some_and(|since| since.elapsed() > self.options.stuck);
            if stuck {
                state.generation += 1;
                state.busy_since = None;
            }
            stuck.then_some(state.generation)
        };
        if let Some(generation) = stuck {
            tracing::warn!("a decoder hangs; another takes over");
            if let Err(error) = self.start(generation) {
                self.to.try_send(Err(error)).ok();
            }
        }
        self.shared.wake.notify_all();
    }

    /// The next code. Cancel-safe.
    ///
    /// # Errors
    /// The decoder failed on a frame, or a frame was damaged; the next frame may go well.
    pub async fn next(&mut self) -> Result<Read> {
        self.from.recv().await.unwrap_or_else(|| Err(Error::new(Kind::Closed, "the reader has ended")))
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
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// The next frame for the thread of this generation; none if it shall end.
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
    let (mut scratch, mut is_quick) = (Vec::new(), false);
    while let Some(frame) = shared.next_frame(generation) {
        let mut hints = options.hints.clone();
        if is_quick {
            hints.effort = Effort::Fast;
        }
        is_quick = !is_quick;
        let decoded = frame.grey(&mut scratch).and_then(|view| {
            let mut codes = decoder.decode(&view, &hints)?;
            // A picture that is shown only once deserves a longer look, as long as no newer one waits.
            for _ in 0..LONGER_LOOKS {
                if !codes.is_empty() || !shared.is_idle(generation) {
                    break;
                }
                hints.effort = options.hints.effort;
                hints.budget *= 4;
                codes = decoder.decode(&view, &hints)?;
            }
            Ok(codes)
        });
        if !shared.done(generation) {
            return;
        }
        let (sequence, captured, at) = (frame.sequence(), frame.captured(), frame.at());
        let results: Vec<_> = match decoded {
            Ok(codes) => {
                guard.admit(codes, captured).into_iter().map(|code| Ok(Read { code, sequence, captured, at })).collect()
            }
            Err(error) => vec![Err(error)],
        };
        for result in results {
            if to.try_send(result).is_err() {
                tracing::debug!("dropped a code: its owner is slow or gone");
            }
        }
    }
}

/// Believes an EAN or UPC only when several frames agree. Sans-IO.
#[derive(Debug)]
pub struct Agreement {
    frames: u8,
    window: Duration,
    seen: Vec<(Format, String, u8, Instant)>,
}

impl Agreement {
    /// A code is believed in the `frames`th frame that shows it, each within `window` of the one before.
    pub fn new(frames: u8, window: Duration) -> Self {
        Self { frames, window, seen: Vec::new() }
    }

    /// The codes of one frame, taken at `now`, that are believed.
    pub fn admit(&mut self, codes: Vec<Code>, now: Instant) -> Vec<Code> {
        self.seen.retain(|(.., last)| now.saturating_duration_since(*last) <= self.window);
        codes.into_iter().filter(|code| !code.format.is_ean_upc() || self.is_believed(code, now)).collect()
    }

    fn is_believed(&mut self, code: &Code, now: Instant) -> bool {
        match self.seen.iter_mut().find(|(format, text, ..)| *format == code.format && *text == code.text) {
            Some((_, _, count, last)) => {
                if *last != now {
                    *count = count.saturating_add(1);
                }
                *last = now;
                *count >= self.frames
            }
            None => {
                self.seen.push((code.format, code.text.clone(), 1, now));
                self.frames <= 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::code_for_tests as code;
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

    #[test]
    fn two_frames_must_agree_on_an_ean() {
        let mut guard = Agreement::new(2, Duration::from_secs(1));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let ean = |text: &str| code(Format::Ean13, text);
        let texts = |codes: Vec<Code>| codes.into_iter().map(|c| c.text).collect::<Vec<_>>();
        assert_eq!(texts(guard.admit(vec![ean("a"), code(Format::Qr, "q"), ean("a")], at(0))), ["q"]);
        assert_eq!(texts(guard.admit(vec![ean("b")], at(100))), [""; 0]);
        assert_eq!(texts(guard.admit(vec![ean("a")], at(200))), ["a"]);
        assert_eq!(texts(guard.admit(vec![ean("a")], at(300))), ["a"], "believed as long as it stays");
        assert_eq!(texts(guard.admit(vec![ean("a"), ean("b")], at(1301))), [""; 0], "out of the window");
        let mut off = Agreement::new(1, Duration::from_secs(1));
        assert_eq!(texts(off.admit(vec![ean("a")], at(0))), ["a"]);
    }
}
