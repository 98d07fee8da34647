//! The same names as on Linux, where there is no Video4Linux.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use tresen_hal::{Address, BoxFuture, Clock, Driver, Error, Kind, Result};

use super::Options;
use crate::{Camera, Frame};

/// A camera that only Linux has.
#[derive(Debug)]
pub struct V4l2Camera(Infallible);

impl V4l2Camera {
    /// Never opens.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]; [`Kind::Config`] for options out of bounds.
    pub async fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        options.check()?;
        Err(Error::new(Kind::Unsupported, "Video4Linux cameras exist on Linux only")
            .at(path.as_ref().display())
            .hint("use a camera that writes pictures into a folder: camera+file:///folder"))
    }

    /// Never opens.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]; [`Kind::Address`] or [`Kind::Config`] as on Linux.
    pub async fn from_address(address: &Address) -> Result<Self> {
        let options = Options::from_address(address)?;
        Self::open(super::path(address)?, options).await.map_err(|e| e.at(address.label()))
    }

    /// As on Linux.
    #[must_use]
    pub fn with_clock(self, _: Arc<dyn Clock>) -> Self {
        match self.0 {}
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
    fn size(&self) -> Option<(u32, u32)> {
        match self.0 {}
    }

    fn set_running(&mut self, _: bool) -> BoxFuture<'_, Result<()>> {
        match self.0 {}
    }
}
