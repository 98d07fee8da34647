//! The till's process dies at any of its steps: what it had not written is gone.

use std::time::Duration;

use tresen_payment::{Payment, Terminal as _};

use super::counter::{Counter, is_charged, pay};
use super::sweep::profiles;

#[tokio::test(start_paused = true)]
async fn the_till_dies_anywhere() {
    let (mut cases, mut charged, mut not) = (0, 0, 0);
    for (kind, profile) in profiles().into_iter().filter(|(name, _)| name.contains("pace=0")) {
        for steps in 0.. {
            let name = format!("{kind}: dies at step {steps}");
            let counter = Counter::new(profile.clone());
            let mut terminal = counter.open().await.expect("logs in");
            let lived = {
                let mut payment = std::pin::pin!(pay(&mut terminal, "sale"));
                let mut left = steps;
                std::future::poll_fn(|cx| {
                    if left == 0 {
                        return std::task::Poll::Ready(false);
                    }
                    left -= 1;
                    payment.as_mut().poll(cx).map(|_| true)
                })
                .await
            };
            drop(terminal);
            let mut terminal = counter.open().await.expect("logs in again");
            terminal.recover().await.unwrap_or_else(|e| panic!("{name}: {e}"));
            while counter.sim.with(|s| s.is_busy()) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            assert!(counter.received("CardPayment") <= 1, "{name}");
            match counter.entry("sale").map(|e| e.payment.unwrap_or_else(|| panic!("{name}: no outcome"))) {
                None => assert_eq!(counter.received("CardPayment"), 0, "{name}"),
                Some(payment @ (Payment::Charged(_) | Payment::NotCharged(_))) => {
                    assert_eq!(usize::from(is_charged(&payment)), counter.stored(), "{name}: {payment:?}");
                    *(if is_charged(&payment) { &mut charged } else { &mut not }) += 1;
                }
                Some(other) => panic!("{name}: {other:?}"),
            }
            cases += 1;
            if lived {
                assert!(steps > 5, "{name}: the sweep reached the end");
                break;
            }
        }
    }
    println!("the till dies: {cases} cases, {charged} charged, {not} not");
    assert!(charged > 50 && not > 20, "{charged} {not}");
}
