//! The customer adds a tip at the terminal: it stands on the ticket for as long as its payment stands, whatever the
//! till has heard of it.

mod common;

use std::time::Duration;

use common::desk::{Desk, pass, ready};
use tokio::sync::watch;
use tresen::hal::sim::Shared;
use tresen::payment::nexo::sim::{Fault, Misbehaviour, Side, Simulator};
use tresen::sale::{Line, Sale, Sold, TenderState, Tip, Vat};
use tresen::{Amount, Class, Payment, SaleState, Tresen};

const PRICE: Amount = Amount::eur(12_50);
const TIP: Amount = Amount::eur(1_50);

fn no_abort() -> watch::Receiver<bool> {
    watch::channel(false).1
}

async fn open(options: &str) -> (Desk, Shared<Simulator>, Tresen) {
    let mut desk = Desk::new();
    desk.printer("receipt", "", common::epson());
    let terminal = desk.nexo_terminal("bar", options);
    let till = desk.open().await;
    ready(&till, Class::Terminal, "bar").await;
    (desk, terminal, till)
}

async fn menu(till: &Tresen) -> Sale {
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Menu", 1, PRICE, Vat::percent(19)).expect("fits")).await.expect("kept");
    sale
}

fn tips(sale: &Sale) -> Vec<(Amount, Option<&str>)> {
    sale.ticket().tips().iter().map(|tip| (tip.amount, tip.payment.as_deref())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tip_at_the_terminal_is_on_the_ticket_and_the_sale_closes() {
    let (_desk, terminal, till) = open("&tip=true").await;
    let mut sale = menu(&till).await;
    sale.add_tip(Tip::new(Amount::eur(50)).recipient("anna")).await.expect("kept");
    terminal.with(|t| t.misbehave(Misbehaviour::Tip(TIP)));
    let card = till.terminal("bar").expect("configured");
    let paid = sale.pay_card(&card, no_abort()).await.expect("an outcome");
    let charge = paid.charge().expect("charged");
    assert_eq!((charge.amount, charge.tip), (Amount::eur(14_50), Some(TIP)));
    let key = sale.tenders()[0].key.clone();
    assert_eq!(tips(&sale), [(Amount::eur(50), None), (TIP, Some(&*key))]);
    assert_eq!((sale.ticket().total(), sale.ticket().turnover()), (Amount::eur(14_50), PRICE));
    assert_eq!(sale.open_amount(), Amount::eur(0));
    let checkout = till.checkout("receipt").expect("configured");
    let sold = checkout.close(&mut sale).await.expect("closes");
    assert!(matches!(sold, Sold::Closed { .. }), "{sold:?}");
    let stored = till.store().tickets().await.expect("readable").rows;
    assert_eq!((stored[0].tip, stored[0].state), (Amount::eur(2_00), SaleState::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_reversal_takes_its_tip_off_the_ticket() {
    let (_desk, terminal, till) = open("&tip=true").await;
    let mut sale = menu(&till).await;
    let card = till.terminal("bar").expect("configured");
    // In two payments, of which the first is taken back.
    terminal.with(|t| t.misbehave(Misbehaviour::Tip(TIP)));
    let paid = sale.pay_card_part(&card, Amount::eur(10_00), no_abort()).await.expect("an outcome");
    assert_eq!(paid.charge().map(|c| c.amount), Some(Amount::eur(11_50)));
    assert_eq!((sale.open_amount(), tips(&sale).len()), (Amount::eur(2_50), 1));
    terminal.with(|t| t.misbehave(Misbehaviour::Tip(Amount::eur(25))));
    let rest = sale.pay_card(&card, no_abort()).await.expect("an outcome");
    assert_eq!(rest.charge().and_then(|charge| charge.tip), Some(Amount::eur(25)));
    assert_eq!((sale.open_amount(), tips(&sale).len()), (Amount::eur(0), 2));
    let back = sale.reverse_card(&card, 1, no_abort()).await.expect("an outcome");
    assert_eq!(back.charge().map(|c| c.amount), Some(Amount::eur(11_50)));
    let key = sale.tenders()[1].key.clone();
    assert_eq!(tips(&sale), [(Amount::eur(25), Some(&*key))], "that of the payment that stands");
    assert_eq!(sale.open_amount(), Amount::eur(10_00));
}

/// The answer is lost, and the till is closed before anybody has asked for it.
#[tokio::test(start_paused = true)]
async fn a_tip_whose_payment_was_settled_later_is_booked_once() {
    let (desk, terminal, till) = open("&tip=true").await;
    let mut sale = menu(&till).await;
    let id = sale.id().to_owned();
    let lost = Misbehaviour::At { side: Side::ToTill, message: 0, how: Fault::HangUp };
    terminal.with(|t| {
        t.misbehave(Misbehaviour::Tip(TIP));
        t.misbehave(lost);
    });
    let card = till.terminal("bar").expect("configured");
    let paid = sale.pay_card(&card, no_abort()).await.expect("an outcome");
    till.close(Duration::from_secs(5)).await.expect("closes");
    drop((paid, sale, card, till));
    let till = desk.open().await;
    ready(&till, Class::Terminal, "bar").await;
    pass(Duration::from_secs(120)).await;
    let mut sale = till.sale(&id).await.expect("readable").expect("it is there");
    sale.refresh().await.expect("readable");
    assert_eq!(sale.tenders()[0].state, TenderState::Taken, "{:?}", sale.tenders());
    let key = sale.tenders()[0].key.clone();
    assert_eq!((tips(&sale), sale.open_amount()), (vec![(TIP, Some(&*key))], Amount::eur(0)));
    // However often somebody looks.
    sale.refresh().await.expect("readable");
    assert_eq!(tips(&sale).len(), 1);
}

/// A terminal that is not asked for tips and charges more than was asked for leaves the payment in doubt.
#[tokio::test(start_paused = true)]
async fn an_unwanted_surplus_is_no_tip() {
    let (_desk, terminal, till) = open("").await;
    let mut sale = menu(&till).await;
    terminal.with(|t| t.misbehave(Misbehaviour::Tip(TIP)));
    let card = till.terminal("bar").expect("configured");
    let paid = sale.pay_card(&card, no_abort()).await.expect("an outcome");
    assert!(matches!(&paid, Payment::Unknown(unknown) if unknown.why.contains("14.00")), "{paid:?}");
    assert!(tips(&sale).is_empty() && sale.is_pending());
}
