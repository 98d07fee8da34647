//! Cameras: frames, and the barcodes in them.
//!
//! | module | is |
//! |---|---|
//! | [`frame`] | a picture as a camera delivers it, and its grey values |
//! | [`file`](mod@file) | a camera that shows a picture file or a folder of them |
//! | [`v4l2`] | a camera of the Linux kernel |
//! | [`decode`] | barcodes in a picture: rxing, or zxing-cpp by feature |
//! | [`reader`] | frames in, codes out: decoding on a worker thread |
//!
//! A [`Code`] carries its data and AIM identifier, which is all that a scan is made of.
//!
//! ```
//! use tresen_cameras::decode::{Decoder, Hints, best};
//! use tresen_cameras::frame::GreyView;
//! use tresen_hal::SystemClock;
//!
//! let blank = vec![255; 64 * 48];
//! let codes = best().decode(&GreyView::new(&blank, 64, 48, 64)?, &Hints::retail(), &SystemClock)?;
//! assert!(codes.is_empty());
//! # Ok::<(), tresen_hal::Error>(())
//! ```
//!
//! # Features
#![doc = document_features::document_features!()]
// All unsafe code is in `v4l2/sys.rs`.
#![deny(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod camera;
pub mod decode;
pub mod file;
pub mod frame;
mod jpeg;
pub mod reader;
pub mod v4l2;

pub use camera::{Camera, Capabilities, Mode};
pub use decode::{Code, Decoder, Format, Hints, decode_file};
pub use frame::{Frame, PixelFormat};
pub use reader::Reader;
pub use v4l2::V4l2Camera;
