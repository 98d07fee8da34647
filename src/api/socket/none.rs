//! Stubs for platforms without Unix sockets.

use std::sync::Arc;

use tresen_hal::{Error, Kind};

use crate::event::{EventKind, Source};
use crate::tresen::Tresen;

/// Never constructed on this platform.
pub(crate) struct Socket;

impl Socket {
    /// Logs that sockets are unsupported.
    pub(crate) async fn open(till: &Tresen) -> Option<Arc<Self>> {
        let error =
            Error::new(Kind::Unsupported, "this platform has no Unix sockets").hint("set `till.socket = false`");
        tracing::warn!(%error, "the till's socket cannot be opened");
        till.0.bus.publish(Source::Till, EventKind::SocketFailed { why: error.to_string() });
        None
    }

    pub(crate) fn refuse(&self) {}

    pub(crate) fn end(&self) {}
}
