//! Paper: on which printer, with what proof, and never twice in silence. The whole stack: manager,
//! spool in SQLite, ESC/POS over TCP to virtual printers.

mod common;

use std::time::Duration;

use common::{Away, Counter, epson, event, is_charged, paper, pay, ready, runtime, until, within};
use tokio::sync::broadcast;
use tresen::hal::sim::Shared;
use tresen::payment::zvt::sim::Profile as TerminalProfile;
use tresen::printers::escpos::sim::VirtualPrinter;
use tresen::printers::{Profile, Proof};
use tresen::{Amount, Event, JobState, Kind, Phase, Print, Receipt, Tresen, What};

/// A word that stands once on each piece of paper of the job `id`.
fn receipt(word: &str) -> Receipt {
    let lines = (0..40).fold(Receipt::new().text(word), |r, i| r.row(format!("Article {i}"), "1.00"));
    lines.text("the end").cut()
}

fn times(printer: &Shared<VirtualPrinter>, word: &str) -> usize {
    paper(printer).matches(word).count()
}

/// Waits for an event about a print job.
async fn waits(events: &mut broadcast::Receiver<Event>) -> String {
    event(events, |_, what| if let What::PrintWaits { why, .. } = what { Some(why) } else { None }).await
}

async fn print(till: &Tresen, on: &str, id: &str, receipt: &Receipt) -> Print {
    within(id, till.printer(on).expect("configured").print_as(id, receipt)).await.expect("stored")
}

async fn state(till: &Tresen, id: &str) -> JobState {
    till.store().job(id).await.expect("readable").expect("queued").state
}

/// The printer hangs up in the middle of the next job on this connection.
fn hang_up_in_the_next_job(printer: &Shared<VirtualPrinter>) {
    printer.with(|p| p.faults.hang_up_after_bytes = Some(p.raw().len() + 600));
}

#[tokio::test]
async fn without_paper_the_next_printer_takes_the_job_and_says_so() {
    let mut counter = Counter::new();
    let (receipts, kitchen) = (counter.printer("receipt").await, counter.printer("kitchen").await);
    counter.route("receipt", &["receipt", "kitchen"]);
    let till = counter.open_ready(&["receipt", "kitchen"]).await;
    let mut events = till.events();
    receipts.with(VirtualPrinter::take_paper);
    let printed = print(&till, "receipt", "a", &receipt("MARK-A")).await;
    assert!(matches!(&printed, Print::Printed { on, proof: Proof::ProcessId(_) } if on == "kitchen"), "{printed:?}");
    let meant = event(&mut events, |on, what| match what {
        What::Printed { job, instead_of } if job == "a" => Some((on.to_owned(), instead_of)),
        _ => None,
    });
    assert_eq!(meant.await, ("kitchen".to_owned(), Some("receipt".to_owned())));
    let text = paper(&kitchen);
    assert!(text.trim_start().starts_with("Printed on kitchen instead of receipt"), "{text}");
    assert_eq!((times(&kitchen, "MARK-A"), times(&receipts, "MARK-A")), (1, 0));

    // With paper again the next job goes where it belongs, and nothing of the first one comes after it.
    receipts.with(VirtualPrinter::put_paper);
    let printed = print(&till, "receipt", "b", &receipt("MARK-B")).await;
    assert!(matches!(&printed, Print::Printed { on, .. } if on == "receipt"), "{printed:?}");
    assert_eq!((times(&receipts, "MARK-B"), times(&receipts, "MARK-A"), times(&receipts, "instead of")), (1, 0, 0));
}

/// On a clock of its own, a minute of patience takes no time.
#[tokio::test]
async fn with_both_printers_away_it_waits_and_is_printed_when_one_comes() {
    let mut counter = Counter::new();
    let _receipt: Away = counter.away("printers.receipt", "escpos");
    let kitchen = counter.away("printers.kitchen", "escpos");
    counter.route("receipt", &["receipt", "kitchen"]);
    let till = counter.open().await;
    let mut events = till.events();
    let printing = tokio::spawn({
        let printer = till.printer("receipt").expect("configured");
        async move { printer.print_as("a", &receipt("MARK-A")).await }
    });
    let said = waits(&mut events).await;
    assert!(said.contains("receipt: ") && said.contains("kitchen: "), "names both printers: {said}");
    tokio::time::pause();
    let waiting = printing.await.expect("no panic").expect("stored");
    tokio::time::resume();
    let Print::Waiting { job, why } = waiting else { panic!("{waiting:?}") };
    assert_eq!(job, "a");
    assert!(why.contains("receipt: "), "says why: {why}");

    let (kitchen, _server) = kitchen.switch_on(epson());
    till.printer("kitchen").expect("configured").reset().await.expect("open");
    event(&mut events, |_, what| matches!(what, What::Printed { .. }).then_some(())).await;
    assert_eq!((state(&till, "a").await, times(&kitchen, "MARK-A")), (JobState::Printed, 1));
    assert!(paper(&kitchen).contains("instead of receipt"));
}

#[tokio::test]
async fn a_printer_that_hangs_up_in_a_job_leaves_it_unknown_and_a_copy_says_so() {
    let mut counter = Counter::new();
    let printer = counter.printer("receipt").await;
    let kitchen = counter.printer("kitchen").await;
    counter.route("receipt", &["receipt", "kitchen"]);
    let till = counter.open_ready(&["receipt", "kitchen"]).await;
    let mut events = till.events();
    hang_up_in_the_next_job(&printer);
    let unknown = print(&till, "receipt", "a", &receipt("MARK-A")).await;
    let Print::Unknown { job, why } = &unknown else { panic!("{unknown:?}") };
    assert_eq!(job, "a");
    assert!(why.starts_with("receipt: "), "names the printer: {why}");
    event(&mut events, |_, what| matches!(what, What::PrintUnknown { .. }).then_some(())).await;
    printer.with(|p| p.faults.hang_up_after_bytes = None);
    ready(till.printer("receipt").expect("configured").phase()).await;

    // Neither the return of the printer nor asking again prints it a second time.
    assert_eq!(print(&till, "receipt", "a", &receipt("MARK-A")).await, unknown);
    let next = print(&till, "receipt", "b", &receipt("MARK-B")).await;
    assert!(matches!(next, Print::Printed { .. }), "the route goes on: {next:?}");
    assert_eq!(times(&printer, "MARK-A"), 1, "half of it");
    assert_eq!(times(&kitchen, "MARK-"), 0, "what may be on paper goes to no other printer");

    let copy = within("copy", till.printer("receipt").expect("configured").reprint("a")).await.expect("parked");
    assert!(matches!(&copy, Print::Printed { on, .. } if on == "receipt"), "{copy:?}");
    let text = paper(&printer);
    let (_, second) = text.split_once("MARK-B").expect("on paper");
    let (before, _) = second.split_once("MARK-A").expect("the copy");
    assert!(before.contains("COPY"), "{before}");
    let error = till.printer("receipt").expect("configured").reprint("a").await.expect_err("it is printed");
    assert_eq!(error.kind(), Kind::Input, "{error}");
}

#[tokio::test]
async fn a_job_that_waits_or_is_parked_can_be_given_up() {
    let mut counter = Counter::new();
    let away = counter.away("printers.bar", "escpos");
    let printer = counter.printer("receipt").await;
    let till = counter.open_ready(&["receipt"]).await;
    let (bar, mut events) = (till.printer("bar").expect("configured"), till.events());
    let waiting = tokio::spawn({
        let till = till.clone();
        async move { print(&till, "bar", "a", &receipt("MARK-A")).await }
    });
    waits(&mut events).await;
    // Between two tries it is queued; while it is tried it cannot be given up.
    within("cancelled", async {
        while bar.cancel("a").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(within("told", waiting).await.expect("no panic"), Print::Cancelled);
    let (device, _server) = away.switch_on(epson());
    ready(bar.phase()).await;
    assert!(matches!(print(&till, "bar", "b", &receipt("MARK-B")).await, Print::Printed { .. }));
    assert_eq!((times(&device, "MARK-A"), times(&device, "MARK-B")), (0, 1), "what was given up is not printed");

    hang_up_in_the_next_job(&printer);
    assert!(matches!(print(&till, "receipt", "c", &receipt("MARK-C")).await, Print::Unknown { .. }));
    let receipts = till.printer("receipt").expect("configured");
    receipts.cancel("c").await.expect("parked");
    assert_eq!(print(&till, "receipt", "c", &receipt("MARK-C")).await, Print::Cancelled);
    let error = receipts.reprint("c").await.expect_err("given up");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    let error = receipts.cancel("no such").await.expect_err("unknown");
    assert!(error.to_string().contains("`no such`"), "{error}");
}

#[tokio::test]
async fn the_same_id_is_the_same_paper() {
    let mut counter = Counter::new();
    let printer = counter.printer("receipt").await;
    let other = counter.printer("kitchen").await;
    let till = counter.open_ready(&["receipt", "kitchen"]).await;
    let (a, again) = (receipt("MARK-A"), receipt("MARK-A"));
    let (first, second) = tokio::join!(print(&till, "receipt", "a", &a), print(&till, "receipt", "a", &again));
    assert!(matches!(first, Print::Printed { .. }), "{first:?}");
    assert_eq!(second, first, "at the same time");
    assert_eq!(print(&till, "receipt", "a", &a).await, first, "and later");
    for (on, content) in [("receipt", "MARK-X"), ("kitchen", "MARK-A")] {
        let printer = till.printer(on).expect("configured");
        let error = printer.print_as("a", &receipt(content)).await.expect_err("another paper");
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains("`a`"), "{error}");
    }
    assert_eq!((times(&printer, "MARK-"), times(&other, "MARK-")), (1, 0));
    assert_eq!(till.store().jobs().await.expect("readable").len(), 1);
}

/// The printer has no paper any more in the middle of the job, and nobody comes before the till ends.
#[test]
fn a_till_that_stopped_while_printing_parks_the_job() {
    let mut counter = Counter::new();
    let first = runtime();
    let printer = first.block_on(async {
        let printer = counter.printer("receipt").await;
        let till = counter.open_ready(&["receipt"]).await;
        printer.with(|p| p.faults.paper_out_after_lines = Some(10));
        tokio::spawn({
            let till = till.clone();
            async move { print(&till, "receipt", "a", &receipt("MARK-A")).await }
        });
        until("it has no paper", || times(&printer, "Article 8") == 1).await;
        assert_eq!(state(&till, "a").await, JobState::Printing);
        printer
    });
    // As a process that is killed: nothing of it runs any more.
    first.shutdown_timeout(Duration::from_secs(5));
    printer.with(VirtualPrinter::put_paper);
    let before = times(&printer, "MARK-A");

    runtime().block_on(async {
        let device = counter.serve_again("printers.receipt", "escpos", printer.clone()).await;
        let till = counter.open_ready(&["receipt"]).await;
        let parked = print(&till, "receipt", "a", &receipt("MARK-A")).await;
        assert!(matches!(&parked, Print::Unknown { why, .. } if why.contains("stopped")), "{parked:?}");
        assert!(matches!(print(&till, "receipt", "b", &receipt("MARK-B")).await, Print::Printed { .. }));
        assert_eq!(times(&device, "MARK-A"), before, "not printed again");
        let copy = within("copy", till.printer("receipt").expect("configured").reprint("a")).await.expect("parked");
        assert!(matches!(copy, Print::Printed { .. }), "{copy:?}");
        assert_eq!((times(&device, "MARK-A"), times(&device, "COPY")), (before + 1, 1));
    });
}

#[tokio::test]
async fn a_printer_that_proves_nothing_has_accepted_it() {
    let mut counter = Counter::new();
    let mut quiet = VirtualPrinter::new(Profile::generic_80());
    quiet.faults.no_process_id = true;
    quiet.faults.no_transmit_status = true;
    let quiet = counter.serve("printers.receipt", "escpos", "?profile=generic-80mm", quiet).await;
    let mut mute = VirtualPrinter::new(Profile::generic_58());
    mute.faults.mute = true;
    let mute = counter.serve("printers.bar", "escpos", "?profile=generic-58mm", mute).await;
    let till = counter.open_ready(&["receipt", "bar"]).await;
    let accepted = print(&till, "receipt", "a", &receipt("MARK-A")).await;
    assert_eq!(accepted, Print::Accepted { on: "receipt".into() });
    let accepted = print(&till, "bar", "b", &receipt("MARK-B")).await;
    assert_eq!(accepted, Print::Accepted { on: "bar".into() });
    until("on paper", || times(&quiet, "MARK-A") == 1 && times(&mute, "MARK-B") == 1).await;
    assert_eq!(print(&till, "bar", "b", &receipt("MARK-B")).await, accepted);
    assert_eq!(times(&mute, "MARK-B"), 1);
}

#[tokio::test]
async fn a_printer_that_hangs_holds_up_nobody_else() {
    let mut counter = Counter::new();
    let (hung, other) = (counter.printer("receipt").await, counter.printer("kitchen").await);
    counter.terminal(TerminalProfile::default()).await;
    let till = counter.open_ready(&["receipt", "kitchen", "counter"]).await;
    hung.with(|p| p.faults.paper_out_after_lines = Some(10));
    let stuck = tokio::spawn({
        let till = till.clone();
        async move { print(&till, "receipt", "a", &receipt("MARK-A")).await }
    });
    until("it has no paper", || times(&hung, "Article 8") == 1).await;
    let started = tokio::time::Instant::now();
    for id in ["b", "c", "d"] {
        assert!(matches!(print(&till, "kitchen", id, &receipt("MARK-K")).await, Print::Printed { .. }));
    }
    assert!(is_charged(&pay(&till, "sale", Amount::eur(5_00)).await.expect("pays")));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(!stuck.is_finished(), "it still hangs");
    assert_eq!(times(&other, "MARK-K"), 3);
    // Somebody puts in paper, and what hung is printed to its end.
    hung.with(VirtualPrinter::put_paper);
    let printed = within("printed", stuck).await.expect("no panic");
    assert!(matches!(printed, Print::Printed { .. }), "{printed:?}");
    assert_eq!((times(&hung, "MARK-A"), times(&hung, "the end")), (1, 1));
    assert_eq!(*till.printer("receipt").expect("configured").phase().borrow(), Phase::Ready);
}
