//! What goes up: once and whole, whatever is lost, killed, closed or jumps; and the mode that is shown.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tresen::config::Device;
use tresen::sale::{Line, Vat};
use tresen::sync::SyncState;
use tresen::sync::sim::{Fault, Server};
use tresen::{Amount, Class, Config, EventKind, Tresen};

use crate::set_clock::SetClock;
use crate::{folder, heard, open, quit, runtime, sell, tickets, up};

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

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_changes_neither_order_nor_number() {
    let (dir, server) = (folder(), Server::new());
    let clock = SetClock::over(runtime());
    let printer = Device::at("escpos+tcp://127.0.0.1:9".parse().expect("an address"));
    let mut config = Config::default().with(Class::Printer, "receipt", printer);
    config.till.store = dir.path().join("till.db");
    config.till.socket = false;
    let till =
        Tresen::builder().runtime(Arc::new(clock.clone())).server(server.clone()).with(config).await.expect("opens");
    let mut sold = Vec::new();
    for years in [0, 20, -30, 1, -1] {
        clock.set_hours(years * 365 * 24);
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
