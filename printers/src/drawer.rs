//! Cash drawers: on a printer's drawer port, or on a GPIO pin.

mod gpio;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Error, Kind, Known, Result};

pub use gpio::{GpioDrawer, Pulse};

use crate::printer::{DrawerPin, Printer};

/// How often [`CashDrawer::closed`] polls.
const POLL: Duration = Duration::from_millis(250);

/// A cash drawer.
pub trait CashDrawer: Send {
    /// Opens it.
    ///
    /// # Errors
    /// The link is lost, or the device cannot open a drawer.
    fn kick(&mut self) -> BoxFuture<'_, Result<()>>;

    /// Whether it is open.
    ///
    /// # Errors
    /// The link is lost or the device does not answer.
    fn is_open(&mut self) -> BoxFuture<'_, Result<Known>>;

    /// Waits until it is closed, polling four times a second.
    ///
    /// # Errors
    /// As [`CashDrawer::is_open`]. [`Kind::Unsupported`]: it is not known whether the drawer is open.
    fn closed(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            loop {
                match self.is_open().await? {
                    Known::No => return Ok(()),
                    Known::Yes => tokio::time::sleep(POLL).await,
                    Known::Unknown => {
                        return Err(Error::new(Kind::Unsupported, "it is not known whether the drawer is open")
                            .hint("set the polarity of the drawer's switch"));
                    }
                }
            }
        })
    }
}

/// Which level of the sense pin means that the drawer is open. This depends on the drawer's switch: to find out, look
/// at the status while the drawer is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Polarity {
    /// Not configured: the drawer's state is unknown.
    #[default]
    Unknown,
    /// High is open.
    OpenIsHigh,
    /// Low is open.
    OpenIsLow,
}

impl Polarity {
    /// Whether the drawer is open at this level.
    pub fn is_open(self, pin_high: Known) -> Known {
        match (self, pin_high) {
            (Self::Unknown, _) | (_, Known::Unknown) => Known::Unknown,
            (Self::OpenIsHigh, high) => high,
            (Self::OpenIsLow, Known::Yes) => Known::No,
            (Self::OpenIsLow, Known::No) => Known::Yes,
        }
    }
}

/// A drawer on a printer's drawer port.
#[derive(Debug)]
pub struct PrinterDrawer<'a, P: ?Sized> {
    printer: &'a mut P,
    pin: DrawerPin,
    polarity: Polarity,
}

impl<'a, P: Printer + ?Sized> PrinterDrawer<'a, P> {
    /// The drawer at `pin` of `printer`.
    pub fn new(printer: &'a mut P, pin: DrawerPin, polarity: Polarity) -> Self {
        Self { printer, pin, polarity }
    }
}

impl<P: Printer + ?Sized> CashDrawer for PrinterDrawer<'_, P> {
    fn kick(&mut self) -> BoxFuture<'_, Result<()>> {
        self.printer.kick_drawer(self.pin)
    }

    fn is_open(&mut self) -> BoxFuture<'_, Result<Known>> {
        Box::pin(async move { Ok(self.polarity.is_open(self.printer.status().await?.drawer_pin_high)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_means_what_the_drawer_says() {
        assert_eq!(Polarity::Unknown.is_open(Known::Yes), Known::Unknown);
        assert_eq!(Polarity::OpenIsHigh.is_open(Known::Yes), Known::Yes);
        assert_eq!(Polarity::OpenIsLow.is_open(Known::Yes), Known::No);
        assert_eq!(Polarity::OpenIsLow.is_open(Known::No), Known::Yes);
        assert_eq!(Polarity::OpenIsHigh.is_open(Known::Unknown), Known::Unknown);
    }
}
