//! The line decoder, sans-IO.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tresen_hal::{Error, Kind, Result};

use super::code_id::{CodeId, UpcE};
use crate::gs1::GS;
use crate::{AimId, Gtin, Symbology};

/// How a scanner frames its codes.
///
/// A QR code may contain line breaks (a contact, a payment, a driving licence), and what follows one must never be
/// taken for a scan of its own. So a suffix ends a code at once only if the code is evidently complete, such as an
/// article number with the right check digit. Any other code ends when the scanner has been silent for
/// [`Framing::quiet`] after the suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framing {
    /// Bytes before each code, such as STX. Anything in front of them is discarded.
    pub prefix: Vec<u8>,
    /// What ends a code.
    pub suffix: Suffix,
    /// How long a scanner must be silent after the suffix to end a code that may itself contain the suffix. Zero: every
    /// suffix ends a code, for scanners in batch mode and shops without two-dimensional codes.
    pub quiet: Duration,
    /// A silence that ends a code without suffix.
    pub gap: Option<Duration>,
    /// Whether `]cm` in front is an AIM identifier; off for shops whose own codes begin that way.
    pub aim: bool,
    /// The vendor's code identifier in front of each code, instead of an AIM identifier.
    pub code_id: Option<CodeId>,
    /// How to recognise a UPC-E without identifier.
    pub upc_e: UpcE,
    /// The longest code, in bytes. A longer one is discarded and counted.
    pub max: usize,
}

impl Default for Framing {
    /// No prefix, a line end followed by 50 ms of silence, no gap, AIM identifiers recognised, at most 8 KiB: more than
    /// any symbology holds.
    fn default() -> Self {
        Self {
            prefix: Vec::new(),
            suffix: Suffix::Line,
            quiet: QUIET,
            gap: None,
            aim: true,
            code_id: None,
            upc_e: UpcE::default(),
            max: 8 * 1024,
        }
    }
}

/// What ends a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suffix {
    /// CR, LF, CRLF or TAB.
    Line,
    /// Exactly these bytes.
    Bytes(Vec<u8>),
    /// Nothing; only [`Framing::gap`] does.
    None,
}

impl Framing {
    /// Checks that a code can ever be complete.
    ///
    /// # Errors
    /// [`Kind::Config`]: `max` is 0, or there is neither suffix nor gap.
    pub(crate) fn check(&self) -> Result<()> {
        if self.max == 0 {
            return Err(Error::new(Kind::Config, "`max` is 0; expected at least 1 byte"));
        }
        let has_suffix = match &self.suffix {
            Suffix::Line => true,
            Suffix::Bytes(bytes) => !bytes.is_empty(),
            Suffix::None => false,
        };
        if has_suffix || self.gap.is_some() {
            return Ok(());
        }
        Err(Error::new(Kind::Config, "neither a suffix nor a gap ends a code").hint("set one of them"))
    }
}

/// One received code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The AIM identifier that was sent, or the equivalent of the vendor's code identifier.
    pub aim: Option<AimId>,
    /// Without identifier, the symbology that [`Framing::upc_e`] implies.
    pub symbology: Option<Symbology>,
    /// The data, never empty.
    pub data: Vec<u8>,
}

/// How much was discarded, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Codes longer than [`Framing::max`].
    pub oversized: u64,
    /// Codes without the prefix.
    pub unframed: u64,
    /// Codes, or parts of one, that no suffix followed within a second.
    pub unended: u64,
    /// Garbage, as from a wrong baud rate.
    pub garbled: u64,
}

/// Splits a stream of bytes, in chunks of any size, into codes.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    partial: Vec<u8>,
    /// The length of the suffix that `partial` ends with; 0 if it does not.
    mark: usize,
    /// The last byte was a CR that ended a code: a following LF belongs to it.
    after_cr: bool,
    /// The rest of this code is discarded.
    skipping: bool,
    /// The bytes were typed, so a wrong baud rate cannot have garbled them.
    typed: bool,
    last: Option<Instant>,
    lines: VecDeque<Line>,
    counters: Counters,
}

impl Decoder {
    /// A decoder that has received nothing yet.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            partial: Vec::new(),
            mark: 0,
            after_cr: false,
            skipping: false,
            typed: false,
            last: None,
            lines: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// The same decoder for keyboard mode, where no baud rate can be wrong.
    pub(crate) fn typed(mut self) -> Self {
        self.typed = true;
        self
    }

    /// Takes bytes that arrived at `now`.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) {
        self.timeout(now);
        for &byte in bytes {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                continue;
            }
            if byte == b']' && self.mark > 0 && !self.skipping && self.is_linear() {
                // The identifier of the next code.
                self.end_line();
            }
            let crlf = self.mark == 1 && byte == b'\n' && self.partial.last() == Some(&b'\r');
            self.partial.push(byte);
            self.mark = match &self.framing.suffix {
                Suffix::Line if crlf => 2,
                Suffix::Line => usize::from(matches!(byte, b'\r' | b'\n' | b'\t')),
                Suffix::Bytes(suffix) if !suffix.is_empty() && self.partial.ends_with(suffix) => suffix.len(),
                Suffix::Bytes(_) | Suffix::None => 0,
            };
            if self.mark > 0 && self.ends_at_once() {
                self.after_cr = self.framing.suffix == Suffix::Line && byte == b'\r';
                self.end_line();
            } else {
                self.bound();
            }
        }
        self.last = (self.skipping || !self.partial.is_empty()).then_some(now);
    }

    /// The next code.
    pub fn next_line(&mut self) -> Option<Line> {
        self.lines.pop_front()
    }

    /// When [`Decoder::timeout`] is due; `None` if no bytes are pending.
    pub fn deadline(&self) -> Option<Instant> {
        let silence = if self.mark > 0 { self.framing.quiet } else { UNENDED };
        Some(self.last? + self.framing.gap.map_or(silence, |gap| gap.min(silence)))
    }

    /// Completes or discards the pending bytes if nothing has arrived for long enough by `now`.
    pub fn timeout(&mut self, now: Instant) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        if self.mark > 0 || self.framing.gap.is_some() {
            self.end_line();
        } else if !std::mem::take(&mut self.skipping) {
            self.counters.unended += 1;
            tracing::warn!(
                bytes = self.partial.len(),
                "discarded a code without suffix; if that happens to all, set `suffix` to what the scanner sends, or to `none`"
            );
        }
        self.partial.clear();
        (self.mark, self.last) = (0, None);
    }

    /// The link has ended: completes a pending code that has its suffix, discards any other.
    pub(crate) fn close(&mut self) {
        if self.mark > 0 {
            self.end_line();
        }
        self.partial.clear();
        self.last = None;
    }

    /// Discards all complete codes, and the rest of a pending one.
    pub fn discard(&mut self) {
        self.lines.clear();
        self.skipping |= !self.partial.is_empty();
        self.partial.clear();
        self.mark = 0;
    }

    /// Bytes were lost at `now`: discards the pending or next code up to its end.
    pub(crate) fn interrupt(&mut self, now: Instant) {
        self.partial.clear();
        (self.mark, self.skipping, self.last) = (0, true, Some(now));
    }

    /// How much was discarded so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether the suffix that has just arrived ends the code without waiting for silence.
    fn ends_at_once(&self) -> bool {
        self.framing.quiet.is_zero()
            || (!self.skipping && self.is_complete(&self.partial[..self.partial.len() - self.mark]))
    }

    /// Whether `data` is a complete code of a symbology that cannot contain a line end.
    fn is_complete(&self, data: &[u8]) -> bool {
        let prefix = &self.framing.prefix;
        let Some(at) = find(data, prefix) else { return false };
        let data = &data[at + prefix.len()..];
        let (aim, data) = self.identify(data);
        match aim {
            Some(aim) => aim.excludes_line_ends() && !data.is_empty() && data.iter().all(|b| *b >= b' ' || *b == GS),
            None => std::str::from_utf8(data).is_ok_and(|text| Gtin::parse(text).is_ok()),
        }
    }

    /// Whether the pending code is linear. Linear codes with a line break are so rare that an identifier after one is
    /// taken for the beginning of the next code: scanners with a memory send many in one burst.
    fn is_linear(&self) -> bool {
        let prefix = &self.framing.prefix;
        let data = find(&self.partial, prefix).map(|at| &self.partial[at + prefix.len()..]);
        data.is_some_and(|data| self.framing.aim && AimId::split(data).is_some_and(|(aim, _)| aim.is_linear()))
    }

    /// Splits the identifier off, if any.
    fn identify<'a>(&self, data: &'a [u8]) -> (Option<AimId>, &'a [u8]) {
        if let (true, Some((aim, rest))) = (self.framing.aim, AimId::split(data)) {
            return (Some(aim), rest);
        }
        self.framing.code_id.and_then(|id| id.split(data)).unwrap_or((None, data))
    }

    fn end_line(&mut self) {
        let mut data = std::mem::take(&mut self.partial);
        data.truncate(data.len() - std::mem::take(&mut self.mark));
        if std::mem::take(&mut self.skipping) || data.is_empty() {
            return;
        }
        let prefix = &self.framing.prefix;
        match find(&data, prefix) {
            Some(at) => drop(data.drain(..at + prefix.len())),
            None => {
                self.counters.unframed += 1;
                tracing::warn!(bytes = data.len(), "discarded a code without the configured prefix");
                return;
            }
        }
        let (aim, data) = self.identify(&data);
        if aim.is_none() && !self.typed && is_garbled(data) {
            self.counters.garbled += 1;
            tracing::warn!(bytes = data.len(), "discarded garbage; is the baud rate right?");
        } else if !data.is_empty() {
            let symbology = if aim.is_none() { self.framing.upc_e.symbology(data) } else { None };
            let data = data.to_owned();
            self.lines.push_back(Line { aim, symbology, data });
        }
    }

    /// Bounds the pending bytes; while skipping, keeps only what may be part of the suffix.
    fn bound(&mut self) {
        let suffix = match &self.framing.suffix {
            Suffix::Bytes(suffix) => suffix.len().max(1),
            _ => 2,
        };
        if !self.skipping && self.partial.len() > self.framing.max + self.framing.prefix.len() + suffix + 3 {
            self.skipping = true;
            self.counters.oversized += 1;
            tracing::warn!(max = self.framing.max, "discarded a code longer than `max`");
        }
        if self.skipping && self.partial.len() >= 2 * suffix {
            self.partial.drain(..self.partial.len() - suffix);
        }
    }
}

/// Where `prefix` begins in `data`; at the front if there is none.
fn find(data: &[u8], prefix: &[u8]) -> Option<usize> {
    if prefix.is_empty() { Some(0) } else { data.windows(prefix.len()).position(|w| w == prefix) }
}

/// Whether these bytes look like the result of a wrong baud rate: invalid UTF-8, with control characters that codes do
/// not contain. Binary data only comes from scanners that send identifiers.
fn is_garbled(data: &[u8]) -> bool {
    // EOT and the separators FS, GS, RS and US stand in codes of the ISO/IEC 15434 formats.
    let odd = |b: &u8| *b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r' | 0x04 | 0x1c..=0x1f);
    std::str::from_utf8(data).is_err() && data.iter().any(odd)
}

/// The default of [`Framing::quiet`]: longer than pauses within a burst, shorter than a cashier notices.
const QUIET: Duration = Duration::from_millis(50);
/// The default gap without suffix.
pub(super) const USUAL_GAP: Duration = Duration::from_millis(100);
/// The pause after which pending bytes without suffix are discarded.
const UNENDED: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `bytes` fed whole, split at every byte, and byte by byte.
    fn lines(framing: &Framing, bytes: &[u8]) -> (Vec<(String, Vec<u8>)>, Counters) {
        let now = Instant::now();
        let run = |pieces: &[&[u8]]| {
            let mut decoder = Decoder::new(framing.clone());
            pieces.iter().for_each(|piece| decoder.feed(piece, now));
            if let Some(at) = decoder.deadline() {
                decoder.timeout(at);
            }
            let lines: Vec<_> = std::iter::from_fn(|| decoder.next_line())
                .map(|l| (l.aim.map(|a| a.to_string()).unwrap_or_default(), l.data))
                .collect();
            (lines, decoder.counters())
        };
        let whole = run(&[bytes]);
        for at in 0..=bytes.len() {
            assert_eq!(run(&[&bytes[..at], &bytes[at..]]), whole, "split at {at}");
        }
        assert_eq!(run(&bytes.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
        whole
    }

    fn line(aim: &str, data: &[u8]) -> (String, Vec<u8>) {
        (aim.to_owned(), data.to_vec())
    }

    /// No silence needed: batch mode.
    fn at_once() -> Framing {
        Framing { quiet: Duration::ZERO, ..Framing::default() }
    }

    #[test]
    fn any_line_end_ends_a_code() {
        let (got, _) = lines(&at_once(), b"1\r2\n3\r\n4\t\r\n]E04006381333931\r]C1\r]C\r5");
        let want = [
            line("", b"1"),
            line("", b"2"),
            line("", b"3"),
            line("", b"4"),
            line("]E0", b"4006381333931"),
            line("", b"]C"),
        ];
        assert_eq!(got, want, "the last has no end");
    }

    #[test]
    fn a_code_with_line_breaks_is_one_code() {
        let contact = b"]Q1BEGIN:VCARD\nFN:Max\nEND:VCARD\r";
        assert_eq!(lines(&Framing::default(), contact).0, [line("]Q1", b"BEGIN:VCARD\nFN:Max\nEND:VCARD")]);
        // None of these may yield the article in its second line.
        for injected in [
            &b"]Q1\r4006381333931\r\n"[..],
            b"]d1x\r]E04006381333931\r\n",
            b"]C0x\r4006381333931\r\n",
            b"\r4006381333931\r\n",
            b"voucher\t4006381333931\r\n",
        ] {
            let (got, _) = lines(&Framing::default(), injected);
            assert_eq!(got.len(), 1, "{}", injected.escape_ascii());
            assert_ne!(got[0].1, b"4006381333931", "{}", injected.escape_ascii());
        }
        let (got, _) = lines(&Framing { aim: false, ..Framing::default() }, b"]Q1a\rb\r\n");
        assert_eq!(got, [line("", b"]Q1a\rb")]);
    }

    #[test]
    fn linear_codes_in_one_burst_are_told_apart_by_their_identifiers() {
        let (got, _) = lines(&Framing::default(), b"]C0A\r\n]C0B\r\n]A0C\r\n]Q1D\r\nE\r\n");
        assert_eq!(got, [line("]C0", b"A"), line("]C0", b"B"), line("]A0", b"C"), line("]Q1", b"D\r\nE")]);
    }

    #[test]
    fn articles_do_not_wait_for_silence() {
        let mut decoder = Decoder::new(Framing::default());
        let now = Instant::now();
        decoder.feed(b"4006381333931\r\n]E096385074\r\n]I110614141543219\r\n]C1010950600013435210A\x1d21B\r\n", now);
        let got: Vec<_> = std::iter::from_fn(|| decoder.next_line()).map(|l| l.data).collect();
        assert_eq!(got, [&b"4006381333931"[..], b"96385074", b"10614141543219", b"010950600013435210A\x1d21B"]);
        assert_eq!(decoder.deadline(), None);
        decoder.feed(b"]Q1x\r", now);
        assert_eq!(decoder.next_line(), None);
        assert_eq!(decoder.deadline(), Some(now + QUIET));
        decoder.feed(b"\n", now + QUIET / 2);
        decoder.timeout(now + QUIET);
        assert_eq!(decoder.next_line(), None, "the line end came in two pieces");
        decoder.timeout(now + QUIET * 3 / 2);
        assert_eq!(decoder.next_line().map(|l| l.data).as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn a_code_without_an_end_is_dropped_and_counted() {
        let mut decoder = Decoder::new(Framing::default());
        let start = Instant::now();
        decoder.feed(b"4006381333931", start);
        decoder.feed(b"4012345678901\r", start + UNENDED);
        assert_eq!(decoder.next_line().map(|l| l.data).as_deref(), Some(&b"4012345678901"[..]));
        assert_eq!((decoder.next_line(), decoder.counters().unended), (None, 1));
    }

    #[test]
    fn what_a_wrong_baud_rate_makes_of_a_code_is_no_scan() {
        let (got, counters) = lines(&Framing::default(), b"\xff\x00\xfe\x80]E0400\xf5\r\n");
        assert_eq!((got.len(), counters.garbled), (0, 1));
        assert_eq!(lines(&Framing::default(), b"M\xfcsli\r").0, [line("", b"M\xfcsli")], "Latin-1 is text");
    }

    #[test]
    fn vendors_identifiers_are_read_where_configured() {
        let framing = Framing { code_id: Some(CodeId::Honeywell), ..Framing::default() };
        assert_eq!(lines(&framing, b"d4006381333931\r\n").0, [line("]E0", b"4006381333931")]);
        assert_eq!(lines(&framing, b"sx\ny\r\n").0, [line("]Q1", b"x\ny")]);
        assert_eq!(lines(&Framing::default(), b"d4006381333931\r\n").0, [line("", b"d4006381333931")]);
    }

    #[test]
    fn bytes_that_are_no_text_and_separators_stay() {
        let (got, _) = lines(&Framing::default(), b"]d210AB\x1d21\xfc\x00\r");
        assert_eq!(got, [line("]d2", b"10AB\x1d21\xfc\x00")]);
    }

    #[test]
    fn a_prefix_and_its_own_suffix() {
        let framing = Framing { prefix: vec![2], suffix: Suffix::Bytes(vec![3, 3]), aim: false, ..at_once() };
        let (got, counters) = lines(&framing, b"noise\x02]E01\r\x03\x03none\x03\x03\x022\x033\x03\x03");
        assert_eq!(got, [line("", b"]E01\r"), line("", b"2\x033")]);
        assert_eq!(counters, Counters { unframed: 1, ..Counters::default() });
    }

    #[test]
    fn a_gap_ends_a_code_that_has_no_end() {
        let framing = Framing { suffix: Suffix::None, gap: Some(Duration::from_millis(100)), ..Framing::default() };
        let mut decoder = Decoder::new(framing);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(decoder.deadline(), None);
        decoder.feed(b"4006", at(0));
        decoder.feed(b"381333931", at(60));
        assert_eq!(decoder.deadline(), Some(at(160)));
        decoder.timeout(at(159));
        assert_eq!(decoder.next_line(), None);
        decoder.timeout(at(160));
        assert_eq!(decoder.next_line().map(|l| l.data).as_deref(), Some(&b"4006381333931"[..]));
        assert_eq!(decoder.deadline(), None);
        decoder.feed(b"1", at(200));
        decoder.feed(b"2", at(300));
        assert_eq!(decoder.next_line().map(|l| l.data).as_deref(), Some(&b"1"[..]), "late bytes begin a new code");
    }

    #[test]
    fn an_oversized_code_is_dropped_and_counted() {
        let framing = Framing { max: 8, ..at_once() };
        let mut bytes = vec![b'x'; 100];
        bytes.extend(b"\r12345678\r");
        let (got, counters) = lines(&framing, &bytes);
        assert_eq!(got, [line("", b"12345678")]);
        assert_eq!(counters.oversized, 1);
        let framing = Framing { suffix: Suffix::Bytes(b"END".into()), ..framing };
        let mut bytes = vec![b'x'; 100];
        bytes.extend(b"EEND12345678END");
        assert_eq!(lines(&framing, &bytes).0, [line("", b"12345678")]);
        // What follows a line break in an oversized code belongs to it.
        let framing = Framing { max: 8, ..Framing::default() };
        let (got, counters) = lines(&framing, b"]Q1123456789012345678\r4006381333931\r");
        assert_eq!((got.len(), counters.oversized), (0, 1));
    }

    #[test]
    fn what_is_discarded_ends_at_the_end_of_its_line() {
        let mut decoder = Decoder::new(Framing::default());
        let now = Instant::now();
        decoder.feed(b"96385074\r40063", now);
        decoder.discard();
        decoder.feed(b"81333931\r", now);
        decoder.feed(b"2\r", now + QUIET);
        decoder.timeout(now + 2 * QUIET);
        assert_eq!(decoder.next_line().map(|l| l.data).as_deref(), Some(&b"2"[..]));
        assert_eq!(decoder.next_line(), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic_and_nothing_grows(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
            suffix in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..4),
            prefix in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..3),
        ) {
            for suffix in [Suffix::Line, Suffix::Bytes(suffix), Suffix::None] {
                let framing = Framing { prefix: prefix.clone(), suffix, max: 16, ..Framing::default() };
                let mut decoder = Decoder::new(framing);
                for piece in bytes.chunks(7) {
                    decoder.feed(piece, Instant::now());
                    proptest::prop_assert!(decoder.partial.len() <= 32);
                }
                while let Some(line) = decoder.next_line() {
                    proptest::prop_assert!(!line.data.is_empty() && line.data.len() <= 32);
                }
            }
        }
    }
}
