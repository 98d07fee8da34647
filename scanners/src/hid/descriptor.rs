//! Report descriptors: HID 1.11, sections 5.2 to 5.8 and 6.2.2.
//!
//! Finds the fields of each report. Left out: ranges of values, units, strings, designators and alternate usages
//! (delimiters).
//!
//! The crate `hidreport` 0.6 is not used because it panics on a usage before the first usage page, and makes a field
//! for each of up to 2³² repetitions, which bytes of a device must never cause. The tests compare both.

use std::collections::HashMap;
use std::ops::Range;

use tresen_hal::{Error, Kind, Result};

/// The longest descriptor that Linux accepts, in bytes: HID_MAX_DESCRIPTOR_SIZE of linux/hid.h.
const LONGEST: usize = 4096;
/// The longest report that Linux accepts, in bits: HID_MAX_BUFFER_SIZE of linux/hid.h, 16 KiB.
const REPORT_BITS: usize = 16 * 1024 * 8;
/// The deepest nesting of push items and of collections. Linux allows 4 pushes.
const DEPTH: usize = 64;

/// The direction of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// From the device.
    Input,
    /// To the device.
    Output,
    /// Both, on request.
    Feature,
}

/// One main item: `count` values of `size` bits each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) direction: Direction,
    /// The report number; `None` if the device does not number its reports.
    pub(crate) report: Option<u8>,
    /// Page and usage of the outermost collection.
    pub(crate) application: (u16, u16),
    /// Its offset in the report, in bits, including the report number, if any.
    pub(crate) start: usize,
    /// Bits of one value.
    pub(crate) size: usize,
    /// Number of values.
    pub(crate) count: usize,
    /// Padding.
    pub(crate) constant: bool,
    /// Each value has a usage of its own. Otherwise each value is itself a usage, as with keys.
    pub(crate) variable: bool,
    /// Page, first and last usage.
    usages: Vec<(u16, u16, u16)>,
}

impl Field {
    /// The indices of the values with this usage. The last usage applies to all remaining values (section 6.2.2.8): a
    /// control is the first of them, data is all of them.
    pub(crate) fn values(&self, page: u16, usage: u16) -> Option<Range<usize>> {
        let mut at = 0;
        for (n, &(p, first, last)) in self.usages.iter().enumerate() {
            let len = usize::from(last - first) + 1;
            if p == page && (first..=last).contains(&usage) {
                let at = at + usize::from(usage - first);
                let repeated = n + 1 == self.usages.len() && usage == last;
                let end = if repeated { self.count } else { at + 1 };
                return (self.variable && !self.constant && at < self.count).then_some(at..end);
            }
            at += len;
        }
        None
    }

    /// Whether it has a usage of this page.
    pub(crate) fn has_page(&self, page: u16) -> bool {
        self.usages.iter().any(|(p, ..)| *p == page)
    }

    /// The offset of one value, in bits.
    pub(crate) fn bit(&self, value: usize) -> usize {
        self.start + value * self.size
    }
}

/// A parsed descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Its fields in order.
    pub(crate) fields: Vec<Field>,
    /// Page and usage of its application collections.
    pub(crate) applications: Vec<(u16, u16)>,
}

impl Descriptor {
    /// The length of a report in bytes, including its number; 0 if there is no such report.
    pub(crate) fn report_size(&self, direction: Direction, report: Option<u8>) -> usize {
        let of = self.fields.iter().filter(|f| f.direction == direction && f.report == report);
        of.map(|f| f.bit(f.count)).max().unwrap_or(0).div_ceil(8)
    }
}

/// The global items (section 6.2.2.7) that determine where a field is.
#[derive(Debug, Clone, Copy, Default)]
struct Globals {
    page: u16,
    size: usize,
    count: usize,
    report: Option<u8>,
}

/// A usage, with its page if the item includes one.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    page: Option<u16>,
    id: u16,
}

/// Reads a report descriptor.
///
/// # Errors
/// [`Kind::Protocol`] says what is wrong at which offset.
pub(crate) fn parse(bytes: &[u8]) -> Result<Descriptor> {
    let wrong = |at: usize, why: &str| Error::new(Kind::Protocol, format!("report descriptor, offset {at}: {why}"));
    if bytes.len() > LONGEST {
        return Err(wrong(LONGEST, "longer than 4096 bytes"));
    }
    let mut parser = Parser::default();
    let mut at = 0;
    while let Some(&prefix) = bytes.get(at) {
        if prefix == 0xfe {
            // A long item, section 6.2.2.3: length, tag, data. The specification defines none.
            let length = *bytes.get(at + 1).ok_or_else(|| wrong(at, "cut off"))?;
            at += 3 + usize::from(length);
            continue;
        }
        let length = [0, 1, 2, 4][usize::from(prefix & 3)];
        let data = bytes.get(at + 1..at + 1 + length).ok_or_else(|| wrong(at, "cut off"))?;
        let value = data.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
        // A usage of four bytes includes its page.
        let usage = Usage { page: (length == 4).then_some((value >> 16) as u16), id: value as u16 };
        let item = match prefix & 0x0c {
            0x00 => parser.main(prefix & 0xfc, value),
            0x04 => parser.global(prefix & 0xfc, value),
            0x08 => parser.local(prefix & 0xfc, usage),
            _ => Ok(()),
        };
        item.map_err(|why| wrong(at, why))?;
        at += 1 + length;
    }
    Ok(parser.found)
}

#[derive(Default)]
struct Parser {
    globals: Globals,
    pushed: Vec<Globals>,
    /// First and last usages for the next main item.
    usages: Vec<(Usage, u16)>,
    minimum: Option<Usage>,
    /// The open collections.
    collections: Vec<(u16, u16)>,
    /// The length of each report so far, in bits.
    ends: HashMap<(Direction, Option<u8>), usize>,
    found: Descriptor,
}

impl Parser {
    /// Section 6.2.2.7.
    fn global(&mut self, tag: u8, value: u32) -> Result<(), &'static str> {
        match tag {
            0x04 => self.globals.page = value as u16,
            0x74 => self.globals.size = value as usize,
            0x94 => self.globals.count = value as usize,
            0x84 if (1..=0xff).contains(&value) => self.globals.report = Some(value as u8),
            0x84 => return Err("report numbers are 1 to 255"),
            0xa4 if self.pushed.len() < DEPTH => self.pushed.push(self.globals),
            0xa4 => return Err("push items nested too deeply"),
            0xb4 => self.globals = self.pushed.pop().ok_or("pop without push")?,
            _ => {}
        }
        Ok(())
    }

    /// Section 6.2.2.8.
    fn local(&mut self, tag: u8, usage: Usage) -> Result<(), &'static str> {
        match tag {
            0x08 => self.usages.push((usage, usage.id)),
            0x18 => self.minimum = Some(usage),
            0x28 => {
                let first = self.minimum.take().unwrap_or(usage);
                if first.id > usage.id {
                    return Err("the last usage of a range is below the first");
                }
                self.usages.push((first, usage.id));
            }
            _ => {}
        }
        Ok(())
    }

    /// Section 6.2.2.4. Local items apply to one main item.
    fn main(&mut self, tag: u8, value: u32) -> Result<(), &'static str> {
        // The usage page at the main item applies: section 6.2.2.8.
        let page = self.globals.page;
        let usages = std::mem::take(&mut self.usages).into_iter().map(|(u, last)| (u.page.unwrap_or(page), u.id, last));
        self.minimum = None;
        match tag {
            0x80 => self.field(Direction::Input, value, usages.collect()),
            0x90 => self.field(Direction::Output, value, usages.collect()),
            0xb0 => self.field(Direction::Feature, value, usages.collect()),
            0xa0 if self.collections.len() >= DEPTH => Err("collections nested too deeply"),
            0xa0 => {
                let (page, usage, _) = usages.into_iter().next().unwrap_or((page, 0, 0));
                if value == 1 {
                    self.found.applications.push((page, usage));
                }
                self.collections.push((page, usage));
                Ok(())
            }
            0xc0 => self.collections.pop().map(drop).ok_or("end of a collection that was not opened"),
            _ => Ok(()),
        }
    }

    fn field(&mut self, direction: Direction, flags: u32, usages: Vec<(u16, u16, u16)>) -> Result<(), &'static str> {
        let Globals { size, count, report, .. } = self.globals;
        let end = self.ends.entry((direction, report)).or_insert(if report.is_some() { 8 } else { 0 });
        let start = *end;
        *end = size.checked_mul(count).and_then(|bits| bits.checked_add(start)).unwrap_or(usize::MAX);
        if *end > REPORT_BITS {
            return Err("a report longer than 16384 bytes");
        }
        self.found.fields.push(Field {
            direction,
            report,
            application: self.collections.first().copied().unwrap_or_default(),
            start,
            size,
            count,
            constant: flags & 1 != 0,
            variable: flags & 2 != 0,
            usages,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hidreport::Report;

    /// A boot keyboard: HID 1.11, appendix B.1.
    const KEYBOARD: [u8; 63] = [
        0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01,
        0x95, 0x08, 0x81, 0x02, 0x95, 0x01, 0x75, 0x08, 0x81, 0x01, 0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01,
        0x29, 0x05, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03, 0x91, 0x01, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x25, 0x65,
        0x05, 0x07, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00, 0xc0,
    ];

    #[test]
    fn reads_a_boot_keyboard() {
        let found = parse(&KEYBOARD).expect("good");
        assert_eq!(found.applications, [(1, 6)]);
        assert_eq!(found.report_size(Direction::Input, None), 8);
        assert_eq!(found.report_size(Direction::Output, None), 1);
        let [modifiers, reserved, leds, _padding, keys] = &found.fields[..] else { panic!("{found:?}") };
        assert_eq!((modifiers.values(7, 0xe1), modifiers.bit(1)), (Some(1..2), 1));
        assert!(reserved.constant && reserved.start == 8);
        assert_eq!((leds.direction, leds.values(8, 2)), (Direction::Output, Some(1..2)));
        assert_eq!((keys.variable, keys.start, keys.size, keys.count), (false, 16, 8, 6));
        assert!(keys.has_page(7));
    }

    /// Section 6.2.2.8: the last usage applies to all remaining values.
    #[test]
    fn the_last_usage_is_repeated() {
        let found = parse(&[0x05, 0x8c, 0x75, 8, 0x95, 5, 0x09, 0xfb, 0x09, 0xfe, 0x81, 2]).expect("good");
        assert_eq!(found.fields[0].values(0x8c, 0xfb), Some(0..1));
        assert_eq!(found.fields[0].values(0x8c, 0xfe), Some(1..5));
        assert_eq!(found.fields[0].values(0x8c, 0xff), None);
    }

    #[test]
    fn a_usage_may_include_its_page_and_globals_are_pushed_and_popped() {
        let found = parse(&[
            0x05, 0x01, 0x75, 8, 0x95, 1, // page 1, one value of 8 bits
            0xa4, 0x05, 0x02, 0x95, 2, 0xb4, // push and pop
            0x0b, 0xfe, 0x00, 0x8c, 0x00, 0x81, 2, // page 8C, usage FE
            0xfe, 1, 0, 0, // a long item
            0x09, 0x30, 0xb1, 2, // usage 30 of page 1, a feature
        ]);
        let [data, feature] = &found.expect("good").fields[..] else { panic!("two fields") };
        assert_eq!((data.values(0x8c, 0xfe), data.values(1, 0xfe), data.count), (Some(0..1), None, 1));
        assert_eq!((feature.direction, feature.values(1, 0x30), feature.start), (Direction::Feature, Some(0..1), 0));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (bytes, why) in [
            (&[0x05][..], "offset 0: cut off"),
            (&[0xfe], "cut off"),
            (&[0x85, 0], "report numbers are 1 to 255"),
            (&[0xb4], "pop without push"),
            (&[0xc0], "was not opened"),
            (&[0x19, 5, 0x29, 4], "below the first"),
            (&[0x77, 0xff, 0xff, 0xff, 0xff, 0x97, 0xff, 0xff, 0xff, 0xff, 0x81, 2], "offset 10: a report longer"),
            (&[0xa4; 100], "push items nested"),
            (&[0xa0; 100], "collections nested"),
            (&[0; 5000], "longer than 4096"),
        ] {
            let error = parse(bytes).expect_err(why);
            assert!(error.kind() == Kind::Protocol && error.to_string().contains(why), "{error}");
        }
    }

    /// The offset of each value of the input reports, according to `hidreport`.
    fn by_hidreport(bytes: &[u8]) -> Vec<(Option<u8>, u16, u16, usize)> {
        let theirs = hidreport::ReportDescriptor::try_from(bytes).expect("they read it");
        let mut places = Vec::new();
        for report in theirs.input_reports() {
            for field in report.fields() {
                if let hidreport::Field::Variable(v) = field {
                    let number = report.report_id().as_ref().map(|id| u8::from(*id));
                    places.push((number, v.usage.usage_page.into(), v.usage.usage_id.into(), v.bits.start));
                }
            }
        }
        places
    }

    #[test]
    fn agrees_with_hidreport() {
        for bytes in [&KEYBOARD[..], super::super::sim::DESCRIPTOR, &super::super::layout::tests::dumped()] {
            let ours = parse(bytes).expect("good");
            let theirs = by_hidreport(bytes);
            assert!(theirs.len() >= 8);
            for (report, page, usage, bit) in theirs.into_iter().filter(|(_, _, usage, _)| *usage != 0) {
                let mut of = ours.fields.iter().filter(|f| f.direction == Direction::Input && f.report == report);
                let here = of.any(|f| f.values(page, usage).is_some_and(|mut v| v.any(|v| f.bit(v) == bit)));
                assert!(here, "report {report:?}: usage {page:x}:{usage:x} at bit {bit}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            _ = parse(&bytes);
        }

        #[test]
        fn no_change_to_a_good_one_panics(at in 0..KEYBOARD.len(), byte: u8, end in 0..=KEYBOARD.len()) {
            let mut bytes = KEYBOARD;
            bytes[at] = byte;
            _ = parse(&bytes[..end]);
        }
    }
}
