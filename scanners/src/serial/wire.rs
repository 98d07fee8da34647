//! Bytes to lines, sans-IO.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tresen_hal::{Address, Error, Kind, Result};

use crate::AimId;

/// How a scanner frames its codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framing {
    /// Bytes before each code, such as STX; what comes before them is noise.
    pub prefix: Vec<u8>,
    /// What ends a code.
    pub suffix: Suffix,
    /// A silence that ends a code too, for scanners that send no suffix.
    pub gap: Option<Duration>,
    /// Whether `]cm` in front is an AIM identifier; off for shops whose own codes begin so.
    pub aim: bool,
    /// The longest code, in bytes; a longer one is dropped and counted.
    pub max: usize,
}

impl Default for Framing {
    /// No prefix, a line end, no gap, AIM identifiers where sent, 8 KiB: more than any symbology holds.
    fn default() -> Self {
        Self { prefix: Vec::new(), suffix: Suffix::Line, gap: None, aim: true, max: 8 * 1024 }
    }
}

/// What ends a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suffix {
    /// CR, LF, CRLF or TAB. Codes that contain one of these come in parts: use [`Suffix::Bytes`].
    Line,
    /// Exactly these bytes.
    Bytes(Vec<u8>),
    /// Nothing; the gap alone does.
    None,
}

/// The gap if there is no suffix and none is given.
const USUAL_GAP: Duration = Duration::from_millis(100);

impl Framing {
    /// The options that [`Framing::from_address`] reads.
    pub const OPTIONS: [&'static str; 5] = ["prefix", "suffix", "gap", "aim", "max"];

    /// Reads `prefix` and `suffix` (percent-encoded bytes; `suffix` may be `line` or `none`), `gap` in
    /// milliseconds, `aim` (`true`, `false`) and `max` in bytes.
    ///
    /// # Errors
    /// [`Kind::Address`] names the option and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let usual = Self::default();
        let suffix = match address.option("suffix") {
            None | Some("line") => Suffix::Line,
            Some("none" | "") => Suffix::None,
            Some(bytes) => Suffix::Bytes(bytes.into()),
        };
        let gap = address.option_as::<u64>("gap")?.map(Duration::from_millis);
        let max = address.option_as("max")?.unwrap_or(usual.max);
        if max == 0 || max > 1 << 20 {
            let why = format!("option `max={max}`: allowed are 1 to {}", 1 << 20);
            return Err(Error::new(Kind::Address, why).at(address.label()));
        }
        Ok(Self {
            prefix: address.option("prefix").unwrap_or_default().into(),
            gap: gap.filter(|g| !g.is_zero()).or((suffix == Suffix::None).then_some(USUAL_GAP)),
            suffix,
            aim: address.option_as("aim")?.unwrap_or(usual.aim),
            max,
        })
    }
}

/// One code as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The AIM identifier, where sent.
    pub aim: Option<AimId>,
    /// The data, never empty.
    pub data: Vec<u8>,
}

/// What was thrown away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Codes longer than [`Framing::max`].
    pub oversized: u64,
    /// Codes without the prefix.
    pub unframed: u64,
}

/// Cuts a stream of bytes, split anywhere, into codes.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    partial: Vec<u8>,
    /// The rest of this line is thrown away.
    skipping: bool,
    last: Option<Instant>,
    lines: VecDeque<Line>,
    counters: Counters,
}

impl Decoder {
    /// A decoder at the beginning of a line.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            partial: Vec::new(),
            skipping: false,
            last: None,
            lines: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Bytes that came at `now`.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) {
        self.timeout(now);
        for &byte in bytes {
            self.partial.push(byte);
            let end = match &self.framing.suffix {
                Suffix::Line => matches!(byte, b'\r' | b'\n' | b'\t').then_some(1),
                Suffix::Bytes(suffix) => (!suffix.is_empty() && self.partial.ends_with(suffix)).then_some(suffix.len()),
                Suffix::None => None,
            };
            match end {
                Some(suffix) => self.end_line(suffix),
                None => self.bound(),
            }
        }
        self.last = (self.skipping || !self.partial.is_empty()).then_some(now);
    }

    /// The next code.
    pub fn next_line(&mut self) -> Option<Line> {
        self.lines.pop_front()
    }

    /// When the gap will have passed; none if no code is pending or no gap is set.
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.last? + self.framing.gap?)
    }

    /// Ends the pending code if its gap has passed at `now`.
    pub fn timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.end_line(0);
            self.last = None;
        }
    }

    /// Throws away what is complete, and the line that has begun up to its end.
    pub fn discard(&mut self) {
        self.lines.clear();
        self.skipping |= !self.partial.is_empty();
        self.partial.clear();
    }

    /// Bytes were lost at `now`: throws away the line that has begun, or is about to, up to its end.
    pub(crate) fn interrupt(&mut self, now: Instant) {
        self.partial.clear();
        self.skipping = true;
        self.last = Some(now);
    }

    /// What was thrown away so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn end_line(&mut self, suffix: usize) {
        let skipped = std::mem::take(&mut self.skipping);
        let mut data = std::mem::take(&mut self.partial);
        data.truncate(data.len().saturating_sub(suffix));
        if skipped || data.is_empty() {
            return;
        }
        let prefix = &self.framing.prefix;
        if !prefix.is_empty() {
            match data.windows(prefix.len()).position(|w| w == prefix) {
                Some(at) => drop(data.drain(..at + prefix.len())),
                None => {
                    self.counters.unframed += 1;
                    tracing::warn!(bytes = data.len(), "dropped a code without the prefix that is configured");
                    return;
                }
            }
        }
        let aim = if self.framing.aim { AimId::split(&data).map(|(aim, _)| aim) } else { None };
        if aim.is_some() {
            data.drain(..3);
        }
        if !data.is_empty() {
            self.lines.push_back(Line { aim, data });
        }
    }

    /// Keeps the pending line within its bound; while skipping, only what may be part of the suffix.
    fn bound(&mut self) {
        let suffix = match &self.framing.suffix {
            Suffix::Bytes(suffix) => suffix.len().max(1),
            _ => 1,
        };
        if !self.skipping && self.partial.len() > self.framing.max + self.framing.prefix.len() + suffix + 3 {
            self.skipping = true;
            self.counters.oversized += 1;
            tracing::warn!(max = self.framing.max, "dropped a code that is longer than allowed");
        }
        if self.skipping && self.partial.len() >= 2 * suffix {
            self.partial.drain(..self.partial.len() - (suffix - 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `bytes` decode to, fed in one piece and split at every byte.
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

    #[test]
    fn any_line_end_ends_a_code() {
        let (got, _) = lines(&Framing::default(), b"1\r2\n3\r\n4\t\r\n]E04006381333931\r]C1\r]C\r5");
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
    fn bytes_that_are_no_text_and_separators_stay() {
        let (got, _) = lines(&Framing::default(), b"]d210AB\x1d21\xfc\x00\r");
        assert_eq!(got, [line("]d2", b"10AB\x1d21\xfc\x00")]);
    }

    #[test]
    fn a_prefix_and_its_own_suffix() {
        let framing = Framing { prefix: vec![2], suffix: Suffix::Bytes(vec![3, 3]), aim: false, ..Framing::default() };
        let (got, counters) = lines(&framing, b"noise\x02]E01\r\x03\x03none\x03\x03\x022\x033\x03\x03");
        assert_eq!(got, [line("", b"]E01\r"), line("", b"2\x033")]);
        assert_eq!(counters, Counters { oversized: 0, unframed: 1 });
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
        let framing = Framing { max: 8, ..Framing::default() };
        let mut bytes = vec![b'x'; 100];
        bytes.extend(b"\r12345678\r");
        let (got, counters) = lines(&framing, &bytes);
        assert_eq!(got, [line("", b"12345678")]);
        assert_eq!(counters.oversized, 1);
        let framing = Framing { suffix: Suffix::Bytes(b"END".into()), ..framing };
        let mut bytes = vec![b'x'; 100];
        bytes.extend(b"EEND12345678END");
        assert_eq!(lines(&framing, &bytes).0, [line("", b"12345678")]);
    }

    #[test]
    fn what_is_discarded_ends_at_the_end_of_its_line() {
        let mut decoder = Decoder::new(Framing::default());
        let now = Instant::now();
        decoder.feed(b"1\r40063", now);
        decoder.discard();
        decoder.feed(b"81333931\r2\r", now);
        assert_eq!(decoder.next_line().map(|l| l.data).as_deref(), Some(&b"2"[..]));
        assert_eq!(decoder.next_line(), None);
    }

    #[test]
    fn reads_an_address() {
        let framing = |options: &str| {
            Framing::from_address(&format!("scanner+serial:///dev/ttyS0?{options}").parse().expect("an address"))
        };
        assert_eq!(framing("baud=9600").expect("good"), Framing::default());
        let got = framing("prefix=%02&suffix=%03&gap=50&aim=false&max=100").expect("good");
        let want = Framing {
            prefix: vec![2],
            suffix: Suffix::Bytes(vec![3]),
            gap: Some(Duration::from_millis(50)),
            aim: false,
            max: 100,
        };
        assert_eq!(got, want);
        assert_eq!(framing("suffix=none").expect("good").gap, Some(USUAL_GAP));
        for bad in ["gap=soon", "aim=perhaps", "max=0"] {
            let error = framing(bad).expect_err(bad);
            assert!(error.kind() == Kind::Address && error.to_string().contains(bad), "{error}");
        }
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
