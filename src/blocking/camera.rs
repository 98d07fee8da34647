//! Cameras.

use std::time::Duration;

use tokio::sync::watch;
use tresen_cameras::{Capabilities, Frame};
use tresen_hal::Result;
use tresen_scanners::Scan;

use super::On;
use crate::api::camera;
use crate::class::DeviceId;
use crate::manager::{DeviceState, Phase};

/// A camera, as [`crate::Camera`].
#[derive(Clone)]
pub struct Camera(pub(super) On<crate::Camera>);

impl Camera {
    /// Its logical name.
    pub fn name(&self) -> &str {
        self.0.inner.name()
    }

    /// Its class and name.
    pub fn id(&self) -> DeviceId {
        self.0.inner.id()
    }

    /// Everything known about it without a query.
    pub fn state(&self) -> DeviceState {
        self.0.inner.state()
    }

    /// The same camera for calls on behalf of `caller`.
    #[must_use]
    pub fn on_behalf_of(&self, caller: &str) -> Self {
        Self(self.0.on_behalf_of(caller, self.0.inner.on_behalf_of(caller)))
    }

    /// The next code read, or `None` after `within` (at most a day) or if the camera was detached.
    pub fn next(&self, within: Duration) -> Option<Scan> {
        self.0.ask(camera::Next { camera: self.name().to_owned(), within: Some(within) }).ok().flatten()
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

    /// The latest frame as it changes: read it with `borrow`, wait with [`Tresen::wait`](super::Tresen::wait).
    pub fn frames(&self) -> watch::Receiver<Option<Frame>> {
        self.0.inner.frames()
    }

    /// The current state of the camera.
    pub fn phase(&self) -> Phase {
        self.0.inner.phase().borrow().clone()
    }

    /// Reopens the camera at once.
    ///
    /// # Errors
    /// The till was closed.
    pub fn reset(&self) -> Result<()> {
        self.0.wait(self.0.inner.reset())
    }
}
