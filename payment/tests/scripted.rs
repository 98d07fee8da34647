//! Terminals of other makes, message by message, as manuals and field captures have them.

mod common;

use common::{Counter, PRICE, is_charged, pay, reason, why};
use tokio::sync::mpsc;
use tokio::sync::watch;
use tresen_payment::zvt::sim::Profile;
use tresen_payment::zvt::{self, Charset};
use tresen_payment::{Host, Payment, Progress, Reason, Request, Terminal};

/// A terminal of another make, message by message: what it wants shown is progress, and why it
/// refuses stands in the data (`84 1E 01 7D`, as seen in the field).
#[tokio::test(start_paused = true)]
async fn display_texts_are_progress_and_a_refusal_reads_its_reason() {
    use tresen_hal::Link;
    let (near, far) = tresen_hal::link::memory::pair();
    let counter = Counter::new(Profile::default());
    tokio::spawn(async move {
        let mut heard = Vec::new();
        // Status byte 04 in the registration's completion: the day has to be closed.
        far.send(&[0x80, 0, 0, 0x06, 0x0f, 0x02, 0x19, 0x04]).await.expect("open");
        let mut payments = 0;
        while far.recv(&mut heard).await.is_ok() {
            if heard.starts_with(&[0x05, 0x01]) {
                far.send(&[0x80, 0, 0, 0x06, 0x0f, 0x01, 0x00]).await.expect("open");
            } else if heard.starts_with(&[0x06, 0x20]) {
                far.send(&[0x84, 0x83, 0]).await.expect("open");
            } else if heard.starts_with(&[0x06, 0x01]) && payments == 0 {
                payments += 1;
                far.send(&[0x80, 0, 0, 0x06, 0xe0, 0x09, 0x0a, 0xf1, 0xf0, 0xf5]).await.expect("open");
                far.send(b"Bitte").await.expect("open");
                far.send(&[0x04, 0x0f, 0x02, 0x27, 0x05, 0x06, 0x1e, 0x01, 0x05]).await.expect("open");
            } else if heard.starts_with(&[0x06, 0x01]) {
                far.send(&[0x84, 0x1e, 0x01, 0x7d]).await.expect("open");
            }
            heard.clear();
        }
    });
    let clock = std::sync::Arc::new(counter.clock.clone());
    let mut terminal =
        tresen_payment::zvt::open(Box::new(near), counter.options.clone(), counter.journal.clone(), clock)
            .await
            .expect("registers");
    let status = terminal.status().await.expect("answers");
    assert!(status.ready && status.text.contains("its day has to be closed"), "{status:?}");
    let (progress, mut told) = mpsc::channel(Host::KEPT);
    let (_abort, abort) = watch::channel(false);
    let payment = terminal.pay(Request::new("a", PRICE), Host::with(progress, abort)).await.expect("an outcome");
    assert_eq!(reason(&payment), Reason::Declined);
    assert_eq!(told.try_recv().expect("told"), Progress::Display("Bitte".into()));
    let payment = pay(&mut terminal, "b").await.expect("an outcome");
    match payment {
        Payment::NotCharged(not) => assert_eq!((not.reason, not.code), (Reason::Unavailable, Some(0x7d))),
        other => panic!("{other:?}"),
    }
}

/// A terminal by hand: what it says to each command.
async fn by_hand(
    counter: &Counter,
    says: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> tresen_hal::Result<zvt::Terminal> {
    use tresen_hal::Link;
    let (near, far) = tresen_hal::link::memory::pair();
    tokio::spawn(async move {
        let mut heard = Vec::new();
        while far.recv(&mut heard).await.is_ok() {
            let answers = match heard.as_slice() {
                [0x80, ..] => Vec::new(),
                [0x06, 0x00, ..] => vec![vec![0x80, 0, 0], vec![0x06, 0x0f, 0]],
                heard => says(heard),
            };
            for answer in answers {
                far.send(&answer).await.expect("open");
            }
            heard.clear();
        }
    });
    let clock = std::sync::Arc::new(counter.clock.clone());
    zvt::open(Box::new(near), counter.options.clone(), counter.journal.clone(), clock).await
}

/// `04 0F`: result 00, amount 12.50, receipt 7.
const APPROVED: [u8; 15] = [0x04, 0x0f, 0x0c, 0x27, 0, 0x04, 0, 0, 0, 0, 0x12, 0x50, 0x87, 0x00, 0x07];

#[tokio::test(start_paused = true)]
async fn a_terminal_that_calls_itself_idle_and_only_refuses_to_tell_its_last_transaction_is_paid_at() {
    let counter = Counter::new(Profile::default());
    let receipt = std::sync::atomic::AtomicU8::new(1);
    let approved = move || {
        let next = receipt.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        [&APPROVED[..14], &[next]].concat()
    };
    let opened = by_hand(&counter, move |heard| match heard {
        [0x06, 0x20, ..] => vec![vec![0x84, 0x9c, 0]],
        [0x05, 0x01, ..] => vec![vec![0x80, 0, 0, 0x06, 0x0f, 0x01, 0x00]],
        [0x06, 0x01, ..] => vec![vec![0x80, 0, 0], approved(), vec![0x06, 0x0f, 0]],
        _ => vec![],
    });
    let mut terminal = opened.await.expect("registers");
    let mut waits = Vec::new();
    for id in ["a", "b"] {
        let began = tokio::time::Instant::now();
        assert!(is_charged(&pay(&mut terminal, id).await.expect("an outcome")));
        waits.push(began.elapsed().as_secs());
    }
    let patience = counter.options.patience.as_secs();
    assert!((patience..patience + 5).contains(&waits[0]) && waits[1] < 5, "it is waited for once: {waits:?}");
}

/// Some terminals send ISO 8859-1 although nobody has agreed on that.
#[tokio::test(start_paused = true)]
async fn the_character_set_of_the_options_counts_where_the_terminal_names_none() {
    // E4 is `Σ` in code page 437.
    for (charset, text) in [(Some(Charset::Iso8859(1)), "Händler"), (None, "HΣndler")] {
        let mut counter = Counter::new(Profile::default());
        counter.options.charset = charset;
        let line = [&[0x06, 0xd1, 0x08, 0x81][..], b"H\xe4ndler"].concat();
        let opened = by_hand(&counter, move |heard| match heard {
            [0x06, 0x20, ..] => vec![vec![0x84, 0x83, 0]],
            [0x06, 0x01, ..] => vec![vec![0x80, 0, 0], APPROVED.to_vec(), line.clone(), vec![0x06, 0x0f, 0]],
            _ => vec![],
        });
        let mut terminal = opened.await.expect("registers");
        match pay(&mut terminal, "sale").await.expect("an outcome") {
            Payment::Charged(charge) => {
                assert_eq!([charge.customer_slip, charge.merchant_slip].concat(), [text]);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn results_that_differ_again_and_again_end_unknown() {
    let counter = Counter::new(Profile::default());
    let opened = by_hand(&counter, |heard| match heard {
        [0x06, 0x20, ..] => vec![vec![0x84, 0x83, 0]],
        [0x06, 0x01, ..] => {
            let result = |n: u8| [&APPROVED[..14], &[n]].concat();
            std::iter::once(vec![0x80, 0, 0]).chain((0..10_000u32).map(|n| result((n % 100) as u8))).collect()
        }
        _ => vec![],
    });
    let mut terminal = opened.await.expect("registers");
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(why(&payment).contains("different results"), "{payment:?}");
}
