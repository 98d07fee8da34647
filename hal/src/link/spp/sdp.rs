//! Looks up the RFCOMM channel of a device's serial port, sans-IO.
//!
//! Bluetooth Core 5.4, Vol 3, Part B (SDP): one ServiceSearchAttribute transaction for the class
//! SerialPort and the attribute ProtocolDescriptorList. Left out: all other requests.

use crate::{Error, Kind, Result};

/// The L2CAP channel that SDP listens on (Assigned Numbers, 2.6).
pub(super) const PSM: u16 = 0x0001;

/// Assigned Numbers, 3.3: the class of serial ports.
const SERIAL_PORT: u16 = 0x1101;
/// Part B, 5.1.5: the attribute that lists the protocols of a service.
const PROTOCOL_DESCRIPTOR_LIST: u16 = 0x0004;
/// Assigned Numbers, 3.2.
const RFCOMM: u128 = 0x0003;
/// Part B, 4.2: PDU identifiers.
const ERROR_RESPONSE: u8 = 0x01;
const SEARCH_ATTRIBUTE_REQUEST: u8 = 0x06;
const SEARCH_ATTRIBUTE_RESPONSE: u8 = 0x07;
/// The most attribute bytes to accept; the answer has about 30 per service.
const LONGEST_ANSWER: usize = 16 * 1024;
/// The deepest nesting; the protocol list has four levels.
const DEEPEST: usize = 8;

/// One lookup: send [`Lookup::request`] and pass in the answer, until there is a result.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    answer: Vec<u8>,
    continuation: Vec<u8>,
    transaction: u16,
}

impl Lookup {
    /// The next packet to send.
    pub(super) fn request(&mut self) -> Vec<u8> {
        self.transaction = self.transaction.wrapping_add(1);
        let mut parameters = vec![
            // A sequence of one 16-bit UUID.
            0x35,
            0x03,
            0x19,
            (SERIAL_PORT >> 8) as u8,
            SERIAL_PORT as u8,
            // At most this many bytes of attributes per packet; the device may send fewer.
            0x02,
            0x00,
            // A sequence of one 16-bit number: the attribute.
            0x35,
            0x03,
            0x09,
            (PROTOCOL_DESCRIPTOR_LIST >> 8) as u8,
            PROTOCOL_DESCRIPTOR_LIST as u8,
            self.continuation.len() as u8,
        ];
        parameters.extend(&self.continuation);
        let mut packet = vec![SEARCH_ATTRIBUTE_REQUEST];
        packet.extend(self.transaction.to_be_bytes());
        packet.extend((parameters.len() as u16).to_be_bytes());
        packet.extend(parameters);
        packet
    }

    /// Takes the answer, one L2CAP packet. `Some` ends the lookup with the channels of the device's serial ports, which
    /// may be none. `None`: there is more; send the next request.
    ///
    /// # Errors
    /// [`Kind::Protocol`] names the byte at which the packet is invalid, or the device's error code.
    pub(super) fn answer(&mut self, packet: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut reader = Reader { rest: packet, whole: packet.len() };
        let pdu = reader.number(1)? as u8;
        let transaction = reader.number(2)? as u16;
        let length = reader.number(2)? as usize;
        if length != reader.rest.len() || transaction != self.transaction {
            return Err(reader.wrong("length or transaction"));
        }
        match pdu {
            SEARCH_ATTRIBUTE_RESPONSE => {}
            ERROR_RESPONSE => {
                let code = reader.number(2)?;
                return Err(Error::new(
                    Kind::Protocol,
                    format!("the device refuses the lookup, SDP error {code:#06x}"),
                ));
            }
            _ => return Err(reader.wrong("PDU")),
        }
        let count = reader.number(2)? as usize;
        let attributes = reader.take(count)?;
        let more = reader.number(1)? as usize;
        // Part B, 4.3: a continuation state has 16 bytes at most.
        if more > 16 || more != reader.rest.len() {
            return Err(reader.wrong("continuation state"));
        }
        if self.answer.len() + count > LONGEST_ANSWER || (more > 0 && count == 0) {
            return Err(reader.wrong("endless answer"));
        }
        self.answer.extend_from_slice(attributes);
        self.continuation = reader.rest.to_vec();
        if more > 0 {
            return Ok(None);
        }
        let mut reader = Reader { rest: &self.answer, whole: self.answer.len() };
        let mut channels = Vec::new();
        if !reader.rest.is_empty() {
            let lists = reader.element(0)?;
            lists.find_channels(&mut channels);
        }
        Ok(Some(channels))
    }
}

/// Part B, 3: a data element. Types that this lookup does not need are kept as bytes.
#[derive(Debug, PartialEq, Eq)]
enum Element {
    Unsigned(u128),
    Uuid(u128),
    /// A sequence, or alternatives.
    Sequence(Vec<Element>),
    Other,
}

impl Element {
    /// Looks for `{RFCOMM, channel}` at any depth.
    fn find_channels(&self, channels: &mut Vec<u8>) {
        let Self::Sequence(elements) = self else { return };
        if let [Self::Uuid(RFCOMM), Self::Unsigned(channel @ 1..=30), ..] = elements[..] {
            channels.push(channel as u8);
        }
        elements.iter().for_each(|e| e.find_channels(channels));
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    whole: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, what: &str) -> Error {
        let at = self.whole.saturating_sub(self.rest.len());
        Error::new(Kind::Protocol, format!("SDP answer: {what} wrong at byte {at}"))
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(|| self.wrong("length"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A big-endian number of at most 16 bytes.
    fn number(&mut self, bytes: usize) -> Result<u128> {
        Ok(self.take(bytes)?.iter().fold(0, |n, &b| n << 8 | u128::from(b)))
    }

    fn element(&mut self, depth: usize) -> Result<Element> {
        if depth > DEEPEST {
            return Err(self.wrong("depth"));
        }
        let head = self.number(1)? as u8;
        // Part B, 3.3: the low three bits are the size, or the size of the length.
        let length = match (head >> 3, head & 7) {
            (0, _) => 0,
            (_, index @ 0..=4) => 1 << index,
            (_, index) => self.number(1 << (index - 5))? as usize,
        };
        match head >> 3 {
            1 if length <= 16 => Ok(Element::Unsigned(self.number(length)?)),
            3 if length == 16 => {
                let uuid = self.number(16)?;
                // 16- and 32-bit UUIDs abbreviate xxxxxxxx-0000-1000-8000-00805F9B34FB.
                const BASE: u128 = 0x0000_1000_8000_0080_5f9b_34fb;
                Ok(Element::Uuid(if uuid & (u128::MAX >> 32) == BASE { uuid >> 96 } else { uuid }))
            }
            3 if length <= 4 => Ok(Element::Uuid(self.number(length)?)),
            6 | 7 => {
                let mut inner = Reader { rest: self.take(length)?, whole: self.whole - self.rest.len() };
                let mut elements = Vec::new();
                while !inner.rest.is_empty() {
                    elements.push(inner.element(depth + 1)?);
                }
                Ok(Element::Sequence(elements))
            }
            _ => self.take(length).map(|_| Element::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serial Port Profile 1.2, table 6.1: {L2CAP 0x0100}, {RFCOMM 0x0003, channel}, as the attribute 0x0004
    /// of one service, in the list of all services.
    #[rustfmt::skip]
    const ONE: [u8; 21] = [
        0x35, 0x13, // all services
            0x35, 0x11, // one service
                0x09, 0x00, 0x04, // attribute ID
                0x35, 0x0c, // protocol descriptor list
                    0x35, 0x03, 0x19, 0x01, 0x00, // L2CAP
                    0x35, 0x05, 0x19, 0x00, 0x03, 0x08, 0x06, // RFCOMM, channel 6
    ];

    fn response(transaction: u16, attributes: &[u8], continuation: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x07];
        packet.extend(transaction.to_be_bytes());
        packet.extend((attributes.len() as u16 + 3 + continuation.len() as u16).to_be_bytes());
        packet.extend((attributes.len() as u16).to_be_bytes());
        packet.extend(attributes);
        packet.push(continuation.len() as u8);
        packet.extend(continuation);
        packet
    }

    #[test]
    fn asks_for_the_protocols_of_serial_ports() {
        // Part B, 4.7.1: pattern, maximum count, attribute list, no continuation.
        let expected = [
            0x06, 0x00, 0x01, 0x00, 0x0d, 0x35, 0x03, 0x19, 0x11, 0x01, 0x02, 0x00, 0x35, 0x03, 0x09, 0x00, 0x04, 0x00,
        ];
        assert_eq!(Lookup::default().request(), expected);
    }

    #[test]
    fn finds_the_channel() {
        let mut lookup = Lookup::default();
        lookup.request();
        assert_eq!(lookup.answer(&response(1, &ONE, &[])).expect("valid"), Some(vec![6]));
    }

    #[test]
    fn puts_a_divided_answer_together() {
        for at in 1..ONE.len() {
            let mut lookup = Lookup::default();
            lookup.request();
            assert_eq!(lookup.answer(&response(1, &ONE[..at], &[0xca, 0xfe])).expect("valid"), None);
            assert!(lookup.request().ends_with(&[0x02, 0xca, 0xfe]), "the state goes back as it came");
            assert_eq!(lookup.answer(&response(2, &ONE[at..], &[])).expect("valid"), Some(vec![6]), "at {at}");
        }
    }

    #[test]
    fn reads_long_uuids_and_other_elements() {
        #[rustfmt::skip]
        let long = [
            0x35, 0x1a,
                0x25, 0x02, b'o', b'k', // a text, which nobody asked for
                0x35, 0x14, 0x1c, 0, 0, 0, 3, 0, 0, 0x10, 0, 0x80, 0, 0, 0x80, 0x5f, 0x9b, 0x34, 0xfb, 0x09, 0x00, 0x0b,
        ];
        let mut lookup = Lookup::default();
        lookup.request();
        assert_eq!(lookup.answer(&response(1, &long, &[])).expect("valid"), Some(vec![11]));
    }

    #[test]
    fn a_device_without_serial_port_answers_an_empty_list() {
        let mut lookup = Lookup::default();
        lookup.request();
        assert_eq!(lookup.answer(&response(1, &[0x35, 0x00], &[])).expect("valid"), Some(vec![]));
    }

    #[test]
    fn passes_a_refusal_on() {
        let mut lookup = Lookup::default();
        lookup.request();
        // Part B, 4.4.1: error 0x0003, invalid request syntax.
        let error = lookup.answer(&[0x01, 0x00, 0x01, 0x00, 0x02, 0x00, 0x03]).expect_err("refused");
        assert!(error.to_string().contains("0x0003"), "{error}");
    }

    #[test]
    fn no_input_panics_or_is_believed() {
        let good = response(1, &ONE, &[]);
        let try_one = |packet: &[u8]| {
            let mut lookup = Lookup::default();
            lookup.request();
            lookup.answer(packet)
        };
        for cut in 0..good.len() {
            assert_eq!(try_one(&good[..cut]).expect_err("cut").kind(), Kind::Protocol, "cut at {cut}");
        }
        for at in 0..good.len() {
            for value in 0..=255 {
                let mut bad = good.clone();
                bad[at] = value;
                try_one(&bad).ok();
            }
        }
        // Lists nested too deeply.
        let deep: Vec<u8> = (0..60).rev().flat_map(|n| [0x35, n * 2]).collect();
        assert!(try_one(&response(1, &deep, &[])).expect_err("too deep").to_string().contains("depth"));
        // An answer that never ends.
        let mut lookup = Lookup::default();
        let endless = (1..2000).find_map(|n| {
            lookup.request();
            lookup.answer(&response(n, &[0; 100], &[1])).err()
        });
        assert!(endless.expect("it is ended").to_string().contains("endless"));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(packets in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..80), 0..5)) {
            let mut lookup = Lookup::default();
            for packet in packets {
                lookup.request();
                lookup.answer(&packet).ok();
            }
        }
    }
}
