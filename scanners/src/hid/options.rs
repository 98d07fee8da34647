//! Options of a scanner on an HID interface, how an address gives them, and the mode of such a scanner.

use std::time::Duration;

use tresen_hal::address::LinkKind;
use tresen_hal::{Address, Error, Kind, Result};

use super::descriptor;
use super::layout::{Layout, default_for, quirks};
use crate::wedge::{self, KeyReport};

/// How a scanner on an HID interface is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// In HID POS mode, how long after the first call of `event` reports are discarded as stale: scans from before the
    /// link was opened.
    pub settle: Duration,
    /// Options for keyboard mode.
    pub keyboard: wedge::Options,
    /// The mode to assume without a report descriptor, as with a recording or over TCP.
    pub assumed: Mode,
    /// Its name in errors about the descriptor.
    pub label: String,
}

/// The mode that a scanner on an HID interface is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// HID POS: its reports carry codes.
    Pos(Layout),
    /// A keyboard: its reports carry keys.
    Keyboard(KeyReport),
}

impl Default for Options {
    /// Nothing is discarded as stale. Without a descriptor: HID POS mode, in the layout of most vendors.
    fn default() -> Self {
        Self {
            settle: Duration::ZERO,
            keyboard: wedge::Options::default(),
            assumed: Mode::Pos(default_for(None)),
            label: "HID scanner".into(),
        }
    }
}

impl Options {
    /// The address options that [`Options::from_address`] reads: `settle` in HID POS mode, the others in keyboard
    /// mode.
    pub const NAMES: &[&str] =
        &["settle", "layout", "prefix", "suffix", "quiet", "gap", "aim", "code-id", "upc-e", "max"];

    /// Options as an address gives them: `settle` in milliseconds, by default that of the vendor's [`quirks`], and
    /// those of [`wedge::Options`]. If there is no descriptor, an address with `layout` means a keyboard.
    ///
    /// # Errors
    /// [`Kind::Address`] names the option and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let vendor = match address.link() {
            LinkKind::Hid(id) | LinkKind::Usb(id) => Some(id.vendor),
            _ => None,
        };
        let settle = address.option_as::<u64>("settle")?.map(Duration::from_millis);
        let assumed = match address.option("layout") {
            Some(_) => Mode::Keyboard(KeyReport::BOOT),
            None => Mode::Pos(default_for(vendor)),
        };
        Ok(Self {
            settle: settle.unwrap_or_else(|| vendor.map(quirks).unwrap_or_default().settle),
            keyboard: wedge::Options::from_address(address)?,
            assumed,
            label: address.label(),
        })
    }
}

impl Mode {
    /// Reads a report descriptor.
    ///
    /// # Errors
    /// [`Kind::Protocol`]: the descriptor is malformed. [`Kind::Unsupported`]: it describes neither a scanner nor a
    /// keyboard, and the error names its usages; or it describes reports of an unsupported form.
    pub fn from_descriptor(bytes: &[u8]) -> Result<Self> {
        let descriptor = descriptor::parse(bytes)?;
        if descriptor.applications.iter().any(|(page, _)| *page == 0x8c) {
            return Layout::read(&descriptor).map(Self::Pos);
        }
        if descriptor.applications.contains(&(1, 6)) {
            return KeyReport::read(&descriptor).map(Self::Keyboard);
        }
        let usages: Vec<_> =
            descriptor.applications.iter().map(|(page, usage)| format!("{page:x}:{usage:x}")).collect();
        let usages = if usages.is_empty() { "none".to_owned() } else { usages.join(", ") };
        let why = format!("neither a scanner (usage 8c:2) nor a keyboard (1:6); its usages are {usages}");
        Err(Error::new(Kind::Unsupported, why)
            .hint("set the scanner to HID POS mode by the code in its manual, or name another interface: ?interface=N"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &str) -> Result<Options> {
        Options::from_address(&format!("scanner+hid://05e0:1900?{options}").parse().expect("an address"))
    }

    #[test]
    fn checks_an_address() {
        let options = read("settle=120&layout=de&suffix=tab&gap=300&aim=true&max=100&prefix=%02").expect("good");
        assert_eq!((options.settle, options.keyboard.framing.max), (Duration::from_millis(120), 100));
        assert_eq!(options.assumed, Mode::Keyboard(KeyReport::BOOT));
        assert_eq!(options.label, "scanner+hid://05e0:1900");
        for bad in ["settle=soon", "layout=xx", "suffix=cr", "gap=x", "max=0"] {
            let error = read(bad).expect_err(bad);
            assert!(error.kind() == Kind::Address && error.to_string().contains(bad), "{error}");
            assert_eq!(error.option(), bad.split('=').next(), "{error}");
        }
    }

    #[test]
    fn names_are_settle_and_those_of_the_keyboard() {
        assert_eq!(Options::NAMES[0], "settle");
        assert_eq!(&Options::NAMES[1..], wedge::Options::NAMES);
    }
}
