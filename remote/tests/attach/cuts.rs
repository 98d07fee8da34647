//! Every message between handheld and till is the last of its connection once, with a payment, a job and a scan in flight.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tresen::payment::Request;
use tresen::{Amount, Payment, Print, Receipt};

use super::world::{Cut, World};

const MINUTES: Duration = Duration::from_secs(600);

/// Uses all devices at once over a line that is cut once; whether it was.
async fn use_all(cut: Cut) -> bool {
    let mut world = World::open().await;
    let plan = world.connect(Some(cut));
    world.ready().await;
    let till = &world.shop.till;
    let terminal = till.terminal("terminal.7").expect("attached");
    let (printer, scanner) = (
        till.printer("belt.7").expect("attached").with_patience(MINUTES),
        till.scanner("scanner.7").expect("attached"),
    );
    let (_keep, abort) = watch::channel(false);
    let receipt = Receipt::new().text("Flat white");
    let all = async {
        tokio::join!(
            terminal.pay_as(Request::new("sale-1", Amount::eur(12_50)), abort),
            printer.print_as("job-1", &receipt),
            async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                world.scan("4006381333931");
                scanner.next().await
            },
        )
    };
    let (paid, printed, scanned) = timeout(MINUTES, all).await.unwrap_or_else(|_| panic!("{cut:?}: it hangs"));
    match paid {
        // Refused: nothing was begun.
        Err(error) => {
            assert_eq!(error.effect(), tresen::Effect::None, "{cut:?}: {error}");
            assert_eq!(world.charged(), 0, "{cut:?}");
        }
        Ok(payment) => {
            world.agrees("sale-1", &format!("{cut:?}")).await;
            if payment.is_decided() {
                assert_eq!(matches!(payment, Payment::Charged(_)), world.charged() == 12_50, "{cut:?}: {payment:?}");
            }
        }
    }
    // The handheld has not been restarted: it knows what became of the job.
    assert!(matches!(printed, Ok(Print::Printed { .. })), "{cut:?}: {printed:?}");
    assert_eq!(world.paper().matches("Flat white").count(), 1, "{cut:?}: {}", world.paper());
    assert_eq!(scanned.expect("the caller's").text, "4006381333931", "{cut:?}");
    // Once: nothing more comes, also when the line is made anew.
    world.connect(None);
    world.ready().await;
    let scanner = world.shop.till.scanner("scanner.7").expect("attached");
    let more = timeout(Duration::from_secs(10), scanner.next()).await;
    assert!(more.is_err(), "{cut:?}: {more:?}");
    plan.lock().expect("sound").is_none()
}

async fn each(to_till: bool, arrives: bool) -> usize {
    let mut message = 0;
    while use_all(Cut { to_till, message, arrives }).await {
        message += 1;
    }
    message
}

#[tokio::test(start_paused = true)]
async fn each_message_of_the_handheld_is_lost_once() {
    let cuts = each(true, false).await;
    // An offer, a status, the answers to three calls, and what is told meanwhile.
    assert!(cuts >= 6, "{cuts}");
}

#[tokio::test(start_paused = true)]
async fn the_line_is_cut_after_each_message_of_the_handheld() {
    assert!(each(true, true).await >= 6);
}

#[tokio::test(start_paused = true)]
async fn each_message_of_the_till_is_lost_once() {
    let cuts = each(false, false).await;
    // What is attached, a status request, a payment, a job, and a scan that is taken.
    assert!(cuts >= 5, "{cuts}");
}

#[tokio::test(start_paused = true)]
async fn the_line_is_cut_after_each_message_of_the_till() {
    assert!(each(false, true).await >= 5);
}
