use jiff::Timestamp;

use super::*;

fn before() -> Counters {
    Counters { terminal: Some("90000001".into()), period: Some(3), shift: Some(13), number: Some(41) }
}

fn francs() -> Currency {
    Currency::from_number(756).expect("francs")
}

fn intent() -> Intent {
    let amount = Amount::new(12_90, francs());
    let at = Timestamp::UNIX_EPOCH;
    Intent::new(IntentId("sale".into()), "counter", Transaction::Payment, amount, at, before().reference())
}

/// As in the dialogue of the facts.
fn approval() -> TransactionResponse {
    serde_json::from_str(
        r#"{"TrxResult":0,"TrxResultExtended":0,"TrmID":"90000001","TrxSeqCnt":42,"TrxCurrC":756,"AmtAuth":1290,"TrxDate":"260511","TrxTime":"101500","AcqID":2,"Brand":"Visa","AuthC":"A1B2C3","TrxRefNum":"700000042","AppPANPrtCardholder":"XXXXXXXXXXXX1234"}"#,
    )
    .expect("reads")
}

fn approved(confirmation: Option<Confirmation>) -> Charge {
    let mut charge = charge(&intent(), &before(), &approval());
    charge.confirmation = confirmation;
    charge
}

fn decided(intent: &Intent, approved: Option<&Charge>, reverses: bool, now: Option<&Counters>) -> String {
    let (payment, evidence) = decide(Case { intent, approved, reverses, partial: false }, now);
    assert!(!evidence.is_empty());
    match payment {
        Payment::NotCharged(not) => format!("{:?}", not.reason),
        other => other.word().to_owned(),
    }
}

fn number(number: i64) -> Counters {
    Counters { number: Some(number), ..before() }
}

#[test]
fn an_approval_is_read_whole() {
    let Answer::Approved(charge, None) = read(&intent(), &before(), &approval(), false) else { panic!("approved") };
    assert_eq!((charge.amount, charge.receipt_number.as_deref()), (intent().amount, Some("42")));
    assert_eq!((charge.trace.as_deref(), charge.authorisation.as_deref()), (Some("700000042"), Some("A1B2C3")));
    assert_eq!((charge.card_name.as_deref(), charge.masked_pan.as_deref()), (Some("Visa"), Some("XXXXXXXXXXXX1234")));
    assert_eq!(charge.at, Some(jiff::civil::date(2026, 5, 11).at(10, 15, 0, 0)));
    assert_eq!(evidence(&charge), "transaction 42 on terminal 90000001, 12.90 CHF");
}

#[test]
fn what_differs_from_what_was_asked_may_not_stand() {
    let mut differing = Vec::new();
    let mut with = |change: fn(&mut TransactionResponse)| {
        let mut response = approval();
        change(&mut response);
        differing.push(response);
    };
    with(|r| r.amt_auth = Some(1291));
    with(|r| r.amt_auth = Some(1289));
    with(|r| r.amt_auth = Some(-1290));
    with(|r| r.trx_amt = Some(1490));
    with(|r| r.trx_curr_c = Some(978));
    with(|r| r.trm_id = Some("90000002".into()));
    with(|r| r.trm_id = None);
    with(|r| r.tip_amt = Some(200));
    with(|r| r.amt_other = Some(5000));
    with(|r| r.amt_remaining = Some(100));
    with(|r| r.trx_function = Some(0x800));
    for response in differing {
        let answer = read(&intent(), &before(), &response, false);
        assert!(matches!(&answer, Answer::Approved(_, Some(why)) if !why.is_empty()), "{response:?} {answer:?}");
    }
    let mut part = approval();
    (part.amt_auth, part.amt_remaining) = (Some(1000), Some(290));
    assert!(matches!(read(&intent(), &before(), &part, true), Answer::Approved(_, None)));
    part.amt_remaining = Some(300);
    assert!(matches!(read(&intent(), &before(), &part, true), Answer::Approved(_, Some(_))));
    let of = reference::reference(Some("90000001"), "40");
    let reversal = Intent { operation: Transaction::Reversal { reference: of }, ..intent() };
    let mut back = approval();
    (back.amt_auth, back.trx_seq_cnt_ori) = (None, Some(40));
    assert!(matches!(read(&reversal, &before(), &back, false), Answer::Approved(_, None)));
    back.trx_seq_cnt_ori = Some(39);
    assert!(matches!(read(&reversal, &before(), &back, false), Answer::Approved(_, Some(_))));
}

#[test]
fn other_answers_are_told_apart() {
    let mut earlier = approval();
    earlier.trx_seq_cnt = Some(41);
    assert_eq!(read(&intent(), &before(), &earlier, false), Answer::Earlier);
    let result = |result, extended| {
        let (trx_result, trx_result_extended) = (result, extended);
        let trm_id = Some("90000001".into());
        let response =
            TransactionResponse { trx_result, trx_result_extended, trm_id, ..TransactionResponse::default() };
        read(&intent(), &before(), &response, false)
    };
    assert_eq!(result(Some(1), Some(1_002_200)), Answer::Not(Reason::Declined, "declined (1002200)".into()));
    assert!(matches!(result(Some(3), None), Answer::Not(Reason::Aborted, _)));
    for unclear in [result(None, None), result(Some(9), Some(0))] {
        assert!(matches!(&unclear, Answer::Unclear(why) if !why.is_empty()), "{unclear:?}");
    }
    let elsewhere =
        TransactionResponse { trx_result: Some(1), trm_id: Some("90000002".into()), ..TransactionResponse::default() };
    assert!(matches!(read(&intent(), &before(), &elsewhere, false), Answer::Unclear(_)));
}

#[test]
fn the_journal_decides_before_the_terminal() {
    for now in [Some(number(41)), Some(number(42)), Some(number(0)), None] {
        let now = now.as_ref();
        for reverses in [false, true] {
            let of = |confirmation| decided(&intent(), Some(&approved(confirmation)), reverses, now);
            assert_eq!(of(Some(Confirmation::Acknowledged)), "charged");
            assert_eq!(of(Some(Confirmation::Sent)), "unknown", "it may stand, or not");
            let taken_back = if reverses && now.is_some() { "Reversed" } else { "unknown" };
            assert_eq!(of(None), taken_back);
        }
    }
}

#[test]
fn without_an_approval_the_counter_decides() {
    let of = |reverses, now: Option<Counters>| decided(&intent(), None, reverses, now.as_ref());
    assert_eq!(of(false, Some(number(41))), "NotFound");
    assert_eq!((of(false, Some(number(42))), of(true, Some(number(42)))), ("unknown".into(), "Reversed".into()));
    for odd in [
        number(40),
        Counters { number: None, ..before() },
        Counters { shift: Some(14), ..before() },
        Counters { period: Some(4), ..before() },
        Counters { terminal: Some("90000002".into()), ..before() },
        Counters { terminal: None, ..before() },
    ] {
        assert_eq!(of(false, Some(odd.clone())), "unknown", "{odd:?}");
    }
    assert_eq!((of(false, None), of(true, None)), ("unknown".into(), "unknown".into()), "it stays busy");
    let nameless = Intent { last_before: None, ..intent() };
    assert_eq!(decided(&nameless, None, false, Some(&number(41))), "unknown");
    let restored = Intent { restored: true, ..intent() };
    assert_eq!(decided(&restored, None, true, Some(&number(42))), "unknown", "a confirmation may be missing");
    assert_eq!(decided(&restored, Some(&approved(None)), true, Some(&number(42))), "unknown");
}
