//! The layout of a scanner's reports, from its descriptor; and vendors' quirks, as data.

use std::ops::Range;
use std::time::Duration;

use tresen_hal::{Error, Kind, Result};

use super::descriptor::{self, Descriptor, Direction, Field};

/// Usage page of bar code scanners: HID Point of Sale Usage Tables 1.02, section 3.
const SCANNER: u16 = 0x8c;
/// Generic Desktop page, usage 0x3B: byte count.
const BYTE_COUNT: (u16, u16) = (0x01, 0x3b);
/// Vendor page of Hand Held Products, now Honeywell, usage 0x04: the vendor's letter for the symbology. Zebra's
/// scanners declare it, too (capture of a 05e0:2100, Itp.HidBarcodeScanner, Examples.txt).
const CODE_ID: (u16, u16) = (0xff66, 0x04);

/// Commands: HID Point of Sale Usage Tables 1.02, sections 3.6 and 3.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Prevent Read of Barcodes, 0x5F.
    PreventRead,
    /// Initiate Barcode Read, 0x60: the trigger.
    InitiateRead,
    /// Sound Error Beep, 0x85.
    ErrorBeep,
    /// Sound Good Read Beep, 0x86.
    GoodBeep,
    /// Sound Not On File Beep, 0x87.
    NotOnFileBeep,
}

const COMMANDS: [(Command, u16); 5] = [
    (Command::PreventRead, 0x5f),
    (Command::InitiateRead, 0x60),
    (Command::ErrorBeep, 0x85),
    (Command::GoodBeep, 0x86),
    (Command::NotOnFileBeep, 0x87),
];

/// Where a scanner's input reports hold the parts of a scan, and its output reports the controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub(super) scans: Vec<ScanReport>,
    controls: Vec<Control>,
}

/// One report with scanned data (usage 0x12). Offsets are in bytes, unless stated otherwise, and include the report
/// number, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScanReport {
    pub(super) number: Option<u8>,
    /// Length of the report.
    pub(super) size: usize,
    /// Where the data length is. Without one, trailing NULs are not data.
    pub(super) length: Option<Range<usize>>,
    /// Symbology Identifier 1 to 3, usages 0xFB to 0xFD.
    pub(super) aim: Option<[usize; 3]>,
    /// Decoded Data, usage 0xFE.
    pub(super) data: Range<usize>,
    pub(super) code_id: Option<usize>,
    /// Decode Data Continued, usage 0xFF; offset in bits.
    pub(super) more: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Control {
    command: Command,
    number: Option<u8>,
    size: usize,
    bit: usize,
}

impl Layout {
    /// Reads a report descriptor.
    ///
    /// # Errors
    /// [`Kind::Protocol`]: the descriptor is malformed. [`Kind::Unsupported`]: it has no report with scanned data, or
    /// the data is not byte-aligned.
    pub fn from_descriptor(descriptor: &[u8]) -> Result<Self> {
        Self::read(&descriptor::parse(descriptor)?)
    }

    pub(super) fn read(descriptor: &Descriptor) -> Result<Self> {
        let of = |direction| {
            descriptor.fields.iter().filter(move |f: &&Field| f.application.0 == SCANNER && f.direction == direction)
        };
        let mut scans = Vec::new();
        for field in of(Direction::Input) {
            if let Some(data) = field.values(SCANNER, 0xfe)
                && scans.iter().all(|s: &ScanReport| s.number != field.report)
            {
                scans.push(scan_report(descriptor, field, data)?);
            }
        }
        if scans.is_empty() {
            return Err(Error::new(
                Kind::Unsupported,
                "it has no report with scanned data (usage page 0x8C, usage 0xFE)",
            )
            .hint("set the scanner to HID POS mode by the code in its manual"));
        }
        let mut controls: Vec<Control> = Vec::new();
        for field in of(Direction::Output).filter(|f| f.size == 1) {
            for (command, usage) in COMMANDS {
                if let Some(values) = field.values(SCANNER, usage)
                    && controls.iter().all(|c| c.command != command)
                {
                    let size = descriptor.report_size(Direction::Output, field.report);
                    controls.push(Control { command, number: field.report, size, bit: field.bit(values.start) });
                }
            }
        }
        Ok(Self { scans, controls })
    }

    /// The layout of Honeywell's and similar scanners: report 2 of 64 bytes with length, three AIM bytes, 56 bytes of
    /// data, the vendor's code id at 61, a reserved byte, and the continued bit in the last byte. For use without a
    /// descriptor, as with a recording; it has no controls.
    ///
    /// Source: Access-IS LSR118 product manual, appendix B.1, and a capture of a Honeywell 0c2e:1007.
    pub fn standard() -> Self {
        Self::bare(Some([2, 3, 4]), 5..61, 61)
    }

    /// Newland's FM430: as [`Layout::standard`], but the data follows the length, without AIM identifier, and the
    /// code id is at 62.
    pub fn newland() -> Self {
        Self::bare(None, 2..58, 62)
    }

    /// Zebra's: as [`Layout::standard`], but with a reserved byte after the length, and the code id at 62.
    ///
    /// Source: a capture of a Zebra 05e0:2100.
    pub fn zebra() -> Self {
        Self::bare(Some([3, 4, 5]), 6..62, 62)
    }

    /// This layout, or `other` for reports with an AIM identifier only at that one's offset.
    fn or(mut self, other: Self) -> Self {
        self.scans.extend(other.scans);
        self
    }

    /// The layout of this report; `None` if its number is not that of scanned data.
    pub(super) fn scan_report(&self, report: &[u8]) -> Option<&ScanReport> {
        let numbered = |s: &&ScanReport| s.number.is_none_or(|number| report.first() == Some(&number));
        let mut candidates = self.scans.iter().filter(numbered);
        let first = candidates.next()?;
        let flagged = |s: &&ScanReport| s.aim.is_some_and(|[flag, ..]| report.get(flag) == Some(&b']'));
        Some(if flagged(&first) { first } else { candidates.find(flagged).unwrap_or(first) })
    }

    fn bare(aim: Option<[usize; 3]>, data: Range<usize>, code_id: usize) -> Self {
        let more = Some(63 * 8);
        let scan =
            ScanReport { number: Some(2), size: 64, length: Some(1..2), aim, data, code_id: Some(code_id), more };
        Self { scans: vec![scan], controls: Vec::new() }
    }

    /// Whether its reports have an AIM identifier.
    pub fn has_aim(&self) -> bool {
        self.scans.iter().any(|s| s.aim.is_some())
    }

    /// Whether an output report has a control for `command`.
    pub fn knows(&self, command: Command) -> bool {
        self.control(command).is_some()
    }

    /// The output report that sets `command`, along with those of `together_with` that share its report, since a report
    /// sets all its bits at once. It begins with its number, or 0 if reports have none. `None` if there is no such
    /// control.
    pub fn output(&self, command: Command, together_with: &[Command]) -> Option<Vec<u8>> {
        let control = self.control(command)?;
        self.report(control, [command].iter().chain(together_with))
    }

    /// The output report that clears `command`, with only `others` set.
    pub fn release(&self, command: Command, others: &[Command]) -> Option<Vec<u8>> {
        let control = self.control(command)?;
        self.report(control, others.iter())
    }

    fn report<'a>(&self, control: &Control, set: impl Iterator<Item = &'a Command>) -> Option<Vec<u8>> {
        let mut report = vec![0; control.size];
        for control in set.filter_map(|&c| self.control(c)).filter(|c| c.number == control.number) {
            report[control.bit / 8] |= 1 << (control.bit % 8);
        }
        match control.number {
            Some(number) => report[0] = number,
            None => report.insert(0, 0),
        }
        Some(report)
    }

    fn control(&self, command: Command) -> Option<&Control> {
        self.controls.iter().find(|c| c.command == command)
    }
}

fn scan_report(descriptor: &Descriptor, field: &Field, data: Range<usize>) -> Result<ScanReport> {
    let whole = field.size == 8 && field.start.is_multiple_of(8);
    if !whole {
        return Err(Error::new(Kind::Unsupported, "its scanned data is not byte-aligned")
            .hint("set the scanner to serial (COM port) mode"));
    }
    let others = || descriptor.fields.iter().filter(|f| f.direction == Direction::Input && f.report == field.report);
    let bytes = |(page, usage)| {
        others().find_map(|f| {
            let values = f.values(page, usage).filter(|_| f.start.is_multiple_of(8) && f.size.is_multiple_of(8))?;
            Some(f.bit(values.start) / 8..f.bit(values.start + 1) / 8)
        })
    };
    let byte = |usage: u16| bytes((SCANNER, usage)).filter(|b| b.len() == 1).map(|b| b.start);
    let aim = match (byte(0xfb), byte(0xfc), byte(0xfd)) {
        (Some(a), Some(b), Some(c)) => Some([a, b, c]),
        _ => None,
    };
    Ok(ScanReport {
        number: field.report,
        size: descriptor.report_size(Direction::Input, field.report),
        length: bytes(BYTE_COUNT).filter(|b| b.len() <= 4),
        aim,
        data: field.bit(data.start) / 8..field.bit(data.end) / 8,
        code_id: bytes(CODE_ID).filter(|b| b.len() == 1).map(|b| b.start),
        more: others().find_map(|f| Some(f.bit(f.values(SCANNER, 0xff)?.start))),
    })
}

/// Deviations of a vendor's scanners from the specification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quirks {
    /// A feature report to send once after opening, as the option `feature` of an HID address has it.
    pub feature: Option<&'static str>,
    /// How long after opening reports are discarded as stale: scans from before that queued up.
    pub settle: Duration,
}

/// The USB vendor id, its quirks, and its layout without a descriptor.
type Vendor = (u16, Quirks, fn() -> Layout);

const VENDORS: [Vendor; 3] = [
    // Honeywell: feature report 254 switches its reports on, and earlier scans queue up. Source:
    // @point-of-sale/webhid-barcode-scanner, src/main.js; usage page 0xFF66 names the report "output redirection".
    (0x0c2e, Quirks { feature: Some("fe01"), settle: Duration::from_millis(250) }, Layout::standard),
    // Zebra, formerly Symbol.
    (0x05e0, Quirks { feature: None, settle: Duration::ZERO }, || Layout::zebra().or(Layout::standard())),
    // Newland (usb.ids: Fujian Newland Computer).
    (0x1eab, Quirks { feature: None, settle: Duration::ZERO }, Layout::newland),
];

/// The quirks of this USB vendor; the default if none are known. The caller that opens the link sends the feature
/// report: a [`tresen_hal::Link`] carries input and output reports only.
pub fn quirks(vendor: u16) -> Quirks {
    VENDORS.iter().find(|(id, ..)| *id == vendor).map(|(_, quirks, _)| *quirks).unwrap_or_default()
}

/// The layout of this vendor's reports without a descriptor.
pub(super) fn default_for(vendor: Option<u16>) -> Layout {
    match VENDORS.iter().find(|(id, ..)| Some(*id) == vendor) {
        Some((.., layout)) => layout(),
        None => Layout::standard().or(Layout::zebra()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The descriptor of a scanner in issue 6 of nyholku/purejavahidapi.
    const DUMPED: &str = "058C0902A1010912A1028502150026FF00750895010501093B81029503058C09FB09FC09FD8102953809FE8202\
        020666FF9502090009008102058C25017501950809FF8102C00914A10285041500250175019508095F0960098509869186C006FFFF09\
        01A10285F0150026FF007508953F0902820202953F0903920202C0C0";

    pub(in super::super) fn dumped() -> Vec<u8> {
        hex(DUMPED)
    }

    /// Bytes from their hex digits.
    pub(in super::super) fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
        digits.chunks(2).map(byte).collect()
    }

    #[test]
    fn reads_a_dumped_descriptor() {
        let layout = Layout::from_descriptor(&dumped()).expect("good");
        let standard = Layout::standard();
        let expected = ScanReport { code_id: None, ..standard.scans[0].clone() };
        assert_eq!(layout.scans, [expected], "the standard layout, but both vendor bytes are undefined");
        // Report 4: prevent read, initiate read, error beep, good beep, and padding that repeats the last usage.
        for (command, report) in [
            (Command::PreventRead, [4, 0b0001]),
            (Command::InitiateRead, [4, 0b0010]),
            (Command::ErrorBeep, [4, 0b0100]),
            (Command::GoodBeep, [4, 0b1000]),
        ] {
            assert_eq!(layout.output(command, &[]), Some(report.to_vec()), "{command:?}");
        }
        assert_eq!(layout.output(Command::GoodBeep, &[Command::PreventRead]), Some(vec![4, 0b1001]));
        assert_eq!(layout.release(Command::InitiateRead, &[Command::PreventRead]), Some(vec![4, 0b0001]));
        assert_eq!(layout.output(Command::NotOnFileBeep, &[]), None);
        assert!(layout.has_aim() && !Layout::newland().has_aim() && !standard.knows(Command::PreventRead));
    }

    /// Usages as HID Point of Sale Usage Tables 1.02 number them; no report numbers, a length of two bytes.
    #[test]
    fn offsets_come_from_the_descriptor() {
        let descriptor = [
            0x05, 0x8c, 0x09, 0x02, 0xa1, 0x01, 0x75, 0x08, 0x95, 0x20, 0x09, 0xfe, 0x82, 0x02, 0x01, // data 32
            0x95, 0x01, 0x09, 0xfb, 0x81, 0x02, 0x09, 0xfc, 0x81, 0x02, 0x09, 0xfd, 0x81, 0x02, // AIM
            0x75, 0x10, 0x05, 0x01, 0x09, 0x3b, 0x81, 0x02, // byte count, 16 bits
            0x75, 0x01, 0x05, 0x8c, 0x09, 0xff, 0x81, 0x02, 0x75, 0x07, 0x81, 0x03, // continued, padding
            0x75, 0x01, 0x95, 0x02, 0x09, 0x87, 0x09, 0x5f, 0x91, 0x02, 0xc0, // not on file, prevent read
        ];
        let layout = Layout::from_descriptor(&descriptor).expect("good");
        let expected = ScanReport {
            number: None,
            size: 38,
            length: Some(35..37),
            aim: Some([32, 33, 34]),
            data: 0..32,
            code_id: None,
            more: Some(37 * 8),
        };
        assert_eq!(layout.scans, [expected]);
        assert_eq!(layout.output(Command::PreventRead, &[]), Some(vec![0, 2]), "0 stands for no number");
    }

    #[test]
    fn a_descriptor_without_scans_is_an_error() {
        let keyboard = [0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0xc0];
        let error = Layout::from_descriptor(&keyboard).expect_err("a keyboard");
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("HID POS"), "{error}");
        let skewed = [0x05, 0x8c, 0x09, 0x02, 0xa1, 0x01, 0x75, 0x07, 0x95, 0x20, 0x09, 0xfe, 0x81, 0x02, 0xc0];
        assert!(Layout::from_descriptor(&skewed).expect_err("7 bits").to_string().contains("byte-aligned"));
        assert_eq!(Layout::from_descriptor(&[0x05]).expect_err("cut off").kind(), Kind::Protocol);
    }

    #[test]
    fn knows_the_quirks_of_vendors() {
        let honeywell = quirks(0x0c2e);
        assert_eq!((honeywell.feature, honeywell.settle), (Some("fe01"), Duration::from_millis(250)));
        assert_eq!(quirks(0x05e0), Quirks::default());
        assert_eq!((default_for(Some(0x1eab)), default_for(Some(0x0c2e))), (Layout::newland(), Layout::standard()));
    }
}
