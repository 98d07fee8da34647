//! The camera handle: the next code in the picture, and the picture itself.
//!
//! The owner task holds the camera and publishes each frame; a separate reader takes the latest whenever it is idle.

mod codes;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tresen_cameras::{Capabilities, Frame, Reader, reader};
use tresen_hal::{Address, BoxFuture, Driver, Error, Kind, Result, Runtime};
use tresen_scanners::Scan;

pub use self::codes::CameraScans;

use self::codes::Codes;
use super::device::{Common, Device, DeviceClass, Setup, Shared};
use super::owner::{Hooks, LossReason};
use super::scans::Scans;
use super::state::DeviceCapabilities;
use crate::api::camera::Picture;
use crate::class::Class;

/// The driver that the owner task holds, boxed.
type AnyCamera = dyn tresen_cameras::Camera;

/// A camera by its logical name. Clones are cheap and share the codes: each goes to one of the callers waiting in
/// [`Camera::next`]; frames are available to all.
pub type Camera = Device<Cameras>;

/// Cameras that read codes.
#[derive(Debug, Clone, Copy)]
pub struct Cameras;

impl DeviceClass for Cameras {
    const CLASS: Class = Class::Camera;
    const OPTIONS: &'static [&'static str] = reader::Options::NAMES;
    type Driver = AnyCamera;
    type Shared = SharedCamera;
}

/// Shared between the owner of a camera and its handles.
pub struct SharedCamera {
    scans: Arc<Scans>,
    frames: Frames,
    runtime: Arc<dyn Runtime>,
}

/// The latest frame; `None` while the camera is away.
type Frames = Arc<watch::Sender<Option<Frame>>>;

impl Shared<AnyCamera> for SharedCamera {
    fn new(setup: Setup) -> Self {
        Self { scans: Arc::new(Scans::new(setup.common)), frames: Frames::default(), runtime: setup.runtime }
    }
    fn common(&self) -> &Common {
        self.scans.common()
    }
    fn wrap(&self, camera: Box<AnyCamera>, address: Option<&Address>) -> Result<Box<AnyCamera>> {
        let options = address.map(reader::Options::from_address).transpose()?.unwrap_or_default();
        let reader = Reader::new(options, self.runtime.clone())?;
        let (codes, scans) = (Codes::new(&self.common().reporter.device.name), self.scans.clone());
        Ok(Box::new(Watched { camera, reader, codes, scans, frames: self.frames.clone() }))
    }
}

impl Device<Cameras> {
    /// Time limit of [`Camera::frame`]: 5 s.
    pub const FRAME: Duration = Duration::from_secs(5);

    /// The next code; each is handed out once, and again only after it was out of sight for a while. Codes stay queued
    /// as long as those of a [`Scanner`](super::Scanner).
    ///
    /// Cancel-safe: dropping the future loses no code.
    ///
    /// # Errors
    /// As [`Scanner::next`](super::Scanner::next): the codes go to somebody else.
    pub async fn next(&self) -> Result<Scan> {
        self.shared.scans.next(&self.gate()).await
    }

    /// Drops queued codes, for example when a new basket begins, and returns their number: 0 while another caller gets
    /// the codes.
    pub fn discard(&self) -> usize {
        self.shared.scans.discard(&self.gate())
    }

    /// The camera's latest frame, or the first one if there is none yet.
    ///
    /// # Errors
    /// [`Kind::Timeout`]: no frame within [`Camera::FRAME`]; the error includes the camera's state.
    pub async fn frame(&self) -> Result<Frame> {
        let mut frames = self.frames();
        let shown = tokio::time::timeout(Self::FRAME, frames.wait_for(Option::is_some)).await;
        // The sender lives as long as this handle.
        if let Some(frame) = shown.ok().and_then(|shown| shown.ok()?.clone()) {
            return Ok(frame);
        }
        let mut what = format!("no frame within {} s", Self::FRAME.as_secs());
        if let Some(why) = self.phase().borrow().why() {
            what = format!("{what}: {why}");
        }
        Err(Error::new(Kind::Timeout, what).at(self.name()))
    }

    /// The camera's latest frame as a JPEG.
    ///
    /// # Errors
    /// As [`Camera::frame`]; [`Kind::Input`]: the camera sent a picture that cannot be decoded.
    pub async fn picture(&self) -> Result<Picture> {
        let frame = self.frame().await?;
        let (sequence, at) = (frame.sequence(), frame.at());
        let jpeg = self.shared.runtime.run_blocking(move || frame.jpeg()).await?;
        Ok(Picture { jpeg: jpeg.map_err(|error| error.at(self.name()))?, sequence, at })
    }

    /// The latest frame as it changes, for a live picture; `None` while the camera is away. A slow receiver sees the
    /// latest frame and misses those in between. While a receiver exists the camera delivers all its frames, even when
    /// nothing moves.
    pub fn frames(&self) -> watch::Receiver<Option<Frame>> {
        self.shared.frames.subscribe()
    }

    /// Its current and supported formats; `None` until first connected, kept while it is away. Size and format of
    /// pictures from files are those of their frames.
    pub fn capabilities(&self) -> Option<Capabilities> {
        match self.shared.common().capabilities() {
            Some(DeviceCapabilities::Camera(capabilities)) => Some(capabilities),
            _ => None,
        }
    }
}

/// A camera whose frames also go to a reader. It delivers fewer of them while the reader needs none and there are no
/// other receivers.
struct Watched {
    camera: Box<AnyCamera>,
    reader: Reader,
    codes: Codes,
    scans: Arc<Scans>,
    frames: Frames,
}

impl Driver for Watched {
    type Event = Frame;

    fn event(&mut self) -> BoxFuture<'_, Result<Frame>> {
        Box::pin(async move {
            loop {
                let frame = async {
                    if self.frames.receiver_count() == 0 {
                        self.reader.wants_frame().await;
                    }
                    self.camera.event().await
                };
                tokio::select! {
                    biased;
                    read = self.reader.next() => {
                        if let Some(scan) = self.codes.scan(read)? {
                            self.scans.scanned(scan);
                        }
                    }
                    frame = frame => {
                        let frame = frame?;
                        self.reader.push(frame.clone());
                        return Ok(frame);
                    }
                }
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.camera.close()
    }
}

impl tresen_cameras::Camera for Watched {
    fn capabilities(&self) -> &Capabilities {
        self.camera.capabilities()
    }

    fn set_running(&mut self, running: bool) -> BoxFuture<'_, Result<()>> {
        self.camera.set_running(running)
    }
}

impl Hooks<AnyCamera> for SharedCamera {
    fn opened<'a>(&'a self, camera: &'a mut AnyCamera, address: &'a str) -> BoxFuture<'a, Result<Option<Duration>>> {
        let capabilities = DeviceCapabilities::Camera(camera.capabilities().clone());
        self.common().found(address, Some(capabilities));
        Box::pin(async { Ok(None) })
    }
    fn connected(&self, _camera: &mut AnyCamera, address: &str) {
        self.common().reporter.connected(address);
    }
    fn event(&self, frame: Frame) {
        self.frames.send_replace(Some(frame));
    }
    fn lost(&self, reason: LossReason<'_>) {
        self.frames.send_replace(None);
        self.common().lost(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;
    use tresen_cameras::PixelFormat;
    use tresen_hal::SimulatedRuntime;

    use crate::event::{Bus, Reporter};

    /// A camera with 25 frames per second that shows a grey wall.
    struct Wall {
        runtime: Arc<dyn Runtime>,
        due: Instant,
    }

    impl Driver for Wall {
        type Event = Frame;

        fn event(&mut self) -> BoxFuture<'_, Result<Frame>> {
            Box::pin(async move {
                tokio::time::sleep_until(self.due).await;
                self.due = Instant::now() + Duration::from_millis(40);
                Frame::new(PixelFormat::Grey8, 64, 48, vec![120; 64 * 48], &*self.runtime)
            })
        }

        fn close(&mut self) -> BoxFuture<'_, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    impl tresen_cameras::Camera for Wall {
        fn capabilities(&self) -> &Capabilities {
            unreachable!("nobody asks")
        }

        fn set_running(&mut self, _: bool) -> BoxFuture<'_, Result<()>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    /// How many frames arrive within 10 s.
    async fn count(camera: &mut Watched) -> usize {
        let end = Instant::now() + Duration::from_secs(10);
        let mut frames = 0;
        while let Ok(frame) = tokio::time::timeout_at(end, camera.event()).await {
            frame.expect("a frame");
            frames += 1;
        }
        frames
    }

    #[tokio::test(start_paused = true)]
    async fn a_camera_that_nobody_watches_delivers_few_frames_while_nothing_moves() {
        let runtime: Arc<dyn Runtime> =
            Arc::new(SimulatedRuntime::new(1, "2026-01-02T08:00:00Z".parse().expect("a timestamp")));
        let frames = Frames::default();
        let reporter = Reporter::new(Class::Camera, "wall", "Till".into(), Bus::new(runtime.clone()));
        let mut camera = Watched {
            camera: Box::new(Wall { runtime: runtime.clone(), due: Instant::now() }),
            reader: Reader::new(reader::Options::default(), runtime).expect("no thread is needed"),
            codes: Codes::new("wall"),
            scans: Arc::new(Scans::new(Common::new(reporter))),
            frames: frames.clone(),
        };
        // 2 s at 25 per second, then 5 per second.
        assert!((80..=92).contains(&count(&mut camera).await));
        assert!((48..=51).contains(&count(&mut camera).await));
        let watching = frames.subscribe();
        assert!((245..=251).contains(&count(&mut camera).await), "somebody looks");
        drop(watching);
        assert!((48..=51).contains(&count(&mut camera).await));
    }
}
