//! The decoder of input reports, sans-IO.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::layout::{Layout, ScanReport};
use crate::AimId;

/// The longest code in bytes, over all its reports: far more than any symbology holds.
pub const MAX: usize = 64 * 1024;

/// The reports of one code arrive at the pace of the device's interrupt endpoint, at most 255 ms apart (USB 2.0,
/// section 9.6.6, bInterval). Later reports belong to another code.
const CONTINUATION: Duration = Duration::from_millis(500);

/// One received code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The AIM identifier, if sent.
    pub aim: Option<AimId>,
    /// The vendor's letter for the symbology, if the descriptor declares it.
    pub id: Option<u8>,
    /// The data, never empty.
    pub data: Vec<u8>,
}

/// How much was discarded, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Codes longer than [`MAX`].
    pub oversized: u64,
    /// Reports that are cut off, or whose data length exceeds the field.
    pub invalid: u64,
    /// Codes whose last report never arrived.
    pub abandoned: u64,
    /// Reports of other kinds, such as a scanner's status.
    pub unknown: u64,
}

/// Assembles codes from reports.
#[derive(Debug)]
pub struct Decoder {
    layout: Layout,
    chain: Option<Chain>,
    /// When the next report of the chain is due.
    deadline: Option<Instant>,
    codes: VecDeque<Code>,
    counters: Counters,
}

/// An incomplete code.
#[derive(Debug)]
struct Chain {
    aim: Option<AimId>,
    id: Option<u8>,
    data: Vec<u8>,
    /// Part of it was invalid: the rest is discarded.
    skip: bool,
}

/// The contents of one report.
struct Part<'a> {
    aim: Option<AimId>,
    id: Option<u8>,
    data: &'a [u8],
    more: bool,
}

impl Decoder {
    /// A decoder that has received nothing yet.
    pub fn new(layout: Layout) -> Self {
        Self { layout, chain: None, deadline: None, codes: VecDeque::new(), counters: Counters::default() }
    }

    /// The layout of the reports.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Takes a report that arrived at `now`; or several, which a recording or TCP may have joined.
    pub fn feed(&mut self, reports: &[u8], now: Instant) {
        if self.deadline.is_some_and(|at| at <= now) {
            self.abandon();
        }
        let mut rest = reports;
        while !rest.is_empty() {
            let Some(layout) = self.layout.scan_report(rest) else {
                self.counters.unknown += 1;
                tracing::debug!(number = rest[0], "ignored a report without scanned data");
                return;
            };
            let (report, after) = rest.split_at(layout.size.clamp(1, rest.len()));
            let part = layout.read(report);
            rest = after;
            match part {
                Ok(part) => self.add(part, now),
                Err(more) => self.invalid(more, now),
            }
        }
    }

    /// The next code.
    pub fn next_code(&mut self) -> Option<Code> {
        self.codes.pop_front()
    }

    /// Discards all complete codes, and the rest of a pending one.
    pub fn discard(&mut self) {
        self.codes.clear();
        if let Some(chain) = &mut self.chain {
            chain.skip = true;
            chain.data.clear();
        }
    }

    /// How much was discarded so far. A code without end is counted when the next report arrives.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn add(&mut self, part: Part<'_>, now: Instant) {
        let another = self.chain.as_ref().is_some_and(|c| c.aim.is_some() && part.aim.is_some() && c.aim != part.aim);
        if another {
            self.abandon();
        }
        self.deadline = None;
        let mut chain =
            self.chain.take().unwrap_or(Chain { aim: part.aim, id: part.id, data: Vec::new(), skip: false });
        if !chain.skip {
            chain.data.extend_from_slice(part.data);
            if chain.data.len() > MAX {
                self.counters.oversized += 1;
                tracing::warn!(max = MAX, "discarded an oversized code");
                chain.skip = true;
                chain.data = Vec::new();
            }
        }
        if part.more {
            self.chain = Some(chain);
            self.deadline = Some(now + CONTINUATION);
        } else if !chain.skip && !chain.data.is_empty() {
            self.codes.push_back(Code { aim: chain.aim, id: chain.id, data: chain.data });
        }
    }

    /// A report is invalid, and so is its code, the rest of which is discarded as well.
    fn invalid(&mut self, more: bool, now: Instant) {
        self.counters.invalid += 1;
        tracing::warn!("discarded a scan with an invalid report");
        let aim = self.chain.take().and_then(|c| c.aim);
        self.chain = more.then_some(Chain { aim, id: None, data: Vec::new(), skip: true });
        self.deadline = more.then_some(now + CONTINUATION);
    }

    fn abandon(&mut self) {
        self.deadline = None;
        if self.chain.take().is_some_and(|c| !c.skip) {
            self.counters.abandoned += 1;
            tracing::warn!("discarded a scan without its last report");
        }
    }
}

impl ScanReport {
    /// The contents of a report; if it is invalid, whether more of the same code is to be expected.
    fn read<'a>(&self, report: &'a [u8]) -> Result<Part<'a>, bool> {
        let more = match self.more {
            Some(bit) => report.get(bit / 8).map(|byte| byte >> (bit % 8) & 1 == 1),
            None => Some(false),
        };
        let field = report.get(self.data.clone());
        let length = match &self.length {
            Some(at) => report.get(at.clone()).map(|b| b.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte))),
            None => field.map(|field| field.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)),
        };
        // Cut off before the continued bit: assume that only a full field is continued.
        let expected = more.unwrap_or(length.is_none_or(|length| length >= self.data.len()));
        let (Some(more), Some(data)) = (more, field.zip(length).and_then(|(field, length)| field.get(..length))) else {
            return Err(expected);
        };
        let aim = match self.aim {
            Some(at) => {
                let [a, b, c] = at.map(|at| report.get(at).copied().unwrap_or(0));
                AimId::split(&[a, b, c]).map(|(aim, _)| aim)
            }
            None => None,
        };
        let id = self.code_id.and_then(|at| report.get(at).copied()).filter(|id| *id != 0);
        Ok(Part { aim, id, data, more })
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::default_for;
    use super::super::layout::tests::{dumped, hex};
    use super::*;

    /// A report of the standard layout, as Honeywell's scanners send it.
    fn report(length: u8, aim: &[u8; 3], data: &[u8], more: u8) -> Vec<u8> {
        let mut report = vec![2, length];
        report.extend(aim);
        report.extend(data);
        report.resize(63, 0);
        report.push(more);
        report
    }

    fn decode(layout: Layout, reports: &[Vec<u8>]) -> (Vec<(String, String)>, Counters) {
        let mut decoder = Decoder::new(layout);
        let now = Instant::now();
        reports.iter().for_each(|r| decoder.feed(r, now));
        let text =
            |c: Code| (c.aim.map(|a| a.to_string()).unwrap_or_default(), String::from_utf8_lossy(&c.data).into());
        (std::iter::from_fn(|| decoder.next_code()).map(text).collect(), decoder.counters())
    }

    fn code(aim: &str, data: &str) -> (String, String) {
        (aim.into(), data.into())
    }

    /// Captures of scanners: testdata/README.md.
    #[test]
    fn reads_captured_reports() {
        let captured = |text: &str| -> Vec<Vec<u8>> { text.lines().map(hex).collect() };
        let honeywell = captured(include_str!("testdata/honeywell-0c2e-1007.txt"));
        let lorem = "gna aliqua. Ut enim ad minim veniam, quis nostrud exerci\
            ulpa qui officia deserunt mollit anim id est laborum.";
        let expected = vec![code("]E0", "306030209223"), code("]Q1", lorem)];
        for layout in [Layout::standard(), Layout::from_descriptor(&dumped()).expect("good")] {
            assert_eq!(decode(layout, &honeywell), (expected.clone(), Counters::default()));
        }
        let mut decoder = Decoder::new(Layout::standard());
        decoder.feed(&honeywell[0], Instant::now());
        assert_eq!(decoder.next_code().expect("one").id, Some(b'c'));
        let zebra = captured(include_str!("testdata/zebra-05e0-2100.txt"));
        let expected = vec![code("]Xg", "306030209223"), code("]Q1", lorem)];
        assert_eq!(decode(Layout::zebra(), &zebra), (expected.clone(), Counters::default()));
        // The vendor need not be known: the flag character of the AIM identifier decides.
        for vendor in [None, Some(0x05e0)] {
            assert_eq!(decode(default_for(vendor), &zebra).0, expected);
            assert_eq!(decode(default_for(vendor), &honeywell[..1]).0, [code("]E0", "306030209223")]);
        }
    }

    /// The example of the Access-IS LSR118 product manual, appendix B.1.1: 60 bytes in two reports.
    #[test]
    fn puts_continued_reports_together() {
        let first = report(56, b"]Q0", b"M1GATHERGOOD/MICHAEL YABCDEF LHRDURAK 3542 052Y003D23  s", 1);
        let second = report(4, b"]Q0", b" 100", 0);
        let (codes, counters) = decode(Layout::standard(), &[first.clone(), second.clone()]);
        let whole = "M1GATHERGOOD/MICHAEL YABCDEF LHRDURAK 3542 052Y003D23  s 100";
        assert_eq!((codes, counters), (vec![code("]Q0", whole)], Counters::default()));
        let joined = [first, second].concat();
        assert_eq!(decode(Layout::standard(), &[joined]).0, [code("]Q0", whole)], "joined, as over TCP");
    }

    /// Newland's FM430 sends 02, length, 56 bytes of data, its code id at 62.
    #[test]
    fn reads_newland() {
        let mut report = vec![2, 13];
        report.extend(b"4006381333931");
        report.resize(64, 0);
        report[62] = b'd';
        let mut decoder = Decoder::new(Layout::newland());
        decoder.feed(&report, Instant::now());
        let expected = Code { aim: None, id: Some(b'd'), data: b"4006381333931".to_vec() };
        assert_eq!(decoder.next_code(), Some(expected));
    }

    #[test]
    fn a_length_that_does_not_fit_is_invalid() {
        let good = report(3, b"]C0", b"123", 0);
        let (codes, counters) = decode(Layout::standard(), &[report(57, b"]C0", b"123", 0), good.clone()]);
        assert_eq!((codes, counters.invalid), (vec![code("]C0", "123")], 1));
        // The rest of a code with an invalid report is discarded.
        let reports = [report(255, b"]C0", b"1", 1), report(3, b"]C0", b"456", 0), good.clone()];
        let (codes, counters) = decode(Layout::standard(), &reports);
        assert_eq!((codes, counters.invalid), (vec![code("]C0", "123")], 1));
        for end in 1..64 {
            let (codes, counters) = decode(Layout::standard(), &[good[..end].to_vec(), good.clone()]);
            assert_eq!(counters.invalid, 1, "cut off at {end}");
            // Before its length has arrived, it is open whether more is to come.
            assert_eq!(codes.len(), usize::from(end > 1), "cut off at {end}");
        }
    }

    #[test]
    fn a_code_without_end_does_not_swallow_the_next() {
        let begun = report(56, b"]Q1", &[b'x'; 56], 1);
        let next = report(3, b"]E0", b"123", 0);
        let (codes, counters) = decode(Layout::standard(), &[begun.clone(), next.clone()]);
        assert_eq!((codes, counters.abandoned), (vec![code("]E0", "123")], 1), "by another identifier");
        let mut decoder = Decoder::new(Layout::standard());
        let now = Instant::now();
        decoder.feed(&begun, now);
        decoder.feed(&report(3, b"]Q1", b"123", 0), now + CONTINUATION);
        assert_eq!(decoder.next_code().map(|c| c.data), Some(b"123".to_vec()), "by time");
        assert_eq!(decoder.counters().abandoned, 1);
        let endless = vec![begun; 2 * MAX / 56];
        let (codes, counters) = decode(Layout::standard(), &[&endless[..], &[next]].concat());
        assert_eq!((codes, counters.oversized, counters.abandoned), (vec![code("]E0", "123")], 1, 0));
    }

    #[test]
    fn other_reports_are_passed_over() {
        let status = vec![3, 1, 0];
        let begun = report(56, b"]Q1", &[b'x'; 56], 1);
        let end = report(1, b"]Q1", b"y", 0);
        let (codes, counters) = decode(Layout::standard(), &[begun, status, end]);
        assert_eq!((codes[0].1.len(), counters.unknown, counters.invalid), (57, 1, 0), "even amid a code");
        assert_eq!(decode(Layout::standard(), &[report(0, &[0; 3], b"", 0)]), (vec![], Counters::default()));
    }

    #[test]
    fn data_without_length_end_before_the_nuls() {
        let mut layout = Layout::standard();
        layout.scans[0].length = None;
        let (codes, _) = decode(layout, &[report(0, b"]C0", b"12\x003", 0)]);
        assert_eq!(codes, [code("]C0", "12\x003")]);
    }

    #[test]
    fn what_is_discarded_ends_with_its_code() {
        let mut decoder = Decoder::new(Layout::standard());
        let now = Instant::now();
        decoder.feed(&report(1, b"]C0", b"1", 0), now);
        decoder.feed(&report(56, b"]C0", &[b'x'; 56], 1), now);
        decoder.discard();
        decoder.feed(&report(1, b"]C0", b"y", 0), now);
        decoder.feed(&report(1, b"]C0", b"2", 0), now);
        assert_eq!(decoder.next_code().map(|c| c.data), Some(b"2".to_vec()));
        assert_eq!((decoder.next_code(), decoder.counters()), (None, Counters::default()));
    }

    proptest::proptest! {
        #[test]
        fn no_reports_panic_and_nothing_grows(
            reports in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..70), 0..20),
            known: bool,
        ) {
            for layout in [Layout::standard(), Layout::newland(), Layout::zebra()] {
                let mut decoder = Decoder::new(layout);
                for mut report in reports.clone() {
                    if known && !report.is_empty() {
                        report[0] = 2;
                    }
                    decoder.feed(&report, Instant::now());
                    proptest::prop_assert!(decoder.chain.as_ref().is_none_or(|c| c.data.len() <= MAX));
                }
                while let Some(code) = decoder.next_code() {
                    proptest::prop_assert!(!code.data.is_empty());
                }
            }
        }

        #[test]
        fn no_descriptor_makes_it_panic(
            at in 0..120_usize, byte: u8, report in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..70),
        ) {
            let mut descriptor = dumped();
            descriptor[at] = byte;
            if let Ok(layout) = Layout::from_descriptor(&descriptor) {
                Decoder::new(layout).feed(&report, Instant::now());
            }
        }
    }
}
