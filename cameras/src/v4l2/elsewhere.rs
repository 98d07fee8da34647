//! Stubs for platforms without Video4Linux.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use tresen_hal::{BoxFuture, Driver, Error, Kind, Result, Runtime};

use super::Options;
use crate::{Camera, Capabilities, Frame};

/// A camera that only Linux has.
#[derive(Debug)]
pub struct V4l2Camera(Infallible);

impl V4l2Camera {
    /// Never opens.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]; [`Kind::Config`] for options out of bounds.
    pub async fn open(path: impl AsRef<Path>, options: Options, _: Arc<dyn Runtime>) -> Result<Self> {
        let label = options.checked(path.as_ref())?;
        Err(Error::new(Kind::Unsupported, "Video4Linux cameras exist on Linux only")
            .at(label)
            .hint("use a camera that writes pictures into a folder: camera+file:///folder"))
    }

    /// As on Linux.
    pub fn damaged(&self) -> u64 {
        match self.0 {}
    }
}

impl Driver for V4l2Camera {
    type Event = Frame;

    fn event(&mut self) -> BoxFuture<'_, Result<Frame>> {
        match self.0 {}
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        match self.0 {}
    }
}

impl Camera for V4l2Camera {
    fn capabilities(&self) -> &Capabilities {
        match self.0 {}
    }

    fn set_running(&mut self, _: bool) -> BoxFuture<'_, Result<()>> {
        match self.0 {}
    }
}
