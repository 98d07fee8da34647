//! Two terminals with the same id and the same receipt numbers under two names, and a terminal that was exchanged for
//! another of the same id, whose numbers begin again: neither payment is mistaken for another, and selling goes on.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::desk::{Desk, pass, ready};
use tresen::hal::sim::Device;
use tresen::payment::{Decision, IntentId, Reference, Request, opi, zvt};
use tresen::{Amount, Class, Payment, StoredPayment, Tresen};

const PRICE: Amount = Amount::eur(12_50);
const NAMES: [&str; 2] = ["bar", "counter"];

fn quiet() -> opi::sim::Profile {
    opi::sim::Profile { receipts: None, shows: false, ..Default::default() }
}

fn keeps() -> zvt::sim::Profile {
    zvt::sim::Profile { commit: zvt::Commit::Keeps, ..Default::default() }
}

async fn open(desk: &Desk) -> Tresen {
    let till = desk.open().await;
    for name in NAMES {
        ready(&till, Class::Terminal, name).await;
    }
    till
}

async fn pay(till: &Tresen, terminal: &str, key: &str) -> Payment {
    let never = tokio::sync::watch::channel(false).1;
    let card = till.terminal(terminal).expect("configured");
    card.pay_as(Request::new(key, PRICE), never).await.expect("begun")
}

fn reference(payment: &Payment) -> Reference {
    let charge = payment.charge().unwrap_or_else(|| panic!("{payment:?}"));
    charge.reference.clone().expect("it names it")
}

async fn stored(till: &Tresen) -> BTreeMap<String, StoredPayment> {
    let all = till.store().payments().await.expect("read").rows;
    all.into_iter().map(|payment| (payment.intent.id.0.clone(), payment)).collect()
}

/// Sells and reverses at both; `stands` what each terminal has that was not taken back, in minor units.
async fn sells_and_reverses(till: &Tresen, stands: impl Fn() -> [i64; 2]) {
    let first = reference(&pay(till, "bar", "bar-1").await);
    let second = reference(&pay(till, "counter", "counter-1").await);
    assert_eq!(first, second, "the two terminals name their payments the same");
    assert_eq!(stands(), [12_50, 12_50]);

    let counter = till.terminal("counter").expect("configured");
    let back = counter.reverse(&second, PRICE).await.expect("begun");
    assert!(matches!(back, Payment::Charged(_)), "{back:?}");
    assert_eq!(stands(), [12_50, 0], "taken back where it was asked for");
    let all = stored(till).await;
    assert_eq!((&all["bar-1"].reversed_by, &all["bar-1"].intent.terminal), (&None, &"bar".to_owned()));
    assert_eq!(all["counter-1"].reversed_by.as_ref(), Some(back.intent()));

    let bar = till.terminal("bar").expect("configured");
    let back = bar.reverse(&first, PRICE).await.expect("begun");
    assert!(matches!(back, Payment::Charged(_)), "{back:?}");
    assert_eq!(stands(), [0, 0]);
    assert_eq!(stored(till).await["bar-1"].reversed_by.as_ref(), Some(back.intent()));
}

#[tokio::test(start_paused = true)]
async fn two_equal_zvt_terminals_are_told_apart_by_their_names() {
    let mut desk = Desk::new();
    let terminals = NAMES.map(|name| desk.terminal(name, keeps()));
    let till = open(&desk).await;
    sells_and_reverses(&till, || [0, 1].map(|n| terminals[n].with(|t| t.ledger().turnover()))).await;
}

/// The answer of one is lost while the other takes the same amount under the same number: each is asked about its own.
#[tokio::test(start_paused = true)]
async fn two_equal_opi_terminals_are_told_apart_by_their_names() {
    let mut desk = Desk::new();
    let terminals = NAMES.map(|name| desk.opi_terminal(name, "", quiet()));
    let till = open(&desk).await;
    sells_and_reverses(&till, || [0, 1].map(|n| terminals[n].with(|t| t.ledger().turnover()))).await;

    for (n, approved) in [(0, true), (1, false)] {
        // The first message to the till is the one before, the second the answer.
        let hang_up = opi::sim::Misbehaviour::HangUp { side: opi::sim::Side::ToTill, message: 1, after: false };
        terminals[n].with(|t| {
            t.misbehave(hang_up);
            if !approved {
                t.misbehave(opi::sim::Misbehaviour::Decline);
            }
        });
        let keys = ["lost", "heard"].map(|word| format!("{word}-{n}"));
        let lost = pay(&till, NAMES[n], &keys[0]);
        let (lost, heard) = tokio::join!(biased; lost, pay(&till, NAMES[1 - n], &keys[1]));
        assert!(matches!(heard, Payment::Charged(_)), "{heard:?}");
        match lost {
            Payment::Charged(_) => assert!(approved),
            Payment::NotCharged(_) => assert!(!approved),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!([0, 1].map(|n| terminals[n].with(|t| t.ledger().turnover())), [2 * 12_50, 12_50]);
    assert_eq!(till.open_payments("bar").await.expect("read"), []);
    assert_eq!(till.open_payments("counter").await.expect("read"), []);
}

/// Three payments at the old terminal, then three and more at the new one, whose numbers are those of the old one until
/// they have passed them. Returns what the till says of them.
async fn exchanged(till: &Tresen, exchange: impl FnOnce(), new_turnover: impl Fn() -> i64) {
    for n in 0..3 {
        reference(&pay(till, "bar", &format!("old-{n}")).await);
    }
    exchange();
    pass(Duration::from_secs(30)).await;
    ready(till, Class::Terminal, "bar").await;
    let mut known = 0;
    let mut unknown = Vec::new();
    for n in 0..6 {
        let key = format!("new-{n}");
        match pay(till, "bar", &key).await {
            Payment::Charged(_) => known += 1,
            Payment::Unknown(doubt) => {
                assert!(!doubt.why.is_empty());
                unknown.push(key);
            }
            // The new terminal has approved each.
            other => panic!("{key}: {other:?}"),
        }
        assert_eq!(new_turnover(), 12_50 * (n + 1), "each was sent once, and none was held up");
    }
    assert!(known >= 3, "what has a new number is charged: {known}, in doubt {unknown:?}");
    let all = stored(till).await;
    for n in 0..3 {
        let old = &all[&format!("old-{n}")];
        assert!(matches!(old.outcome(), Some(Payment::Charged(_))), "{old:?}");
        assert_eq!(old.reversed_by, None);
    }
    // A person decides the others by the new terminal's slips, and nothing stays open.
    for key in unknown {
        let decision = Decision::charged(PRICE, "Ada", "the slip of the new terminal");
        let settled = till.settle(&IntentId(key), decision).await.expect("it is open");
        assert!(matches!(settled, Payment::Charged(_)), "{settled:?}");
    }
    assert_eq!(till.open_payments("bar").await.expect("read"), []);
    assert_eq!(new_turnover(), 6 * 12_50);
}

#[tokio::test(start_paused = true)]
async fn an_exchanged_zvt_terminal_with_the_old_numbers_is_never_mistaken_for_the_old_one() {
    let mut desk = Desk::new();
    let terminal = desk.terminal("bar", keeps());
    desk.terminal("counter", keeps());
    let till = open(&desk).await;
    let exchange = || {
        terminal.plugged_in(false);
        terminal.with(|old| *old = zvt::sim::Simulator::new(keeps()));
        terminal.plugged_in(true);
    };
    exchanged(&till, exchange, || terminal.with(|t| t.ledger().turnover())).await;
}

#[tokio::test(start_paused = true)]
async fn an_exchanged_opi_terminal_with_the_old_numbers_is_never_mistaken_for_the_old_one() {
    let mut desk = Desk::new();
    let terminal = desk.opi_terminal("bar", "", quiet());
    desk.opi_terminal("counter", "", quiet());
    let till = open(&desk).await;
    let exchange = || terminal.with(|old| *old = opi::sim::Simulator::new(quiet()));
    exchanged(&till, exchange, || terminal.with(|t| t.ledger().turnover())).await;
}

/// The old terminal has charged, and nobody has heard it. The new one counts as far as the old one had before, a day later.
#[tokio::test(start_paused = true)]
async fn a_terminal_exchanged_while_a_payment_is_open_does_not_say_that_nothing_was_charged() {
    let on_day = |day: &str| {
        let at: jiff::Timestamp = day.parse().expect("a time");
        Some(at.to_zoned(jiff::tz::TimeZone::system()).datetime())
    };
    let old = zvt::sim::Profile {
        finishes_alone: true,
        pace: Duration::from_secs(1),
        time: on_day("2026-01-02T08:00:00Z"),
        ..keeps()
    };
    let mut desk = Desk::new();
    let terminal = desk.terminal("bar", old);
    desk.terminal("counter", keeps());
    let till = open(&desk).await;
    reference(&pay(&till, "bar", "heard").await);
    let unheard = async {
        pass(Duration::from_millis(2_500)).await;
        terminal.plugged_in(false);
        // It goes on with the customer.
        let now = tokio::time::Instant::now().into_std();
        terminal.with(|t| Device::disconnected(t, now));
        for second in 1..30 {
            terminal.with(|t| Device::timeout(t, now + Duration::from_secs(second)));
        }
        assert_eq!(terminal.with(|t| t.ledger().turnover()), 2 * 12_50, "the old one has charged both");
        let new = zvt::sim::Profile { time: on_day("2026-01-03T08:00:00Z"), ..keeps() };
        terminal.with(|t| {
            *t = zvt::sim::Simulator::new(new);
            t.by_hand(zvt::sim::Kind::Payment, PRICE);
        });
        terminal.plugged_in(true);
    };
    let (payment, ()) = tokio::join!(biased; pay(&till, "bar", "unheard"), unheard);
    let Payment::Unknown(unknown) = &payment else { panic!("{payment:?}") };
    assert!(unknown.why.contains("after the attempt"), "{}", unknown.why);
    pass(Duration::from_secs(600)).await;
    let open = till.open_payments("bar").await.expect("read");
    assert_eq!(open.len(), 1, "a person decides: {open:?}");
    reference(&pay(&till, "bar", "next").await);
}
