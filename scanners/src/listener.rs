//! The common part of drivers that only receive: bytes become scans, which are dropped while disabled.

use std::sync::Arc;

use tokio::time::Instant;
use tresen_hal::{Clock, Known, Link, Result};

use crate::serial::{self, Line};
use crate::{Capabilities, Scan, wedge};

/// Bytes to codes, sans-IO. Silence may end a code.
pub(crate) trait Decode {
    fn feed(&mut self, bytes: &[u8], now: std::time::Instant);
    fn next_line(&mut self) -> Option<Line>;
    fn deadline(&self) -> Option<std::time::Instant>;
    fn timeout(&mut self, now: std::time::Instant);
    fn discard(&mut self);
    fn close(&mut self);
}

macro_rules! decode {
    ($($decoder:ty),*) => {$(
        impl Decode for $decoder {
            fn feed(&mut self, bytes: &[u8], now: std::time::Instant) {
                Self::feed(self, bytes, now);
            }
            fn next_line(&mut self) -> Option<Line> {
                Self::next_line(self)
            }
            fn deadline(&self) -> Option<std::time::Instant> {
                Self::deadline(self)
            }
            fn timeout(&mut self, now: std::time::Instant) {
                Self::timeout(self, now);
            }
            fn discard(&mut self) {
                Self::discard(self);
            }
            fn close(&mut self) {
                Self::close(self);
            }
        }
    )*};
}

decode!(serial::Decoder, wedge::Decoder);

/// A decoder bound to a link, enabled.
#[derive(Debug)]
pub(crate) struct Listener<D> {
    pub(crate) link: Box<dyn Link>,
    pub(crate) name: String,
    clock: Arc<dyn Clock>,
    pub(crate) decoder: D,
    pub(crate) capabilities: Capabilities,
    /// Scans dropped while disabled.
    pub(crate) dropped: u64,
    input: Vec<u8>,
    enabled: bool,
}

impl<D: Decode> Listener<D> {
    /// `sends_identifiers`: whether the scanner may be set up to send code identifiers.
    pub(crate) fn new(
        link: Box<dyn Link>,
        name: String,
        clock: Arc<dyn Clock>,
        decoder: D,
        sends_identifiers: bool,
    ) -> Self {
        let capabilities = Capabilities {
            enable: Known::No,
            beep: Known::No,
            trigger: Known::No,
            symbology: if sends_identifiers { Known::Unknown } else { Known::No },
        };
        Self { link, name, clock, decoder, capabilities, dropped: 0, input: Vec::new(), enabled: true }
    }

    /// The next scan. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Scan> {
        loop {
            if !self.input.is_empty() {
                // The bytes themselves are left to `record=`.
                tracing::trace!(device = %self.name, bytes = self.input.len(), "received");
                self.decoder.feed(&self.input, Instant::now().into_std());
                self.input.clear();
            }
            while let Some(line) = self.decoder.next_line() {
                if self.enabled {
                    return Ok(self.scan(line));
                }
                self.dropped += 1;
                tracing::debug!(device = %self.name, "dropped a scan while disabled");
            }
            let deadline = self.decoder.deadline();
            let gap = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                got = self.link.recv(&mut self.input) => if let Err(error) = got {
                    // A pending code that has its end is complete. The link reports its error again on the next call.
                    self.decoder.close();
                    match self.decoder.next_line() {
                        Some(line) if self.enabled => return Ok(self.scan(line)),
                        _ => return Err(error.at(&self.name)),
                    }
                },
                () = gap => self.decoder.timeout(Instant::now().into_std()),
            }
        }
    }

    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        if enabled && !self.enabled {
            // The rest of a code that began while disabled is not a code.
            self.decoder.discard();
        }
        self.enabled = enabled;
    }

    fn scan(&mut self, line: Line) -> Scan {
        let at = self.clock.wall();
        let scan = match (line.aim, line.symbology) {
            (Some(aim), _) => Scan::reported(aim, line.data, at),
            (None, Some(symbology)) => Scan::synthesised(symbology, line.data, at),
            (None, None) => Scan::plain(line.data, at),
        };
        self.capabilities.saw(&scan);
        scan.from_device(&self.name)
    }
}
