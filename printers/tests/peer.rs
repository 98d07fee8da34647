//! The driver against a printer that shares no code with it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::Mutex;
use tresen_hal::{BoxFuture, Effect, Error, Kind, Known, Link, Result};
use tresen_peers::printer::{Habits, Printer as Peer};
use tresen_peers::{Channel, Shared};
use tresen_printers::document::{Receipt, Style};
use tresen_printers::escpos::{self, Options};
use tresen_printers::{DrawerPin, Job, Outcome, Paper, Printer, Profile, Proof};

/// A connection that holds little: a send waits until the printer reads.
#[derive(Debug)]
struct Wire {
    to: Mutex<WriteHalf<DuplexStream>>,
    from: Mutex<ReadHalf<DuplexStream>>,
}

impl Link for Wire {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(self.to.lock().await.write_all(bytes).await?) })
    }
    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            match self.from.lock().await.read_buf(into).await? {
                0 => Err(Error::new(Kind::Closed, "ended")),
                n => Ok(n),
            }
        })
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { _ = self.to.lock().await.shutdown().await })
    }
}

/// The peer's end.
struct Far(DuplexStream);

impl Channel for Far {
    async fn recv(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::with_capacity(512);
        self.0.read_buf(&mut chunk).await.ok().filter(|n| *n > 0).map(|_| chunk)
    }
    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }
}

fn connect(peer: &Shared<Peer>) -> Box<dyn Link> {
    let (near, far) = tokio::io::duplex(4096);
    let served = peer.clone();
    tokio::spawn(async move { served.over(Far(far)).await });
    let (from, to) = tokio::io::split(near);
    Box::new(Wire { to: to.into(), from: from.into() })
}

async fn open(habits: Habits) -> (Shared<Peer>, escpos::Printer) {
    let peer = Shared::new(Peer::new(habits));
    let printer = escpos::open(connect(&peer), Options::default()).await.expect("opens");
    tokio::time::sleep(Duration::from_millis(10)).await;
    (peer, printer)
}

fn job(lines: usize) -> Job {
    let receipt = (0..lines).fold(Receipt::new(), |r, i| r.row(format!("Article {i}"), "1,00 €"));
    Job::new("ticket-1", receipt.styled("Total", Style::new().bold()).cut())
}

fn paper(peer: &Shared<Peer>) -> String {
    peer.with(|p| p.lines().join("\n"))
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_printed_and_proven() {
    let (peer, mut printer) = open(Habits::default()).await;
    let outcome = printer.print(&job(5)).await;
    assert!(matches!(outcome, Outcome::Printed(Proof::ProcessId(_))), "{outcome:?}");
    assert!(paper(&peer).contains("Article 4") && paper(&peer).contains("Total"), "{}", paper(&peer));
    assert_eq!(peer.with(|p| p.cuts().len()), 1);
    printer.kick_drawer(DrawerPin::Two).await.expect("opens");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(peer.with(|p| p.kicks().len()), 1);
    assert!(printer.identity().await.expect("told").maker.is_some());
}

#[tokio::test(start_paused = true)]
async fn without_numbers_the_first_job_is_quick() {
    let before = tokio::time::Instant::now();
    let (peer, mut printer) = open(Habits { proves: false, ..Habits::default() }).await;
    let outcome = printer.print(&job(5)).await;
    assert!(matches!(outcome, Outcome::Printed(Proof::BufferDone)), "{outcome:?}");
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    assert!(paper(&peer).contains("Article 4"));
}

#[tokio::test(start_paused = true)]
async fn a_new_roll_in_mid_job_finishes_it() {
    for proves in [true, false] {
        let (peer, mut printer) = open(Habits { proves, paper: 10, ..Habits::default() }).await;
        let operator = peer.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            operator.with(|p| p.load(1000));
        });
        let outcome = printer.print(&job(50)).await;
        assert!(matches!(outcome, Outcome::Printed(_)), "{outcome:?}");
        assert!(paper(&peer).contains("Article 49"));
        assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_byte_of_the_paper_out_status_proves_nothing() {
    for proves in [true, false] {
        for lost in 0..4 {
            let habits = Habits { proves, paper: 10, loses_first_byte_of: Some(lost), ..Habits::default() };
            let (peer, mut printer) = open(habits).await;
            match printer.print(&job(50)).await {
                Outcome::Failed { error, safe_to_retry: false } => assert_eq!(error.effect(), Effect::Partial),
                other => panic!("status {lost}: {other:?}"),
            }
            assert!(!paper(&peer).contains("Article 20"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_status_shifts_nothing() {
    for late in 0..12 {
        for by in [600, 1100, 1900] {
            let (peer, mut printer) = open(Habits { late_status: Some((late, by)), ..Habits::default() }).await;
            peer.with(|p| p.cover(true));
            printer.status().await.expect("answers");
            tokio::time::sleep(Duration::from_secs(5)).await;
            for _ in 0..2 {
                let status = printer.status().await.expect("answers");
                assert_eq!((status.cover_open, status.paper), (Known::Yes, Paper::Ok), "status {late}, {by} ms");
            }
        }
    }
}

/// The connection is taken, but served only when the other host has left.
#[tokio::test(start_paused = true)]
async fn a_held_printer_is_busy() {
    let (near, _far) = tokio::io::duplex(4096);
    let (from, to) = tokio::io::split(near);
    let link = Box::new(Wire { to: to.into(), from: from.into() });
    let error = escpos::open(link, Options::default()).await.expect_err("held");
    assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None));
}

#[tokio::test(start_paused = true)]
async fn a_slow_printer_prints_whatever_it_says_of_itself() {
    for tells_identity in [true, false] {
        let habits = Habits { speed: Some(960), tells_identity, ..Habits::default() };
        let before = tokio::time::Instant::now();
        let (peer, mut printer) = open(habits).await;
        assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
        let outcome = printer.print(&job(200)).await;
        assert!(matches!(outcome, Outcome::Printed(_)), "{outcome:?}");
        assert!(paper(&peer).contains("Article 199"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drawer_stays_shut_without_paper() {
    let (peer, _) = open(Habits { tells_identity: false, paper: 0, ..Habits::default() }).await;
    let options = Options { profile: Some(Profile::generic_80()), ..Options::default() };
    let mut printer = escpos::open(connect(&peer), options).await.expect("opens");
    assert_eq!(printer.kick_drawer(DrawerPin::Two).await.expect_err("stopped").kind(), Kind::Operator);
    peer.with(|p| p.load(100));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(peer.with(|p| p.kicks().len()), 0);
}
