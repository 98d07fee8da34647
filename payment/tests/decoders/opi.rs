//! OPI messages: no bytes may panic framing, XML, messages or masking, and what is read is written and read again.

use std::time::Instant;

use tresen_hal::Currency;
use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_payment::opi::Redactor;
use tresen_payment::opi::framing::{Framing, MAX_MESSAGE, frame};
use tresen_payment::opi::wire::Message;
use tresen_payment::opi::xml::{Element, Encoding};

/// Reads, writes and masks the bytes.
pub(crate) fn decode(bytes: &[u8]) {
    let mut framing = Framing::default();
    framing.feed(bytes, Instant::now());
    while let Ok(Some(message)) = framing.next_message() {
        let _ = Message::parse(&message);
    }
    if let Ok(element) = Element::parse(bytes) {
        for encoding in [Encoding::Utf8, Encoding::Latin1] {
            let written = element.to_bytes(encoding);
            Element::parse(&written).expect("what is written can be read");
        }
    }
    if let Ok(Message::Response(response)) = Message::parse(bytes) {
        let _ = (response.amount(Currency::EUR), response.at());
    }
    // However it is split, the masked stream has the length of the other.
    let framed = if bytes.len() <= MAX_MESSAGE { frame(bytes) } else { bytes.to_vec() };
    for stream in [bytes, &framed] {
        let mut redactor = Redactor::default();
        let (first, second) = stream.split_at(stream.len() / 2);
        let mut masked = redactor.feed(Direction::Received, first);
        masked.extend(redactor.feed(Direction::Received, second));
        masked.extend(redactor.finish(Direction::Received));
        assert_eq!(masked.len(), stream.len());
    }
}
