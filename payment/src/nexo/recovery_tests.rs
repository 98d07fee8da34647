//! What terminals may say about an intent, one by one.

use tresen_hal::Currency;

use super::super::wire::{
    AmountsResponded, CardData, Class, Direction, Identification, InstrumentData, MessageReference, Number,
    PaymentResult, Repeated, SaleData,
};
use super::*;
use crate::journal::Reference;
use crate::outcome::IntentId;

const AT: &str = "2026-01-02T08:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn intent(operation: Transaction) -> Intent {
    let sent = reference::sent_as("till-1", "V400m-1");
    Intent::new(IntentId("sale".into()), "counter", operation, Amount::eur(12_50), time(AT), Some(sent))
}

fn options() -> Options {
    Options::new("counter", "V400m-1")
}

fn answer(result: &str, condition: Option<&str>) -> Answer {
    Answer { result: result.into(), error_condition: condition.map(str::to_owned), additional_response: None }
}

fn approved(amount: Amount) -> PaymentResponse {
    PaymentResponse {
        response: answer("Success", None),
        sale_data: Some(SaleData {
            sale_transaction_id: Some(Identification { transaction_id: "sale".into(), time_stamp: AT.into() }),
            sale_to_acquirer_data: None,
        }),
        poi_data: Some(PoiData {
            transaction: Some(Identification {
                transaction_id: "oLkO001.8828".into(),
                time_stamp: "2026-01-02T08:00:20.000Z".into(),
            }),
            reconciliation_id: None,
        }),
        payment_result: Some(PaymentResult {
            amounts_resp: Some(AmountsResponded {
                currency: Some(amount.currency().code().into()),
                authorized_amount: Number::of(amount),
                tip_amount: None,
            }),
            payment_instrument_data: Some(InstrumentData {
                card_data: Some(CardData {
                    payment_brand: Some("mc".into()),
                    masked_pan: Some("541333 **** 9999".into()),
                    entry_mode: Vec::new(),
                }),
            }),
            payment_acquirer_data: None,
            payment_type: None,
        }),
        payment_receipt: Vec::new(),
    }
}

fn paid(change: impl FnOnce(&mut PaymentResponse)) -> Result<Payment, String> {
    let mut response = approved(Amount::eur(12_50));
    change(&mut response);
    payment(&intent(Transaction::Payment), &response, &options())
}

#[test]
fn an_approval_counts_only_for_what_was_asked() {
    let Ok(Payment::Charged(charge)) = paid(|_| {}) else { panic!("charged") };
    assert_eq!(charge.reference, Some(reference::reference("oLkO001.8828", "2026-01-02T08:00:20.000Z")));
    assert_eq!(charge.masked_pan.as_deref(), Some("****** **** 9999"));
    let amounts = |response: &mut PaymentResponse, amount| {
        response.payment_result.as_mut().expect("there").amounts_resp = amount;
    };
    let francs: Currency = "CHF".parse().expect("known");
    let of = |amount: Amount| approved(amount).payment_result.and_then(|result| result.amounts_resp);
    assert!(paid(|r| amounts(r, of(Amount::eur(12_49)))).expect_err("less").contains("12.49"));
    assert!(paid(|r| amounts(r, of(Amount::eur(13_00)))).expect_err("more").contains("13.00"));
    assert!(paid(|r| amounts(r, of(Amount::new(12_50, francs)))).is_err(), "another currency");
    assert!(paid(|r| amounts(r, None)).expect_err("none").contains("no amount"));
    let other = Identification { transaction_id: "other".into(), time_stamp: AT.into() };
    assert!(paid(|r| r.sale_data.as_mut().expect("there").sale_transaction_id = Some(other)).is_err());
    assert!(paid(|r| r.payment_result.as_mut().expect("there").payment_type = Some("Refund".into())).is_err());
}

#[test]
fn parts_and_tips_count_where_they_are_allowed() {
    let with = |change: fn(&mut Options), asked: i64, tip: Option<i64>| {
        let mut options = options();
        change(&mut options);
        let mut response = approved(Amount::eur(asked));
        let amounts = response.payment_result.as_mut().and_then(|r| r.amounts_resp.as_mut()).expect("there");
        amounts.tip_amount = tip.map(|tip| Number::of(Amount::eur(tip)));
        payment(&intent(Transaction::Payment), &response, &options)
    };
    assert!(matches!(with(|o| o.partial = true, 5_00, None), Ok(Payment::Partial(c)) if c.amount == Amount::eur(5_00)));
    assert!(with(|o| o.partial = true, 13_00, None).is_err());
    assert!(
        matches!(with(|o| o.tip = true, 14_00, Some(1_50)), Ok(Payment::Charged(c)) if c.amount == Amount::eur(14_00))
    );
    assert!(with(|o| o.tip = true, 14_00, Some(1_00)).is_err(), "the rest is not explained");
    assert!(with(|o| o.tip = true, 14_00, None).is_err());
    assert!(with(|_| {}, 14_00, Some(1_50)).is_err(), "nobody asked for a tip");
}

#[test]
fn failures_say_why_and_those_that_lost_something_are_unsure() {
    let failed = |condition: &str, more: Option<&str>| {
        paid(|response| {
            response.response = answer("Failure", Some(condition));
            response.response.additional_response = more.map(str::to_owned);
        })
    };
    let refused = failed("Refusal", Some("tid=1&refusalReason=214%20Declined%20online&store=x"));
    assert!(matches!(refused, Ok(Payment::NotCharged(not)) if not.text == "declined: 214 Declined online"));
    assert!(failed("UnreachableHost", None).is_err());
    assert!(matches!(failed("Cancel", None), Ok(Payment::NotCharged(not)) if not.reason == Reason::Aborted));
}

#[test]
fn a_reversal_counts_whole() {
    let of = Reference::new("nexo").with("transaction", "a").with("time", AT);
    let intent = intent(Transaction::Reversal { reference: of });
    let reversed = |amount: Option<i64>, result: &str| {
        let response = ReversalResponse {
            response: answer(result, None),
            poi_data: None,
            reversed_amount: amount.map(|amount| Number::of(Amount::eur(amount))),
            payment_receipt: Vec::new(),
        };
        reversal(&intent, &response, &options())
    };
    assert!(matches!(reversed(None, "Success"), Ok(Payment::Charged(c)) if c.amount == Amount::eur(12_50)));
    assert!(matches!(reversed(Some(12_50), "Success"), Ok(Payment::Charged(_))));
    assert!(reversed(Some(1_00), "Success").is_err());
    assert!(reversed(None, "Partial").is_err());
    let response = ReversalResponse {
        response: answer("Failure", Some("NotFound")),
        poi_data: None,
        reversed_amount: None,
        payment_receipt: Vec::new(),
    };
    let unknown = reversal(&intent, &response, &options());
    assert!(matches!(unknown, Ok(Payment::NotCharged(not)) if not.text.contains("does not know")));
}

fn header(service: &str) -> Header {
    Header {
        protocol_version: Some("3.0".into()),
        class: Class::Service,
        category: Category::Payment,
        direction: Direction::Response,
        sale_id: Some("till-1".into()),
        service_id: Some(service.into()),
        poi_id: Some("V400m-1".into()),
    }
}

fn told(change: impl FnOnce(&mut TransactionStatusResponse)) -> Status {
    let body = RepeatedBody { payment_response: Some(Box::new(approved(Amount::eur(12_50)))), reversal_response: None };
    let mut told = TransactionStatusResponse {
        response: answer("Success", None),
        message_reference: Some(MessageReference {
            category: Some(Category::Payment),
            sale_id: Some("till-1".into()),
            service_id: Some("A".into()),
            poi_id: None,
        }),
        repeated_message_response: Some(Repeated { message_header: header("A"), repeated_response_message_body: body }),
    };
    change(&mut told);
    status(told, &header("A"))
}

#[test]
fn only_the_response_to_this_request_is_taken() {
    assert!(matches!(told(|_| {}), Status::Repeated(_)));
    let untold = |status: Status| matches!(status, Status::Untold(_));
    assert!(untold(told(|t| t.message_reference.as_mut().expect("there").service_id = Some("B".into()))));
    assert!(untold(told(|t| t.message_reference.as_mut().expect("there").sale_id = Some("till-2".into()))));
    let repeated = |change: fn(&mut Header)| {
        told(|t| change(&mut t.repeated_message_response.as_mut().expect("there").message_header))
    };
    assert!(untold(repeated(|h| h.service_id = Some("B".into()))));
    assert!(untold(repeated(|h| h.service_id = None)));
    assert!(untold(repeated(|h| h.sale_id = Some("till-2".into()))));
    assert!(untold(repeated(|h| h.category = Category::Reversal)));
    assert!(untold(repeated(|h| h.poi_id = Some("V400m-2".into()))));
    assert!(matches!(repeated(|h| h.poi_id = None), Status::Repeated(_)));
    assert!(untold(told(|t| t.repeated_message_response = None)));
    let failed = |condition: &'static str| told(|t| t.response = answer("Failure", Some(condition)));
    assert!(matches!(failed("InProgress"), Status::Running));
    assert!(matches!(failed("NotFound"), Status::Missing));
    assert!(untold(failed("NotAllowed")));
    assert!(untold(told(|t| t.response = answer("Success!", None))));
}

fn clock(now: &str, waited: bool) -> Elapsed {
    Elapsed { now: time(now), waited }
}

#[test]
fn a_missing_transaction_counts_at_the_second_look_after_the_grace_and_for_a_day() {
    let entry = Entry::new(intent(Transaction::Payment), None, None);
    let missing = |clock| decide(&entry, &Status::Missing, &options(), clock).0;
    // Whatever the date says: it may have been set since.
    for now in ["2026-01-02T07:00:00Z", "2026-01-02T08:00:10Z", "2026-01-02T20:00:00Z"] {
        assert_eq!(missing(clock(now, false)), Verdict::NotYet);
        assert!(matches!(missing(clock(now, true)), Verdict::Ended(Payment::NotCharged(_))));
    }
    assert_eq!(missing(clock("2026-01-03T08:00:01Z", true)), Verdict::Unsure);
    assert_eq!(missing(clock("2026-01-01T05:00:00Z", true)), Verdict::Unsure);
}

#[test]
fn a_repeated_response_counts_if_its_time_fits() {
    let entry = Entry::new(intent(Transaction::Payment), None, None);
    let Status::Repeated(body) = told(|_| {}) else { panic!("repeated") };
    let now = clock("2026-01-02T08:01:00Z", false);
    let (verdict, words) = decide(&entry, &Status::Repeated(body.clone()), &options(), now);
    assert!(matches!(verdict, Verdict::Ended(Payment::Charged(_))), "{words}");
    assert!(words.contains("oLkO001.8828"), "{words}");
    let mut old = body.clone();
    let named = old.payment_response.as_mut().and_then(|paid| paid.poi_data.as_mut()?.transaction.as_mut());
    named.expect("there").time_stamp = "2025-12-31T23:00:00Z".into();
    assert_eq!(decide(&entry, &Status::Repeated(old), &options(), now).0, Verdict::Unsure);
    let back = Entry::new(intent(Transaction::Reversal { reference: reference::reference("a", AT) }), None, None);
    assert_eq!(decide(&back, &Status::Repeated(body), &options(), now).0, Verdict::Unsure, "a payment is no reversal");
}
