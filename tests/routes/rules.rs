//! Fail-back, paper that waits too long, checkouts, delays of reconnecting.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tresen::sale::{Line, Sold, Vat};
use tresen::{Amount, EventKind, Kind, Print, Receipt, Tresen};

use super::set_clock::SetClock;
use super::shop::{Shop, events, ready};

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

/// The printer on which a job of the route `r` comes out.
async fn comes_out(till: &Tresen, id: &str) -> String {
    let job = till.printer("r").expect("a route").print_as(id, &Receipt::new().text(id).cut()).await.expect("stored");
    let Print::Printed { on, .. } = job else { panic!("{job:?}") };
    on
}

fn shop(rule: &str) -> Shop {
    Shop::new(&["one", "two"], &format!("[routes.r]\nprinters = ['one', 'two']\n{rule}\n"))
}

#[tokio::test(start_paused = true)]
async fn at_once_the_first_printer_takes_the_next_job() {
    let shop = shop("fail-back = 'at-once'");
    let till = shop.open().await;
    shop.printer("one").away(true);
    seconds(1).await;
    assert_eq!(comes_out(&till, "a").await, "two");
    shop.printer("one").away(false);
    ready(&till, "one").await;
    assert_eq!(comes_out(&till, "b").await, "one");
}

#[tokio::test(start_paused = true)]
async fn after_some_time_the_first_printer_takes_over_if_it_stays() {
    let shop = shop("fail-back = '30s'");
    let till = shop.open().await;
    shop.printer("one").away(true);
    seconds(1).await;
    assert_eq!(comes_out(&till, "a").await, "two");
    shop.printer("one").away(false);
    ready(&till, "one").await;
    assert_eq!(comes_out(&till, "b").await, "two", "it has just come back");
    seconds(20).await;
    shop.printer("one").away(true);
    seconds(1).await;
    shop.printer("one").away(false);
    ready(&till, "one").await;
    seconds(20).await;
    assert_eq!(comes_out(&till, "c").await, "two", "it was away in between");
    seconds(15).await;
    assert_eq!(comes_out(&till, "d").await, "one");
    assert_eq!(comes_out(&till, "e").await, "one");
    // What holds a printer back holds no paper back.
    shop.printer("one").away(true);
    seconds(1).await;
    assert_eq!(comes_out(&till, "f").await, "two");
    shop.printer("one").away(false);
    ready(&till, "one").await;
    shop.printer("two").away(true);
    seconds(1).await;
    let began = Instant::now();
    assert_eq!(comes_out(&till, "g").await, "one");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn when_empty_a_series_stays_on_one_printer() {
    let shop = shop("fail-back = 'when-empty'");
    let till = shop.open().await;
    for printer in ["one", "two"] {
        shop.printer(printer).away(true);
    }
    seconds(1).await;
    let route = till.printer("r").expect("a route");
    for n in 0..5 {
        route.submit_as(&format!("WORD-{n}"), &Receipt::new().text(format!("WORD-{n}")).cut()).await.expect("stored");
    }
    // The second printer begins the series; the first comes back in the middle of it.
    shop.printer("two").away(false);
    ready(&till, "two").await;
    shop.printer("one").away(false);
    ready(&till, "one").await;
    till.print_job("WORD-4").outcome(Duration::from_secs(60)).await.expect("stored");
    assert_eq!(shop.times("WORD"), [0, 5]);
    assert_eq!(comes_out(&till, "z").await, "one", "the series is over");
}

#[tokio::test(start_paused = true)]
async fn a_person_is_told_once_of_paper_that_waits_too_long() {
    let shop = shop("warn-after = '3m'");
    let till = shop.open().await;
    for printer in ["one", "two"] {
        shop.printer(printer).away(true);
    }
    seconds(1).await;
    let mut log = till.events();
    let queued = till.runtime().wall();
    till.printer("r").expect("a route").submit_as("a", &Receipt::new().text("a").cut()).await.expect("stored");
    seconds(179).await;
    assert_eq!((events(&mut log, "paper-overdue").len(), till.follow().0.overdue.len()), (0, 0));
    seconds(2).await;
    let told = events(&mut log, "paper-overdue");
    let [event] = told.as_slice() else { panic!("{told:?}") };
    let EventKind::PaperOverdue { job, since, why } = &event.kind else { panic!("{event:?}") };
    assert_eq!((event.source.name(), job.as_str(), *since), ("r", "a", queued));
    assert!(why.contains("one: ") && why.contains("two: "), "{why}");
    let overdue = till.follow().0.overdue;
    assert_eq!((overdue.len(), overdue[0].route.as_str(), overdue[0].job.as_str()), (1, "r", "a"));
    seconds(3600).await;
    assert_eq!(events(&mut log, "paper-overdue").len(), 0, "once");

    // A later job is told of in its turn; what is on paper is no longer overdue.
    till.printer("r").expect("a route").submit_as("b", &Receipt::new().text("b").cut()).await.expect("stored");
    seconds(200).await;
    assert_eq!(events(&mut log, "paper-overdue").len(), 1);
    assert_eq!(till.follow().0.overdue.len(), 2);
    shop.printer("one").away(false);
    till.print_job("b").outcome(Duration::from_secs(60)).await.expect("stored");
    seconds(1).await;
    assert_eq!(till.follow().0.overdue, []);
}

#[tokio::test(start_paused = true)]
async fn paper_in_a_printer_that_waits_for_a_new_roll_is_overdue_too_also_after_a_restart() {
    let shop = shop("warn-after = '1m'");
    let till = shop.open().await;
    for printer in ["one", "two"] {
        shop.printer(printer).away(true);
    }
    seconds(1).await;
    till.printer("r").expect("a route").submit_as("a", &Receipt::new().text("a").cut()).await.expect("stored");
    till.close(Duration::from_secs(1)).await.expect("closed");
    drop(till);
    // An hour later by the clock on the wall.
    let till = shop.open().await;
    let mut log = till.events();
    seconds(1).await;
    assert_eq!(events(&mut log, "paper-overdue").len(), 1, "it waited while the till was closed");

    shop.printer("two").away(false);
    till.print_job("a").outcome(Duration::from_secs(60)).await.expect("stored");
    shop.printer("two").operate(|p| p.faults.paper_out_after_lines = Some(10));
    let long = (0..40).fold(Receipt::new(), |paper, n| paper.text(format!("line {n}"))).cut();
    till.printer("r").expect("a route").submit_as("b", &long).await.expect("stored");
    // The driver gives the job up after two minutes.
    seconds(100).await;
    let told = events(&mut log, "paper-overdue");
    assert!(
        matches!(&told.as_slice(), [event] if matches!(&event.kind, EventKind::PaperOverdue { job, why, .. } if job == "b" && why.contains("two"))),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_makes_no_paper_overdue() {
    let shop = shop("warn-after = '3m'");
    let clock = SetClock::over(shop.runtime());
    for printer in ["one", "two"] {
        shop.printer(printer).away(true);
    }
    let till = shop.open_on(Arc::new(clock.clone())).await;
    let mut log = till.events();
    let submit = async |id: &str| {
        till.printer("r").expect("a route").submit_as(id, &Receipt::new().text(id).cut()).await.expect("stored");
    };
    // Forwards between the queueing and the next look, and before the queueing; backwards alike.
    for (n, hours) in [5, -5].into_iter().enumerate() {
        seconds(175).await;
        submit(&format!("{n}a")).await;
        clock.set_hours(hours);
        submit(&format!("{n}b")).await;
        let began = Instant::now();
        let mut told = Vec::new();
        while told.len() < 2 {
            seconds(1).await;
            told.extend(events(&mut log, "paper-overdue").into_iter().map(|_| began.elapsed().as_secs()));
            assert!(began.elapsed() < Duration::from_secs(600), "{told:?}");
        }
        assert!(told.iter().all(|waited| (180..=361).contains(waited)), "{told:?}");
    }
}

async fn paid(till: &Tresen) -> tresen::sale::Sale {
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Tea", 1, Amount::eur(2_00), Vat::percent(19)).expect("fits")).await.expect("added");
    sale.pay_cash(Amount::eur(2_00)).await.expect("paid");
    sale
}

#[tokio::test(start_paused = true)]
async fn a_paid_guest_does_not_wait_for_paper() {
    let shop = shop("");
    let till = shop.open().await;
    let checkout = till.checkout("r").expect("a route").drawer(tresen::printers::DrawerPin::Two);
    for printer in ["one", "two"] {
        shop.printer(printer).operate(tresen::printers::escpos::sim::Simulator::remove_paper);
    }
    seconds(1).await;
    let began = Instant::now();
    let sold = checkout.close(&mut paid(&till).await).await.expect("stored");
    let Sold::Closed { print: Print::Waiting { job, why }, drawer } = sold else { panic!("{sold:?}") };
    assert!(why.contains("out of paper"), "{why}");
    assert!(drawer.is_some_and(|why| why.contains("the drawer stays shut")), "as the printer says");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    shop.printer("one").operate(tresen::printers::escpos::sim::Simulator::load_paper);
    let later = till.print_job(&job).outcome(Duration::from_secs(60)).await.expect("stored");
    assert!(matches!(&later, Print::Printed { on, .. } if on == "one"), "{later:?}");

    // Of a printer that hangs nothing is known: it takes a little longer.
    shop.printer("one").hang(true);
    let began = Instant::now();
    let sold = till.checkout("r").expect("a route").close(&mut paid(&till).await).await.expect("stored");
    assert!(matches!(&sold, Sold::Closed { print: Print::Printing { .. }, .. }), "{sold:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    let began = Instant::now();
    let soon = till.checkout("r").expect("a route").patience(Duration::from_secs(2));
    let sold = soon.close(&mut paid(&till).await).await.expect("stored");
    assert!(matches!(&sold, Sold::Closed { print: Print::Waiting { .. }, .. }), "{sold:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn reconnecting_takes_the_delays_of_the_till_or_of_the_device() {
    let config = "reconnect = { first = '2s', at-most = '2s' }\n[printers.'two']\nreconnect = { at-most = '1s' }\n";
    let shop = Shop::new(&["one", "two", "three"], config);
    for printer in ["one", "two"] {
        shop.printer(printer).away(true);
    }
    let till = shop.open().await;
    seconds(100).await;
    // Delays of 2 s and of 1 s, of which the jitter takes a quarter at most; the first one counts as well.
    let attempts = |name: &str| shop.printer(name).attempts();
    assert!((50..=68).contains(&attempts("one")), "{}", attempts("one"));
    assert!((100..=136).contains(&attempts("two")), "{}", attempts("two"));
    assert_eq!(attempts("three"), 1);
    shop.configure(&config.replace("at-most = '2s'", "at-most = '3s'"));
    let error = till.reload(Duration::from_secs(1)).await.expect_err("needs a restart");
    assert_eq!(error.kind(), Kind::Config, "{error}");
    assert!(error.to_string().contains("till.reconnect"), "{error}");
    // That of a device changes with the device.
    shop.configure(&config.replace("at-most = '1s'", "at-most = '20s'"));
    let reloaded = till.reload(Duration::from_secs(1)).await.expect("right");
    assert_eq!(reloaded.replaced.len(), 1, "{reloaded:?}");
}
