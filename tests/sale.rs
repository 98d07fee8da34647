//! One sale, step by step: tenders, signature, number, paper, drawer; refunds; and storage that fails at
//! each step.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Counter, paper, within};
use rusqlite::Connection;
use tokio::sync::watch;
use tresen::hal::BoxFuture;
use tresen::hal::sim::Shared;
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Misbehaviour, Profile, Simulator, State};
use tresen::printers::DrawerPin;
use tresen::printers::escpos::sim::Simulator as PrinterSimulator;
use tresen::sale::{Line, Sale, Signature, Signer, Signing, Sold, Tender, TenderState, Ticket, Vat};
use tresen::{Amount, Error, Kind, Origin, Payment, Print, Result, SaleState, Tresen};

fn tea(price: i64) -> Line {
    Line::pieces("Tea", 1, Amount::eur(price), Vat::percent(19)).expect("fits")
}

async fn basket(till: &Tresen, price: i64) -> Sale {
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(tea(price)).await.expect("kept");
    sale
}

fn no_abort() -> watch::Receiver<bool> {
    watch::channel(false).1
}

async fn till() -> (Counter, Shared<PrinterSimulator>, Shared<Simulator>, Tresen) {
    let mut counter = Counter::new();
    let (printer, terminal) = (counter.printer("receipt").await, counter.terminal(Profile::default()).await);
    let till = counter.open_ready(&["receipt", "counter"]).await;
    (counter, printer, terminal, till)
}

fn printed(sold: &Sold) -> bool {
    matches!(sold, Sold::Closed { print: Print::Printed { .. }, .. })
}

#[tokio::test]
async fn one_sale_is_paid_by_voucher_card_and_cash() {
    let (_counter, printer, terminal, till) = till().await;
    let mut sale = basket(&till, 20_00).await;
    sale.pay_other("Voucher", Amount::eur(5_00), Some("V-4711")).await.expect("taken");
    let card = till.terminal("counter").expect("configured");
    let paid = within("paid", sale.pay_card_part(&card, Amount::eur(10_00), no_abort())).await.expect("sent");
    assert!(matches!(paid, Payment::Charged(_)), "{paid:?}");
    assert_eq!(sale.open_amount(), Amount::eur(5_00));
    let error = sale.pay_other("Voucher", Amount::eur(5_01), None).await.expect_err("more than is open");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    assert_eq!(sale.pay_cash(Amount::eur(20_00)).await.expect("taken"), Amount::eur(15_00), "the change");
    let sold = within("closed", till.checkout("receipt").expect("configured").close(&mut sale)).await.expect("stored");
    assert!(printed(&sold), "{sold:?}");
    let text = paper(&printer);
    for part in ["Receipt 1", "Voucher", "Paid by card", "10.00", "Given", "20.00", "Change", "15.00"] {
        assert!(text.contains(part), "{part} is not on {text}");
    }
    assert_eq!(terminal.with(|t| t.ledger().turnover()), 10_00);
    let stored = till.sale(sale.id()).await.expect("readable").expect("there");
    assert_eq!(stored.tenders().iter().map(|t| t.taken).collect::<Vec<_>>(), [5_00, 10_00, 5_00].map(Amount::eur));
    assert_eq!(stored.tenders()[0].reference.as_deref(), Some("V-4711"));
    assert_eq!(
        (stored.tenders()[2].given, stored.tenders()[2].change()),
        (Some(Amount::eur(20_00)), Some(Amount::eur(15_00)))
    );
}

/// A gift card with less on it than the sale costs.
#[tokio::test]
async fn a_partial_approval_pays_its_part_and_the_rest_is_paid_in_cash() {
    // Also where the end of the payment is not heard, and the terminal has to be asked.
    for cut in [false, true] {
        let mut counter = Counter::new();
        let printer = counter.printer("receipt").await;
        let profile = Profile { commit: Commit::Keeps, ..Profile::default() };
        let options = "?partial=true&exclusive=true&grace=0";
        let terminal = counter.serve("terminals.counter", "zvt", options, Simulator::new(profile)).await;
        let till = counter.open_ready(&["receipt", "counter"]).await;
        let mut sale = basket(&till, 20_00).await;
        terminal.with(|t| {
            t.misbehave(Misbehaviour::Part(Amount::eur(7_50)));
            if cut {
                t.misbehave(Misbehaviour::HangUpAfterApproval);
            }
        });
        let checkout = till.checkout("receipt").expect("configured");
        let sold = within("tried", checkout.run(&mut sale, "counter", no_abort())).await.expect("stored");
        let Sold::Open { due, payment: Some(Payment::Partial(part)) } = &sold else { panic!("{cut}: {sold:?}") };
        assert_eq!((*due, part.amount), (Amount::eur(12_50), Amount::eur(7_50)), "{cut}");
        assert_eq!((sale.tenders()[0].state, sale.tenders()[0].taken), (TenderState::Taken, Amount::eur(7_50)));
        assert_eq!(sale.tenders()[0].charge.as_ref(), Some(part));
        assert_eq!(sale.pay_cash(Amount::eur(20_00)).await.expect("taken"), Amount::eur(7_50), "the change");
        assert!(printed(&within("closed", checkout.close(&mut sale)).await.expect("stored")));
        assert!(paper(&printer).contains("7.50"), "{}", paper(&printer));
        assert_eq!((terminal.with(|t| t.ledger().turnover()), terminal.with(|t| t.received(0x0601))), (7_50, 1));
        let kinds: Vec<_> = till.store().journal().await.expect("readable").iter().map(|l| l.kind.clone()).collect();
        assert!(kinds.contains(&"partial".to_owned()) && !kinds.contains(&"charged".to_owned()), "{kinds:?}");
    }
}

/// A voucher covers all of it.
#[tokio::test]
async fn a_total_of_nothing_needs_no_payment() {
    let (_counter, printer, terminal, till) = till().await;
    let mut sale = basket(&till, 5_00).await;
    sale.add(Line::pieces("Voucher", 1, Amount::eur(-5_00), Vat::percent(19)).expect("fits")).await.expect("kept");
    let checkout = till.checkout("receipt").expect("configured");
    let sold = within("sold", checkout.run(&mut sale, "counter", no_abort())).await.expect("stored");
    assert!(printed(&sold), "{sold:?}");
    assert_eq!((sale.ticket().number(), terminal.with(|t| t.received(0x0601))), (Some(1), 0));
    assert!(paper(&printer).contains("Receipt 1"));
}

#[tokio::test]
async fn what_was_sold_is_given_back_with_its_reference() {
    let (_counter, printer, terminal, till) = till().await;
    let mut sale = basket(&till, 5_00).await;
    sale.add(tea(2_00)).await.expect("kept");
    let error = till.open_refund(sale.id(), Origin::new()).await.expect_err("it is open");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    let checkout = till.checkout("receipt").expect("configured");
    within("sold", checkout.run(&mut sale, "counter", no_abort())).await.map(drop).expect("stored");

    let mut back = till.open_refund(sale.id(), Origin::new().operator("anna")).await.expect("opens");
    assert_eq!((back.open_amount(), back.ticket().original()), (Amount::eur(-7_00), Some(sale.id())));
    back.remove(0).await.expect("only the second comes back");
    let due = within("sold", checkout.run(&mut back, "counter", no_abort())).await.expect("stored");
    assert_eq!(due, Sold::Open { due: Amount::eur(-2_00), payment: None }, "nothing goes back by itself");
    assert_eq!(back.pay_out().await.expect("taken"), Amount::eur(2_00));
    assert!(printed(&within("closed", checkout.close(&mut back)).await.expect("stored")));
    let stored = till.store().tickets().await.expect("readable");
    assert_eq!((stored[1].total, stored[1].original.as_deref()), (Amount::eur(-2_00), Some(sale.id())));
    assert!(paper(&printer).contains(&format!("Refund of {}", sale.id())));

    // The rest by card, under a key of the caller's: asked again it is the same refund.
    let mut back = till.open_refund(sale.id(), Origin::new()).await.expect("opens");
    let card = till.terminal("counter").expect("configured");
    let paid = within("paid back", back.pay_card(&card, no_abort())).await.expect("sent");
    assert!(matches!(&paid, Payment::Charged(c) if c.intent.0 == format!("{}/1", back.id())), "{paid:?}");
    assert_eq!((back.open_amount(), back.tenders()[0].taken), (Amount::eur(0), Amount::eur(-5_00)));
    assert!(printed(&within("closed", checkout.close(&mut back)).await.expect("stored")));
    assert_eq!(terminal.with(|t| t.ledger().entries().len()), 2);
}

#[tokio::test]
async fn a_sale_is_given_up_only_when_all_was_given_back() {
    let (_counter, _printer, terminal, till) = till().await;
    let mut sale = basket(&till, 9_00).await;
    let card = till.terminal("counter").expect("configured");
    let paid = within("paid", sale.pay_card_part(&card, Amount::eur(4_00), no_abort())).await.expect("sent");
    assert!(matches!(paid, Payment::Charged(_)), "{paid:?}");
    sale.pay_cash(Amount::eur(3_00)).await.expect("taken");
    let error = sale.void("the customer left").await.expect_err("it is paid in part");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    sale.give_back(1).await.expect_err("a card payment is taken back at its terminal");
    sale.give_back(2).await.expect("given back");
    sale.give_back(2).await.expect_err("once");
    let taken_back = within("reversed", sale.reverse_card(&card, 1, no_abort())).await.expect("sent");
    assert!(matches!(taken_back, Payment::Charged(_)), "{taken_back:?}");
    assert_eq!(sale.open_amount(), Amount::eur(9_00));
    sale.void("the customer left").await.expect("given up");
    assert_eq!((sale.state(), sale.ticket().number()), (SaleState::Voided, None));
    assert_eq!(terminal.with(|t| t.ledger().turnover()), 0);
    let payments = till.store().payments().await.expect("readable");
    assert_eq!(payments[0].reversed_by.as_ref(), Some(&payments[1].intent.id));
    let error = till.checkout("receipt").expect("configured").close(&mut sale).await.expect_err("given up");
    assert_eq!(error.kind(), Kind::Input, "{error}");
}

/// Signs, fails, or says nothing.
struct Device {
    asked: Arc<AtomicUsize>,
    answer: fn() -> Option<Result<Signature>>,
}

impl Signer for Device {
    fn sign<'a>(&'a self, ticket: &'a Ticket, tenders: &'a [Tender]) -> BoxFuture<'a, Result<Signature>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            assert!(!ticket.lines().is_empty() && tenders.iter().all(|t| t.state == TenderState::Taken));
            match (self.answer)() {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

#[tokio::test]
async fn a_fiscal_device_signs_once_and_its_outage_is_recorded_and_blocks_nothing() {
    let (_counter, printer, _terminal, till) = till().await;
    let broken = || Some(Err(Error::new(Kind::Closed, "the device was pulled out")));
    let signed = || Some(Ok(Signature::new(["TSE 4711"]).code("V0;4711")));
    for (answer, on_paper) in [
        (signed as fn() -> Option<Result<Signature>>, "TSE 4711"),
        (broken, "Fiscal device out of order"),
        (|| None, "Fiscal device out of order"),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let device = Device { asked: asked.clone(), answer };
        let checkout = till.checkout("receipt").expect("configured").signer(device).sign_within(Duration::ZERO);
        let mut sale = basket(&till, 3_00).await;
        sale.pay_cash(Amount::eur(3_00)).await.expect("taken");
        let before = paper(&printer).len();
        let sold = within("closed", checkout.close(&mut sale)).await.expect("stored");
        assert!(printed(&sold), "{sold:?}");
        assert!(paper(&printer)[before..].contains(on_paper), "{}", paper(&printer));
        within("closed", checkout.close(&mut sale)).await.map(drop).expect("stored");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let stored = till.sale(sale.id()).await.expect("readable").expect("there");
        match stored.signing().expect("recorded") {
            Signing::Signed(signature) => assert_eq!(signature.code.as_deref(), Some("V0;4711")),
            Signing::Outage { why, .. } => assert!(why.contains("pulled out") || why.contains("no answer"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let kinds: Vec<_> = till.store().journal().await.expect("readable").iter().map(|l| l.kind.clone()).collect();
    assert_eq!(kinds.iter().filter(|k| *k == "signed").count(), 3, "{kinds:?}");
}

#[tokio::test]
async fn the_drawer_opens_once_and_where_the_receipt_came_out() {
    let mut counter = Counter::new();
    let (receipts, kitchen) = (counter.printer("receipt").await, counter.printer("kitchen").await);
    counter.route("receipt", &["receipt", "kitchen"]);
    let till = counter.open_ready(&["receipt", "kitchen"]).await;
    receipts.with(PrinterSimulator::remove_paper);
    let mut sale = basket(&till, 3_00).await;
    sale.pay_cash(Amount::eur(3_00)).await.expect("taken");
    let checkout = till.checkout("receipt").expect("configured").drawer(DrawerPin::Two);
    let sold = within("closed", checkout.close(&mut sale)).await.expect("stored");
    assert!(
        matches!(&sold, Sold::Closed { print: Print::Printed { on, .. }, drawer: None } if on == "kitchen"),
        "{sold:?}"
    );
    within("closed", checkout.close(&mut sale)).await.map(drop).expect("stored");
    assert_eq!((receipts.with(|p| p.kicks().len()), kitchen.with(|p| p.kicks().len())), (0, 1));
    let stored = till.sale(sale.id()).await.expect("readable").expect("there");
    assert_eq!(stored.drawer(), Some("opened"));
}

/// Many stations close their sales at once.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_given_one_by_one_however_many_ask() {
    let (_counter, printer, _terminal, till) = till().await;
    let mut closing = Vec::new();
    for _ in 0..12 {
        let till = till.clone();
        closing.push(tokio::spawn(async move {
            let mut sale = basket(&till, 3_00).await;
            sale.pay_cash(Amount::eur(3_00)).await.expect("taken");
            let checkout = till.checkout("receipt").expect("configured");
            within("closed", checkout.close(&mut sale)).await.map(drop).expect("stored");
            sale.ticket().number().expect("numbered")
        }));
    }
    let mut numbers = Vec::new();
    for one in closing {
        numbers.push(one.await.expect("no panic"));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    let text = paper(&printer);
    assert!(numbers.iter().all(|n| text.contains(&format!("Receipt {n} "))), "{text}");
}

/// After so many writes storage fails, until somebody sees to it: SQLite itself refuses. What is rolled back
/// does not count.
struct Fuse(Connection);

impl Fuse {
    fn new(counter: &Counter) -> Self {
        let db = Connection::open(counter.db()).expect("opens");
        db.execute_batch("CREATE TABLE fuse (left INTEGER NOT NULL); INSERT INTO fuse VALUES (1000000);")
            .expect("made");
        for (table, write) in
            [("sales", "INSERT"), ("sales", "UPDATE"), ("tenders", "INSERT"), ("tenders", "UPDATE"), ("jobs", "INSERT")]
        {
            db.execute_batch(&format!(
                "CREATE TRIGGER fuse_{table}_{write} BEFORE {write} ON {table} BEGIN
                     SELECT RAISE(ABORT, 'the medium failed') FROM fuse WHERE left <= 0;
                     UPDATE fuse SET left = left - 1;
                 END;"
            ))
            .expect("made");
        }
        Self(db)
    }

    fn blow_after(&self, writes: i64) {
        self.0.execute("UPDATE fuse SET left = ?1", [writes]).expect("set");
    }

    fn is_blown(&self) -> bool {
        self.0.query_row("SELECT left <= 0 FROM fuse", [], |row| row.get(0)).expect("read")
    }
}

#[tokio::test]
async fn storage_that_fails_at_each_write_of_a_sale_loses_and_doubles_nothing() {
    let (counter, printer, terminal, till) = till().await;
    let fuse = Fuse::new(&counter);
    let checkout = till.checkout("receipt").expect("configured").drawer(DrawerPin::Two);
    let (mut failed, mut sold) = (0, 0);
    for writes in 0.. {
        assert!(writes < 60, "the sale never ends without failing");
        fuse.blow_after(writes);
        let run = async {
            let mut sale = till.open_sale().await?;
            sale.add(tea(2_00)).await?;
            sale.add(tea(3_00)).await?;
            within("sold", checkout.run(&mut sale, "counter", no_abort())).await
        };
        let ended = run.await;
        let blown = fuse.is_blown();
        fuse.blow_after(1_000_000);
        if let Err(error) = &ended {
            assert_eq!(error.kind(), Kind::Storage, "after {writes} writes: {error}");
            failed += 1;
        }
        // Somebody has seen to it: what was begun goes on.
        for mut sale in till.open_sales().await.expect("readable") {
            if sale.ticket().lines().len() < 2 {
                sale.void("it never was a sale").await.expect("nothing was paid");
                continue;
            }
            within("sold", checkout.run(&mut sale, "counter", no_abort())).await.map(drop).expect("stored");
        }
        let closed = till.tickets_since(0, 1000).await.expect("readable");
        assert!(closed.len() == sold || closed.len() == sold + 1, "after {writes} writes");
        sold = closed.len();
        let stored = terminal.with(|t| t.ledger().entries().iter().filter(|e| e.state == State::Stored).count());
        assert_eq!(stored, sold, "after {writes} writes: each sale is charged once");
        let jobs = till.store().jobs().await.expect("readable");
        assert_eq!(jobs.len(), sold, "after {writes} writes");
        let text = paper(&printer);
        assert_eq!(text.matches("Receipt ").count(), sold, "after {writes} writes: {text}");
        assert!(printer.with(|p| p.kicks().len()) <= sold, "the drawer opens once");
        if ended.is_ok() && !blown {
            break;
        }
    }
    assert!(failed > 8 && sold > 5, "{failed} failed, {sold} sold");
    let numbers: Vec<_> =
        till.tickets_since(0, 1000).await.expect("readable").iter().map(|s| s.ticket().number()).collect();
    assert_eq!(numbers, (1..=sold as i64).map(Some).collect::<Vec<_>>());
}

/// A technician reverses a payment at the terminal's menu of the till, without the sale it belongs to.
#[tokio::test]
async fn a_closed_sale_tells_that_its_card_payment_was_taken_back() {
    let (_counter, _printer, _terminal, till) = till().await;
    let mut sale = basket(&till, 20_00).await;
    let card = till.terminal("counter").expect("configured");
    let Ok(Payment::Charged(charge)) = within("paid", sale.pay_card(&card, no_abort())).await else {
        panic!("not charged");
    };
    let sold = within("closed", till.checkout("receipt").expect("configured").close(&mut sale)).await.expect("stored");
    assert!(printed(&sold), "{sold:?}");
    let read = async || till.sale(sale.id()).await.expect("readable").expect("there");
    assert_eq!(read().await.tenders()[0].reversed_by, None);
    let reference = charge.reference.expect("ZVT gives one");
    let taken_back = within("reversed", card.reverse(&reference, Amount::eur(20_00))).await.expect("sent");
    assert!(matches!(taken_back, Payment::Charged(_)), "{taken_back:?}");
    let after = read().await;
    assert_eq!(after.tenders()[0].reversed_by.as_ref(), Some(taken_back.intent()));
    assert_eq!(
        (after.state(), after.tenders()[0].state),
        (SaleState::Closed, TenderState::Taken),
        "nothing else changes"
    );
}
