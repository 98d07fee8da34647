//! Barcode scanners.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tresen_hal::Result;
use tresen_scanners::{self as scanners, Scan};

use super::millis::{self, patience};
use super::{Command, Right};
use crate::manager::Scanner;
use crate::tresen::Tresen;

/// The next scan: [`Scanner::next`]. `None` on timeout; an error if the scans go to somebody else. Each scan is handed out
/// once, no matter how many callers wait; to see all scans, follow the till's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// The scanner's name.
    pub scanner: String,
    /// How long to wait; default 60 s, 0 takes only a scan that is already queued.
    #[serde(rename = "within_ms", with = "millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for Next {
    const NAME: &'static str = "scanner.next";
    const RIGHT: Right = Right::Scan;
    const CHANGES: bool = true;
    const WAITS: bool = true;
    type Reply = Option<Scan>;

    fn device(&self) -> Option<&str> {
        Some(&self.scanner)
    }

    async fn run(self, till: &Tresen) -> Result<Option<Scan>> {
        let scanner = till.scanner(&self.scanner)?;
        tokio::time::timeout(patience(self.within, NEXT), scanner.next()).await.ok().transpose()
    }
}

/// Drops queued scans and returns their number: [`Scanner::discard`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Discard {
    /// The scanner's name.
    pub scanner: String,
}

impl Command for Discard {
    const NAME: &'static str = "scanner.discard";
    const RIGHT: Right = Right::Scan;
    const CHANGES: bool = true;
    type Reply = usize;

    fn device(&self) -> Option<&str> {
        Some(&self.scanner)
    }

    async fn run(self, till: &Tresen) -> Result<usize> {
        Ok(till.scanner(&self.scanner)?.discard())
    }
}

/// The scanner's capabilities: `Scanner::capabilities`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// The scanner's name.
    pub scanner: String,
}

impl Command for Capabilities {
    const NAME: &'static str = "scanner.capabilities";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Option<scanners::Capabilities>;

    fn device(&self) -> Option<&str> {
        Some(&self.scanner)
    }

    async fn run(self, till: &Tresen) -> Result<Self::Reply> {
        Ok(till.scanner(&self.scanner)?.capabilities())
    }
}

/// Commands with one boolean argument.
macro_rules! switches {
    ($($(#[$doc:meta])* $command:ident $name:literal $method:ident($(#[$field_doc:meta])* $field:ident);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// The scanner's name.
            pub scanner: String,
            $(#[$field_doc])*
            pub $field: bool,
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            const RIGHT: Right = Right::Scan;
            const CHANGES: bool = true;
            type Reply = ();

            fn device(&self) -> Option<&str> {
                Some(&self.scanner)
            }

            async fn run(self, till: &Tresen) -> Result<()> {
                let scanner: Scanner = till.scanner(&self.scanner)?;
                scanner.$method(self.$field).await
            }
        }
    )*};
}

switches! {
    /// Enables or disables scanning: [`Scanner::set_enabled`].
    SetEnabled "scanner.set-enabled" set_enabled(
        /// Whether scanning is enabled.
        enabled
    );
    /// Beeps for a good or a bad scan: [`Scanner::beep`].
    Beep "scanner.beep" beep(
        /// Whether to use the signal for a good scan.
        good
    );
    /// Presses or releases its trigger: [`Scanner::trigger`].
    Trigger "scanner.trigger" trigger(
        /// Whether the trigger is pressed.
        on
    );
}

/// Default timeout of [`Next`].
pub(super) const NEXT: Duration = Duration::from_secs(60);
