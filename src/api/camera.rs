//! Cameras: the codes that they see. Frames are not for JSON; a program takes them by
//! [`Camera::frame`](crate::Camera::frame).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tresen_hal::Result;
use tresen_scanners::Scan;

use super::Command;
use super::millis::{self, patience};
use super::scanner::NEXT;
use crate::tresen::Tresen;

/// The next code: [`Camera::next`](crate::Camera::next). None if none comes in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// Which camera.
    pub camera: String,
    /// How long to wait; 60 s unless told, 0 for what is there.
    #[serde(rename = "within_ms", with = "millis", default)]
    pub within: Option<Duration>,
}

impl Command for Next {
    const NAME: &'static str = "camera.next";
    const WAITS: bool = true;
    type Reply = Option<Scan>;

    async fn run(self, till: &Tresen) -> Result<Option<Scan>> {
        let camera = till.camera(&self.camera)?;
        Ok(tokio::time::timeout(patience(self.within, NEXT), camera.next()).await.ok())
    }
}

/// Drops the codes that wait; answers how many there were: [`Camera::discard`](crate::Camera::discard).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discard {
    /// Which camera.
    pub camera: String,
}

impl Command for Discard {
    const NAME: &'static str = "camera.discard";
    type Reply = usize;

    async fn run(self, till: &Tresen) -> Result<usize> {
        Ok(till.camera(&self.camera)?.discard())
    }
}

/// What a camera can do: [`Camera::capabilities`](crate::Camera::capabilities).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Which camera.
    pub camera: String,
}

impl Command for Capabilities {
    const NAME: &'static str = "camera.capabilities";
    type Reply = Option<tresen_cameras::Capabilities>;

    async fn run(self, till: &Tresen) -> Result<Self::Reply> {
        Ok(till.camera(&self.camera)?.capabilities())
    }
}
