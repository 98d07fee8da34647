//! Cameras as a vendor sees them: the next code in the picture.

use std::sync::Arc;
use std::time::Duration;

use tresen_cameras::{FileCamera, Reader, V4l2Camera, file, reader, v4l2};
use tresen_hal::address::LinkKind;
use tresen_hal::{Address, BoxFuture, Clock, Driver, Error, Kind, Result};
use tresen_scanners::dedupe::Verdict;
use tresen_scanners::{AimId, Dedupe, Scan};

use super::device::{Common, Device, DeviceClass, Setup, Shared};
use super::owner::{Gone, Hooks};
use super::scans::Scans;
use crate::class::Class;

/// A camera by its logical name. Clones are cheap and share what it sees: each code goes to one of those who wait in
/// [`Camera::next`].
pub type Camera = Device<Cameras>;

/// Cameras that read codes.
#[derive(Debug, Clone, Copy)]
pub struct Cameras;

impl DeviceClass for Cameras {
    const CLASS: Class = Class::Camera;
    const OPTIONS: &'static [&'static str] = &reader::OPTIONS;
    type Driver = CameraScans;
    type Shared = Scans;
}

impl Shared<CameraScans> for Scans {
    fn new(setup: Setup) -> Result<Self> {
        Ok(Self::new(setup.common))
    }
    fn common(&self) -> &Common {
        Scans::common(self)
    }
}

impl Hooks<CameraScans> for Scans {
    fn opened<'a>(&'a self, _: &'a mut CameraScans, address: &'a str) -> BoxFuture<'a, Result<Option<Duration>>> {
        self.common().found(address, None);
        self.common().reporter.connected(address);
        Box::pin(async { Ok(None) })
    }
    fn event(&self, scan: Scan) {
        self.scanned(scan);
    }
    fn gone(&self, how: Gone<'_>) {
        self.common().gone(how);
    }
}

impl Device<Cameras> {
    /// The next code; each is handed out once, and again only when it was out of sight for a while. Codes wait as
    /// long as those of a [`Scanner`](super::Scanner).
    ///
    /// Cancel-safe: a dropped future loses no code.
    pub async fn next(&self) -> Scan {
        self.shared.next().await
    }

    /// Drops the codes that wait, say when a new basket begins; how many there were.
    pub fn discard(&self) -> usize {
        self.shared.discard()
    }
}

/// A camera and its decoder, as one source of scans.
pub struct CameraScans {
    camera: Box<dyn tresen_cameras::Camera>,
    reader: Reader,
    dedupe: Dedupe,
    name: String,
}

impl CameraScans {
    pub(crate) fn check(address: &Address) -> Result<()> {
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
        Self::check(address)?;
        let camera: Box<dyn tresen_cameras::Camera> = match address.link() {
            LinkKind::V4l2 { .. } => Box::new(V4l2Camera::from_address(address).await?.with_clock(clock)),
            _ => Box::new(FileCamera::from_address(address)?.with_clock(clock)),
        };
        let reader = Reader::new(reader::Options::from_address(address)?)?;
        Ok(Self { camera, reader, dedupe: Dedupe::new(REARM), name: name.to_owned() })
    }
}

impl Driver for CameraScans {
    type Event = Scan;

    fn event(&mut self) -> BoxFuture<'_, Result<Scan>> {
        Box::pin(async move {
            loop {
                let read = match self.reader.next_of(&mut *self.camera).await {
                    // USB cameras occasionally deliver a corrupt frame.
                    Err(error) if error.kind() == Kind::Input => {
                        tracing::debug!(camera = self.name, %error, "passed over a frame");
                        continue;
                    }
                    read => read?,
                };
                let scan = match read.code.aim.parse::<AimId>() {
                    Ok(aim) => Scan::reported(aim, read.code.bytes, read.at),
                    Err(_) => Scan::plain(read.code.bytes, read.at),
                };
                if self.dedupe.see(&scan, read.captured) == Verdict::New {
                    return Ok(scan.from_device(&self.name));
                }
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.camera.close()
    }
}

/// How long a code must be out of sight before it counts again.
const REARM: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Drivers};

    #[test]
    fn each_kind_of_camera_has_its_options() {
        let check = |address: &str| {
            let address: Address = address.parse().expect(address);
            Drivers::standard().check(Class::Camera, &address).map_err(|e| e.kind())
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
