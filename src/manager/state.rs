//! The current state of all devices.

use serde::Serialize;
use tresen_hal::Known;
use tresen_printers::{Paper, Status};
use tresen_scanners as scanners;

use super::Phase;
use crate::class::DeviceId;
use crate::lease;

/// The current state of one device.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DeviceState {
    /// The device.
    #[serde(flatten)]
    pub id: DeviceId,
    /// Its state.
    pub phase: Phase,
    /// Where it was last found, without options.
    pub address: Option<String>,
    /// Conditions that require a person's attention. Empty does not mean that all is well: see `phase` as well.
    pub attention: Vec<Attention>,
    /// The running call: `a print job`.
    pub busy_with: Option<String>,
    /// Its capabilities; `None` until first connected.
    pub capabilities: Option<DeviceCapabilities>,
    /// Who has it: see [`crate::lease`].
    #[serde(default)]
    pub lease: Option<lease::View>,
}

/// A condition that requires a person's attention while the device is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Attention {
    /// The printer has no paper.
    PaperOut,
    /// The paper roll is nearly empty.
    PaperNearEnd,
    /// The printer's cover is open.
    CoverOpen,
    /// The printer reports an error: cutter, head, overheating.
    PrinterError,
    /// The printer reports that it is offline.
    Offline,
    /// This terminal has unsettled payments.
    Unsettled,
    /// A payment at this terminal has been undecided for longer than the configured time: look at the terminal, and
    /// settle it. Shown even while the terminal is away.
    PaymentInDoubt,
}

/// A device's capabilities, by class.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum DeviceCapabilities {
    /// A printer.
    Printer(tresen_printers::Capabilities),
    /// A payment terminal.
    Terminal(tresen_payment::Capabilities),
    /// A scanner.
    Scanner(scanners::Capabilities),
    /// A camera.
    Camera(tresen_cameras::Capabilities),
}

/// The conditions in a printer's status that require attention.
pub(super) fn attention(status: &Status) -> Vec<Attention> {
    let mut attention = Vec::new();
    match status.paper {
        Paper::Out => attention.push(Attention::PaperOut),
        Paper::NearEnd => attention.push(Attention::PaperNearEnd),
        _ => {}
    }
    if status.cover_open.is_yes() {
        attention.push(Attention::CoverOpen);
    }
    if status.error.is_yes() {
        attention.push(Attention::PrinterError);
    }
    if attention.is_empty() && status.online == Known::No {
        attention.push(Attention::Offline);
    }
    attention
}

/// Why the printer cannot print now, if it reports a reason.
pub(crate) fn hindrance(status: &Status) -> Option<&'static str> {
    let told = attention(status);
    told.into_iter().find_map(|a| match a {
        Attention::PaperOut => Some("out of paper"),
        Attention::CoverOpen => Some("the cover is open"),
        Attention::PrinterError => Some("the printer reports an error"),
        Attention::Offline => Some("the printer is offline"),
        Attention::PaperNearEnd | Attention::Unsettled | Attention::PaymentInDoubt => None,
    })
}
