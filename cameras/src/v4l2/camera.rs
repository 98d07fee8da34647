//! The driver of a video device: frames as they come, the latest for a slow owner, and an end in time.
//!
//! Calls that may block (opening, starting, stopping, closing) run on a thread of their own with a time limit, so a
//! camera that hangs in its driver blocks neither the owner nor the end of the program.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tresen_hal::{BoxFuture, Clock, Driver, Error, Kind, Result, Runtime};

use super::device::{Device, Filled, Setup};
use super::{Format, Options, sys};
use crate::{Camera, Capabilities, Frame};

/// A Video4Linux2 camera. Dropping it closes the device in the background; [`Driver::close`] waits for that.
pub struct V4l2Camera {
    /// None once it is closed.
    device: Option<AsyncFd<Arc<Device>>>,
    setup: Setup,
    name: String,
    runtime: Arc<dyn Runtime>,
    capabilities: Capabilities,
    wanted: bool,
    streaming: bool,
    /// A start (`true`) or stop in progress, kept here so that a dropped future loses nothing.
    change: Option<(bool, oneshot::Receiver<Result<()>>)>,
    /// Since when there has been no good frame, and how many were damaged by then.
    silent_since: Option<(Instant, u64)>,
    counts: Counts,
}

impl V4l2Camera {
    /// Opens a video device and starts it. What may wait for the device runs on threads of `runtime`, and frames
    /// take their times from it.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Permission`], [`Kind::Busy`]; [`Kind::Unsupported`]: it is no camera, or does not offer
    /// what `options` ask for; [`Kind::Config`]: options out of bounds; [`Kind::Timeout`]: it hangs.
    pub async fn open(path: impl AsRef<Path>, options: Options, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let name = options.checked(&path)?;
        let device = wait(aside(&*runtime, move || {
            let device = Device::open(&path, &options)?;
            device.start()?;
            Ok(device)
        }))
        .await
        .map_err(|e| e.at(&name))?;
        let (setup, capabilities) = (device.setup, device.capabilities());
        let device = sys::watch(Arc::new(device)).map_err(|e| Error::from(e).at(&name))?;
        Ok(Self {
            device: Some(device),
            setup,
            name,
            runtime,
            capabilities,
            wanted: true,
            streaming: true,
            change: None,
            silent_since: None,
            counts: Counts::default(),
        })
    }

    /// How many damaged frames were skipped.
    pub fn damaged(&self) -> u64 {
        self.counts.damaged
    }

    async fn next(&mut self) -> Result<Frame> {
        let mut may_refresh = true;
        loop {
            self.settle().await?;
            if !self.wanted {
                return std::future::pending().await;
            }
            let device = self.device.as_ref().ok_or_else(closed)?;
            let could_refresh = may_refresh;
            let frame = latest(device.get_ref(), &*self.runtime, &mut self.counts, &mut may_refresh)?;
            if frame.is_some() || could_refresh != may_refresh {
                self.silent_since = None;
            }
            if let Some(frame) = frame {
                return Ok(frame);
            }
            let since = *self.silent_since.get_or_insert_with(|| (Instant::now(), self.counts.damaged));
            if since.0.elapsed() >= SILENCE {
                device.get_ref().is_there()?;
                self.silent_since = None;
                return Err(silence(self.counts.damaged - since.1));
            }
            match tokio::time::timeout(LOOK, woken(device)).await {
                Ok(woken) => woken.map_err(Error::from)?,
                Err(_) => device.get_ref().is_there()?,
            }
        }
    }

    /// Finishes a start or stop that is under way, and makes the stream what is wanted.
    async fn settle(&mut self) -> Result<()> {
        loop {
            if let Some((to, change)) = &mut self.change {
                let (to, done) = (*to, wait(change).await);
                self.change = None;
                done?;
                self.streaming = to;
                self.counts.restarted();
                self.silent_since = None;
            }
            if self.streaming == self.wanted {
                return Ok(());
            }
            let device = self.device.as_ref().ok_or_else(closed)?.get_ref().clone();
            let to = self.wanted;
            self.change = Some((to, aside(&*self.runtime, move || if to { device.start() } else { device.stop() })));
        }
    }

    /// Takes the device apart on a thread of its own.
    fn end(&mut self) -> Option<oneshot::Receiver<Result<()>>> {
        let device = self.device.take()?.into_inner();
        Some(aside(&*self.runtime, move || {
            drop(device);
            Ok(())
        }))
    }
}

impl Driver for V4l2Camera {
    type Event = Frame;

    fn event(&mut self) -> BoxFuture<'_, Result<Frame>> {
        Box::pin(async move {
            let next = self.next().await;
            next.map_err(|e| e.at(&self.name))
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(mut ended) = self.end() {
                wait(&mut ended).await.ok();
            }
        })
    }
}

impl Camera for V4l2Camera {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn set_running(&mut self, running: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.wanted = running;
            let settled = self.settle().await;
            settled.map_err(|e| e.at(&self.name))
        })
    }
}

impl Drop for V4l2Camera {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for V4l2Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("V4l2Camera")
            .field("name", &self.name)
            .field("setup", &self.setup)
            .field("streaming", &self.streaming)
            .finish_non_exhaustive()
    }
}

/// The newest good frame that is there. All others go back to the driver at once.
fn latest(device: &Device, clock: &dyn Clock, counts: &mut Counts, may_refresh: &mut bool) -> Result<Option<Frame>> {
    let mut newest: Option<Filled> = None;
    let mut taken = 0;
    // Bounded, because a driver may refill buffers as fast as we return them.
    while taken < 2 * device.count()
        && let Some(filled) = device.take()?
    {
        taken += 1;
        counts.see(filled.sequence);
        let back = if filled.is_damaged {
            counts.damaged += 1;
            Some(filled)
        } else {
            newest.replace(filled)
        };
        if let Some(back) = back {
            device.give(back)?;
        }
    }
    let Some(filled) = newest else { return Ok(None) };
    let age = filled.time.and_then(age);
    // The owner was slow and the driver ran out of buffers: these frames are the oldest, not the newest.
    if *may_refresh && taken >= device.count() && age.is_none_or(|age| age > STALE) {
        *may_refresh = false;
        device.give(filled)?;
        return Ok(None);
    }
    let limit = limit(&device.setup);
    let data = device.copy(&filled, limit);
    device.give(filled)?;
    let taken_at = Earlier { clock, by: age.unwrap_or_default() };
    match frame(&device.setup, data, &taken_at) {
        Some(frame) => Ok(Some(frame.numbered(counts.number))),
        None => {
            counts.damaged += 1;
            Ok(None)
        }
    }
}

/// Waits until the driver has something to tell: a frame, or an error that taking one will fetch.
async fn woken(device: &AsyncFd<Arc<Device>>) -> std::io::Result<()> {
    let mut guard = device.ready(Interest::READABLE | Interest::ERROR).await?;
    let is_closed = guard.ready().is_read_closed();
    // Cleared before looking: what comes meanwhile sets it again.
    guard.clear_ready();
    if is_closed && device.get_ref().is_there().is_ok() {
        // The flag of an unplugged device is never cleared; do not spin if one that is there has it.
        tokio::time::sleep(LOOK / 8).await;
    }
    Ok(())
}

/// A frame of what was in a buffer; none if it is too short or no picture.
fn frame(setup: &Setup, data: Vec<u8>, clock: &dyn Clock) -> Option<Frame> {
    // ITU-T T.81, B.1.1.3: every JPEG begins with the marker SOI.
    if setup.format == Format::Mjpeg && !data.starts_with(&[0xff, 0xd8]) {
        return None;
    }
    Frame::with_stride(setup.format.pixels(), setup.width, setup.height, setup.stride as usize, data, clock).ok()
}

/// How many bytes of a buffer the frame needs: of planes only the first.
fn limit(setup: &Setup) -> usize {
    if setup.format == Format::Mjpeg {
        usize::MAX
    } else {
        (setup.stride as usize).saturating_mul(setup.height as usize)
    }
}

/// How long ago a time of `CLOCK_MONOTONIC` was; none if that cannot be.
fn age(time: Duration) -> Option<Duration> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    now.checked_sub(time).filter(|age| *age < Duration::from_secs(60))
}

/// A clock that shows what another showed a while ago.
#[derive(Debug)]
struct Earlier<'a> {
    clock: &'a dyn Clock,
    by: Duration,
}

impl Clock for Earlier<'_> {
    fn now(&self) -> std::time::Instant {
        let now = self.clock.now();
        now.checked_sub(self.by).unwrap_or(now)
    }

    fn wall(&self) -> Timestamp {
        let wall = self.clock.wall();
        wall.checked_sub(self.by).unwrap_or(wall)
    }
}

/// Frames by number, and how many were damaged.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    /// Of the last frame that came; gaps are the driver's.
    number: u64,
    /// What the driver calls it: 32 bits, from 0 with every start.
    driver: Option<u32>,
    damaged: u64,
}

impl Counts {
    fn see(&mut self, sequence: u32) {
        // Some drivers count backwards or not at all; a frame is a frame.
        let step = self.driver.map(|last| sequence.wrapping_sub(last));
        let step = step.filter(|step| (1..1 << 31).contains(step)).unwrap_or(1);
        self.driver = Some(sequence);
        self.number += u64::from(step);
    }

    fn restarted(&mut self) {
        self.driver = None;
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the camera was closed")
}

fn silence(damaged: u64) -> Error {
    let seconds = SILENCE.as_secs();
    let (what, hint) = match damaged {
        0 => (format!("no frame for {seconds} s"), "plug it in again; if a program feeds it, is that running?"),
        n => (format!("only damaged frames for {seconds} s, {n} of them"), "check its cable, or use another USB port"),
    };
    Error::new(Kind::Timeout, what).hint(hint)
}

/// Runs a call that may block on a thread of its own: a hung device must not block the end of the program.
fn aside<T: Send + 'static>(
    runtime: &dyn Runtime,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> oneshot::Receiver<Result<T>> {
    let (to, from) = oneshot::channel();
    match runtime.worker("tresen-camera") {
        Ok(worker) => worker.run(Box::new(move || _ = to.send(work()))),
        Err(error) => _ = to.send(Err(error)),
    }
    from
}

/// What came of it, within the limit.
async fn wait<T>(work: impl Future<Output = Result<Result<T>, oneshot::error::RecvError>>) -> Result<T> {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(Error::new(Kind::Io, "the camera's thread panicked")),
        Err(_) => {
            let what = format!("the camera did not answer within {} s", LIMIT.as_secs());
            Err(Error::new(Kind::Timeout, what).hint("plug it in again"))
        }
    }
}

/// How long opening, starting and stopping may take. USB cameras answer a request within 5 s or not at all.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a running camera may go without a good frame.
const SILENCE: Duration = Duration::from_secs(5);
/// How often to check that a silent camera is still there: not every driver wakes us when it is unplugged.
const LOOK: Duration = Duration::from_millis(400);
/// How old a frame may be when the driver had no free buffer for a newer one.
const STALE: Duration = Duration::from_millis(150);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelFormat;
    use tresen_hal::{ManualClock, SystemRuntime};

    fn clock() -> ManualClock {
        ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a timestamp"))
    }

    fn setup(format: Format, stride: u32) -> Setup {
        Setup { format, width: 4, height: 2, stride }
    }

    #[test]
    fn numbers_go_on_whatever_the_driver_counts() {
        let mut counts = Counts::default();
        let mut numbers = |sequences: &[u32]| {
            sequences
                .iter()
                .map(|s| {
                    counts.see(*s);
                    counts.number
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(&[0, 1, 4]), [1, 2, 5], "two were dropped by the driver");
        assert_eq!(numbers(&[4, 3]), [6, 7], "a driver that does not count");
        assert_eq!(numbers(&[u32::MAX, 0, 2]), [8, 9, 11], "an overflow is no gap");
        counts.restarted();
        counts.see(7);
        assert_eq!(counts.number, 12, "a new stream begins anew");
    }

    #[test]
    fn planes_are_cut_to_the_first_and_rows_keep_their_stride() {
        let nv12 = setup(Format::Nv12, 6);
        assert_eq!(limit(&nv12), 12);
        let grey = frame(&nv12, (0..12).collect(), &clock()).expect("good");
        assert_eq!((grey.format(), grey.stride()), (PixelFormat::Grey8, 6));
        assert_eq!(grey.grey(&mut Vec::new()).expect("grey").row(1), [6, 7, 8, 9]);
        assert_eq!(limit(&setup(Format::Yuyv, 8)), 16);
        assert_eq!(limit(&setup(Format::Mjpeg, 0)), usize::MAX);
    }

    #[test]
    fn half_a_frame_is_none() {
        assert!(frame(&setup(Format::Yuyv, 8), vec![0; 15], &clock()).is_none());
        assert!(frame(&setup(Format::Yuyv, 8), vec![0; 16], &clock()).is_some());
        assert!(frame(&setup(Format::Mjpeg, 0), vec![0; 99], &clock()).is_none(), "no SOI");
        assert!(frame(&setup(Format::Mjpeg, 0), vec![], &clock()).is_none());
        let jpeg = frame(&setup(Format::Mjpeg, 0), vec![0xff, 0xd8, 0xff], &clock()).expect("a decoder's matter");
        assert_eq!((jpeg.format(), jpeg.width()), (PixelFormat::Mjpeg, 4));
    }

    #[test]
    fn a_frame_is_as_old_as_the_driver_says() {
        let clock = clock();
        let earlier = Earlier { clock: &clock, by: Duration::from_millis(40) };
        let got = frame(&setup(Format::Grey, 4), vec![0; 8], &earlier).expect("good");
        assert_eq!(clock.now() - got.captured(), Duration::from_millis(40));
        assert_eq!(got.at().to_string(), "2026-01-02T07:59:59.96Z");
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = Duration::new(now.tv_sec as u64, 0);
        assert!(age(now).is_some_and(|age| age < Duration::from_secs(2)));
        assert_eq!(age(now + Duration::from_secs(3600)), None, "the future");
        assert_eq!(age(Duration::ZERO).filter(|_| now > Duration::from_secs(60)), None, "another clock");
    }

    #[test]
    fn silence_says_whether_anything_came() {
        assert!(silence(0).to_string().starts_with("no frame for 5 s; "));
        assert!(silence(7).to_string().starts_with("only damaged frames for 5 s, 7 of them; "));
        assert_eq!(silence(0).kind(), Kind::Timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_hangs_ends_in_time() {
        let (_hold, held) = std::sync::mpsc::channel::<()>();
        let mut work = aside(&SystemRuntime::new(), move || Ok(held.recv().ok()));
        let begin = Instant::now();
        let error = wait(&mut work).await.expect_err("it hangs");
        assert_eq!((error.kind(), begin.elapsed()), (Kind::Timeout, LIMIT));
        tokio::time::resume();
        assert_eq!(wait(aside(&SystemRuntime::new(), || Ok(7))).await.expect("done"), 7);
    }

    #[tokio::test]
    async fn says_what_cannot_be_opened() {
        let runtime = || Arc::new(SystemRuntime::new());
        let address = "camera+v4l2:///dev/no-such-camera?fps=15".parse().expect("an address");
        let options = Options::from_address(&address).expect("good");
        let error = V4l2Camera::open("/dev/no-such-camera", options, runtime()).await.expect_err("missing");
        assert_eq!(error.kind(), Kind::NotFound);
        let told = error.to_string();
        assert!(told.starts_with("camera+v4l2:///dev/no-such-camera: there is no such camera"), "{told}");
        let error = V4l2Camera::open("/dev/null", Options::default(), runtime()).await.expect_err("no camera");
        assert_eq!((error.kind(), error.device()), (Kind::Unsupported, Some("/dev/null")));
        let wrong = Options { fps: Some(-1.0), ..Options::default() };
        assert_eq!(V4l2Camera::open("/dev/null", wrong, runtime()).await.expect_err("wrong").kind(), Kind::Config);
    }
}
