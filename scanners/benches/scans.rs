//! From what a link gives to a scan: an HID POS report, and a line of a scanner in keyboard mode.

#![allow(missing_docs, reason = "the macros of criterion make undocumented items")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use tresen_scanners::serial::{Framing, Suffix};
use tresen_scanners::{Scan, hid, wedge};

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn report(c: &mut Criterion) {
    let mut report = b"\x02\x0d]E04006381333931".to_vec();
    report.resize(64, 0);
    let now = Instant::now();
    let layout = hid::Layout::from_descriptor(hid::sim::DESCRIPTOR).expect("good");
    let mut decoder = hid::Decoder::new(layout);
    let mut group = c.benchmark_group("HID POS");
    group.bench_function("report to scan, EAN-13", |b| {
        b.iter(|| {
            decoder.feed(black_box(&report), now);
            let code = decoder.next_code().expect("one");
            Scan::reported(code.aim.expect("an identifier"), code.data, AT)
        });
    });
    group.bench_function("descriptor to layout", |b| {
        b.iter(|| hid::Layout::from_descriptor(black_box(hid::sim::DESCRIPTOR)));
    });
    group.finish();
}

fn keys(c: &mut Criterion) {
    let event = |kind: u16, code: u16, value: i32| {
        [&kind.to_le_bytes()[..], &code.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    // 4006381333931 and Enter, each key with its scan code and a report of the kernel, as chunks of their own.
    let chunks: Vec<Vec<u8>> = [5_u16, 11, 11, 7, 4, 9, 2, 4, 4, 4, 10, 4, 2, 28]
        .iter()
        .flat_map(|code| [1, 0].map(|value| [event(4, 4, 0x7001e), event(1, *code, value), event(0, 0, 0)].concat()))
        .collect();
    let framing =
        Framing { suffix: Suffix::Bytes(b"\r".into()), gap: Some(Duration::from_millis(300)), ..Framing::default() };
    let now = Instant::now();
    let mut decoder = wedge::Decoder::new(wedge::Source::Evdev, wedge::Layout::De, framing);
    let mut group = c.benchmark_group("keyboard mode");
    group.bench_function("28 key events to scan, EAN-13", |b| {
        b.iter(|| {
            chunks.iter().for_each(|chunk| decoder.feed(black_box(chunk), now));
            Scan::plain(decoder.next_line().expect("one").data, AT)
        });
    });
    group.finish();
}

criterion_group!(benches, report, keys);
criterion_main!(benches);
