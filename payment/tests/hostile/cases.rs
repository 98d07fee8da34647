//! The cases: cuts everywhere, and the names in capitals of the reviews.

use tresen_payment::zvt::Commit;
use tresen_peers::zvt::{
    Abort, Act, At, End, Enquiry, Event, Fate, Fault, Intrusion, Moment, Pieces, Quirks, Registration, Repeat, Slips,
    Stray, Style, Unheard, What,
};

use super::life::{Before, Case, Next, Wants};

/// Ten kinds of terminal.
pub(crate) fn dialects() -> Vec<(&'static str, Quirks)> {
    let keeps = Unheard::Keeps;
    let plain = Quirks::default;
    let bare = Style { minimal: true, ..Style::default() };
    let extended = Style { extended: true, tlv: true, ..Style::default() };
    vec![
        ("reverses", plain()),
        ("keeps", Quirks { unheard: keeps, ..plain() }),
        ("reverses, prints", Quirks { commit_after_prints: true, ..plain() }),
        ("keeps, prints", Quirks { unheard: keeps, commit_after_prints: true, ..plain() }),
        ("reverses, alone", Quirks { finishes_alone: true, ..plain() }),
        ("keeps, alone", Quirks { unheard: keeps, finishes_alone: true, ..plain() }),
        ("reverses, lines", Quirks { slips: Slips::Lines, ..plain() }),
        ("keeps, lines", Quirks { unheard: keeps, slips: Slips::Lines, commit_after_prints: true, ..plain() }),
        ("reverses, bare", Quirks { slips: Slips::None, style: bare, stays_registered: false, ..plain() }),
        ("keeps, bytes", Quirks { unheard: keeps, style: extended, pieces: Pieces::Bytes, ..plain() }),
    ]
}

pub(crate) fn case(group: &'static str, name: impl Into<String>, quirks: Quirks) -> Case {
    Case {
        group,
        name: name.into(),
        quirks,
        before: Before::SamePrice,
        commit: None,
        exclusive: false,
        partial: false,
        abort_after: None,
        dies_after: None,
        dead_before: false,
        serial: false,
        wants: Wants::Truth,
        next: Next::Charged,
        changed: false,
    }
}

/// One fault at each of the messages of K1, as many as an undisturbed life has: `(out, in)`.
pub(crate) fn at_every_message(messages: (usize, usize)) -> Vec<At> {
    (0..messages.0).map(At::Out).chain((0..messages.1).map(At::In)).collect()
}

pub(crate) fn with_fault(group: &'static str, dialect: &(&str, Quirks), at: At, act: Act) -> Case {
    let mut quirks = dialect.1.clone();
    let name = format!("{}: {at:?} {act:?}", dialect.0);
    quirks.faults.push(Fault { at, act });
    case(group, name, quirks)
}

/// The till's process dies after any of its steps.
pub(crate) fn deaths(steps: usize) -> Vec<Case> {
    let mut all = Vec::new();
    for dialect in dialects() {
        for n in 0..steps {
            let dies =
                Case { dies_after: Some(n), ..case("till dies", format!("{} {n}", dialect.0), dialect.1.clone()) };
            all.push(dies);
        }
    }
    all
}

/// What the reviews name, in every combination that matters.
pub(crate) fn named() -> Vec<Case> {
    let groups = [
        repeats,
        stale,
        unknown_before,
        reversals,
        other_tills,
        traces,
        liars,
        amounts,
        useless_repeats,
        blocks,
        swaps,
        busy,
        late_aborts,
        aborts,
        declines,
        quirks,
        slips,
        floods,
    ];
    groups.into_iter().flat_map(|g| g()).collect()
}

/// The three ways of saying no.
const DECLINES: [End; 3] = [End::Declined(0x05), End::DeclinedCompleted(0x05), End::Aborted(0x6c)];
/// The link goes before the approval of K1 arrives; 04 0F number 0 is the answer to its first 06 20.
const LOST_APPROVAL: Fault = Fault { at: At::OutOf(0x040f, 1), act: Act::CutBefore };
/// The link goes while the customer is busy.
const LOST_CUSTOMER: Fault = Fault { at: At::OutOf(0x04ff, 1), act: Act::CutAfter };

/// As [`LOST_APPROVAL`] where there may be nothing to show before K1.
fn lost_approval(before: Before) -> At {
    At::OutOf(0x040f, usize::from(before != Before::Nothing))
}

const BOTH: [Unheard; 2] = [Unheard::Reverses, Unheard::Keeps];

fn first(end: End) -> Vec<Fate> {
    vec![end.into()]
}

/// A 04 0F of the transaction before is said once more during K1, which is declined or approved.
fn repeats() -> Vec<Case> {
    let mut all = Vec::new();
    let moments =
        [Moment::BeforeAnswer, Moment::AfterAnswer, Moment::WithCustomer, Moment::AfterEnd, Moment::Registered];
    for when in moments {
        for end in DECLINES.into_iter().chain([End::Approved]) {
            for before in [Before::SamePrice, Before::OtherPrice] {
                let strays = vec![Stray { when, nth: 0, what: What::LastResult }];
                let quirks = Quirks { strays, fates: first(end), ..Quirks::default() };
                all.push(Case { before, ..case("REPEAT", format!("{when:?} {end:?} {before:?}"), quirks) });
            }
        }
    }
    for end in DECLINES {
        for n in [0, 1] {
            let faults = vec![Fault { at: At::OutOf(0x040f, n), act: Act::Twice }];
            let quirks = Quirks { faults, fates: first(end), ..Quirks::default() };
            all.push(case("REPEAT", format!("twice at once, 04 0F {n}, {end:?}"), quirks));
        }
    }
    all
}

/// K0's till dies before it acknowledges; its 04 0F is said again later, and K1 is declined.
fn stale() -> Vec<Case> {
    let mut all = Vec::new();
    for unheard in BOTH {
        for (when, nth) in
            [(Moment::Registered, 1), (Moment::BeforeAnswer, 1), (Moment::AfterAnswer, 1), (Moment::WithCustomer, 1)]
        {
            for end in DECLINES {
                let strays = vec![Stray { when, nth, what: What::LastResult }];
                let fates = vec![Fate::default(), end.into()];
                let quirks = Quirks { unheard, strays, fates, ..Quirks::default() };
                let name = format!("{unheard:?} {when:?} {end:?}");
                all.push(Case { dead_before: true, ..case("STALE", name, quirks) });
            }
        }
    }
    all
}

/// The first 06 20 is of no use, so that the transaction before is not known; then the link is lost.
fn unknown_before() -> Vec<Case> {
    let mut all = Vec::new();
    let ways = [
        Repeat::Aborted(0xa0),
        Repeat::Refused(0xa0),
        Repeat::Refused(0x83),
        Repeat::Aborted(0x66),
        Repeat::Empty,
        Repeat::PrintsOnly,
    ];
    for repeat_before in ways {
        for unheard in BOTH {
            for before in [Before::SamePrice, Before::OtherPrice, Before::Nothing] {
                for end in [End::Approved, End::Declined(0x05), End::Aborted(0x6c)] {
                    let lost = match end {
                        End::Approved => Fault { at: At::OutOf(0x040f, 0), act: Act::CutBefore },
                        _ => Fault { at: At::OutOf(0x04ff, 1), act: Act::CutAfter },
                    };
                    let quirks =
                        Quirks { unheard, repeat_before, faults: vec![lost], fates: first(end), ..Quirks::default() };
                    let name = format!("{repeat_before:?} {unheard:?} {before:?} {end:?}");
                    all.push(Case { before, ..case("N1", name, quirks) });
                }
            }
        }
    }
    all
}

/// Reversals that carry a receipt of their own: by the terminal, or by the cashier at the terminal.
fn reversals() -> Vec<Case> {
    let mut all = Vec::new();
    for names_original in [true, false] {
        for before in [Before::SamePrice, Before::OtherPrice, Before::Nothing] {
            for act in [Act::CutBefore, Act::CutAfter] {
                let lost = Fault { at: lost_approval(before), act };
                let name = format!("named={names_original} {before:?} {lost:?}");
                let quirks = Quirks { names_original, faults: vec![lost], ..Quirks::default() };
                let by_itself = Quirks { unheard: Unheard::ReversesWithReceipt, ..quirks.clone() };
                all.push(Case { before, ..case("REV", name.clone(), by_itself) });
                let when_lost = vec![Event::Reversal("K1".into())];
                let by_hand = Quirks { unheard: Unheard::Keeps, when_lost, ..quirks };
                all.push(Case { before, ..case("MANUAL", name, by_hand) });
            }
        }
    }
    all
}

/// A second till at the same terminal takes a payment of the same price while the first is away.
fn other_tills() -> Vec<Case> {
    let mut all = Vec::new();
    for unheard in BOTH {
        for amount in [500, 700] {
            for before in [Before::SamePrice, Before::OtherPrice, Before::Nothing] {
                let approval = Fault { at: lost_approval(before), act: Act::CutBefore };
                for lost in [approval, LOST_CUSTOMER] {
                    let when_lost = vec![Event::OtherTill(amount)];
                    let quirks = Quirks { unheard, when_lost, faults: vec![lost.clone()], ..Quirks::default() };
                    let name = format!("{unheard:?} {amount} {before:?} {lost:?}");
                    all.push(Case { before, ..case("OTHER TILL", name, quirks) });
                }
            }
        }
    }
    all
}

/// Each 06 20 counts the trace number up.
fn traces() -> Vec<Case> {
    let mut all = Vec::new();
    for unheard in BOTH {
        for before in [Before::SamePrice, Before::OtherPrice] {
            for lost in [LOST_APPROVAL, LOST_CUSTOMER, Fault { at: At::OutOf(0x060f, 2), act: Act::CutBefore }] {
                let quirks = Quirks { unheard, counts_repeats: true, faults: vec![lost.clone()], ..Quirks::default() };
                all.push(Case { before, ..case("TRACE", format!("{unheard:?} {before:?} {lost:?}"), quirks) });
            }
        }
    }
    all
}

/// The link is lost, the customer goes on, and the terminal says that it is idle.
fn liars() -> Vec<Case> {
    let mut all = Vec::new();
    for customer in [500, 1_500, 3_000] {
        for enquiry in [Enquiry::Status, Enquiry::Empty, Enquiry::Bare] {
            for before in [Before::SamePrice, Before::OtherPrice] {
                for admits_busy in [false, true] {
                    let fates = vec![Fate { customer, ..Fate::default() }];
                    let quirks = Quirks {
                        unheard: Unheard::Keeps,
                        finishes_alone: true,
                        enquiry,
                        admits_busy,
                        fates,
                        faults: vec![Fault { at: At::OutOf(0x04ff, 1), act: Act::CutAfter }],
                        ..Quirks::default()
                    };
                    let group = if admits_busy { "busy alone" } else { "LIAR" };
                    let name = format!("{customer} ms {enquiry:?} {before:?}");
                    all.push(Case { before, ..case(group, name, quirks) });
                }
            }
        }
    }
    all
}

/// Another amount or currency than was asked for is approved.
fn amounts() -> Vec<Case> {
    let mut all = Vec::new();
    for (amount, currency) in [(550, 978), (250, 978), (1, 978), (500, 756), (500, 998), (250, 756)] {
        for fault in [None, Some(LOST_APPROVAL), Some(Fault { at: At::OutOf(0x060f, 2), act: Act::CutBefore })] {
            let quirks = Quirks {
                unheard: Unheard::Keeps,
                fates: first(End::ApprovedAs(amount, currency)),
                faults: fault.clone().into_iter().collect(),
                ..Quirks::default()
            };
            all.push(case("AMOUNT", format!("{amount} {currency} {fault:?}"), quirks.clone()));
            // A terminal that may approve less, and no more and nothing else than that.
            let name = format!("{amount} {currency} {fault:?}");
            let wants = if currency == 978 && amount < 500 { Wants::Known } else { Wants::Truth };
            all.push(Case { partial: true, exclusive: true, wants, ..case("PART", name, quirks) });
        }
    }
    all
}

/// 06 20 is of no use after the loss, for ever.
fn useless_repeats() -> Vec<Case> {
    let mut all = Vec::new();
    let ways = [
        Repeat::Refused(0x83),
        Repeat::Refused(0x9c),
        Repeat::Aborted(0x66),
        Repeat::Aborted(0x83),
        Repeat::PrintsOnly,
        Repeat::Empty,
        Repeat::Unnumbered,
        Repeat::Silent,
        Repeat::Dead,
    ];
    for repeat_after in ways {
        for unheard in BOTH {
            for lost in [LOST_APPROVAL, LOST_CUSTOMER, Fault { at: At::OutOf(0x060f, 2), act: Act::CutBefore }] {
                for always in [false, true] {
                    let repeat_before = if always { repeat_after } else { Repeat::Honest };
                    let mut lost = lost.clone();
                    if always && let At::OutOf(0x040f, n) = &mut lost.at {
                        *n = usize::from(repeat_before == Repeat::Unnumbered);
                    }
                    let faults = vec![lost.clone()];
                    // A clock that is behind: no time tells a new approval from an older one.
                    for clock_days in [0, -1] {
                        let faults = faults.clone();
                        let quirks =
                            Quirks { unheard, repeat_before, repeat_after, faults, clock_days, ..Quirks::default() };
                        let name = format!("{repeat_after:?} always={always} {clock_days} {unheard:?} {lost:?}");
                        all.push(case("USELESS 06 20", name, quirks));
                    }
                }
            }
        }
    }
    for enquiry in [Enquiry::Silent, Enquiry::Refused, Enquiry::Empty, Enquiry::Bare] {
        for unheard in BOTH {
            for lost in [LOST_APPROVAL, LOST_CUSTOMER] {
                for clock_days in [0, -1] {
                    let faults = vec![lost.clone()];
                    let quirks = Quirks { unheard, enquiry, faults, clock_days, ..Quirks::default() };
                    all.push(case("05 01", format!("{enquiry:?} {clock_days} {unheard:?} {lost:?}"), quirks));
                }
            }
        }
    }
    all
}

/// The approval was heard, journalled and acknowledged, the terminal is known to keep it, and only the
/// completion is lost: this is charged, whatever 06 20 says afterwards.
fn blocks() -> Vec<Case> {
    let mut all = Vec::new();
    let ways = [
        Repeat::Refused(0x83),
        Repeat::Aborted(0x66),
        Repeat::Aborted(0x83),
        Repeat::PrintsOnly,
        Repeat::Empty,
        Repeat::Unnumbered,
    ];
    let prints = [
        Fault { at: At::OutOf(0x06d3, 0), act: Act::CutBefore },
        Fault { at: At::OutOf(0x06d3, 1), act: Act::CutAfter },
    ];
    let completion = [Act::CutBefore, Act::Stall].map(|act| Fault { at: At::OutOf(0x060f, 2), act });
    for repeat_after in ways {
        for lost in prints.iter().chain(&completion) {
            let quirks =
                Quirks { unheard: Unheard::Keeps, repeat_after, faults: vec![lost.clone()], ..Quirks::default() };
            let name = format!("{repeat_after:?} {lost:?}");
            let keeps = Some(Commit::Keeps);
            all.push(Case { commit: keeps, wants: Wants::Known, ..case("BLOCK", name, quirks) });
        }
    }
    all
}

/// The terminal is replaced, or its storage emptied, while K1 is open.
fn swaps() -> Vec<Case> {
    let mut all = Vec::new();
    let events =
        [Event::Swap(60_000_002, 500), Event::Swap(60_000_002, 900), Event::Swap(60_000_001, 500), Event::EndOfDay];
    for event in events {
        for unheard in BOTH {
            for lost in [LOST_APPROVAL, LOST_CUSTOMER, Fault { at: At::OutOf(0x060f, 2), act: Act::CutBefore }] {
                let when_lost = vec![event.clone()];
                let quirks = Quirks { unheard, when_lost, faults: vec![lost.clone()], ..Quirks::default() };
                let group = if event == Event::EndOfDay { "EMPTIED" } else { "SWAP" };
                all.push(case(group, format!("{event:?} {unheard:?} {lost:?}"), quirks));
            }
        }
    }
    all
}

/// 84 9C for a while after each payment, to registrations, and to single commands.
fn busy() -> Vec<Case> {
    let mut all = Vec::new();
    for busy_after in [500, 1_000, 3_000] {
        for end in [End::Approved, End::Declined(0x05)] {
            let quirks = Quirks { busy_after, fates: first(end), ..Quirks::default() };
            all.push(Case { next: Next::AtOnce, ..case("BUSY", format!("{busy_after} ms after {end:?}"), quirks) });
        }
        let quirks = Quirks { busy_after, faults: vec![LOST_APPROVAL], unheard: Unheard::Keeps, ..Quirks::default() };
        all.push(case("BUSY", format!("{busy_after} ms after a loss"), quirks));
    }
    for n in 1..4 {
        let quirks = Quirks { registration: Registration::BusyFirst(n), ..Quirks::default() };
        all.push(case("BUSY", format!("{n} registrations"), quirks));
    }
    for code in [0x9c, 0x83, 0x6b, 0xb1] {
        let quirks = Quirks { fates: first(End::Refused(code)), ..Quirks::default() };
        all.push(case("REFUSED", format!("84 {code:02x} to 06 01"), quirks));
    }
    all
}

/// The answer to 06 B0 comes late by n messages, while payment and abort cross.
fn late_aborts() -> Vec<Case> {
    let mut all = Vec::new();
    for approves in [false, true] {
        for accepts in [false, true] {
            for late in 0..9 {
                for after in 1..4 {
                    for before in [Before::SamePrice, Before::OtherPrice] {
                        for intrusion in [Intrusion::Ignored, Intrusion::Queued, Intrusion::Replaces] {
                            let abort = Abort::Crosses { approves, late, accepts };
                            let name = format!("{abort:?} after {after} {before:?} {intrusion:?}");
                            let quirks = Quirks { abort, intrusion, ..Quirks::default() };
                            all.push(Case { abort_after: Some(after), before, ..case("LATE ABORT", name, quirks) });
                        }
                    }
                }
            }
        }
    }
    all
}

fn aborts() -> Vec<Case> {
    let mut all = Vec::new();
    for dialect in dialects() {
        for abort in [Abort::Obeys, Abort::Refuses, Abort::GoesOn, Abort::Ignores] {
            for after in 1..7 {
                let name = format!("{} {abort:?} after {after}", dialect.0);
                let quirks = Quirks { abort, ..dialect.1.clone() };
                all.push(Case { abort_after: Some(after), ..case("abort", name, quirks) });
            }
        }
    }
    all
}

fn declines() -> Vec<Case> {
    let mut all = Vec::new();
    for dialect in dialects() {
        for end in DECLINES.into_iter().chain([End::CompletedEmpty]) {
            for shows_declined in [false, true] {
                for fault in [None, Some(LOST_APPROVAL), Some(LOST_CUSTOMER)] {
                    let faults = fault.clone().into_iter().collect();
                    let quirks = Quirks { shows_declined, faults, fates: first(end), ..dialect.1.clone() };
                    all.push(case("declines", format!("{} {end:?} {shows_declined} {fault:?}", dialect.0), quirks));
                }
            }
        }
    }
    all
}

/// What has to be borne without harm.
fn quirks() -> Vec<Case> {
    let plain = Quirks::default;
    let style = |style: Style| Quirks { style, ..plain() };
    let t = Style { tlv: true, ..Style::default() };
    let mut all = vec![
        ("unknown BMP amid", style(Style { unknown_amid: true, ..t }), Next::Charged),
        ("unknown BMP first", style(Style { unknown_first: true, ..t }), Next::Asked),
        ("no result code", style(Style { no_result: true, ..t }), Next::Asked),
        ("joined", Quirks { pieces: Pieces::Joined, ..plain() }, Next::Charged),
        ("empty registration", Quirks { registration: Registration::Empty, ..plain() }, Next::Charged),
        ("slow by 4 s", Quirks { slow: 4_000, patience: 20_000, ..plain() }, Next::Charged),
    ];
    for days in [-40, -3, -1, 1, 3, 40] {
        all.push(("clock", Quirks { clock_days: days, ..plain() }, Next::Charged));
    }
    let mut cases: Vec<_> = all
        .into_iter()
        .flat_map(|(name, quirks, next)| {
            let clock = if quirks.clock_days == 0 { String::new() } else { format!(" {} days", quirks.clock_days) };
            [None, Some(LOST_APPROVAL), Some(LOST_CUSTOMER)].into_iter().flat_map(move |fault| {
                let (quirks, clock) = (quirks.clone(), clock.clone());
                BOTH.into_iter().map(move |unheard| {
                    let faults = fault.clone().into_iter().collect();
                    let quirks = Quirks { unheard, faults, ..quirks.clone() };
                    Case { next, ..case("quirks", format!("{name}{clock} {unheard:?} {fault:?}"), quirks) }
                })
            })
        })
        .collect();
    // What foreign terminals say in the middle of a payment, and what no till expects.
    let said: [&[u8]; 10] = [
        &[0x04, 0x0d, 0x00],
        &[0x06, 0xe0, 0x05, 0xf0, 0xf2, b'H', b'i', 0x00],
        &[0x06, 0xe3, 0x00],
        &[0x06, 0xd0, 0x00],
        &[0x04, 0x01, 0x00],
        &[0x04, 0x0c, 0x00],
        &[0x06, 0xc0, 0x00],
        &[0x08, 0x10, 0x00],
        &[0x0f, 0x10, 0x01, 0xff],
        &[0x06, 0x1e, 0x01, 0x6c],
    ];
    for bytes in said {
        for when in [Moment::AfterAnswer, Moment::WithCustomer, Moment::AfterEnd] {
            let strays = vec![Stray { when, nth: 0, what: What::Bytes(bytes.to_vec()) }];
            let group = if bytes[1] == 0x1e { "stray 06 1E" } else { "quirks" };
            for unheard in BOTH {
                let quirks = Quirks { unheard, strays: strays.clone(), ..plain() };
                cases.push(case(group, format!("{when:?} {unheard:?} {bytes:02x?}"), quirks));
            }
        }
    }
    cases
}

fn slips() -> Vec<Case> {
    [Slips::Blocks, Slips::Lines, Slips::CustomerFirst, Slips::MerchantOnly, Slips::Untagged, Slips::None]
        .map(|slips| case("SLIPS", format!("{slips:?}"), Quirks { slips, ..Quirks::default() }))
        .into()
}

fn floods() -> Vec<Case> {
    let long = Fate { statuses: 2_000, pace: 100, ..Fate::default() };
    let mut all =
        vec![case("FLOOD", "04 FF for 200 s, then approved", Quirks { fates: vec![long], ..Quirks::default() })];
    for end in [End::FloodsStatus, End::FloodsPrints, End::FloodsResults] {
        for unheard in BOTH {
            let quirks = Quirks { unheard, fates: first(end), ..Quirks::default() };
            all.push(case("FLOOD", format!("{end:?} {unheard:?}"), quirks));
        }
    }
    all
}
