//! ZVT messages, ours beside the `zvt` crate's: 04 0F and 06 D3 read, 06 01 written.
//!
//! The goals: a tenth of its time for a status of 93 bytes, a third for 06 01. `payment/tests/no_alloc.rs` proves that
//! reading a status allocates nothing.

#![allow(missing_docs, reason = "the macros of criterion make undocumented items")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tresen_hal::Amount;
use tresen_payment::zvt::Charset;
use tresen_payment::zvt::commands::print::Block;
use tresen_payment::zvt::commands::status_info::StatusInfo;
use tresen_payment::zvt::commands::transaction;
use tresen_payment::zvt::framing::Framing;
use zvt::ZvtSerializer;

/// Begins as the field capture does; what follows is made up, in the order terminals use.
fn message() -> Vec<u8> {
    let mut data = vec![0x27, 0x00, 0x04, 0, 0, 0, 0, 0x25, 0, 0x49, 9, 0x78, 0x0c, 0x22, 0x55, 0x58, 0x0d, 0x04, 0x05];
    data.extend([0x0e, 0x27, 0x12, 0x17, 0x00, 0x01, 0x19, 0x40]);
    data.extend([0x22, 0xf1, 0xf0, 0x67, 0x25, 0x90, 0x01, 0x23, 0x45, 0x67, 0x89, 0x01, 0x23]);
    data.extend([0x29, 0x60, 0, 0, 0x01, 0x2a]);
    data.extend(b"100764992      ");
    data.extend([0x87, 0x04, 0x17, 0x0b, 0x00, 0x04, 0x17, 0x3b]);
    data.extend(b"00000417");
    data.extend([0x8a, 0x06, 0x8b, 0xf0, 0xf8]);
    data.extend(b"girocard");
    [&[0x04, 0x0f, 0x5a][..], &data].concat()
}

fn parse(c: &mut Criterion) {
    let bytes = message();
    assert_eq!(bytes.len(), 93);
    let theirs = zvt::packets::StatusInformation::zvt_deserialize(&bytes).expect("they read it").0;
    let ours = StatusInfo::parse(&bytes[3..]);
    assert_eq!((ours.rest(), ours.minor(), theirs.amount), (None, Some(2500), Some(2500)));
    let mut group = c.benchmark_group("parse 04 0F, 93 bytes");
    group.bench_function("tresen, view", |b| b.iter(|| StatusInfo::parse(black_box(&bytes[3..]))));
    group.bench_function("tresen, view and its numbers", |b| {
        b.iter(|| {
            let info = StatusInfo::parse(black_box(&bytes[3..]));
            let number = |b: Option<tresen_payment::zvt::bmp::Bcd<'_>>| b.and_then(|b| b.number());
            let numbers =
                [info.amount, info.currency, info.receipt, info.trace(), info.time, info.date, info.terminal_id];
            (info.result, numbers.map(number))
        });
    });
    group.bench_function("tresen, from the stream", |b| {
        let mut framing = Framing::tcp();
        b.iter(|| {
            framing.feed(black_box(&bytes));
            framing.next_apdu().ok().flatten().map(|apdu| StatusInfo::parse(apdu.data).result)
        });
    });
    group.bench_function("zvt 0.1.0", |b| {
        b.iter(|| zvt::packets::StatusInformation::zvt_deserialize(black_box(&bytes)));
    });
    group.finish();
}

/// A captured slip of 1,126 bytes: 06 D3.
fn slip() -> Vec<u8> {
    let captures = include_str!("../../../payment/testdata/zvt/captures.txt");
    let hex = captures.lines().find_map(|line| line.strip_prefix("0 06d3")).expect("it is there");
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
    [0x06, 0xd3].into_iter().chain((0..hex.len()).step_by(2).map(byte)).collect()
}

/// How many times as fast as the `zvt` crate we are.
fn compare(_: &mut Criterion) {
    let bytes = message();
    race(
        "parse 04 0F, 93 bytes",
        Some(10.0),
        || _ = black_box(StatusInfo::parse(black_box(&bytes[3..]))),
        || _ = black_box(zvt::packets::StatusInformation::zvt_deserialize(black_box(&bytes))),
    );

    // It has no 06 01; its 06 22 has the same two fields.
    let theirs = zvt::packets::Reservation { amount: Some(2500), currency: Some(978), ..Default::default() };
    let ours = || {
        let mut out = Vec::new();
        transaction::authorisation(&mut out, black_box(Amount::eur(25_00)), None);
        out
    };
    let fields = |bytes: &[u8]| -> BTreeSet<(u8, Vec<u8>)> {
        tresen_payment::zvt::bmp::fields(&bytes[3..]).map(|field| (field.id, field.data.to_vec())).collect()
    };
    assert_eq!((fields(&ours()).len(), fields(&ours())), (2, fields(&theirs.zvt_serialize())));
    race("write 06 01", Some(3.0), || _ = black_box(ours()), || _ = black_box(black_box(&theirs).zvt_serialize()));

    let slip = slip();
    let lines = || Block::parse(black_box(&slip[5..])).lines(Charset::Cp437).collect::<Vec<_>>();
    let read = zvt::packets::PrintTextBlock::zvt_deserialize(&slip).expect("they read it").0;
    assert_eq!(read.tlv.and_then(|tlv| tlv.lines).map(|lines| lines.lines), Some(lines()));
    race(
        "read 06 D3 to its lines, 1126 bytes",
        None,
        || _ = black_box(lines()),
        || _ = black_box(zvt::packets::PrintTextBlock::zvt_deserialize(black_box(&slip))),
    );
}

/// Both measured in turn and each by its best round, so that a busy machine does not count.
fn race(what: &str, goal: Option<f64>, ours: impl Fn(), theirs: impl Fn()) {
    const ROUNDS: usize = 200;
    const CALLS: u32 = 500;
    let time = |call: &dyn Fn()| {
        let began = Instant::now();
        (0..CALLS).for_each(|_| call());
        began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    let (mut our, mut their) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        our = our.min(time(&ours));
        their = their.min(time(&theirs));
    }
    let ratio = their / our;
    let verdict = goal
        .map_or(String::new(), |goal| format!(" (goal {goal}: {})", if ratio >= goal { "reached" } else { "MISSED" }));
    println!("{what}: tresen {our:.0} ns, zvt {their:.0} ns, {ratio:.1} times as fast{verdict}");
}

criterion_group!(benches, compare, parse);
criterion_main!(benches);
