//! The bitmaps: id, length, encoding, what may be shown of them, name.

use super::super::bmp::Format::{self, Fixed, Ll, Lll, Tlv};
use super::{Bmp, Encoding as E, Sensitivity as S};

/// All bitmaps, by id.
#[rustfmt::skip]
pub const BMPS: &[Bmp] = &[
    bmp(0x01, Fixed(1), E::Binary, S::Open, "timeout", SUMMARY),
    bmp(0x02, Fixed(1), E::Binary, S::Open, "most status informations", SUMMARY),
    bmp(0x03, Fixed(1), E::Binary, S::Open, "service byte", SUMMARY),
    bmp(0x04, Fixed(6), E::Bcd, S::Open, "amount", SUMMARY),
    bmp(0x05, Fixed(1), E::Binary, S::Open, "pump number", SUMMARY),
    bmp(0x06, Tlv, E::Tags, S::Tags, "TLV container", SUMMARY),
    bmp(0x0b, Fixed(3), E::Bcd, S::Open, "trace number", SUMMARY),
    bmp(0x0c, Fixed(3), E::Bcd, S::Open, "time, HHMMSS", SUMMARY),
    bmp(0x0d, Fixed(2), E::Bcd, S::Open, "date, MMDD", SUMMARY),
    bmp(0x0e, Fixed(2), E::Bcd, S::Secret, "expiry date, YYMM", SUMMARY),
    bmp(0x17, Fixed(2), E::Bcd, S::Open, "card sequence number", SUMMARY),
    bmp(0x19, Fixed(1), E::Binary, S::Open, "status byte, payment type or card type", SUMMARY),
    bmp(0x22, Ll, E::Bcd, S::Number, "card number (PAN), or EF_ID", SUMMARY),
    bmp(0x23, Ll, E::Bcd, S::Secret, "track 2", SUMMARY),
    bmp(0x24, Lll, E::Bcd, S::Secret, "track 3", SUMMARY),
    bmp(0x27, Fixed(1), E::Binary, S::Open, "result code", SUMMARY),
    bmp(0x29, Fixed(4), E::Bcd, S::Open, "terminal id", SUMMARY),
    bmp(0x2a, Fixed(15), E::Text, S::Open, "merchant number (VU number)", SUMMARY),
    bmp(0x2d, Ll, E::Binary, S::Secret, "track 1", SUMMARY),
    bmp(0x2e, Lll, E::Binary, S::Secret, "data of a synchronous chip", SUMMARY),
    bmp(0x37, Fixed(3), E::Bcd, S::Open, "trace number of the original transaction", SUMMARY),
    bmp(0x3a, Fixed(2), E::Bcd, S::Secret, "card verification value", SUMMARY),
    bmp(0x3b, Fixed(8), E::Text, S::Open, "authorisation attribute (AID)", SUMMARY),
    bmp(0x3c, Lll, E::Text, S::Text, "additional text", SUMMARY),
    bmp(0x3d, Fixed(3), E::Bcd, S::Password, "password", SUMMARY),
    bmp(0x49, Fixed(2), E::Bcd, S::Open, "currency", SUMMARY),
    bmp(0x4c, Ll, E::Binary, S::Secret, "card's own identification", FIELD),
    bmp(0x60, Lll, E::Bcd, S::Open, "individual totals", SUMMARY),
    bmp(0x70, Fixed(4), E::Binary, S::Open, "id of an image to be displayed", SUMMARY),
    bmp(0x71, Fixed(4), E::Binary, S::Open, "total size of the image", SUMMARY),
    bmp(0x72, Fixed(1), E::Binary, S::Open, "MIME type of the image", SUMMARY),
    bmp(0x73, Fixed(1), E::Binary, S::Open, "encoding of the image", SUMMARY),
    bmp(0x74, Fixed(1), E::Binary, S::Open, "number of parts of the image", SUMMARY),
    bmp(0x75, Fixed(1), E::Binary, S::Open, "number of this part of the image", SUMMARY),
    bmp(0x76, Fixed(1), E::Binary, S::Open, "how long the image is kept", SUMMARY),
    bmp(0x87, Fixed(2), E::Bcd, S::Open, "receipt number", SUMMARY),
    bmp(0x88, Fixed(3), E::Bcd, S::Open, "turnover record number", SUMMARY),
    bmp(0x8a, Fixed(1), E::Binary, S::Open, "card type", SUMMARY),
    bmp(0x8b, Ll, E::Text, S::Text, "card name", SUMMARY),
    bmp(0x8c, Fixed(1), E::Binary, S::Open, "card type of the network operator", SUMMARY),
    bmp(0x92, Lll, E::Binary, S::Secret, "additional data of ec cash with chip offline", OLDER),
    bmp(0x9a, Lll, E::Binary, S::Secret, "record of a Geldkarte payment", SUMMARY),
    bmp(0xa0, Fixed(1), E::Binary, S::Open, "result code of the authorisation system", SUMMARY),
    bmp(0xa7, Ll, E::Binary, S::Secret, "chip data, EF_ID", SUMMARY),
    bmp(0xaa, Fixed(3), E::Bcd, S::Open, "date, YYMMDD", SUMMARY),
    bmp(0xaf, Lll, E::Binary, S::Secret, "EF_Info", SUMMARY),
    bmp(0xba, Fixed(5), E::Binary, S::Open, "AID parameter", SUMMARY),
    bmp(0xd0, Fixed(1), E::Binary, S::Open, "algorithm key", SUMMARY),
    bmp(0xd1, Ll, E::Binary, S::Secret, "card offset or PIN data", SUMMARY),
    bmp(0xd2, Fixed(1), E::Binary, S::Open, "direction of card output", SUMMARY),
    bmp(0xd3, Fixed(1), E::Binary, S::Open, "key position", SUMMARY),
    bmp(0xe0, Fixed(1), E::Binary, S::Open, "least length of the input", SUMMARY),
    bmp(0xe1, Ll, E::Text, S::Text, "text 2, line 1", SUMMARY),
    bmp(0xe2, Ll, E::Text, S::Text, "text 2, line 2", SUMMARY),
    bmp(0xe3, Ll, E::Text, S::Text, "text 2, line 3", SUMMARY),
    bmp(0xe4, Ll, E::Text, S::Text, "text 2, line 4", SUMMARY),
    bmp(0xe5, Ll, E::Text, S::Text, "text 2, line 5", SUMMARY),
    bmp(0xe6, Ll, E::Text, S::Text, "text 2, line 6", SUMMARY),
    bmp(0xe7, Ll, E::Text, S::Text, "text 2, line 7", SUMMARY),
    bmp(0xe8, Ll, E::Text, S::Text, "text 2, line 8", SUMMARY),
    bmp(0xe9, Fixed(1), E::Binary, S::Open, "greatest length of the input", SUMMARY),
    bmp(0xea, Fixed(1), E::Binary, S::Open, "how the input is echoed", SUMMARY),
    bmp(0xeb, Fixed(8), E::Binary, S::Secret, "authentication code over the texts", SUMMARY),
    bmp(0xf0, Fixed(1), E::Binary, S::Open, "display duration in seconds", SUMMARY),
    bmp(0xf1, Ll, E::Text, S::Text, "text 1, line 1", SUMMARY),
    bmp(0xf2, Ll, E::Text, S::Text, "text 1, line 2", SUMMARY),
    bmp(0xf3, Ll, E::Text, S::Text, "text 1, line 3", SUMMARY),
    bmp(0xf4, Ll, E::Text, S::Text, "text 1, line 4", SUMMARY),
    bmp(0xf5, Ll, E::Text, S::Text, "text 1, line 5", SUMMARY),
    bmp(0xf6, Ll, E::Text, S::Text, "text 1, line 6", SUMMARY),
    bmp(0xf7, Ll, E::Text, S::Text, "text 1, line 7", SUMMARY),
    bmp(0xf8, Ll, E::Text, S::Text, "text 1, line 8", SUMMARY),
    bmp(0xf9, Fixed(1), E::Binary, S::Open, "number of beeps", SUMMARY),
    bmp(0xfa, Fixed(1), E::Binary, S::Open, "activation of the card reader", SUMMARY),
    bmp(0xfb, Fixed(1), E::Binary, S::Open, "input wants a confirmation", SUMMARY),
    bmp(0xfc, Fixed(1), E::Binary, S::Open, "dialogue control", SUMMARY),
    bmp(0xfd, Fixed(1), E::Binary, S::Open, "display that shows the text", SUMMARY),
];

const SUMMARY: &str = "PA00P015 13.13, chapter 13";
/// An older edition, as the library ecrterm lists it (`packets/bitmaps.py`).
const OLDER: &str = "an older edition of PA00P015, as ecrterm lists it";
/// No list that we have names it as a bitmap; the tag of this number is the card's UID.
const FIELD: &str = "field notes";

const fn bmp(id: u8, format: Format, encoding: E, sensitivity: S, name: &'static str, source: &'static str) -> Bmp {
    Bmp { id, format, encoding, sensitivity, name, source }
}
