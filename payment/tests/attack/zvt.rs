//! ZVT over TCP (PA00P015): APDUs of class, instruction, length and data.

use std::collections::VecDeque;
use std::time::Duration;

use tresen_hal::link::memory::{self, Memory};
use tresen_hal::{Amount, Currency, Link};
use tresen_payment::zvt::{self, Booking, Options};
use tresen_payment::{Host, Payment, Reason, Request, Terminal as _};

use super::stage::{JUMPS, Till, how};

const PRICE: Amount = Amount::eur(5_00);
const HELD: Amount = Amount::eur(50_00);

/// What the terminal does about a command: it says these one after the other, each once the one before was answered.
pub(crate) enum Do {
    Say(Vec<u8>),
    /// It says this without waiting for an answer to what it said before.
    Also(Vec<u8>),
    HangUp,
}

/// The answer to a command, `80 00 00`.
pub(crate) fn ack() -> Do {
    Do::Also(vec![0x80, 0, 0])
}

/// 06 0F without data.
pub(crate) fn done() -> Do {
    Do::Say(vec![0x06, 0x0f, 0])
}

/// 06 1E with this code.
fn aborts(code: u8) -> Do {
    Do::Say(vec![0x06, 0x1e, 1, code])
}

/// 04 0F: result (27), amount (04) in cents, currency (49) euro, terminal id (29), receipt (87) and trace (0B) of one
/// number.
pub(crate) fn status(result: u8, cents: u32, number: u32) -> Do {
    let mut data = vec![0x27, result, 0x04];
    data.extend(bcd(cents, 6));
    data.extend([0x49, 0x09, 0x78, 0x29, 0x60, 0x00, 0x00, 0x01, 0x87]);
    data.extend(bcd(number % 10_000, 2));
    data.push(0x0b);
    data.extend(bcd(number, 3));
    let length = u8::try_from(data.len()).expect("short");
    Do::Say([vec![0x04, 0x0f, length], data].concat())
}

fn bcd(number: u32, bytes: usize) -> Vec<u8> {
    let digits = format!("{number:0width$}", width = bytes * 2);
    digits.as_bytes().chunks(2).map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0')).collect()
}

/// The first whole APDU of `input`, which it leaves.
fn take(input: &mut Vec<u8>) -> Option<(u16, Vec<u8>)> {
    let (head, length) = match input[..] {
        [_, _, 0xff, low, high, ..] => (5, usize::from(low) | usize::from(high) << 8),
        [_, _, 0xff, ..] | [] | [_] | [_, _] => return None,
        [_, _, length, ..] => (3, usize::from(length)),
    };
    if input.len() < head + length {
        return None;
    }
    let apdu: Vec<u8> = input.drain(..head + length).collect();
    Some((u16::from_be_bytes([apdu[0], apdu[1]]), apdu[head..].to_vec()))
}

/// A terminal at the far end of a link.
async fn serve(link: Memory, mut answer: impl FnMut(u16, &[u8]) -> Vec<Do>) {
    let (mut input, mut plan) = (Vec::new(), VecDeque::new());
    loop {
        while let Some((code, data)) = take(&mut input) {
            match code {
                0x8000 | 0x8400..=0x84ff => {}
                _ => plan = answer(code, &data).into(),
            }
            loop {
                let (bytes, waits) = match plan.pop_front() {
                    Some(Do::Say(bytes)) => (bytes, true),
                    Some(Do::Also(bytes)) => (bytes, false),
                    Some(Do::HangUp) => return,
                    None => break,
                };
                if link.send(&bytes).await.is_err() {
                    return;
                }
                if waits {
                    break;
                }
            }
        }
        if link.recv(&mut input).await.is_err() {
            return;
        }
    }
}

/// What every terminal answers: 06 00, 06 02, 05 01 (idle), and 06 20 with its last transaction, if it has one.
pub(crate) fn usual(code: u16, last: Option<Do>) -> Vec<Do> {
    match (code, last) {
        (0x0600, _) => vec![ack(), done()],
        (0x0602, _) => vec![ack()],
        // Software version `A`, then the status.
        (0x0501, _) => vec![ack(), Do::Say(vec![0x06, 0x0f, 5, 0xf0, 0xf0, 0xf1, b'A', 0x00])],
        (0x0620, Some(last)) => vec![ack(), last, done()],
        (0x0620, None) => vec![ack(), aborts(NOTHING)],
        _ => vec![Do::Also(vec![0x84, 0x83, 0])],
    }
}

/// The code with which the terminals here say that they have nothing stored.
const NOTHING: u8 = 0x66;

async fn open(
    till: &Till,
    options: &Options,
    answer: impl FnMut(u16, &[u8]) -> Vec<Do> + Send + 'static,
) -> zvt::Terminal {
    let (near, far) = memory::pair();
    tokio::spawn(serve(far, answer));
    zvt::open(Box::new(near), options.clone(), till.journal.clone(), till.clock()).await.expect("registers")
}

fn options() -> Options {
    let mut options = Options::new("counter");
    options.nothing_stored = vec![NOTHING];
    options
}

/// 06 24 names the whole amount, so an answer with another one is another amount: it is not what was released.
#[tokio::test(start_paused = true)]
async fn a_total_that_was_booked_otherwise_is_not_what_was_asked_for() {
    for (told, booked) in [(20_00, "charged"), (30_00, "unknown"), (50_00, "unknown"), (0, "unknown")] {
        let till = Till::new();
        let mut options = options();
        options.booking = Booking::Total;
        let mut number = 416;
        let mut terminal = open(&till, &options, move |code, _| {
            number += u32::from(matches!(code, 0x0622 | 0x0624));
            match code {
                0x0622 => vec![ack(), status(0, 50_00, number), done()],
                0x0624 => vec![ack(), status(0, told, number), done()],
                _ => usual(code, Some(status(0, if number == 418 { told } else { 50_00 }, number))),
            }
        })
        .await;
        let held = terminal.pre_authorise(Request::new("held", HELD), Host::none()).await.expect("an outcome");
        let held = held.into_charge().and_then(|charge| charge.reference).expect("it is named");
        let bill = Request::new("bill", Amount::eur(20_00));
        let payment = terminal.book(held, bill, Host::none()).await.expect("an outcome");
        assert_eq!(how(&payment), booked, "told {told}: {payment:?}");
    }
}

/// A day is closed in the night, also by the terminal itself, and then it has nothing stored, whatever it has charged.
#[tokio::test(start_paused = true)]
async fn nothing_stored_on_the_next_day_does_not_mean_that_nothing_was_charged() {
    for (later, ended) in [(Duration::from_secs(60), "not charged"), (Duration::from_secs(12 * 3600), "unknown")] {
        let till = Till::new();
        let cut = |code: u16, _: &[u8]| match code {
            0x0601 => vec![ack(), Do::HangUp],
            code => usual(code, None),
        };
        let mut terminal = open(&till, &options(), cut).await;
        let payment = terminal.pay(Request::new("sale", PRICE), Host::none()).await.expect("an outcome");
        assert_eq!(how(&payment), "unknown");
        tokio::time::sleep(later).await;
        let mut terminal = open(&till, &options(), |code, _| usual(code, None)).await;
        terminal.recover().await.expect("asks");
        let payment = till.stands("sale").expect("concluded");
        assert_eq!(how(&payment), ended, "after {later:?}: {payment:?}");
    }
}

/// The receipt after 9999 is 1. With another one in between, or another amount, nothing is proven.
#[tokio::test(start_paused = true)]
async fn a_lost_approval_is_proven_by_the_next_receipt_only() {
    for (before, after, cents, ended) in [
        (9_999, 10_001, 5_00, "charged"),
        (417, 418, 5_00, "charged"),
        (417, 419, 5_00, "unknown"),
        (9_999, 10_002, 5_00, "unknown"),
        (417, 418, 4_00, "unknown"),
        (417, 418, 6_00, "unknown"),
        (417, 417, 5_00, "not charged"),
    ] {
        let till = Till::new();
        let mut options = options();
        options.exclusive = true;
        let cut = move |code: u16, _: &[u8]| match code {
            0x0601 => vec![ack(), Do::HangUp],
            code => usual(code, Some(status(0, 5_00, before))),
        };
        let mut terminal = open(&till, &options, cut).await;
        let payment = terminal.pay(Request::new("sale", PRICE), Host::none()).await.expect("an outcome");
        assert_eq!(how(&payment), "unknown");
        let mut terminal = open(&till, &options, move |code, _| usual(code, Some(status(0, cents, after)))).await;
        terminal.recover().await.expect("asks");
        let payment = till.stands("sale").expect("concluded");
        assert_eq!(how(&payment), ended, "{before} then {after} of {cents}: {payment:?}");
    }
}

/// It says that a payment has ended, and then an approval of it: between two payments, or in the next one.
#[tokio::test(start_paused = true)]
async fn an_approval_after_its_payment_ended_is_not_the_next_ones() {
    for in_the_next in [false, true] {
        let till = Till::new();
        let mut payments = 0;
        let mut terminal = open(&till, &options(), move |code, _| match code {
            0x0601 => {
                payments += 1;
                let mut first = vec![ack(), aborts(0x6c)];
                if !in_the_next {
                    first.push(status(0, 5_00, 418));
                }
                match payments {
                    1 => first,
                    _ if in_the_next => vec![ack(), status(0, 5_00, 418), status(0x05, 5_00, 419), aborts(0x05)],
                    _ => vec![ack(), status(0x05, 5_00, 419), aborts(0x05)],
                }
            }
            // The first is stored by the time the second is about to begin.
            code => usual(code, Some(status(0, 5_00, if payments == 0 || in_the_next { 417 } else { 418 }))),
        })
        .await;
        let first = terminal.pay(Request::new("first", PRICE), Host::none()).await.expect("an outcome");
        // The terminal shows the first as stored right away, or not yet.
        assert_eq!(how(&first), if in_the_next { "not charged" } else { "unknown" });
        tokio::time::sleep(Duration::from_secs(5)).await;
        let second = terminal.pay(Request::new("second", PRICE), Host::none()).await;
        assert!(!second.as_ref().is_ok_and(|p| how(p) == "charged"), "in the next: {in_the_next}: {second:?}");
    }
}

/// A terminal that books, releases and reverses as often as it is asked: the same reservation twice, more than it holds,
/// released after it was booked, the same payment reversed twice. What the till knows to be wrong is not sent.
#[tokio::test(start_paused = true)]
async fn a_reservation_is_booked_once_and_never_above_what_it_holds() {
    let till = Till::new();
    let (seen, sent) = std::sync::mpsc::channel();
    let (mut number, mut cents) = (416, 0);
    let mut terminal = open(&till, &options(), move |code, _| {
        seen.send(code).expect("the test reads");
        match code {
            0x0601 | 0x0622 | 0x0623 | 0x0625 | 0x0630 => {
                number += 1;
                cents = if matches!(code, 0x0601 | 0x0630) { 5_00 } else { 50_00 };
                vec![ack(), status(0, cents, number), done()]
            }
            _ => usual(code, (number > 416).then(|| status(0, cents, number))),
        }
    })
    .await;
    let held = terminal.pre_authorise(Request::new("held", HELD), Host::none()).await.expect("an outcome");
    let held = held.into_charge().and_then(|charge| charge.reference).expect("it is named");
    for wrong in [Amount::eur(50_01), Amount::new(20_00, Currency::from_number(756).expect("francs")), Amount::eur(0)] {
        let refused = terminal.book(held.clone(), Request::new("more", wrong), Host::none()).await;
        assert!(refused.is_err(), "{wrong}: {refused:?}");
    }
    let book = |id: &str| Request::new(id, HELD);
    let booked = terminal.book(held.clone(), book("bill"), Host::none()).await.expect("an outcome");
    assert_eq!(how(&booked), "charged");
    for of in [held, zvt::held(None, "0417", None, HELD)] {
        terminal.book(of.clone(), book("twice"), Host::none()).await.expect_err("it was booked");
        terminal.release(of, book("back"), Host::none()).await.expect_err("it was booked");
    }
    let paid = terminal.pay(Request::new("sale", PRICE), Host::none()).await.expect("an outcome");
    let paid = paid.into_charge().and_then(|charge| charge.reference).expect("it is named");
    let back = terminal.reverse(paid.clone(), Request::new("b", PRICE), Host::none()).await.expect("an outcome");
    assert_eq!(how(&back), "charged");
    terminal.reverse(paid, Request::new("c", PRICE), Host::none()).await.expect_err("it was reversed");
    let ends: Vec<_> = sent.try_iter().filter(|code| matches!(code, 0x0623 | 0x0625 | 0x0630)).collect();
    assert_eq!(ends, [0x0623, 0x0630]);
}

/// A card number in every text field of an approval, and in what it shows and prints.
#[tokio::test(start_paused = true)]
async fn card_numbers_in_texts_are_not_kept() {
    let till = Till::new();
    let mut terminal = open(&till, &options(), |code, _| {
        let text = b"KARTE 4111111111111111 NAME";
        let length = u8::try_from(text.len()).expect("short");
        let block = |class, instr| Do::Say([&[class, instr, length][..], text].concat());
        let attribute = Do::Say([&[0x06, 0xd1, length + 1, 0x00][..], text].concat());
        let mut approval = vec![0x27, 0x00, 0x04, 0, 0, 0, 0, 0x05, 0x00, 0x87, 0x04, 0x18, 0x0b, 0, 0x04, 0x18];
        approval.extend([0x29, 0x60, 0, 0, 0x01]);
        // Card name (8B, LLVAR) and text (3C, LLLVAR).
        approval.extend([0x8b, 0xf0 | (length / 10), 0xf0 | (length % 10)]);
        approval.extend(text);
        approval.extend([0x3c, 0xf0, 0xf0 | (length / 10), 0xf0 | (length % 10)]);
        approval.extend(text);
        // AID (3B), 8 bytes of text.
        approval.extend([0x3b, b'4', b'1', b'1', b'1', b'1', b'1', b'1', b'1']);
        let told = u8::try_from(approval.len()).expect("short");
        let approval = Do::Say([vec![0x04, 0x0f, told], approval].concat());
        match code {
            0x0601 => vec![ack(), block(0x06, 0xe0), attribute, approval, done()],
            code => usual(code, Some(status(0, 5_00, 417))),
        }
    })
    .await;
    let (host, mut steps) = Host::new(tokio::sync::watch::channel(false).1);
    let payment = terminal.pay(Request::new("sale", PRICE), host).await.expect("an outcome");
    let mut told = Vec::new();
    while let Ok(step) = steps.try_recv() {
        told.push(serde_json::to_string(&step).expect("serialises"));
    }
    let everything = format!("{} {payment:?} {told:?} {terminal:?}", till.everything());
    assert!(how(&payment) == "charged" && everything.contains("1111"), "{payment:?}");
    assert!(!everything.contains("411111111111"), "{everything}");
}

/// A terminal that was reset to how it left the factory has another past, and says so by what it shows.
#[tokio::test(start_paused = true)]
async fn a_terminal_that_has_forgotten_everything_proves_nothing() {
    let till = Till::new();
    let mut terminal = open(&till, &options(), |code, _| match code {
        0x0601 => vec![ack(), Do::HangUp],
        code => usual(code, Some(status(0, 5_00, 417))),
    })
    .await;
    let payment = terminal.pay(Request::new("sale", PRICE), Host::none()).await.expect("an outcome");
    assert_eq!(how(&payment), "unknown");
    for last in [None, Some(1)] {
        let last = move || last.map(|number| status(0, 5_00, number));
        let mut terminal = open(&till, &options(), move |code, _| usual(code, last())).await;
        terminal.recover().await.expect("asks");
        assert_eq!(how(&till.stands("sale").expect("concluded")), "unknown");
    }
    let mut terminal = open(&till, &options(), |code, _| match code {
        0x0601 => vec![ack(), status(0x6c, 5_00, 2), aborts(0x6c)],
        code => usual(code, Some(status(0, 5_00, 1))),
    })
    .await;
    let next = terminal.pay(Request::new("next", PRICE), Host::none()).await.expect("the next customer is served");
    assert!(matches!(&next, Payment::NotCharged(not) if not.reason == Reason::Aborted), "{next:?}");
}

/// [`status`] with time (0C) and date (0D) of the terminal's clock: 2 January, this time of the day in UTC.
fn dated(result: u8, cents: u32, number: u32, [hour, minute]: [u32; 2]) -> Do {
    let Do::Say(mut apdu) = status(result, cents, number) else { unreachable!("it says it") };
    let at: jiff::Timestamp = format!("2026-01-02T{hour:02}:{minute:02}:00Z").parse().expect("a time");
    let at = at.to_zoned(jiff::tz::TimeZone::system());
    let two = |high: i8, low: i8| bcd(u32::from(high.unsigned_abs()) * 100 + u32::from(low.unsigned_abs()), 2);
    apdu.push(0x0c);
    apdu.extend(two(at.hour(), at.minute()));
    apdu.extend([0x00, 0x0d]);
    apdu.extend(two(at.month(), at.day()));
    apdu[2] = u8::try_from(apdu.len() - 3).expect("short");
    Do::Say(apdu)
}

/// The till's date is set by a day before, in and after a payment: what was heard is charged, what was lost is at most
/// unknown, and nobody is asked for money again.
#[tokio::test(start_paused = true)]
async fn a_date_that_is_set_proves_nothing() {
    for [before, within, after] in JUMPS {
        // Heard; lost, and stored as the next receipt; lost, and the one before is still the last; lost, and nothing is stored.
        for (heard, last, fits) in [
            (true, Some(418), &["charged"][..]),
            (false, Some(418), &["charged", "unknown"]),
            (false, Some(417), &["not charged", "unknown"]),
            (false, None, &["not charged", "unknown"]),
        ] {
            let name = format!("{before} {within} {after}, heard {heard}, last {last:?}");
            let till = Till::new();
            let mut options = options();
            options.exclusive = true;
            till.clock.jump(before);
            let clock = till.clock.clone();
            let shown = last.map(|_| 417);
            let mut terminal = open(&till, &options, move |code, _| match code {
                0x0601 => {
                    clock.jump(within);
                    if heard { vec![ack(), dated(0, 5_00, 418, [8, 0]), done()] } else { vec![ack(), Do::HangUp] }
                }
                code => usual(code, shown.map(|number| dated(0, 5_00, number, [7, 50]))),
            })
            .await;
            let payment = terminal.pay(Request::new("sale", PRICE), Host::none()).await.expect("an outcome");
            assert_eq!(how(&payment), if heard { "charged" } else { "unknown" }, "{name}: {payment:?}");
            till.clock.jump(after);
            let (seen, sent) = std::sync::mpsc::channel();
            let mut terminal = open(&till, &options, move |code, _| {
                seen.send(code).expect("the test reads");
                let minute = if last == Some(418) { [8, 0] } else { [7, 50] };
                usual(code, last.map(|number| dated(0, 5_00, number, minute)))
            })
            .await;
            terminal.recover().await.expect("asks");
            let payment = till.stands("sale").expect("concluded");
            assert!(fits.contains(&how(&payment)), "{name}: {payment:?}");
            // Nothing stored, and the date says that a day may have been closed since.
            assert!(
                last.is_some() || after.abs() < 23 && within == 0 || how(&payment) == "unknown",
                "{name}: {payment:?}"
            );
            assert!(sent.try_iter().all(|code| code != 0x0601), "{name}");
        }
    }
}

/// The terminal answers twice, so that nothing but a time tells an old approval from a new one; and the till, whose date
/// was a day behind, gets the right one meanwhile.
#[tokio::test(start_paused = true)]
async fn an_old_approval_is_not_new_because_the_date_was_set() {
    for (jump, at, ended) in
        [(0, [8, 0], "charged"), (0, [7, 0], "unknown"), (24, [7, 0], "unknown"), (24, [8, 0], "unknown")]
    {
        let till = Till::new();
        till.clock.jump(-jump);
        let clock = till.clock.clone();
        let mut terminal = open(&till, &options(), move |code, _| match code {
            0x0601 => {
                clock.jump(jump);
                vec![ack(), ack(), dated(0, 5_00, 400, at), done()]
            }
            code => usual(code, Some(dated(0, 5_00, 417, [7, 50]))),
        })
        .await;
        let payment = terminal.pay(Request::new("sale", PRICE), Host::none()).await.expect("an outcome");
        assert_eq!(how(&payment), ended, "{jump} {at:?}: {payment:?}");
    }
}

/// Two tills at one terminal: the other one pays the same amount while this one's end is lost, or its results come over
/// this one's connection.
#[tokio::test(start_paused = true)]
async fn anothers_payment_of_the_same_amount_is_not_this_ones() {
    // The end was lost; then the terminal's last transaction is the other till's, or this one's and the other's.
    for (last, cents, result) in [(418, 5_00, 0), (419, 5_00, 0), (418, 5_00, 0x05), (419, 5_00, 0x6c), (418, 3_00, 0)]
    {
        let till = Till::new();
        let cut = |code: u16, _: &[u8]| match code {
            0x0601 => vec![ack(), Do::HangUp],
            code => usual(code, Some(status(0, 9_00, 417))),
        };
        let mut terminal = open(&till, &options(), cut).await;
        let payment = terminal.pay(Request::new("sale", PRICE), Host::none()).await.expect("an outcome");
        assert_eq!(how(&payment), "unknown");
        let answer = move |code: u16, _: &[u8]| usual(code, Some(status(result, cents, last)));
        open(&till, &options(), answer).await.recover().await.expect("asks");
        let payment = till.stands("sale").expect("concluded");
        assert_eq!(how(&payment), "unknown", "{last} {cents} {result:02x}: {payment:?}");
    }
    // The other's result crosses this one's; the terminal stores both.
    type Say = fn() -> Vec<Do>;
    let cases: [(&str, u32, Say, &[&str]); 5] = [
        ("approved, approved", 419, || vec![ack(), status(0, 5_00, 418), status(0, 5_00, 419), done()], &["unknown"]),
        (
            "approved, declined",
            418,
            || vec![ack(), status(0, 5_00, 418), status(5, 5_00, 419), aborts(5)],
            &["unknown", "charged"],
        ),
        (
            "declined, approved",
            419,
            || vec![ack(), status(5, 5_00, 418), status(0, 5_00, 419), done()],
            &["unknown", "charged"],
        ),
        (
            "approved before the answer",
            419,
            || {
                let Do::Say(other) = status(0, 5_00, 418) else { unreachable!("it says it") };
                vec![Do::Also(other), ack(), status(0, 5_00, 419), done()]
            },
            &["unknown", "charged"],
        ),
        (
            "another amount, approved",
            419,
            || vec![ack(), status(0, 7_00, 418), status(0, 5_00, 419), done()],
            &["unknown"],
        ),
    ];
    for (name, last, say, fits) in cases {
        let till = Till::new();
        let mut paid = 0;
        let mut terminal = open(&till, &options(), move |code, _| match code {
            0x0601 => {
                paid += 1;
                say()
            }
            code => usual(code, Some(status(0, 5_00, if paid == 0 { 417 } else { last }))),
        })
        .await;
        let payment = terminal.pay(Request::new("sale", PRICE), Host::none()).await.expect("an outcome");
        assert!(fits.contains(&how(&payment)), "{name}: {payment:?}");
    }
}

/// More, less and nothing, where a part is allowed and where it is not.
#[tokio::test(start_paused = true)]
async fn a_part_is_less_and_only_where_it_is_allowed() {
    for (partial, cents, ended) in [
        (false, 5_00, "charged"),
        (false, 4_99, "unknown"),
        (false, 6_00, "unknown"),
        (false, 0, "unknown"),
        (true, 5_00, "charged"),
        (true, 4_99, "partial"),
        (true, 5_01, "unknown"),
        (true, 0, "unknown"),
    ] {
        for stored in [true, false] {
            let till = Till::new();
            let mut options = options();
            options.partial = partial;
            let mut paid = false;
            let mut terminal = open(&till, &options, move |code, _| match code {
                0x0601 => {
                    paid = true;
                    vec![ack(), status(0, cents, 418), done()]
                }
                // What it shows afterwards agrees with what it said, or is what was asked for.
                code => usual(
                    code,
                    Some(match paid {
                        true => status(0, if stored { cents } else { 5_00 }, 418),
                        false => status(0, 9_00, 417),
                    }),
                ),
            })
            .await;
            let payment = terminal.pay(Request::new("sale", PRICE), Host::none()).await.expect("an outcome");
            assert_eq!(how(&payment), ended, "{partial} {cents} {stored}: {payment:?}");
            let amount = payment.charge().map(|charge| charge.amount.minor());
            assert!(amount.is_none_or(|minor| minor == i64::from(cents)), "{payment:?}");
        }
    }
}
