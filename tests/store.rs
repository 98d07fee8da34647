//! The database: whose it is, what is refused, and what a restart finds. Through the public face only.

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use common::{Counter, until, within};
use rusqlite::Connection;
use tresen::sale::{Line, Sale, Vat};
use tresen::{Amount, Error, Kind, Origin, SaleState, Store, SystemRuntime, Tresen};

/// Opening fails, names the file, and leaves it and its folder as they were.
async fn refused(counter: &Counter) -> Error {
    let files = |dir: &Path| {
        let entries = std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path());
        entries.map(|p| (p.clone(), std::fs::read(p).expect("a file"))).collect::<BTreeSet<_>>()
    };
    let before = files(counter.dir.path());
    let error = tresen::Tresen::with(counter.config()).await.expect_err("refused");
    assert_eq!(files(counter.dir.path()), before, "left as it was, with nothing put beside it");
    assert_eq!(error.kind(), Kind::Storage, "{error}");
    assert_eq!(error.device(), Some(counter.db().to_str().expect("text")), "{error}");
    assert!(
        error.next_step().is_some_and(|s| !s.is_empty()) || error.to_string().contains("not a database"),
        "{error}"
    );
    error
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_untouched() {
    let counter = Counter::new();
    drop(Store::open(&counter.db(), Arc::new(SystemRuntime::new())).await.expect("makes it"));
    let db = Connection::open(counter.db()).expect("opens");
    let ours: i32 = db.pragma_query_value(None, "user_version", |r| r.get(0)).expect("a number");
    // The store's thread closes the file a moment later; then all of it can be put into one file.
    until("closed", || db.pragma_update(None, "journal_mode", "DELETE").is_ok()).await;
    db.pragma_update(None, "user_version", ours + 1).expect("set");
    drop(db);
    let error = refused(&counter).await.to_string();
    assert!(error.contains(&format!("schema version {}", ours + 1)) && error.contains("update tresen"), "{error}");
}

#[tokio::test]
async fn a_database_of_another_program_is_left_untouched() {
    let counter = Counter::new();
    let db = Connection::open(counter.db()).expect("opens");
    db.execute_batch("CREATE TABLE customers (name)").expect("made");
    drop(db);
    assert!(refused(&counter).await.to_string().contains("another program"));
}

#[tokio::test]
async fn a_broken_file_is_left_untouched() {
    let counter = Counter::new();
    std::fs::write(counter.db(), "these are my notes").expect("written");
    refused(&counter).await;
    // The header is right and the rest is not.
    let made = Counter::new();
    drop(Store::open(&made.db(), Arc::new(SystemRuntime::new())).await.expect("makes it"));
    let mut bytes = std::fs::read(made.db()).expect("readable");
    bytes[100..].fill(0xa5);
    std::fs::write(counter.db(), &bytes).expect("written");
    let error = refused_but_opened(&counter).await;
    assert!(error.to_string().contains("till.db"), "{error}");
}

/// SQLite finds out only while it reads; then nothing must have been written either.
async fn refused_but_opened(counter: &Counter) -> Error {
    let before = std::fs::read(counter.db()).expect("a file");
    let error = tresen::Tresen::with(counter.config()).await.expect_err("refused");
    assert_eq!(std::fs::read(counter.db()).expect("a file"), before, "left as it was");
    assert_eq!(error.kind(), Kind::Storage, "{error}");
    error
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let counter = Counter::new();
    let path = counter.dir.path().join("no/such/till.db");
    let error = Store::open(&path, Arc::new(SystemRuntime::new())).await.expect_err("there is no folder");
    assert_eq!(error.kind(), Kind::Storage, "{error}");
    assert!(error.to_string().contains("no/such/till.db"), "{error}");
}

fn tea(price: i64) -> Line {
    Line::pieces("Tea", 1, Amount::eur(price), Vat::percent(19)).expect("fits")
}

/// A sale that is paid in cash and closed; the printer may be away.
async fn sold(till: &Tresen) -> Sale {
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(tea(2_90)).await.expect("kept");
    sale.pay_cash(Amount::eur(5_00)).await.expect("taken");
    let closing = tokio::spawn({
        let (till, mut sale) = (till.clone(), sale.clone());
        async move { till.checkout("receipt").expect("configured").close(&mut sale).await }
    });
    // The paper is waited for, the number is not.
    let id = sale.id().to_owned();
    let closed = within("closed", async {
        loop {
            let sale = till.sale(&id).await.expect("readable").expect("there");
            if sale.state() == SaleState::Closed {
                return sale;
            }
            tokio::task::yield_now().await;
        }
    });
    let closed = closed.await;
    closing.abort();
    closed
}

#[tokio::test]
async fn numbers_have_no_gaps_over_restarts_and_open_or_voided_sales_take_none() {
    let mut counter = Counter::new();
    let _receipt = counter.away("printers.receipt", "escpos");
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let till = counter.open().await;
        for _ in 0..3 {
            let mut voided = till.open_sale().await.expect("opens");
            voided.add(tea(1_00)).await.expect("kept");
            voided.void("the customer left").await.expect("given up");
            till.open_sale().await.expect("opens").add(tea(1_00)).await.expect("kept");
            numbers.push(sold(&till).await.ticket().number());
        }
    }
    assert_eq!(numbers, (1..=9).map(Some).collect::<Vec<_>>());
    let till = counter.open().await;
    let states: Vec<_> = till.store().tickets().await.expect("readable").iter().map(|t| t.state).collect();
    let count = |state| states.iter().filter(|s| **s == state).count();
    assert_eq!([SaleState::Closed, SaleState::Voided, SaleState::Open].map(count), [9, 9, 9]);
    let since = till.tickets_since(7, 10).await.expect("readable");
    assert_eq!(since.iter().map(|s| s.ticket().number()).collect::<Vec<_>>(), [Some(8), Some(9)]);
    assert_eq!(since[0].ticket().lines(), [tea(2_90)], "with their lines");
    let eighth = till.sale_by_number(8).await.expect("readable").expect("there");
    assert_eq!(eighth.id(), since[0].id());
    assert!(till.sale_by_number(10).await.expect("readable").is_none());
}

/// Two stations have the same table open.
#[tokio::test]
async fn of_two_stations_that_change_one_sale_the_second_hears_of_it() {
    let counter = Counter::new();
    let till = counter.open().await;
    let mut here = till.open_sale_by(Origin::new().station("bar").operator("anna")).await.expect("opens");
    here.add(tea(1_00)).await.expect("kept");
    let mut there = till.sale(here.id()).await.expect("readable").expect("it is stored");
    there.add(tea(2_00)).await.expect("kept");
    let error = here.add(tea(3_00)).await.expect_err("it knows an older one");
    assert_eq!((error.kind(), error.retry()), (Kind::Busy, tresen::Retry::Now), "{error}");
    assert_eq!(here.ticket().total(), Amount::eur(1_00), "as it was");
    here.refresh().await.expect("read");
    here.add(tea(3_00)).await.expect("kept");
    let stored = till.store().tickets().await.expect("readable");
    assert_eq!((stored[0].total, stored[0].origin.operator.as_deref()), (Amount::eur(6_00), Some("anna")));
}

/// All that was added is there after a restart, without anything having been paid.
#[tokio::test]
async fn an_open_sale_survives_with_its_lines() {
    let counter = Counter::new();
    let id = {
        let till = counter.open().await;
        let mut sale = till.open_sale().await.expect("opens");
        let line = tea(2_90).article("4711").group("drinks").tax_key("A");
        sale.add(line).await.expect("kept");
        sale.set_note("table 7").await.expect("kept");
        sale.id().to_owned()
    };
    let till = counter.open().await;
    let open = till.open_sales().await.expect("readable");
    assert_eq!((open.len(), open[0].id()), (1, &*id));
    let line = &open[0].ticket().lines()[0];
    assert_eq!(
        (line.article.as_deref(), line.group.as_deref(), line.tax_key.as_deref()),
        (Some("4711"), Some("drinks"), Some("A"))
    );
    assert_eq!(open[0].ticket().note(), Some("table 7"));
}

/// A process that is killed closes nothing: all since the start is in the WAL beside the file.
#[tokio::test]
async fn a_copy_taken_while_it_is_open_opens() {
    let counter = Counter::new();
    let till = counter.open().await;
    let sale = till.open_sale().await.expect("opens");
    let copy = Counter::new();
    for end in ["", "-wal"] {
        let name = format!("till.db{end}");
        std::fs::copy(counter.dir.path().join(&name), copy.dir.path().join(&name)).expect("copied");
    }
    let again = copy.open().await;
    let open = again.open_sales().await.expect("readable");
    assert_eq!(open.iter().map(Sale::id).collect::<Vec<_>>(), [sale.id()]);
    assert_eq!((again.store().till(), again.store().epoch()), (till.store().till(), 2), "the other one may go on");
}

/// Nothing of it runs on a thread: the till that was dropped lets go in tasks of the same thread.
#[tokio::test(start_paused = true)]
async fn a_simulated_till_that_was_dropped_can_be_opened_again_at_once() {
    let mut counter = Counter::new();
    let _off = counter.away("printers.receipt", "escpos");
    let start = "2026-01-02T08:00:00Z".parse().expect("a timestamp");
    let open =
        || Tresen::builder().runtime(Arc::new(tresen::hal::SimulatedRuntime::new(1, start))).with(counter.config());
    let till = open().await.expect("opens");
    let printer = till.printer("receipt").expect("configured");
    let job = printer.submit(&tresen::Receipt::new().text("Table 4")).await.expect("stored").id().to_owned();
    drop((till, printer));
    let till = open().await.expect("free");
    assert_eq!(till.open_jobs().await.expect("read")[0].id, job);
}
