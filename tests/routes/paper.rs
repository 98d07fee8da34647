//! The paper in the printer: known from the connection on, followed while it changes, and never shared by two jobs of
//! which one broke off.

use std::time::Duration;

use tokio::time::Instant;
use tresen::hal::Known;
use tresen::printers::escpos::sim::Simulator;
use tresen::printers::{Paper, Status};
use tresen::{Attention, EventKind, Events, JobState, Print, Receipt, Tresen};

use super::shop::{Printer, Shop, attention, events, ready};

/// Whether the printer reports changes itself: `GS a`, Automatic Status Back.
const REPORTS: [bool; 2] = [true, false];

fn receipt(word: &str) -> Receipt {
    let lines = (0..6).fold(Receipt::new().text(word), |paper, n| paper.row(format!("Article {n}"), "1.00"));
    lines.text("the end").cut()
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

fn two_printers(reports: bool) -> Shop {
    let shop = Shop::new(&["bar", "kitchen"], "[routes]\nkitchen = ['kitchen', 'bar']\n");
    shop.printer("kitchen").operate(|p| p.faults.no_automatic_status = !reports);
    shop
}

/// The statuses told of the kitchen's printer so far.
fn told(log: &mut Events) -> Vec<Status> {
    let told = events(log, "printer").into_iter().filter(|event| event.source.name() == "kitchen");
    told.filter_map(|event| if let EventKind::Printer(status) = event.kind { Some(status) } else { None }).collect()
}

/// The printer that the route would use, as a screen is told.
fn offered(till: &Tresen) -> Option<String> {
    let routes = till.capabilities().routes;
    routes.into_iter().find(|route| route.route == "kitchen").expect("a route").on
}

/// How long it takes until nothing at the kitchen's printer needs a person.
async fn until_good(till: &Tresen) -> Duration {
    let began = Instant::now();
    while !attention(till, "kitchen").is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", attention(till, "kitchen"));
    }
    began.elapsed()
}

type Operate = fn(&mut Simulator, bool);

/// What keeps a printer from printing, and how it is shown.
const HINDRANCES: [(Operate, Attention); 3] = [
    (|p, on| if on { p.remove_paper() } else { p.load_paper() }, Attention::PaperOut),
    (Simulator::cover, Attention::CoverOpen),
    (Simulator::jam_cutter, Attention::PrinterError),
];

#[tokio::test(start_paused = true)]
async fn a_printer_that_connects_out_of_order_is_offered_again_as_soon_as_it_is_in_order() {
    for reports in REPORTS {
        for (operate, shown) in HINDRANCES {
            let shop = two_printers(reports);
            shop.printer("kitchen").operate(|p| operate(p, true));
            let till = shop.open().await;
            let mut log = till.events();
            seconds(1).await;
            while log.try_next().is_some() {}
            assert_eq!((attention(&till, "kitchen"), offered(&till).as_deref()), (vec![shown], Some("bar")));
            seconds(300).await;
            assert_eq!(attention(&till, "kitchen"), [shown], "it stays so, and nobody resets the connection");
            assert_eq!(told(&mut log), [], "no news");

            // Nobody prints anything: it is noticed all the same.
            shop.printer("kitchen").operate(|p| operate(p, false));
            let took = until_good(&till).await;
            assert!(took <= Duration::from_secs(3), "{shown:?}, reports: {reports}: {took:?}");
            seconds(1).await;
            let told = told(&mut log);
            assert!(told.iter().all(|status| status.paper == Paper::Ok && status.online.is_yes()), "{told:?}");
            assert_eq!((told.is_empty(), offered(&till).as_deref()), (false, Some("kitchen")));
            let known = till.printer("kitchen").expect("a route").capabilities().expect("connected");
            assert_eq!(
                (known.process_id, known.automatic_status.is_yes()),
                (Known::Yes, reports),
                "it told what it is"
            );
            let printed = till.printer("kitchen").expect("a route").print(&receipt("WORD")).await.expect("stored");
            assert!(matches!(&printed, Print::Printed { on, .. } if on == "kitchen"), "{printed:?}");
            assert_eq!(shop.printer("kitchen").attempts(), 1, "over the same connection");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn paper_that_waits_for_a_roll_is_printed_when_there_is_one() {
    for reports in REPORTS {
        let shop = Shop::new(&["kitchen"], "");
        shop.printer("kitchen").operate(|p| {
            p.faults.no_automatic_status = !reports;
            p.remove_paper();
        });
        let till = shop.open().await;
        let job = till.printer("kitchen").expect("a printer").submit(&receipt("WORD")).await.expect("stored");
        // So long that the job itself is tried again once a minute only.
        seconds(250).await;
        let waits = job.now().await.expect("stored");
        assert!(matches!(&waits, Print::Waiting { why, .. } if why == "kitchen: out of paper"), "{waits:?}");
        shop.printer("kitchen").operate(Simulator::load_paper);
        let began = Instant::now();
        assert!(job.outcome(Duration::from_secs(60)).await.expect("stored").is_done());
        assert!(began.elapsed() < Duration::from_secs(3), "reports: {reports}: {:?}", began.elapsed());

        // For a whole service: its buffer of 4 KiB does not fill with requests, which would end the connection.
        shop.printer("kitchen").operate(Simulator::remove_paper);
        let job = till.printer("kitchen").expect("a printer").submit(&receipt("WORD")).await.expect("stored");
        seconds(7 * 3600).await;
        assert_eq!((shop.printer("kitchen").attempts(), shop.times("WORD")), (1, vec![1]));
        shop.printer("kitchen").operate(Simulator::load_paper);
        let began = Instant::now();
        assert!(job.outcome(Duration::from_secs(60)).await.expect("stored").is_done());
        assert!(began.elapsed() < Duration::from_secs(61), "reports: {reports}: {:?}", began.elapsed());
        assert_eq!(shop.times("WORD"), [2]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_at_an_idle_printer_is_noticed() {
    for reports in REPORTS {
        let shop = two_printers(reports);
        let till = shop.open().await;
        // Until it is known whether it reports changes itself.
        seconds(31).await;
        let limit = Duration::from_secs(if reports { 1 } else { 31 });
        for (operate, shown) in HINDRANCES {
            shop.printer("kitchen").operate(|p| operate(p, true));
            let began = Instant::now();
            while attention(&till, "kitchen") != [shown] {
                tokio::time::sleep(Duration::from_millis(10)).await;
                assert!(began.elapsed() <= limit, "{shown:?}, reports: {reports}");
            }
            seconds(10).await;
            assert_eq!(offered(&till).as_deref(), Some("bar"));
            shop.printer("kitchen").operate(|p| operate(p, false));
            let took = until_good(&till).await;
            assert!(took <= Duration::from_secs(3), "{shown:?}, reports: {reports}: {took:?}");
        }
        // Little paper is worth knowing, and no reason not to print.
        shop.printer("kitchen").operate(|p| p.near_end(true));
        seconds(31).await;
        assert_eq!(
            (attention(&till, "kitchen"), offered(&till).as_deref()),
            (vec![Attention::PaperNearEnd], Some("kitchen"))
        );
    }
}

/// Jobs do not wait behind requests, and a slow line carries few of them.
#[tokio::test(start_paused = true)]
async fn a_printer_that_reports_changes_is_not_asked_and_others_seldom() {
    let shop = two_printers(true);
    shop.printer("bar").operate(|p| p.faults.no_automatic_status = true);
    let till = shop.open().await;
    seconds(60).await;
    let before = ["bar", "kitchen"].map(|name| shop.printer(name).asked());
    seconds(600).await;
    let asked = ["bar", "kitchen"].map(|name| shop.printer(name).asked());
    assert_eq!((asked[0] - before[0], asked[1] - before[1]), (20, 0));

    // Out of order, it is asked more often, but not while it prints: it hangs in a job here.
    shop.printer("bar").operate(Simulator::remove_paper);
    seconds(60).await;
    let before = shop.printer("bar").asked();
    seconds(60).await;
    assert_eq!(shop.printer("bar").asked() - before, 30);
    shop.printer("bar").operate(Simulator::load_paper);
    seconds(60).await;
    shop.printer("bar").hang(true);
    let job = till.printer("bar").expect("a printer").submit(&receipt("WORD")).await.expect("stored");
    seconds(1).await;
    assert!(matches!(job.now().await.expect("stored"), Print::Printing { .. }));
    let before = shop.printer("bar").asked();
    seconds(10).await;
    assert_eq!(shop.printer("bar").asked(), before, "the job has the printer");
    shop.printer("bar").hang(false);
    assert!(job.outcome(Duration::from_secs(60)).await.expect("stored").is_done());
}

/// Hangs up after so many more bytes.
fn hang_up_after(printer: &Printer, connected_at: usize, bytes: usize) {
    printer.operate(|p| p.faults.hang_up_after_bytes = Some(p.raw().len() - connected_at + bytes));
}

/// The sheet that has a word on it.
fn sheet_of(printer: &Printer, word: &str) -> (usize, String) {
    let found = printer.operate(|p| {
        let texts: Vec<_> = p.sheets().iter().map(|sheet| sheet.text().to_owned()).collect();
        texts.into_iter().enumerate().filter(|(_, text)| text.contains(word)).collect::<Vec<_>>()
    });
    let [(at, text)] = &found[..] else { panic!("{word} is on {} sheets", found.len()) };
    (*at, text.clone())
}

/// A job and its copy are broken off at every few bytes; whatever that leaves in the printer, the next job's paper begins
/// on a sheet of its own.
#[tokio::test(start_paused = true)]
async fn what_a_broken_off_job_has_left_is_cut_off_before_the_next_one() {
    let shop = Shop::new(&["one"], "");
    let printer = shop.printer("one");
    let mut till = shop.open().await;
    let mut connected_at = 0;
    let (mut marks_left, mut halves_left) = (0, 0);
    // From the first bytes of the body on, to the middle of the receipt.
    for bytes in (24..180).step_by(7) {
        let word = format!("WORD-{bytes}");
        for copy in [false, true] {
            hang_up_after(printer, connected_at, if copy { bytes } else { 150 });
            let one = till.printer("one").expect("a printer");
            let broken_off = match copy {
                false => one.print_as(&word, &receipt(&word)).await.expect("stored"),
                true => one.reprint(&word).await.expect("parked"),
            };
            assert!(matches!(broken_off, Print::Unknown { .. }), "{word}, copy: {copy}: {broken_off:?}");
            let left = printer.operate(|p| p.uncut().text().to_owned());
            marks_left += usize::from(left.contains("COPY") && !left.contains("WORD"));
            halves_left += usize::from(left.contains("WORD"));
            connected_at = printer.operate(|p| {
                p.faults.hang_up_after_bytes = None;
                // The sheet stays in the printer also when that is switched off and on.
                if bytes % 2 == 0 {
                    p.power_cycle();
                }
                p.raw().len()
            });
            if bytes % 3 == 0 {
                till.close(Duration::from_secs(1)).await.expect("closed");
                drop(till);
                till = shop.open().await;
            }
            seconds(60).await;
            ready(&till, "one").await;
        }
        let sheets = printer.operate(|p| p.sheets().len());
        for next in ["NEXT", "LAST"] {
            let next = format!("{next}-{bytes}");
            let printed = till.printer("one").expect("a printer").print_as(&next, &receipt(&next)).await;
            assert!(matches!(printed.expect("stored"), Print::Printed { .. }));
            let (_, text) = sheet_of(printer, &next);
            assert!(!text.contains("COPY") && !text.contains("WORD"), "{next}: {text}");
        }
        let (next, last) =
            (sheet_of(printer, &format!("NEXT-{bytes}")).0, sheet_of(printer, &format!("LAST-{bytes}")).0);
        assert!(next <= sheets + 1, "one cut before it at most");
        assert_eq!(last, next + 1, "the one behind it needs none");
        till.printer("one").expect("a printer").cancel(&word).await.expect("parked");
    }
    assert!(marks_left > 0 && halves_left > 2, "both were left in the printer: {marks_left}, {halves_left}");
}

/// What the till did not see the end of, because it was killed.
#[tokio::test(start_paused = true)]
async fn after_a_till_that_died_in_a_job_the_next_paper_begins_on_a_sheet_of_its_own() {
    let shop = Shop::new(&["one", "two"], "");
    let till = shop.open().await;
    let printer = shop.printer("one");
    // It takes what it gets and prints nothing more after these lines.
    printer.operate(|p| p.faults.paper_out_after_lines = Some(3));
    let job = till.printer("one").expect("a printer").submit_as("a", &receipt("WORD")).await.expect("stored");
    seconds(5).await;
    assert!(matches!(job.now().await.expect("stored"), Print::Printing { .. }));
    assert!(printer.operate(|p| p.uncut().text().contains("WORD")));
    // Not a second is left for the job: it is marked as before.
    let store = till.store().clone();
    till.close(Duration::ZERO).await.ok();
    drop((till, job));
    assert!(matches!(store.job("a").await, Ok(Some(_)) | Err(_)));
    drop(store);
    printer.operate(|p| {
        p.power_cycle();
        p.load_paper();
    });
    let till = shop.open().await;
    assert_eq!(till.store().job("a").await.expect("readable").expect("stored").state, JobState::Unknown);
    for name in ["one", "two"] {
        till.printer(name).expect("a printer").print_as(name, &receipt("NEXT")).await.expect("stored");
    }
    let (_, text) = sheet_of(printer, "NEXT");
    assert!(!text.contains("WORD"), "{text}");
    assert_eq!(shop.printer("two").operate(|p| p.sheets().len()), 1, "no other printer is concerned");
}
