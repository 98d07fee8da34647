//! 04 0F status information: how a transaction went (PA00P015, chapter of that name).
//!
//! Parsed in one pass into a view of the message, without allocation. A BMP that is not known ends
//! the pass, since nothing tells its length; what was read before it counts and the rest is kept.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use tresen_hal::Currency;

use super::super::bmp::{self, Bcd, Field, Fields};
use super::super::text::Charset;
use super::super::tlv;
use crate::verification::{AgeCheck, CardEntry, Cvm};

/// A view of the data of 04 0F. Card number and tracks are not shown by `Debug`.
#[derive(Clone, Copy, Default)]
pub struct StatusInfo<'a> {
    data: &'a [u8],
    read: usize,
    contradicts: bool,
    /// BMP 27, the result code: 00 is approved.
    pub result: Option<u8>,
    /// BMP 04, minor units.
    pub amount: Option<Bcd<'a>>,
    /// BMP 49, the currency's ISO number.
    pub currency: Option<Bcd<'a>>,
    /// BMP 87.
    pub receipt: Option<Bcd<'a>>,
    /// BMP 0C, HHMMSS.
    pub time: Option<Bcd<'a>>,
    /// BMP 0D, MMDD.
    pub date: Option<Bcd<'a>>,
    /// BMP 29.
    pub terminal_id: Option<Bcd<'a>>,
    /// BMP 19: type of payment.
    pub payment_type: Option<u8>,
    /// BMP 8A: type of card; 255 refers to tag 41. [`StatusInfo::card_kind`] reads both.
    pub card_type: Option<u8>,
    /// BMP 88, the number of the turnover record.
    pub turnover: Option<Bcd<'a>>,
    /// BMP A0: result code of the authorisation system.
    pub host_result: Option<u8>,
    /// BMP 37, the trace number of the transaction that this one reverses. Only reversals have it.
    pub original_trace: Option<Bcd<'a>>,
    /// BMP 06, the TLV container.
    pub container: Option<&'a [u8]>,
    trace: Option<Bcd<'a>>,
    merchant: Option<&'a [u8]>,
    network_card: Option<u8>,
    authorisation: Option<&'a [u8]>,
    card_name: Option<&'a [u8]>,
    text: Option<&'a [u8]>,
    pan: Option<&'a [u8]>,
}

impl<'a> StatusInfo<'a> {
    /// Reads the data of 04 0F.
    ///
    /// If a BMP that no table knows comes before the result code, nothing tells where it ends. Then the
    /// rest is read from every later byte on, and counts if all readings that come out even and hold a
    /// result and a receipt number agree; what the unknown field hides stays in [`StatusInfo::rest`].
    #[inline]
    pub fn parse(data: &'a [u8]) -> Self {
        let mut info = Self { data, ..Self::default() };
        info.walk(0);
        if info.result.is_none() && info.read < data.len() {
            info.resynchronise();
        }
        info
    }

    fn walk(&mut self, start: usize) {
        let data = self.data;
        let mut fields = bmp::fields(&data[start..]);
        for field in fields.by_ref() {
            self.take(field);
        }
        self.read = data.len() - fields.rest().map_or(0, |(_, rest)| rest.len());
    }

    #[cold]
    fn resynchronise(&mut self) {
        let data = self.data;
        // A fixed number of tries, so that a long message costs no more than a short one.
        let starts = self.read + 1..data.len().min(self.read + MAX_UNKNOWN);
        let read_from = |at| {
            let mut info = Self { data, ..Self::default() };
            info.walk(at);
            info
        };
        let mut even = starts.map(read_from).filter(|info| {
            let result = info.result.is_some() || info.contradicts;
            info.read == data.len() && result && info.receipt.is_some() && info.amount.is_some()
        });
        let Some(first) = even.next() else { return };
        let facts = |i: &Self| (i.result, i.amount, i.currency, i.receipt, i.trace, i.terminal_id, i.original_trace);
        if even.any(|other| facts(&other) != facts(&first)) {
            return;
        }
        // What came before the unknown field counts as well, and first.
        let before = bmp::fields(&data[..self.read]);
        let read = self.read;
        *self = first;
        before.for_each(|field| self.take(field));
        self.read = read;
    }

    #[inline]
    fn take(&mut self, field: Field<'a>) {
        let bytes = field.data;
        match field.id {
            0x27 => {
                // Two results that differ are none.
                let result = bytes.first().copied();
                self.contradicts |= self.result.is_some() && self.result != result;
                self.result = result.filter(|_| !self.contradicts);
            }
            0x04 => self.amount = Some(Bcd(bytes)),
            0x49 => self.currency = Some(Bcd(bytes)),
            0x87 => self.receipt = Some(Bcd(bytes)),
            0x0b => self.trace = Some(Bcd(bytes)),
            0x0c => self.time = Some(Bcd(bytes)),
            0x0d => self.date = Some(Bcd(bytes)),
            0x29 => self.terminal_id = Some(Bcd(bytes)),
            0x2a => self.merchant = Some(bytes),
            0x37 => self.original_trace = Some(Bcd(bytes)).filter(|t| t.number() != Some(0)),
            0x3b => self.authorisation = Some(bytes),
            0x8b => self.card_name = Some(bytes),
            0x3c => self.text = Some(bytes),
            0x22 => self.pan = Some(bytes),
            0x19 => self.payment_type = bytes.first().copied(),
            0x88 => self.turnover = Some(Bcd(bytes)),
            0x8a => self.card_type = bytes.first().copied(),
            0x8c => self.network_card = bytes.first().copied(),
            0xa0 => self.host_result = bytes.first().copied(),
            0x06 => self.container = Some(bytes),
            _ => {}
        }
    }

    /// The data itself.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// All BMPs that could be read, raw, in the order they came.
    pub fn fields(&self) -> Fields<'a> {
        bmp::fields(self.data)
    }

    /// What could not be read, with its offset in the data.
    pub fn rest(&self) -> Option<(usize, &'a [u8])> {
        (self.read < self.data.len()).then(|| (self.read, &self.data[self.read..]))
    }

    /// Amount in minor units.
    pub fn minor(&self) -> Option<i64> {
        self.amount?.number()?.try_into().ok()
    }

    /// The currency, if it is one we know.
    pub fn currency(&self) -> Option<Currency> {
        Currency::from_number(self.currency?.number()?.try_into().ok()?)
    }

    /// BMP 0B, the trace number; one of more than six digits is in tag 1F2B, with zeros in the BMP.
    pub fn trace(&self) -> Option<Bcd<'a>> {
        let long = || tlv::find(self.container?, 0x1f2b).map(Bcd);
        match self.trace {
            Some(Bcd([0, 0, 0])) => long().or(self.trace),
            Some(trace) => Some(trace),
            None => long(),
        }
    }

    fn tag(&self, tag: u32) -> Option<&'a [u8]> {
        tlv::find(self.container?, tag)
    }

    /// Kind of card, as the [tables](super::super::tables::CARD_TYPES) number them: BMP 8A, or tag 41 where that
    /// refers to it or is left out.
    pub fn card_kind(&self) -> Option<u16> {
        match self.card_type {
            None | Some(0xff) => number(self.tag(0x41)?),
            Some(kind) => Some(kind.into()),
        }
    }

    /// Kind of card by the network operator's number: BMP 8C, or tag 49 where that is left out.
    pub fn network_card_type(&self) -> Option<u16> {
        self.network_card.map(u16::from).or_else(|| number(self.tag(0x49)?))
    }

    /// Tag 43 in the container 60: the application that was used, in hex. `None` if several are listed, such as those
    /// of a card that was only read.
    pub fn aid(&self) -> Option<String> {
        let mut listed = tlv::tags(self.container?).filter(|tag| tag.tag == 0x60);
        let application = listed.next().filter(|_| listed.next().is_none())?;
        let aid = tlv::find(application.value, 0x43).filter(|aid| (5..=16).contains(&aid.len()))?;
        Some(aid.iter().map(|byte| format!("{byte:02X}")).collect())
    }

    /// Tag 1F12: how the card was read.
    pub fn entry(&self) -> Option<CardEntry> {
        match self.tag(0x1f12)? {
            [0x00] => Some(CardEntry::MagneticStripe),
            [0x01] => Some(CardEntry::Chip),
            [0x02] => Some(CardEntry::Contactless),
            _ => None,
        }
    }

    /// Tag 1F10: how the cardholder was verified.
    pub fn cvm(&self) -> Option<Cvm> {
        match self.tag(0x1f10)? {
            [0x00] => Some(Cvm::None),
            [0x01] => Some(Cvm::Signature),
            [0x02] => Some(Cvm::OnlinePin),
            [0x03] => Some(Cvm::EncryptedOfflinePin),
            [0x04] => Some(Cvm::PlainOfflinePin),
            [0x05] => Some(Cvm::EncryptedOfflinePinAndSignature),
            [0x06] => Some(Cvm::PlainOfflinePinAndSignature),
            [0x07] => Some(Cvm::OnlinePinAndSignature),
            _ => None,
        }
    }

    /// Tag 1F6C: the result of an age check.
    pub fn age(&self) -> Option<AgeCheck> {
        match self.tag(0x1f6c)? {
            [0x00] => Some(AgeCheck::Below),
            [0x01] => Some(AgeCheck::Reached),
            [0x02 | 0x03] => Some(AgeCheck::Unsupported),
            _ => None,
        }
    }

    /// BMP 2A, the merchant's number (VU number).
    pub fn merchant_id(&self) -> Option<String> {
        trimmed(self.merchant?, Charset::Ascii)
    }

    /// BMP 3B, the issuer's authorisation attribute.
    pub fn authorisation(&self) -> Option<String> {
        trimmed(self.authorisation?, Charset::Ascii)
    }

    /// BMP 8B, the name of the card, which a NUL ends.
    pub fn card_name(&self, charset: Charset) -> Option<String> {
        let bytes = self.card_name?;
        Some(charset.shown(bytes.split(|b| *b == 0).next().unwrap_or_default())).filter(|name| !name.is_empty())
    }

    /// The terminal's own words: tag 1F17, else BMP 3C.
    pub fn text(&self, charset: Charset) -> Option<String> {
        let words = self.container.and_then(|c| tlv::find(c, 0x1f17)).or(self.text)?;
        Some(charset.shown(words)).filter(|text| !text.is_empty())
    }

    /// BMP 22 with at least the middle masked: what the terminal masked, and if it masked nothing,
    /// all but the first six and the last four digits.
    pub fn masked_pan(&self) -> Option<String> {
        let mut digits = Bcd(self.pan?).to_string();
        let length = digits.len();
        if !digits.contains('*') {
            let (from, to) = if length >= 13 { (6, length - 4) } else { (0, length) };
            digits.replace_range(from..to, &"*".repeat(to - from));
        }
        Some(digits)
    }

    /// Date and time by the terminal's clock. It sends no year: it is the one nearest to `today`.
    pub fn at(&self, today: Date) -> Option<DateTime> {
        let (date, time) = (two_digits(self.date?.0), two_digits(self.time?.0));
        let ([month, day], [hour, minute, second]) = (date?, time?);
        let time = Time::new(hour, minute, second, 0).ok()?;
        let days = |d: &Date| (*d - today).get_days().abs();
        let years = [today.year() - 1, today.year(), today.year() + 1];
        let date = years.into_iter().filter_map(|y| Date::new(y, month, day).ok()).min_by_key(days)?;
        Some(date.to_datetime(time))
    }
}

/// A number of one or two bytes.
fn number(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [one] => Some(u16::from(*one)),
        [high, low] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

fn two_digits<const N: usize>(bytes: &[u8]) -> Option<[i8; N]> {
    let mut out = [0; N];
    if bytes.len() != N {
        return None;
    }
    for (to, byte) in out.iter_mut().zip(bytes.chunks(1)) {
        *to = i8::try_from(Bcd(byte).number()?).ok()?;
    }
    Some(out)
}

fn trimmed(bytes: &[u8], charset: Charset) -> Option<String> {
    Some(charset.decode(bytes).trim().to_owned()).filter(|t| !t.is_empty())
}

impl fmt::Debug for StatusInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusInfo")
            .field("result", &self.result)
            .field("amount", &self.amount)
            .field("receipt", &self.receipt)
            .field("trace", &self.trace())
            .field("terminal_id", &self.terminal_id)
            .field("unread", &(self.data.len() - self.read))
            .finish_non_exhaustive()
    }
}

/// How long an unknown field before the result may be.
const MAX_UNKNOWN: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    // Field capture: `04 0F 5A 27 00 04 00 00 00 00 25 00 49 09 78 0C 22 55 58 0D 04 05 …`
    const CAPTURE: &[u8] =
        &[0x27, 0x00, 0x04, 0, 0, 0, 0, 0x25, 0, 0x49, 9, 0x78, 0x0c, 0x22, 0x55, 0x58, 0x0d, 0x04, 0x05];

    fn today() -> Date {
        jiff::civil::date(2026, 4, 5)
    }

    #[test]
    fn reads_the_capture() {
        let info = StatusInfo::parse(CAPTURE);
        assert_eq!((info.result, info.minor(), info.currency()), (Some(0), Some(2500), Some(Currency::EUR)));
        assert_eq!(info.at(today()).expect("a time").to_string(), "2026-04-05T22:55:58");
        assert_eq!(info.rest(), None);
        assert_eq!(info.fields().count(), 5);
    }

    #[test]
    fn the_year_is_the_nearest() {
        let data = [0x0c, 0x23, 0x59, 0x59, 0x0d, 0x12, 0x31];
        let at = StatusInfo::parse(&data).at(jiff::civil::date(2026, 1, 1)).expect("a time");
        assert_eq!(at.to_string(), "2025-12-31T23:59:59");
        assert_eq!(StatusInfo::parse(&[0x0c, 0x24, 0, 0, 0x0d, 0x13, 0x31]).at(today()), None);
    }

    #[test]
    fn an_unknown_field_hides_only_what_follows() {
        for at in [0, 2, 9, 12, 16, 19] {
            let bytes = [&CAPTURE[..at], &[0x77, 0x01], &CAPTURE[at..]].concat();
            let info = StatusInfo::parse(&bytes);
            assert_eq!(info.rest(), Some((at, &bytes[at..])));
            assert_eq!(info.result.is_some(), at >= 2);
        }
    }

    #[test]
    fn an_unknown_field_before_the_result_does_not_hide_a_result_that_can_only_be_read_one_way() {
        // A captured approval with a receipt number, after a field that no table knows.
        let rest = [CAPTURE, &[0x87, 0x04, 0x17]].concat();
        let bytes = [&[0x77, 0x01, 0x02], &rest[..]].concat();
        let info = StatusInfo::parse(&bytes);
        assert_eq!((info.result, info.minor()), (Some(0), Some(2500)));
        assert_eq!(info.receipt.map(|r| r.to_string()).as_deref(), Some("0417"));
        assert_eq!(info.rest(), Some((0, &bytes[..])), "it stays visible that something was not read");
        // Inside the unknown field stands another result, which reads as evenly: no answer is better.
        let two = [&[0x77, 0x27, 0x6c], &rest[2..], &rest[..]].concat();
        assert_eq!(StatusInfo::parse(&two).result, None);
    }

    #[test]
    fn reads_every_prefix_without_harm() {
        for end in 0..CAPTURE.len() {
            let info = StatusInfo::parse(&CAPTURE[..end]);
            let read: usize = info.fields().map(|f| 1 + f.data.len()).sum();
            assert_eq!(info.rest().map_or(end, |(at, _)| at), read);
        }
    }

    #[test]
    fn a_long_trace_number_is_in_its_tag() {
        let data = [0x0b, 0, 0, 0, 0x06, 0x07, 0x1f, 0x2b, 0x04, 0x01, 0x23, 0x45, 0x67];
        assert_eq!(StatusInfo::parse(&data).trace().expect("a trace").to_string(), "01234567");
        assert_eq!(StatusInfo::parse(&data[..4]).trace().expect("a trace").to_string(), "000000");
    }

    #[test]
    fn card_numbers_stay_masked_and_out_of_debug() {
        let open = [0x22, 0xf0, 0xf8, 0x41, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11];
        let info = StatusInfo::parse(&open);
        assert_eq!(info.masked_pan().expect("a number"), "411111******1111");
        assert!(!format!("{info:?}").contains("1111"));
        let masked = [0x22, 0xf0, 0xf5, 0xee, 0xee, 0xee, 0xee, 0x12];
        assert_eq!(StatusInfo::parse(&masked).masked_pan().expect("a number"), "********12");
    }

    #[test]
    fn texts_end_where_they_end() {
        let data = [0x8b, 0xf0, 0xf5, b'V', b'I', b'S', b'A', 0x00, 0x3c, 0xf0, 0xf0, 0xf2, b'n', b'o'];
        let info = StatusInfo::parse(&data);
        assert_eq!(info.card_name(Charset::Cp437).as_deref(), Some("VISA"));
        assert_eq!(info.text(Charset::Cp437).as_deref(), Some("no"));
    }
}
