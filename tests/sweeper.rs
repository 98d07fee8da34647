//! Payments whose end was not heard: the till asks again by itself, records what comes of it with the sale, and tells a
//! person in time. It never charges and never reverses.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::desk::{Desk, Place, event, pass, ready};
use common::epson;
use tokio::sync::watch;
use tresen::health::Alert;
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{OnRepeat, Profile, Simulator};
use tresen::payment::{Decision, Request};
use tresen::sale::{Line, Sale, Sold, TenderState, Vat};
use tresen::{Amount, Attention, Class, DeviceId, EventKind, Events, Payment, Print, Tresen};

const PRICE: Amount = Amount::eur(12_50);

/// A customer takes some seconds, and a terminal that has lost its till goes on with the customer.
fn slow() -> Profile {
    Profile { commit: Commit::Keeps, finishes_alone: true, pace: Duration::from_secs(1), ..Profile::default() }
}

fn no_abort() -> watch::Receiver<bool> {
    watch::channel(false).1
}

async fn basket(till: &Tresen) -> Sale {
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Menu", 1, PRICE, Vat::percent(19)).expect("fits")).await.expect("kept");
    sale
}

async fn open(desk: &Desk) -> Tresen {
    let till = desk.open().await;
    ready(&till, Class::Printer, "receipt").await;
    till
}

/// Pays the basket, and the plug of the terminal is pulled while the customer is at it. The outcome is unknown then.
async fn pay_into_the_dark(till: &Tresen, terminal: &Arc<Place<Simulator>>) -> Sale {
    let mut sale = basket(till).await;
    let card = till.terminal("counter").expect("configured");
    let paying = tokio::spawn(async move {
        let payment = sale.pay_card(&card, no_abort()).await.expect("sent");
        (sale, payment)
    });
    pass(Duration::from_millis(2_500)).await;
    assert_eq!(terminal.with(|t| t.received(0x0601)), 1, "the customer is at it");
    terminal.plugged_in(false);
    let (sale, payment) = paying.await.expect("no panic");
    assert!(matches!(payment, Payment::Unknown(_)), "{payment:?}");
    assert!(sale.is_pending());
    sale
}

fn attention(till: &Tresen) -> Vec<Attention> {
    let id = DeviceId::new(Class::Terminal, "counter");
    till.devices().into_iter().find(|state| state.id == id).expect("configured").attention
}

fn in_doubt(events: &mut Events) -> usize {
    std::iter::from_fn(|| events.try_next()).filter(|e| matches!(e.kind, EventKind::PaymentInDoubt { .. })).count()
}

/// The terminal was asked, and no more than that.
fn moved_once(terminal: &Arc<Place<Simulator>>) {
    let sent = terminal.with(|t| [0x0601, 0x0630, 0x0631].map(|code| t.received(code)));
    assert_eq!(sent, [1, 0, 0], "authorisations, reversals, refunds");
    assert_eq!(terminal.with(|t| t.ledger().turnover()), 12_50);
}

#[tokio::test(start_paused = true)]
async fn a_sale_in_doubt_blocks_nothing_is_told_about_once_and_settles_itself() {
    let mut desk = Desk::new();
    desk.till("tell-after = '5m'");
    desk.configure("[health]\ndisk-low = '0 MB'");
    desk.printer("receipt", "", epson());
    let bar = Profile { terminal_id: "60000002".into(), ..Profile::default() };
    let (terminal, bar) = (desk.terminal("counter", slow()), desk.terminal("bar", bar));
    let till = open(&desk).await;
    for name in ["counter", "bar"] {
        ready(&till, Class::Terminal, name).await;
    }
    let mut events = till.events();
    let began = till.runtime().wall();
    let sale = pay_into_the_dark(&till, &terminal).await;
    let asked = terminal.with(|t| t.received(0x0620));

    // Others buy: in cash, and by card elsewhere.
    let checkout = till.checkout("receipt").expect("configured");
    let mut cash = basket(&till).await;
    cash.pay_cash(PRICE).await.expect("taken");
    let mut card = basket(&till).await;
    card.pay_card(&till.terminal("bar").expect("configured"), no_abort()).await.map(drop).expect("sent");
    for sale in [&mut cash, &mut card] {
        let sold = checkout.close(sale).await.expect("stored");
        assert!(matches!(sold, Sold::Closed { print: Print::Printed { .. }, .. }), "{sold:?}");
    }
    assert_eq!(bar.with(|t| t.ledger().turnover()), 12_50);

    // After five minutes a person is told, once.
    let (intent, of, since) = event(&mut events, |source, kind| match kind {
        EventKind::PaymentInDoubt { intent, sale, since, amount, .. } if source == "counter" => {
            assert_eq!(amount, PRICE);
            Some((intent, sale, since))
        }
        _ => None,
    })
    .await;
    let waited = till.runtime().wall().duration_since(since);
    assert!((300..=330).contains(&waited.as_secs()), "told after {waited:?}");
    assert!(since >= began && of.as_deref() == Some(sale.id()) && intent.0 == sale.tenders()[0].key);
    assert!(attention(&till).contains(&Attention::PaymentInDoubt), "{:?}", attention(&till));
    let health = till.health().await;
    let [alert] = &health.alerts[..] else { panic!("one alert: {:?}", health.alerts) };
    assert_eq!((alert.alert, alert.source.name()), (Alert::PaymentInDoubt, "counter"));
    assert!(alert.why.starts_with(&format!("1 payment is undecided, the oldest, {}", intent.0)), "{}", alert.why);
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).map(|event| event.kind.name()).collect();
    let told: Vec<_> = told.into_iter().filter(|name| name.starts_with("alert") || name.contains("doubt")).collect();
    assert_eq!(told, [""; 0], "once");
    pass(Duration::from_secs(900)).await;
    assert_eq!(in_doubt(&mut events), 0, "once");
    assert_eq!(terminal.with(|t| t.received(0x0620)), asked, "nobody can ask it");

    // It is back, and nobody looks at the sale.
    terminal.plugged_in(true);
    let (settled, due) = event(&mut events, |_, kind| match kind {
        EventKind::SaleSettled { sale, due } => Some((sale, due)),
        _ => None,
    })
    .await;
    assert_eq!((settled.as_str(), due), (sale.id(), Amount::eur(0)));
    let mut stored = till.sale(sale.id()).await.expect("readable").expect("there");
    assert_eq!((stored.tenders()[0].state, stored.is_pending()), (TenderState::Taken, false));
    assert_eq!(attention(&till), []);
    pass(Duration::from_secs(1)).await;
    let cleared = EventKind::AlertCleared { alert: Alert::PaymentInDoubt };
    let events: Vec<_> = till.recent_events().into_iter().map(|event| event.kind).collect();
    assert_eq!(events.iter().filter(|kind| kind.name().starts_with("alert")).collect::<Vec<_>>(), [&cleared]);
    assert_eq!(till.health().await.alerts, []);
    let sold = checkout.close(&mut stored).await.expect("stored");
    assert!(matches!(sold, Sold::Closed { print: Print::Printed { .. }, .. }), "{sold:?}");
    moved_once(&terminal);
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_person_is_told_again_and_the_sale_settles_all_the_same() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let terminal = desk.terminal("counter", slow());
    let till = open(&desk).await;
    ready(&till, Class::Terminal, "counter").await;
    let mut events = till.events();
    let sale = pay_into_the_dark(&till, &terminal).await;
    event(&mut events, |_, kind| matches!(kind, EventKind::PaymentInDoubt { .. }).then_some(())).await;
    till.close(Duration::from_secs(5)).await.expect("closed");
    drop(till);

    let till = open(&desk).await;
    let mut events = till.events();
    let restarted = tokio::time::Instant::now();
    let of = event(&mut events, |_, kind| match kind {
        EventKind::PaymentInDoubt { sale, .. } => Some(sale),
        _ => None,
    })
    .await;
    assert_eq!(of.as_deref(), Some(sale.id()));
    assert!(restarted.elapsed() <= Duration::from_secs(90), "{:?}", restarted.elapsed());
    terminal.plugged_in(true);
    let due = event(&mut events, |_, kind| match kind {
        EventKind::SaleSettled { sale: settled, due } if settled == sale.id() => Some(due),
        _ => None,
    })
    .await;
    assert_eq!(due, Amount::eur(0));
    // What is paid is closed by whoever holds the receipt's layout.
    let resumed = till.checkout("receipt").expect("configured").resume().await.expect("readable");
    assert!(matches!(&resumed[..], [(_, Ok(Sold::Closed { .. }))]), "{resumed:?}");
    moved_once(&terminal);
}

/// It is there, but cannot tell its last transaction for a while.
#[tokio::test(start_paused = true)]
async fn a_terminal_that_cannot_tell_is_asked_again_with_growing_delays() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let terminal = desk.terminal("counter", slow());
    let till = open(&desk).await;
    ready(&till, Class::Terminal, "counter").await;
    let mut events = till.events();
    let sale = pay_into_the_dark(&till, &terminal).await;
    terminal.with(|t| t.profile_mut().repeat = OnRepeat::Refuses(0x83));
    terminal.plugged_in(true);
    ready(&till, Class::Terminal, "counter").await;
    pass(Duration::from_secs(120)).await;
    let asked = || terminal.with(|t| t.received(0x0620));
    let lines = async || till.store().journal().limit(10_000).await.expect("readable").len();
    let (before, journalled) = (asked(), lines().await);
    pass(Duration::from_secs(600)).await;
    // Once a minute.
    assert!((9..=11).contains(&(asked() - before)), "asked {} times in ten minutes", asked() - before);
    assert_eq!(lines().await, journalled, "the same answer is no news");
    assert!(till.sale(sale.id()).await.expect("readable").expect("there").is_pending());
    assert_eq!(in_doubt(&mut events), 1);

    terminal.with(|t| t.profile_mut().repeat = OnRepeat::Shows);
    let told = tokio::time::Instant::now();
    event(&mut events, |_, kind| matches!(kind, EventKind::SaleSettled { .. }).then_some(())).await;
    assert!(told.elapsed() <= Duration::from_secs(75), "{:?}", told.elapsed());
    moved_once(&terminal);
}

/// The next customer pays at the same terminal; after that it shows the wrong transaction, and a person decides.
#[tokio::test(start_paused = true)]
async fn the_same_terminal_serves_the_next_customer_and_a_person_settles_the_rest() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let terminal = desk.terminal("counter", slow());
    let till = open(&desk).await;
    ready(&till, Class::Terminal, "counter").await;
    let mut events = till.events();
    let sale = pay_into_the_dark(&till, &terminal).await;
    terminal.with(|t| t.profile_mut().repeat = OnRepeat::Refuses(0x83));
    terminal.plugged_in(true);
    ready(&till, Class::Terminal, "counter").await;
    let card = till.terminal("counter").expect("configured");
    let next = card.pay_as(Request::new("next", Amount::eur(3_00)), no_abort()).await.expect("sent");
    assert!(matches!(next, Payment::Charged(_)), "{next:?}");
    let intent = sale.tenders()[0].intent.clone().expect("a card payment");
    let decision = Decision::charged(PRICE, "bo", "the customer's slip");
    till.settle(&intent, decision).await.map(drop).expect("it is open");
    let settled = event(&mut events, |_, kind| match kind {
        EventKind::SaleSettled { sale, due } => Some((sale, due)),
        _ => None,
    })
    .await;
    assert_eq!(settled, (sale.id().to_owned(), Amount::eur(0)));
    assert_eq!(terminal.with(|t| t.received(0x0601)), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_neither_hurries_nor_delays_the_alarm() {
    for seconds in [-86_400, 86_400] {
        let mut desk = Desk::new();
        desk.printer("receipt", "", epson());
        let terminal = desk.terminal("counter", slow());
        let till = open(&desk).await;
        ready(&till, Class::Terminal, "counter").await;
        let mut events = till.events();
        let began = tokio::time::Instant::now();
        pay_into_the_dark(&till, &terminal).await;
        pass(Duration::from_secs(60)).await;
        desk.set_clock(seconds);
        event(&mut events, |_, kind| matches!(kind, EventKind::PaymentInDoubt { .. }).then_some(())).await;
        let told = began.elapsed().as_secs();
        assert!((300..=335).contains(&told), "set by {seconds} s: told after {told} s");
    }
}

/// A screen that lists the sales while a customer is at the terminal.
#[tokio::test(start_paused = true)]
async fn reading_the_sales_changes_none_whose_payment_is_running() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    desk.terminal("counter", slow());
    let till = open(&desk).await;
    ready(&till, Class::Terminal, "counter").await;
    let mut sale = basket(&till).await;
    let id = sale.id().to_owned();
    let card = till.terminal("counter").expect("configured");
    let paying = tokio::spawn(async move {
        let paid = sale.pay_card(&card, no_abort()).await.expect("sent");
        (sale, paid)
    });
    pass(Duration::from_millis(100)).await;
    let begun = till.sale(&id).await.expect("read").expect("there");
    let lines = async || till.store().journal().limit(10_000).await.expect("readable").len();
    let mut journalled = 0;
    while !paying.is_finished() {
        let before = lines().await;
        let [listed] = &till.open_sales().await.expect("read")[..] else { panic!("one sale") };
        let mut again = listed.clone();
        again.refresh().await.expect("read");
        if lines().await == before && listed.tenders()[0].state == TenderState::Begun {
            assert_eq!((listed.rev(), again.rev()), (begun.rev(), begun.rev()));
            journalled = journalled.max(before);
        }
        pass(Duration::from_millis(500)).await;
    }
    assert!(journalled >= 1, "the intent was in the journal meanwhile");
    let (sale, paid) = paying.await.expect("no panic");
    assert!(matches!(paid, Payment::Charged(_)), "{paid:?}");
    assert_eq!((sale.rev(), sale.tenders()[0].state), (begun.rev() + 1, TenderState::Taken), "begun, then taken");
}
