//! nexo retailer as Adyen's terminals speak it: JSON over HTTP, in clear or sealed with a shared key.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tresen_hal::link::memory::{self, Dialer};
use tresen_hal::link::{Incoming, Listen};
use tresen_hal::{Amount, Link};
use tresen_payment::nexo::{self, Options};
use tresen_payment::{Host, Payment, Request, Terminal as _};

use super::stage::{JUMPS, Till, how};

const PRICE: Amount = Amount::eur(39_50);
const POI: &str = "V400m-324688179";

/// What an answer of the terminal is.
enum Do {
    /// A JSON text with status 200.
    Json(String),
    /// All that is sent.
    Raw(Vec<u8>),
    HangUp,
}

/// A web server at a port of memory, with one request a connection.
fn serve(answer: impl Fn(Value) -> Do + Send + Sync + 'static) -> Dialer {
    let (dialer, port) = memory::port();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok(Incoming { link, .. }) = port.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut input = Vec::new();
                let body = loop {
                    let text = String::from_utf8_lossy(&input).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head.to_ascii_lowercase();
                        let length = length.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
                        let length: usize = length.and_then(|l| l.trim().parse().ok()).expect("a length");
                        if body.len() >= length {
                            break body.to_owned();
                        }
                    }
                    if link.recv(&mut input).await.is_err() {
                        return;
                    }
                };
                let out = match answer(serde_json::from_str(&body).expect("the till says JSON")) {
                    Do::Json(json) => {
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", json.len());
                        [head.into_bytes(), json.into_bytes()].concat()
                    }
                    Do::Raw(bytes) => bytes,
                    Do::HangUp => return,
                };
                link.send(&out).await.ok();
                link.close().await;
            });
        }
    });
    dialer
}

/// The header of a request.
fn header(request: &Value) -> Value {
    request["SaleToPOIRequest"]["MessageHeader"].clone()
}

fn category(request: &Value) -> String {
    header(request)["MessageCategory"].as_str().unwrap_or_default().to_owned()
}

/// A response with this content to the request with this header.
fn response(header: &Value, name: &str, content: Value) -> Value {
    let mut header = header.clone();
    header["MessageType"] = json!("Response");
    json!({"SaleToPOIResponse": {"MessageHeader": header, name: content}})
}

/// An approval, as far as the till needs it.
fn paid(amount: Value) -> Value {
    json!({"Response": {"Result": "Success"},
        "POIData": {"POITransactionID": {"TransactionID": "oLkO001.8828", "TimeStamp": "2026-01-02T08:00:01.000Z"}},
        "PaymentResult": {"PaymentType": "Normal", "AmountsResp": {"Currency": "EUR", "AuthorizedAmount": amount}}})
}

/// What every terminal answers besides transactions.
fn usual(request: &Value) -> Value {
    match category(request).as_str() {
        "Diagnosis" => response(
            &header(request),
            "DiagnosisResponse",
            json!({"Response": {"Result": "Success"}, "POIStatus": {"GlobalStatus": "OK", "CommunicationOKFlag": true}}),
        ),
        _ => response(
            &header(request),
            "TransactionStatusResponse",
            json!({"Response": {"Result": "Failure", "ErrorCondition": "NotFound"}}),
        ),
    }
}

async fn open(till: &Till, dialer: Dialer, key: Option<nexo::crypto::Key>) -> nexo::Terminal {
    let mut options = Options::new("counter", POI);
    (options.key, options.grace, options.limit) = (key, Duration::from_secs(20), Duration::from_secs(60));
    nexo::open(Arc::new(dialer), None, options, till.journal.clone(), till.clock()).await.expect("answers")
}

async fn pay(terminal: &mut nexo::Terminal, id: &str) -> Payment {
    terminal.pay(Request::new(id, PRICE), Host::none()).await.expect("an outcome")
}

/// One payment whose response was changed.
async fn told(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Payment {
    let till = Till::new();
    let dialer = serve(move |request| {
        if category(&request) != "Payment" {
            return Do::Json(usual(&request).to_string());
        }
        let mut answer = response(&header(&request), "PaymentResponse", paid(json!(39.5)));
        change(&mut answer);
        Do::Json(answer.to_string())
    });
    pay(&mut open(&till, dialer, None).await, "sale").await
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_this_payments_charges_nothing() {
    assert_eq!(how(&told(|_| {}).await), "charged");
    let head = "/SaleToPOIResponse/MessageHeader";
    let body = "/SaleToPOIResponse/PaymentResponse";
    let amounts = format!("{body}/PaymentResult/AmountsResp");
    let at = |under: &str, field: &str| format!("{under}/{field}");
    for (place, value) in [
        (at(head, "ServiceID"), json!("0000000000")),
        (at(head, "ServiceID"), Value::Null),
        (at(head, "SaleID"), json!("another till")),
        (at(head, "POIID"), json!("V400m-1")),
        (at(head, "MessageCategory"), json!("Reversal")),
        (at(head, "MessageCategory"), json!("TransactionStatus")),
        (at(&amounts, "AuthorizedAmount"), json!(39.51)),
        (at(&amounts, "AuthorizedAmount"), json!(39.49)),
        (at(&amounts, "AuthorizedAmount"), json!(-39.5)),
        (at(&amounts, "AuthorizedAmount"), json!(39.505)),
        (at(&amounts, "AuthorizedAmount"), json!(1e300)),
        (at(&amounts, "AuthorizedAmount"), json!("NaN")),
        (at(&amounts, "AuthorizedAmount"), Value::Null),
        (at(&amounts, "Currency"), json!("CHF")),
        (at(&amounts, "Currency"), json!("XXX")),
        (amounts.clone(), Value::Null),
        (at(body, "PaymentResult"), Value::Null),
        (at(body, "PaymentResult/PaymentType"), json!("Refund")),
        (at(body, "Response/Result"), json!("success")),
        (at(body, "Response/Result"), json!("Partly")),
        (at(body, "Response"), Value::Null),
    ] {
        let (path, new) = (place.clone(), value.clone());
        let payment = told(move |answer| *answer.pointer_mut(&path).expect("it is there") = new.clone()).await;
        assert!(!matches!(how(&payment), "charged" | "not charged"), "{place} {value}: {payment:?}");
    }
    let other = told(|answer| {
        answer["SaleToPOIResponse"]["PaymentResponse"]["SaleData"] =
            json!({"SaleTransactionID": {"TransactionID": "another", "TimeStamp": "2026-01-02T08:00:00.000Z"}});
    });
    assert_eq!(how(&other.await), "unknown", "another sale");
    let tip = told(|answer| {
        let amounts = &mut answer["SaleToPOIResponse"]["PaymentResponse"]["PaymentResult"]["AmountsResp"];
        *amounts = json!({"Currency": "EUR", "AuthorizedAmount": 44.5, "TipAmount": 5});
    });
    assert_eq!(how(&tip.await), "unknown", "a tip that nobody has allowed");
}

/// The terminal names the payment before once more.
#[tokio::test(start_paused = true)]
async fn one_name_stands_for_one_payment() {
    let till = Till::new();
    let dialer = serve(|request| {
        Do::Json(match category(&request).as_str() {
            "Payment" => response(&header(&request), "PaymentResponse", paid(json!(39.5))).to_string(),
            _ => usual(&request).to_string(),
        })
    });
    let mut terminal = open(&till, dialer, None).await;
    assert_eq!(how(&pay(&mut terminal, "first").await), "charged");
    let second = pay(&mut terminal, "second").await;
    assert_eq!(how(&second), "unknown", "{second:?}");
}

/// The answer is lost; then the terminal says this or that of it.
#[tokio::test(start_paused = true)]
async fn only_the_status_of_this_transaction_settles_it() {
    type Tell = fn(asked: &Value, lost: &Value) -> Value;
    let cases: [(&str, &str, Tell); 9] = [
        ("this one", "charged", |asked, lost| repeated(asked, lost, |_| {})),
        ("another ServiceID", "unknown", |asked, lost| {
            repeated(asked, lost, |told| told["MessageHeader"]["ServiceID"] = json!("1111111111"))
        }),
        ("another till's", "unknown", |asked, lost| {
            repeated(asked, lost, |told| told["MessageHeader"]["SaleID"] = json!("till-2"))
        }),
        ("of another terminal", "unknown", |asked, lost| {
            repeated(asked, lost, |told| told["MessageHeader"]["POIID"] = json!("V400m-1"))
        }),
        ("of another category", "unknown", |asked, lost| {
            repeated(asked, lost, |told| told["MessageHeader"]["MessageCategory"] = json!("Reversal"))
        }),
        ("less", "unknown", |asked, lost| {
            repeated(asked, lost, |told| {
                told["RepeatedResponseMessageBody"]["PaymentResponse"]["PaymentResult"]["AmountsResp"]["AuthorizedAmount"] =
                    json!(1);
            })
        }),
        ("of last year", "unknown", |asked, lost| {
            repeated(asked, lost, |told| {
                told["RepeatedResponseMessageBody"]["PaymentResponse"]["POIData"]["POITransactionID"]["TimeStamp"] =
                    json!("2025-01-02T08:00:01.000Z");
            })
        }),
        ("that it runs", "unknown", |asked, _| {
            response(
                asked,
                "TransactionStatusResponse",
                json!({"Response": {"Result": "Failure", "ErrorCondition": "InProgress"}}),
            )
        }),
        ("a success without it", "unknown", |asked, _| {
            response(asked, "TransactionStatusResponse", json!({"Response": {"Result": "Success"}}))
        }),
    ];
    for (name, ended, tell) in cases {
        let till = Till::new();
        let lost = Mutex::new(None::<Value>);
        let dialer = serve(move |request| {
            let mut lost = lost.lock().expect("no panic");
            match (category(&request).as_str(), &*lost) {
                ("Payment", _) => {
                    *lost = Some(header(&request));
                    Do::HangUp
                }
                ("TransactionStatus", Some(lost)) => Do::Json(tell(&header(&request), lost).to_string()),
                _ => Do::Json(usual(&request).to_string()),
            }
        });
        let mut terminal = open(&till, dialer, None).await;
        assert_eq!(how(&pay(&mut terminal, "sale").await), "unknown", "{name}");
        terminal.recover().await.expect("asks");
        let stands = till.stands("sale").expect("concluded");
        assert_eq!(how(&stands), ended, "{name}: {stands:?}");
    }
}

/// The status that repeats the approval of `lost`, changed.
fn repeated(asked: &Value, lost: &Value, change: fn(&mut Value)) -> Value {
    let mut header = lost.clone();
    header["MessageType"] = json!("Response");
    let mut told =
        json!({"MessageHeader": header, "RepeatedResponseMessageBody": {"PaymentResponse": paid(json!(39.5))}});
    change(&mut told);
    response(
        asked,
        "TransactionStatusResponse",
        json!({"Response": {"Result": "Success"}, "RepeatedMessageResponse": told}),
    )
}

/// Key material as Adyen derives it from a passphrase, without the code under test.
struct Keys([u8; 80]);

impl Keys {
    fn of(passphrase: &str) -> Self {
        let mut derived = [0; 80];
        pbkdf2::pbkdf2_hmac::<sha1::Sha1>(passphrase.as_bytes(), b"AdyenNexoV1Salt", 4000, &mut derived);
        Self(derived)
    }

    fn iv(&self, nonce: &[u8]) -> Vec<u8> {
        self.0[64..].iter().zip(nonce).map(|(a, b)| a ^ b).collect()
    }

    fn sign(&self, clear: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0[..32]).expect("any length");
        mac.update(clear);
        STANDARD.encode(mac.finalize().into_bytes())
    }

    fn open(&self, sealed: &Value) -> Value {
        let inner = &sealed["SaleToPOIRequest"];
        let bytes = |value: &Value| STANDARD.decode(value.as_str().expect("text")).expect("base64");
        let iv = self.iv(&bytes(&inner["SecurityTrailer"]["Nonce"]));
        let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&self.0[32..64], &iv).expect("lengths");
        let clear = cipher.decrypt_padded_vec::<Pkcs7>(&bytes(&inner["NexoBlob"])).expect("the till's message");
        serde_json::from_slice(&clear).expect("JSON")
    }

    fn seal(&self, response: &Value) -> Value {
        let (clear, nonce) = (response.to_string(), [9; 16]);
        let cipher = cbc::Encryptor::<Aes256>::new_from_slices(&self.0[32..64], &self.iv(&nonce)).expect("lengths");
        json!({"SaleToPOIResponse": {
            "MessageHeader": response["SaleToPOIResponse"]["MessageHeader"],
            "NexoBlob": STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(clear.as_bytes())),
            "SecurityTrailer": {"KeyVersion": 1, "KeyIdentifier": "shop", "AdyenCryptoVersion": 1,
                "Hmac": self.sign(clear.as_bytes()), "Nonce": STANDARD.encode(nonce)},
        }})
    }
}

/// Between till and terminal stands somebody who has recorded the payment before and knows no key.
#[tokio::test(start_paused = true)]
async fn somebody_between_who_knows_no_key_charges_nothing() {
    type Forge = fn(keys: &Keys, good: Value, before: &Value) -> Value;
    let cases: [(&str, &str, Forge); 9] = [
        ("nothing", "charged", |keys, good, _| keys.seal(&good)),
        ("a replay", "unknown", |_, _, before| before.clone()),
        ("a replay under the new header", "unknown", |_, good, before| {
            let mut forged = before.clone();
            forged["SaleToPOIResponse"]["MessageHeader"] = good["SaleToPOIResponse"]["MessageHeader"].clone();
            forged
        }),
        ("in clear", "unknown", |_, good, _| good),
        ("with another key", "unknown", |_, good, _| Keys::of("guessed").seal(&good)),
        ("of another version", "unknown", |keys, good, _| {
            let mut sealed = keys.seal(&good);
            sealed["SaleToPOIResponse"]["SecurityTrailer"]["KeyVersion"] = json!(2);
            sealed
        }),
        ("of another crypto version", "unknown", |keys, good, _| {
            let mut sealed = keys.seal(&good);
            sealed["SaleToPOIResponse"]["SecurityTrailer"]["AdyenCryptoVersion"] = json!(0);
            sealed
        }),
        ("with another outer header", "unknown", |keys, good, _| {
            let mut sealed = keys.seal(&good);
            sealed["SaleToPOIResponse"]["MessageHeader"]["POIID"] = json!("V400m-1");
            sealed
        }),
        ("a clear decline beside it", "unknown", |keys, good, _| {
            let mut sealed = keys.seal(&good);
            sealed["SaleToPOIResponse"]["SecurityTrailer"] = Value::Null;
            sealed["SaleToPOIResponse"]["PaymentResponse"] =
                json!({"Response": {"Result": "Failure", "ErrorCondition": "Refusal"}});
            sealed
        }),
    ];
    for (name, ended, forge) in cases {
        let (till, keys) = (Till::new(), Keys::of("correct horse"));
        let (before, payments) = (Mutex::new(Value::Null), AtomicUsize::new(0));
        let dialer = serve(move |request| {
            let request = keys.open(&request);
            if category(&request) != "Payment" {
                return Do::Json(keys.seal(&usual(&request)).to_string());
            }
            let mut approval = paid(json!(39.5));
            let payment = payments.fetch_add(1, SeqCst);
            approval["POIData"]["POITransactionID"]["TransactionID"] = json!(format!("oLkO001.{payment}"));
            let good = response(&header(&request), "PaymentResponse", approval);
            let mut before = before.lock().expect("no panic");
            if payment == 0 {
                *before = keys.seal(&good);
                return Do::Json(before.to_string());
            }
            Do::Json(forge(&keys, good, &before).to_string())
        });
        let key = nexo::crypto::Key::derive("shop", 1, "correct horse").expect("ASCII");
        let mut terminal = open(&till, dialer, Some(key)).await;
        assert_eq!(how(&pay(&mut terminal, "before").await), "charged", "{name}");
        let payment = pay(&mut terminal, "sale").await;
        assert_eq!(how(&payment), ended, "{name}: {payment:?}");
    }
}

/// Web servers that are none: the till neither panics nor hangs, and charges nothing.
#[tokio::test(start_paused = true)]
async fn answers_that_are_none_end_in_time() {
    let deep = format!("{{\"SaleToPOIResponse\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let http = |head: &str, body: &str| format!("HTTP/1.1 {head}\r\n\r\n{body}");
    for raw in [
        http(&format!("200 OK\r\nContent-Length: {}", deep.len()), &deep),
        http("200 OK\r\nContent-Length: 99999999999999999999", "{}"),
        http("200 OK\r\nContent-Length: -1", "{}"),
        http("200 OK\r\nContent-Length: 2\r\nContent-Length: 3", "{}x"),
        http("200 OK\r\nTransfer-Encoding: chunked", "FFFFFFFFFFFFFFFF\r\n"),
        http("200 OK\r\nTransfer-Encoding: chunked", "-1\r\n"),
        http("200 OK\r\nTransfer-Encoding: chunked", "2;x\r\n{}\r\n0\r\n\r\n"),
        http("200 OK\r\nContent-Length: 0", ""),
        http("200 OK\r\nContent-Length: 2", "ok"),
        http("401 Unauthorized\r\nContent-Length: 0", ""),
        http("500 Oops\r\nContent-Length: 2", "{}"),
        http("100 Continue", ""),
        format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(100_000)),
        "x".repeat(3_000_000),
        String::new(),
    ] {
        let till = Till::new();
        let shown: String = raw.chars().take(60).collect();
        let dialer = serve(move |request| match category(&request).as_str() {
            "Payment" => Do::Raw(raw.clone().into_bytes()),
            _ => Do::Json(usual(&request).to_string()),
        });
        let mut terminal = open(&till, dialer, None).await;
        let begun = tokio::time::Instant::now();
        let payment = pay(&mut terminal, "sale").await;
        assert_eq!(how(&payment), "unknown", "{shown}: {payment:?}");
        assert!(begun.elapsed() <= Duration::from_secs(120), "{shown}: {:?}", begun.elapsed());
    }
}

/// The till's date is set by a day before, in and after a payment whose answer is lost. The request is still on its way when
/// the terminal is first asked.
#[tokio::test(start_paused = true)]
async fn a_date_that_is_set_proves_nothing() {
    for [before, within, after] in JUMPS {
        for (knows_after, fits) in
            [(0, &["charged", "unknown"][..]), (15, &["charged", "unknown"]), (3_600, &["not charged", "unknown"])]
        {
            let name = format!("{before} {within} {after}, known after {knows_after} s");
            let till = Till::new();
            till.clock.jump(before);
            let (clock, lost) = (till.clock.clone(), Mutex::new(None::<(Value, tokio::time::Instant)>));
            let payments = Arc::new(AtomicUsize::new(0));
            let count = payments.clone();
            let dialer = serve(move |request| {
                let mut lost = lost.lock().expect("no panic");
                match (category(&request).as_str(), &*lost) {
                    ("Payment", _) => {
                        count.fetch_add(1, SeqCst);
                        clock.jump(within);
                        *lost = Some((header(&request), tokio::time::Instant::now()));
                        Do::HangUp
                    }
                    ("TransactionStatus", Some((lost, at))) if at.elapsed() >= Duration::from_secs(knows_after) => {
                        Do::Json(repeated(&header(&request), lost, |_| {}).to_string())
                    }
                    _ => Do::Json(usual(&request).to_string()),
                }
            });
            let mut terminal = open(&till, dialer, None).await;
            assert_eq!(how(&pay(&mut terminal, "sale").await), "unknown", "{name}");
            till.clock.jump(after);
            terminal.recover().await.expect("asks");
            let stands = till.stands("sale").expect("concluded");
            assert!(fits.contains(&how(&stands)), "{name}: {stands:?}");
            assert_eq!(pay(&mut terminal, "sale").await, stands, "{name}");
            assert_eq!(payments.load(SeqCst), 1, "{name}");
        }
    }
}

/// Tips and parts that were not asked for, and those that were and do not add up.
#[tokio::test(start_paused = true)]
async fn tips_and_parts_add_up_and_only_where_they_are_allowed() {
    let amounts = |authorised: f64, tip: Option<f64>| match tip {
        Some(tip) => json!({"Currency": "EUR", "AuthorizedAmount": authorised, "TipAmount": tip}),
        None => json!({"Currency": "EUR", "AuthorizedAmount": authorised}),
    };
    for (partial, tips, authorised, tip, ended) in [
        (false, false, 44.5, Some(5.0), "unknown"),
        (false, false, 44.5, None, "unknown"),
        (false, false, 30.0, None, "unknown"),
        (false, true, 44.5, Some(5.0), "charged"),
        (false, true, 44.5, Some(4.0), "unknown"),
        (false, true, 44.5, Some(6.0), "unknown"),
        (false, true, 44.5, None, "unknown"),
        (false, true, 44.5, Some(-5.0), "unknown"),
        (false, true, 34.5, Some(-5.0), "unknown"),
        (false, true, 39.5, Some(5.0), "unknown"),
        (true, false, 30.0, None, "partial"),
        (true, false, 0.0, None, "unknown"),
        (true, false, 39.51, None, "unknown"),
        (true, true, 30.0, Some(5.0), "unknown"),
        (true, true, 44.5, Some(5.0), "charged"),
    ] {
        let till = Till::new();
        let content = amounts(authorised, tip);
        let dialer = serve(move |request| {
            Do::Json(match category(&request).as_str() {
                "Payment" => {
                    let mut approval = paid(json!(0));
                    approval["PaymentResult"]["AmountsResp"] = content.clone();
                    response(&header(&request), "PaymentResponse", approval).to_string()
                }
                _ => usual(&request).to_string(),
            })
        });
        let mut options = Options::new("counter", POI);
        (options.partial, options.tip) = (partial, tips);
        let opened = nexo::open(Arc::new(dialer), None, options, till.journal.clone(), till.clock()).await;
        let payment = pay(&mut opened.expect("answers"), "sale").await;
        assert_eq!(how(&payment), ended, "{partial} {tips} {authorised} {tip:?}: {payment:?}");
    }
}

/// A terminal that reverses as often as it is asked.
#[tokio::test(start_paused = true)]
async fn a_payment_is_reversed_once() {
    let till = Till::new();
    let reversals = Arc::new(AtomicUsize::new(0));
    let count = reversals.clone();
    let dialer = serve(move |request| {
        Do::Json(match category(&request).as_str() {
            "Payment" => response(&header(&request), "PaymentResponse", paid(json!(39.5))).to_string(),
            "Reversal" => {
                let number = count.fetch_add(1, SeqCst);
                let named = json!({"TransactionID": format!("back.{number}"), "TimeStamp": "2026-01-02T08:00:02.000Z"});
                let content = json!({"Response": {"Result": "Success"}, "POIData": {"POITransactionID": named}});
                response(&header(&request), "ReversalResponse", content).to_string()
            }
            _ => usual(&request).to_string(),
        })
    });
    let mut terminal = open(&till, dialer, None).await;
    let paid = pay(&mut terminal, "sale").await.into_charge().and_then(|charge| charge.reference).expect("it is named");
    let back = terminal.reverse(paid.clone(), Request::new("back", PRICE), Host::none()).await.expect("an outcome");
    assert_eq!(how(&back), "charged");
    terminal.reverse(paid, Request::new("twice", PRICE), Host::none()).await.expect_err("it was reversed");
    assert_eq!(reversals.load(SeqCst), 1);
}
