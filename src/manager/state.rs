//! All devices at a glance.

use serde::Serialize;
use tresen_hal::Known;
use tresen_printers::{Paper, Status};
use tresen_scanners as scanners;

use super::Phase;
use crate::class::DeviceId;

/// One device as the till sees it now.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct DeviceState {
    /// Which device.
    #[serde(flatten)]
    pub id: DeviceId,
    /// Its state.
    pub phase: Phase,
    /// Where it was found last, without options.
    pub address: Option<String>,
    /// What a person should see to. Empty does not mean that all is well: see `phase`, too.
    pub attention: Vec<Attention>,
    /// What it is busy with: `a print job`.
    pub busy_with: Option<String>,
    /// What it can do; none until it was reached for the first time.
    pub capabilities: Option<DeviceCapabilities>,
}

/// Something that a person should see to while the device is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Attention {
    /// The printer has no paper.
    PaperOut,
    /// The roll is nearly at its end.
    PaperNearEnd,
    /// The printer's cover is open.
    CoverOpen,
    /// The printer reports an error: cutter, head, overheating.
    PrinterError,
    /// The printer says that it is offline.
    Offline,
    /// Payments at this terminal are not settled.
    Unsettled,
}

/// What a device can do, by class.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
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

/// What a printer's status asks a person to do.
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

/// Why nothing can be printed now, if the printer says so.
pub(crate) fn hindrance(status: &Status) -> Option<&'static str> {
    let told = attention(status);
    told.into_iter().find_map(|a| match a {
        Attention::PaperOut => Some("out of paper"),
        Attention::CoverOpen => Some("the cover is open"),
        Attention::PrinterError => Some("the printer reports an error"),
        Attention::Offline => Some("the printer is offline"),
        Attention::PaperNearEnd | Attention::Unsettled => None,
    })
}
