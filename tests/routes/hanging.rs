//! Printers that hang in every way they can delay no job that another printer of the route could print.

use std::time::Duration;

use tokio::time::Instant;
use tresen::hal::{BoxFuture, Dots, Known};
use tresen::printers::escpos::sim::Line as Slow;
use tresen::printers::{Capabilities, Job, Outcome, Paper, Status};
use tresen::{Class, DeviceId, Plan, Print, PrintJob, Printers, Receipt, Result, Tresen};

use super::shop::{Shop, printed, ready};

const PATIENCE: Duration = Duration::from_secs(600);

fn receipt(word: &str) -> Receipt {
    Receipt::new().text(word).cut()
}

/// One of more than 4 KiB, so that a printer that stops reading has taken a part of it.
fn long(word: &str) -> Receipt {
    (0..300).fold(Receipt::new().text(word), |paper, n| paper.row(format!("Article {n}"), "1.00")).cut()
}

async fn submit(till: &Tresen, route: &str, word: &str) -> PrintJob {
    till.printer(route).expect("a route").submit_as(word, &receipt(word)).await.expect("stored")
}

async fn on(job: &PrintJob) -> String {
    match job.outcome(PATIENCE).await.expect("stored") {
        Print::Printed { on, .. } => on,
        other => panic!("{}: {other:?}", job.id()),
    }
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

const CROSSED: &str = "[routes.a]\nprinters = ['one', 'two']\nstall = '5s'\n\
    [routes.b]\nprinters = ['two', 'one']\nstall = '5s'\n";

/// Two routes that want the same printers in opposite order do not wait for each other.
#[tokio::test(start_paused = true)]
async fn routes_with_the_same_printers_in_opposite_order_never_block_each_other() {
    for hangs in [None, Some("one"), Some("two")] {
        let shop = Shop::new(&["one", "two"], CROSSED);
        let till = shop.open().await;
        // Jobs of some seconds each, so that both printers have queues.
        for name in ["one", "two"] {
            shop.printer(name).operate(|p| p.faults.line = Some(Slow { bytes_per_second: 40, buffer: 4096 }));
        }
        if let Some(name) = hangs {
            shop.printer(name).hang(true);
        }
        let began = Instant::now();
        let mut jobs = Vec::new();
        for n in 0..15 {
            for route in ["a", "b"] {
                jobs.push(submit(&till, route, &format!("WORD-{route}{n:02}")).await);
            }
        }
        let mut stuck = 0;
        for job in &jobs {
            let wait = Duration::from_secs(200).saturating_sub(began.elapsed());
            match job.outcome(wait).await.expect("stored") {
                Print::Printed { .. } => {}
                // It took the job, and goes on to report its status.
                Print::Printing { on, .. } | Print::Accepted { on } => {
                    stuck += 1;
                    assert_eq!(hangs, Some(on.as_str()));
                }
                other => panic!("{}, {hangs:?} hangs: {other:?}", job.id()),
            }
        }
        assert!(if hangs.is_some() { (1..5).contains(&stuck) } else { stuck == 0 }, "{hangs:?} has {stuck}");
        assert_eq!(shop.times("WORD").iter().sum::<usize>(), jobs.len() - stuck, "each once");
        if let Some(name) = hangs {
            shop.printer(name).hang(false);
            seconds(300).await;
            assert_eq!(shop.times("WORD").iter().sum::<usize>(), jobs.len(), "it kept what it had taken");
        }
    }
}

/// The network swallows the connection: neither accepted nor refused.
#[tokio::test(start_paused = true)]
async fn a_printer_that_hangs_while_it_is_opened_delays_the_first_jobs_by_five_seconds_at_most() {
    let shop = Shop::new(&["one", "two"], "[routes.a]\nprinters = ['one', 'two']\ncopies = 2\n");
    shop.printer("one").unreachable(true);
    let till = shop.open().await;
    let began = Instant::now();
    let mut jobs = Vec::new();
    for n in 0..5 {
        jobs.push(submit(&till, "a", &format!("WORD-{n}")).await);
    }
    for job in &jobs {
        assert_eq!(on(job).await, "two");
    }
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    seconds(1).await;
    assert_eq!(shop.times("WORD"), [0, 10], "with their copies");
    // From then on at once, also while it is tried again.
    for n in 5..50 {
        let began = Instant::now();
        assert_eq!(on(&submit(&till, "a", &format!("WORD-{n}")).await).await, "two");
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
        seconds(3).await;
    }
    shop.printer("one").unreachable(false);
    ready(&till, "one").await;
    assert_eq!(on(&submit(&till, "a", "WORD-50").await).await, "one");
}

/// A station's own printer hangs like any other.
#[tokio::test(start_paused = true)]
async fn a_stations_own_printer_that_hangs_while_it_is_opened_delays_no_other_station() {
    let config = "[stations.'handheld 7']\nprinter = 'belt 7'\n[routes.a]\nprinters = ['counter']\nown = true\n";
    let shop = Shop::new(&["belt 7", "counter"], config);
    shop.printer("belt 7").unreachable(true);
    let till = shop.open().await;
    let began = Instant::now();
    let seven = submit(&till.on_behalf_of("handheld 7"), "a", "WORD-7").await;
    assert_eq!(on(&submit(&till.on_behalf_of("handheld 8"), "a", "WORD-8").await).await, "counter");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(on(&seven).await, "counter");
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}

/// It takes half a job and then reads nothing more, and says nothing.
#[tokio::test(start_paused = true)]
async fn a_printer_that_stops_reading_within_a_job_keeps_that_job_only() {
    let shop = Shop::new(&["one", "two"], CROSSED);
    let till = shop.open().await;
    let mut log = till.events();
    let printer = shop.printer("one");
    // A line that carries 100 bytes a second, and breaks down behind the first kilobyte.
    printer.operate(|p| p.faults.line = Some(Slow { bytes_per_second: 100, buffer: 256 }));
    let torn = till.printer("a").expect("a route").submit_as("torn", &long("TORN")).await.expect("stored");
    while !printer.operate(|p| p.uncut().text().contains("TORN")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    printer.operate(|p| p.faults.held = true);
    let began = Instant::now();
    let jobs =
        [submit(&till, "a", "WORD-1").await, submit(&till, "a", "WORD-2").await, submit(&till, "b", "WORD-3").await];
    for job in &jobs {
        assert_eq!(on(job).await, "two");
    }
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let torn = torn.outcome(PATIENCE).await.expect("stored");
    assert!(matches!(&torn, Print::Unknown { why, .. } if why.starts_with("one: ")), "{torn:?}");
    assert!(began.elapsed() < Duration::from_secs(60), "it is given up in time: {:?}", began.elapsed());
    seconds(60).await;
    assert_eq!((shop.times("WORD"), printed(&mut log).len()), (vec![0, 3], 3));
}

/// A printer is taken out of service while it hangs in a job.
#[tokio::test(start_paused = true)]
async fn detaching_a_printer_that_hangs_in_a_job_parks_that_job_and_the_others_go_on() {
    let shop = Shop::new(&["one", "two"], CROSSED);
    let till = shop.open().await;
    shop.printer("one").hang(true);
    let hung = submit(&till, "a", "WORD-1").await;
    seconds(1).await;
    let behind = submit(&till, "a", "WORD-2").await;
    let began = Instant::now();
    till.detach(&DeviceId::new(Class::Printer, "one"), Duration::from_secs(2)).await.expect("attached");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(matches!(hung.outcome(PATIENCE).await.expect("stored"), Print::Unknown { .. }));
    assert_eq!(on(&behind).await, "two");
    assert_eq!(on(&submit(&till, "b", "WORD-3").await).await, "two");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(shop.times("WORD-1"), [0, 0], "a person decides");
}

/// The configuration changes the route while one job hangs and others wait.
#[tokio::test(start_paused = true)]
async fn a_reload_that_changes_the_route_takes_the_waiting_jobs_along() {
    let shop = Shop::new(&["one", "two"], "[routes.a]\nprinters = ['one']\n");
    let till = shop.open().await;
    shop.printer("one").hang(true);
    let hung = submit(&till, "a", "WORD-0").await;
    seconds(1).await;
    let mut waiting = Vec::new();
    for n in 1..6 {
        waiting.push(submit(&till, "a", &format!("WORD-{n}")).await);
    }
    seconds(20).await;
    shop.configure("[routes.a]\nprinters = ['two', 'one']\n");
    let began = Instant::now();
    till.reload(Duration::from_secs(1)).await.expect("right");
    for job in &waiting {
        assert_eq!(on(job).await, "two");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // Back to the printer that still hangs in a job which the first worker has begun.
    shop.configure("[routes.a]\nprinters = ['one', 'two']\nstall = '5s'\n");
    till.reload(Duration::from_secs(1)).await.expect("right");
    let began = Instant::now();
    assert_eq!(on(&submit(&till, "a", "WORD-6").await).await, "two");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    shop.printer("one").hang(false);
    assert_eq!(on(&hung).await, "one");
    assert_eq!(shop.times("WORD"), [1, 6], "each once");
}

/// A driver of a program's own, which tells that its printer has no paper and then hangs whenever it is asked.
struct Deaf {
    capabilities: Capabilities,
    asked: u32,
}

impl tresen::hal::Driver for Deaf {
    type Event = Status;

    fn event(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(std::future::pending())
    }
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

impl tresen::printers::Printer for Deaf {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn status(&mut self) -> BoxFuture<'_, Result<Status>> {
        self.asked += 1;
        let mut status = Status::default();
        status.paper = Paper::Out;
        if self.asked > 1 { Box::pin(std::future::pending()) } else { Box::pin(std::future::ready(Ok(status))) }
    }
    fn print<'a>(&'a mut self, _: &'a Job) -> BoxFuture<'a, Outcome> {
        panic!("nothing is printed without paper");
    }
}

/// Looking after a printer is bounded: one that hangs in it counts as away, and is opened again.
#[tokio::test(start_paused = true)]
async fn a_driver_that_hangs_when_it_is_asked_keeps_no_job_for_long() {
    let shop = Shop::new(&["two"], "");
    let till = shop.open().await;
    let plan: Plan<dyn tresen::printers::Printer> = Plan::new("deaf", |_| async {
        let mut capabilities = Capabilities::new(Dots(384), 32);
        capabilities.status = Known::Yes;
        Ok(Box::new(Deaf { capabilities, asked: 0 }) as Box<dyn tresen::printers::Printer>)
    });
    till.attach::<Printers>("deaf", vec![plan]).await.expect("a new name");
    ready(&till, "deaf").await;
    let id = DeviceId::new(Class::Printer, "deaf");
    let phase = till.phase(&id).expect("attached");
    // Asked after 2 s, given up after 15 s more, and closed within 5 s: it is opened and asked again and again.
    let mut away = 0;
    for n in 0..60 {
        away += usize::from(!phase.borrow().is_ready());
        seconds(1).await;
        // Meanwhile the jobs of a printer beside it go on.
        assert_eq!(on(&submit(&till, "two", &format!("WORD-{n}")).await).await, "two");
    }
    assert!(away > 0, "it was never given up");
    let began = Instant::now();
    till.detach(&id, Duration::from_secs(1)).await.expect("attached");
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}
