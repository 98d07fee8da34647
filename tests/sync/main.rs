//! Local and connected mode against a server in memory: answers lost, late and doubled, the server away, restored and
//! shared; tills killed and restored from backups. Time is virtual.

mod accounts;
mod exchange;
mod histories;
mod reference;
#[path = "../common/set_clock.rs"]
mod set_clock;

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;
use tresen::config::{Device, Server as Settings};
use tresen::hal::SimulatedRuntime;
use tresen::sale::{Line, Sale, Sold, Vat};
use tresen::sync::SyncState;
use tresen::sync::sim::Server;
use tresen::{Amount, Class, Config, EventKind, Events, OutboxEntry, Tresen};

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

/// The same till after its server was removed from the configuration.
async fn open_alone(dir: &Path) -> Tresen {
    let printer = Device::at("escpos+tcp://127.0.0.1:9".parse().expect("an address"));
    let mut config = Config::default().with(Class::Printer, "receipt", printer);
    config.till.store = dir.join("till.db");
    config.till.socket = false;
    Tresen::builder().runtime(Arc::new(runtime())).with(config).await.expect("opens")
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
