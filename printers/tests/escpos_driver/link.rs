//! Links that are slow, narrow, late, cut or busy.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tresen_hal::link::fault::{Fault, Plan};
use tresen_hal::sim::{self, Device, Shared};
use tresen_hal::{Address, BoxFuture, Driver, Effect, Kind, Link};
use tresen_printers::escpos::sim::{Line, Simulator};
use tresen_printers::escpos::{self, Options};
use tresen_printers::{Outcome, Printer, Profile, Proof};

use crate::common::{connect, epson, faults, job, open, serve, text};

/// Cuts the link after every possible number of bytes. Before the body, the job may go elsewhere;
/// from its first byte on, nobody knows.
#[tokio::test(start_paused = true)]
async fn a_link_lost_anywhere_is_told_honestly() {
    let (probe, link) = serve(epson());
    let mut printer = open(link).await;
    let hello = probe.with(|d| d.raw().len());
    assert!(matches!(printer.print(&job(2)).await, Outcome::Printed(_)));
    let whole = probe.with(|d| d.raw().len());
    // Status requests, ESC @, ESC R, GS a.
    let body = hello + 12 + 2 + 3 + 3;
    for cut in hello..whole {
        let device = Shared::new(epson());
        let plan = Plan { cut_after_sent_bytes: Some(cut), ..Plan::default() };
        let mut printer = open(Box::new(Fault::new(connect(&device), plan))).await;
        match printer.print(&job(2)).await {
            Outcome::Failed { error, safe_to_retry: true } => {
                assert!(cut < body, "byte {cut} of {body}");
                assert_eq!(error.effect(), Effect::None);
                assert!(!text(&device).contains("Article"));
            }
            Outcome::Unknown(error) => {
                assert!(cut >= body, "byte {cut} of {body}");
                assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::Unknown));
            }
            other => panic!("cut after {cut} of {whole} bytes: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replies_in_pieces_are_the_same_replies() {
    for seed in 0..20 {
        let device = Shared::new(epson());
        let plan = Plan { split: Some(seed), ..Plan::default() };
        let mut printer = open(Box::new(Fault::new(connect(&device), plan))).await;
        assert_eq!(printer.profile().name, "epson-tm-m30", "seed {seed}");
        assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::ProcessId(_))), "seed {seed}");
    }
}

/// Over a real socket and in real time, by address.
#[tokio::test]
async fn prints_over_tcp() {
    let device = Shared::new(epson());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (_server, at) = sim::tcp(listener, device.clone()).expect("served");
    let address = Address::tcp("escpos", "127.0.0.1", at.port());
    for _ in 0..2 {
        let link = tresen_hal::link::open(&address).await.expect("connects");
        let options = Options::from_address(&address).expect("no options");
        let mut printer = escpos::open(link, options).await.expect("opens");
        assert!(matches!(printer.print(&job(100)).await, Outcome::Printed(Proof::ProcessId(_))));
        printer.close().await;
    }
    assert_eq!(device.with(|d| d.sheets().len()), 2);
}

/// A link that holds little, as a network connection or a USB pipe does: a send waits until the
/// printer reads.
#[derive(Debug)]
struct Narrow {
    to: tokio::sync::Mutex<tokio::io::WriteHalf<DuplexStream>>,
    from: tokio::sync::Mutex<tokio::io::ReadHalf<DuplexStream>>,
}

impl Narrow {
    fn pair() -> (Self, Self) {
        let (a, b) = tokio::io::duplex(512);
        let new = |stream| {
            let (from, to) = tokio::io::split(stream);
            Self { to: to.into(), from: from.into() }
        };
        (new(a), new(b))
    }
}

impl Link for Narrow {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, tresen_hal::Result<()>> {
        Box::pin(async move { Ok(self.to.lock().await.write_all(bytes).await?) })
    }
    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, tresen_hal::Result<usize>> {
        Box::pin(async move {
            into.reserve(512);
            match self.from.lock().await.read_buf(into).await? {
                0 => Err(tresen_hal::Error::new(Kind::Closed, "ended")),
                n => Ok(n),
            }
        })
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { _ = self.to.lock().await.shutdown().await })
    }
}

async fn narrow(device: Simulator) -> (Shared<Simulator>, escpos::Printer) {
    let device = Shared::new(device);
    let (near, far) = Narrow::pair();
    let served = device.clone();
    tokio::spawn(async move { sim::link(&far, &served).await });
    let printer = open(Box::new(near)).await;
    (device, printer)
}

#[tokio::test(start_paused = true)]
async fn hears_of_the_empty_roll_while_it_cannot_send() {
    let (device, mut printer) = narrow(epson().with_faults(faults(|f| f.paper_out_after_lines = Some(10)))).await;
    let operator = device.clone();
    tokio::spawn(async move {
        // Longer than a stall may last, shorter than an operator may take.
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(operator.with(|d| !d.is_ready()), "it has stopped reading");
        operator.with(Simulator::load_paper);
    });
    assert!(matches!(printer.print(&job(400)).await, Outcome::Printed(Proof::ProcessId(_))));
    assert!(text(&device).contains("Article 399"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_sending_was_cut_short_is_not_used_again() {
    let (device, mut printer) = narrow(epson().with_faults(faults(|f| f.paper_out_after_lines = Some(10)))).await;
    match printer.print(&job(400)).await {
        Outcome::Unknown(error) => assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::Unknown)),
        other => panic!("{other:?}"),
    }
    let received = device.with(|d| d.raw().len());
    match printer.print(&job(1)).await {
        Outcome::Failed { error, safe_to_retry: true } => {
            assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::None));
            assert!(error.to_string().contains("open the printer again"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(printer.status().await.expect_err("unusable").kind(), Kind::Closed);
    assert_eq!(device.with(|d| d.raw().len()), received, "nothing more was sent");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_while_sending_spoils_the_connection_only() {
    let (device, mut printer) = narrow(epson().with_faults(faults(|f| f.paper_out_after_lines = Some(10)))).await;
    let left = tokio::time::timeout(Duration::from_secs(1), printer.print(&job(400))).await;
    assert!(left.is_err(), "the printer has stopped reading");
    device.with(Simulator::load_paper);
    match printer.print(&job(1)).await {
        Outcome::Failed { error, safe_to_retry: true } => assert_eq!(error.kind(), Kind::Closed),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_stops_reading_without_a_word_times_out() {
    let (device, mut printer) = narrow(epson()).await;
    device.with(|d| {
        d.faults.paper_out_after_lines = Some(10);
        d.faults.no_automatic_status = true;
    });
    let before = tokio::time::Instant::now();
    match printer.print(&job(400)).await {
        Outcome::Unknown(error) => assert_eq!((error.kind(), error.effect()), (Kind::Timeout, Effect::Unknown)),
        other => panic!("{other:?}"),
    }
    assert_eq!(before.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_job_ends_even_if_the_printer_chatters() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    device.with(|d| (d.faults.no_process_id, d.faults.no_transmit_status) = (true, true));
    let chatter = device.clone();
    tokio::spawn(async move {
        for i in 0.. {
            tokio::time::sleep(Duration::from_secs(1)).await;
            chatter.with(|d| d.near_end(i % 2 == 0));
        }
    });
    let before = tokio::time::Instant::now();
    assert!(matches!(printer.print(&job(3)).await, Outcome::Unknown(e) if e.kind() == Kind::Timeout));
    assert_eq!(before.elapsed().as_secs(), 600);
}

/// A link that says late that all was sent, as USB does: the answer is there before.
#[derive(Debug)]
struct Late(Box<dyn Link>);

impl Link for Late {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, tresen_hal::Result<()>> {
        Box::pin(async move {
            self.0.send(bytes).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(())
        })
    }
    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, tresen_hal::Result<usize>> {
        self.0.recv(into)
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close()
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_overtakes_its_question_counts() {
    let (device, link) = serve(epson());
    let mut printer = open(Box::new(Late(link))).await;
    assert!(printer.capabilities().status.is_yes());
    assert_eq!(printer.identity().await.expect("told").maker.as_deref(), Some("TRESEN"));
    for lines in [1, 300] {
        let done = printer.print(&job(lines)).await;
        assert!(matches!(done, Outcome::Printed(Proof::ProcessId(_))), "{done:?}");
    }
    assert!(text(&device).contains("Article 299"));
}

/// Behind a serial server, with 4 KB of buffer before the line.
#[tokio::test(start_paused = true)]
async fn a_slow_printer_that_does_not_say_who_it_is_prints() {
    for bytes_per_second in [960, 1920, 3840, 5760] {
        for answers in [true, false] {
            let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
                (f.no_identity, f.no_process_id, f.no_transmit_status) = (true, true, !answers);
                f.line = Some(Line { bytes_per_second, buffer: 4096 });
            }));
            let (device, link) = serve(device);
            let before = tokio::time::Instant::now();
            let mut printer = open(link).await;
            assert!(before.elapsed() < Duration::from_secs(10), "{bytes_per_second}: {:?}", before.elapsed());
            match printer.print(&job(10)).await {
                Outcome::Printed(Proof::BufferDone) if answers => {}
                Outcome::Accepted if !answers => {}
                other => panic!("{bytes_per_second} B/s: {other:?}"),
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(text(&device).contains("Article 9"));
        }
    }
}

/// Outside of jobs, too, nothing waits for ever while a printer chatters.
#[tokio::test(start_paused = true)]
async fn sending_ends_even_if_the_printer_chatters() {
    let (device, mut printer) = narrow(epson()).await;
    let chatter = device.clone();
    tokio::spawn(async move {
        chatter.with(|d| d.faults.paper_out_after_lines = Some(1));
        for i in 0.. {
            tokio::time::sleep(Duration::from_secs(5)).await;
            chatter.with(|d| d.drawer_pin(i % 2 == 0));
        }
    });
    let before = tokio::time::Instant::now();
    let error = printer.send_raw(&[b'\n'; 20_000]).await.expect_err("stuck");
    assert_eq!(error.effect(), Effect::Unknown);
    assert!(before.elapsed() <= Duration::from_secs(130), "{:?}", before.elapsed());
}
