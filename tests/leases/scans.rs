//! To whom a scan goes while holders come and go.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tresen::hal::Runtime;
use tresen::hal::barcode::Symbology;
use tresen::lease::{Nature, Target};
use tresen::{Effect, Kind, Tresen};

use super::{SECOND, TTL, hand, open, runtime, scanner};

/// What is scanned while holders come and go.
#[tokio::test(start_paused = true)]
async fn each_scan_goes_to_one_and_to_the_right_one() {
    let (_folder, till) = open().await;
    let device = scanner(&till).await;
    let scan = |text: &str| device.with(|d| d.scan(text, Symbology::Code128));
    let [anna, bo] = ["anna", "bo"].map(|name| till.on_behalf_of(name));
    let next = |till: &Tresen| {
        let hand = till.scanner("hand").expect("attached");
        async move { tokio::time::timeout(SECOND, hand.next()).await.ok()?.ok().map(|scan| scan.text) }
    };
    // Nobody takes them: they wait, and the oldest goes first.
    scan("A-1");
    scan("A-2");
    assert_eq!(next(&till).await.as_deref(), Some("A-1"));
    assert_eq!(next(&anna).await.as_deref(), Some("A-2"), "anna is the listener from here on");
    scan("A-3");
    // Neither of them is left waiting without a word.
    for other in [&bo, &till] {
        let start = Instant::now();
        let refused = other.scanner("hand").expect("attached").next().await.expect_err("they are anna's");
        assert_eq!((refused.kind(), refused.effect(), start.elapsed()), (Kind::Busy, Effect::None, Duration::ZERO));
        assert!(refused.to_string().contains("its scans go to `anna`"), "{refused}");
    }
    assert_eq!(bo.scanner("hand").expect("attached").discard(), 0, "they are not his");
    assert_eq!(till.leases().await.expect("readable")[0].nature, Nature::Listener);
    assert_eq!(next(&anna).await.as_deref(), Some("A-3"));
    // Leasing it is how bo takes over.
    let lease = bo.lease(hand()).await.expect("a listener is no obstacle");
    scan("B-1");
    let refused = anna.scanner("hand").expect("attached").next().await.expect_err("they are bo's");
    assert!(refused.to_string().contains("leased by `bo`"), "{refused}");
    assert_eq!(next(&bo).await.as_deref(), Some("B-1"));
    scan("B-2");
    assert!(lease.release().await.expect("his"));
    assert_eq!(next(&anna).await.as_deref(), Some("B-2"), "what nobody took is not lost");
    // A listener who stops makes room.
    let (start, his) = (Instant::now(), bo.scanner("hand").expect("attached"));
    while let Ok(asked) = tokio::time::timeout(SECOND, his.next()).await {
        assert_eq!(asked.expect_err("nothing was scanned").kind(), Kind::Busy);
        tokio::time::sleep(SECOND).await;
        assert!(start.elapsed() < TTL + 2 * SECOND);
    }
    assert!(start.elapsed() >= TTL - 2 * SECOND, "{:?}", start.elapsed());
    scan("B-3");
    assert_eq!(next(&bo).await.as_deref(), Some("B-3"));
}

/// Whoever is waiting for a scan is told as soon as the scans go to somebody else, and loses none that came before.
#[tokio::test(start_paused = true)]
async fn a_caller_who_waits_for_a_scan_is_told_when_another_takes_the_scanner() {
    let (_folder, till) = open().await;
    let device = scanner(&till).await;
    let [anna, bo] = ["anna", "bo"].map(|name| till.on_behalf_of(name));
    for waiter in [till.clone(), anna] {
        let waiting = tokio::spawn({
            let hand = waiter.scanner("hand").expect("attached");
            async move { hand.next().await }
        });
        tokio::time::sleep(SECOND).await;
        let lease = bo.lease(hand()).await.expect("waiting is no obstacle");
        let refused = waiting.await.expect("no panic").expect_err("they are bo's now");
        assert_eq!((refused.kind(), refused.device()), (Kind::Busy, Some("hand")), "{refused}");
        assert!(refused.to_string().contains("leased by `bo`"), "{refused}");
        device.with(|d| d.scan("WORD", Symbology::Code128));
        assert_eq!(bo.scanner("hand").expect("attached").next().await.expect("his").text, "WORD");
        // A holder whose lease was taken over is told that, and by whom.
        let chief = till.on_behalf_of("chief");
        let stale = lease.till().scanner("hand").expect("attached");
        let taken = chief.take_over(hand(), "the shift is over").await.expect("with a reason");
        let taken = taken.wait().await.expect("at once");
        let refused = stale.next().await.expect_err("it has ended");
        assert_eq!(refused.kind(), Kind::Cancelled, "{refused}");
        assert!(taken.release().await.expect("hers"));
    }
}

#[tokio::test(start_paused = true)]
async fn no_scan_is_lost_or_doubled_while_holders_change_and_waits_are_dropped() {
    const SCANS: usize = 300;
    let (_folder, till) = open().await;
    let device = scanner(&till).await;
    let dice = Arc::new(runtime());
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut takers = Vec::new();
    for name in ["anna", "bo", "cleo", ""] {
        let caller = if name.is_empty() { till.clone() } else { till.on_behalf_of(name) };
        let (dice, taken) = (dice.clone(), taken.clone());
        takers.push(tokio::spawn(async move {
            let hand = caller.scanner("hand").expect("attached");
            loop {
                // Dropped at any moment, also between being woken and returning.
                let patience = Duration::from_millis(dice.random() % 40);
                match tokio::time::timeout(patience, hand.next()).await {
                    Ok(Ok(scan)) => taken.lock().expect("whole").push(scan.text),
                    Ok(Err(_)) => tokio::time::sleep(patience.max(Duration::from_millis(1))).await,
                    Err(_) => {}
                }
                if !name.is_empty() && dice.random().is_multiple_of(5) {
                    match caller.lease(hand_of(&hand)).await {
                        Ok(lease) if dice.random().is_multiple_of(2) => _ = lease.release().await,
                        Ok(_) => {}
                        Err(_) if dice.random().is_multiple_of(3) => {
                            drop(caller.take_over(hand_of(&hand), "its my turn").await);
                        }
                        Err(_) => {}
                    }
                }
                tokio::task::yield_now().await;
            }
        }));
    }
    for n in 0..SCANS {
        device.with(|d| d.scan(format!("CODE-{n}"), Symbology::Code128));
        tokio::time::sleep(Duration::from_millis(dice.random() % 30)).await;
    }
    let all: Vec<_> = (0..SCANS).map(|n| format!("CODE-{n}")).collect();
    let end = Instant::now() + 3 * TTL;
    while taken.lock().expect("whole").len() < SCANS && Instant::now() < end {
        tokio::time::sleep(SECOND).await;
    }
    takers.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(*taken.lock().expect("whole"), all, "each once, the oldest first");
}

fn hand_of(hand: &tresen::Scanner) -> Target {
    hand.into()
}
