//! What a vendor codes against: any camera.

use tresen_hal::{BoxFuture, Driver};

use crate::frame::Frame;

/// A camera, whatever its link. Its events are its frames; the owner that is slow gets the latest.
pub trait Camera: Driver<Event = Frame> {
    /// Width and height in pixels, if known before the first frame.
    fn size(&self) -> Option<(u32, u32)>;

    /// Starts or stops delivering frames.
    ///
    /// # Errors
    /// The camera cannot, or is gone.
    fn set_running(&mut self, running: bool) -> BoxFuture<'_, tresen_hal::Result<()>>;
}
