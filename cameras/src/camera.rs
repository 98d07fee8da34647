//! What a vendor codes against: any camera.

use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Driver, Known, Result};

use crate::frame::{Frame, PixelFormat};

/// A camera, whatever its link. Its events are its frames; a slow owner skips frames and gets the latest, and a
/// camera whose frames nobody takes does no work.
pub trait Camera: Driver<Event = Frame> {
    /// What it delivers and what it offers, as far as is known.
    fn capabilities(&self) -> &Capabilities;

    /// Starts or stops delivering frames.
    ///
    /// # Errors
    /// The camera cannot, or is gone.
    fn set_running(&mut self, running: bool) -> BoxFuture<'_, Result<()>>;
}

/// What a camera delivers and what it offers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "CameraDriver"))]
#[non_exhaustive]
pub struct Capabilities {
    /// Its frames show what is there now. `no`: stored pictures.
    pub live: Known,
    /// Its frames have colours.
    pub colour: Known,
    /// Width and height of its frames in pixels; none before the first, if only that tells.
    pub size: Option<(u32, u32)>,
    /// Frames a second at most.
    pub fps: Option<f64>,
    /// How its frames are laid out; none before the first, if only that tells.
    pub format: Option<PixelFormat>,
    /// All that it can be set to; empty if it does not tell.
    pub modes: Vec<Mode>,
}

/// One way to set up a camera.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "CameraMode"))]
#[non_exhaustive]
pub struct Mode {
    /// How its frames are laid out then.
    pub format: PixelFormat,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames a second at most; none if the camera does not tell.
    pub fps: Option<f64>,
}

impl PixelFormat {
    /// Whether frames of this format have colours.
    pub(crate) fn has_colour(self) -> Known {
        match self {
            Self::Grey8 => Known::No,
            Self::Rgb8 | Self::Yuyv => Known::Yes,
            // A JPEG tells in its header.
            Self::Mjpeg => Known::Unknown,
        }
    }
}
