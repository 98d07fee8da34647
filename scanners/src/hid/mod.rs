//! Scanners in HID point-of-sale mode: USB HID 1.11 and HID Point of Sale Usage Tables 1.02, usage page 0x8C.
//!
//! A scan is one or more input reports with length, AIM identifier, data, and a bit that says whether more follow. The
//! offsets differ from vendor to vendor, so [`Layout`] takes them from the device's report descriptor. Deviations of
//! vendors from the specification are data, see [`quirks`].
//!
//! [`open`] also takes a scanner in keyboard mode, the factory setting of most scanners.
//!
//! Left out: configuration by feature reports (symbologies, lengths), the status report 0x15, scales and card readers.

pub(crate) mod descriptor;
mod driver;
mod layout;
mod options;
pub mod sim;
mod wire;

use std::sync::Arc;

use tresen_hal::{Clock, Error, Link, Result};

pub use driver::Scanner;
pub use layout::{Command, Layout, Quirks, quirks};
pub use options::{Mode, Options};
pub use wire::{Code, Counters, Decoder, MAX};

use crate::wedge::{self, Source};

/// Starts a scanner on an open HID link, enabled: a [`Scanner`] or a [`wedge::Scanner`], depending on its report
/// descriptor. `name` is the device of its scans and errors; `clock` dates its scans.
///
/// Without a descriptor (a recording, TCP), `options` say which mode to assume. In HID POS mode, the caller sends the
/// feature report of [`quirks`] first.
///
/// # Errors
/// As [`Mode::from_descriptor`] and [`wedge::open`].
pub fn open(
    link: Box<dyn Link>,
    name: impl Into<String>,
    options: Options,
    clock: Arc<dyn Clock>,
    descriptor: Option<&[u8]>,
) -> Result<Box<dyn crate::Scanner>> {
    let Options { settle, keyboard, assumed, label } = options;
    let mode = descriptor.map_or(Ok(assumed), Mode::from_descriptor).map_err(|e: Error| e.at(label))?;
    Ok(match mode {
        Mode::Pos(layout) => Box::new(Scanner::new(link, name, layout, settle, clock)),
        Mode::Keyboard(report) => Box::new(wedge::open(link, name, keyboard, clock, Source::Reports(report))?),
    })
}

#[cfg(test)]
mod tests {
    use super::sim::DESCRIPTOR;
    use super::*;
    use crate::Symbology;
    use tresen_hal::link::memory;
    use tresen_hal::{Kind, ManualClock, SystemClock};

    fn opened(
        address: &str,
        descriptor: Option<&[u8]>,
        clock: impl Clock + 'static,
    ) -> (Result<Box<dyn crate::Scanner>>, memory::Memory) {
        let (near, far) = memory::pair();
        let options = Options::from_address(&address.parse().expect(address)).expect(address);
        (open(Box::new(near), "till", options, Arc::new(clock), descriptor), far)
    }

    /// A boot keyboard: HID 1.11, appendix B.1; the fields that matter here.
    const KEYBOARD: [u8; 41] = [
        0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02,
        0x75, 0x08, 0x95, 0x01, 0x81, 0x01, 0x95, 0x06, 0x15, 0x00, 0x25, 0x65, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00,
        0xc0, 0x05, 0x0c, 0x09, 0x01,
    ];

    #[tokio::test(start_paused = true)]
    async fn a_point_of_sale_descriptor_makes_a_scanner() {
        let (scanner, far) = opened("scanner+hid://05e0:1900", Some(DESCRIPTOR), SystemClock);
        let mut scanner = scanner.expect("good");
        let capabilities = scanner.capabilities();
        assert!([capabilities.enable, capabilities.beep, capabilities.symbology].iter().all(|known| known.is_yes()));
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
            let (scanner, far) = opened(address, descriptor, SystemClock);
            let mut scanner = scanner.expect("good");
            // HID Usage Tables 1.12, section 10: 1C is y and Y, on a German keyboard z; 28 is Enter.
            for key in [0x1c, 0, 0x28, 0] {
                far.send(&[0, 0, key, 0, 0, 0, 0, 0]).await.expect("open");
            }
            assert_eq!(scanner.event().await.expect("a scan").text, "z");
            assert!(scanner.capabilities().beep.is_no());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_descriptor_the_vendor_decides() {
        let clock = ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a timestamp"));
        for (address, report) in
            [("scanner+hid://1eab:1a03", &b"\x02\x014"[..]), ("scanner+tcp://10.0.0.1:9000", b"\x02\x01]C04")]
        {
            let (scanner, far) = opened(address, None, clock.clone());
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
            (&[0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0xc0], "no array of keys"),
        ] {
            let (scanner, _far) = opened("scanner+hid://05e0:1900", Some(descriptor), SystemClock);
            let error = scanner.err().expect(why);
            assert!(error.to_string().contains(why) && error.device() == Some("scanner+hid://05e0:1900"), "{error}");
            assert!(error.next_step().is_some() || error.kind() == Kind::Protocol, "{error}");
        }
    }
}
