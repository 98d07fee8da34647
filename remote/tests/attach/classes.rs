//! Each class through the line: what a till does with a device of its own, it does with a handheld's.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tresen::payment::{
    Answer, Operation, Request,
    zvt::sim::{Asks, Misbehaviour},
};
use tresen::printers::document::Qr;
use tresen::printers::{DrawerPin, Paper};
use tresen::{Amount, Class, DeviceId, EventKind, Kind, Payment, Phase, Print, Receipt, Source, Tresen};

use super::world::World;

const MINUTE: Duration = Duration::from_secs(60);

/// Waits for an event of a device of the till.
async fn event<T>(till: &Tresen, device: DeviceId, wanted: impl Fn(&EventKind) -> Option<T>) -> T {
    let (_, mut events) = till.follow();
    let search = async {
        loop {
            let event = events.next().await.expect("is open");
            if event.source == Source::Device(device.clone())
                && let Some(found) = wanted(&event.kind)
            {
                return found;
            }
        }
    };
    timeout(10 * MINUTE, search).await.expect("the event comes")
}

#[tokio::test(start_paused = true)]
async fn a_printer_prints_through_the_tills_spool_and_tells_its_paper() {
    let world = World::connected().await;
    let printer = world.shop.till.printer("belt.7").expect("attached");
    let own = world.handheld.till.printer("belt").expect("there").capabilities();
    assert_eq!(printer.capabilities(), own);
    let printed = printer.print(&Receipt::new().text("Flat white")).await.expect("stored");
    assert!(matches!(printed, Print::Printed { .. }), "{printed:?}");
    assert_eq!(world.paper().matches("Flat white").count(), 1);

    let sim = world.handheld.counter.printer("belt").expect("there");
    let belt = DeviceId::new(Class::Printer, "belt.7");
    let (out, ()) = tokio::join!(
        event(&world.shop.till, belt, |kind| match kind {
            EventKind::Printer(status) if status.paper == Paper::Out => Some(*status),
            _ => None,
        }),
        async { sim.with(|sim| sim.remove_paper()) }
    );
    assert_eq!(out.paper, Paper::Out);
    assert_eq!(printer.status().await.expect("answers").paper, Paper::Out);
    sim.with(|sim| sim.load_paper());
    printer.kick_drawer(DrawerPin::Two).await.expect("has a drawer");
    assert_eq!(sim.with(|sim| sim.kicked()), 1);
    assert!(printer.identity().await.expect("answers").model.is_some());
    // Local use goes on.
    let local = world.handheld.till.printer("belt").expect("there").print(&Receipt::new().text("Local")).await;
    assert!(matches!(local, Ok(Print::Printed { .. })), "{local:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drawer_that_stays_shut_says_why_as_at_the_handheld() {
    let world = World::connected().await;
    let sim = world.handheld.counter.printer("belt").expect("there");
    let (there, here) = (world.handheld.till.printer("belt"), world.shop.till.printer("belt.7"));
    let (there, here) = (there.expect("there"), here.expect("attached"));
    sim.with(|sim| sim.remove_paper());
    let job = here.submit(&Receipt::new().text("Flat white")).await.expect("stored");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let own = there.kick_drawer(DrawerPin::Two).await.expect_err("the printer is stopped");
    let error = here.kick_drawer(DrawerPin::Two).await.expect_err("the printer is stopped");
    assert_eq!((error.kind(), error.effect(), error.what()), (own.kind(), own.effect(), own.what()));
    assert_eq!((error.device(), sim.with(|sim| sim.kicked())), (Some("belt.7"), 0));
    sim.with(|sim| sim.load_paper());
    let printed = job.outcome(10 * MINUTE).await.expect("known");
    assert!(matches!(printed, Print::Printed { .. }), "{printed:?}");
    assert_eq!(world.paper().matches("Flat white").count(), 1);
    here.kick_drawer(DrawerPin::Two).await.expect("opens");
}

#[tokio::test(start_paused = true)]
async fn a_scan_reaches_the_till_under_its_name_there() {
    let world = World::connected().await;
    let scanner = world.shop.till.scanner("scanner.7").expect("attached");
    world.scan("4006381333931");
    world.scan("5000159461122");
    for text in ["4006381333931", "5000159461122"] {
        let scan = timeout(MINUTE, scanner.next()).await.expect("comes").expect("is the caller's");
        assert_eq!((scan.text.as_str(), scan.device.as_str()), (text, "scanner.7"));
    }
    scanner.set_enabled(false).await.expect("can");
    scanner.set_enabled(true).await.expect("can");
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_journalled_here_and_there() {
    let world = World::connected().await;
    let terminal = world.shop.till.terminal("terminal.7").expect("attached");
    let own = world.handheld.till.terminal("terminal").expect("there").capabilities();
    assert_eq!(terminal.capabilities(), own);
    let (_keep, abort) = watch::channel(false);
    let paid = terminal.pay_as(Request::new("sale-1", Amount::eur(12_50)), abort.clone()).await.expect("begins");
    let Payment::Charged(charge) = &paid else { panic!("{paid:?}") };
    assert_eq!((charge.intent.0.as_str(), charge.amount), ("sale-1", Amount::eur(12_50)));
    world.agrees("sale-1", "paid").await;
    // The same key is the same payment.
    let again = terminal.pay_as(Request::new("sale-1", Amount::eur(12_50)), abort.clone()).await.expect("known");
    assert_eq!((again, world.charged()), (paid.clone(), 12_50));
    assert!(terminal.status().await.expect("answers").ready);

    let reference = charge.reference.clone().expect("named");
    let reversed = terminal.reverse_as(&reference, Request::new("undo-1", Amount::eur(12_50)), abort).await;
    assert!(matches!(reversed, Ok(Payment::Charged(_))), "{reversed:?}");
    assert_eq!(world.charged(), 0);
    let day = terminal.end_of_day().await.expect("closes");
    assert!(!day.receipt.is_empty() || day.total.is_some(), "{day:?}");
}

#[tokio::test(start_paused = true)]
async fn a_declined_payment_is_not_charged_at_both_and_what_cannot_be_is_refused() {
    let world = World::connected().await;
    let sim = world.handheld.counter.terminal("terminal").expect("there");
    sim.with(|sim| sim.misbehave(Misbehaviour::Decline(0x6c)));
    let terminal = world.shop.till.terminal("terminal.7").expect("attached");
    let (_keep, abort) = watch::channel(false);
    let paid = terminal.pay_as(Request::new("sale-1", Amount::eur(12_50)), abort.clone()).await.expect("begins");
    assert!(matches!(paid, Payment::NotCharged(_)), "{paid:?}");
    world.agrees("sale-1", "declined").await;
    // A local payment under that key is another payment.
    let local = world.handheld.till.terminal("terminal").expect("there");
    let local = local.pay_as(Request::new("sale-1", Amount::eur(3_00)), abort).await.expect("begins");
    assert!(matches!(local, Payment::Charged(_)), "{local:?}");
}

#[tokio::test(start_paused = true)]
async fn progress_and_questions_cross_the_line_and_the_till_answers() {
    let world = World::connected().await;
    let terminal = world.shop.till.terminal("terminal.7").expect("attached");
    let sim = world.handheld.counter.terminal("terminal").expect("there");
    let asks = Asks::Digits { text: "Postcode".into(), min: 5, max: 5 };
    sim.with(|sim| sim.profile_mut().asks = Some(asks));
    let device = DeviceId::new(Class::Terminal, "terminal.7");
    let progress = event(&world.shop.till, device.clone(), |kind| matches!(kind, EventKind::Payment(_)).then_some(()));
    let asked = event(&world.shop.till, device, |kind| match kind {
        EventKind::Question(open) => Some(open.clone()),
        _ => None,
    });
    let answer = async {
        let open = asked.await;
        assert_eq!(open.intent.as_ref().map(|intent| intent.0.as_str()), Some("sale-1"));
        terminal.answer(&open.id, Answer::Text("10115".into())).expect("open");
    };
    let (_keep, abort) = watch::channel(false);
    let (paid, (), ()) =
        tokio::join!(terminal.pay_as(Request::new("sale-1", Amount::eur(12_50)), abort), progress, answer);
    assert!(matches!(paid, Ok(Payment::Charged(_))), "{paid:?}");
    assert_eq!(sim.with(|sim| sim.entered().to_vec()), ["10115"]);
    world.agrees("sale-1", "asked").await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_reaches_the_terminal() {
    let world = World::connected().await;
    let terminal = world.shop.till.terminal("terminal.7").expect("attached");
    let sim = world.handheld.counter.terminal("terminal").expect("there");
    sim.with(|sim| sim.profile_mut().pace = Duration::from_secs(10));
    let (stop, abort) = watch::channel(false);
    let (paid, ()) = tokio::join!(terminal.pay_as(Request::new("sale-1", Amount::eur(12_50)), abort), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.send_replace(true);
    });
    assert!(matches!(paid, Ok(Payment::NotCharged(_))), "{paid:?}");
    world.agrees("sale-1", "aborted").await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_leaves_the_handheld_is_away_at_the_till_and_comes_back() {
    let world = World::connected().await;
    let sim = world.handheld.counter.terminal("terminal").expect("there");
    let terminal = world.shop.till.terminal("terminal.7").expect("attached");
    let begun = Instant::now();
    sim.unplug();
    terminal.phase().wait_for(Phase::is_away).await.expect("is told");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let refused = terminal.run(Operation::Totals, watch::channel(false).1).await.expect_err("is away");
    assert_eq!(refused.kind(), Kind::Closed, "{refused}");
    // The printer beside it is not concerned.
    let printer = world.shop.till.printer("belt.7").expect("attached");
    assert!(matches!(printer.print(&Receipt::new().text("a")).await, Ok(Print::Printed { .. })));
    sim.plug_in();
    timeout(5 * MINUTE, terminal.phase().wait_for(Phase::is_ready)).await.expect("comes back").expect("is open");
}

#[tokio::test(start_paused = true)]
async fn a_camera_shows_its_picture_at_the_till_which_reads_the_code() {
    let pictures = tempfile::tempdir().expect("a folder");
    let text = format!("[cameras.eye]\naddress = 'camera+file://{}?fps=5'\n", pictures.path().display());
    let mut world = World::with(&text).await;
    // A voucher, as the printer beside it prints it.
    let printer = world.handheld.till.printer("belt").expect("there");
    let voucher = Receipt::new().qr(Qr::new("VOUCHER-1").expect("fits"));
    assert!(matches!(printer.print(&voucher).await, Ok(Print::Printed { .. })));
    let png = world.handheld.counter.printer("belt").expect("there").with(|sim| sim.roll().to_png());
    std::fs::write(pictures.path().join("1.png"), png).expect("written");
    world.connect(None);
    world.ready().await;
    let camera = world.shop.till.camera("eye.7").expect("attached");
    let scan = timeout(MINUTE, camera.next()).await.expect("is seen").expect("is the caller's");
    assert_eq!((scan.text.as_str(), scan.device.as_str()), ("VOUCHER-1", "eye.7"));
    assert!(camera.frame().await.expect("shown").width() > 100);
}
