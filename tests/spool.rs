//! Paper: on which printer, with what proof, and never twice in silence. The whole stack: manager,
//! spool in SQLite, ESC/POS over TCP to virtual printers.

mod common;

use std::time::Duration;

use common::{Away, Counter, epson, event, is_charged, paper, pay, ready, runtime, until, within};
use tresen::hal::sim::Shared;
use tresen::payment::zvt::sim::Profile as TerminalProfile;
use tresen::printers::escpos::sim::Simulator;
use tresen::printers::{Profile, Proof};
use tresen::{Amount, Content, EventKind, Events, JobState, Kind, Phase, Print, Receipt, Tresen};

/// A word that stands once on each piece of paper of the job `id`.
fn receipt(word: &str) -> Receipt {
    let lines = (0..40).fold(Receipt::new().text(word), |r, i| r.row(format!("Article {i}"), "1.00"));
    lines.text("the end").cut()
}

fn times(printer: &Shared<Simulator>, word: &str) -> usize {
    paper(printer).matches(word).count()
}

/// Waits for an event about a print job.
async fn waits(events: &mut Events) -> String {
    event(events, |_, what| if let EventKind::PrintWaits { why, .. } = what { Some(why) } else { None }).await
}

async fn print(till: &Tresen, on: &str, id: &str, receipt: &Receipt) -> Print {
    within(id, till.printer(on).expect("configured").print_as(id, receipt)).await.expect("stored")
}

async fn state(till: &Tresen, id: &str) -> JobState {
    till.store().job(id).await.expect("readable").expect("queued").state
}

/// The printer hangs up in the middle of the next job on this connection.
fn hang_up_in_the_next_job(printer: &Shared<Simulator>) {
    printer.with(|p| p.faults.hang_up_after_bytes = Some(p.raw().len() + 600));
}

#[tokio::test]
async fn without_paper_the_next_printer_takes_the_job_and_says_so() {
    let mut counter = Counter::new();
    let (receipts, kitchen) = (counter.printer("receipt").await, counter.printer("kitchen").await);
    counter.route("receipt", &["receipt", "kitchen"]);
    let till = counter.open_ready(&["receipt", "kitchen"]).await;
    let mut events = till.events();
    receipts.with(Simulator::remove_paper);
    let printed = print(&till, "receipt", "a", &receipt("MARK-A")).await;
    assert!(matches!(&printed, Print::Printed { on, proof: Proof::ProcessId(_) } if on == "kitchen"), "{printed:?}");
    let meant = event(&mut events, |on, what| match what {
        EventKind::Printed { job, instead_of } if job == "a" => Some((on.to_owned(), instead_of)),
        _ => None,
    });
    assert_eq!(meant.await, ("kitchen".to_owned(), Some("receipt".to_owned())));
    let text = paper(&kitchen);
    assert!(text.trim_start().starts_with("Printed on kitchen instead of receipt"), "{text}");
    assert_eq!((times(&kitchen, "MARK-A"), times(&receipts, "MARK-A")), (1, 0));

    // With paper again the next job goes where it belongs, and nothing of the first one comes after it.
    receipts.with(Simulator::load_paper);
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
    event(&mut events, |_, what| matches!(what, EventKind::Printed { .. }).then_some(())).await;
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
    event(&mut events, |_, what| matches!(what, EventKind::PrintUnknown { .. }).then_some(())).await;
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
    assert_eq!(till.store().jobs().await.expect("readable").rows.len(), 1);
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
    printer.with(Simulator::load_paper);
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
    let mut quiet = Simulator::new(Profile::generic_80());
    quiet.faults.no_process_id = true;
    quiet.faults.no_transmit_status = true;
    let quiet = counter.serve("printers.receipt", "escpos", "?profile=generic-80mm", quiet).await;
    let mut mute = Simulator::new(Profile::generic_58());
    mute.faults.mute = true;
    let mute = counter.serve("printers.bar", "escpos", "?profile=generic-58mm&status=no", mute).await;
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
    hung.with(Simulator::load_paper);
    let printed = within("printed", stuck).await.expect("no panic");
    assert!(matches!(printed, Print::Printed { .. }), "{printed:?}");
    assert_eq!((times(&hung, "MARK-A"), times(&hung, "the end")), (1, 1));
    assert_eq!(*till.printer("receipt").expect("configured").phase().borrow(), Phase::Ready);
}

/// How often the jobs were written, by triggers of the test's own.
struct Writes(rusqlite::Connection);

impl Writes {
    fn watch(counter: &Counter) -> Self {
        let db = rusqlite::Connection::open(counter.db()).expect("opens");
        db.busy_timeout(Duration::from_secs(10)).expect("set");
        db.execute_batch(
            "CREATE TABLE test_writes (n); CREATE TRIGGER test_jobs AFTER UPDATE ON jobs BEGIN
             INSERT INTO test_writes VALUES (1); END;",
        )
        .expect("made");
        Self(db)
    }

    fn count(&self) -> i64 {
        self.0.query_row("SELECT count(*) FROM test_writes", [], |r| r.get(0)).expect("readable")
    }

    /// Every write to the jobs fails from now on, as on a full disk.
    fn fail(&self) {
        self.0
            .execute_batch(
                "CREATE TRIGGER test_fails BEFORE UPDATE ON jobs BEGIN SELECT RAISE(FAIL, 'disk full'); END;",
            )
            .expect("made");
    }

    fn heal(&self) {
        self.0.execute_batch("DROP TRIGGER test_fails").expect("there");
    }
}

/// A job for a printer that is away wrote the database twice at each try, some 560 MB a day.
#[tokio::test]
async fn a_job_that_waits_writes_nothing_but_its_reason() {
    let mut counter = Counter::new();
    let _bar = counter.away("printers.bar", "escpos");
    let till = counter.open().await;
    let (mut events, writes) = (till.events(), Writes::watch(&counter));
    let bar = till.printer("bar").expect("configured");
    let job = bar.submit_as("a", &receipt("MARK-A")).await.expect("stored");
    waits(&mut events).await;
    let written = writes.count();
    assert!(written <= 2, "{written}");
    // Tried again as often as somebody asks for it, and still nothing is written.
    for round in 0..5 {
        bar.reset().await.expect("open");
        bar.submit_as(&format!("b{round}"), &receipt("MARK-B")).await.expect("stored");
        assert!(matches!(job.now().await.expect("readable"), Print::Waiting { .. }));
    }
    assert_eq!(writes.count(), written);
    let open = till.open_jobs().await.expect("readable");
    assert_eq!((open.len(), open[0].attempt), (6, 0), "nothing was begun");
}

/// The disk is full while a job is printed: it used to stay `printing` until the next start, which then said that the
/// till had stopped.
#[tokio::test]
async fn an_outcome_that_cannot_be_written_is_kept_until_it_can() {
    let mut counter = Counter::new();
    let printer = counter.printer("receipt").await;
    let till = counter.open_ready(&["receipt"]).await;
    let (mut events, writes) = (till.events(), Writes::watch(&counter));
    printer.with(|p| p.faults.paper_out_after_lines = Some(10));
    let receipts = till.printer("receipt").expect("configured");
    let job = receipts.submit_as("a", &receipt("MARK-A")).await.expect("stored");
    until("it has no paper", || times(&printer, "Article 8") == 1).await;
    let printing = job.now().await.expect("readable");
    assert_eq!(printing, Print::Printing { job: "a".into(), on: "receipt".into() }, "half of it is on paper");
    writes.fail();
    printer.with(Simulator::load_paper);
    event(&mut events, |_, what| matches!(what, EventKind::StorageFailed { .. }).then_some(())).await;
    assert_eq!(times(&printer, "the end"), 1);
    writes.heal();
    let printed = within("marked", job.outcome(common::DEADLINE)).await.expect("readable");
    assert!(matches!(printed, Print::Printed { .. }), "{printed:?}");
    assert!(matches!(print(&till, "receipt", "b", &receipt("MARK-B")).await, Print::Printed { .. }));
    assert_eq!((times(&printer, "MARK-A"), times(&printer, "MARK-B")), (1, 1));
}

/// The first printer has no paper in the middle of a job. The customers behind it used to wait as long as that took,
/// although the second printer was free.
#[tokio::test]
async fn a_printer_that_hangs_delays_no_job_that_the_next_one_could_print() {
    let mut counter = Counter::new();
    let (hung, kitchen) = (counter.printer("receipt").await, counter.printer("kitchen").await);
    counter.route("receipt", &["receipt", "kitchen"]);
    let till = counter.open_ready(&["receipt", "kitchen"]).await;
    hung.with(|p| p.faults.paper_out_after_lines = Some(10));
    let receipts = till.printer("receipt").expect("configured");
    let stuck = receipts.submit_as("a", &receipt("MARK-A")).await.expect("stored");
    until("it has no paper", || times(&hung, "Article 8") == 1).await;
    for id in ["b", "c", "d"] {
        let printed = print(&till, "receipt", id, &receipt("MARK-K")).await;
        assert!(matches!(&printed, Print::Printed { on, .. } if on == "kitchen"), "{printed:?}");
    }
    let stands = stuck.now().await.expect("readable");
    assert!(matches!(stands, Print::Printing { .. }), "it still hangs: {stands:?}");
    assert_eq!(times(&kitchen, "MARK-K"), 3);
    hung.with(Simulator::load_paper);
    assert!(within("printed", stuck.outcome(common::DEADLINE)).await.expect("readable").is_done());
    assert_eq!((times(&hung, "MARK-A"), times(&kitchen, "MARK-A")), (1, 0));
}

/// The only notice that paper is in doubt used to come before anyone could listen.
#[test]
fn the_first_listener_hears_what_was_parked_at_the_start() {
    let mut counter = Counter::new();
    let first = runtime();
    let printer = first.block_on(async {
        let printer = counter.printer("receipt").await;
        let till = counter.open_ready(&["receipt"]).await;
        printer.with(|p| p.faults.paper_out_after_lines = Some(10));
        till.printer("receipt").expect("configured").submit_as("a", &receipt("MARK-A")).await.expect("stored");
        until("it has no paper", || times(&printer, "Article 8") == 1).await;
        printer
    });
    first.shutdown_timeout(Duration::from_secs(5));
    runtime().block_on(async {
        counter.serve_again("printers.receipt", "escpos", printer).await;
        let till = counter.open_ready(&["receipt"]).await;
        let mut events = till.events();
        let parked = event(&mut events, |_, what| match what {
            EventKind::PrintUnknown { job, .. } => Some(job),
            _ => None,
        });
        assert_eq!(parked.await, "a");
        let open = till.open_jobs().await.expect("readable");
        assert_eq!(open.iter().map(|j| (j.id.as_str(), j.state)).collect::<Vec<_>>(), [("a", JobState::Unknown)]);
    });
}

/// A printer was renamed while a job waited for it: the job used to be forgotten.
#[test]
fn a_job_of_a_route_that_is_not_configured_is_told_and_can_be_moved() {
    let mut counter = Counter::new();
    let first = runtime();
    first.block_on(async {
        let _bar = counter.away("printers.bar", "escpos");
        let till = counter.open().await;
        let bar = till.printer("bar").expect("configured");
        bar.submit_as("a", &receipt("MARK-A")).await.expect("stored");
        till.close(common::DEADLINE).await.expect("closed");
    });
    first.shutdown_timeout(Duration::from_secs(5));
    runtime().block_on(async {
        let theke = counter.serve_again("printers.theke", "escpos", Shared::new(epson())).await;
        let till = counter.open_ready(&["theke"]).await;
        let mut events = till.events();
        let stranded = event(&mut events, |on, what| match what {
            EventKind::PrintStranded { job } => Some((on.to_owned(), job)),
            _ => None,
        });
        assert_eq!(stranded.await, ("bar".to_owned(), "a".to_owned()));
        let printer = till.printer("theke").expect("configured");
        let error = within("at once", printer.reprint("a")).await.expect_err("its route is not there");
        assert!(error.to_string().contains("`bar`"), "{error}");
        let moved = printer.adopt("a").await.expect("it waits");
        let printed = within("printed", moved.outcome(common::DEADLINE)).await.expect("readable");
        assert!(matches!(&printed, Print::Printed { on, .. } if on == "theke"), "{printed:?}");
        assert_eq!(times(&theke, "MARK-A"), 1);
    });
}

/// GS V 0 cuts, ESC p opens a drawer: the bytes are sent whole.
#[tokio::test]
async fn raw_bytes_go_the_way_of_receipts() {
    let mut counter = Counter::new();
    let (receipts, kitchen) = (counter.printer("receipt").await, counter.printer("kitchen").await);
    counter.route("receipt", &["receipt", "kitchen"]);
    let till = counter.open_ready(&["receipt", "kitchen"]).await;
    let printer = till.printer("receipt").expect("configured");
    let ticket = || Content::escpos(*b"Table 4\n\x1bp\x00\x32\x32\x1dV\x00");
    let patience = Duration::from_secs(30);
    let job = printer.submit_content_as("a", ticket()).await.expect("stored");
    let printed = within("a", job.outcome(patience)).await.expect("stored");
    assert!(matches!(&printed, Print::Printed { on, proof: Proof::ProcessId(_) } if on == "receipt"), "{printed:?}");
    assert_eq!(paper(&receipts), "Table 4\n");
    // The same id is the same paper, and another content is refused.
    within("a again", printer.submit_content_as("a", ticket())).await.expect("the same");
    let error = printer.submit_content_as("a", Content::escpos(*b"x\n")).await.expect_err("another");
    assert_eq!(error.kind(), Kind::Input, "{error}");

    receipts.with(Simulator::remove_paper);
    let job = printer.submit_content_as("b", ticket()).await.expect("stored");
    assert!(within("b", job.outcome(patience)).await.expect("stored").is_done());
    let text = paper(&kitchen);
    let (remark, rest) = text.trim_start().split_once('\n').expect("two lines");
    assert_eq!((remark.trim(), rest), ("Printed on kitchen instead of receipt", "Table 4\n"));
    assert_eq!((receipts.with(|p| p.kicked()), kitchen.with(|p| p.kicked())), (1, 1));

    receipts.with(Simulator::load_paper);
    receipts.with(|p| p.faults.hang_up_after_bytes = Some(p.raw().len() + 100));
    let long = Content::escpos("another line\n".repeat(100));
    let job = printer.submit_content_as("c", long).await.expect("stored");
    assert!(matches!(within("c", job.outcome(patience)).await.expect("stored"), Print::Unknown { .. }));
    receipts.with(|p| p.faults.hang_up_after_bytes = None);
    ready(printer.phase()).await;
    let before = paper(&receipts).len();
    assert!(within("copy", printer.reprint("c")).await.expect("parked").is_done());
    let text = paper(&receipts);
    assert_eq!((text[before..].matches("COPY").count(), text[before..].matches("another line").count()), (1, 100));
}

/// As a till finds it that is older than the one before.
#[tokio::test]
async fn a_content_of_a_later_version_keeps_no_other_job_waiting() {
    let mut counter = Counter::new();
    let waits_for = counter.away("printers.receipt", "escpos");
    let till = counter.open().await;
    let printer = till.printer("receipt").expect("configured");
    for id in ["a", "b", "c", "d"] {
        printer.submit_as(id, &receipt("MARK-X")).await.expect("stored");
    }
    till.close(Duration::from_secs(5)).await.expect("nothing under way");
    drop((printer, till));
    let db = rusqlite::Connection::open(counter.db()).expect("opens");
    for (id, content) in [
        ("a", r#"{"v":2,"label":{"width":62}}"#),
        ("b", r#"{"v":1,"receipt":{"items":[{"type":"text","text":"first"},{"type":"cut"}]}}"#),
        ("c", r#"{"v":7}"#),
        ("d", r#"{"v":1,"raw":{"language":"escpos","bytes":"c2Vjb25kCh1WAA=="}}"#),
    ] {
        db.execute("UPDATE jobs SET content = ?2 WHERE id = ?1", [id, content]).expect("written");
    }
    drop(db);

    let (printer, _server) = waits_for.switch_on(epson());
    let till = counter.open_ready(&["receipt"]).await;
    until("both are on paper", || paper(&printer) == "first\nsecond\n").await;
    for (id, version) in [("a", "version 2"), ("c", "version 7")] {
        let job = till.store().job(id).await.expect("readable").expect("kept");
        assert_eq!(job.state, JobState::Unreadable);
        assert!(job.error.as_deref().is_some_and(|why| why.contains(version)), "{job:?}");
    }
}

#[tokio::test]
async fn what_the_library_puts_on_paper_is_in_the_language_of_the_till() {
    let mut counter = Counter::new();
    let (receipts, kitchen) = (counter.printer("receipt").await, counter.printer("kitchen").await);
    counter.route("receipt", &["receipt", "kitchen"]);
    counter.german();
    let till = counter.open_ready(&["receipt", "kitchen"]).await;
    receipts.with(Simulator::remove_paper);
    assert!(print(&till, "receipt", "a", &receipt("MARK-A")).await.is_done());
    let text = paper(&kitchen);
    assert!(text.trim_start().starts_with("Gedruckt auf kitchen statt auf receipt"), "{text}");
    hang_up_in_the_next_job(&kitchen);
    assert!(matches!(print(&till, "kitchen", "b", &receipt("MARK-B")).await, Print::Unknown { .. }));
    kitchen.with(|p| p.faults.hang_up_after_bytes = None);
    ready(till.printer("kitchen").expect("configured").phase()).await;
    let printer = till.printer("kitchen").expect("configured");
    assert!(within("copy", printer.reprint("b")).await.expect("parked").is_done());
    let text = paper(&kitchen);
    assert!(text.contains("KOPIE") && !text.contains("COPY"), "{text}");
}

/// A printer that has no paper when the till starts used to be just `Connected`.
#[tokio::test]
async fn the_state_of_the_paper_is_told_on_connecting() {
    let mut counter = Counter::new();
    let printer = counter.printer("receipt").await;
    printer.with(Simulator::remove_paper);
    let till = counter.open_ready(&["receipt"]).await;
    let mut events = till.events();
    let paper =
        event(&mut events, |_, what| if let EventKind::Printer(status) = what { Some(status.paper) } else { None });
    assert_eq!(paper.await, tresen::printers::Paper::Out);
    assert_eq!(till.devices()[0].attention, [tresen::Attention::PaperOut]);
}
