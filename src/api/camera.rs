//! Cameras: the codes they read, and single pictures. A live picture does not suit JSON; a program that links the library
//! follows [`Camera::frames`](crate::Camera::frames).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::Result;
use tresen_scanners::Scan;

use super::millis::{self, patience};
use super::scanner::NEXT;
use super::{Command, Right};
use crate::tresen::Tresen;

/// The next code: [`Camera::next`](crate::Camera::next). `None` on timeout; an error if the codes go to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// The camera's name.
    pub camera: String,
    /// How long to wait; default 60 s, 0 takes only a code that is already queued.
    #[serde(rename = "within_ms", with = "millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for Next {
    const NAME: &'static str = "camera.next";
    const RIGHT: Right = Right::Camera;
    const CHANGES: bool = true;
    const WAITS: bool = true;
    type Reply = Option<Scan>;

    fn device(&self) -> Option<&str> {
        Some(&self.camera)
    }

    async fn run(self, till: &Tresen) -> Result<Option<Scan>> {
        let camera = till.camera(&self.camera)?;
        tokio::time::timeout(patience(self.within, NEXT), camera.next()).await.ok().transpose()
    }
}

/// The latest frame as a JPEG: [`Camera::frame`](crate::Camera::frame), [`Frame::jpeg`](tresen_cameras::Frame::jpeg).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// The camera's name.
    pub camera: String,
}

/// What a camera sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "CameraPicture"))]
#[non_exhaustive]
pub struct Picture {
    /// A JPEG; base64 in JSON.
    #[serde(with = "super::base64")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub jpeg: Vec<u8>,
    /// Its number in the camera's stream; the same number is the same frame.
    pub sequence: u64,
    /// When it was taken.
    pub at: Timestamp,
}

impl Command for Frame {
    const NAME: &'static str = "camera.frame";
    const RIGHT: Right = Right::Camera;
    const CHANGES: bool = false;
    type Reply = Picture;

    fn device(&self) -> Option<&str> {
        Some(&self.camera)
    }

    async fn run(self, till: &Tresen) -> Result<Picture> {
        till.camera(&self.camera)?.picture().await
    }
}

/// Drops queued codes and returns their number: [`Camera::discard`](crate::Camera::discard).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Discard {
    /// The camera's name.
    pub camera: String,
}

impl Command for Discard {
    const NAME: &'static str = "camera.discard";
    const RIGHT: Right = Right::Camera;
    const CHANGES: bool = true;
    type Reply = usize;

    fn device(&self) -> Option<&str> {
        Some(&self.camera)
    }

    async fn run(self, till: &Tresen) -> Result<usize> {
        Ok(till.camera(&self.camera)?.discard())
    }
}

/// The camera's capabilities: [`Camera::capabilities`](crate::Camera::capabilities).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// The camera's name.
    pub camera: String,
}

impl Command for Capabilities {
    const NAME: &'static str = "camera.capabilities";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Option<tresen_cameras::Capabilities>;

    fn device(&self) -> Option<&str> {
        Some(&self.camera)
    }

    async fn run(self, till: &Tresen) -> Result<Self::Reply> {
        Ok(till.camera(&self.camera)?.capabilities())
    }
}
