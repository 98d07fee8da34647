//! Barcode scanners.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tresen_hal::Result;
use tresen_scanners::{self as scanners, Scan};

use super::Command;
use super::millis::{self, patience};
use crate::manager::Scanner;
use crate::tresen::Tresen;

/// The next scan: [`Scanner::next`]. None if none comes in time. Each scan is handed out once, whoever waits; to see
/// all of them, follow the till's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// Which scanner.
    pub scanner: String,
    /// How long to wait; 60 s unless told, 0 for what is there.
    #[serde(rename = "within_ms", with = "millis", default)]
    pub within: Option<Duration>,
}

impl Command for Next {
    const NAME: &'static str = "scanner.next";
    const WAITS: bool = true;
    type Reply = Option<Scan>;

    async fn run(self, till: &Tresen) -> Result<Option<Scan>> {
        let scanner = till.scanner(&self.scanner)?;
        Ok(tokio::time::timeout(patience(self.within, NEXT), scanner.next()).await.ok())
    }
}

/// Drops the scans that wait; answers how many there were: [`Scanner::discard`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discard {
    /// Which scanner.
    pub scanner: String,
}

impl Command for Discard {
    const NAME: &'static str = "scanner.discard";
    type Reply = usize;

    async fn run(self, till: &Tresen) -> Result<usize> {
        Ok(till.scanner(&self.scanner)?.discard())
    }
}

/// What a scanner can do: `Scanner::capabilities`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Which scanner.
    pub scanner: String,
}

impl Command for Capabilities {
    const NAME: &'static str = "scanner.capabilities";
    type Reply = Option<scanners::Capabilities>;

    async fn run(self, till: &Tresen) -> Result<Self::Reply> {
        Ok(till.scanner(&self.scanner)?.capabilities())
    }
}

/// Commands that switch something.
macro_rules! switches {
    ($($(#[$doc:meta])* $command:ident $name:literal $method:ident($(#[$field_doc:meta])* $field:ident);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// Which scanner.
            pub scanner: String,
            $(#[$field_doc])*
            pub $field: bool,
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            type Reply = ();

            async fn run(self, till: &Tresen) -> Result<()> {
                let scanner: Scanner = till.scanner(&self.scanner)?;
                scanner.$method(self.$field).await
            }
        }
    )*};
}

switches! {
    /// Lets it scan, or not: [`Scanner::set_enabled`].
    SetEnabled "scanner.set-enabled" set_enabled(
        /// Whether it may scan.
        enabled
    );
    /// Beeps as for a good or a bad scan: [`Scanner::beep`].
    Beep "scanner.beep" beep(
        /// Whether it is a good one.
        good
    );
    /// Presses or releases its trigger: [`Scanner::trigger`].
    Trigger "scanner.trigger" trigger(
        /// Whether it is pressed.
        on
    );
}

/// How long to wait for a scan unless told.
pub(super) const NEXT: Duration = Duration::from_secs(60);
