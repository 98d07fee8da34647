//! The printer class's requests: Universal Serial Bus Device Class Definition for Printing Devices, version 1.1,
//! section 4.2, and the IEEE 1284 device id.

use crate::{Error, Kind, Result};

/// GET_DEVICE_ID, section 4.2.1.
pub(super) const GET_DEVICE_ID: u8 = 0;
/// GET_PORT_STATUS, section 4.2.2.
pub(super) const GET_PORT_STATUS: u8 = 1;
/// SOFT_RESET, section 4.2.3.
pub(super) const SOFT_RESET: u8 = 2;
/// The longest device id, as in usblp.
pub(super) const DEVICE_ID_MAX: u16 = 1023;

/// The IEEE 1284 device id of a printer: `MFG:EPSON;CMD:ESC/POS;MDL:TM-T88V;CLS:PRINTER;`.
///
/// ```
/// use tresen_hal::link::usb::DeviceId;
///
/// let id = DeviceId::new("MFG:EPSON;COMMAND SET:ESC/POS;MDL:TM-T88V;");
/// assert_eq!((id.maker(), id.model(), id.commands()), (Some("EPSON"), Some("TM-T88V"), Some("ESC/POS")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceId {
    text: String,
}

impl DeviceId {
    /// A device id from its text, without the two bytes of length.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// Reads the answer to GET_DEVICE_ID: a length of two bytes, big-endian and including itself, then the text. Some
    /// printers send the length little-endian; if neither is plausible, all that was received is the text.
    pub(super) fn parse(answer: &[u8]) -> Result<Self> {
        let [high, low, text @ ..] = answer else {
            return Err(Error::new(Kind::Protocol, format!("a device id of {} bytes", answer.len())));
        };
        let lengths = [u16::from_be_bytes([*high, *low]), u16::from_le_bytes([*high, *low])];
        let fits = |length: &u16| (2..=answer.len()).contains(&usize::from(*length));
        let length = lengths.into_iter().find(fits).map_or(answer.len(), usize::from);
        Ok(Self::new(String::from_utf8_lossy(&text[..length - 2]).trim_end_matches('\0')))
    }

    /// The whole text, as the printer sent it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `MFG` or `MANUFACTURER`.
    pub fn maker(&self) -> Option<&str> {
        self.field("MFG").or_else(|| self.field("MANUFACTURER"))
    }

    /// `MDL` or `MODEL`.
    pub fn model(&self) -> Option<&str> {
        self.field("MDL").or_else(|| self.field("MODEL"))
    }

    /// `CMD` or `COMMAND SET`.
    pub fn commands(&self) -> Option<&str> {
        self.field("CMD").or_else(|| self.field("COMMAND SET"))
    }

    /// The value of a key, ignoring case.
    pub fn field(&self, key: &str) -> Option<&str> {
        self.text
            .split(';')
            .filter_map(|pair| pair.split_once(':'))
            .find(|(k, _)| k.trim().eq_ignore_ascii_case(key))
            .map(|(_, value)| value.trim())
    }
}

impl std::fmt::Display for DeviceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// The answer to GET_PORT_STATUS. Receipt printers often always report that all is well; their own status commands
/// are more reliable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortStatus(
    /// The byte as it came.
    pub u8,
);

impl PortStatus {
    /// Bit 5: the printer has no paper.
    pub fn paper_empty(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// Bit 4: the printer is selected, that is, online.
    pub fn selected(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// Bit 3, inverted: the printer reports an error.
    pub fn error(self) -> bool {
        self.0 & 0x08 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_device_id_however_its_length_is_written() {
        let text = b"MFG:EPSON;CMD:ESC/POS;MDL:TM-T88V;CLS:PRINTER;";
        let with = |length: [u8; 2], rest: &[u8]| [&length[..], rest].concat();
        let length = (text.len() + 2) as u16;
        for answer in [
            with(length.to_be_bytes(), text),
            with(length.to_le_bytes(), text),
            with([0, 0], text),
            with([0xff, 0xff], text),
            with(length.to_be_bytes(), &[text, &b"\0\0\0"[..]].concat()),
        ] {
            let id = DeviceId::parse(&answer).expect("readable");
            assert_eq!(id.text().as_bytes(), text);
            assert_eq!((id.maker(), id.model(), id.commands()), (Some("EPSON"), Some("TM-T88V"), Some("ESC/POS")));
            assert_eq!((id.field("cls"), id.field("SN")), (Some("PRINTER"), None));
        }
        assert_eq!(DeviceId::parse(&[0, 2]).expect("empty").text(), "");
        assert_eq!(DeviceId::parse(&[0]).expect_err("too short").kind(), Kind::Protocol);
    }

    #[test]
    fn no_answer_panics() {
        for a in 0..=255_u8 {
            for rest in [&b""[..], b"\xff", b"MFG:\xc3;:;;", b"::;;\0"] {
                let answer = [&[a, a.wrapping_mul(7)], rest].concat();
                let id = DeviceId::parse(&answer).expect("two bytes are enough");
                assert!(id.text().len() <= 3 * answer.len());
            }
        }
    }

    // Section 4.2.2, table 3: bit 5 paper empty, bit 4 select, bit 3 not error.
    #[test]
    fn reads_the_port_status() {
        let well = PortStatus(0x18);
        assert!(!well.paper_empty() && well.selected() && !well.error());
        let empty = PortStatus(0x30);
        assert!(empty.paper_empty() && empty.selected() && empty.error());
    }

    proptest::proptest! {
        #[test]
        fn no_device_id_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            DeviceId::parse(&bytes).ok();
        }
    }
}
