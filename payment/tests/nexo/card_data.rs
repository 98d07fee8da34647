//! A terminal that puts a whole card number wherever it can: none of it is in the journal, in what is told, in `Debug`,
//! or in a recording.

use std::sync::Arc;

use tokio::sync::watch;
use tresen_hal::link::record::Record;
use tresen_hal::link::{Connect, memory};
use tresen_hal::sim::Shared;
use tresen_hal::{BoxFuture, Link, Result, SimulatedRuntime};
use tresen_payment::nexo::sim::{Profile, Simulator, serve};
use tresen_payment::nexo::{self, Options, Redactor};
use tresen_payment::{Host, MemoryJournal, Request, Terminal as _};

use super::captured::{Buffer, bytes_of};
use super::counter::{PRICE, START, profile};

const CARD: &str = "4111111111111111";

/// Records every link into one buffer.
#[derive(Debug)]
struct Recorded {
    inner: memory::Dialer,
    captures: Buffer,
}

impl Connect for Recorded {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Link>>> {
        Box::pin(async move {
            let link = self.inner.connect().await?;
            let out = Box::new(self.captures.clone());
            Ok(Box::new(Record::new(link, out, "nexo+https://t", Box::<Redactor>::default())?) as Box<dyn Link>)
        })
    }
}

// Recordings are written by a thread of their own, so this runs in real time; nothing in it waits.
#[tokio::test]
async fn no_card_number_leaves_the_terminal() {
    for sealed in [true, false] {
        let profile = Profile {
            key: profile().key.filter(|_| sealed),
            card_number: CARD.into(),
            brand: format!("mc {CARD}"),
            time: jiff::Timestamp::UNIX_EPOCH,
            ..Profile::default()
        };
        let mut options = Options::new("counter", &*profile.poi);
        options.key = profile.key.clone();
        let sim = Shared::new(Simulator::new(profile));
        let (dialer, port) = memory::port();
        let serving = tokio::spawn(serve(Box::new(port), None, sim.clone()));
        let captures = Buffer::default();
        let connect = Arc::new(Recorded { inner: dialer, captures: captures.clone() });
        let journal = Arc::new(MemoryJournal::new());
        let runtime = Arc::new(SimulatedRuntime::new(0, START.parse().expect("a time")));
        let mut terminal = nexo::open(connect, None, options, journal.clone(), runtime).await.expect("answers");
        let (host, mut steps) = Host::new(watch::channel(false).1);
        let payment = terminal.pay(Request::new("sale", PRICE), host).await.expect("an outcome");
        let lines = terminal.repeat_receipt().await.expect("a receipt");
        drop(terminal);
        serving.abort();
        let mut told = Vec::new();
        while let Ok(step) = steps.try_recv() {
            told.push(serde_json::to_string(&step).expect("serialises"));
        }
        assert!(!told.is_empty());
        let entries = journal.entries();
        let recorded = bytes_of(&captures.text());
        let everything = format!(
            "{entries:?} {} {told:?} {payment:?} {lines:?} {recorded}",
            serde_json::to_string(&entries).expect("serialises")
        );
        assert!(everything.contains("1111") && recorded.contains("POST /nexo"), "{recorded}");
        for part in CARD.as_bytes().windows(6) {
            let part = std::str::from_utf8(part).expect("digits");
            assert!(!everything.contains(part), "sealed={sealed}: {part} in {everything}");
        }
    }
}
