//! Every way to decide, on messages laid out by hand after the table of BMPs.

use super::*;
use crate::journal::Transaction;

const READING: Reading = Reading {
    charset: Charset::Cp437,
    now: jiff::civil::date(2026, 1, 2).at(8, 1, 0, 0),
    language: crate::Language::English,
};

fn reference(receipt: &str) -> Reference {
    super::reference(Some("60000001"), receipt, Some(receipt))
}

fn intent(before: Option<&str>) -> Intent {
    let at = "2026-01-02T08:00:00Z".parse().expect("a timestamp");
    let last = before.map(reference);
    Intent::new(IntentId("a".into()), "counter", Transaction::Payment, Amount::eur(25_00), at, last)
}

/// 27 result, 04 EUR 25.00, 87 receipt, 0B trace, 29 terminal id.
fn shown(result: u8, receipt: u8) -> Vec<u8> {
    let ids = [0x87, 0x04, receipt, 0x0b, 0x00, 0x04, receipt, 0x29, 0x60, 0, 0, 0x01];
    [&[0x27, result, 0x04, 0, 0, 0, 0, 0x25, 0][..], &ids].concat()
}

fn data(result: u8, receipt: u8) -> Data {
    Data(shown(result, receipt))
}

fn approved(receipt: u8) -> Charge {
    READING.charge(&IntentId("a".into()), Amount::eur(25_00), &StatusInfo::parse(&shown(0, receipt)))
}

fn decided(before: Option<&str>, approved: Option<&Charge>, last: Last) -> (Payment, String) {
    let intent = intent(before);
    decide(
        Case { intent: &intent, approved, only: true, commit: None, exclusive: true, partial: false },
        &last,
        READING,
    )
}

fn reason(payment: &Payment) -> Option<Reason> {
    match payment {
        Payment::NotCharged(not) => Some(not.reason),
        _ => None,
    }
}

#[test]
fn a_newer_transaction_of_the_amount_is_the_payment() {
    let (payment, words) = decided(Some("0416"), None, Last::Shown(data(0, 0x17)));
    assert!(matches!(&payment, Payment::Charged(c) if c.receipt_number.as_deref() == Some("0417")), "{payment:?}");
    assert_eq!(words, "receipt 0417, 25.00 EUR, trace 000417 on terminal 60000001");
}

#[test]
fn the_one_before_means_that_nothing_was_stored() {
    let (payment, _) = decided(Some("0416"), None, Last::Shown(data(0, 0x16)));
    assert_eq!(reason(&payment), Some(Reason::NotFound));
    let (payment, words) = decided(Some("0416"), Some(&approved(0x17)), Last::Shown(data(0, 0x16)));
    assert_eq!(reason(&payment), Some(Reason::Reversed));
    assert!(words.contains("receipt 0417") && words.contains("receipt 0416"), "{words}");
}

#[test]
fn an_approval_that_is_shown_stands_or_was_taken_back() {
    let (payment, _) = decided(Some("0416"), Some(&approved(0x17)), Last::Shown(data(0, 0x17)));
    assert!(matches!(payment, Payment::Charged(_)));
    let (payment, _) = decided(Some("0416"), Some(&approved(0x17)), Last::Shown(data(0xb4, 0x17)));
    assert_eq!(reason(&payment), Some(Reason::Reversed));
}

#[test]
fn a_declined_transaction_of_the_amount_is_no_charge() {
    let (payment, _) = decided(Some("0416"), None, Last::Shown(data(0x78, 0x17)));
    assert_eq!(reason(&payment), Some(Reason::Declined));
}

#[test]
fn what_does_not_fit_stays_unknown() {
    let mut other_amount = shown(0, 0x17);
    other_amount[7] = 0x26;
    let mut other_terminal = shown(0, 0x17);
    *other_terminal.last_mut().expect("bytes") = 0x02;
    let mut old = shown(0, 0x17);
    old.extend([0x0c, 0x12, 0, 0, 0x0d, 0x12, 0x24]);
    let no_receipt = shown(0, 0x17)[..9].to_vec();
    let no_result = shown(0, 0x17)[2..].to_vec();
    for (what, before, approval, last) in [
        ("another amount", Some("0416"), None, Last::Shown(Data(other_amount))),
        ("another terminal", Some("0416"), None, Last::Shown(Data(other_terminal))),
        ("older than the intent", None, None, Last::Shown(Data(old))),
        ("without a receipt", Some("0416"), None, Last::Shown(Data(no_receipt))),
        ("without a result", Some("0416"), None, Last::Shown(Data(no_result))),
        ("another than the approved", Some("0416"), Some(approved(0x18)), Last::Shown(data(0, 0x17))),
        ("cleared", Some("0416"), None, Last::Nothing),
        ("untold", Some("0416"), None, Last::Untold("busy".into())),
    ] {
        let (payment, words) = decided(before, approval.as_ref(), last);
        assert!(matches!(payment, Payment::Unknown(_)), "{what}: {payment:?}");
        assert!(!words.is_empty());
    }
}

#[test]
fn a_terminal_without_any_transaction_has_not_charged() {
    assert_eq!(reason(&decided(None, None, Last::Nothing).0), Some(Reason::NotFound));
    assert_eq!(reason(&decided(None, Some(&approved(0x17)), Last::Nothing).0), Some(Reason::Reversed));
}

#[test]
fn a_terminal_that_keeps_approvals_does_not_lose_one() {
    let intent = intent(Some("0416"));
    let approved = approved(0x17);
    let case = Case {
        intent: &intent,
        approved: Some(&approved),
        only: true,
        commit: Some(Commit::Keeps),
        exclusive: false,
        partial: false,
    };
    assert!(matches!(decide(case, &Last::Shown(data(0, 0x16)), READING).0, Payment::Unknown(_)));
}

#[test]
fn of_several_open_intents_none_is_charged_by_amount_alone() {
    let intent = intent(Some("0416"));
    let case = Case { intent: &intent, approved: None, only: false, commit: None, exclusive: true, partial: false };
    assert!(matches!(decide(case, &Last::Shown(data(0, 0x17)), READING).0, Payment::Unknown(_)));
    assert_eq!(reason(&decide(case, &Last::Shown(data(0, 0x16)), READING).0), Some(Reason::NotFound));
}

#[test]
fn the_receipt_before_with_another_trace_number_proves_nothing() {
    let before = super::reference(Some("60000001"), "0417", Some("009999"));
    let mut intent = intent(None);
    intent.last_before = Some(before);
    let case = Case { intent: &intent, approved: None, only: true, commit: None, exclusive: true, partial: false };
    assert!(matches!(decide(case, &Last::Shown(data(0, 0x17)), READING).0, Payment::Unknown(_)));
}

/// A terminal that was exchanged for another with the same id, which has counted as far.
#[test]
fn the_numbers_before_with_a_time_after_the_attempt_prove_nothing() {
    let at = |hour: u8, minute: u8| {
        // BMP 0C and 0D: time and date of the transaction.
        let time = [0x0c, hour, minute, 0x00, 0x0d, 0x01, 0x02];
        decided(Some("0416"), None, Last::Shown(Data([&shown(0, 0x16)[..], &time].concat())))
    };
    for (hour, minute) in [(0x07, 0x00), (0x08, 0x00), (0x08, 0x09)] {
        assert_eq!(reason(&at(hour, minute).0), Some(Reason::NotFound), "{hour:02x}:{minute:02x}");
    }
    let (payment, words) = at(0x08, 0x30);
    assert!(matches!(payment, Payment::Unknown(_)) && words.contains("after the attempt"), "{words}");
}

#[test]
fn a_newer_transaction_proves_nothing_at_a_terminal_that_others_use() {
    let intent = intent(Some("0416"));
    let case = Case { intent: &intent, approved: None, only: true, commit: None, exclusive: false, partial: false };
    for result in [0, 0x78] {
        let (payment, words) = decide(case, &Last::Shown(data(result, 0x17)), READING);
        assert!(matches!(&payment, Payment::Unknown(u) if u.asked && u.why == words), "{payment:?}");
        assert!(words.contains("exclusive"), "{words}");
    }
    // That nothing came is seen from anywhere.
    assert_eq!(reason(&decide(case, &Last::Shown(data(0, 0x16)), READING).0), Some(Reason::NotFound));
}

#[test]
fn only_the_next_transaction_of_its_kind_and_time_is_the_payment() {
    let with = |more: &[u8]| Last::Shown(Data([&shown(0, 0x17)[..], more].concat()));
    let charged = |before, last: Last| matches!(decided(Some(before), None, last).0, Payment::Charged(_));
    assert!(charged("0416", with(&[])));
    assert!(!charged("0415", with(&[])), "two came since");
    assert!(!charged("0416", with(&[0x37, 0x00, 0x04, 0x16])), "37: the original's trace number, a reversal");
    assert!(!charged("0416", with(&[0x49, 0x07, 0x56])), "Swiss francs");
    assert!(!charged("0416", with(&[0x49, 0x09, 0x98])), "a currency that nobody knows");
    assert!(charged("0416", with(&[0x0c, 0x08, 0x00, 0x30, 0x0d, 0x01, 0x02])), "in the attempt");
    assert!(!charged("0416", with(&[0x0c, 0x08, 0x30, 0x00, 0x0d, 0x01, 0x02])), "in the future");
    assert!(!charged("0416", with(&[0x0c, 0x07, 0x00, 0x00, 0x0d, 0x01, 0x02])), "an hour before");
}

#[test]
fn what_was_approved_at_a_terminal_that_keeps_approvals_stands_whatever_it_does_not_tell() {
    let intent = intent(Some("0416"));
    let approved = approved(0x17);
    let case = Case {
        intent: &intent,
        approved: Some(&approved),
        only: true,
        commit: Some(Commit::Keeps),
        exclusive: false,
        partial: false,
    };
    for last in [Last::Untold("refused".into()), Last::Nothing, Last::Shown(data(0, 0x18))] {
        assert!(matches!(decide(case, &last, READING).0, Payment::Charged(_)), "{last:?}");
        let case = Case { commit: None, ..case };
        assert!(matches!(decide(case, &last, READING).0, Payment::Unknown(_)), "{last:?}");
    }
}

#[test]
fn an_approval_is_held_against_what_was_asked() {
    let objection = |before: Option<&str>, data: &[u8]| {
        let info = StatusInfo::parse(data);
        let intent = intent(before);
        super::objection(&intent, &READING.charge(&intent.id, intent.amount, &info), &info, false)
    };
    assert_eq!(objection(Some("0416"), &shown(0, 0x17)), None);
    assert!(matches!(objection(Some("0417"), &shown(0, 0x17)), Some(Objection::Another(_))), "the one before");
    let mut partial = shown(0, 0x17);
    partial[7] = 0x20;
    assert!(matches!(objection(Some("0416"), &partial), Some(Objection::Different(why)) if why.contains("20.00")));
    let francs = [&shown(0, 0x17)[..], &[0x49, 0x07, 0x56]].concat();
    assert!(matches!(objection(Some("0416"), &francs), Some(Objection::Different(_))));
    let reversal = [&shown(0, 0x17)[..], &[0x37, 0x00, 0x04, 0x16]].concat();
    assert!(matches!(objection(Some("0416"), &reversal), Some(Objection::Another(_))));
}

#[test]
fn ffff_and_zeros_are_no_receipt_number() {
    for number in [[0xff, 0xff], [0, 0]] {
        let data = [0x27, 0x00, 0x87, number[0], number[1]];
        let charge = READING.charge(&IntentId("a".into()), Amount::eur(1), &StatusInfo::parse(&data));
        assert_eq!((charge.receipt_number, charge.reference), (None, None));
    }
}

/// 04 0F of EUR 20.00, where EUR 25.00 was asked for.
fn part(receipt: u8) -> Vec<u8> {
    let mut part = shown(0, receipt);
    part[7] = 0x20;
    part
}

#[test]
fn less_than_asked_for_is_a_partial_payment_where_the_terminal_may_approve_that() {
    let intent = intent(Some("0416"));
    let heard = READING.charge(&intent.id, intent.amount, &StatusInfo::parse(&part(0x17)));
    let case =
        Case { intent: &intent, approved: Some(&heard), only: true, commit: None, exclusive: true, partial: true };
    let is_partial = |payment: Payment| matches!(payment, Payment::Partial(c) if c.amount == Amount::eur(20_00));
    let last = Last::Shown(Data(part(0x17)));
    assert!(is_partial(decide(case, &last, READING).0), "heard");
    assert!(is_partial(decide(Case { approved: None, ..case }, &last, READING).0), "not heard");
    let keeps = Case { commit: Some(Commit::Keeps), ..case };
    assert!(is_partial(decide(keeps, &Last::Untold("refused".into()), READING).0), "kept");
    // What is shown has to be what was approved, not any part.
    let (payment, words) = decide(case, &Last::Shown(data(0, 0x17)), READING);
    assert!(matches!(payment, Payment::Unknown(_)) && words.contains("not 20.00 EUR"), "{words}");
    for approved in [Some(&heard), None] {
        let case = Case { approved, partial: false, ..case };
        assert!(matches!(decide(case, &last, READING).0, Payment::Unknown(_)), "not allowed");
    }
}

#[test]
fn only_a_payment_is_approved_in_part_and_never_for_nothing() {
    let objection = |intent: &Intent, data: &[u8]| {
        let info = StatusInfo::parse(data);
        super::objection(intent, &READING.charge(&intent.id, intent.amount, &info), &info, true)
    };
    let payment = intent(Some("0416"));
    assert_eq!(objection(&payment, &part(0x17)), None);
    let with_amount = |euro: u8| {
        let mut data = part(0x17);
        data[7] = euro;
        data
    };
    for wrong in [with_amount(0x00), with_amount(0x26), [&part(0x17)[..], &[0x49, 0x07, 0x56]].concat()] {
        assert!(matches!(objection(&payment, &wrong), Some(Objection::Different(_))), "{wrong:02x?}");
    }
    let refund = Intent { operation: Transaction::Refund, ..payment };
    assert!(matches!(objection(&refund, &part(0x17)), Some(Objection::Different(_))));
}

/// The 04 0F of a release as a terminal of Feig sent it, crate `zvt` 0.1, `data/1680728215.659492000_pt_ecr.blob`, up to the
/// currency; then the numbers of these tests: amount zero, receipt, trace, terminal id, and BMP 37 of the reservation.
fn released(receipt: u8, original: u8) -> Vec<u8> {
    let head = [0x27, 0x00, 0x04, 0, 0, 0, 0, 0, 0, 0x49, 0x09, 0x78];
    let ids = [0x87, 0x04, receipt, 0x0b, 0x00, 0x04, receipt, 0x29, 0x60, 0, 0, 0x01, 0x37, 0x00, 0x04, original];
    [&head[..], &ids].concat()
}

#[test]
fn what_ends_a_reservation_tells_what_remains_and_what_it_ended() {
    let held = Amount::eur(25_00);
    let of = || super::super::reference::held(Some("60000001"), "0415", Some("000415"), held);
    let at = "2026-01-02T08:00:00Z".parse().expect("a timestamp");
    let intent = |operation, amount| {
        Intent::new(IntentId("a".into()), "counter", operation, amount, at, Some(reference("0416")))
    };
    let judged = |intent: &Intent, data: Vec<u8>| {
        let info = StatusInfo::parse(&data);
        let charge = as_meant(intent, &info, READING.charge(&intent.id, intent.amount, &info));
        let case = Case { intent, approved: None, only: true, commit: None, exclusive: true, partial: false };
        let objection = super::objection(intent, &charge, &info, false);
        (objection, decide(case, &Last::Shown(Data(data)), READING).0)
    };
    let release = intent(Transaction::Release { reference: of() }, held);
    let (objection, payment) = judged(&release, released(0x17, 0x15));
    assert!(
        objection.is_none() && matches!(&payment, Payment::Charged(c) if c.amount == held),
        "{objection:?} {payment:?}"
    );
    // It ended another reservation.
    let (objection, payment) = judged(&release, released(0x17, 0x14));
    assert!(matches!(objection, Some(Objection::Another(_))) && matches!(payment, Payment::Unknown(_)));
    // Zero is no payment, no booking and no pre-authorisation.
    for operation in [Transaction::Payment, Transaction::PreAuthorisation, Transaction::Booking { reference: of() }] {
        let wrong = intent(operation, Amount::eur(20_00));
        let (objection, payment) = judged(&wrong, released(0x17, 0x15));
        assert!(objection.is_some() && matches!(payment, Payment::Unknown(_)), "{wrong:?}");
    }
    // Of EUR 25.00, 20.00 are booked: the terminal tells these, or the 5.00 that it released, and nothing else.
    let booking = intent(Transaction::Booking { reference: of() }, Amount::eur(20_00));
    for (euro, fits) in [(0x20, true), (0x05, true), (0x25, false), (0x15, false)] {
        let mut told = released(0x17, 0x15);
        told[7] = euro;
        let (objection, payment) = judged(&booking, told);
        assert_eq!(objection.is_none(), fits, "{euro:x}");
        let charged = matches!(&payment, Payment::Charged(c) if c.amount == Amount::eur(20_00));
        assert_eq!(charged, fits, "{euro:x}: {payment:?}");
    }
}
