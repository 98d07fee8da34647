//! A camera of the Linux kernel: Video4Linux2, <https://docs.kernel.org/userspace-api/media/v4l/v4l2.html>,
//! spoken by ioctls of our own, so that it needs no system library and no bindgen.
//!
//! Address: `camera+v4l2:///dev/video0`, with the options `width`, `height`, `format` (`grey`, `nv12`,
//! `yu12`, `yuyv`, `rgb`, `mjpeg`) and `fps` (up to 240). Without them it takes what decodes best: a
//! size near 1280x720 at no less than 15 frames a second, in the format that is cheapest to decode. Size and
//! format are demands: a camera that does not offer them is refused with a list of what it offers. The
//! frame rate is a wish. `/dev/v4l/by-id/…` names a camera that keeps its name when it is plugged elsewhere.
//!
//! Who opens it needs the right to read and write the device: on Debian the group `video`.
//!
//! Left out: multi-planar devices (the pipelines of some single-board computers), controls such as focus,
//! inputs and video standards of capture cards, and changes of the source's size while it runs.
//! Elsewhere than on Linux the same names are there, and opening says [`tresen_hal::Kind::Unsupported`].

#[cfg(target_os = "linux")]
mod camera;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod camera;
// Elsewhere only its tests use it.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod choice;
#[cfg(target_os = "linux")]
mod device;
#[cfg(target_os = "linux")]
mod sys;

use tresen_hal::address::LinkKind;
use tresen_hal::{Address, Error, Kind, Result};

pub use camera::V4l2Camera;
pub use choice::Format;

/// The options that [`V4l2Camera::from_address`] reads.
pub const OPTIONS: [&str; 4] = ["width", "height", "format", "fps"];

/// What a camera shall deliver; what is not set is chosen for decoding.
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
}

impl Options {
    /// The options of an address `camera+v4l2:///dev/…`.
    ///
    /// # Errors
    /// [`Kind::Address`] for another link or an option that is unknown or wrong; [`Kind::Config`] for a size or rate out
    /// of bounds.
    pub fn from_address(address: &Address) -> Result<Self> {
        path(address)?;
        address.check_options(&[&OPTIONS[..], &crate::reader::OPTIONS].concat())?;
        let options = Self {
            width: address.option_as("width")?,
            height: address.option_as("height")?,
            format: address.option_as("format")?,
            fps: address.option_as("fps")?,
        };
        options.check().map_err(|e| e.at(address.label()))?;
        Ok(options)
    }

    fn check(&self) -> Result<()> {
        let bad = |what: String| Err(Error::new(Kind::Config, what));
        for (name, side) in [("width", self.width), ("height", self.height)] {
            let max = crate::frame::MAX_SIDE;
            if let Some(side) = side
                && !(1..=max).contains(&side)
            {
                return bad(format!("{name}={side}: allowed is 1 to {max}"));
            }
        }
        match self.fps {
            Some(fps) if !(fps > 0.0 && fps <= 240.0) => bad(format!("fps={fps}: allowed is above 0 and up to 240")),
            _ => Ok(()),
        }
    }
}

/// The device that an address names.
fn path(address: &Address) -> Result<&std::path::Path> {
    match address.link() {
        LinkKind::V4l2 { path } => Ok(path),
        _ => Err(Error::new(Kind::Address, "this is no Video4Linux camera").at(address.label())),
    }
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
        let want = Options { width: Some(1280), height: Some(720), format: Some(Format::Mjpeg), fps: Some(29.97) };
        assert_eq!(got, want);
        assert_eq!(options("camera+v4l2:///dev/video0").expect("good"), Options::default());
    }

    #[test]
    fn refuses_options_that_are_wrong() {
        for (address, kind, why) in [
            ("camera+v4l2:///dev/video0?width=0", Kind::Config, "allowed is 1 to 16384"),
            ("camera+v4l2:///dev/video0?height=20000", Kind::Config, "allowed is 1 to 16384"),
            ("camera+v4l2:///dev/video0?width=wide", Kind::Address, "width=wide"),
            ("camera+v4l2:///dev/video0?fps=0", Kind::Config, "above 0"),
            ("camera+v4l2:///dev/video0?fps=NaN", Kind::Config, "above 0"),
            ("camera+v4l2:///dev/video0?format=h264", Kind::Address, "allowed: grey, nv12, yu12, yuyv, rgb, mjpeg"),
            ("camera+v4l2:///dev/video0?loop=true", Kind::Address, "unknown option `loop`"),
            ("camera+file:///tmp", Kind::Address, "no Video4Linux camera"),
        ] {
            let error = options(address).expect_err(address);
            assert!(error.kind() == kind && error.to_string().contains(why), "{address}: {error}");
            assert!(error.device().is_some_and(|d| d.starts_with("camera+")), "{error}");
        }
    }
}
