//! The demo, as a person runs it: what it leaves in its folder is read by others' eyes.

mod common;
mod paper;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use common::{Said, tresen};
use paper::Paper;
use tresen::{JobState, Payment, Store, SystemRuntime};

fn demo(dir: &Path, fault: Option<&str>) -> Said {
    let dir = dir.to_str().expect("text");
    let fault = fault.map(|f| vec!["--fault", f]).unwrap_or_default();
    tresen([vec!["demo", "--json", "--out", dir], fault].concat()).well()
}

/// A line of `tickets.csv`, by column.
type Line = BTreeMap<String, String>;

fn tickets(dir: &Path) -> Vec<Line> {
    let mut rows = csv::Reader::from_path(dir.join("tickets.csv")).expect("a table");
    rows.deserialize().map(|row| row.expect("a row")).collect()
}

fn cents(text: &str) -> i64 {
    text.replace('.', "").parse().expect("an amount with two decimals")
}

/// Every amount of the ticket stands on the picture, and on the line where it belongs.
fn amounts_are_on(paper: &Paper, ticket: &[Line]) {
    let lines = paper.lines();
    let shown = |from: &str, to: &str| {
        let found = lines.iter().find(|l| l.text.starts_with(from) && l.text.split_whitespace().last() == Some(to));
        found.unwrap_or_else(|| panic!("no line from `{from}` to `{to}` in {lines:#?}")).clone()
    };
    let total = &ticket[0]["ticket_total"];
    assert_eq!(cents(total), ticket.iter().map(|l| cents(&l["total"])).sum::<i64>(), "the ticket adds up");
    assert!(!shown(&ticket[0]["name"], &ticket[0]["total"]).tall);
    for line in ticket {
        shown(&line["name"], &line["total"]);
    }
    let sum = shown("Total EUR", total);
    assert!(sum.tall && sum.bold, "the total stands out: {sum:?}");
    shown("Paid by card", total);
    // The taxes, from the lines: contained in the gross price, rounded to the cent.
    let mut rates: BTreeMap<&str, i64> = BTreeMap::new();
    for line in ticket {
        *rates.entry(&line["vat"]).or_default() += cents(&line["total"]);
    }
    assert_eq!(rates.len(), 2);
    for (rate, gross) in rates {
        let percent: i64 = rate.trim_end_matches(".00").parse().expect("a whole rate");
        let rate = &format!("{percent} %");
        let tax = (2 * gross * percent + 100 + percent) / (2 * (100 + percent));
        let decimal = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
        let row = shown(rate, &decimal(gross));
        let columns: Vec<_> = row.text.trim_start_matches(rate).split_whitespace().map(str::to_owned).collect();
        assert_eq!(columns, [gross - tax, tax, gross].map(decimal), "{row:?}");
    }
}

async fn store(dir: &Path) -> Store {
    Store::open(&dir.join("till.db"), Arc::new(SystemRuntime::new())).await.expect("a till's database")
}

#[tokio::test]
async fn a_sale_and_a_second_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = demo(dir.path(), None).json();
    for name in ["receipt.png", "kitchen.png", "receipt.bin", "till.db", "tickets.csv", "till.toml"] {
        assert!(dir.path().join(name).metadata().expect(name).len() > 0, "{name}");
    }
    let picture = Paper::read(&dir.path().join("receipt.png"));
    assert_eq!(picture.qr().as_deref(), first["receipt_link"].as_str());
    let ticket = tickets(dir.path());
    assert_eq!(first["total"].as_str(), Some(&*format!("{} EUR", ticket[0]["ticket_total"])));
    assert_eq!(first["charged"], first["total"]);
    amounts_are_on(&picture, &ticket);
    assert!(first["receipt_link"].as_str().is_some_and(|l| l.ends_with(&ticket[0]["id"])));

    // The bytes print the same once more.
    let again = dir.path().join("again.png");
    let bytes = dir.path().join("receipt.bin");
    let args = ["render", bytes.to_str().expect("text"), "-o", again.to_str().expect("text")];
    tresen([&args[..], &["--profile", "epson-tm-m30"]].concat()).well();
    assert_eq!(Paper::read(&again), picture);

    let second = demo(dir.path(), None).json();
    assert_ne!(first["receipt_link"], second["receipt_link"]);
    let all = tickets(dir.path());
    assert_eq!(&all[..ticket.len()], &ticket[..], "what was there stays");
    let added = &all[ticket.len()..];
    assert_eq!(added.len(), ticket.len());
    assert!(added.iter().all(|l| l["number"] == "2"), "{added:?}");
    assert_eq!(second["ticket"], 2);
    let picture = Paper::read(&dir.path().join("receipt.png"));
    assert_eq!(picture.qr().as_deref(), second["receipt_link"].as_str());
    amounts_are_on(&picture, added);

    // The one file named holds all of it: nothing is left in the WAL beside it.
    let copy = tempfile::tempdir().expect("a folder");
    std::fs::copy(dir.path().join("till.db"), copy.path().join("till.db")).expect("copied");
    let store = store(copy.path()).await;
    let payments = store.payments().await.expect("readable");
    assert_eq!(payments.len(), 2);
    assert!(payments.iter().all(|p| matches!(p.payment, Some(Payment::Charged(_)))));
    let jobs = store.jobs().await.expect("readable");
    assert_eq!(jobs.iter().map(|j| j.state).collect::<Vec<_>>(), [JobState::Printed; 4]);
    let tickets = store.tickets().await.expect("readable");
    assert!(tickets.iter().all(|t| t.closed_at.is_some()) && tickets.len() == 2);
}

#[tokio::test]
async fn without_paper_the_receipt_comes_out_in_the_kitchen_and_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let told = demo(dir.path(), Some("paper-out")).json();
    let kitchen = Paper::read(&dir.path().join("kitchen.png"));
    assert_eq!(kitchen.qr().as_deref(), told["receipt_link"].as_str());
    amounts_are_on(&kitchen, &tickets(dir.path()));
    assert!(kitchen.shows("Printed on kitchen instead of receipt"));
    assert_eq!(Paper::read(&dir.path().join("receipt.png")).qr(), None);
    let jobs = store(dir.path()).await.jobs().await.expect("readable");
    let receipt = jobs.iter().find(|j| j.route == "receipt").expect("a receipt");
    assert_eq!((receipt.state, receipt.printer.as_deref()), (JobState::Printed, Some("kitchen")));
}

#[tokio::test]
async fn with_the_link_cut_it_is_charged_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let told = demo(dir.path(), Some("link-cut")).json();
    assert_eq!(told["charged"], told["total"], "the demo compares it with the terminal's ledger");
    let picture = Paper::read(&dir.path().join("receipt.png"));
    assert_eq!(picture.qr().as_deref(), told["receipt_link"].as_str());
    amounts_are_on(&picture, &tickets(dir.path()));
    let store = store(dir.path()).await;
    let payments = store.payments().await.expect("readable");
    assert_eq!(payments.len(), 1);
    assert!(matches!(payments[0].payment, Some(Payment::Charged(_))), "{payments:?}");
    let kinds: Vec<_> = store.journal().await.expect("readable").into_iter().map(|l| l.kind).collect();
    assert_eq!(kinds.iter().filter(|k| *k == "intent").count(), 1, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|k| *k == "charged").count(), 1, "{kinds:?}");
    assert!(kinds.iter().any(|k| k == "unknown"), "it was in doubt for a moment: {kinds:?}");
}

#[tokio::test]
async fn declined_means_no_receipt_and_an_open_ticket() {
    let dir = tempfile::tempdir().expect("a folder");
    let told = demo(dir.path(), Some("decline")).json();
    assert!(told["charged"].is_null(), "{told}");
    assert!(!dir.path().join("tickets.csv").exists());
    assert_eq!(Paper::read(&dir.path().join("receipt.png")).qr(), None);
    let store = store(dir.path()).await;
    let tickets = store.tickets().await.expect("readable");
    assert_eq!(tickets.iter().map(|t| t.closed_at).collect::<Vec<_>>(), [None]);
    let payments = store.payments().await.expect("readable");
    assert!(matches!(payments[0].payment, Some(Payment::NotCharged(_))), "{payments:?}");
    assert!(store.jobs().await.expect("readable").iter().all(|j| j.route == "kitchen"));
}
