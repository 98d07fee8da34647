//! 05 01 status enquiry and the 06 0F that answers it (PA00P015, chapter "Status-Enquiry").
//!
//! This completion has no BMP ids: `[LLLVAR software version] status [06 TLV]`.

use jiff::civil::DateTime;

use super::super::text::Charset;
use super::super::{bmp, tlv, wire};
use super::Password;

/// Appends 05 01. BMP 03, the service byte: bit 0, the service menu may not be put on a function key;
/// bit 1, no software version in the answer; bit 2, the status in TLV form. The version is sent because
/// bit 1 is clear.
pub fn status_enquiry(out: &mut Vec<u8>, password: Password) {
    wire::encode(out, 0x05, 0x01, |out| {
        out.extend(password.bytes());
        out.extend([0x03, 0x01]);
    });
}

/// How the terminal is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Software version, if it was sent.
    pub software: Option<String>,
    /// The status byte, a result code; `None` if the completion was empty.
    pub status: Option<u8>,
    /// Tag 1F44.
    pub terminal_id: Option<String>,
    /// Tag 1F40 in the container E4: the device's name.
    pub device: Option<String>,
    /// Tag 1F42 in the container E4, as it comes: in hex. Terminals send more than decimal digits.
    pub serial_number: Option<String>,
    /// Tags 1F0E and 1F0F in the container 34: date and time by the terminal's clock.
    pub at: Option<DateTime>,
}

impl State {
    /// Reads the data of the 06 0F that ends a status enquiry.
    pub fn parse(data: &[u8]) -> Self {
        let mut rest = data;
        let mut software = None;
        // A status byte may be F0 or more itself; three in a row that fit are a length.
        if let Some(text) = data.get(..3).and_then(bmp::digits).and_then(|n| data.get(3..3 + n)) {
            software = Some(Charset::default().decode(text).trim().to_owned()).filter(|t| !t.is_empty());
            rest = &data[3 + text.len()..];
        }
        let mut state = Self { software, status: rest.first().copied(), ..Self::default() };
        let container = bmp::fields(rest.get(1..).unwrap_or_default()).find(|field| field.id == 0x06);
        if let Some(container) = container {
            state.read(container.data);
        }
        state
    }

    fn read(&mut self, container: &[u8]) {
        let text = |value| Some(Charset::default().shown(value)).filter(|text| !text.is_empty());
        self.terminal_id = tlv::find(container, 0x1f44).map(|id| bmp::Bcd(id).to_string());
        let within = |outer, tag| tlv::find(tlv::find(container, outer)?, tag);
        self.device = within(0xe4, 0x1f40).and_then(text);
        self.serial_number =
            within(0xe4, 0x1f42).map(|digits| digits.iter().map(|byte| format!("{byte:02x}")).collect());
        self.at = within(0x34, 0x1f0e).zip(within(0x34, 0x1f0f)).and_then(|(date, time)| clock(date, time));
    }

    /// Appends the data of that completion, without a container.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Some(software) = &self.software {
            let text = Charset::default().encode(software);
            let text = &text[..text.len().min(999)];
            out.extend([100, 10, 1].map(|place| 0xf0 | (text.len() / place % 10) as u8));
            out.extend(text);
        }
        out.extend(self.status);
    }
}

/// A date of eight digits, YYYYMMDD, and a time of six, HHMMSS.
fn clock(date: &[u8], time: &[u8]) -> Option<DateTime> {
    let number = |digits: &[u8]| i8::try_from(bmp::Bcd(digits).number()?).ok();
    let (&[century, year, month, day], &[hour, minute, second]) = (date, time) else { return None };
    let year = i16::try_from(bmp::Bcd(&[century, year]).number()?).ok()?;
    let part = |digits: u8| number(&[digits]);
    DateTime::new(year, part(month)?, part(day)?, part(hour)?, part(minute)?, part(second)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_form_without_ids() {
        let with = [&[0xf0, 0xf0, 0xf4][..], b"V1.2", &[0x00, 0x06, 0x00]].concat();
        assert_eq!(State::parse(&with), State { software: Some("V1.2".into()), status: Some(0), ..State::default() });
        assert_eq!(State::parse(&[0x9c]), State { status: Some(0x9c), ..State::default() });
        assert_eq!(State::parse(&[]), State::default());
        assert_eq!(State::parse(&[0xf0]).status, Some(0xf0), "a status, not a length");
        assert_eq!(State::parse(&[0xf9, 0xf9, 0xf9, 1]).status, Some(0xf9), "a length that does not fit");
    }

    #[test]
    fn round_trips() {
        let state = State { software: Some("SIM 0.1".into()), status: Some(0xc2), ..State::default() };
        let mut out = Vec::new();
        state.encode(&mut out);
        assert_eq!(State::parse(&out), state);
    }

    #[test]
    fn asks_with_password_and_service_byte() {
        let mut out = Vec::new();
        status_enquiry(&mut out, Password::default());
        assert_eq!(out, [0x05, 0x01, 0x05, 0, 0, 0, 0x03, 0x01]);
    }
}
