//! What stands on a ticket and is read back: tax keys, tips, refunds of lines, parked sales, copies.

mod common;

use std::time::Duration;

use common::desk::{Desk, ready};
use common::{epson, within};
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::watch;
use tresen::payment::zvt::sim::Profile;
use tresen::printers::escpos::sim::Simulator as Printer;
use tresen::sale::{Line, Quantity, ReturnLine, Sale, Sold, Tax, Tip, Vat};
use tresen::{Amount, Class, Kind, Origin, Print, SaleFilter, SaleNumber, SaleState, Tresen};

fn tea(pieces: i64) -> Line {
    Line::pieces("Tea", pieces, Amount::eur(2_90), Vat::percent(19)).expect("fits")
}

fn no_abort() -> watch::Receiver<bool> {
    watch::channel(false).1
}

async fn open(desk: &Desk) -> Tresen {
    let till = desk.open().await;
    ready(&till, Class::Printer, "receipt").await;
    till
}

async fn closed(till: &Tresen, lines: impl IntoIterator<Item = Line>) -> Sale {
    let mut sale = till.open_sale().await.expect("opens");
    for line in lines {
        sale.add(line).await.expect("kept");
    }
    pay_and_close(till, &mut sale).await;
    sale
}

async fn pay_and_close(till: &Tresen, sale: &mut Sale) {
    match sale.open_amount().minor() {
        0 => {}
        1.. => _ = sale.pay_cash(sale.open_amount()).await.expect("taken"),
        _ => _ = sale.pay_out().await.expect("paid out"),
    }
    let sold = till.checkout("receipt").expect("configured").close(sale).await.expect("stored");
    assert!(matches!(&sold, Sold::Closed { print: Print::Printed { .. }, .. }), "{sold:?}");
}

fn last_sheet(printer: &Printer) -> String {
    printer.sheets().last().expect("a receipt").text().to_owned()
}

#[tokio::test(start_paused = true)]
async fn taxes_are_totalled_and_printed_by_key_and_tips_bear_none() {
    let mut desk = Desk::new();
    let printer = desk.printer("receipt", "", epson());
    let terminal = desk.terminal("counter", Profile::default());
    let till = open(&desk).await;
    ready(&till, Class::Terminal, "counter").await;
    // Keys of DSFinV-K: 1 standard, 5 not taxable, 6 exempt.
    let standard = Tax::new("1", Vat::percent(19));
    let untaxed = Tax::new("5", Vat::percent(0)).text("nicht steuerbar");
    let exempt = Tax::new("6", Vat::percent(0)).text("umsatzsteuerfrei");
    let mut sale = till.open_sale().await.expect("opens");
    for (name, price, tax) in [("Menu", 23_80, &standard), ("Voucher", 20_00, &untaxed), ("Stamp", 1_20, &exempt)] {
        sale.add(Line::pieces(name, 1, Amount::eur(price), tax).expect("fits")).await.expect("kept");
    }
    let wrong = Line::pieces("Tea", 1, Amount::eur(1_00), Tax::new("6", Vat::percent(7))).expect("fits");
    assert_eq!(sale.add(wrong).await.expect_err("6 is 0 %").kind(), Kind::Input);
    sale.add_tip(Tip::new(Amount::eur(5_00)).recipient("anna")).await.expect("kept");
    assert_eq!(sale.open_amount(), Amount::eur(50_00));
    // The tip is part of what the card is charged.
    let card = till.terminal("counter").expect("configured");
    sale.pay_card(&card, no_abort()).await.map(drop).expect("sent");
    pay_and_close(&till, &mut sale).await;
    assert_eq!(terminal.with(|t| t.ledger().turnover()), 50_00);
    let paper = printer.with(|p| last_sheet(p));
    let rows: Vec<Vec<&str>> = paper.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        vec!["Menu", "23.80", "1"],
        vec!["Stamp", "1.20", "6"],
        vec!["Subtotal", "45.00"],
        vec!["Tip", "5.00"],
        vec!["Total", "EUR", "50.00"],
        vec!["1", "19", "%", "20.00", "3.80", "23.80"],
        vec!["5", "0", "%", "20.00", "0.00", "20.00"],
        vec!["6", "0", "%", "1.20", "0.00", "1.20"],
        vec!["5", "nicht", "steuerbar"],
        vec!["6", "umsatzsteuerfrei"],
    ] {
        assert!(rows.contains(&row), "{row:?} is not on\n{paper}");
    }
    // Stored, and in the journal for a server.
    let stored = till.sale(sale.id()).await.expect("readable").expect("there");
    assert_eq!((stored.ticket().vat().len(), stored.ticket().tips().len()), (3, 1));
    assert_eq!(stored.ticket().tips()[0].recipient.as_deref(), Some("anna"));
    assert_eq!(till.store().tickets().await.expect("readable")[0].tip, Amount::eur(5_00));
    let db = Connection::open(desk.db()).expect("opens");
    let body: String = db
        .query_row("SELECT body FROM journal WHERE kind = 'closed' AND key = ?1", [sale.id()], |row| row.get(0))
        .expect("journalled");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&body["vat"][1]["key"], &body["vat"][1]["gross"]), (&"5".into(), &"20.00 EUR".into()));
    assert_eq!(body["ticket"]["tips"][0]["amount"], "5.00 EUR");
}

#[tokio::test(start_paused = true)]
async fn a_tip_in_cash_leaves_no_change_and_can_be_taken_off_again() {
    let mut desk = Desk::new();
    let printer = desk.printer("receipt", "", epson());
    let till = open(&desk).await;
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(tea(1)).await.expect("kept");
    sale.add_tip(Amount::eur(9_99)).await.expect("kept");
    assert_eq!(sale.remove_tip(0).await.expect("there").amount, Amount::eur(9_99));
    sale.add_tip(Amount::eur(10)).await.expect("kept");
    assert_eq!(sale.pay_cash(Amount::eur(3_00)).await.expect("taken"), Amount::eur(0), "keep the change");
    pay_and_close(&till, &mut sale).await;
    assert!(!printer.with(|p| last_sheet(p)).contains("Change"));
    // A refund gives back the goods; the tip only if somebody says so, and no more than it was.
    let mut back = till.open_refund(sale.id(), Origin::new()).await.expect("opens");
    assert_eq!(back.open_amount(), Amount::eur(-2_90));
    let error = back.add_tip(Amount::eur(-11)).await.expect_err("the tip was 0.10");
    assert!(error.to_string().contains("tips"), "{error}");
    back.add_tip(Amount::eur(-10)).await.expect("given back");
    assert_eq!(back.open_amount(), Amount::eur(-3_00));
}

#[tokio::test(start_paused = true)]
async fn no_more_is_given_back_than_was_sold_over_all_refunds() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let till = open(&desk).await;
    let ham = Line::weighed("Ham", 456, Amount::eur(19_90), Vat::percent(7)).expect("fits");
    let sale = closed(&till, [tea(3), ham]).await;
    let left = async || {
        let left = till.returnable(sale.id()).await.expect("closed");
        left.iter().map(|line| (line.at, line.quantity.count(), line.total.minor())).collect::<Vec<_>>()
    };
    assert_eq!(left().await, [(0, 3, 8_70), (1, 456, 9_07)]);

    let one = ReturnLine::part(0, Quantity::Pieces(1));
    let mut first = till.open_refund_of(sale.id(), &[one], Origin::new()).await.expect("opens");
    assert_eq!((first.open_amount(), first.ticket().lines()[0].returns), (Amount::eur(-2_90), Some(0)));
    let some = ReturnLine::part(1, Quantity::Grams(100));
    first.return_line(some).await.expect("left");
    assert_eq!(first.open_amount(), Amount::eur(-4_89), "100 of 456 g that cost 9.07 cost 1.99");
    assert_eq!(left().await, [(0, 2, 5_80), (1, 356, 7_08)], "an open refund counts");

    // Another station wants more than is left.
    let three = ReturnLine::part(0, Quantity::Pieces(3));
    let error = till.open_refund_of(sale.id(), &[three], Origin::new()).await.expect_err("2 are left");
    assert!(error.kind() == Kind::Input && error.to_string().contains("2 x"), "{error}");
    let twice = [ReturnLine::all(0), one];
    till.open_refund_of(sale.id(), &twice, Origin::new()).await.expect_err("all, and one more");
    let error = till.open_refund_of(sale.id(), &[ReturnLine::all(2)], Origin::new()).await.expect_err("two lines");
    assert!(error.to_string().contains("no line 2"), "{error}");

    // A line may be put on a refund by hand, and counts as well.
    let mut second = till.open_refund(sale.id(), Origin::new()).await.expect("opens");
    assert_eq!(second.open_amount(), Amount::eur(-12_88));
    assert_eq!(left().await, []);
    let error = till.open_refund(sale.id(), Origin::new()).await.expect_err("nothing is left");
    assert!(error.to_string().contains("nothing"), "{error}");
    let taken_out = second.remove(0).await.expect("there");
    assert_eq!(left().await, [(0, 2, 5_80)]);
    let mut more = taken_out.clone();
    more.quantity = Quantity::Pieces(-3);
    second.add(more).await.expect_err("3 of 2");
    let mut dearer = taken_out.clone();
    dearer.total = Amount::eur(-5_81);
    second.add(dearer).await.expect_err("for more than they cost");
    second.add(taken_out).await.expect("as it was");
    pay_and_close(&till, &mut first).await;

    // What is voided is free again.
    second.void("changed their mind").await.expect("nothing was paid");
    assert_eq!(left().await, [(0, 2, 5_80), (1, 356, 7_08)]);
    let mut rest = till.open_refund(sale.id(), Origin::new()).await.expect("opens");
    pay_and_close(&till, &mut rest).await;
    let back = first.ticket().total().minor() + rest.ticket().total().minor();
    assert_eq!(back, -sale.ticket().total().minor(), "all of it, to the cent");

    // An ordinary sale gives nothing back by reference, and an open sale has nothing to give back.
    let mut other = till.open_sale().await.expect("opens");
    let mut line = tea(1).given_back().expect("fits");
    line.returns = Some(0);
    assert_eq!(other.add(line).await.expect_err("no refund").kind(), Kind::Input);
    other.return_line(one).await.expect_err("no refund");
    till.returnable(other.id()).await.expect_err("it is open");
}

/// A hundred refunds from many stations, in an order that differs with every seed.
#[tokio::test(start_paused = true)]
async fn refunds_that_race_give_back_what_was_sold_and_no_more() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let till = open(&desk).await;
    let sale = closed(&till, [tea(40)]).await;
    let mut racing = tokio::task::JoinSet::new();
    for station in 0..100 {
        let (till, id) = (till.on_behalf_of(format!("handheld {station}").as_str()), sale.id().to_owned());
        racing.spawn(async move {
            let part = ReturnLine::part(0, Quantity::Pieces(1 + station % 3));
            let mut back = till.open_refund_of(&id, &[part], Origin::new()).await.ok()?;
            if station % 5 == 0 {
                back.void("changed their mind").await.expect("nothing was paid");
                return None;
            }
            back.pay_out().await.expect("paid out");
            Some(back.ticket().total().minor())
        });
    }
    let given: i64 = racing.join_all().await.into_iter().flatten().sum();
    let left = till.returnable(sale.id()).await.expect("closed");
    let left: i64 = left.iter().map(|line| line.total.minor()).sum();
    assert_eq!(left - given, sale.ticket().total().minor());
    assert!(given < 0 && left < 3 * 2_90, "{given} given, {left} left");
}

#[tokio::test(start_paused = true)]
async fn a_parked_sale_is_resumed_by_one_other_station() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let till = open(&desk).await;
    let (counter, bar) = (till.on_behalf_of("counter"), till.on_behalf_of("bar"));
    let mut sale = counter.open_sale().await.expect("opens");
    sale.add(tea(1)).await.expect("kept");
    sale.pay_cash(Amount::eur(1_00)).await.expect("a part");
    assert_eq!(sale.park(" ").await.expect_err("no name").kind(), Kind::Input);
    sale.park("table 12").await.expect("parked");
    let error = sale.add(tea(1)).await.expect_err("it is parked");
    assert!(error.to_string().contains("`table 12`") && error.next_step() == Some("resume it first"), "{error}");
    let due = till.checkout("receipt").expect("configured").close(&mut sale).await.expect("stored");
    assert!(matches!(due, Sold::Open { due, .. } if due == Amount::eur(1_90)), "{due:?}");
    assert_eq!(sale.state(), SaleState::Open);

    // The till stops; another station goes on after its start.
    drop((counter, bar));
    till.close(Duration::from_secs(5)).await.expect("closed");
    drop(till);
    let till = open(&desk).await;
    let bar = till.on_behalf_of("bar");
    let resumed = till.checkout("receipt").expect("configured").resume().await.expect("readable");
    assert!(resumed.is_empty(), "a parked sale waits for whoever resumes it");
    let parked = bar.parked_sales().await.expect("readable");
    let [at_bar] = &parked[..] else { panic!("{parked:?}") };
    let told = at_bar.parked().expect("parked");
    assert_eq!((told.name.as_str(), told.by.station.as_deref()), ("table 12", Some("counter")));
    let (mut first, mut second) = (at_bar.clone().by("bar".into()), at_bar.clone());
    first.resume().await.expect("resumed");
    let error = second.resume().await.expect_err("the other was faster");
    assert_eq!(error.kind(), Kind::Busy, "{error}");
    second.refresh().await.expect("readable");
    assert_eq!(second.resume().await.expect_err("not parked any more").kind(), Kind::Input);
    assert!(bar.parked_sales().await.expect("readable").is_empty());
    first.add(tea(1)).await.expect("kept");
    pay_and_close(&till, &mut first).await;
    let journal = till.store().journal().await.expect("readable");
    let steps: Vec<_> = journal.iter().filter(|l| matches!(&*l.kind, "parked" | "resumed")).collect();
    let stations: Vec<_> = steps.iter().map(|l| (&*l.kind, l.origin.station.as_deref())).collect();
    assert_eq!(stations, [("parked", Some("counter")), ("resumed", Some("bar"))]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_receipt_is_marked_also_when_its_job_is_gone() {
    let mut desk = Desk::new();
    let printer = desk.printer("receipt", "", epson());
    let till = open(&desk).await;
    let sale = closed(&till, [tea(2)]).await;
    let checkout = till.checkout("receipt").expect("configured");
    let original = printer.with(|p| last_sheet(p));
    assert!(!original.contains("COPY"));
    let copy = checkout.reprint(&sale).await.expect("stored").outcome(Duration::from_secs(60)).await.expect("readable");
    assert!(matches!(copy, Print::Printed { .. }), "{copy:?}");
    let text = printer.with(|p| last_sheet(p));
    assert!(text.contains("COPY 1"), "{text}");
    assert!(text.ends_with(&original), "{text} is not\n{original}");

    // The jobs are pruned, the sale is not: it is composed again.
    let later: Timestamp = "2026-01-03T00:00:00Z".parse().expect("a time");
    Connection::open(desk.db()).expect("opens").execute("DELETE FROM jobs", []).expect("pruned");
    let (number, printed_on) = (Some(1), "receipt".to_owned());
    let again = tresen::api::sale::Reprint { sale: None, number, epoch: Some(1), printer: printed_on, within: None };
    let copy = till.on_behalf_of("bar").ask(again.clone()).await.expect("stored");
    assert!(matches!(copy, Print::Printed { .. }), "{copy:?}");
    let text = printer.with(|p| last_sheet(p));
    assert!(text.contains("COPY 2") && text.ends_with(&original), "{text}");
    let journal = till.store().journal().await.expect("readable");
    let copies: Vec<_> = journal.iter().filter(|l| l.kind == "copied" && l.key == sale.id()).collect();
    assert_eq!(copies.len(), 2);
    assert_eq!(copies[1].origin.station.as_deref(), Some("bar"));

    let open = till.open_sale().await.expect("opens");
    assert_eq!(checkout.reprint(&open).await.map(drop).expect_err("no receipt").kind(), Kind::Input);
    let other = tresen::api::sale::Reprint { epoch: Some(2), ..again.clone() };
    assert_eq!(till.ask(other).await.expect_err("another epoch").kind(), Kind::Input);
    let both = tresen::api::sale::Reprint { sale: Some(sale.id().into()), ..again };
    assert_eq!(till.ask(both).await.expect_err("which one?").kind(), Kind::Input);
    assert!(till.store().prune(later).await.expect("pruned").sales > 0);
}

#[tokio::test(start_paused = true)]
async fn tickets_are_read_back_by_number_by_time_and_since_page_by_page() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let till = open(&desk).await;
    let mut times = Vec::new();
    for n in 1..=7 {
        let sale = closed(&till, [tea(n)]).await;
        times.push(sale.ticket().closed_at().expect("closed"));
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    till.open_sale().await.expect("open sales are not listed");
    let numbers = async |filter: &SaleFilter| {
        let page = till.closed_sales(filter).await.expect("readable");
        assert!(page.unreadable.is_empty());
        (page.sales.iter().filter_map(|s| s.ticket.number()).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(numbers(&SaleFilter::default()).await, ((1..=7).collect(), None));
    assert_eq!(numbers(&SaleFilter::since(2).limit(3)).await, (vec![3, 4, 5], Some(5)));
    let between = SaleFilter::between(times[1], times[4]).limit(2);
    assert_eq!(numbers(&between).await, (vec![2, 3], Some(3)));
    assert_eq!(numbers(&between.clone().after(3)).await, (vec![4], None), "the end is not included");
    assert_eq!(till.tickets_since(1, 4).await.expect("readable").len(), 4);

    let epoch = till.store().epoch();
    let third = till.sale_by_number(SaleNumber::in_epoch(epoch, 3)).await.expect("readable").expect("there");
    assert_eq!((third.ticket().number(), third.epoch()), (Some(3), Some(epoch)));
    assert!(till.sale_by_number(SaleNumber::in_epoch(epoch + 1, 3)).await.expect("readable").is_none());
    assert!(till.sale_by_number(3).await.expect("readable").is_some());

    // One that another version wrote hides none of the others.
    let db = Connection::open(desk.db()).expect("opens");
    db.execute("UPDATE sales SET body = '{\"v\":99,\"lines\":[]}' WHERE number = 4", []).expect("written");
    let page = till.closed_sales(&SaleFilter::default()).await.expect("readable");
    assert_eq!((page.sales.len(), page.unreadable.len(), page.unreadable[0].seq), (6, 1, 4));
    let error = till.tickets_since(0, 10).await.expect_err("an export must not skip it");
    assert!(error.to_string().contains("cannot be read"), "{error}");
    within("read", till.tickets_since(4, 10)).await.expect("the later ones");
}
