//! An OPI terminal that may still be busy with the customer is given more time than a caller waits: the caller gets one
//! answer, and the till goes on asking.

mod common;

use std::time::Duration;

use common::desk::{Desk, event, pass, ready};
use tokio::sync::watch;
use tokio::time::Instant;
use tresen::payment::opi::sim::{Misbehaviour, OnLoss, Profile, Side};
use tresen::payment::{IntentId, Request};
use tresen::sale::{Line, TenderState, Vat};
use tresen::{Amount, Class, EventKind, Payment, SaleState, Terminal};

const PRICE: Amount = Amount::eur(12_50);

/// A terminal that serves its customer for `pace` and meanwhile shows the message before.
fn lies_idle(pace: u64, on_loss: OnLoss) -> Profile {
    Profile {
        receipts: None,
        shows: false,
        lies_idle: true,
        pace: Duration::from_secs(pace),
        on_loss,
        ..Profile::default()
    }
}

/// The request arrives, and the connection ends with it.
fn lost_after_request() -> Misbehaviour {
    // The first message from the till asks for the last message, the second is the payment.
    Misbehaviour::HangUp { side: Side::FromTill, message: 1, after: true }
}

#[tokio::test(start_paused = true)]
async fn a_caller_gets_unknown_with_its_reason_and_recovery_settles_it_later() {
    for (on_loss, charged) in [(OnLoss::GoesOn, true), (OnLoss::Forgets, false)] {
        let mut desk = Desk::new();
        let terminal = desk.opi_terminal("bar", "", lies_idle(90, on_loss));
        let till = desk.open().await;
        ready(&till, Class::Terminal, "bar").await;
        let mut events = till.events();
        terminal.with(|t| t.misbehave(lost_after_request()));
        let mut sale = till.open_sale().await.expect("opens");
        sale.add(Line::pieces("Menu", 1, PRICE, Vat::percent(19)).expect("fits")).await.expect("kept");
        let card = till.terminal("bar").expect("configured");
        let begun = Instant::now();
        let payment = sale.pay_card(&card, watch::channel(false).1).await.expect("begun");
        let waited = begun.elapsed();
        let Payment::Unknown(unknown) = &payment else { panic!("{payment:?}") };
        assert!(unknown.why.contains("not heard"), "{}", unknown.why);
        assert!(waited <= Terminal::SETTLE + Duration::from_secs(1), "{waited:?}");
        assert!(sale.is_pending());
        assert_eq!(sale.tenders()[0].state, TenderState::Unknown);

        // It is asked on, and within the time of a customer it is decided.
        let key = IntentId(sale.tenders()[0].key.clone());
        let settled = event(&mut events, |_, kind| match kind {
            EventKind::Settled(settled) if settled.intent.id == key => Some(settled.payment),
            _ => None,
        });
        let settled = settled.await;
        assert_eq!(matches!(settled, Payment::Charged(_)), charged, "{settled:?}");
        assert_eq!(matches!(settled, Payment::NotCharged(_)), !charged, "{settled:?}");
        assert!(begun.elapsed() <= Duration::from_secs(180), "{:?}", begun.elapsed());
        pass(Duration::from_secs(60)).await;
        sale.refresh().await.expect("read");
        let due = if charged { Amount::eur(0) } else { PRICE };
        assert_eq!((sale.open_amount(), sale.is_pending(), sale.state()), (due, false, SaleState::Open));

        // The same key is the same payment, and the next customer pays.
        let again = card.pay_as(Request::new(key.0, PRICE), watch::channel(false).1).await.expect("known");
        assert_eq!(matches!(again, Payment::Charged(_)), charged, "{again:?}");
        assert_eq!(terminal.with(|t| t.received("CardPayment")), 1, "sent once");
        let next = card.pay(PRICE).await.expect("begun");
        assert!(matches!(next, Payment::Charged(_)), "{next:?}");
    }
}

/// A second caller comes while the terminal is being asked: it waits for its turn, and is told no later than it must.
#[tokio::test(start_paused = true)]
async fn the_next_customer_pays_once_the_terminal_has_answered() {
    let mut desk = Desk::new();
    let terminal = desk.opi_terminal("bar", "", lies_idle(90, OnLoss::GoesOn));
    let till = desk.open().await;
    ready(&till, Class::Terminal, "bar").await;
    terminal.with(|t| t.misbehave(lost_after_request()));
    let card = till.terminal("bar").expect("configured");
    let first = card.pay(PRICE).await.expect("begun");
    assert!(matches!(first, Payment::Unknown(_)), "{first:?}");
    terminal.with(|t| t.profile_mut().pace = Duration::from_secs(2));
    let second = loop {
        match card.pay(PRICE).await {
            Ok(payment) => break payment,
            // Nothing was sent.
            Err(error) => assert_eq!(error.effect(), tresen::Effect::None, "{error}"),
        }
        pass(Duration::from_secs(5)).await;
    };
    assert!(matches!(second, Payment::Charged(_)), "{second:?}");
    let first = till.store().payment(first.intent()).await.expect("read").expect("there").outcome();
    assert!(matches!(first, Some(Payment::Charged(_))), "settled before the second: {first:?}");
    assert_eq!(terminal.with(|t| t.ledger().turnover()), 2 * 12_50);
}
