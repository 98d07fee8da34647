//! PayTec's JSON lines over TCP, as the vendor's public library speaks them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use tresen_hal::link::memory::{self, Memory};
use tresen_hal::{Amount, BoxFuture, Clock, Currency, Error, Kind, Link};
use tresen_payment::paytec::{self, Options};
use tresen_payment::{Host, Payment, Request, Terminal as _};

use super::stage::{JUMPS, Till, how};

/// 12.90 francs.
const CENTIMES: i64 = 1_290;

fn price() -> Amount {
    Amount::new(CENTIMES, Currency::from_number(756).expect("francs"))
}

/// Lines that the terminal says to a message.
type Lines = Vec<Value>;

/// What it has heard: the names of messages, and each `Confirm`.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Value>>>);

impl Heard {
    fn confirmations(&self) -> Vec<i64> {
        let heard = self.0.lock().expect("no panic");
        heard.iter().filter_map(|m| m["TransactionConfirmationRequest"]["Confirm"].as_i64()).collect()
    }

    fn requests(&self) -> usize {
        self.0.lock().expect("no panic").iter().filter(|m| m.get("TransactionRequest").is_some()).count()
    }
}

async fn serve(link: Memory, heard: Heard, mut answer: impl FnMut(&str, &Value) -> Option<Lines>) {
    let mut input = Vec::new();
    loop {
        while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = input.drain(..=end).collect();
            let message: Value = serde_json::from_slice(&line).expect("the till says JSON");
            heard.0.lock().expect("no panic").push(message.clone());
            let (name, body) = message.as_object().and_then(|o| o.iter().next()).expect("a message");
            // Without lines it hangs up.
            let Some(lines) = answer(name, body) else { return };
            for line in lines {
                if link.send(format!("{line}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
        if link.recv(&mut input).await.is_err() {
            return;
        }
    }
}

/// What every terminal answers; `last` is the number of its last transaction.
fn usual(name: &str, last: i64) -> Lines {
    match name {
        "HeartbeatRequest" => vec![json!({"HeartbeatResponse": {}})],
        "ConnectRequest" => vec![json!({"ConnectResponse": {"TrmLng": "de", "IFDSerialNum": "HAND0001",
            "SoftwareVersion": 191000, "PeSeqCnt": 5, "ActSeqCnt": 7, "TrmID": "TERM1234"}})],
        "StatusRequest" => vec![json!({"StatusResponse": {"TrmStatus": 1, "TrmLng": "de", "ESigInd": 0}})],
        "ActivationRequest" => vec![json!({"ActivationResponse": {"TrmID": "TERM1234", "TrmType": 22, "TrmLng": "de",
            "PeSeqCnt": 5, "ActSeqCnt": 7, "TrxSeqCnt": last, "TrxFunctions": 0x8820, "Currencies": [756],
            "Brands": ["Visa"]}})],
        "AbortTransactionRequest" => vec![json!({"AbortTransactionResponse": {}})],
        "TransactionConfirmationRequest" => vec![json!({"TransactionConfirmationResponse": {}})],
        _ => vec![json!({"ErrorNotification": {"ErrorCode": -3, "ErrorDescription": "unexpected message"}})],
    }
}

/// An approval of 12.90 francs.
fn approval(number: i64) -> Value {
    json!({"TransactionResponse": {"TrxResult": 0, "TrxResultExtended": 0, "TrmID": "TERM1234", "TrxSeqCnt": number,
        "TrxFunction": 0x8000, "TrxCurrC": 756, "AmtAuth": CENTIMES, "TrxDate": "260102", "TrxTime": "080000",
        "AcqID": 7, "AuthC": "A1B2C3", "TrxRefNum": "700000042", "Brand": "Visa"}})
}

fn but(number: i64, field: &str, value: Value) -> Value {
    let mut approval = approval(number);
    approval["TransactionResponse"][field] = value;
    approval
}

fn declined(number: i64) -> Value {
    json!({"TransactionResponse": {"TrxResult": 1, "TrxResultExtended": 1002200, "TrmID": "TERM1234",
        "TrxSeqCnt": number, "CardholderText": "ABGELEHNT"}})
}

async fn open(
    till: &Till,
    heard: &Heard,
    answer: impl FnMut(&str, &Value) -> Option<Lines> + Send + 'static,
) -> tresen_hal::Result<paytec::Terminal> {
    let (near, far) = memory::pair();
    tokio::spawn(serve(far, heard.clone(), answer));
    let mut options = Options::new("counter");
    options.limit = Duration::from_secs(30);
    paytec::open(Box::new(near), options, till.journal.clone(), till.clock()).await
}

async fn pay(terminal: &mut paytec::Terminal, id: &str) -> tresen_hal::Result<Payment> {
    terminal.pay(Request::new(id, price()), Host::none()).await
}

/// One payment whose request is answered with these lines.
async fn told(lines: Lines) -> (Payment, Heard) {
    let (till, heard) = (Till::new(), Heard::default());
    let mut terminal = open(&till, &heard, move |name, _| {
        Some(if name == "TransactionRequest" { lines.clone() } else { usual(name, 41) })
    })
    .await
    .expect("connects");
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert_eq!(till.stands("sale").as_ref(), Some(&payment), "the journal says the same");
    (payment, heard)
}

#[tokio::test(start_paused = true)]
async fn what_is_not_what_was_asked_for_is_never_kept() {
    for (field, value) in [
        ("AmtAuth", json!(CENTIMES + 1)),
        ("AmtAuth", json!(CENTIMES - 1)),
        ("AmtAuth", json!(0)),
        ("AmtAuth", json!(-CENTIMES)),
        ("AmtAuth", json!(i64::MAX)),
        ("AmtAuth", json!("99999999999999999999")),
        ("AmtAuth", json!(12.9)),
        ("AmtAuth", json!([CENTIMES])),
        ("TipAmt", json!("1.00")),
        ("TrxCurrC", json!("EUR")),
        ("TrxAmt", json!(CENTIMES * 2)),
        ("TipAmt", json!(100)),
        ("AmtOther", json!(5_000)),
        ("AmtRemaining", json!(1)),
        ("TrxCurrC", json!(978)),
        ("TrxCurrC", json!("0978")),
        ("TrxFunction", json!(0x20)),
        ("TrmID", json!("OTHER999")),
        ("TrmID", Value::Null),
        ("TrxSeqCnt", json!(41)),
        ("TrxSeqCnt", json!(-1)),
    ] {
        let (payment, heard) = told(vec![but(42, field, value.clone())]).await;
        assert!(!matches!(how(&payment), "charged" | "partial"), "{field} {value}: {payment:?}");
        assert!(!heard.confirmations().contains(&1), "{field} {value}: {:?}", heard.confirmations());
    }
    let (payment, heard) = told(vec![approval(42)]).await;
    assert_eq!((how(&payment), heard.confirmations()), ("charged", vec![1]), "{payment:?}");
}

/// The acknowledgement of a confirmation has no content; that of a rollback has. A terminal whose time was over before the
/// confirmation came may have undone the approval.
#[tokio::test(start_paused = true)]
async fn a_confirmation_that_is_answered_as_a_rollback_keeps_nothing() {
    for content in [
        json!({"MsgType": 1, "AuthReslt": 0, "AttendantText": "ROLLBACK", "CardholderText": "STORNIERT"}),
        json!({"AuthReslt": "1"}),
        json!({"AttendantText": "ABGELAUFEN"}),
    ] {
        let (till, heard) = (Till::new(), Heard::default());
        let answer = content.clone();
        let mut terminal = open(&till, &heard, move |name, _| match name {
            "TransactionRequest" => Some(vec![approval(42)]),
            "TransactionConfirmationRequest" => Some(vec![json!({"TransactionConfirmationResponse": answer})]),
            _ => Some(usual(name, 41)),
        })
        .await
        .expect("connects");
        let payment = pay(&mut terminal, "sale").await.expect("an outcome");
        assert_eq!(how(&payment), "unknown", "{content}: {payment:?}");
        assert_eq!(till.stands("sale").as_ref().map(how), Some("unknown"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_answer_changes_nothing_and_ends_the_connection() {
    for (lines, ended) in [
        (vec![declined(42), approval(42)], "not charged"),
        (vec![declined(42), approval(43)], "not charged"),
        (vec![approval(42), approval(42)], "charged"),
        (vec![approval(42), declined(42)], "charged"),
        (vec![approval(41), approval(42)], "charged"),
        (vec![declined(41), approval(42)], "charged"),
    ] {
        let (payment, heard) = told(lines.clone()).await;
        assert_eq!(how(&payment), ended, "{lines:?}: {payment:?}");
        let kept = usize::from(ended == "charged");
        assert_eq!(heard.confirmations(), vec![1; kept], "{lines:?}");
        assert_eq!(heard.requests(), 1);
    }
}

/// The number of a payment before, although the terminal counted less when it was asked: it stands for that payment.
#[tokio::test(start_paused = true)]
async fn a_number_that_stands_for_another_payment_is_neither_kept_nor_rolled_back() {
    let (till, heard) = (Till::new(), Heard::default());
    let mut terminal = open(&till, &heard, |name, _| match name {
        "TransactionRequest" => Some(vec![approval(42)]),
        name => Some(usual(name, 41)),
    })
    .await
    .expect("connects");
    assert_eq!(how(&pay(&mut terminal, "first").await.expect("an outcome")), "charged");
    let second = pay(&mut terminal, "second").await.expect("an outcome");
    assert_eq!((how(&second), heard.confirmations()), ("unknown", vec![1]), "{second:?}");
}

/// It says approvals that nobody has asked for: when a till connects, while it rests, and in answer to a question.
#[tokio::test(start_paused = true)]
async fn an_approval_that_nothing_was_asked_for_is_not_confirmed() {
    for at in ["ConnectRequest", "StatusRequest", "ActivationRequest", "HeartbeatRequest"] {
        let (till, heard) = (Till::new(), Heard::default());
        let opened = open(&till, &heard, move |name, _| {
            let mut lines = usual(name, 41);
            if name == at {
                lines.insert(0, approval(42));
            }
            Some(if name == "TransactionRequest" { vec![declined(43)] } else { lines })
        })
        .await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        if let Ok(mut terminal) = opened
            && let Ok(payment) = pay(&mut terminal, "sale").await
        {
            assert_ne!(how(&payment), "charged", "{at}: {payment:?}");
        }
        assert_eq!(heard.confirmations(), Vec::<i64>::new(), "{at}");
    }
}

/// After a restart it repeats what it said before: the approval that was cut off, or the decline.
#[tokio::test(start_paused = true)]
async fn what_it_repeats_after_a_restart_settles_nothing() {
    for repeated in [approval(42), declined(42)] {
        let (till, heard) = (Till::new(), Heard::default());
        let cut = |name: &str, _: &Value| (name != "TransactionRequest").then(|| usual(name, 41));
        let mut terminal = open(&till, &heard, cut).await.expect("connects");
        assert_eq!(how(&pay(&mut terminal, "sale").await.expect("an outcome")), "unknown");
        let opened = open(&till, &heard, move |name, _| {
            let mut lines = usual(name, 42);
            if name == "ConnectRequest" {
                lines.push(repeated.clone());
            }
            Some(lines)
        })
        .await;
        if let Ok(mut terminal) = opened {
            terminal.recover().await.ok();
        }
        let stands = till.stands("sale").expect("concluded");
        assert_eq!((how(&stands), heard.confirmations()), ("unknown", Vec::new()), "{stands:?}");
    }
}

/// A card number in every text of an approval, and in those that identify it.
#[tokio::test(start_paused = true)]
async fn card_numbers_are_not_kept() {
    const CARD: &str = "4111111111111111";
    for field in [
        "TrmID",
        "TrxRefNum",
        "AcqID",
        "AuthC",
        "Brand",
        "DisplayName",
        "TrxDate",
        "TrxTime",
        "AppPANPrtAttendant",
        "AppPANPrtCardholder",
        "CardholderText",
        "AttendantText",
        "VoicePhone",
        "AppPAN",
        "Track2Data",
        "AID",
    ] {
        for base in [approval(42), declined(42)] {
            let mut line = base;
            line["TransactionResponse"][field] = json!(CARD);
            let (till, heard) = (Till::new(), Heard::default());
            let mut terminal = open(&till, &heard, move |name, _| {
                Some(if name == "TransactionRequest" { vec![line.clone()] } else { usual(name, 41) })
            })
            .await
            .expect("connects");
            let (host, mut steps) = Host::new(tokio::sync::watch::channel(false).1);
            let payment = terminal.pay(Request::new("sale", price()), host).await.expect("an outcome");
            let mut told = Vec::new();
            while let Ok(step) = steps.try_recv() {
                told.push(serde_json::to_string(&step).expect("serialises"));
            }
            let everything = format!("{} {payment:?} {told:?} {terminal:?}", till.everything());
            assert!(!everything.contains(CARD), "{field}: {everything}");
        }
    }
}

/// Lines that are deep, long, empty, or no messages: the till neither panics nor hangs, and keeps nothing.
#[tokio::test(start_paused = true)]
async fn lines_that_are_no_messages_end_the_payment_in_time() {
    let deep = |depth: usize| format!("{{\"TransactionResponse\":{}{}}}\n", "[".repeat(depth), "]".repeat(depth));
    for noise in [
        deep(100_000),
        format!("{{\"TransactionResponse\":{{\"TrxResult\":0,\"AttendantText\":\"{}\"}}}}\n", "x".repeat(2_000_000)),
        "\n\n\n\n".into(),
        "[]\n".into(),
        "{}\n".into(),
        "{\"TransactionResponse\":null}\n".into(),
        "{\"TransactionResponse\":{}}\n".into(),
        "{\"TransactionResponse\":{\"TrxResult\":0.0}}\n".into(),
        "{\"TransactionResponse\":{\"TrxResult\":1e400}}\n".into(),
        "{\"TransactionResponse\":{\"TrxResult\":0,\"TrxResult\":1}}\n".into(),
        "\u{0}\u{1}\u{2}\n".into(),
        "x".repeat(3_000_000),
    ] {
        let (till, heard) = (Till::new(), Heard::default());
        let (near, far) = memory::pair();
        let (served, said) = (heard.clone(), noise.clone());
        tokio::spawn(async move {
            let mut input = Vec::new();
            loop {
                while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = input.drain(..=end).collect();
                    let message: Value = serde_json::from_slice(&line).expect("the till says JSON");
                    served.0.lock().expect("no panic").push(message.clone());
                    let name = message.as_object().and_then(|o| o.keys().next()).expect("a message").clone();
                    let out = match name.as_str() {
                        "TransactionRequest" => said.clone(),
                        name => usual(name, 41).iter().map(|line| format!("{line}\n")).collect(),
                    };
                    if far.send(out.as_bytes()).await.is_err() {
                        return;
                    }
                }
                if far.recv(&mut input).await.is_err() {
                    return;
                }
            }
        });
        let options = Options::new("counter");
        let opened = paytec::open(Box::new(near), options, till.journal.clone(), till.clock()).await;
        let payment = pay(&mut opened.expect("connects"), "sale").await.expect("an outcome");
        let shown: String = noise.chars().take(60).collect();
        // Where no message came the payment was aborted, and the terminal has counted none since.
        let ended = if matches!(noise.trim(), "" | "{}") { "not charged" } else { "unknown" };
        assert_eq!((how(&payment), heard.confirmations()), (ended, Vec::new()), "{shown}: {payment:?}");
    }
}

/// A clock that passes a millisecond at each look.
#[derive(Debug)]
struct Ticking(Instant, AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Instant {
        self.0 + Duration::from_millis(self.1.fetch_add(1, SeqCst))
    }
    fn wall(&self) -> Timestamp {
        "2026-01-02T08:00:00Z".parse().expect("a timestamp")
    }
}

/// A terminal that answers, and has another status at every look while a transaction runs.
#[derive(Debug, Default)]
struct Flood {
    waiting: Mutex<Vec<u8>>,
    runs: AtomicBool,
    looks: AtomicU64,
}

impl Link for Flood {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, tresen_hal::Result<()>> {
        Box::pin(async {
            let message: Value = serde_json::from_slice(bytes).expect("one line of JSON");
            let name = message.as_object().and_then(|o| o.keys().next()).expect("a message");
            let mut waiting = self.waiting.lock().expect("no panic");
            match name.as_str() {
                "TransactionRequest" => self.runs.store(true, SeqCst),
                name => usual(name, 41).iter().for_each(|line| waiting.extend(format!("{line}\n").into_bytes())),
            }
            Ok(())
        })
    }
    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, tresen_hal::Result<usize>> {
        Box::pin(async {
            let mut said = std::mem::take(&mut *self.waiting.lock().expect("no panic"));
            if said.is_empty() && self.runs.load(SeqCst) {
                let look = self.looks.fetch_add(1, SeqCst);
                // So that a till that never looks at its clock ends this test, too.
                if look > 3_000_000 {
                    return Err(Error::new(Kind::Closed, "the flood is over"));
                }
                let status = json!({"StatusResponse": {"TrmStatus": 5 + (look & 8), "TrmLng": "de", "ESigInd": 0}});
                said = format!("{status}\n").into_bytes();
            }
            if said.is_empty() {
                return std::future::pending().await;
            }
            into.extend(&said);
            Ok(said.len())
        })
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Messages that never pause must not keep the till from seeing that its time is over.
#[tokio::test]
async fn a_flood_without_a_pause_ends_in_time() {
    let till = Till::new();
    let clock = Arc::new(Ticking(Instant::now(), AtomicU64::new(0)));
    let mut options = Options::new("counter");
    (options.limit, options.patience) = (Duration::from_secs(30), Duration::from_secs(30));
    let opened = paytec::open(Box::new(Flood::default()), options, till.journal.clone(), clock.clone()).await;
    let payment = pay(&mut opened.expect("connects"), "sale").await.expect("an outcome");
    // It was aborted, and the terminal says that it has counted none since.
    assert_eq!(how(&payment), "not charged", "{payment:?}");
    assert!(clock.1.load(SeqCst) < 400_000, "{:?}", clock.1);
}

/// The till's date is set by a day before, in and after a payment: the terminal's numbers count, and no date.
#[tokio::test(start_paused = true)]
async fn a_date_that_is_set_proves_nothing() {
    for [before, within, after] in JUMPS {
        for (heard, last, ended) in [(true, 42, "charged"), (false, 42, "unknown"), (false, 41, "not charged")] {
            let name = format!("{before} {within} {after}, heard {heard}, last {last}");
            let (till, heard_of) = (Till::new(), Heard::default());
            till.clock.jump(before);
            let clock = till.clock.clone();
            let mut terminal = open(&till, &heard_of, move |name, _| match name {
                "TransactionRequest" => {
                    clock.jump(within);
                    heard.then(|| vec![approval(42)])
                }
                name => Some(usual(name, 41)),
            })
            .await
            .expect("connects");
            let payment = pay(&mut terminal, "sale").await.expect("an outcome");
            assert_eq!(how(&payment), if heard { "charged" } else { "unknown" }, "{name}: {payment:?}");
            drop(terminal);
            till.clock.jump(after);
            let mut terminal = open(&till, &heard_of, move |name, _| Some(usual(name, last))).await.expect("connects");
            terminal.recover().await.expect("asks");
            let stands = till.stands("sale").expect("concluded");
            assert_eq!((how(&stands), heard_of.requests()), (ended, 1), "{name}: {stands:?}");
        }
    }
}

/// Another till has paid the same amount since: the terminal has counted on.
#[tokio::test(start_paused = true)]
async fn anothers_payment_of_the_same_amount_is_not_this_ones() {
    for reverses in [false, true] {
        let (till, heard) = (Till::new(), Heard::default());
        let cut = |name: &str, _: &Value| (name != "TransactionRequest").then(|| usual(name, 41));
        let mut terminal = open(&till, &heard, cut).await.expect("connects");
        assert_eq!(how(&pay(&mut terminal, "sale").await.expect("an outcome")), "unknown");
        let (near, far) = memory::pair();
        // It is asked for its status, and says the other's approval as well.
        tokio::spawn(serve(far, heard.clone(), |name, _| {
            let mut lines = usual(name, 42);
            if name == "ActivationRequest" {
                lines.push(approval(42));
            }
            Some(lines)
        }));
        let mut options = Options::new("counter");
        options.reverses = reverses;
        let mut terminal =
            paytec::open(Box::new(near), options, till.journal.clone(), till.clock()).await.expect("connects");
        terminal.recover().await.ok();
        let stands = till.stands("sale").expect("concluded");
        // What was never confirmed is not kept by a terminal that undoes it: whose the other one is does not matter.
        let fits: &[&str] = if reverses { &["unknown", "not charged"] } else { &["unknown"] };
        assert!(fits.contains(&how(&stands)), "{reverses}: {stands:?}");
        assert_eq!((heard.confirmations(), heard.requests()), (Vec::new(), 1));
    }
}

/// Parts, where they are allowed: less is kept, and all else rolled back.
#[tokio::test(start_paused = true)]
async fn a_part_is_less_and_adds_up() {
    for (authorised, more, ended) in [
        (CENTIMES, json!({}), "charged"),
        (CENTIMES - 1, json!({}), "partial"),
        (CENTIMES - 1, json!({"AmtRemaining": 1}), "partial"),
        (CENTIMES - 1, json!({"AmtRemaining": 2}), "not charged"),
        (CENTIMES - 1, json!({"TipAmt": 1}), "not charged"),
        (CENTIMES - 1, json!({"TrxAmt": CENTIMES}), "not charged"),
        (CENTIMES + 100, json!({"TipAmt": 100}), "not charged"),
        (CENTIMES + 100, json!({}), "not charged"),
        (0, json!({}), "not charged"),
    ] {
        let mut line = but(42, "AmtAuth", json!(authorised));
        for (field, value) in more.as_object().expect("fields") {
            line["TransactionResponse"][field] = value.clone();
        }
        let (till, heard) = (Till::new(), Heard::default());
        let (near, far) = memory::pair();
        tokio::spawn(serve(far, heard.clone(), move |name, _| {
            Some(if name == "TransactionRequest" { vec![line.clone()] } else { usual(name, 41) })
        }));
        let mut options = Options::new("counter");
        options.partial = true;
        let opened = paytec::open(Box::new(near), options, till.journal.clone(), till.clock()).await;
        let payment = pay(&mut opened.expect("connects"), "sale").await.expect("an outcome");
        assert_eq!(how(&payment), ended, "{authorised} {more}: {payment:?}");
        assert_eq!(heard.confirmations(), [i64::from(ended != "not charged")], "{authorised} {more}");
    }
}

/// A terminal that books and reverses as often as it is asked.
#[tokio::test(start_paused = true)]
async fn a_payment_is_reversed_once() {
    let (till, heard) = (Till::new(), Heard::default());
    let mut number = 41;
    let mut terminal = open(&till, &heard, move |name, asked| match name {
        "TransactionRequest" => {
            number += 1;
            Some(vec![but(number, "TrxFunction", asked["TrxFunction"].clone())])
        }
        name => Some(usual(name, number)),
    })
    .await
    .expect("connects");
    let paid = pay(&mut terminal, "sale").await.expect("an outcome").into_charge().expect("charged");
    let paid = paid.reference.expect("it is named");
    let back = terminal.reverse(paid.clone(), Request::new("back", price()), Host::none()).await.expect("an outcome");
    assert_eq!(how(&back), "charged", "{back:?}");
    let slip = paytec::reference(Some("TERM1234"), "42");
    for of in [paid, slip] {
        terminal.reverse(of, Request::new("twice", price()), Host::none()).await.expect_err("it was reversed");
    }
    assert_eq!(heard.requests(), 2);
}
