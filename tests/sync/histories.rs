//! Histories that differ: backups restored, databases copied, servers set back, foreign entries.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;
use tresen::health::Alert;
use tresen::sync::SyncState;
use tresen::sync::sim::Server;
use tresen::{EventKind, Tresen};

use crate::{backup, copy, count, folder, heard, open, quit, sell, tickets, up};

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

    // A person is told what to do, and until then nothing counts as acknowledged beyond the gap.
    let gap = till.sync().await.expect("read").lacks.expect("known");
    let alerts = till.health().await.alerts;
    assert_eq!(alerts.iter().filter(|alert| alert.alert == Alert::ServerLacks).count(), 1, "{alerts:?}");
    assert!(till.sync().await.expect("read").acknowledged == gap.after && gap.after + 1 < gap.before);
    assert_eq!(till.store().prune(ever).await.expect("pruned").sales, 0);
    assert_eq!(till.accept_gap().await.expect("there is one"), gap);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let status = till.sync().await.expect("read");
    assert_eq!((status.behind, status.lacks), (0, None), "{status:?}");
    assert!(till.health().await.alerts.iter().all(|alert| alert.alert != Alert::ServerLacks));
    let there = server.entries(till.store().till());
    assert_eq!(there.iter().filter(|entry| entry.kind == "gap").count(), 1, "the server knows of it, once");
    assert_eq!(till.store().prune(ever).await.expect("pruned").sales, 1, "the exchange is not stuck");
    till.accept_gap().await.expect_err("nothing lacks any more");

    // It goes on after a restart, and the same entries are not sent again.
    quit(till).await;
    let till = open(dir.path(), &server).await;
    let fourth = sell(&till, 400).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(till.sync().await.expect("read").behind, 0);
    let there = server.entries(till.store().till());
    assert_eq!(tickets(&there).iter().filter(|id| **id == fourth || **id == third).count(), 2, "each once");
    assert_eq!(till.store().epoch(), 1);
}
