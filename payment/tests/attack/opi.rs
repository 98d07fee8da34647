//! OPI: four bytes of length and a document of XML; the till asks on channel 0 and is asked on channel 1.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tresen_hal::link::memory::{self, Dialer};
use tresen_hal::link::{Connect, Incoming, Listen};
use tresen_hal::{Amount, BoxFuture, Link, Result};
use tresen_payment::opi::{self, Listener, Options};
use tresen_payment::{Host, Payment, Request, Terminal as _};

use super::stage::{JUMPS, Till, how};

const PRICE: Amount = Amount::eur(39_50);

fn frame(xml: &str) -> Vec<u8> {
    let length = u32::try_from(xml.len()).expect("short").to_be_bytes();
    [&length[..], xml.as_bytes()].concat()
}

/// The first whole document of `input`, which it leaves.
fn take(input: &mut Vec<u8>) -> Option<String> {
    let length = u32::from_be_bytes(*input.first_chunk()?) as usize;
    (input.len() >= 4 + length).then(|| {
        let document: Vec<u8> = input.drain(..4 + length).skip(4).collect();
        String::from_utf8(document).expect("the till says UTF-8")
    })
}

/// What stands in quotes after `name=`.
fn value(xml: &str, name: &str) -> String {
    let after = xml.split(&format!("{name}=\"")).nth(1).unwrap_or_default();
    after.split('"').next().unwrap_or_default().to_owned()
}

/// A terminal at a port of memory: documents that answer a request by its type and id; it hangs up without any.
fn serve(answer: impl Fn(&str, &str) -> Vec<String> + Send + Sync + 'static) -> Dialer {
    let (dialer, port) = memory::port();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok(Incoming { link, .. }) = port.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut input = Vec::new();
                loop {
                    while let Some(request) = take(&mut input) {
                        let documents = answer(&value(&request, "RequestType"), &value(&request, "RequestID"));
                        if documents.is_empty() {
                            return;
                        }
                        for document in documents {
                            if link.send(&frame(&document)).await.is_err() {
                                return;
                            }
                        }
                    }
                    if link.recv(&mut input).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    dialer
}

/// A response of this kind and id; `content` is what stands in it.
fn response(kind: &str, id: &str, result: &str, content: &str) -> String {
    let name = if matches!(kind, "Login" | "Logoff" | "Diagnosis") { "ServiceResponse" } else { "CardServiceResponse" };
    format!(
        "<{name} xmlns=\"http://www.nrf-arts.org/IXRetail/namespace\" RequestType=\"{kind}\" WorkstationID=\"1\" \
         RequestID=\"{id}\" OverallResult=\"{result}\">{content}</{name}>"
    )
}

/// Terminal, trace number and what was charged.
fn tender(stan: &str, currency: &str, amount: &str) -> String {
    format!(
        "<Terminal TerminalID=\"60000001\" STAN=\"{stan}\"/><Tender><TotalAmount Currency=\"{currency}\">{amount}</TotalAmount>\
         <Authorisation AuthorisationType=\"Online\" CardCircuit=\"girocard\" ReceiptNumber=\"8930\" ActionCode=\"0\"/></Tender>"
    )
}

/// The header of the message that is repeated.
fn original(kind: &str, id: &str, result: &str) -> String {
    format!("<OriginalHeader RequestType=\"{kind}\" RequestID=\"{id}\" OverallResult=\"{result}\"/>")
}

/// What every terminal answers: sessions, and a payment of another till as its last message.
fn usual(kind: &str, id: &str) -> Vec<String> {
    let before = original("CardPayment", "7", "Success") + &tender("000416", "EUR", "39.50");
    vec![match kind {
        "RepeatLastMessage" => response(kind, id, "Success", &before),
        kind => response(kind, id, "Success", ""),
    }]
}

async fn open(till: &Till, dialer: Dialer, listener: Option<Arc<Listener>>) -> opi::Terminal {
    let mut options = Options::new("counter");
    (options.limit, options.grace) = (Duration::from_secs(60), Duration::from_secs(20));
    opi::open(Arc::new(dialer), listener, options, till.journal.clone(), till.clock()).await.expect("logs in")
}

async fn pay(terminal: &mut opi::Terminal, id: &str) -> Payment {
    terminal.pay(Request::new(id, PRICE), Host::none()).await.expect("an outcome")
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_this_payments_charges_nothing() {
    let good = tender("000417", "EUR", "39.50");
    for (name, kind, id, content) in [
        ("another id", "CardPayment", "other", good.clone()),
        ("no id", "CardPayment", "", good.clone()),
        ("another type", "PaymentRefund", "this", good.clone()),
        ("a service", "Login", "this", good.clone()),
        ("more", "CardPayment", "this", tender("000417", "EUR", "39.51")),
        ("less", "CardPayment", "this", tender("000417", "EUR", "39.49")),
        ("in francs", "CardPayment", "this", tender("000417", "CHF", "39.50")),
        ("in an unknown currency", "CardPayment", "this", tender("000417", "XXX", "39.50")),
        ("negative", "CardPayment", "this", tender("000417", "EUR", "-39.50")),
        ("with an exponent", "CardPayment", "this", tender("000417", "EUR", "3.951E1")),
        ("half a cent", "CardPayment", "this", tender("000417", "EUR", "39.505")),
        ("no number", "CardPayment", "this", tender("000417", "EUR", "NaN")),
        ("huge", "CardPayment", "this", tender("000417", "EUR", "1e999999999")),
        ("the one before", "CardPayment", "this", tender("000416", "EUR", "39.50")),
    ] {
        let till = Till::new();
        let content_told = content.clone();
        let dialer = serve(move |asked, this| match asked {
            "CardPayment" => vec![response(kind, if id == "this" { this } else { id }, "Success", &content_told)],
            asked => usual(asked, this),
        });
        let payment = pay(&mut open(&till, dialer, None).await, "sale").await;
        assert_eq!(how(&payment), "unknown", "{name}: {payment:?}");
    }
    let till = Till::new();
    let dialer = serve(move |asked, this| match asked {
        "CardPayment" => vec![response(asked, this, "Success", &tender("000417", "EUR", "39.50"))],
        asked => usual(asked, this),
    });
    let mut terminal = open(&till, dialer, None).await;
    assert_eq!(how(&pay(&mut terminal, "sale").await), "charged");
    // The same trace number once more stands for the payment before.
    let again = pay(&mut terminal, "again").await;
    assert_eq!(how(&again), "unknown", "{again:?}");
}

/// The answer is lost; then the terminal repeats this or that as its last message.
#[tokio::test(start_paused = true)]
async fn only_the_repeated_answer_of_this_request_settles_it() {
    let good = tender("000417", "EUR", "39.50");
    for (name, kind, id, result, content, ended) in [
        ("this one", "CardPayment", "this", "Success", good.clone(), "charged"),
        ("declined", "CardPayment", "this", "Failure", String::new(), "not charged"),
        ("still running", "CardPayment", "this", "TimedOut", String::new(), "unknown"),
        ("anothers", "CardPayment", "8", "Success", good.clone(), "unknown"),
        ("anothers, declined", "CardPayment", "8", "Failure", String::new(), "unknown"),
        ("another type", "PaymentReversal", "this", "Success", good.clone(), "unknown"),
        ("a reversal that was done since", "PaymentReversal", "9", "Success", good.clone(), "unknown"),
        (
            "without an amount",
            "CardPayment",
            "this",
            "Success",
            "<Terminal TerminalID=\"60000001\"/>".into(),
            "unknown",
        ),
        ("less", "CardPayment", "this", "Success", tender("000417", "EUR", "1.00"), "unknown"),
        ("another terminal", "CardPayment", "this", "Success", good.replace("60000001", "60000002"), "unknown"),
        (
            "another terminal, the one before",
            "CardPayment",
            "7",
            "Success",
            tender("000416", "EUR", "39.50").replace("60000001", "60000002"),
            "unknown",
        ),
        ("the one before", "CardPayment", "7", "Success", tender("000416", "EUR", "39.50"), "not charged"),
        ("the id of the one before, another trace", "CardPayment", "7", "Success", good.clone(), "unknown"),
        // A till that was started again counts its requests anew: its message is not the one before.
        ("the id of the one before, declined", "CardPayment", "7", "Failure", String::new(), "unknown"),
        (
            "the id of the one before, a refund",
            "PaymentRefund",
            "7",
            "Success",
            tender("000416", "EUR", "39.50"),
            "unknown",
        ),
        ("nothing", "", "", "", String::new(), "unknown"),
    ] {
        let till = Till::new();
        let asked_id = Arc::new(Mutex::new(None::<String>));
        let seen = asked_id.clone();
        let content_told = content.clone();
        let dialer = serve(move |asked, this| {
            let mut seen = seen.lock().expect("no panic");
            match (asked, &*seen) {
                ("CardPayment", _) => {
                    *seen = Some(this.to_owned());
                    Vec::new()
                }
                ("RepeatLastMessage", Some(_)) if kind.is_empty() => vec![response(asked, this, "Failure", "")],
                ("RepeatLastMessage", Some(lost)) => {
                    let id = if id == "this" { lost } else { id };
                    vec![response(asked, this, "Success", &(original(kind, id, result) + &content_told))]
                }
                _ => usual(asked, this),
            }
        });
        let mut terminal = open(&till, dialer.clone(), None).await;
        assert_eq!(how(&pay(&mut terminal, "sale").await), "unknown", "{name}");
        terminal.recover().await.expect("asks");
        let stands = till.stands("sale").expect("concluded");
        assert_eq!(how(&stands), ended, "{name}: {stands:?}");
    }
}

/// A port whose callers have addresses: those of the test, in turn.
#[derive(Debug)]
struct Addressed {
    port: memory::Port,
    next: Arc<Mutex<IpAddr>>,
}

impl Listen for Addressed {
    fn accept(&self) -> BoxFuture<'_, Result<Incoming>> {
        Box::pin(async {
            let Incoming { link, .. } = self.port.accept().await?;
            Ok(Incoming { link, from: Some(*self.next.lock().expect("no panic")) })
        })
    }
}

const TERMINAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));

/// A request to show a text, as a terminal sends it.
fn output(id: &str, text: &str) -> String {
    format!(
        "<DeviceRequest RequestType=\"Output\" RequestID=\"{id}\" WorkstationID=\"1\" SequenceID=\"{id}\" \
         TerminalID=\"60000001\" ApplicationSender=\"x\"><Output OutDeviceTarget=\"CashierDisplay\">\
         <TextLine>{text}</TextLine></Output></DeviceRequest>"
    )
}

/// Somebody who connects to the port for terminals as often as he can, and says nothing, shuts out none of them.
#[tokio::test(start_paused = true)]
async fn a_stranger_who_holds_connections_shuts_out_no_terminal() {
    let (dialer, port) = memory::port();
    let next = Arc::new(Mutex::new(TERMINAL));
    let listener = Listener::new(Box::new(Addressed { port, next: next.clone() }));
    let till = Till::new();
    let mut terminal = open(&till, serve(usual), Some(listener)).await;
    // The terminal's own first connection stays.
    let first = dialer.connect().await.expect("it listens");
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    *next.lock().expect("no panic") = STRANGER;
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(dialer.connect().await.expect("it listens"));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    *next.lock().expect("no panic") = TERMINAL;
    let second = dialer.connect().await.expect("it listens");
    for (link, id) in [(first, "11"), (second, "12")] {
        link.send(&frame(&output(id, "Bitte Karte"))).await.expect("it is open");
        let answered = async {
            let mut input = Vec::new();
            loop {
                if let Some(answer) = take(&mut input) {
                    return answer;
                }
                if link.recv(&mut input).await.is_err() {
                    return String::new();
                }
            }
        };
        let answer = tokio::select! {
            answer = answered => answer,
            _ = tresen_hal::Driver::event(&mut terminal) => continue,
            () = tokio::time::sleep(Duration::from_secs(60)) => String::new(),
        };
        assert!(answer.contains("OverallResult=\"Success\""), "{id}: {answer}");
    }
}

/// Documents that are huge, deep, slow, or full of entities, on both channels: the till neither panics nor hangs.
#[tokio::test(start_paused = true)]
async fn documents_that_are_none_end_in_time() {
    let deep = format!("<CardServiceResponse>{}", "<a>".repeat(200_000));
    let wide = format!("<CardServiceResponse {}/>", "a=\"b\" ".repeat(100_000));
    let laughs = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>\
                  <CardServiceResponse RequestType=\"CardPayment\" RequestID=\"ID\" OverallResult=\"Success\">&b;</CardServiceResponse>";
    let outside = "<!DOCTYPE l [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><DeviceRequest RequestType=\"&a;\"/>";
    for document in [deep.as_str(), &wide, laughs, outside, "", "<", "\u{feff}", "<CardServiceResponse", "<a></b>"] {
        let till = Till::new();
        let told = document.to_owned();
        let dialer = serve(move |asked, this| match asked {
            "CardPayment" => vec![told.replace("ID", this)],
            asked => usual(asked, this),
        });
        let (to_till, port) = memory::port();
        let listener = Listener::new(Box::new(port));
        let mut terminal = open(&till, dialer, Some(listener)).await;
        let link = to_till.connect().await.expect("it listens");
        link.send(&frame(document)).await.ok();
        let begun = tokio::time::Instant::now();
        let payment = pay(&mut terminal, "sale").await;
        let shown: String = document.chars().take(60).collect();
        assert_eq!(how(&payment), "unknown", "{shown}: {payment:?}");
        assert!(begun.elapsed() < Duration::from_secs(120), "{shown}: {:?}", begun.elapsed());
    }
    // A byte each few seconds, and a length that is never reached.
    let (to_till, port) = memory::port();
    let _listener = Listener::new(Box::new(port));
    let link = to_till.connect().await.expect("it listens");
    let left = async {
        link.send(&[0, 0, 0x10, 0]).await.expect("it is open");
        while link.send(b"<").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), left).await.expect("a slow caller is left");
    // A length that nobody sends.
    let link = to_till.connect().await.expect("it listens");
    link.send(&[0xff; 64]).await.expect("it is open");
    let ended = async { while link.recv(&mut Vec::new()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(600), ended).await.expect("it is no OPI");
}

/// A card number wherever an answer has a text.
#[tokio::test(start_paused = true)]
async fn card_numbers_are_not_kept() {
    const CARD: &str = "4111111111111111";
    let good = tender("000417", "EUR", "39.50");
    for part in ["000417", "60000001", "8930", "girocard", "Online"] {
        for result in ["Success", "Failure"] {
            let till = Till::new();
            let content = good.replace(part, CARD)
                + &format!(
                    "<PrivateData><ErrorCode>{CARD}</ErrorCode><ErrorText>Karte {CARD}</ErrorText></PrivateData>"
                );
            let dialer = serve(move |asked, this| match asked {
                "CardPayment" => vec![response(asked, this, result, &content)],
                asked => usual(asked, this),
            });
            let mut terminal = open(&till, dialer, None).await;
            let payment = pay(&mut terminal, "sale").await;
            let everything = format!("{} {payment:?} {terminal:?}", till.everything());
            assert!(!everything.contains(CARD), "{part} {result}: {everything}");
        }
    }
}

/// The till's date is set by a day before, in and after a payment whose answer is lost. The terminal still shows the message
/// before for a while, as long as the customer looks for his card.
#[tokio::test(start_paused = true)]
async fn a_date_that_is_set_proves_nothing() {
    for [before, within, after] in JUMPS {
        for (shows_after, fits) in
            [(0, &["charged", "unknown"][..]), (15, &["charged", "unknown"]), (3_600, &["not charged"])]
        {
            let name = format!("{before} {within} {after}, shown after {shows_after} s");
            let till = Till::new();
            till.clock.jump(before);
            let (clock, lost) = (till.clock.clone(), Mutex::new(None::<(String, tokio::time::Instant)>));
            let paid = Arc::new(Mutex::new(0));
            let count = paid.clone();
            let dialer = serve(move |asked, this| {
                let mut lost = lost.lock().expect("no panic");
                match (asked, &*lost) {
                    ("CardPayment", _) => {
                        *count.lock().expect("no panic") += 1;
                        clock.jump(within);
                        *lost = Some((this.to_owned(), tokio::time::Instant::now()));
                        Vec::new()
                    }
                    ("RepeatLastMessage", Some((id, at))) if at.elapsed() >= Duration::from_secs(shows_after) => {
                        let good = tender("000417", "EUR", "39.50");
                        vec![response(asked, this, "Success", &(original("CardPayment", id, "Success") + &good))]
                    }
                    _ => usual(asked, this),
                }
            });
            let mut terminal = open(&till, dialer.clone(), None).await;
            assert_eq!(how(&pay(&mut terminal, "sale").await), "unknown", "{name}");
            till.clock.jump(after);
            let mut terminal = open(&till, dialer, None).await;
            terminal.recover().await.expect("asks");
            let stands = till.stands("sale").expect("concluded");
            assert!(fits.contains(&how(&stands)), "{name}: {stands:?}");
            // The same key is the same payment, whatever the date.
            assert_eq!(pay(&mut terminal, "sale").await, stands, "{name}");
            assert_eq!(*paid.lock().expect("no panic"), 1, "{name}");
        }
    }
}

/// Two tills at one terminal: the answer to the other one comes over this one's connection, before this one's or instead.
#[tokio::test(start_paused = true)]
async fn anothers_answer_of_the_same_amount_is_not_this_ones() {
    let good = tender("000417", "EUR", "39.50");
    let theirs = tender("000418", "EUR", "39.50");
    for (name, result, then, fits) in [
        ("approved, then approved", "Success", Some("Success"), &["charged", "unknown"][..]),
        ("approved, then declined", "Success", Some("Failure"), &["not charged", "unknown"]),
        ("declined, then approved", "Failure", Some("Success"), &["charged", "unknown"]),
        ("approved", "Success", None, &["unknown"]),
        ("declined", "Failure", None, &["unknown"]),
    ] {
        let till = Till::new();
        let (good, theirs) = (good.clone(), theirs.clone());
        let dialer = serve(move |asked, this| match asked {
            "CardPayment" => {
                let other = response(asked, "8", result, if result == "Success" { &theirs } else { "" });
                let ours =
                    then.map(|result| response(asked, this, result, if result == "Success" { &good } else { "" }));
                [Some(other), ours].into_iter().flatten().collect()
            }
            asked => usual(asked, this),
        });
        let payment = pay(&mut open(&till, dialer, None).await, "sale").await;
        assert!(fits.contains(&how(&payment)), "{name}: {payment:?}");
        let trace = payment.charge().and_then(|charge| charge.trace.clone());
        assert!(trace.is_none_or(|trace| trace == "000417"), "{name}: {payment:?}");
    }
}

/// More, less and nothing, where a part is allowed and where it is not.
#[tokio::test(start_paused = true)]
async fn a_part_is_less_and_only_where_it_is_allowed() {
    for (partial, amount, ended) in [
        (false, "39.50", "charged"),
        (false, "39.49", "unknown"),
        (false, "44.50", "unknown"),
        (true, "39.50", "charged"),
        (true, "39.49", "partial"),
        (true, "39.51", "unknown"),
        (true, "0.00", "unknown"),
        (true, "-39.50", "unknown"),
    ] {
        let till = Till::new();
        let dialer = serve(move |asked, this| match asked {
            "CardPayment" => vec![response(asked, this, "Success", &tender("000417", "EUR", amount))],
            asked => usual(asked, this),
        });
        let mut options = Options::new("counter");
        options.partial = partial;
        let opened = opi::open(Arc::new(dialer), None, options, till.journal.clone(), till.clock()).await;
        let payment = pay(&mut opened.expect("logs in"), "sale").await;
        assert_eq!(how(&payment), ended, "{partial} {amount}: {payment:?}");
    }
}

/// A terminal that reverses as often as it is asked.
#[tokio::test(start_paused = true)]
async fn a_payment_is_reversed_once() {
    let till = Till::new();
    let numbers = Arc::new(Mutex::new(Vec::<String>::new()));
    let seen = numbers.clone();
    let dialer = serve(move |asked, this| match asked {
        "CardPayment" | "PaymentReversal" => {
            let mut seen = seen.lock().expect("no panic");
            seen.push(asked.to_owned());
            vec![response(asked, this, "Success", &tender(&format!("{:06}", 416 + seen.len()), "EUR", "39.50"))]
        }
        asked => usual(asked, this),
    });
    let mut terminal = open(&till, dialer, None).await;
    let paid = pay(&mut terminal, "sale").await.into_charge().and_then(|charge| charge.reference).expect("it is named");
    let back = terminal.reverse(paid.clone(), Request::new("back", PRICE), Host::none()).await.expect("an outcome");
    assert_eq!(how(&back), "charged");
    terminal.reverse(paid, Request::new("twice", PRICE), Host::none()).await.expect_err("it was reversed");
    assert_eq!(*numbers.lock().expect("no panic"), ["CardPayment", "PaymentReversal"]);
}
