use super::*;

/// Registration of a till that wants text blocks, as seen in the field.
const REGISTER: [u8; 19] =
    [0x06, 0x00, 0x10, 0x12, 0x34, 0x56, 0xbe, 0x09, 0x78, 0x03, 0x01, 0x06, 0x06, 0x26, 0x04, 0x0a, 0x02, 0x06, 0xd3];
/// EUR 5.00.
const PAY: [u8; 13] = [0x06, 0x01, 0x0a, 0x04, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x49, 0x09, 0x78];
/// Repeat receipt: the status information, no prints.
const REPEAT: [u8; 8] = [0x06, 0x20, 0x05, 0x00, 0x00, 0x00, 0x03, 0x03];

/// A till that acknowledges everything; returns the first three bytes of each message it gets.
fn dialogue(terminal: &mut Terminal, now: &mut u64, command: &[u8]) -> Vec<[u8; 3]> {
    let mut heard = Vec::new();
    terminal.received(command, *now);
    loop {
        match terminal.next(*now) {
            Do::Send(bytes) => {
                heard.push([bytes[0], bytes[1], bytes.get(3).copied().unwrap_or(0)]);
                if !matches!(bytes[0], 0x80 | 0x84) {
                    terminal.received(&ACK, *now);
                }
            }
            Do::Wait(until) => *now = until,
            Do::Deaf(_) => unreachable!("a terminal always listens"),
            Do::HangUp | Do::Reset => {
                terminal.lost(*now);
                return heard;
            }
            Do::Idle => return heard,
        }
    }
}

fn registered(quirks: Quirks) -> (Terminal, u64) {
    let (mut terminal, mut now) = (Terminal::new(quirks, 417), 0);
    terminal.connected(now);
    assert_eq!(dialogue(&mut terminal, &mut now, &REGISTER), [[0x80, 0, 0], [0x06, 0x0f, 0x19]]);
    terminal.customer("K1");
    (terminal, now)
}

fn states(terminal: &Terminal) -> Vec<(u16, State)> {
    terminal.ledger.all().iter().map(|t| (t.receipt, t.state)).collect()
}

#[test]
fn a_payment_stands_and_is_shown_again() {
    let (mut terminal, mut now) = registered(Quirks::default());
    let heard = dialogue(&mut terminal, &mut now, &PAY);
    let blocks = [[0x06, 0xd3, 0x06]; 2];
    let expected = [&[[0x80, 0, 0], [0x04, 0xff, 0x0a], [0x04, 0xff, 0x0e], [0x04, 0x0f, 0x27]][..], &blocks];
    assert_eq!(heard, [&expected.concat()[..], &[[0x06, 0x0f, 0]]].concat());
    assert_eq!((now, states(&terminal)), (400, vec![(417, State::Stored)]));
    assert_eq!(dialogue(&mut terminal, &mut now, &REPEAT), [[0x80, 0, 0], [0x04, 0x0f, 0x27], [0x06, 0x0f, 0]]);
    assert_eq!((terminal.ledger.all()[0].amount, terminal.asked("K1")), (500, 1));
}

#[test]
fn an_approval_that_is_not_heard_is_taken_back_or_kept() {
    for (unheard, state) in [(Unheard::Reverses, State::Reversed), (Unheard::Keeps, State::Stored)] {
        let faults = vec![Fault { at: At::OutOf(0x040f, 0), act: Act::CutBefore }];
        let (mut terminal, mut now) = registered(Quirks { unheard, faults, ..Quirks::default() });
        dialogue(&mut terminal, &mut now, &PAY);
        assert_eq!(states(&terminal), [(417, state)]);
    }
}

#[test]
fn a_customer_finishes_alone_while_the_terminal_says_that_it_is_busy() {
    let faults = vec![Fault { at: At::OutOf(0x04ff, 0), act: Act::CutAfter }];
    let quirks = Quirks { unheard: Unheard::Keeps, finishes_alone: true, faults, ..Quirks::default() };
    let (mut terminal, mut now) = registered(quirks);
    dialogue(&mut terminal, &mut now, &PAY);
    terminal.connected(now + 100);
    let (mut early, mut late) = (now + 100, now + 500);
    assert_eq!(dialogue(&mut terminal, &mut early, &REPEAT), [[0x84, 0x9c, 0]]);
    assert_eq!(dialogue(&mut terminal, &mut late, &REPEAT).len(), 3);
    assert_eq!(states(&terminal), [(417, State::Stored)]);
}

#[test]
fn a_reversal_has_a_receipt_of_its_own_and_names_the_payment() {
    let faults = vec![Fault { at: At::InOf(0x8000, 3), act: Act::CutBefore }];
    let (mut terminal, mut now) =
        registered(Quirks { unheard: Unheard::ReversesWithReceipt, faults, ..Quirks::default() });
    dialogue(&mut terminal, &mut now, &PAY);
    assert_eq!(states(&terminal), [(417, State::Reversed), (418, State::Stored)]);
    terminal.connected(now);
    dialogue(&mut terminal, &mut now, &REPEAT);
    let said = terminal.log().iter().rfind(|m| m.bytes.starts_with(&[0x04, 0x0f])).expect("a result");
    assert!(said.bytes.windows(4).any(|w| w == [0x37, 0x00, 0x14, 0x17]), "{:02x?}", said.bytes);
    assert!(said.bytes.windows(3).any(|w| w == [0x87, 0x04, 0x18]), "{:02x?}", said.bytes);
}

#[test]
fn the_answer_to_an_abort_comes_as_late_as_asked() {
    let abort = Abort::Crosses { approves: false, late: 2, accepts: false };
    let (mut terminal, mut now) = registered(Quirks { abort, ..Quirks::default() });
    terminal.received(&PAY, now);
    while let Do::Send(_) = terminal.next(now) {
        terminal.received(&ACK, now);
    }
    assert_eq!(dialogue(&mut terminal, &mut now, &[0x06, 0xb0, 0x00]), [[0x06, 0x1e, 0x6c]]);
    // The acknowledgement of 06 1E was the first further message; this is the second.
    assert_eq!(dialogue(&mut terminal, &mut now, &REPEAT)[..2], [[0x84, 0x83, 0], [0x80, 0, 0]]);
}

#[test]
fn receipt_numbers_wrap_and_dates_may_be_wrong() {
    let mut terminal = Terminal::new(Quirks { clock_days: -3, ..Quirks::default() }, 9999);
    (0..2).for_each(|_| terminal.had(500));
    assert_eq!(states(&terminal), [(9999, State::Stored), (1, State::Stored)]);
    terminal.connected(0);
    assert_eq!(dialogue(&mut terminal, &mut 0, &REPEAT), [[0x84, 0x6b, 0]], "not registered");
    dialogue(&mut terminal, &mut 0, &REGISTER);
    dialogue(&mut terminal, &mut 0, &REPEAT);
    let said = &terminal.log().iter().rfind(|m| m.bytes[0] == 0x04).expect("a result").bytes;
    assert!(said.windows(3).any(|w| w == [0x0d, 0x12, 0x30]), "{said:02x?}");
    // A till may send byte by byte.
    let mut now = 0;
    for byte in &PAY[..12] {
        terminal.received(&[*byte], now);
        assert_eq!(terminal.next(now), Do::Idle);
    }
    assert_eq!(dialogue(&mut terminal, &mut now, &PAY[12..]).last(), Some(&[0x06, 0x0f, 0]));
}

#[test]
fn a_message_is_cut_doubled_delayed_or_held_back() {
    let run = |act| {
        let faults = vec![Fault { at: At::Out(2), act }];
        let (mut terminal, mut now) = registered(Quirks { faults, ..Quirks::default() });
        let heard = dialogue(&mut terminal, &mut now, &PAY);
        (heard, now)
    };
    assert_eq!(run(Act::CutBefore).0, [[0u8; 3]; 0]);
    assert_eq!(run(Act::CutAfter).0, [[0x80, 0, 0]]);
    assert_eq!(run(Act::Twice).0[..2], [[0x80, 0, 0], [0x80, 0, 0]]);
    assert_eq!(run(Act::Swallow).0[0], [0x04, 0xff, 0x0a]);
    assert_eq!(run(Act::Late(1)).0[..2], [[0x04, 0xff, 0x0a], [0x80, 0, 0]]);
    assert_eq!(run(Act::Flip(0, 0x04)).0[0], [0x84, 0, 0]);
    assert_eq!(run(Act::Stall).0, [[0u8; 3]; 0]);
    assert!(run(Act::Delay(6000)).1 >= 6000);
}

/// What a till sent to a terminal of Feig: EUR 25.00 held, EUR 12.95 of it released by the booking of the rest; and a
/// reservation that is released. The containers hold data of that till's operator. Crate `zvt` 0.1, folder `data`; the receipt
/// numbers are those of this terminal.
const RESERVE: [u8; 33] =
    *b"\x06\x22\x1e\x19\x40\x49\x09\x78\x04\0\0\0\0\x25\0\x06\x10\xe9\x0e\x1f\x62\x02AC\x1f\x63\x06384HH2";
const BOOK: [u8; 36] =
    *b"\x06\x23\x21\x19\x40\x87\x04\x17\x49\x09\x78\x04\0\0\0\0\x12\x95\x06\x10\xe9\x0e\x1f\x62\x02AC\x1f\x63\x06MF2246";
const RELEASE: [u8; 11] = [0x06, 0x25, 0x08, 0x19, 0x40, 0x87, 0x04, 0x19, 0x49, 0x09, 0x78];
const LIST: [u8; 6] = [0x06, 0x23, 0x03, 0x87, 0xff, 0xff];

#[test]
fn captured_commands_hold_book_and_release() {
    let (mut terminal, mut now) = registered(Quirks { slips: Slips::None, ..Quirks::default() });
    let done = [0x06, 0x0f, 0];
    for command in [&RESERVE[..], &BOOK, &RESERVE, &RELEASE] {
        let heard = dialogue(&mut terminal, &mut now, command);
        assert_eq!((heard.first(), heard.last()), (Some(&[0x80, 0, 0]), Some(&done)), "{command:02x?}");
    }
    let all: Vec<_> = terminal.ledger.all().iter().map(|t| (t.receipt, t.kind, t.amount, t.state)).collect();
    assert_eq!(
        all,
        [
            (417, Kind::Reservation, 25_00, State::Ended),
            (418, Kind::Booking(0), 12_05, State::Stored),
            (419, Kind::Reservation, 25_00, State::Ended),
            (420, Kind::Release(2), 25_00, State::Stored),
        ]
    );
    // Nothing is open; a second booking is told so.
    for command in [&LIST[..], &BOOK] {
        let heard = dialogue(&mut terminal, &mut now, command);
        assert_eq!(heard, [[0x80, 0, 0], [0x06, 0x1e, 0xb8]]);
    }
}
