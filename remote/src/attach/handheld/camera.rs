//! Frames for the till.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use tresen::{Effect, Error, Kind, Result, Tresen};

use super::{Work, reply};
use crate::attach::wire::{After, Picture};
use crate::wire::fields;

/// The camera's next frame, or the present one if the till does not have it.
pub(super) fn frame(till: &Tresen, name: &str, with: Value) -> Result<Work> {
    let none = |error: Error| error.with_effect(Effect::None);
    let camera = till.camera(name).map_err(none)?;
    let After { after } = fields("frame", with).map_err(none)?;
    let runtime = till.runtime().clone();
    Ok(Box::pin(async move {
        let mut frames = camera.frames();
        let another = frames.wait_for(|frame| frame.as_ref().is_some_and(|frame| Some(frame.sequence()) != after));
        let frame = timeout(FRAME, another).await.ok().and_then(|frame| frame.ok()?.clone());
        let late = || Error::new(Kind::Timeout, "the camera shows nothing new").at(camera.name());
        let frame = frame.ok_or_else(late)?;
        reply(&runtime.run_blocking(move || Picture::of(&frame)).await??)
    }))
}

/// How long a frame is waited for.
const FRAME: Duration = Duration::from_secs(20);
