//! A camera of the Linux kernel: Video4Linux2, <https://docs.kernel.org/userspace-api/media/v4l/v4l2.html>,
//! spoken by ioctls of our own, so that it needs no system library and no bindgen.
//!
//! Address: `camera+v4l2:///dev/video0`; [`Options::from_address`] lists its options. Without them it takes what
//! decodes best: a size near 1280x720 at no less than 15 frames a second, in the format that is cheapest to decode.
//! Size and format are demands: a camera that does not offer them is refused with a list of what it offers. The
//! frame rate is a wish. `/dev/v4l/by-id/…` names a camera that keeps its name when it is plugged elsewhere.
//!
//! Opening needs read and write permission on the device: on Debian the group `video`.
//!
//! Left out: multi-planar devices (the pipelines of some single-board computers), controls such as focus,
//! inputs and video standards of capture cards, and changes of the source's size while it runs.
//! On other systems there are stubs: opening fails with [`tresen_hal::Kind::Unsupported`].

#[cfg(target_os = "linux")]
mod camera;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod camera;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "on other systems only its tests use it"))]
mod choice;
#[cfg(target_os = "linux")]
mod device;
#[cfg(target_os = "linux")]
mod sys;

use std::path::Path;
use std::sync::Arc;

use tresen_hal::{Address, Error, Kind, Result, Runtime};

pub use camera::V4l2Camera;
pub use choice::Format;

use crate::Camera;
use crate::frame::MAX_SIDE;

/// What a camera should deliver; whatever is not set is chosen for decoding.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Pixels in a row.
    pub width: Option<u32>,
    /// Rows.
    pub height: Option<u32>,
    /// How the camera encodes its pictures.
    pub format: Option<Format>,
    /// Frames a second, above 0 and up to 240; the camera takes the nearest it can, fewer in the dark.
    pub fps: Option<f64>,
    /// What it is called in errors; without it, its path.
    pub label: Option<String>,
}

impl Options {
    /// The address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &["width", "height", "format", "fps"];

    /// Options as an address gives them.
    ///
    /// | option | values | means |
    /// |---|---|---|
    /// | `width`, `height` | pixels, 1 to 16384 | the size of a frame |
    /// | `format` | `grey`, `nv12`, `yu12`, `yuyv`, `rgb`, `mjpeg` | how the camera encodes its pictures |
    /// | `fps` | above 0, up to 240 | frames a second |
    ///
    /// # Errors
    /// [`Kind::Address`] names the option and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let options = Self {
            width: address.option_as("width")?,
            height: address.option_as("height")?,
            format: address.option_as("format")?,
            fps: address.option_as("fps")?,
            label: Some(address.label()),
        };
        options.check().map_err(|(name, _, why)| address.refuse(name, why))?;
        Ok(options)
    }

    /// What is out of bounds: its name, its value and what is allowed.
    fn check(&self) -> Result<(), (&'static str, f64, String)> {
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if let Some(side) = side
                && !(1..=MAX_SIDE).contains(&side)
            {
                return Err((name, side.into(), format!("allowed is 1 to {MAX_SIDE}")));
            }
        }
        match self.fps {
            Some(fps) if !(fps > 0.0 && fps <= 240.0) => Err(("fps", fps, "allowed is above 0 and up to 240".into())),
            _ => Ok(()),
        }
    }

    /// What to call the camera in errors, if the options are good.
    fn checked(&self, path: &Path) -> Result<String> {
        let label = self.label.clone().unwrap_or_else(|| path.display().to_string());
        match self.check() {
            Ok(()) => Ok(label),
            Err((name, value, why)) => Err(Error::new(Kind::Config, format!("{name}={value}: {why}")).at(label)),
        }
    }
}

/// Opens a video device and starts it. What may wait for the device runs on threads of `runtime`, and frames take
/// their times from it.
///
/// # Errors
/// As [`V4l2Camera::open`].
pub async fn open(path: impl AsRef<Path>, options: Options, runtime: Arc<dyn Runtime>) -> Result<Box<dyn Camera>> {
    Ok(Box::new(V4l2Camera::open(path, options, runtime).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(address: &str) -> Result<Options> {
        Options::from_address(&address.parse().expect(address))
    }

    #[test]
    fn reads_the_options_of_an_address() {
        let got = options("camera+v4l2:///dev/video0?width=1280&height=720&format=mjpeg&fps=29.97").expect("good");
        let label = Some("camera+v4l2:///dev/video0".to_owned());
        let (format, fps) = (Some(Format::Mjpeg), Some(29.97));
        assert_eq!(got, Options { width: Some(1280), height: Some(720), format, fps, label: label.clone() });
        let got = options("camera+v4l2:///dev/video0").expect("good");
        assert_eq!(got, Options { label, ..Options::default() });
    }

    #[test]
    fn refuses_options_that_are_wrong() {
        for (address, kind, why) in [
            ("camera+v4l2:///dev/video0?width=0", Kind::Address, "allowed is 1 to 16384"),
            ("camera+v4l2:///dev/video0?height=20000", Kind::Address, "allowed is 1 to 16384"),
            ("camera+v4l2:///dev/video0?width=wide", Kind::Address, "width=wide"),
            ("camera+v4l2:///dev/video0?fps=0", Kind::Address, "above 0"),
            ("camera+v4l2:///dev/video0?fps=NaN", Kind::Address, "above 0"),
            ("camera+v4l2:///dev/video0?format=h264", Kind::Address, "allowed: grey, nv12, yu12, yuyv, rgb, mjpeg"),
        ] {
            let error = options(address).expect_err(address);
            assert!(error.kind() == kind && error.to_string().contains(why), "{address}: {error}");
            assert!(error.device().is_some_and(|d| d.starts_with("camera+")), "{error}");
        }
    }
}
