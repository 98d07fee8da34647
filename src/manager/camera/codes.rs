//! What makes scans of a camera's frames.

use std::sync::Arc;
use std::time::Duration;

use tresen_cameras::{Camera, FileCamera, Reader, V4l2Camera, file, reader, v4l2};
use tresen_hal::address::LinkKind;
use tresen_hal::{Address, BoxFuture, Clock, Driver, Error, Kind, Result, Runtime, SystemRuntime};
use tresen_scanners::dedupe::Verdict;
use tresen_scanners::{AimId, Dedupe, Scan};

/// A camera and its decoder, as one source of scans.
pub struct CameraScans {
    camera: Box<dyn Camera>,
    reader: Reader,
    codes: Codes,
}

impl CameraScans {
    /// The options of all cameras' addresses.
    pub(in crate::manager) const OPTIONS: [&'static str; 7] = {
        let ([fps, looping], [width, height, format, _]) = (file::OPTIONS, v4l2::OPTIONS);
        let [codes, frames] = reader::OPTIONS;
        [fps, looping, width, height, format, codes, frames]
    };

    pub(in crate::manager) fn check(address: &Address) -> Result<()> {
        reader::Options::from_address(address)?;
        match address.link() {
            LinkKind::V4l2 { .. } => v4l2::Options::from_address(address).map(drop),
            LinkKind::File { .. } => {
                address.check_options(&[&file::OPTIONS[..], &reader::OPTIONS].concat())?;
                address.option_as::<f64>("fps")?;
                address.option_as::<bool>("loop").map(drop)
            }
            other => {
                Err(Error::new(Kind::Unsupported, format!("cameras over `{}` are not built in yet", other.scheme()))
                    .hint("there are camera+v4l2:///dev/video0 and camera+file:///folder"))
            }
        }
    }

    /// Opens the camera at `address`; its scans carry `name`.
    ///
    /// # Errors
    /// The address is none of a camera, or what it names is not there.
    pub async fn open(address: &Address, name: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let camera = open(address, clock.clone()).await?;
        Self::new(camera, reader::Options::from_address(address)?, name, Arc::new(SystemRuntime::with_clock(clock)))
    }

    /// Reads the codes in the frames of any camera; the scans carry `name`.
    ///
    /// # Errors
    /// The system starts no more threads.
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

/// Opens the camera at `address`.
pub(in crate::manager) async fn open(address: &Address, clock: Arc<dyn Clock>) -> Result<Box<dyn Camera>> {
    CameraScans::check(address)?;
    Ok(match address.link() {
        LinkKind::V4l2 { .. } => Box::new(V4l2Camera::from_address(address).await?.with_clock(clock)),
        _ => Box::new(FileCamera::from_address(address)?.with_clock(clock)),
    })
}

/// Makes a scan of what a reader has read, once while a code stays in sight.
pub(super) struct Codes {
    dedupe: Dedupe,
    name: String,
}

impl Codes {
    pub(super) fn new(name: &str) -> Self {
        Self { dedupe: Dedupe::new(REARM), name: name.to_owned() }
    }

    /// The scan; none if the code has been in sight before, or the frame was damaged.
    ///
    /// # Errors
    /// The reader can go on no more.
    pub(super) fn scan(&mut self, read: Result<reader::Read>) -> Result<Option<Scan>> {
        let read = match read {
            // USB cameras occasionally deliver a corrupt frame.
            Err(error) if error.kind() == Kind::Input => {
                tracing::debug!(camera = self.name, %error, "passed over a frame");
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

/// How long a code must be out of sight before it counts again.
const REARM: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_camera_has_its_options() {
        let check = |address: &str| {
            let address: Address = address.parse().expect(address);
            address
                .check_options(&CameraScans::OPTIONS)
                .and_then(|()| CameraScans::check(&address))
                .map_err(|e| e.kind())
        };
        assert_eq!(check("camera+v4l2:///dev/video0?width=1280&height=720&format=mjpeg&fps=30"), Ok(()));
        assert_eq!(check("camera+file:///tmp?fps=5&loop=true&codes=pdf-417,qr&frames=3"), Ok(()));
        assert_eq!(check("camera+v4l2:///dev/video0?codes=all"), Ok(()));
        assert_eq!(check("camera+v4l2:///dev/video0?codes=pdf"), Err(Kind::Address));
        assert_eq!(check("camera+v4l2:///dev/video0?format=h264"), Err(Kind::Address));
        assert_eq!(check("camera+v4l2:///dev/video0?loop=true"), Err(Kind::Address), "an option of files");
        assert_eq!(check("camera+file:///tmp?width=640"), Err(Kind::Address), "an option of video devices");
        assert_eq!(check("camera+http://host/stream"), Err(Kind::Unsupported));
    }
}
