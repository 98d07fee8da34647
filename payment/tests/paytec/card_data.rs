//! A terminal that puts a whole card number wherever it can: none of it is in the journal, in what is told, in `Debug`,
//! or in a recording, over TCP and over a serial line.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tresen_hal::SystemClock;
use tresen_hal::link::memory;
use tresen_hal::link::record::Record;
use tresen_hal::sim::{self, Shared};
use tresen_payment::paytec::sim::{Misbehaviour, Profile, Simulator};
use tresen_payment::paytec::{self, Options, Redactor};
use tresen_payment::{Host, MemoryJournal, Request, Terminal as _};

use super::counter::{pay, price};

const CARD: &str = "4111111111111111";

#[derive(Debug, Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The bytes of a capture, both directions one after the other.
fn bytes_of(capture: &str) -> String {
    let hex = |direction: &str| -> Vec<u8> {
        let lines = capture.lines().filter_map(|line| line.split_once(direction).map(|(_, hex)| hex.trim()));
        let digits: Vec<u8> = lines.flat_map(str::bytes).collect();
        digits.chunks_exact(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    format!("{} {}", String::from_utf8_lossy(&hex(" > ")), String::from_utf8_lossy(&hex(" < ")))
}

// Recordings are written by a thread of their own, so this runs in real time; nothing in it waits.
#[tokio::test]
async fn no_card_number_leaves_the_terminal() {
    for serial in [false, true] {
        for numbers_as_text in [false, true] {
            let profile = Profile {
                serial,
                numbers_as_text,
                card_number: CARD.into(),
                brand: format!("Visa {CARD}"),
                ..Profile::default()
            };
            let mut options = Options::new("counter");
            options.serial = serial;
            let sim = Shared::new(Simulator::new(profile));
            let (near, far) = memory::pair();
            let device = sim.clone();
            let serving = tokio::spawn(async move { sim::link(&far, &device).await });
            let captures = Buffer::default();
            let record = Record::new(near, Box::new(captures.clone()), "paytec+tcp://t", Box::<Redactor>::default());
            let journal = Arc::new(MemoryJournal::new());
            let link = Box::new(record.expect("a thread"));
            let mut terminal =
                paytec::open(link, options, journal.clone(), Arc::new(SystemClock)).await.expect("connects");
            let (host, mut steps) = Host::new(watch::channel(false).1);
            let payment = terminal.pay(Request::new("sale", price()), host).await.expect("an outcome");
            let lines = terminal.repeat_receipt().await.expect("a receipt");
            sim.with(|s| s.misbehave(Misbehaviour::Decline(1_234)));
            let declined = pay(&mut terminal, "declined").await.expect("an outcome");
            let debug = format!("{terminal:?}");
            drop(terminal);
            serving.await.expect("the simulator does not panic");
            let mut told = Vec::new();
            while let Ok(step) = steps.try_recv() {
                told.push(serde_json::to_string(&step).expect("serialises"));
            }
            assert!(!told.is_empty());
            let entries = journal.entries();
            let capture = String::from_utf8(captures.0.lock().expect("whole").clone()).expect("text");
            let recorded = bytes_of(&capture);
            let log = sim.with(|s| s.log().map(|l| l.line.clone()).collect::<Vec<_>>());
            let everything = format!(
                "{entries:?} {} {told:?} {payment:?} {lines:?} {declined:?} {debug} {log:?} {recorded}",
                serde_json::to_string(&entries).expect("serialises")
            );
            assert!(everything.contains("1111") && recorded.contains("TransactionResponse"), "{recorded}");
            for part in CARD.as_bytes().windows(6) {
                let part = std::str::from_utf8(part).expect("digits");
                assert!(!everything.contains(part), "serial={serial}: {part} in {everything}");
            }
        }
    }
}
