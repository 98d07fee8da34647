//! Frames of cameras.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tresen::cameras::{self, PixelFormat};
use tresen::{Clock, Result};

/// The fields of `frame`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// The number of the last frame that the till has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// A frame, as a JPEG; one that does not fit a message as its grey values, made smaller until they do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// How its bytes are laid out: `mjpeg` or `grey8`.
    pub format: PixelFormat,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Its number in the camera's stream.
    pub number: u64,
    /// A stored picture: a second identical frame proves nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub still: bool,
    /// Its bytes, in base64.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub data: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { format, width, height, number, .. } = self;
        write!(f, "Picture({format:?}, {width}x{height}, number {number}, {} bytes)", self.data.len())
    }
}

impl Picture {
    /// Maximum number of its bytes: it fits into a message of 1 MiB in base64.
    pub const BYTES: usize = 700 << 10;

    /// A frame as it is sent. Takes tens of milliseconds where it has to be encoded.
    ///
    /// # Errors
    /// [`Kind::Input`](tresen_hal::Kind::Input): a JPEG that cannot be decoded, and is too large as it is.
    pub fn of(frame: &cameras::Frame) -> Result<Self> {
        let (number, still) = (frame.sequence(), frame.is_still());
        let (width, height) = (frame.width(), frame.height());
        let fits = frame.format() == PixelFormat::Mjpeg && frame.data().len() <= Self::BYTES;
        let data = if fits { frame.data().to_vec() } else { frame.jpeg()? };
        if data.len() <= Self::BYTES {
            return Ok(Self { format: PixelFormat::Mjpeg, width, height, number, still, data });
        }
        let mut scratch = Vec::new();
        let grey = frame.grey(&mut scratch)?;
        let (width, height) = (grey.width(), grey.height());
        let by = (1..).find(|by| (width / by) * (height / by) <= Self::BYTES).unwrap_or(1);
        let rows = (0..height / by).map(|row| grey.row(row * by));
        let data = rows.flat_map(|row| row.iter().step_by(by).take(width / by).copied()).collect();
        let side = |pixels: usize| u32::try_from(pixels / by).unwrap_or(u32::MAX);
        Ok(Self { format: PixelFormat::Grey8, width: side(width), height: side(height), number, still, data })
    }

    /// As a frame of the till, taken now by `clock`.
    ///
    /// # Errors
    /// [`Kind::Input`](tresen_hal::Kind::Input): its size and its bytes do not fit.
    pub fn into_frame(self, clock: &dyn Clock) -> Result<cameras::Frame> {
        let frame = cameras::Frame::new(self.format, self.width, self.height, self.data, clock)?.numbered(self.number);
        Ok(if self.still { frame.still() } else { frame })
    }
}

fn to_base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(data))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
}
