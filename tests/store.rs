//! The database: whose it is, what is refused, and what a restart finds. Through the public face only.

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use common::{Counter, is_charged, pay, until};
use rusqlite::Connection;
use tresen::payment::zvt::sim::Profile;
use tresen::sale::{Line, Ticket, Vat};
use tresen::{Amount, Error, Kind, Store, SystemClock};

/// Opening fails, names the file, and leaves it and its folder as they were.
async fn refused(counter: &Counter) -> Error {
    let files = |dir: &Path| {
        let entries = std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path());
        entries.map(|p| (p.clone(), std::fs::read(p).expect("a file"))).collect::<BTreeSet<_>>()
    };
    let before = files(counter.dir.path());
    let error = tresen::Tresen::with(counter.config(), Arc::new(SystemClock)).await.expect_err("refused");
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
    drop(Store::open(&counter.db(), Arc::new(SystemClock)).await.expect("makes it"));
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
    drop(Store::open(&made.db(), Arc::new(SystemClock)).await.expect("makes it"));
    let mut bytes = std::fs::read(made.db()).expect("readable");
    bytes[100..].fill(0xa5);
    std::fs::write(counter.db(), &bytes).expect("written");
    let error = refused_but_opened(&counter).await;
    assert!(error.to_string().contains("till.db"), "{error}");
}

/// SQLite finds out only while it reads; then nothing must have been written either.
async fn refused_but_opened(counter: &Counter) -> Error {
    let before = std::fs::read(counter.db()).expect("a file");
    let error = tresen::Tresen::with(counter.config(), Arc::new(SystemClock)).await.expect_err("refused");
    assert_eq!(std::fs::read(counter.db()).expect("a file"), before, "left as it was");
    assert_eq!(error.kind(), Kind::Storage, "{error}");
    error
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let counter = Counter::new();
    let path = counter.dir.path().join("no/such/till.db");
    let error = Store::open(&path, Arc::new(SystemClock)).await.expect_err("there is no folder");
    assert_eq!(error.kind(), Kind::Storage, "{error}");
    assert!(error.to_string().contains("no/such/till.db"), "{error}");
}

#[tokio::test]
async fn ticket_numbers_have_no_gaps_over_restarts() {
    let counter = Counter::new();
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let till = counter.open().await;
        for _ in 0..3 {
            numbers.push(till.open_ticket().await.expect("opens").number());
        }
    }
    assert_eq!(numbers, (1..=9).collect::<Vec<_>>());
    let till = counter.open().await;
    let stored: Vec<_> = till.store().tickets().await.expect("readable").iter().map(|t| t.number).collect();
    assert_eq!(stored, numbers, "also those that were never closed");
}

fn sell(mut ticket: Ticket, price: i64) -> Ticket {
    let line = Line::pieces("Tea", 1, Amount::eur(price), Vat::percent(19)).expect("fits");
    ticket.add(line).expect("euro");
    ticket
}

#[tokio::test]
async fn a_ticket_is_closed_once() {
    let counter = Counter::new();
    let till = counter.open().await;
    let empty = till.open_ticket().await.expect("opens");
    let ticket = sell(empty.clone(), 2_90);
    till.store().close_ticket(&ticket, None).await.expect("closes");
    let first = till.store().tickets().await.expect("readable");
    assert_eq!(first[0].total, Some(Amount::eur(2_90)));
    assert!(first[0].closed_at.is_some());
    till.store().close_ticket(&ticket, None).await.expect("the same again");
    assert_eq!(till.store().tickets().await.expect("readable"), first, "changes nothing");

    let error = till.store().close_ticket(&sell(empty, 3_90), None).await.expect_err("another content");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    assert_eq!(till.store().tickets().await.expect("readable"), first, "changes nothing either");
    let elsewhere = Counter::new().open().await.open_ticket().await.expect("opens");
    let error = till.store().close_ticket(&elsewhere, None).await.expect_err("another till's");
    assert_eq!(error.kind(), Kind::Input, "{error}");
}

/// Two tills on one file share numbers, journal and keys: no number is given twice, and one key is one
/// payment. It is not what the file is for, as one of them may settle or park what the other has in
/// hand when it starts.
#[tokio::test(flavor = "multi_thread")]
async fn two_tills_on_one_database_share_its_keys_and_numbers() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile::default()).await;
    let first = counter.open_ready(&["counter"]).await;
    assert!(is_charged(&pay(&first, "sale", Amount::eur(5_00)).await.expect("pays")));
    let second = counter.open().await;
    let open = |till: tresen::Tresen| async move {
        let mut numbers = Vec::new();
        for _ in 0..20 {
            numbers.push(till.open_ticket().await.expect("opens").number());
        }
        numbers
    };
    let (ones, others) = tokio::join!(tokio::spawn(open(first.clone())), tokio::spawn(open(second.clone())));
    let mut numbers = [ones.expect("no panic"), others.expect("no panic")].concat();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    assert_eq!(second.store().payments().await.expect("readable"), first.store().payments().await.expect("readable"));
    // The terminal serves one till at a time; the second gets it when the first lets go of it.
    drop(first);
    common::ready(second.terminal("counter").expect("configured").phase()).await;
    assert!(is_charged(&pay(&second, "sale", Amount::eur(5_00)).await.expect("known")));
    assert_eq!(sim.with(|s| s.received(0x0601)), 1, "the same key at another till is the same payment");
}

/// A process that is killed closes nothing: all since the start is in the WAL beside the file.
#[tokio::test]
async fn a_copy_taken_while_it_is_open_opens() {
    let counter = Counter::new();
    let till = counter.open().await;
    let number = till.open_ticket().await.expect("opens").number();
    let copy = Counter::new();
    for end in ["", "-wal"] {
        let name = format!("till.db{end}");
        std::fs::copy(counter.dir.path().join(&name), copy.dir.path().join(&name)).expect("copied");
    }
    let again = copy.open().await;
    assert_eq!(again.store().tickets().await.expect("readable").len(), 1);
    assert_eq!(again.open_ticket().await.expect("opens").number(), number + 1);
}
