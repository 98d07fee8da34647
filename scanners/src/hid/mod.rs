//! Scanners in HID point-of-sale mode: USB HID 1.11 and HID Point of Sale Usage Tables 1.02, usage page 0x8C.
//!
//! A scan comes as one or more input reports with length, AIM identifier, data and a bit that says whether more
//! follows. Where they stand differs from vendor to vendor, so [`Layout`] reads it from the device's report
//! descriptor; what vendors do beyond the specification is data, see [`quirks`].
//!
//! [`from_descriptor`] also takes a scanner in keyboard mode, which is no HID POS device but often the first
//! thing that comes out of the box.
//!
//! Left out: settings by feature report (symbologies, lengths), the status report 0x15, scales and card readers.

pub(crate) mod descriptor;
mod driver;
mod layout;
mod sim;
mod wire;

use std::sync::Arc;

use tresen_hal::address::LinkKind;
use tresen_hal::{Address, Clock, Error, Kind, Link, Result};

pub use driver::HidScanner;
pub use layout::{Command, Layout, Quirks, quirks};
pub use sim::{DESCRIPTOR, Fault, HidScannerSim};
pub use wire::{Code, Counters, Decoder, MAX};

use crate::Scanner;
use crate::wedge::{self, KeyReport, Source, WedgeScanner};

/// The options that [`from_descriptor`] reads, besides those of the link: `settle` for a scanner in HID POS
/// mode, [`wedge::OPTIONS`] for one in keyboard mode. Those of the other mode are not read.
pub const OPTIONS: [&str; 10] =
    ["settle", "layout", "prefix", "suffix", "quiet", "gap", "aim", "code-id", "upc-e", "max"];

/// Checks the values of an address's options, as far as that goes without the device.
///
/// # Errors
/// [`Kind::Address`] names the option, its value and what is allowed.
pub fn check(address: &Address) -> Result<()> {
    driver::settle(address)?;
    wedge::check(address)
}

/// A scanner on an open HID link, as its report descriptor says: HID POS mode, or keyboard mode.
///
/// Without a descriptor (a recording, TCP) it has the usual layout of the address's vendor; if the address has
/// the option `layout`, it is a boot keyboard. In HID POS mode, send the feature report of [`quirks`] first.
///
/// # Errors
/// [`Kind::Unsupported`] names the usages that the device has instead; [`Kind::Protocol`] if the descriptor is
/// broken; [`Kind::Address`] names an option and what is allowed.
pub fn from_descriptor(
    link: Box<dyn Link>,
    name: impl Into<String>,
    address: &Address,
    descriptor: Option<&[u8]>,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Scanner>> {
    let name = name.into();
    check(address)?;
    let here = |e: Error| e.at(address.label());
    let pos = |link, layout| -> Result<Box<dyn Scanner>> {
        Ok(Box::new(HidScanner::from_address(link, &*name, address, layout)?.with_clock(clock.clone())))
    };
    let keyboard = |link, report| -> Result<Box<dyn Scanner>> {
        let scanner = WedgeScanner::from_address(link, &*name, address)?.with_source(Source::Reports(report));
        Ok(Box::new(scanner.with_clock(clock.clone())))
    };
    let Some(bytes) = descriptor else {
        return match address.option("layout") {
            Some(_) => keyboard(link, KeyReport::BOOT),
            None => pos(link, layout::usual(vendor(address))),
        };
    };
    let descriptor = descriptor::parse(bytes).map_err(here)?;
    let has = |page, usage| descriptor.applications.contains(&(page, usage));
    if descriptor.applications.iter().any(|(page, _)| *page == 0x8c) {
        pos(link, Layout::read(&descriptor).map_err(here)?)
    } else if has(1, 6) {
        keyboard(link, KeyReport::read(&descriptor).map_err(here)?)
    } else {
        let usages: Vec<_> =
            descriptor.applications.iter().map(|(page, usage)| format!("{page:x}:{usage:x}")).collect();
        let usages = if usages.is_empty() { "none".to_owned() } else { usages.join(", ") };
        let why = format!("neither a scanner (usage 8c:2) nor a keyboard (1:6); its usages are {usages}");
        Err(here(Error::new(Kind::Unsupported, why))
            .hint("set the scanner to HID POS mode by the code in its manual, or name another interface: ?interface=N"))
    }
}

fn vendor(address: &Address) -> Option<u16> {
    match address.link() {
        LinkKind::Hid(id) | LinkKind::Usb(id) => Some(id.vendor),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Symbology;
    use tresen_hal::link::memory;
    use tresen_hal::{ManualClock, SystemClock};

    fn open(address: &str, descriptor: Option<&[u8]>) -> (Result<Box<dyn Scanner>>, memory::Memory) {
        let (near, far) = memory::pair();
        let address = address.parse().expect(address);
        (from_descriptor(Box::new(near), "till", &address, descriptor, Arc::new(SystemClock)), far)
    }

    /// A boot keyboard: HID 1.11, appendix B.1; the fields that matter here.
    const KEYBOARD: [u8; 41] = [
        0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02,
        0x75, 0x08, 0x95, 0x01, 0x81, 0x01, 0x95, 0x06, 0x15, 0x00, 0x25, 0x65, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00,
        0xc0, 0x05, 0x0c, 0x09, 0x01,
    ];

    #[tokio::test(start_paused = true)]
    async fn a_point_of_sale_descriptor_makes_a_scanner() {
        let (scanner, far) = open("scanner+hid://05e0:1900", Some(DESCRIPTOR));
        let mut scanner = scanner.expect("good");
        let capabilities = scanner.capabilities();
        assert!(capabilities.enable && capabilities.beep && capabilities.symbology);
        let mut report = b"\x02\x0d]E04006381333931".to_vec();
        report.resize(64, 0);
        far.send(&report).await.expect("open");
        let scan = scanner.event().await.expect("a scan");
        assert_eq!((&*scan.text, scan.symbology, &*scan.device), ("4006381333931", Symbology::Ean13, "till"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_keyboard_descriptor_makes_a_wedge() {
        for (address, descriptor) in
            [("scanner+hid://05e0:1200?layout=de", Some(&KEYBOARD[..])), ("scanner+replay:///f?layout=de", None)]
        {
            let (scanner, far) = open(address, descriptor);
            let mut scanner = scanner.expect("good");
            // HID Usage Tables 1.12, section 10: 1C is y and Y, on a German keyboard z; 28 is Enter.
            for key in [0x1c, 0, 0x28, 0] {
                far.send(&[0, 0, key, 0, 0, 0, 0, 0]).await.expect("open");
            }
            assert_eq!(scanner.event().await.expect("a scan").text, "z");
            assert!(!scanner.capabilities().beep);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_descriptor_the_vendor_decides() {
        let clock = ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a timestamp"));
        for (address, report) in
            [("scanner+hid://1eab:1a03", &b"\x02\x014"[..]), ("scanner+tcp://10.0.0.1:9000", b"\x02\x01]C04")]
        {
            let (near, far) = memory::pair();
            let address = address.parse().expect(address);
            let scanner = from_descriptor(Box::new(near), "till", &address, None, Arc::new(clock.clone()));
            let mut report = report.to_vec();
            report.resize(64, 0);
            far.send(&report).await.expect("open");
            let scan = scanner.expect("good").event().await.expect("a scan");
            assert_eq!((&*scan.text, scan.at.to_string()), ("4", "2026-01-02T08:00:00Z".into()));
        }
    }

    #[tokio::test]
    async fn anything_else_is_an_error() {
        let mouse = [0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0xc0];
        for (descriptor, why) in [
            (&mouse[..], "its usages are 1:2"),
            (&[], "its usages are none"),
            (&[0x05], "cut off"),
            (&[0x05, 0x8c, 0x09, 0x02, 0xa1, 0x01, 0xc0], "no report with scanned data"),
            (&[0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0xc0], "no keys"),
        ] {
            let (scanner, _far) = open("scanner+hid://05e0:1900", Some(descriptor));
            let error = scanner.err().expect(why);
            assert!(error.to_string().contains(why) && error.device() == Some("scanner+hid://05e0:1900"), "{error}");
            assert!(error.next_step().is_some() || error.kind() == Kind::Protocol, "{error}");
        }
    }

    #[test]
    fn checks_an_address() {
        let check = |options: &str| check(&format!("scanner+hid://05e0:1900?{options}").parse().expect("an address"));
        check("settle=250&layout=de&suffix=tab&gap=300&aim=true&max=100&prefix=%02").expect("good");
        for bad in ["settle=soon", "layout=xx", "suffix=cr", "gap=x", "max=0"] {
            let error = check(bad).expect_err(bad);
            assert!(error.kind() == Kind::Address && error.to_string().contains(bad), "{error}");
        }
    }
}
