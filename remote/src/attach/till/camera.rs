//! A camera at a handheld. Its frames are asked for one at a time: none crosses the connection that nobody takes.

use std::sync::Arc;
use std::time::Duration;

use tresen::cameras::{Camera, Capabilities, Frame};
use tresen::hal::{BoxFuture, Driver};
use tresen::{Context, Error, Kind, Result, Runtime};

use super::slot::{Here, Slot};
use crate::attach::wire::{After, Device, Picture};

/// A camera at a handheld, during one visit.
struct RemoteCamera {
    slot: Arc<Slot>,
    here: Arc<Here>,
    capabilities: Capabilities,
    runtime: Arc<dyn Runtime>,
    running: bool,
    /// The frame that was asked for; kept when a wait for it is dropped.
    asked: Option<BoxFuture<'static, Result<Picture>>>,
    last: Option<u64>,
}

pub(super) fn open(slot: Arc<Slot>, here: Arc<Here>, context: Context) -> Result<Box<dyn Camera>> {
    let Device::Camera { capabilities, .. } = &here.device else {
        return Err(Error::new(Kind::Protocol, "it is not offered as a camera"));
    };
    let (capabilities, runtime) = (capabilities.clone(), context.runtime);
    Ok(Box::new(RemoteCamera { slot, here, capabilities, runtime, running: true, asked: None, last: None }))
}

impl RemoteCamera {
    async fn frame(&mut self) -> Result<Picture> {
        if !self.running {
            std::future::pending::<()>().await;
        }
        let (slot, here, after) = (self.slot.clone(), self.here.clone(), After { after: self.last });
        let asked = self.asked.get_or_insert_with(|| {
            Box::pin(async move {
                let picture = slot.ask(&here, "frame", &after, FRAME).await;
                if picture.is_err() {
                    // A camera that shows nothing now is asked again, not in a hurry.
                    tokio::time::sleep(AGAIN).await;
                }
                picture
            })
        });
        let picture = asked.await;
        self.asked = None;
        picture
    }
}

impl Driver for RemoteCamera {
    type Event = Frame;

    fn event(&mut self) -> BoxFuture<'_, Result<Frame>> {
        Box::pin(async move {
            loop {
                let (slot, visit) = (self.slot.clone(), self.here.visit);
                let picture = tokio::select! {
                    biased;
                    why = slot.left(visit) => return Err(why),
                    picture = self.frame() => picture,
                };
                match picture {
                    Ok(picture) => {
                        self.last = Some(picture.number);
                        return picture.into_frame(&*self.runtime);
                    }
                    Err(error) => tracing::debug!(camera = self.slot.name, %error, "no frame"),
                }
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Camera for RemoteCamera {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn set_running(&mut self, running: bool) -> BoxFuture<'_, Result<()>> {
        self.running = running;
        Box::pin(std::future::ready(Ok(())))
    }
}

/// How long one frame is waited for.
const FRAME: Duration = Duration::from_secs(30);
/// Pause after a frame that did not come.
const AGAIN: Duration = Duration::from_secs(1);
