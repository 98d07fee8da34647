//! A simulated scanner in HID POS mode, with faults on request.

use std::collections::VecDeque;
use std::time::Instant;

use tresen_hal::sim::{Action, Device};

use super::layout::Command;
use crate::Symbology;

/// The report descriptor of a [`Simulator`], from HID Point of Sale Usage Tables 1.02.
///
/// Input report 2, 64 bytes: length, three AIM bytes, 56 bytes of data, two reserved bytes, the continued bit.
/// Output report 4: prevent read, initiate read, error beep, good read beep, not on file beep, from bit 0 up.
pub const DESCRIPTOR: &[u8] = &[
    0x05, 0x8c, // Usage Page (Bar Code Scanner)
    0x09, 0x02, // Usage (Bar Code Scanner)
    0xa1, 0x01, // Collection (Application)
    0x15, 0x00, //   Logical Minimum (0)
    0x26, 0xff, 0x00, // Logical Maximum (255)
    0x75, 0x08, //   Report Size (8)
    0x09, 0x12, //   Usage (Scanned Data Report)
    0xa1, 0x02, //   Collection (Logical)
    0x85, 0x02, //     Report ID (2)
    0x95, 0x01, //     Report Count (1)
    0x05, 0x01, //     Usage Page (Generic Desktop)
    0x09, 0x3b, //     Usage (Byte Count)
    0x81, 0x02, //     Input (Data, Variable)
    0x05, 0x8c, //     Usage Page (Bar Code Scanner)
    0x95, 0x03, //     Report Count (3)
    0x09, 0xfb, //     Usage (Symbology Identifier 1)
    0x09, 0xfc, //     Usage (Symbology Identifier 2)
    0x09, 0xfd, //     Usage (Symbology Identifier 3)
    0x81, 0x02, //     Input (Data, Variable)
    0x95, 0x38, //     Report Count (56)
    0x09, 0xfe, //     Usage (Decoded Data)
    0x82, 0x02, 0x01, // Input (Data, Variable, Buffered Bytes)
    0x95, 0x02, //     Report Count (2)
    0x81, 0x03, //     Input (Constant)
    0x25, 0x01, //     Logical Maximum (1)
    0x75, 0x01, //     Report Size (1)
    0x95, 0x01, //     Report Count (1)
    0x09, 0xff, //     Usage (Decode Data Continued)
    0x81, 0x02, //     Input (Data, Variable)
    0x95, 0x07, //     Report Count (7)
    0x81, 0x03, //     Input (Constant)
    0xc0, //         End Collection
    0x09, 0x14, //   Usage (Trigger Report)
    0xa1, 0x02, //   Collection (Logical)
    0x85, 0x04, //     Report ID (4)
    0x95, 0x05, //     Report Count (5)
    0x09, 0x5f, //     Usage (Prevent Read of Barcodes)
    0x09, 0x60, //     Usage (Initiate Barcode Read)
    0x09, 0x85, //     Usage (Sound Error Beep)
    0x09, 0x86, //     Usage (Sound Good Read Beep)
    0x09, 0x87, //     Usage (Sound Not On File Beep)
    0x91, 0x02, //     Output (Data, Variable)
    0x95, 0x03, //     Report Count (3)
    0x91, 0x03, //     Output (Constant)
    0xc0, //         End Collection
    0xc0, //       End Collection
];

/// Bytes of data in one report.
const DATA: usize = 56;

/// A fault that happens once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The length exceeds the field.
    Overlong,
    /// The last report of the code is cut off.
    Truncated,
    /// The last report of the code is missing.
    Unended,
}

/// A simulated scanner in HID POS mode. Each [`Action::Send`] is one report.
///
/// Codes that it reads while no host is connected queue up and are sent when one connects.
#[derive(Debug, Default)]
pub struct Simulator {
    triggered: bool,
    codes: VecDeque<Vec<Vec<u8>>>,
    reports: VecDeque<Vec<u8>>,
    fault: Option<Fault>,
    prevented: bool,
    pressed: bool,
    missed: u64,
    beeps: Vec<Command>,
}

impl Simulator {
    /// A scanner without trigger, with no code in front of it yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A scanner that reads one code for each trigger command.
    pub fn triggered() -> Self {
        Self { triggered: true, ..Self::default() }
    }

    /// Holds a code in front of it, which it reads in turn; or misses, while reading is prevented.
    pub fn scan(&mut self, data: impl AsRef<[u8]>, symbology: Symbology) {
        if self.prevented {
            self.missed += 1;
            return;
        }
        let aim = symbology.aim().map_or_else(|| vec![0; 3], |aim| aim.to_string().into_bytes());
        let pieces: Vec<&[u8]> = data.as_ref().chunks(DATA).collect();
        let last = pieces.len().saturating_sub(1);
        let mut reports: Vec<Vec<u8>> = Vec::new();
        for (n, piece) in pieces.iter().enumerate() {
            let mut report = vec![2, piece.len() as u8];
            report.extend(&aim);
            report.extend(*piece);
            report.resize(63, 0);
            report.push(u8::from(n < last));
            reports.push(report);
        }
        match (self.fault.take(), reports.last_mut()) {
            (Some(Fault::Overlong), Some(report)) => report[1] = DATA as u8 + 1,
            (Some(Fault::Truncated), Some(report)) => report.truncate(5 + usize::from(report[1]) / 2),
            (Some(Fault::Unended), Some(report)) if last == 0 => report[63] = 1,
            (Some(Fault::Unended), Some(_)) => drop(reports.pop()),
            _ => {}
        }
        self.codes.push_back(reports);
    }

    /// Applies a fault to the next code.
    pub fn fault_next(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Whether reading is not prevented.
    pub fn is_enabled(&self) -> bool {
        !self.prevented
    }

    /// Whether a command is holding its trigger.
    pub fn is_triggered(&self) -> bool {
        self.pressed
    }

    /// All beep commands that it received, in order.
    pub fn beeps(&self) -> &[Command] {
        &self.beeps
    }

    /// Codes that it missed while reading was prevented.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl Device for Simulator {
    fn connected(&mut self, _: Instant) {
        self.reports.clear();
    }

    /// Takes one output report per chunk, and ignores unknown ones.
    fn input(&mut self, bytes: &[u8], _: Instant) {
        let &[4, bits] = bytes else { return };
        self.prevented = bits & 1 != 0;
        self.pressed = bits & 2 != 0;
        for (bit, beep) in [(4, Command::ErrorBeep), (8, Command::GoodBeep), (16, Command::NotOnFileBeep)] {
            if bits & bit != 0 {
                self.beeps.push(beep);
            }
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        if self.reports.is_empty() && !self.prevented && (!self.triggered || self.pressed) {
            self.reports = self.codes.pop_front().unwrap_or_default().into();
            self.pressed &= self.reports.is_empty();
        }
        self.reports.pop_front().map(Action::Send)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(sim: &mut Simulator) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| sim.next_action())
            .map(|action| match action {
                Action::Send(bytes) => bytes,
                Action::HangUp => panic!("scanners do not hang up"),
            })
            .collect()
    }

    /// As Honeywell's scanners: 02, length, `]cm`, 56 bytes of data, the continued bit at 63.
    #[test]
    fn sends_reports_of_64_bytes() {
        let mut sim = Simulator::new();
        sim.scan("4006381333931", Symbology::Ean13);
        let [report] = &sent(&mut sim)[..] else { panic!("one report") };
        assert_eq!(report[..18], *b"\x02\x0d]E04006381333931");
        assert!(report.len() == 64 && report[18..].iter().all(|byte| *byte == 0));
        sim.scan([b'x'; 100], Symbology::Qr);
        let [first, second] = &sent(&mut sim)[..] else { panic!("two reports") };
        assert_eq!((first[1], first[63], second[1], second[63]), (56, 1, 44, 0));
    }

    #[test]
    fn does_as_it_is_told() {
        let mut sim = Simulator::triggered();
        let now = Instant::now();
        sim.scan("1", Symbology::Code128);
        assert!(sent(&mut sim).is_empty());
        sim.input(&[4, 2], now);
        assert_eq!((sent(&mut sim).len(), sim.is_triggered()), (1, false), "a read releases it");
        sim.input(&[4, 1 | 8], now);
        sim.scan("2", Symbology::Code128);
        sim.input(&[4, 16], now);
        sim.input(&[9, 255], now);
        assert_eq!((sim.missed(), sim.beeps()), (1, &[Command::GoodBeep, Command::NotOnFileBeep][..]));
        assert!(sim.is_enabled() && sent(&mut sim).is_empty());
    }
}
