//! Turns the codes in a camera's frames into scans.

use std::sync::Arc;
use std::time::Duration;

use tresen_cameras::{Camera, Reader, reader};
use tresen_hal::{BoxFuture, Driver, Kind, Result, Runtime};
use tresen_scanners::dedupe::Verdict;
use tresen_scanners::{AimId, Dedupe, Scan};

/// A camera and its decoder, as one source of scans.
pub struct CameraScans {
    camera: Box<dyn Camera>,
    reader: Reader,
    codes: Codes,
}

impl CameraScans {
    /// Reads the codes in the frames of any camera; the scans carry `name`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn new(
        camera: Box<dyn Camera>,
        options: reader::Options,
        name: &str,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Self> {
        Ok(Self { camera, reader: Reader::new(options, runtime)?, codes: Codes::new(name) })
    }
}

impl Driver for CameraScans {
    type Event = Scan;

    fn event(&mut self) -> BoxFuture<'_, Result<Scan>> {
        Box::pin(async move {
            loop {
                let read = self.reader.next_of(&mut *self.camera).await;
                if let Some(scan) = self.codes.scan(read)? {
                    return Ok(scan);
                }
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.camera.close()
    }
}

/// Makes a scan of each code read, once while the code stays in sight.
pub(super) struct Codes {
    dedupe: Dedupe,
    name: String,
}

impl Codes {
    pub(super) fn new(name: &str) -> Self {
        Self { dedupe: Dedupe::new(REARM), name: name.to_owned() }
    }

    /// The scan; `None` if the code was already in sight, or the frame was damaged.
    ///
    /// # Errors
    /// The reader has failed and cannot continue.
    pub(super) fn scan(&mut self, read: Result<reader::Read>) -> Result<Option<Scan>> {
        let read = match read {
            // USB cameras occasionally deliver a corrupt frame.
            Err(error) if error.kind() == Kind::Input => {
                tracing::debug!(camera = self.name, %error, "skipped a frame");
                return Ok(None);
            }
            read => read?,
        };
        let scan = match read.code.aim.parse::<AimId>() {
            Ok(aim) => Scan::reported(aim, read.code.bytes, read.at),
            Err(_) => Scan::plain(read.code.bytes, read.at),
        };
        let is_new = self.dedupe.see(&scan, read.captured) == Verdict::New;
        Ok(is_new.then(|| scan.from_device(&self.name)))
    }
}

/// How long a code must be out of sight before it is scanned again.
const REARM: Duration = Duration::from_secs(2);
