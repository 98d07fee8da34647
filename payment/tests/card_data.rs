//! What a terminal that masks nothing, and one that never stops, leave behind: in slips, progress, journal and
//! capture. The terminal here is a table of bytes, written from PA00P015 and field captures; none of our encoders.

use std::sync::Arc;

use tokio::sync::watch;
use tresen_hal::link::memory::{self, Memory};
use tresen_hal::link::record::Record;
use tresen_hal::{Amount, Link, SystemClock};
use tresen_payment::testing::{FaultyJournal, Write};
use tresen_payment::zvt::{self, Options};
use tresen_payment::{Host, Payment, Progress, Request, Terminal};

const ACK: [u8; 3] = [0x80, 0x00, 0x00];
const DONE: [u8; 3] = [0x06, 0x0f, 0x00];
/// 04 0F: EUR 9.99, receipt 0416: the payment before.
const BEFORE: [u8; 17] = [0x04, 0x0f, 15, 0x27, 0, 0x04, 0, 0, 0, 0, 0x09, 0x99, 0x49, 0x09, 0x78, 0x87, 0x04];

/// 04 0F: EUR 25.00, receipt 0417, whole card number and track 2.
fn approved() -> Vec<u8> {
    let mut data = vec![0x27, 0, 0x04, 0, 0, 0, 0, 0x25, 0, 0x49, 0x09, 0x78, 0x87, 0x04, 0x17];
    data.extend([0x22, 0xf0, 0xf8, 0x41, 0x11, 0x12, 0x34, 0x56, 0x78, 0x11, 0x11]);
    data.extend([0x23, 0xf1, 0xf1, 0x41, 0x11, 0x12, 0x34, 0x56, 0x78, 0x11, 0x11, 0xd2, 0x81, 0x2f]);
    [&[0x04, 0x0f, data.len() as u8], &data[..]].concat()
}

/// 06 D1 with attribute, text, and tag 1F07 behind it.
fn line(attribute: u8, text: &str, slip: u8) -> Vec<u8> {
    let mut data = vec![attribute];
    data.extend(text.as_bytes());
    data.extend([0x06, 0x04, 0x1f, 0x07, 0x01, slip]);
    [&[0x06, 0xd1, data.len() as u8], &data[..]].concat()
}

/// Answers registration and 06 20, and to 06 01 says `says`, each message once the one before is acknowledged.
async fn terminal(link: Memory, says: impl Iterator<Item = Vec<u8>> + Send + 'static) {
    let mut says = Some(says);
    let mut heard = Vec::new();
    loop {
        let command = take(&link, &mut heard).await;
        let Some(command) = command else { return };
        let mut before = BEFORE.to_vec();
        before.push(0x16);
        let messages: Box<dyn Iterator<Item = Vec<u8>> + Send> = match command[..2] {
            [0x06, 0x01] => Box::new(says.take().expect("one payment").chain([DONE.to_vec()])),
            [0x06, 0x20] => Box::new([before, DONE.to_vec()].into_iter()),
            _ => Box::new([DONE.to_vec()].into_iter()),
        };
        link.send(&ACK).await.expect("open");
        for message in messages {
            link.send(&message).await.expect("open");
            let Some(answer) = take(&link, &mut heard).await else { return };
            assert_eq!(answer, ACK, "to {message:02x?}");
        }
    }
}

/// The next APDU; the till sends none longer than 254 bytes.
async fn take(link: &Memory, heard: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if heard.len() >= 3 && heard.len() >= 3 + usize::from(heard[2]) {
            let rest = heard.split_off(3 + usize::from(heard[2]));
            return Some(std::mem::replace(heard, rest));
        }
        link.recv(heard).await.ok()?;
    }
}

/// How often an approval was written.
fn approvals(journal: &FaultyJournal) -> usize {
    journal.writes().into_iter().filter(|write| *write == Write::Approve).count()
}

struct Paid {
    payment: Payment,
    steps: Vec<Progress>,
    journal: Arc<FaultyJournal>,
    capture: String,
}

/// Pays 25.00 at a terminal that says `says`, over a recorded link, with the password 123456.
async fn pay(says: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Paid {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.capture");
    let (near, far) = memory::pair();
    let peer = tokio::spawn(terminal(far, says));
    let link = Record::to_file(near, &path, "zvt+tcp://t:20007", Box::<zvt::Redactor>::default()).expect("writable");
    let journal = Arc::new(FaultyJournal::default());
    let mut options = Options::new("counter");
    options.password = "123456".parse().expect("six digits");
    let mut till = zvt::open(Box::new(link), options, journal.clone(), Arc::new(SystemClock)).await.expect("registers");
    let (_abort, abort) = watch::channel(false);
    let (watch, mut heard) = Host::new(abort);
    let payment = till.pay(Request::new("a", Amount::eur(25_00)), watch).await.expect("begins");
    drop(till);
    peer.await.expect("the terminal was answered as it should be");
    let mut steps = Vec::new();
    while let Ok(step) = heard.try_recv() {
        steps.push(step);
    }
    let capture = std::fs::read_to_string(&path).expect("a capture");
    Paid { payment, steps, journal, capture }
}

fn receipt() -> Vec<Vec<u8>> {
    vec![
        approved(),
        line(0x00, "KUNDENBELEG", 2),
        line(0x00, "Karte 4111-1234-5678-1111", 2),
        line(0x81, "Nr 4111 1234", 2),
        line(0x00, "HANDLERBELEG", 1),
        line(0x00, "Karte 4111 1234", 1),
        line(0x00, "5678 1111", 1),
        line(0x81, "PAN 4111123456781111", 1),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_whole_card_number_reaches_slips_progress_journal_or_capture() {
    let paid = pay(receipt().into_iter()).await;
    let Payment::Charged(charge) = &paid.payment else { panic!("{:?}", paid.payment) };
    assert_eq!(charge.customer_slip, ["KUNDENBELEG", "Karte ****-****-****-1111", "Nr 4111 1234"]);
    assert_eq!(charge.merchant_slip, ["HANDLERBELEG", "Karte **** ****", "**** 1111", "PAN ************1111"]);
    let receipts =
        paid.steps.iter().filter_map(|s| if let Progress::Receipt { lines, .. } = s { Some(lines) } else { None });
    assert_eq!(receipts.map(Vec::len).collect::<Vec<_>>(), [3, 4]);
    let journal = serde_json::to_string(&paid.journal.memory().entries()).expect("serialises");
    let steps = serde_json::to_string(&paid.steps).expect("serialises");
    for (place, text) in [("journal", &journal), ("steps", &steps)] {
        for part in ["5678", "12345678", "4111-1234"] {
            assert!(!text.contains(part), "{part} in the {place}: {text}");
        }
    }
    let debug = format!("{:?} {:?}", paid.payment, paid.steps);
    assert!(!debug.contains("Karte") && !debug.contains("4111"), "{debug}");
    // In the capture as bytes: BCD of card number, track and password; the text of lines.
    for secret in ["123456", "345678", "567811", &hex(b"5678"), &hex(b"4111")] {
        assert!(!paid.capture.contains(secret), "{secret} in {}", paid.capture);
    }
    assert!(paid.capture.contains("060010000000be0978"), "the registration, without its password: {}", paid.capture);
    assert_eq!(approvals(&paid.journal), 1, "written once, and once with the outcome");
}

#[tokio::test(start_paused = true)]
async fn a_declined_payment_shows_no_whole_card_number_either() {
    // Declined with code 6C, and BMP 3C with two lines.
    let text = b"Karte 4111 1234 5678 1111\rzu hoch";
    let mut data = vec![0x27, 0x6c, 0x3c, 0xf0, 0xf3, 0xf3];
    assert_eq!(text.len(), 33);
    data.extend(text);
    let declined = [&[0x04, 0x0f, data.len() as u8], &data[..]].concat();
    let says = vec![declined, line(0x00, "Karte 4111123456781111", 2), line(0x81, "ABGELEHNT", 2)];
    let paid = pay(says.into_iter()).await;
    let Payment::NotCharged(not) = &paid.payment else { panic!("{:?}", paid.payment) };
    assert_eq!(not.text, "Karte **** **** **** 1111 zu hoch");
    assert_eq!(not.slip, ["Karte ************1111", "ABGELEHNT"]);
    assert!(!format!("{not:?}").contains("ABGELEHNT"));
}

#[tokio::test(start_paused = true)]
async fn a_merchants_slip_alone_is_not_given_to_the_customer() {
    let says = vec![approved(), line(0x00, "EUR 25,00", 1), line(0x81, "Unterschrift", 1)];
    let paid = pay(says.into_iter()).await;
    let Payment::Charged(charge) = &paid.payment else { panic!("{:?}", paid.payment) };
    assert_eq!(charge.customer_slip, [""; 0]);
    assert_eq!(charge.merchant_slip, ["EUR 25,00", "Unterschrift"]);
}

#[tokio::test(start_paused = true)]
async fn floods_of_lines_statuses_and_results_are_bounded() {
    let feed = [0x06, 0xd1, 0x02, 0xff, 0xff].to_vec();
    let status = |n: u8| vec![0x04, 0xff, 0x01, n % 2];
    let flood = (0..5_000u32).flat_map(move |n| [feed.clone(), status(n as u8), approved()]);
    let paid = pay(std::iter::once(approved()).chain(flood)).await;
    let Payment::Charged(charge) = &paid.payment else { panic!("{:?}", paid.payment) };
    assert_eq!(charge.customer_slip.len() + charge.merchant_slip.len(), 2_000);
    assert!(paid.steps.len() <= Host::KEPT, "{}", paid.steps.len());
    assert_eq!(approvals(&paid.journal), 1);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
