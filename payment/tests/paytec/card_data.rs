//! A terminal that puts a whole card number wherever it can: none of it is in the journal, in what is told, in `Debug`,
//! or in a recording, over TCP and over a serial line.

use std::sync::Arc;

use tokio::sync::watch;
use tresen_hal::SystemClock;
use tresen_hal::link::memory;
use tresen_hal::link::record::Record;
use tresen_hal::sim::{self, Shared};
use tresen_payment::paytec::sim::{Misbehaviour, Profile, Simulator};
use tresen_payment::paytec::{self, Options, Redactor};
use tresen_payment::{Host, MemoryJournal, Request, Terminal as _};

use super::captured::{Buffer, bytes_of};
use super::counter::{pay, price};

const CARD: &str = "4111111111111111";

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
            let recorded = bytes_of(&captures.text());
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
