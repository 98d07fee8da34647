//! The driver against a terminal that shares no code with it: thousands of lives under one fault each,
//! and the terminal's ledger is compared with what was said and what the journal says.

mod cases;
mod life;

use std::collections::BTreeMap;

use cases::{at_every_message, deaths, dialects, named, with_fault};
use life::{Case, Wants, Wrong, live};
use tresen_peers::zvt::{Act, At, Fault};

/// Lives that are known to go wrong, by group: how many, and what is wrong. Whoever mends one takes it out.
const KNOWN_WRONG: &[(&str, Wrong, usize)] = &[];

#[derive(Default)]
struct Sum {
    lives: usize,
    ended: BTreeMap<&'static str, usize>,
    wrongs: BTreeMap<Wrong, Vec<(String, String, Vec<String>)>>,
}

#[derive(Default)]
struct Table(BTreeMap<&'static str, Sum>);

impl Table {
    async fn live(&mut self, case: &Case) -> (usize, usize) {
        let report = live(case).await;
        let sum = self.0.entry(case.group).or_default();
        sum.lives += 1;
        *sum.ended.entry(report.ended).or_default() += 1;
        for (wrong, why) in report.wrongs {
            let lives = sum.wrongs.entry(wrong).or_default();
            if lives.last().is_none_or(|(name, ..)| *name != case.name) {
                lives.push((case.name.clone(), why, report.transcript.clone()));
            }
        }
        report.messages
    }

    /// Prints the table, then fails unless exactly the known lives are wrong.
    fn check(&self, known: &[(&str, Wrong, usize)], at_least: usize) {
        let mut found = Vec::new();
        for (group, sum) in &self.0 {
            let ended: Vec<_> = sum.ended.iter().map(|(how, n)| format!("{n} {how}")).collect();
            println!("{group:<16}{:>5} lives: {}", sum.lives, ended.join(", "));
            for (wrong, lives) in &sum.wrongs {
                found.push((*group, *wrong, lives.len()));
                println!("{:<16}{:>5} {wrong:?}", "", lives.len());
            }
        }
        let known_here = |f: &(&str, Wrong, usize)| known.contains(f);
        for (group, wrong, _) in found.iter().filter(|f| !known_here(f)) {
            for (name, why, transcript) in self.0[group].wrongs[wrong].iter().take(shown()) {
                println!("\n{group}: {name}\n{wrong:?}: {why}\n{}", transcript.join("\n"));
            }
        }
        let lives: usize = self.0.values().map(|s| s.lives).sum();
        println!("{lives} lives");
        assert!(lives >= at_least, "{lives} lives are too few");
        let mut known = known.to_vec();
        known.sort();
        assert_eq!(found, known, "wrong lives, and those that are known");
    }
}

/// How many lives of each kind of wrong are printed in full: the environment's `LIVES`, else one.
fn shown() -> usize {
    std::env::var("LIVES").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

async fn messages(dialect: &(&'static str, tresen_peers::zvt::Quirks)) -> (usize, usize) {
    let report = live(&cases::case("", dialect.0, dialect.1.clone())).await;
    assert!(report.wrongs.is_empty(), "{}: {:?}\n{}", dialect.0, report.wrongs, report.transcript.join("\n"));
    assert!(report.messages.0 >= 8, "{:?}", report.messages);
    report.messages
}

/// How long the terminal's first messages of an undisturbed life are.
async fn lengths(dialect: &(&'static str, tresen_peers::zvt::Quirks), first: usize) -> Vec<usize> {
    let report = live(&cases::case("", dialect.0, dialect.1.clone())).await;
    report.lengths.into_iter().take(first).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cut_or_a_repetition_at_every_message() {
    let mut table = Table::default();
    for dialect in dialects() {
        for at in at_every_message(messages(&dialect).await) {
            for act in [Act::CutBefore, Act::CutAfter, Act::Twice] {
                table.live(&with_fault("cuts", &dialect, at, act.clone())).await;
                let alone = with_fault("cuts, exclusive", &dialect, at, act);
                table.live(&Case { exclusive: true, wants: Wants::Known, ..alone }).await;
            }
        }
    }
    table.check(KNOWN_WRONG_CUTS, 600);
}

/// See [`KNOWN_WRONG`].
const KNOWN_WRONG_CUTS: &[(&str, Wrong, usize)] = &[];

/// Each of these messages is a frame with its ACK, and each fault one of the terminal above them.
#[tokio::test(start_paused = true)]
async fn a_cut_or_a_repetition_at_every_message_of_a_serial_line() {
    let mut table = Table::default();
    for dialect in dialects() {
        for at in at_every_message(messages(&dialect).await) {
            for act in [Act::CutBefore, Act::CutAfter, Act::Twice, Act::Swallow, Act::Stall, Act::Delay(6_000)] {
                let case = with_fault("serial", &dialect, at, act.clone());
                table.live(&Case { serial: true, ..case }).await;
                let alone = with_fault("serial, exclusive", &dialect, at, act);
                table.live(&Case { serial: true, exclusive: true, ..alone }).await;
            }
        }
    }
    table.check(&[], 1200);
}

#[tokio::test(start_paused = true)]
async fn a_cut_after_every_byte() {
    let mut table = Table::default();
    for dialect in &dialects()[..2] {
        let (out, _) = messages(dialect).await;
        for (n, length) in lengths(dialect, out).await.into_iter().enumerate() {
            for within in 1..length {
                table.live(&with_fault("bytes", dialect, At::Out(n), Act::CutWithin(within))).await;
                if within % 16 == 1 {
                    table.live(&with_fault("bytes, then silence", dialect, At::Out(n), Act::StallWithin(within))).await;
                }
            }
        }
    }
    table.check(KNOWN_WRONG_BYTES, 600);
}

/// See [`KNOWN_WRONG`].
const KNOWN_WRONG_BYTES: &[(&str, Wrong, usize)] = &[];

#[tokio::test(start_paused = true)]
async fn silence_loss_and_delay_at_every_message() {
    let mut table = Table::default();
    for dialect in &dialects()[..6] {
        for at in at_every_message(messages(dialect).await) {
            for act in [Act::Stall, Act::Swallow, Act::Delay(6_000), Act::Delay(60_000), Act::Late(1), Act::Late(2)] {
                if matches!((at, &act), (At::In(_), Act::Late(_))) {
                    continue;
                }
                let group = match act {
                    Act::Stall => "silence",
                    Act::Swallow => "loss",
                    Act::Late(_) => "late answers",
                    _ => "delay",
                };
                table.live(&with_fault(group, dialect, at, act)).await;
            }
        }
    }
    table.check(KNOWN_WRONG_SILENCE, 600);
}

/// See [`KNOWN_WRONG`].
const KNOWN_WRONG_SILENCE: &[(&str, Wrong, usize)] = &[];

#[tokio::test(start_paused = true)]
async fn the_till_dies_after_every_step() {
    let mut table = Table::default();
    for case in deaths(40) {
        table.live(&case).await;
    }
    table.check(KNOWN_WRONG_DEATHS, 400);
}

/// See [`KNOWN_WRONG`].
const KNOWN_WRONG_DEATHS: &[(&str, Wrong, usize)] = &[];

#[tokio::test(start_paused = true)]
async fn what_the_reviews_named() {
    let mut table = Table::default();
    for case in named() {
        table.live(&case).await;
    }
    table.check(KNOWN_WRONG, 900);
}

/// Each byte of the approval is changed. Those of the result code lie about the outcome, and are counted
/// apart; no other may make a wrong outcome.
#[tokio::test(start_paused = true)]
async fn changed_bytes_of_an_approval() {
    let mut table = Table::default();
    for dialect in &dialects()[..2] {
        // 04 0F number 0 answers the 06 20 before the payment.
        let length = lengths(dialect, usize::MAX).await.into_iter().max().expect("some");
        for place in 0..length {
            for mask in [0x01, 0x80, 0xff] {
                let group = if place == 4 { "result code changed" } else { "bytes changed" };
                let at = At::OutOf(0x040f, 1);
                let case = with_fault(group, dialect, at, Act::Flip(place, mask));
                table.live(&Case { changed: true, ..case }).await;
            }
            let case =
                with_fault("bytes inserted", dialect, At::OutOf(0x040f, 1), Act::Insert(place, vec![0xd7, 0x80]));
            table.live(&Case { changed: true, ..case }).await;
        }
    }
    // What a changed result code says about the outcome is not true: only that is forgiven.
    if let Some(sum) = table.0.get_mut("result code changed") {
        for lie in [Wrong::FalselyCharged, Wrong::FalselyNotCharged] {
            println!("result code changed: {:?} {lie:?}", sum.wrongs.remove(&lie).map(|l| l.len()));
        }
    }
    table.check(KNOWN_WRONG_CHANGED, 700);
}

/// See [`KNOWN_WRONG`].
const KNOWN_WRONG_CHANGED: &[(&str, Wrong, usize)] = &[];

/// Two faults at once, drawn by a seed.
#[tokio::test(start_paused = true)]
async fn pairs_of_faults() {
    let mut table = Table::default();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).expect("small")
    };
    let dialects = dialects();
    for n in 0..600 {
        let dialect = &dialects[draw(dialects.len())];
        let mut fault = || {
            let at = if draw(2) == 0 { At::Out(draw(20)) } else { At::In(draw(20)) };
            let acts = [
                Act::CutBefore,
                Act::CutAfter,
                Act::Twice,
                Act::Swallow,
                Act::Stall,
                Act::Delay(6_000),
                Act::Delay(190_000),
                Act::CutWithin(3),
                Act::Late(1),
            ];
            let act = acts[draw(acts.len())].clone();
            Fault { at, act }
        };
        let faults = vec![fault(), fault()];
        let mut case = with_fault("pairs", dialect, faults[0].at, faults[0].act.clone());
        case.name = format!("{n}: {} {faults:?}", dialect.0);
        case.quirks.faults = faults;
        table.live(&case).await;
    }
    table.check(KNOWN_WRONG_PAIRS, 600);
}

/// See [`KNOWN_WRONG`].
const KNOWN_WRONG_PAIRS: &[(&str, Wrong, usize)] = &[];
