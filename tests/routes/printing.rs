//! Which printer a job goes to, and when.

use std::time::Duration;

use tokio::time::Instant;
use tresen::config::PaperKind;
use tresen::printers::escpos::sim::Line as Slow;
use tresen::sale::{Line, Sold, Vat};
use tresen::{Amount, JobState, Print, Receipt, Tresen};

use super::shop::{Shop, printed};

fn receipt(word: &str) -> Receipt {
    Receipt::new().text(word).cut()
}

async fn print(till: &Tresen, on: &str, word: &str) -> Print {
    till.printer(on).expect("a route").print_as(word, &receipt(word)).await.expect("stored")
}

fn on(print: &Print) -> &str {
    match print {
        Print::Printed { on, .. } => on,
        other => panic!("{other:?}"),
    }
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

const HANDHELDS: &str = "language = 'german'
[stations.'handheld 7']
printer = 'belt 7'
[stations.'handheld 8']
printer = 'belt 8'
[routes.receipt]
printers = ['counter', 'office']
own = true
";

#[tokio::test(start_paused = true)]
async fn a_stations_own_printer_comes_first_and_the_counters_otherwise() {
    let shop = Shop::new(&["belt 7", "belt 8", "counter", "office"], HANDHELDS);
    let till = shop.open().await;
    let print = async |station: &str, word: &'static str| {
        let till = till.on_behalf_of(station);
        till.printer_for(PaperKind::Receipt).expect("a route").print_as(word, &receipt(word)).await.expect("stored")
    };
    assert_eq!(on(&print("handheld 7", "WORD-A").await), "belt 7");
    assert_eq!(on(&print("handheld 8", "WORD-B").await), "belt 8");
    assert_eq!(on(&print("kiosk", "WORD-C").await), "counter");
    shop.printer("belt 7").away(true);
    seconds(1).await;
    let began = Instant::now();
    assert_eq!(on(&print("handheld 7", "WORD-D").await), "counter");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // Belt 7, belt 8, counter, office.
    assert_eq!(shop.times("WORD"), [1, 1, 2, 0]);
    let counter = shop.paper("counter");
    let (plain, marked) = counter.split_once("WORD-C").expect("printed");
    assert!(!plain.contains("Gedruckt auf"), "{plain}");
    assert!(marked.contains("Gedruckt auf counter statt auf belt 7"), "{marked}");
}

#[tokio::test(start_paused = true)]
async fn paper_of_one_station_that_waits_delays_no_other_station() {
    let config = HANDHELDS.replace("['counter', 'office']", "['counter']");
    let shop = Shop::new(&["belt 7", "belt 8", "counter"], &config);
    let till = shop.open().await;
    shop.printer("belt 7").away(true);
    shop.printer("counter").away(true);
    seconds(1).await;
    let route = |station: &str| till.on_behalf_of(station).printer("receipt").expect("a route");
    let waits = route("handheld 7").submit_as("WORD-A", &receipt("WORD-A")).await.expect("stored");
    seconds(1).await;
    let began = Instant::now();
    let other = route("handheld 8").print_as("WORD-B", &receipt("WORD-B")).await.expect("stored");
    assert_eq!((on(&other), began.elapsed() < Duration::from_secs(1)), ("belt 8", true));
    assert!(
        matches!(waits.now().await.expect("stored"), Print::Waiting { why, .. } if why.contains("belt 7: ") && why.contains("counter: "))
    );
    shop.printer("counter").away(false);
    assert_eq!(on(&waits.outcome(Duration::from_secs(60)).await.expect("stored")), "counter");
    assert_eq!(shop.times("WORD-A"), [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_hangs_delays_no_job_that_another_printer_could_print() {
    let shop = Shop::new(
        &["bar", "counter", "kitchen"],
        "[routes.kitchen]\nprinters = ['kitchen', 'bar']\nstall = '5s'\n\
         [routes.receipt]\nprinters = ['kitchen', 'counter']\nstall = '5s'\n",
    );
    let till = shop.open().await;
    let mut log = till.events();
    shop.printer("kitchen").hang(true);
    let submit = async |route: &str, word: &str| {
        till.printer(route).expect("a route").submit_as(word, &receipt(word)).await.expect("stored")
    };
    let began = Instant::now();
    let hung = submit("kitchen", "WORD-1").await;
    seconds(1).await;
    assert!(matches!(hung.now().await.expect("stored"), Print::Printing { on, .. } if on == "kitchen"));

    // Another job of the route, and one of another route that shares the printer, wait for the stall only.
    let patience = Duration::from_secs(60);
    let (same, other) = (submit("kitchen", "WORD-2").await, submit("receipt", "WORD-3").await);
    let (same, other) = tokio::join!(same.outcome(patience), other.outcome(patience));
    assert_eq!((on(&same.expect("stored")), on(&other.expect("stored"))), ("bar", "counter"));
    assert!((5..7).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());

    // From then on jobs go to the other printers at once.
    for (route, word, printer) in [("kitchen", "WORD-4", "bar"), ("receipt", "WORD-5", "counter")] {
        let began = Instant::now();
        assert_eq!(on(&print(&till, route, word).await), printer);
        assert!(began.elapsed() < Duration::from_millis(500), "{word}: {:?}", began.elapsed());
    }
    assert!(matches!(hung.now().await.expect("stored"), Print::Printing { .. }), "it still hangs");
    assert_eq!(shop.times("WORD-1"), [0, 0, 0], "what was begun goes nowhere else");

    // It goes on, and what was begun is printed there, once; the next jobs go there again.
    shop.printer("kitchen").hang(false);
    assert_eq!(on(&hung.outcome(patience).await.expect("stored")), "kitchen");
    assert_eq!(on(&print(&till, "kitchen", "WORD-6").await), "kitchen");
    assert_eq!(on(&print(&till, "receipt", "WORD-7").await), "kitchen");
    assert_eq!(shop.times("WORD"), [2, 2, 3], "each once");
    let redirected = printed(&mut log).into_iter().filter(|(_, _, instead_of)| instead_of.is_some()).count();
    assert_eq!(redirected, 4);
}

#[tokio::test(start_paused = true)]
async fn routes_that_share_a_printer_take_turns() {
    let shop = Shop::new(&["one"], "[routes]\na = ['one']\nb = ['one']\n");
    let till = shop.open().await;
    let mut log = till.events();
    for n in 0..10 {
        for route in ["a", "b"] {
            till.printer(route)
                .expect("a route")
                .submit_as(&format!("{route}{n}"), &receipt("x"))
                .await
                .expect("stored");
        }
    }
    for route in ["a", "b"] {
        let last = till.print_job(&format!("{route}9")).outcome(Duration::from_secs(600)).await.expect("stored");
        assert_eq!(on(&last), "one");
    }
    let order: Vec<String> = printed(&mut log).into_iter().map(|(job, ..)| job).collect();
    for route in ["a", "b"] {
        let of_route: Vec<_> = order.iter().filter(|job| job.starts_with(route)).cloned().collect();
        assert_eq!(of_route, (0..10).map(|n| format!("{route}{n}")).collect::<Vec<_>>(), "in order");
    }
    let longest = order.chunk_by(|a, b| a[..1] == b[..1]).map(<[String]>::len).max();
    assert!(longest <= Some(2), "neither route keeps the printer to itself: {order:?}");
}

#[tokio::test(start_paused = true)]
async fn submitted_jobs_return_at_once_and_are_followed_by_their_id() {
    let shop = Shop::new(&["one"], "patience = '7s'\n");
    shop.printer("one").away(true);
    let till = shop.open().await;
    let began = Instant::now();
    let job = till.printer("one").expect("a printer").submit(&receipt("WORD")).await.expect("stored");
    assert_eq!(began.elapsed(), Duration::ZERO);
    // The till's patience is that of `print`.
    assert!(matches!(print(&till, "one", "WORD-2").await, Print::Waiting { .. }));
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    shop.printer("one").away(false);
    let followed = till.print_job(job.id());
    for job in [followed, till.print_job("WORD-2")] {
        assert_eq!(on(&job.outcome(Duration::from_secs(60)).await.expect("stored")), "one");
    }
    assert_eq!(shop.times("WORD"), [2]);
}

#[tokio::test(start_paused = true)]
async fn copies_are_papers_of_their_own_and_are_not_doubled() {
    let config = "[routes.pass]\nprinters = ['one', 'two']\ncopies = 2\n";
    let shop = Shop::new(&["one", "two"], config);
    let till = shop.open().await;
    let paper = receipt("WORD").drawer(tresen::printers::DrawerPin::Two);
    for printer in ["one", "two"] {
        shop.printer(printer).away(true);
    }
    seconds(1).await;
    till.printer("pass").expect("a route").submit_as("a", &paper).await.expect("stored");
    // The till stops before anything is printed; the program asks again with the same id after the restart.
    till.close(Duration::from_secs(1)).await.expect("closed");
    drop(till);
    shop.printer("one").away(false);
    let till = shop.open().await;
    let job = till.printer("pass").expect("a route").submit_as("a", &paper).await.expect("the same job");
    assert_eq!(on(&job.outcome(Duration::from_secs(60)).await.expect("stored")), "one");
    let second = till.print_job("a#2").outcome(Duration::from_secs(60)).await.expect("stored");
    assert_eq!(on(&second), "one");
    seconds(60).await;
    assert_eq!(
        (shop.times("WORD"), shop.times("Copy 1 of 2"), shop.times("Copy 2 of 2")),
        (vec![2, 0], vec![1, 0], vec![1, 0])
    );
    assert_eq!(shop.printer("one").operate(|p| p.sheets().len()), 2, "each is cut off");
    assert_eq!(shop.printer("one").operate(|p| p.kicked()), 1, "the drawer opens once");
    let jobs = till.store().jobs().await.expect("readable").rows;
    let told: Vec<_> = jobs.iter().map(|job| (job.id.as_str(), job.sheet, job.sheets, job.state)).collect();
    assert_eq!(told, [("a", 1, 2, JobState::Printed), ("a#2", 2, 2, JobState::Printed)]);

    // A route that prints fewer copies now: the same id is still the same job.
    shop.configure(&config.replace("copies = 2", "copies = 1"));
    till.reload(Duration::from_secs(1)).await.expect("right");
    assert_eq!(
        till.printer("pass").expect("a route").print_as("a", &paper).await.expect("known"),
        Print::clone(&job.now().await.expect("stored"))
    );
    assert_eq!(shop.times("WORD"), [2, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_printed_where_its_sale_is_closed() {
    let shop = Shop::new(&["belt 7", "belt 8", "counter", "office"], HANDHELDS);
    let till = shop.open().await;
    // Begun at the kiosk, paid at a handheld.
    let sale = till.on_behalf_of("kiosk").open_sale().await.expect("opens");
    let handheld = till.on_behalf_of("handheld 7");
    let mut sale = handheld.sale(sale.id()).await.expect("readable").expect("stored");
    let line = Line::pieces("WORD", 1, Amount::eur(2_00), Vat::percent(19)).expect("fits");
    sale.add(line).await.expect("added");
    sale.pay_cash(Amount::eur(2_00)).await.expect("paid");
    let sold = handheld.checkout("receipt").expect("a route").close(&mut sale).await.expect("closed");
    let Sold::Closed { print, .. } = sold else { panic!("{sold:?}") };
    assert_eq!((on(&print), shop.times("WORD")), ("belt 7", vec![1, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn a_job_waits_its_turn_no_longer_than_the_stall() {
    let shop =
        Shop::new(&["one", "two"], "[routes]\na = ['one']\n[routes.b]\nprinters = ['one', 'two']\nstall = '5s'\n");
    let till = shop.open().await;
    // Each of these takes more than a second on this line, none of them as long as the stall.
    shop.printer("one").operate(|p| p.faults.line = Some(Slow { bytes_per_second: 400, buffer: 4096 }));
    let long = (0..20).fold(Receipt::new(), |paper, n| paper.row(format!("Article {n}"), "1.00")).cut();
    for n in 0..30 {
        till.printer("a").expect("a route").submit_as(&format!("a{n}"), &long).await.expect("stored");
    }
    let began = Instant::now();
    assert_eq!(on(&print(&till, "b", "WORD").await), "two");
    assert!((5..7).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let last = till.print_job("a29").outcome(Duration::from_secs(600)).await.expect("stored");
    assert_eq!(on(&last), "one");
    assert!(began.elapsed() > Duration::from_secs(30), "{:?}", began.elapsed());
}
