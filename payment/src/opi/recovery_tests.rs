use jiff::civil::date;
use tresen_hal::Amount;

use super::super::wire::{Family, Header, OriginalHeader, Total};
use super::*;
use crate::outcome::IntentId;

fn intent() -> Intent {
    let at: Timestamp = "2026-01-02T08:00:00Z".parse().expect("a timestamp");
    let before = Reference::new("opi").with("request", "41").with("stan", "000416").with("terminal", "60000001");
    let before = before.with_fact("type", "cardpayment").with_fact("result", "Success");
    Intent::new(IntentId("sale".into()), "counter", Transaction::Payment, Amount::eur(12_50), at, Some(before))
}

/// A repeated answer to the intent's request, approved with trace 000417.
fn shown() -> Response {
    let header = Header::new("RepeatLastMessage", "7");
    let mut response = Response::new(Family::Card, header, OverallResult::Success);
    (response.terminal_id, response.stan) = (Some("60000001".into()), Some("000417".into()));
    response.total = Some(Total::of(Amount::eur(12_50)));
    let (request_type, request_id) = ("CardPayment".into(), request_id(&intent()));
    response.original = Some(OriginalHeader { request_type, request_id, result: OverallResult::Success });
    response
}

fn verdict(change: impl FnOnce(&mut Response)) -> (Verdict, String) {
    let mut response = shown();
    change(&mut response);
    after(1_000, true, &Last::Shown(Box::new(response)))
}

fn after(seconds: i64, waited: bool, last: &Last) -> (Verdict, String) {
    let entry = Entry::new(intent(), None, None);
    let clock = Elapsed { now: intent().at + SignedDuration::from_secs(seconds), waited };
    decide(&entry, last, &Options::new("counter"), &Usual::default(), clock)
}

#[track_caller]
fn unsure((verdict, why): (Verdict, String), part: &str) {
    assert_eq!(verdict, Verdict::Unsure, "{why}");
    assert!(why.contains(part), "{why}, not {part}");
}

#[test]
fn the_id_of_a_request_follows_from_its_intent_and_fits_32_bits() {
    let id = request_id(&intent());
    assert_eq!((id.len(), &id), (9, &request_id(&intent())));
    assert!(id.parse::<i32>().is_ok());
    let mut later = intent();
    later.at += SignedDuration::from_millis(1);
    assert_ne!(id, request_id(&later));
}

#[test]
fn the_answer_to_this_request_says_how_it_ended() {
    let (Verdict::Ended(Payment::Charged(charge)), words) = verdict(|_| {}) else { panic!("charged") };
    assert_eq!((charge.amount, charge.trace.as_deref()), (Amount::eur(12_50), Some("000417")));
    assert_eq!(charge.reference.and_then(|r| r.key()).as_deref(), Some("opi stan=000417 terminal=60000001"));
    assert!(words.contains("12.50 EUR") && words.contains("trace 000417"), "{words}");
    let result = |result| verdict(move |r| r.original.as_mut().expect("there").result = result);
    for (word, reason) in [(OverallResult::Aborted, Reason::Aborted), (OverallResult::Failure, Reason::Declined)] {
        assert!(matches!(result(word).0, Verdict::Ended(Payment::NotCharged(not)) if not.reason == reason));
    }
    for word in [OverallResult::TimedOut, OverallResult::CommunicationError, OverallResult::PartialFailure] {
        unsure(result(word), "whether money has moved");
    }
}

#[test]
fn what_does_not_fit_settles_nothing() {
    unsure(verdict(|r| r.original = None), "which message");
    unsure(verdict(|r| r.original.as_mut().expect("there").request_type = "Login".into()), "is a Login");
    unsure(verdict(|r| r.original.as_mut().expect("there").request_type = "PaymentRefund".into()), "PaymentRefund");
    unsure(verdict(|r| r.original.as_mut().expect("there").request_id = "99".into()), "another");
    unsure(verdict(|r| r.total = Some(Total::of(Amount::eur(12_49)))), "not 12.50 EUR was charged");
    unsure(verdict(|r| r.total = Some(Total { currency: Some("CHF".into()), ..Total::of(Amount::eur(12_50)) })), "CHF");
    unsure(verdict(|r| r.total = Some(Total { value: "12,50".into(), ..Total::default() })), "cannot be read");
    unsure(verdict(|r| r.total = None), "no amount");
    unsure(verdict(|r| r.stan = Some("000416".into())), "repeated the transaction before");
    unsure(verdict(|r| r.terminal_id = Some("60000002".into())), "another terminal");
    let old = date(2025, 12, 1).at(8, 0, 0, 0).strftime("%Y-%m-%dT%H:%M:%S-00:00").to_string();
    unsure(verdict(|r| r.authorisation.at = Some(old)), "time does not fit");
    unsure(after(1_000, true, &Last::Silent), "did not answer");
    unsure(after(1_000, true, &Last::Untold("busy".into())), "busy");
}

#[test]
fn the_message_before_says_not_charged_only_after_the_time_of_a_customer() {
    let mut before = shown();
    before.stan = Some("000416".into());
    before.original.as_mut().expect("there").request_id = "41".into();
    let last = Last::Shown(Box::new(before.clone()));
    // Whatever the date says: it may have been set since.
    for seconds in [-86_400, 0, 120, 86_400] {
        assert_eq!(after(seconds, false, &last).0, Verdict::NotYet, "{seconds}");
        let (verdict, words) = after(seconds, true, &last);
        assert!(matches!(verdict, Verdict::Ended(Payment::NotCharged(_))), "{seconds}: {words}");
    }
    // The same id with another trace number is another transaction.
    before.stan = Some("000500".into());
    unsure(after(1_000, true, &Last::Shown(Box::new(before))), "another");
}

#[test]
fn an_approval_that_was_heard_stands_without_a_question() {
    let charge = Charge::new(IntentId("sale".into()), Amount::eur(12_50));
    let entry = Entry::new(intent(), Some(charge.clone()), None);
    let clock = Elapsed { now: intent().at, waited: false };
    let (verdict, _) = decide(&entry, &Last::Silent, &Options::new("counter"), &Usual::default(), clock);
    assert_eq!(verdict, Verdict::Ended(Payment::Charged(Box::new(charge))));
}

#[test]
fn card_numbers_are_masked_to_their_last_digits() {
    assert_eq!((masked("6805330010086784747").as_str(), masked("123").as_str()), ("***************4747", "123"));
    assert_eq!(clean("a \n b 6805330010086784747"), "a b ***************4747");
}
