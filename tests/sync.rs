//! Local and connected mode against a server in memory: answers lost, late and doubled, the server away, restored and
//! shared; tills killed and restored from backups. Time is virtual.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;
use tresen::config::{Device, Server as Settings};
use tresen::hal::SimulatedRuntime;
use tresen::sale::{Line, OnAccount, Sale, Sold, TenderState, Vat};
use tresen::sync::SyncState;
use tresen::sync::sim::{Fault, Server};
use tresen::{Amount, BookingState, Class, Clock, Config, EventKind, Events, OutboxEntry, Runtime, SaleState, Tresen};

/// A till with a printer that is away, and a server.
async fn open_with(dir: &Path, server: &Server, settings: impl FnOnce(&mut Settings)) -> Tresen {
    let printer = Device::at("escpos+tcp://127.0.0.1:9".parse().expect("an address"));
    let mut config = Config::default().with(Class::Printer, "receipt", printer);
    config.till.store = dir.join("till.db");
    config.till.socket = false;
    let mut server_settings = Settings::default();
    settings(&mut server_settings);
    config.server = Some(server_settings);
    let till = Tresen::builder().runtime(Arc::new(runtime())).server(server.clone());
    till.with(config).await.expect("opens")
}

/// The runtime of a test: a till that is opened again goes on with it.
fn runtime() -> SimulatedRuntime {
    thread_local! {
        static RUNTIME: OnceCell<SimulatedRuntime> = const { OnceCell::new() };
    }
    let new = || SimulatedRuntime::new(7, "2026-01-02T08:00:00Z".parse().expect("a time"));
    RUNTIME.with(|runtime| runtime.get_or_init(new).clone())
}

async fn open(dir: &Path, server: &Server) -> Tresen {
    open_with(dir, server, |_| {}).await
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

async fn basket(till: &Tresen, cents: i64) -> Sale {
    let mut sale = till.open_sale_by("bar".into()).await.expect("opens");
    let tea = Line::pieces("Tea", 1, Amount::eur(cents), Vat::percent(19)).expect("fits").tax_key("A");
    sale.add(tea).await.expect("added");
    sale
}

async fn close(till: &Tresen, sale: &mut Sale) {
    let sold = till.checkout("receipt").expect("configured").close(sale).await.expect("stored");
    assert!(matches!(sold, Sold::Closed { .. }), "{sold:?}");
}

/// A sale paid in cash; its id.
async fn sell(till: &Tresen, cents: i64) -> String {
    let mut sale = basket(till, cents).await;
    sale.pay_cash(Amount::eur(cents)).await.expect("taken");
    close(till, &mut sale).await;
    sale.id().to_owned()
}

/// Waits until the server has everything, and checks that it has exactly that.
async fn up(till: &Tresen, server: &Server) -> Vec<OutboxEntry> {
    let started = Instant::now();
    loop {
        let status = till.sync().await.expect("readable");
        if status.state == SyncState::Connected && status.behind == 0 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(600), "{status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let there = server.entries(till.store().till());
    let ours = till.store().journal().limit(10_000).await.expect("readable");
    for line in &ours.rows {
        let same = |e: &&OutboxEntry| (e.seq, &e.kind, &e.key, e.at) == (line.seq, &line.kind, &line.key, line.at);
        let same: Vec<_> = there.iter().filter(same).collect();
        assert_eq!(same.len(), 1, "{line:?} is at the server once: {same:?}");
    }
    there
}

/// The ids of the closed sales among entries.
fn tickets(entries: &[OutboxEntry]) -> Vec<&str> {
    entries.iter().filter(|e| e.kind == "closed").map(|e| e.key.as_str()).collect()
}

fn count<T: PartialEq>(all: &[T], one: &T) -> usize {
    all.iter().filter(|it| *it == one).count()
}

/// The kinds of the events so far.
fn heard(events: &mut Events) -> Vec<EventKind> {
    std::iter::from_fn(|| events.try_next()).map(|event| event.kind).collect()
}

/// Copies a till's files; with `lock`, also what would tell that a backup was restored.
fn copy(from: &Path, to: &Path, lock: bool) {
    for file in ["till.db", "till.db-wal", "till.db.lock"] {
        if file != "till.db.lock" || lock {
            std::fs::remove_file(to.join(file)).ok();
        }
        if from.join(file).exists() && (file != "till.db.lock" || lock) {
            std::fs::copy(from.join(file), to.join(file)).expect("copied");
        }
    }
}

/// A backup of a till that is closed.
fn backup(dir: &TempDir) -> TempDir {
    let backup = folder();
    copy(dir.path(), backup.path(), true);
    backup
}

async fn quit(till: Tresen) {
    till.close(Duration::from_secs(10)).await.expect("closes");
}

#[tokio::test(start_paused = true)]
async fn every_ticket_arrives_once_and_whole_whatever_is_lost_on_the_way() {
    for seed in 0..20u64 {
        let (dir, server) = (folder(), Server::new());
        let mut dice = seed;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        let till = open(dir.path(), &server).await;
        let mut sold = Vec::new();
        for n in 0..30 {
            let fault = match roll(6) {
                0 => Fault::Lost,
                1 => Fault::AnswerLost,
                2 => Fault::Late(Duration::from_secs(roll(60))),
                3 => Fault::Twice,
                _ => Fault::None,
            };
            server.add_faults([fault]);
            if roll(8) == 0 {
                server.set_reachable(roll(2) == 0);
            }
            sold.push(sell(&till, 100 + n).await);
            tokio::time::sleep(Duration::from_millis(roll(20_000))).await;
        }
        server.set_reachable(true);
        let there = up(&till, &server).await;
        assert_eq!(tickets(&there), sold, "seed {seed}: each once, in order");
        assert!(server.quarantine().is_empty(), "seed {seed}");
        // A ticket can be rebuilt from its entry alone.
        let last = there.iter().rev().find(|e| e.kind == "closed").expect("sold");
        let body: serde_json::Value = serde_json::from_str(&last.body).expect("JSON");
        assert_eq!(body["ticket"]["number"], 30);
        assert_eq!(body["ticket"]["lines"][0]["tax_key"], "A");
        assert_eq!((&body["tenders"][0]["tender"], &body["tenders"][0]["taken"]), (&json!("cash"), &json!("1.29 EUR")));
        assert_eq!(body["opened_by"]["station"], "bar");
        quit(till).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_mode_changes_by_itself_and_is_told_once() {
    let (dir, server) = (folder(), Server::new());
    let till = open(dir.path(), &server).await;
    let mut events = till.events();
    up(&till, &server).await;
    sell(&till, 100).await;
    up(&till, &server).await;
    server.set_reachable(false);
    for n in 0..5 {
        sell(&till, 200 + n).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let status = till.sync().await.expect("readable");
    let SyncState::Local { why, since } = &status.state else { panic!("{status:?}") };
    assert!(why.contains("cannot be reached") && status.behind >= 10, "{status:?}");
    assert!(till.store().journal().await.expect("read").last().is_some_and(|last| last.at > *since));
    server.set_reachable(true);
    up(&till, &server).await;
    let states: Vec<_> = heard(&mut events)
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::Server(state) => Some(state),
            _ => None,
        })
        .collect();
    let words: Vec<_> = states
        .iter()
        .map(|state| match state {
            SyncState::Connected => "connected",
            SyncState::CatchingUp { .. } => "catching up",
            SyncState::Local { .. } => "local",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(words, ["connected", "local", "catching up", "connected"], "{states:?}");
    // An idle connection that dies is noticed.
    server.set_reachable(false);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(matches!(&*till.sync_state().borrow(), SyncState::Local { .. }));
    assert!(server.calls() < 400, "attempts are spaced out: {}", server.calls());
}

#[tokio::test(start_paused = true)]
async fn a_till_without_a_server_is_off() {
    let dir = folder();
    let mut config = Config::default();
    config.till.store = dir.path().join("till.db");
    config.till.socket = false;
    let till = Tresen::with(config).await.expect("opens");
    assert_eq!(till.sync().await.expect("readable").state, SyncState::Off);
    assert!(till.accounts().is_err());
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Tea", 1, Amount::eur(1_00), Vat::percent(19)).expect("fits")).await.expect("added");
    sale.void("left").await.expect("voided");
    let pruned = till.store().prune("2100-01-01T00:00:00Z".parse().expect("a time")).await.expect("pruned");
    assert_eq!((pruned.sales, pruned.journal), (1, 0), "the last line stays: the chain goes on from it");
    sale_after(&till).await;
}

async fn sale_after(till: &Tresen) {
    let before = till.store().journal().await.expect("read").last().expect("one").seq;
    let mut sale = till.open_sale().await.expect("opens");
    sale.void("again").await.expect("voided");
    assert_eq!(till.store().journal().await.expect("read").last().expect("one").seq, before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_till_that_is_killed_goes_on_where_the_server_is() {
    let (dir, server) = (folder(), Server::new());
    let mut sold = Vec::new();
    for round in 0..6 {
        let till = open(dir.path(), &server).await;
        // Killed before the first hello, after it, or with answers lost.
        server.add_faults(vec![Fault::AnswerLost; round % 3]);
        for n in 0..3 {
            sold.push(sell(&till, 100 + n).await);
        }
        tokio::time::sleep(Duration::from_millis(150 * round as u64)).await;
        drop(till);
    }
    let till = open(dir.path(), &server).await;
    let there = up(&till, &server).await;
    assert_eq!(tickets(&there), sold);
}

/// Sells, then restores a backup; `lock` whether the lock file comes from the backup, too, so that nothing tells the
/// till. Returns what was sold and is at the server.
async fn restored(lock: bool, offline: usize) -> (Vec<EventKind>, Tresen, Server, TempDir) {
    let (dir, server) = (folder(), Server::new());
    let till = open(dir.path(), &server).await;
    let mut sold = vec![sell(&till, 100).await, sell(&till, 200).await];
    up(&till, &server).await;
    quit(till).await;
    let saved = backup(&dir);
    let till = open(dir.path(), &server).await;
    for n in 0..4 {
        sold.push(sell(&till, 300 + n).await);
    }
    up(&till, &server).await;
    quit(till).await;

    copy(saved.path(), dir.path(), lock);
    server.set_reachable(false);
    let till = open(dir.path(), &server).await;
    let mut events = till.events();
    for n in 0..offline {
        sold.push(sell(&till, 400 + n as i64).await);
    }
    server.set_reachable(true);
    let there = up(&till, &server).await;
    let tickets = tickets(&there);
    assert!(sold.iter().all(|id| count(&tickets, &id.as_str()) == 1), "{sold:?} once each: {tickets:?}");
    assert_eq!(tickets.len(), sold.len());
    assert!(server.quarantine().is_empty(), "{:?}", server.quarantine());
    (heard(&mut events), till, server, dir)
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_nobody_announced_begins_a_new_epoch_at_the_last_common_line() {
    // The server is ahead, at the same length, and behind.
    for offline in [0, 1, 4, 9] {
        let (events, till, _, _dir) = restored(true, offline).await;
        let found: Vec<_> = events.iter().filter(|kind| matches!(kind, EventKind::RestoreFound { .. })).collect();
        assert!(matches!(found[..], [EventKind::RestoreFound { epoch: 2, .. }]), "{offline}: {found:?}");
        assert_eq!(till.store().epoch(), 2);
        for sale in till.tickets_since(2, 100).await.expect("read") {
            assert_eq!(sale.epoch(), Some(2), "numbers assigned since belong to the new epoch");
        }
        assert_eq!(till.tickets_since(0, 1).await.expect("read")[0].epoch(), Some(1));
        let kinds: Vec<_> = till.store().journal().await.expect("read").rows;
        assert_eq!(kinds.iter().filter(|line| line.kind == "epoch").count(), 1, "{kinds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_the_till_notices_itself_needs_no_discovery() {
    let (events, till, _, _dir) = restored(false, 3).await;
    assert!(!events.iter().any(|kind| matches!(kind, EventKind::RestoreFound { .. })), "{events:?}");
    assert_eq!(till.store().epoch(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_same_backup_restored_again_and_again_never_meets_its_own_epochs() {
    let (dir, server) = (folder(), Server::new());
    let till = open(dir.path(), &server).await;
    let mut sold = vec![sell(&till, 100).await];
    up(&till, &server).await;
    quit(till).await;
    let saved = backup(&dir);
    for round in 0..5i64 {
        // Sometimes the till notices by itself, and would count on from the backup's epoch.
        copy(saved.path(), dir.path(), round % 2 == 0);
        let till = open(dir.path(), &server).await;
        for n in 0..=round {
            sold.push(sell(&till, 200 + n).await);
        }
        let there = up(&till, &server).await;
        let tickets = tickets(&there);
        assert!(sold.iter().all(|id| count(&tickets, &id.as_str()) == 1), "round {round}: {sold:?}, {tickets:?}");
        assert_eq!(tickets.len(), sold.len(), "round {round}");
        assert!(server.quarantine().is_empty(), "round {round}");
        quit(till).await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_entry_under_the_same_key_goes_to_quarantine_and_a_person_is_told() {
    let (dir, server) = (folder(), Server::new());
    let till = open(dir.path(), &server).await;
    let mut events = till.events();
    sell(&till, 100).await;
    let there = up(&till, &server).await;
    server.set_reachable(false);
    // Somebody stored something else under the key of the next but one entry.
    let mut foreign = there.last().expect("sold").clone();
    foreign.seq += 2;
    server.plant(till.store().till(), foreign.clone());
    sell(&till, 200).await;
    let sold = sell(&till, 300).await;
    server.set_reachable(true);
    let started = Instant::now();
    while till.sync().await.expect("read").behind > 0 || server.quarantine().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(600));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let aside = server.quarantine();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!((aside[0].1.epoch, aside[0].1.seq), (1, foreign.seq));
    assert_ne!(aside[0].1.hash, foreign.hash);
    let told: Vec<_> = heard(&mut events).into_iter().filter(|k| matches!(k, EventKind::Quarantined { .. })).collect();
    assert_eq!(told, [EventKind::Quarantined { epoch: 1, seq: foreign.seq }]);
    // The rest went up; the foreign entry was not overwritten; the till stays in its epoch.
    let there = server.entries(till.store().till());
    assert_eq!(tickets(&there).last(), Some(&sold.as_str()));
    assert!(there.contains(&foreign) && till.store().epoch() == 1);
    let noted = till.store().journal().await.expect("read").rows;
    assert_eq!(noted.iter().filter(|line| line.kind == "quarantined").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_tills_on_copies_of_one_database_lose_nothing() {
    let (first, second, server) = (folder(), folder(), Server::new());
    let till = open(first.path(), &server).await;
    let mut sold = vec![sell(&till, 100).await];
    up(&till, &server).await;
    quit(till).await;
    copy(first.path(), second.path(), true);
    let (one, two) = (open(first.path(), &server).await, open(second.path(), &server).await);
    for n in 0..10 {
        sold.push(sell(&one, 200 + n).await);
        sold.push(sell(&two, 300 + n).await);
        tokio::time::sleep(Duration::from_secs(n as u64)).await;
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    let there = server.entries(one.store().till());
    let tickets = tickets(&there);
    assert!(sold.iter().all(|id| count(&tickets, &id.as_str()) == 1), "{sold:?}, {tickets:?}");
    let epochs = [one.store().epoch(), two.store().epoch()];
    assert_ne!(epochs[0], epochs[1]);
    for till in [one, two] {
        let status = till.sync().await.expect("read");
        assert_eq!((&status.state, status.behind), (&SyncState::Connected, 0), "{status:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_set_back_gets_everything_again() {
    let (dir, server) = (folder(), Server::new());
    let till = open(dir.path(), &server).await;
    let mut sold = vec![sell(&till, 100).await];
    up(&till, &server).await;
    let saved = server.backup();
    sold.push(sell(&till, 200).await);
    sold.push(sell(&till, 300).await);
    up(&till, &server).await;
    server.restore(saved);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(tickets(&up(&till, &server).await), sold);
    assert_eq!(till.store().epoch(), 1);
    // A new server begins empty.
    server.restore(Server::new().backup());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(tickets(&up(&till, &server).await), sold);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_have_is_not_removed() {
    let (dir, server) = (folder(), Server::new());
    let till = open(dir.path(), &server).await;
    let mut events = till.events();
    let first = sell(&till, 100).await;
    up(&till, &server).await;
    let saved = server.backup();
    server.set_reachable(false);
    let second = sell(&till, 200).await;
    let ever = "2100-01-01T00:00:00Z".parse().expect("a time");
    let pruned = till.store().prune(ever).await.expect("pruned");
    assert_eq!(pruned.sales, 1);
    let left = |id: &str| {
        let (till, id) = (till.clone(), id.to_owned());
        async move { till.sale(&id).await.expect("read").is_some() }
    };
    assert!(!left(&first).await && left(&second).await);
    server.set_reachable(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let there = server.entries(till.store().till());
    assert_eq!(tickets(&there), [first, second.clone()]);
    assert_eq!(till.store().prune(ever).await.expect("pruned").sales, 1);
    assert!(!left(&second).await);
    // What was removed here cannot be sent again, and a person is told.
    server.restore(saved);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let lacks: Vec<_> = heard(&mut events).into_iter().filter(|k| matches!(k, EventKind::ServerLacks { .. })).collect();
    assert_eq!(lacks.len(), 1, "{lacks:?}");
    let third = sell(&till, 300).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(tickets(&server.entries(till.store().till())).contains(&third.as_str()), "the exchange goes on");
}

#[tokio::test(start_paused = true)]
async fn reference_tables_come_down_whole_and_stay_without_the_server() {
    let (dir, server) = (folder(), Server::new());
    for n in 0..25 {
        server.set_row("articles", &format!("{n:02}"), Some(json!({ "name": format!("Article {n}") })));
    }
    server.set_row("staff", "anna", Some(json!({ "pin": null })));
    let tables = |settings: &mut Settings| {
        settings.reference = ["articles", "missing", "staff"].map(str::to_owned).to_vec();
    };
    let till = open_with(dir.path(), &server, tables).await;
    up(&till, &server).await;
    let read = |till: Tresen| async move {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = till.reference("articles", after.as_deref(), 10).await.expect("read");
            rows.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return (page.table.expect("received").version, rows);
            }
        }
    };
    let (version, rows) = read(till.clone()).await;
    assert_eq!((version, rows.len()), (25, 25));
    assert!(rows.is_sorted_by_key(|row| row.id.clone()));
    let row = till.reference_row("articles", "07").await.expect("read").expect("there");
    assert_eq!(row.body, json!({ "name": "Article 7" }));
    // A change comes with the next service, not before.
    server.set_row("articles", "07", None);
    server.set_row("articles", "99", Some(json!({ "name": "New" })));
    assert!(till.reference_row("articles", "99").await.expect("read").is_none());
    server.set_reachable(false);
    let refreshed = till.refresh_reference().await.expect("read");
    assert!(matches!(refreshed.state, SyncState::Local { .. }), "{refreshed:?}");
    assert_eq!(refreshed.tables.iter().map(|t| t.version).collect::<Vec<_>>(), [25, 1], "those last received");
    server.set_reachable(true);
    let refreshed = till.refresh_reference().await.expect("read");
    assert_eq!(refreshed.tables[0].version, 27, "{refreshed:?}");
    let (version, rows) = read(till.clone()).await;
    assert_eq!((version, rows.len()), (27, 25));
    assert!(till.reference_row("articles", "07").await.expect("read").is_none());
    quit(till).await;
    // The next start has no server.
    server.set_reachable(false);
    let till = open_with(dir.path(), &server, tables).await;
    assert_eq!(read(till.clone()).await.1.len(), 25);
    assert!(till.reference("nothing", None, 10).await.expect("read").table.is_none());
}

/// A canteen: accounts `a` with 20.00 EUR, a limit of 10.00 EUR in local mode.
async fn canteen(dir: &Path, server: &Server) -> Tresen {
    if server.balance("a").is_none() {
        server.set_balance("a", Amount::eur(20_00));
    }
    let till = open_with(dir, server, |settings| settings.account_limit = Some(Amount::eur(10_00))).await;
    if till.sync_state().borrow().is_connected() {
        up(&till, server).await;
    }
    till
}

async fn on_account(till: &Tresen, sale: &mut Sale, cents: i64) -> OnAccount {
    let accounts = till.accounts().expect("configured");
    sale.pay_account(&accounts, "a", Amount::eur(cents)).await.expect("stored")
}

#[tokio::test(start_paused = true)]
async fn an_account_is_reserved_booked_on_close_and_released_when_given_back() {
    let (dir, server) = (folder(), Server::new());
    let till = canteen(dir.path(), &server).await;
    up(&till, &server).await;
    let mut sale = basket(&till, 8_00).await;
    let paid = on_account(&till, &mut sale, 5_00).await;
    assert_eq!(paid, OnAccount::Reserved { balance: Some(Amount::eur(15_00)) });
    assert_eq!(server.balance("a"), Some((Amount::eur(15_00), Amount::eur(20_00))));
    assert_eq!(sale.open_amount(), Amount::eur(3_00));
    let refused = on_account(&till, &mut sale, 3_00).await;
    assert_eq!(refused, OnAccount::Reserved { balance: Some(Amount::eur(12_00)) });
    sale.give_back(2).await.expect("given back");
    sale.pay_cash(Amount::eur(3_00)).await.expect("taken");
    close(&till, &mut sale).await;
    let there = up(&till, &server).await;
    assert_eq!(server.balance("a"), Some((Amount::eur(15_00), Amount::eur(15_00))), "booked once, the other released");
    let body: serde_json::Value =
        serde_json::from_str(&there.iter().find(|e| e.kind == "closed").expect("closed").body).expect("JSON");
    assert_eq!(body["tenders"][0]["account"], "a");

    let mut sale = basket(&till, 50_00).await;
    let OnAccount::Refused { why } = on_account(&till, &mut sale, 50_00).await else { panic!("too much") };
    assert!(why.contains("15.00 EUR"), "{why}");
    assert_eq!(sale.tenders()[0].state, TenderState::Refused);
    sale.void("left").await.expect("nothing was taken");
    // A refund credits the account.
    let mut back = till.open_refund(&sell(&till, 4_00).await, "bar".into()).await.expect("opens");
    assert_eq!(on_account(&till, &mut back, -4_00).await, OnAccount::Credited);
    close(&till, &mut back).await;
    up(&till, &server).await;
    assert_eq!(server.balance("a"), Some((Amount::eur(19_00), Amount::eur(19_00))));
}

#[tokio::test(start_paused = true)]
async fn local_mode_takes_up_to_the_limit_and_lists_what_does_not_fit() {
    let (dir, server) = (folder(), Server::new());
    let till = canteen(dir.path(), &server).await;
    up(&till, &server).await;
    let mut events = till.events();
    server.set_reachable(false);
    let mut first = basket(&till, 6_00).await;
    assert_eq!(on_account(&till, &mut first, 6_00).await, OnAccount::Owed { balance: Amount::eur(14_00) });
    close(&till, &mut first).await;
    let mut second = basket(&till, 5_00).await;
    let OnAccount::Refused { why } = on_account(&till, &mut second, 5_00).await else { panic!("11.00 > 10.00") };
    assert!(why.contains("limit") && why.contains("10.00 EUR"), "{why}");
    assert_eq!(on_account(&till, &mut second, 4_00).await, OnAccount::Owed { balance: Amount::eur(10_00) });
    second.pay_cash(Amount::eur(1_00)).await.expect("taken");
    close(&till, &mut second).await;
    let mut unknown = basket(&till, 1_00).await;
    let accounts = till.accounts().expect("configured");
    let refused = unknown.pay_account(&accounts, "b", Amount::eur(1_00)).await.expect("stored");
    assert!(matches!(&refused, OnAccount::Refused { why } if why.contains("never seen")), "{refused:?}");
    // Meanwhile somebody has spent most of it elsewhere.
    server.set_balance("a", Amount::eur(7_00));
    server.set_reachable(true);
    up(&till, &server).await;
    assert_eq!(
        server.balance("a"),
        Some((Amount::eur(1_00), Amount::eur(1_00))),
        "the first fits, the second does not"
    );
    let listed = till.unbooked().await.expect("read");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((listed[0].amount, listed[0].state), (Amount::eur(4_00), BookingState::Unbooked));
    assert_eq!((server.unbooked(), listed[0].sale.as_str()), (vec![listed[0].key.clone()], second.id()));
    assert_eq!(till.sync().await.expect("read").unbooked, 1);
    let told = heard(&mut events);
    assert_eq!(told.iter().filter(|k| matches!(k, EventKind::AccountUnbooked { .. })).count(), 1, "{told:?}");
    assert_eq!(till.sale(second.id()).await.expect("read").expect("there").state(), SaleState::Closed);
    // The customer pays in: the next service books it.
    server.set_balance("a", Amount::eur(30_00));
    till.refresh_reference().await.expect("read");
    assert_eq!(till.unbooked().await.expect("read"), []);
    assert_eq!(server.balance("a"), Some((Amount::eur(26_00), Amount::eur(26_00))));
}

#[tokio::test(start_paused = true)]
async fn money_in_doubt_is_asked_for_by_its_key_and_never_booked_twice() {
    for (fault, cents) in [
        (Fault::AnswerLost, 6_00),
        (Fault::Lost, 6_00),
        (Fault::Late(Duration::from_secs(20)), 6_00),
        (Fault::Twice, 6_00),
        (Fault::AnswerLost, 12_00),
        (Fault::Lost, 12_00),
        (Fault::Late(Duration::from_secs(20)), 12_00),
    ] {
        let (dir, server) = (folder(), Server::new());
        let till = canteen(dir.path(), &server).await;
        up(&till, &server).await;
        let mut sale = basket(&till, cents).await;
        server.add_faults([fault]);
        // The exchange itself must not take the fault.
        let paid = on_account(&till, &mut sale, cents).await;
        let within = cents <= 10_00;
        match (&paid, fault) {
            (OnAccount::Reserved { .. }, Fault::Twice) => {}
            (OnAccount::Owed { .. }, _) => assert!(within, "{fault:?} {cents}"),
            (OnAccount::Unknown { .. }, _) => {
                assert!(!within && sale.is_pending(), "{fault:?} {cents}");
            }
            other => panic!("{other:?} {cents}"),
        }
        let started = Instant::now();
        while sale.is_pending() {
            assert!(started.elapsed() < Duration::from_secs(120));
            tokio::time::sleep(Duration::from_secs(1)).await;
            sale.refresh().await.expect("read");
        }
        if sale.open_amount().minor() > 0 {
            assert_eq!((fault, sale.tenders()[0].state), (Fault::Lost, TenderState::Refused));
            assert!(matches!(on_account(&till, &mut sale, cents).await, OnAccount::Reserved { .. }));
        }
        close(&till, &mut sale).await;
        up(&till, &server).await;
        let left = Amount::eur(20_00 - cents);
        assert_eq!(server.balance("a"), Some((left, left)), "{fault:?} {cents}: once");
        assert_eq!(till.unbooked().await.expect("read"), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_till_killed_while_it_reserves_finds_out_at_its_next_start() {
    for (fault, state) in [(Fault::AnswerLost, TenderState::Taken), (Fault::Lost, TenderState::Refused)] {
        let (dir, server) = (folder(), Server::new());
        let till = canteen(dir.path(), &server).await;
        up(&till, &server).await;
        let mut sale = basket(&till, 12_00).await;
        let id = sale.id().to_owned();
        server.add_faults([fault]);
        let accounts = till.accounts().expect("configured");
        {
            // The till goes while the server is being asked.
            let call = sale.pay_account(&accounts, "a", Amount::eur(12_00));
            let mut call = std::pin::pin!(call);
            while server.calls() == 0 || server.balance("a").is_none() {
                tokio::select! { biased; _ = &mut call => break, () = tokio::task::yield_now() => {} }
            }
            _ = tokio::time::timeout(Duration::from_millis(1), &mut call).await;
        }
        drop((sale, accounts, till));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let till = canteen(dir.path(), &server).await;
        up(&till, &server).await;
        let mut sale = till.sale(&id).await.expect("read").expect("there");
        assert_eq!(sale.tenders()[0].state, state, "{fault:?}: {:?}", sale.tenders());
        if state == TenderState::Refused {
            sale.pay_cash(Amount::eur(12_00)).await.expect("taken");
        }
        close(&till, &mut sale).await;
        up(&till, &server).await;
        let left = if state == TenderState::Taken { Amount::eur(8_00) } else { Amount::eur(20_00) };
        assert_eq!(server.balance("a"), Some((left, left)), "{fault:?}");
    }
}

/// A runtime whose date and time can be set.
#[derive(Debug, Clone)]
struct SetClock(SimulatedRuntime, Arc<AtomicI64>);

impl Clock for SetClock {
    fn now(&self) -> std::time::Instant {
        self.0.now()
    }
    fn wall(&self) -> Timestamp {
        self.0.wall() + SignedDuration::from_secs(self.1.load(Ordering::Relaxed))
    }
}

impl Runtime for SetClock {
    fn random(&self) -> u64 {
        self.0.random()
    }
    fn new_id(&self) -> String {
        self.0.new_id()
    }
    fn offload(&self, work: tresen::hal::runtime::Work) {
        self.0.offload(work);
    }
    fn worker(&self, name: &str) -> tresen::Result<tresen::hal::runtime::Worker> {
        self.0.worker(name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_changes_neither_order_nor_number() {
    let (dir, server) = (folder(), Server::new());
    let clock = SetClock(runtime(), Arc::default());
    let printer = Device::at("escpos+tcp://127.0.0.1:9".parse().expect("an address"));
    let mut config = Config::default().with(Class::Printer, "receipt", printer);
    config.till.store = dir.path().join("till.db");
    config.till.socket = false;
    let till =
        Tresen::builder().runtime(Arc::new(clock.clone())).server(server.clone()).with(config).await.expect("opens");
    let mut sold = Vec::new();
    for years in [0, 20, -30, 1, -1] {
        clock.1.store(years * 365 * 86_400, Ordering::Relaxed);
        server.set_reachable(years != -30);
        sold.push(sell(&till, 100).await);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let there = up(&till, &server).await;
    assert_eq!(tickets(&there), sold);
    assert!(!there.is_sorted_by_key(|entry| entry.at) && there.is_sorted_by_key(|entry| entry.seq));
    assert_eq!((till.store().epoch(), server.quarantine().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn closing_the_till_sends_what_is_left_but_not_for_ever() {
    let (dir, server) = (folder(), Server::new());
    let till = open(dir.path(), &server).await;
    up(&till, &server).await;
    let sold = sell(&till, 100).await;
    let (id, started) = (till.store().till().to_owned(), Instant::now());
    quit(till).await;
    assert_eq!(tickets(&server.entries(&id)), [sold]);
    let till = open(dir.path(), &server).await;
    up(&till, &server).await;
    server.add_faults([Fault::Late(Duration::from_secs(3600))]);
    sell(&till, 200).await;
    quit(till).await;
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}
