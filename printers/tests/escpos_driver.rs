//! The driver against the virtual printer over memory links: every outcome, every fault.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tresen_hal::link::fault::{Fault, Plan};
use tresen_hal::link::memory;
use tresen_hal::sim::{self, Device, Shared};
use tresen_hal::{Address, BoxFuture, Dots, Driver, Effect, Kind, Known, Link, SimulatedRuntime};
use tresen_printers::document::{Receipt, Style};
use tresen_printers::escpos::sim::{Faults, Line, Mishap, Simulator};
use tresen_printers::escpos::{self, Options};
use tresen_printers::{CashDrawer, DrawerPin, Job, Outcome, Paper, Polarity, Printer, PrinterDrawer, Profile, Proof};

fn serve(device: Simulator) -> (Shared<Simulator>, Box<dyn Link>) {
    let device = Shared::new(device);
    let link = connect(&device);
    (device, Box::new(link))
}

fn connect(device: &Shared<Simulator>) -> memory::Memory {
    let (near, far) = memory::pair();
    let served = device.clone();
    tokio::spawn(async move { sim::link(&far, &served).await });
    near
}

fn epson() -> Simulator {
    Simulator::new(Profile::epson_tm_m30())
}

/// One whose manual says that `DLE DC4` opens the drawer while it is offline.
fn tm_t88() -> Simulator {
    let mut printer = Simulator::new(Profile::epson_tm_t88());
    printer.identity[1] = "TM-T88V".into();
    printer
}

fn faults(set: impl FnOnce(&mut Faults)) -> Faults {
    let mut faults = Faults::default();
    set(&mut faults);
    faults
}

fn job(lines: usize) -> Job {
    let receipt = (0..lines).fold(Receipt::new(), |r, i| r.row(format!("Article {i}"), "1,00 €"));
    Job::new("ticket-1", receipt.styled("Total", Style::new().bold()).cut())
}

fn text(device: &Shared<Simulator>) -> String {
    device.with(|d| d.roll().text().to_owned())
}

async fn open(link: Box<dyn Link>) -> escpos::Printer {
    let printer = escpos::open(link, Options::default()).await.expect("opens");
    // The printer works off what the hello sent last.
    tokio::time::sleep(Duration::from_millis(1)).await;
    printer
}

#[tokio::test(start_paused = true)]
async fn an_epson_proves_each_job_by_its_number() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    assert_eq!(printer.profile().name, "epson-tm-m30", "recognised by GS I");
    assert!(printer.capabilities().process_id.is_yes());
    let identity = printer.identity().await.expect("it says who it is");
    assert_eq!((identity.maker.as_deref(), identity.model.as_deref()), (Some("TRESEN"), Some("TM-M30")));
    let mut ids = Vec::new();
    for _ in 0..2 {
        match printer.print(&job(3)).await {
            Outcome::Printed(Proof::ProcessId(id)) => ids.push(id),
            other => panic!("{other:?}"),
        }
    }
    assert_ne!(ids[0], ids[1]);
    device.with(|d| {
        assert_eq!(d.sheets().len(), 2);
        assert!(d.sheets()[0].text().contains("Article 2                                 1,00 €"));
        assert_eq!(d.unsupported(), []);
    });
}

#[tokio::test(start_paused = true)]
async fn a_printer_without_process_ids_proves_its_buffer() {
    let device =
        Simulator::new(Profile::generic_80()).with_faults(faults(|f| (f.no_process_id, f.no_identity) = (true, true)));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert_eq!(printer.capabilities().process_id, Known::No);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::BufferDone)));
    assert!(text(&device).contains("Article 2"));
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_proves_nothing_accepts() {
    let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
        (f.no_process_id, f.no_identity, f.no_transmit_status) = (true, true, true);
    }));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert!(matches!(printer.print(&job(3)).await, Outcome::Accepted));
    assert!(text(&device).contains("Article 2"));
}

/// `status=no`: the printer has a one-way link.
#[tokio::test(start_paused = true)]
async fn a_printer_that_can_only_listen_is_printed_on_blindly() {
    let (device, link) = serve(Simulator::new(Profile::generic_80()).with_faults(faults(|f| f.mute = true)));
    let address = "escpos+tcp://10.0.0.20?status=no".parse().expect("an address");
    let options = Options::from_address(&address).expect("options");
    let mut printer = escpos::open(link, options).await.expect("opens");
    assert_eq!(printer.capabilities().status, Known::No);
    assert_eq!(printer.status().await.expect("no error").paper, Paper::Unknown);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Accepted));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(text(&device).contains("Article 2"));
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_somebody_else_holds_is_busy_whatever_its_profile() {
    for profile in [None, Some(Profile::generic_58()), Some(Profile::epson_tm_t88())] {
        for set in [|f: &mut Faults| f.mute = true, |f: &mut Faults| f.held = true] {
            let (device, link) = serve(epson().with_faults(faults(set)));
            let options = Options { profile: profile.clone(), ..Options::default() };
            let before = tokio::time::Instant::now();
            let error = escpos::open(link, options).await.expect_err("silent");
            assert_eq!(before.elapsed().as_secs(), 2);
            assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None));
            assert_eq!(error.retry(), tresen_hal::Retry::AfterReconnect);
            assert!(error.to_string().contains("may hold it"), "{error}");
            assert!(!text(&device).contains("Article"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_answered_once_and_fell_silent_accepts_nothing() {
    for identity in [false, true] {
        let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
            (f.no_identity, f.no_process_id, f.no_transmit_status) = (!identity, true, true);
        }));
        let (device, link) = serve(device);
        let mut printer = open(link).await;
        // Before the job: it is not sent.
        device.with(|d| d.faults.mute = true);
        match printer.print(&job(3)).await {
            Outcome::Failed { error, safe_to_retry: true } => assert_eq!(error.kind(), Kind::Timeout),
            other => panic!("{other:?}"),
        }
        // After the job: nobody knows.
        device.with(|d| d.faults.mute = false);
        let operator = device.clone();
        tokio::spawn(async move {
            while !operator.with(|d| d.roll().text().contains("Total")) {
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
            operator.with(|d| d.faults.mute = true);
        });
        let outcome = printer.print(&job(300)).await;
        assert!(!matches!(outcome, Outcome::Printed(_)), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_up_at_once_is_a_clear_error() {
    let (_device, link) = serve(epson().with_faults(faults(|f| f.hang_up_after_bytes = Some(0))));
    let error = escpos::open(link, Options::default()).await.expect_err("hung up");
    assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::None));
    assert!(error.to_string().contains("one connection at a time"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn without_paper_nothing_is_sent() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    device.with(Simulator::take_paper);
    let before = device.with(|d| d.raw().len());
    match printer.print(&job(3)).await {
        Outcome::Failed { error, safe_to_retry: true } => {
            assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::None));
            assert!(error.to_string().contains("new roll"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // Four real-time status requests of three bytes.
    assert_eq!(device.with(|d| d.raw().len()) - before, 12);
    device.with(Simulator::put_paper);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(_)));
    device.with(|d| d.cover(true));
    assert!(matches!(printer.print(&job(3)).await, Outcome::Failed { safe_to_retry: true, .. }));
}

#[tokio::test(start_paused = true)]
async fn opening_without_paper_gets_acquainted_later() {
    let mut device = epson();
    device.take_paper();
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert_eq!(printer.status().await.expect("answers").paper, Paper::Out);
    assert_eq!(printer.profile().name, "generic-80mm");
    device.with(Simulator::put_paper);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::ProcessId(_))));
    assert_eq!(printer.profile().name, "epson-tm-m30");
}

#[tokio::test(start_paused = true)]
async fn a_new_roll_in_time_finishes_the_job() {
    let (device, link) = serve(epson().with_faults(faults(|f| f.paper_out_after_lines = Some(40))));
    let mut printer = open(link).await;
    let operator = device.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(90)).await;
        operator.with(Simulator::put_paper);
    });
    // Long enough that the printer stops reading.
    assert!(matches!(printer.print(&job(300)).await, Outcome::Printed(Proof::ProcessId(_))));
    assert!(text(&device).contains("Article 299"));
}

#[tokio::test(start_paused = true)]
async fn a_job_without_paper_is_discarded_if_the_printer_can() {
    let (device, link) = serve(epson().with_faults(faults(|f| f.paper_out_after_lines = Some(2))));
    let mut printer = open(link).await;
    match printer.print(&job(20)).await {
        Outcome::Failed { error, safe_to_retry: false } => {
            assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::Partial));
        }
        other => panic!("{other:?}"),
    }
    device.with(Simulator::put_paper);
    let next = Job::new("ticket-2", Receipt::new().text("next")).as_copy();
    assert!(matches!(printer.print(&next).await, Outcome::Printed(_)));
    let text = text(&device);
    assert!(text.contains("Article 1") && !text.contains("Article 5"), "the rest is gone:\n{text}");
    assert!(text.contains("COPY") && text.contains("next"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_discarded_is_unknown() {
    let device = epson().with_faults(faults(|f| (f.paper_out_after_lines, f.no_clear) = (Some(2), true)));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    match printer.print(&job(20)).await {
        Outcome::Unknown(error) => assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::Unknown)),
        other => panic!("{other:?}"),
    }
    device.with(Simulator::put_paper);
    assert!(text(&device).contains("Article 19"), "it came out after all");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_process_id_falls_back_to_the_buffer() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    device.with(|d| d.faults.no_process_id = true);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::BufferDone)));
    // From now on nobody waits for a number first.
    let before = tokio::time::Instant::now();
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::BufferDone)));
    assert!(before.elapsed() < Duration::from_millis(100), "{:?}", before.elapsed());
    device.with(|d| d.faults.no_transmit_status = true);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Accepted));
    device.with(|d| d.faults.mute = true);
    match printer.print(&job(3)).await {
        Outcome::Failed { error, safe_to_retry: true } => assert_eq!(error.kind(), Kind::Timeout),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_falls_silent_after_the_job_is_unknown() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    let operator = device.clone();
    device.with(|d| (d.faults.no_process_id, d.faults.no_transmit_status) = (true, true));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        operator.with(|d| d.faults.mute = true);
    });
    assert!(matches!(printer.print(&job(3)).await, Outcome::Unknown(e) if e.kind() == Kind::Timeout));
}

/// The buffer status asked for behind one job comes when somebody has put in paper at last.
#[tokio::test(start_paused = true)]
async fn an_old_answer_does_not_prove_a_new_job() {
    let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
        (f.no_identity, f.no_clear, f.paper_out_after_lines) = (true, true, Some(2));
    }));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert!(matches!(printer.print(&job(5)).await, Outcome::Unknown(_)));
    device.with(|d| {
        d.put_paper();
        assert!(d.roll().text().contains("Article 4"), "and the answer is on its way");
        d.faults.no_transmit_status = true;
    });
    assert!(matches!(printer.print(&job(1)).await, Outcome::Accepted));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_costs_one_proof_only() {
    let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| f.no_identity = true));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(Proof::BufferDone)));
    device.with(|d| d.faults.no_transmit_status = true);
    assert!(matches!(printer.print(&job(1)).await, Outcome::Accepted));
    device.with(|d| d.faults.no_transmit_status = false);
    for _ in 0..2 {
        assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(Proof::BufferDone)));
    }
}

#[tokio::test(start_paused = true)]
async fn late_answers_still_prove() {
    let (_device, link) = serve(epson().with_faults(faults(|f| f.late = Duration::from_millis(700))));
    let mut printer = open(link).await;
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::ProcessId(_))));
}

#[tokio::test(start_paused = true)]
async fn a_cutter_jam_is_recovered_from() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    device.with(|d| d.jam_cutter(true));
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(_)), "DLE ENQ 2 frees it");
}

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

/// An earlier host died inside an image: its bytes must not eat our job.
#[tokio::test(start_paused = true)]
async fn an_unfinished_command_of_an_earlier_host_is_flushed() {
    let device = Shared::new(epson());
    let first = connect(&device);
    // GS v 0 of 72 × 100 bytes, of which few come.
    first.send(b"\x1dv0\x00\x48\x00\x64\x00\xff\xff").await.expect("open");
    tokio::task::yield_now().await;
    drop(first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut printer = open(Box::new(connect(&device))).await;
    assert_eq!(printer.profile().name, "epson-tm-m30");
    assert!(matches!(printer.print(&job(2)).await, Outcome::Printed(_)));
    assert!(text(&device).contains("Article 0"));
}

#[tokio::test(start_paused = true)]
async fn reports_changes_by_itself() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    device.with(|d| d.near_end(true));
    assert_eq!(printer.event().await.expect("open").paper, Paper::NearEnd);
    device.with(|d| d.cover(true));
    let status = printer.event().await.expect("open");
    assert_eq!((status.cover_open, status.online), (Known::Yes, Known::No));
    // Nothing new: it waits.
    assert!(tokio::time::timeout(Duration::from_secs(60), printer.event()).await.is_err());
    device.with(|d| d.cover(false));
    assert_eq!(printer.event().await.expect("open").cover_open, Known::No);
}

#[tokio::test(start_paused = true)]
async fn opens_and_watches_a_drawer() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    let mut drawer = PrinterDrawer::new(&mut printer, DrawerPin::Five, Polarity::OpenIsHigh);
    drawer.kick().await.expect("kicks");
    assert_eq!(drawer.is_open().await.expect("answers"), Known::No);
    device.with(|d| d.drawer_pin(true));
    assert_eq!(drawer.is_open().await.expect("answers"), Known::Yes);
    let shut = device.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        shut.with(|d| d.drawer_pin(false));
    });
    drawer.closed().await.expect("somebody closes it");
    device.with(|d| {
        let kick = d.kicks()[0];
        assert_eq!((kick.pin, kick.on_ms, kick.off_ms), (DrawerPin::Five, 50, 500));
    });
}

#[tokio::test(start_paused = true)]
async fn options_come_from_the_address() {
    let address = "escpos+tcp://10.0.0.20?profile=generic-58mm".parse().expect("an address");
    let options = Options::from_address(&address).expect("a profile");
    assert_eq!(options.profile, Some(Profile::generic_58()));
    assert_eq!(options.label, "escpos+tcp://10.0.0.20:9100");
    let address = "escpos+tcp://10.0.0.20?profile=tm".parse().expect("an address");
    let error = Options::from_address(&address).expect_err("no profile");
    assert!(error.to_string().contains("generic-80mm, generic-58mm"), "{error}");
    let profile = |text: &str| Options::from_address(&text.parse().expect("an address")).map(|o| o.profile);
    let odd = profile("escpos+tcp://p?width=504").expect("a width").expect("a profile");
    assert_eq!((odd.width, odd.columns), (Dots(504), 42));
    assert_eq!(profile("escpos+tcp://p?profile=epson-tm-t20&columns=42").expect("columns").expect("one").columns, 42);
    assert_eq!(profile("escpos+tcp://p").expect("none"), None);
    for bad in ["escpos+tcp://p?width=9", "escpos+tcp://p?columns=9999", "escpos+tcp://p?width=wide"] {
        assert_eq!(profile(bad).expect_err(bad).kind(), Kind::Address);
    }
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_knows_few_statuses_is_not_waited_for_twice() {
    let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
        (f.few_statuses, f.no_identity, f.no_process_id) = (true, true, true);
    }));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    let before = tokio::time::Instant::now();
    let status = printer.status().await.expect("answers");
    assert_eq!((status.paper, status.cover_open), (Paper::Ok, Known::Unknown));
    assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(Proof::BufferDone)));
    assert!(before.elapsed() < Duration::from_millis(100), "{:?}", before.elapsed());
    device.with(Simulator::take_paper);
    assert_eq!(printer.status().await.expect("answers").paper, Paper::Out);
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

/// The printer is still busy for somebody else and answers nothing but real-time requests.
#[tokio::test(start_paused = true)]
async fn a_printer_that_is_busy_at_first_is_recognised_before_its_first_job() {
    let mut device = epson();
    (device.faults.no_identity, device.faults.no_process_id, device.faults.no_transmit_status) = (true, true, true);
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert_eq!(printer.profile().name, "generic-80mm");
    device.with(|d| d.faults = Faults::default());
    assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(Proof::ProcessId(_))));
    let identity = printer.identity().await.expect("known");
    assert_eq!((identity.maker.as_deref(), identity.model.as_deref()), (Some("TRESEN"), Some("TM-M30")));
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
        operator.with(Simulator::put_paper);
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
    device.with(Simulator::put_paper);
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

#[tokio::test(start_paused = true)]
async fn reset_discards_and_checks() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    printer.send_raw(b"left over").await.expect("open");
    printer.reset().await.expect("works");
    assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(_)));
    assert!(!text(&device).contains("left over"));
    device.with(Simulator::take_paper);
    assert_eq!(printer.reset().await.expect_err("no paper").kind(), Kind::Operator);
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

fn mishap(device: &Shared<Simulator>, after: usize, mishap: Mishap) {
    device.with(|d| {
        d.faults.mishaps = vec![None; after].into();
        d.faults.mishaps.push_back(Some(mishap));
    });
}

/// Bytes that stand somewhere in what the printer received.
fn count(device: &Shared<Simulator>, bytes: &[u8]) -> usize {
    device.with(|d| d.raw().windows(bytes.len()).filter(|w| *w == bytes).count())
}

/// The paper-out status loses its first byte; its rest looks like answers to `GS r`.
#[tokio::test(start_paused = true)]
async fn the_rest_of_a_status_is_no_proof() {
    for numbers in [true, false] {
        let device = epson().with_faults(faults(|f| f.no_process_id = !numbers));
        let (device, link) = serve(device);
        let mut printer = open(link).await;
        assert_eq!(printer.capabilities().process_id, numbers.into());
        // Four statuses are asked for, and ESC @ with GS a reports once; then the paper ends.
        mishap(&device, 5, Mishap::FirstByteLost);
        device.with(|d| d.faults.paper_out_after_lines = Some(2));
        match printer.print(&job(20)).await {
            Outcome::Failed { error, safe_to_retry: false } => {
                assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::Partial), "{error}");
            }
            other => panic!("numbers {numbers}: {other:?}"),
        }
        assert!(!text(&device).contains("Article 10"));
    }
}

/// The same, and somebody puts in paper: what the job itself asked for still proves it.
#[tokio::test(start_paused = true)]
async fn a_lost_byte_does_not_cost_the_proof() {
    for numbers in [true, false] {
        let (device, link) = serve(epson().with_faults(faults(|f| f.no_process_id = !numbers)));
        let mut printer = open(link).await;
        mishap(&device, 5, Mishap::FirstByteLost);
        device.with(|d| d.faults.paper_out_after_lines = Some(2));
        let operator = device.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            operator.with(Simulator::put_paper);
        });
        let outcome = printer.print(&job(20)).await;
        assert!(matches!(outcome, Outcome::Printed(_)), "numbers {numbers}: {outcome:?}");
        assert!(text(&device).contains("Article 19"));
        assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_asked_by_raw_bytes_proves_no_job() {
    for numbers in [true, false] {
        let (device, link) = serve(epson().with_faults(faults(|f| f.no_process_id = !numbers)));
        let mut printer = open(link).await;
        // GS r 1 and GS I 1, three times; the answers come late, and the paper ends in the job.
        device.with(|d| d.faults.late = Duration::from_millis(400));
        printer.send_raw(b"\x1dr\x01\x1dI\x01\x1dr\x01\x1dI\x01\x1dr\x01\x1dI\x01").await.expect("open");
        device.with(|d| d.faults.paper_out_after_lines = Some(2));
        match printer.print(&job(20)).await {
            Outcome::Failed { safe_to_retry: false, .. } => {}
            other => panic!("numbers {numbers}: {other:?}"),
        }
    }
}

/// Each of the four status answers in turn is later than a printer may take.
#[tokio::test(start_paused = true)]
async fn one_late_status_shifts_nothing() {
    for late in 0..4 {
        for overtaken in [false, true] {
            let (device, link) = serve(epson());
            let mut printer = open(link).await;
            device.with(|d| d.cover(true));
            tokio::time::sleep(Duration::from_millis(1)).await;
            let by = Duration::from_millis(1100);
            mishap(&device, late, if overtaken { Mishap::Overtaken(by) } else { Mishap::Late(by) });
            printer.status().await.expect("answers");
            device.with(|d| {
                d.cover(false);
                d.take_paper();
            });
            tokio::time::sleep(Duration::from_secs(5)).await;
            for _ in 0..2 {
                let status = printer.status().await.expect("answers");
                assert_eq!((status.paper, status.cover_open), (Paper::Out, Known::No), "answer {late}, {overtaken}");
            }
            match printer.print(&job(1)).await {
                Outcome::Failed { error, safe_to_retry: true } => {
                    assert!(error.to_string().contains("out of paper"), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_once_stayed_away_is_asked_for_again() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    mishap(&device, 1, Mishap::Lost);
    let status = printer.status().await.expect("answers");
    assert_eq!(status.cover_open, Known::Unknown, "DLE EOT 2 was lost");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(printer.status().await.expect("answers").cover_open, Known::No);
}

#[tokio::test(start_paused = true)]
async fn statuses_that_come_late_throughout_are_right() {
    let (device, link) = serve(epson().with_faults(faults(|f| f.late = Duration::from_millis(1300))));
    let mut printer = open(link).await;
    device.with(|d| d.cover(true));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = printer.status().await.expect("answers");
    assert_eq!((status.cover_open, status.paper), (Known::Yes, Paper::Ok));
}

/// A pulse in the buffer would open the drawer when somebody puts in paper.
#[tokio::test(start_paused = true)]
async fn a_drawer_does_not_open_ten_minutes_later() {
    for paper in [true, false] {
        let (device, link) = serve(Simulator::new(Profile::generic_80()));
        let mut printer = open(link).await;
        device.with(|d| if paper { d.take_paper() } else { d.cover(true) });
        let error = printer.kick_drawer(DrawerPin::Two).await.expect_err("stopped");
        assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::None));
        assert!(error.to_string().contains("stays shut"), "{error}");
        tokio::time::sleep(Duration::from_secs(600)).await;
        device.with(|d| {
            d.put_paper();
            d.cover(false);
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(device.with(|d| d.kicks().len()), 0);
        printer.kick_drawer(DrawerPin::Two).await.expect("works again");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(device.with(|d| d.kicks().len()), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_printer_with_a_command_for_it_opens_the_drawer_without_paper_at_once() {
    let (device, link) = serve(tm_t88());
    let mut printer = open(link).await;
    device.with(Simulator::take_paper);
    printer.kick_drawer(DrawerPin::Two).await.expect("opens");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(device.with(|d| d.kicks().len()), 1);
    // DLE DC4 fn 1, pin 2, 100 ms.
    assert_eq!(count(&device, b"\x10\x14\x01\x00\x01"), 1);
    device.with(Simulator::put_paper);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(device.with(|d| d.kicks().len()), 1, "and not again");
}

/// Epson, DLE DC4 (fn = 1): it is ignored in an error status. The call used to end well, and the drawer stayed shut.
#[tokio::test(start_paused = true)]
async fn a_drawer_that_stays_shut_because_of_an_error_is_told() {
    let (device, link) = serve(tm_t88());
    let mut printer = open(link).await;
    device.with(|d| d.jam_cutter(true));
    let error = printer.kick_drawer(DrawerPin::Two).await.expect_err("ignored");
    assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::None));
    assert!(error.to_string().contains("stays shut"), "{error}");
    let panel = printer.panel();
    let idle = async { while Driver::event(&mut printer).await.is_ok() {} };
    let error = tokio::select! {
        answer = panel.kick_drawer(DrawerPin::Two) => answer.expect_err("ignored"),
        () = idle => panic!("the link was lost"),
    };
    assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::None));
    assert_eq!(device.with(|d| d.kicks().len()), 0);
}

#[tokio::test(start_paused = true)]
async fn while_a_job_waits_for_paper_its_status_is_known_and_the_drawer_opens() {
    let (device, link) = serve(tm_t88().with_faults(faults(|f| f.paper_out_after_lines = Some(2))));
    let mut printer = open(link).await;
    let panel = printer.panel();
    assert_eq!((panel.status().paper, panel.status().online), (Paper::Ok, Known::Yes), "known without a call");
    let clerk = device.clone();
    let waiting = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(panel.status().paper, Paper::Out);
        panel.kick_drawer(DrawerPin::Two).await.expect("opens");
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(clerk.with(|d| d.kicks().len()), 1);
        clerk.with(Simulator::put_paper);
    });
    assert!(matches!(printer.print(&job(20)).await, Outcome::Printed(Proof::ProcessId(_))));
    waiting.await.expect("all of it");
    assert!(text(&device).contains("Article 19"));
}

#[tokio::test(start_paused = true)]
async fn a_drawer_in_haste_is_refused_at_once_where_it_would_have_to_wait() {
    let (device, link) = serve(Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
        f.paper_out_after_lines = Some(2);
    })));
    let mut printer = open(link).await;
    let panel = printer.panel();
    let asked = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let before = tokio::time::Instant::now();
        let error = panel.kick_drawer(DrawerPin::Two).await.expect_err("in turn only");
        (error.kind(), error.effect(), before.elapsed())
    });
    assert!(matches!(printer.print(&job(20)).await, Outcome::Failed { safe_to_retry: false, .. }));
    assert_eq!(asked.await.expect("asked"), (Kind::Busy, Effect::None, Duration::ZERO));
    assert_eq!(device.with(|d| d.kicks().len()), 0);
}

/// A serial printer that finishes the old job after a new roll must not thereby prove its reprint.
#[tokio::test(start_paused = true)]
async fn job_numbers_do_not_begin_again_with_each_connection() {
    let device = Shared::new(epson());
    let mut numbers = Vec::new();
    for _ in 0..50 {
        let mut printer = open(Box::new(connect(&device))).await;
        for _ in 0..2 {
            match printer.print(&job(1)).await {
                Outcome::Printed(Proof::ProcessId(id)) => numbers.push(id),
                other => panic!("{other:?}"),
            }
        }
        printer.close().await;
        drop(printer);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let all = numbers.len();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), all);
}

#[tokio::test(start_paused = true)]
async fn job_numbers_begin_where_the_runtime_says() {
    let mut numbers = Vec::new();
    for seed in [1, 1, 2] {
        let (_device, link) = serve(epson());
        let runtime = Arc::new(SimulatedRuntime::new(seed, Timestamp::UNIX_EPOCH));
        let options = Options { runtime, ..Options::default() };
        let mut printer = escpos::open(link, options).await.expect("opens");
        match printer.print(&job(1)).await {
            Outcome::Printed(Proof::ProcessId(id)) => numbers.push(id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(numbers[0], numbers[1]);
    assert_ne!(numbers[0], numbers[2]);
}

/// Epson ESC R 0: 1B 52 00; FS .: 1C 2E.
#[tokio::test(start_paused = true)]
async fn each_job_begins_with_the_character_set_that_it_is_written_for() {
    for (option, kanji) in [("", 0), ("?cancel-kanji=yes", 1)] {
        let (device, link) = serve(Simulator::new(Profile::generic_80()));
        let address = format!("escpos+tcp://p{option}").parse().expect("an address");
        let mut printer = escpos::open(link, Options::from_address(&address).expect("fine")).await.expect("opens");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let before = (count(&device, b"\x1b@\x1bR\x00"), count(&device, b"\x1b@\x1bR\x00\x1c."));
        assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(_)));
        let after = (count(&device, b"\x1b@\x1bR\x00"), count(&device, b"\x1b@\x1bR\x00\x1c."));
        assert_eq!((after.0 - before.0, after.1 - before.1), (1, kanji));
    }
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

/// A printer that calls itself an Epson, but does not answer `GS ( H`, as other virtual printers do.
#[tokio::test(start_paused = true)]
async fn the_first_job_is_quick_where_no_number_comes_back() {
    let (_device, link) = serve(epson().with_faults(faults(|f| f.no_process_id = true)));
    let before = tokio::time::Instant::now();
    let mut printer = open(link).await;
    assert_eq!(printer.profile().name, "epson-tm-m30");
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::BufferDone)));
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn how_jobs_are_proven_can_be_stated() {
    for (option, proof) in [("buffer", Some(Proof::BufferDone)), ("none", None)] {
        let (_device, link) = serve(epson());
        let address = format!("escpos+tcp://p?proof={option}").parse().expect("an address");
        let mut printer = escpos::open(link, Options::from_address(&address).expect("fine")).await.expect("opens");
        match (printer.print(&job(3)).await, proof) {
            (Outcome::Printed(said), Some(meant)) => assert_eq!(said, meant),
            (Outcome::Accepted, None) => {}
            other => panic!("{other:?}"),
        }
    }
    let bad = "escpos+tcp://p?proof=maybe".parse().expect("an address");
    let error = Options::from_address(&bad).expect_err("no way to prove");
    assert!(error.to_string().contains("number, buffer or none"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_a_printer_cannot_do_can_be_stated() {
    let (_device, link) = serve(epson());
    let address = "escpos+tcp://p?qr=no&barcodes=no&cutter=no".parse().expect("an address");
    let printer = escpos::open(link, Options::from_address(&address).expect("fine")).await.expect("opens");
    assert_eq!(printer.profile().name, "epson-tm-m30", "recognised all the same");
    let can = printer.capabilities();
    assert_eq!((can.qr, can.barcodes, can.cutter, can.drawer), (Known::No, Known::No, Known::No, Known::Yes));
    let bad = "escpos+tcp://p?qr=perhaps".parse().expect("an address");
    assert_eq!(Options::from_address(&bad).expect_err("yes or no").kind(), Kind::Address);
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
