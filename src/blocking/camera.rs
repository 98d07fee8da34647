//! Cameras.

use std::time::Duration;

use tokio::sync::watch;
use tresen_cameras::{Capabilities, Frame};
use tresen_hal::Result;
use tresen_scanners::Scan;

use super::Device;
use crate::api::camera;
use crate::manager::Cameras;

/// A camera, as [`crate::Camera`].
pub type Camera = Device<Cameras>;

impl Device<Cameras> {
    /// The next code read, or `None` after `within` (at most a day).
    ///
    /// # Errors
    /// As [`crate::Camera::next`]; or the camera was detached.
    pub fn next(&self, within: Duration) -> Result<Option<Scan>> {
        self.0.ask(camera::Next { camera: self.name().to_owned(), within: Some(within) })
    }

    /// Drops queued codes and returns their number.
    pub fn discard(&self) -> usize {
        self.0.inner.discard()
    }

    /// The camera's capabilities; `None` until first connected, kept while it is away.
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.0.inner.capabilities()
    }

    /// The camera's latest frame, or the first one if there is none yet.
    ///
    /// # Errors
    /// As [`crate::Camera::frame`].
    pub fn frame(&self) -> Result<Frame> {
        self.0.wait(self.0.inner.frame())
    }

    /// The camera's latest frame as a JPEG.
    ///
    /// # Errors
    /// As [`crate::Camera::picture`].
    pub fn picture(&self) -> Result<camera::Picture> {
        self.0.ask(camera::Frame { camera: self.name().to_owned() })
    }

    /// The latest frame as it changes: read it with `borrow`, wait with [`Tresen::wait`](super::Tresen::wait).
    pub fn frames(&self) -> watch::Receiver<Option<Frame>> {
        self.0.inner.frames()
    }
}
