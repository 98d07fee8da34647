//! Backups are whole or not there, whatever happens meanwhile; a restored till assigns no number twice unnoticed.

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Counter, within};
use rusqlite::Connection;
use tresen::sale::{Line, Vat};
use tresen::{Amount, JobState, Kind, Receipt, Store, SystemRuntime, Tresen};

/// Names the database for the other program.
const OTHER: &str = "TRESEN_TEST_BACKUP";

/// A counter with a printer, and one that is away: its jobs wait.
async fn counter() -> Counter {
    let mut counter = Counter::new();
    counter.printer("receipt").await;
    counter.configure("printers.kitchen", "escpos+tcp://127.0.0.1:9");
    counter
}

/// Sells for cash; returns the number.
async fn sell(till: &Tresen) -> i64 {
    let mut sale = till.open_sale().await.expect("opens");
    let line = Line::pieces("Tea", 1, Amount::eur(2_90), Vat::percent(19)).expect("fits");
    sale.add(line).await.expect("kept");
    sale.pay_cash(Amount::eur(5_00)).await.expect("taken");
    let checkout = till.checkout("receipt").expect("configured");
    let sold = within("closed", checkout.close(&mut sale)).await.expect("closed");
    assert!(matches!(sold, tresen::sale::Sold::Closed { .. }), "{sold:?}");
    sale.ticket().number().expect("closed")
}

async fn read(path: &Path) -> Store {
    Store::open_read_only(path, Arc::new(SystemRuntime::new())).await.expect("a database")
}

async fn numbers(store: &Store) -> Vec<i64> {
    store.tickets().await.expect("readable").iter().filter_map(|ticket| ticket.number).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().expect("text")).collect();
    names.sort();
    names
}

async fn restore(backup: &Path, to: &Path) -> tresen::Result<tresen::Restored> {
    Store::restore(backup, to, Arc::new(SystemRuntime::new())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_a_busy_till_holds_all_that_was_sold_before_and_half_of_nothing() {
    let counter = counter().await;
    let till = counter.open().await;
    sell(&till).await;
    let stop = Arc::new(AtomicBool::new(false));
    let selling = tokio::spawn({
        let (till, stop) = (till.clone(), stop.clone());
        async move {
            let mut last = 0;
            while !stop.load(Ordering::Relaxed) {
                last = sell(&till).await;
            }
            last
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (mut before, beside) = (0, read(&counter.db()).await);
    for n in 0..6 {
        let to = folder.path().join(format!("{n}.db"));
        // In turn by the till itself and by a tool beside it.
        let backup = if n % 2 == 0 { till.backup(&to).await } else { beside.backup(&to).await }.expect("written");
        let copy = read(&to).await;
        let sold = numbers(&copy).await;
        assert_eq!(sold, (1..=backup.extent.number).collect::<Vec<_>>(), "whole, and up to a point");
        assert!(backup.extent.number > before, "the till sold on: {backup:?}");
        before = backup.extent.number;
        assert_eq!((backup.extent.till.as_str(), backup.extent.epoch), (till.store().till(), 1));
        let last = copy.journal().after(backup.extent.journal - 1).await.expect("readable");
        assert_eq!(last.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [backup.extent.journal]);
        // What was sold once the backup was there is sold at the till only.
        let wanted = before + 1;
        within("the next sale", async {
            while till.sale_by_number(wanted).await.expect("readable").is_none() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    let last = selling.await.expect("sold");
    assert_eq!(numbers(till.store()).await, (1..=last).collect::<Vec<_>>());
    let left = names(folder.path());
    assert_eq!(left, ["0.db", "1.db", "2.db", "3.db", "4.db", "5.db"], "each is one file");
}

#[tokio::test]
async fn an_existing_file_is_never_overwritten_and_a_folder_keeps_the_newest() {
    let counter = counter().await;
    let till = counter.open().await;
    sell(&till).await;
    let folder = tempfile::tempdir().expect("a folder");
    let taken = folder.path().join("taken.db");
    std::fs::write(&taken, "mine").expect("written");
    for to in [taken.clone(), counter.db()] {
        let error = till.backup(&to).await.expect_err("it exists");
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains("exists already; it was left unchanged"), "{error}");
    }
    assert_eq!(std::fs::read(&taken).expect("readable"), b"mine");
    let error = till.backup(folder.path().join("no/such/folder.db")).await.expect_err("no folder");
    assert!(error.to_string().contains("no/such/folder.db.part"), "{error}");

    let stranger = Counter::new();
    let other = stranger.open().await;
    let foreign = folder.path().join("till-20200101T000000Z.db");
    other.backup(&foreign).await.expect("written");
    let first = till.backup(folder.path()).await.expect("written").path;
    let name = first.file_name().expect("a name").to_str().expect("text").to_owned();
    assert!(name.starts_with("till-2") && name.ends_with("Z.db"), "{name}");
    // Older ones, by their names.
    let older = ["till-20210101T000000Z.db", "till-20220101T000000Z.db"].map(|name| folder.path().join(name));
    older.iter().for_each(|path| _ = std::fs::copy(&first, path).expect("copied"));
    let removed = till.store().prune_backups(folder.path(), 2).await.expect("removed");
    assert_eq!(removed, older[..1]);
    let kept = [foreign, older[1].clone(), taken, first].map(|path| path.file_name().expect("a name").to_owned());
    assert_eq!(names(folder.path()).len(), kept.len());
    assert!(kept.iter().all(|name| folder.path().join(name).exists()));
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let counter = counter().await;
    let till = counter.open().await;
    let backup = till.backup(counter.dir.path().join("copy.db")).await.expect("written");
    let file = std::fs::metadata(&backup.path).expect("there");
    assert_eq!((file.permissions().mode() & 0o777, file.len()), (0o600, backup.bytes));
}

/// A program that copies a database of some megabytes, and stops when it has copied a part.
struct Half(Child);

impl Half {
    fn start(name: &str, db: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", name, "--nocapture"])
            .env(OTHER, db)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let there = said.map_while(|line| line.ok()).any(|line| line.contains("a part is copied"));
        assert!(there, "the other program ended without having copied");
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

#[tokio::test]
async fn a_killed_backup_leaves_nothing_under_its_name_and_the_next_one_succeeds() {
    if let Some(db) = std::env::var_os(OTHER) {
        let db = PathBuf::from(db);
        let stop = |progress: tresen::Progress| {
            assert!(progress.copied < progress.total, "it is more than one step");
            println!("a part is copied");
            std::io::stdin().lines().next();
        };
        read(&db).await.backup_with(db.with_extension("copy"), stop).await.expect("written");
        return;
    }
    let counter = counter().await;
    let till = counter.open().await;
    sell(&till).await;
    // Some megabytes, so that a copy takes several steps.
    let blown = Connection::open(counter.db()).expect("opens");
    blown.execute_batch(FILL).expect("written");
    let to = counter.db().with_extension("copy");
    let name = "a_killed_backup_leaves_nothing_under_its_name_and_the_next_one_succeeds";
    let other = Half::start(name, &counter.db());
    assert!(!to.exists());
    // While it runs, nobody else writes there, and the till sells on.
    let error = till.backup(&to).await.expect_err("another one is writing");
    assert_eq!(error.kind(), Kind::Busy, "{error}");
    assert_eq!(sell(&till).await, 2);
    other.kill();
    assert!(!to.exists() && to.with_extension("copy.part").exists());
    let backup = till.backup(&to).await.expect("written");
    assert_eq!(backup.extent.number, 2);
    assert!(!to.with_extension("copy.part").exists());
}

/// 4 MiB of print jobs.
const FILL: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4096)
    INSERT INTO jobs (id, route, content, state, queued_at, changed_at)
    SELECT 'fill ' || i, 'receipt', hex(zeroblob(512)), 'printed', '2026-01-02T08:00:00.000000Z',
    '2026-01-02T08:00:00.000000Z' FROM n";

#[tokio::test]
async fn a_restored_till_continues_in_a_new_epoch_after_all_numbers_that_were_assigned() {
    let counter = counter().await;
    let till = counter.open().await;
    let printer = till.printer("kitchen").expect("configured");
    sell(&till).await;
    printer.submit_as("slip", &Receipt::new().text("Tea")).await.expect("queued");
    let backup = till.backup(counter.dir.path().join("backup.db")).await.expect("written");
    for number in 2..=3 {
        assert_eq!(sell(&till).await, number);
    }
    let reached = till.store().journal().await.expect("readable").last().expect("entries").seq;

    let error = restore(&backup.path, &counter.db()).await.expect_err("the till is open");
    assert_eq!(error.kind(), Kind::Busy, "{error}");
    till.close(common::DEADLINE).await.expect("closed");

    let done = restore(&backup.path, &counter.db()).await.expect("restored");
    assert_eq!((done.epoch, done.missing_numbers()), (2, 2));
    assert_eq!(done.missing_entries(), reached - backup.extent.journal);
    let kept = done.kept.clone().expect("the old one");
    assert_eq!(numbers(&read(&kept).await).await, [1, 2, 3], "nothing is lost: {}", kept.display());
    assert_eq!(done.parked, 1);

    let till = counter.open().await;
    assert_eq!(till.store().epoch(), 2, "begun once, not again by opening it");
    let job = till.store().job("slip").await.expect("readable").expect("there");
    assert_eq!(job.state, JobState::Unknown, "it may have been printed since");
    assert_eq!(sell(&till).await, 4);
    till.close(common::DEADLINE).await.expect("closed");

    // The same backup once more: an epoch above the one that it began last time.
    let done = restore(&backup.path, &counter.db()).await.expect("restored");
    assert_eq!(done.epoch, 3);
    let till = counter.open().await;
    assert_eq!((till.store().epoch(), sell(&till).await), (3, 5));
}

#[tokio::test]
async fn a_backup_that_was_merely_copied_back_is_noticed_even_with_its_lock_file() {
    let counter = counter().await;
    let till = counter.open().await;
    sell(&till).await;
    till.printer("kitchen").expect("configured").submit_as("slip", &Receipt::new().text("Tea")).await.expect("queued");
    let backup = till.backup(counter.dir.path().join("backup.db")).await.expect("written").path;
    till.close(common::DEADLINE).await.expect("closed");
    // Nothing has happened since: the lock file agrees with the backup in everything.
    std::fs::copy(&backup, counter.db()).expect("copied");
    let till = counter.open().await;
    assert_eq!(till.store().epoch(), 2);
    let job = till.store().job("slip").await.expect("readable").expect("there");
    assert_eq!(job.state, JobState::Unknown);
    till.close(common::DEADLINE).await.expect("closed");
    // Again: the lock file remembers the epoch that the backup does not know of.
    std::fs::copy(&backup, counter.db()).expect("copied");
    assert_eq!(counter.open().await.store().epoch(), 3);
}

#[tokio::test]
async fn what_cannot_be_restored_changes_nothing() {
    let counter = counter().await;
    let till = counter.open().await;
    sell(&till).await;
    let folder = tempfile::tempdir().expect("a folder");
    let good = till.backup(folder.path().join("good.db")).await.expect("written").path;
    till.close(common::DEADLINE).await.expect("closed");
    let bytes = std::fs::read(&good).expect("readable");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let mut torn = bytes.clone();
    let at = torn.len() - 4096 * 2;
    torn[at..at + 4096].fill(0x5a);
    let half = write("half.db", &bytes[..bytes.len() / 2]);
    let torn = write("torn.db", &torn);
    let notes = write("notes.txt", b"these are my notes");
    let missing = folder.path().join("missing.db");
    let foreign = folder.path().join("foreign.db");
    let stranger = Counter::new();
    stranger.open().await.backup(&foreign).await.expect("written");
    let before = std::fs::read(counter.db()).expect("readable");
    for (backup, parts) in [
        (&half, &["half.db", "damaged"][..]),
        (&torn, &["torn.db", "damaged"]),
        (&notes, &["notes.txt", "not a database"]),
        (&missing, &["missing.db", "no such file"]),
        (&foreign, &["is the database of till", "the backup is of till", "move the database away"]),
        (&counter.db(), &["is the database itself"]),
    ] {
        let error = restore(backup, &counter.db()).await.expect_err("refused").to_string();
        parts.iter().for_each(|part| assert!(error.contains(part), "`{part}` in {error}"));
        assert!(std::fs::read(counter.db()).expect("readable") == before, "{error}");
    }
    assert_eq!(names(counter.dir.path()), ["till.db", "till.db.lock"], "nothing was put beside it");
    let till = counter.open().await;
    assert_eq!((till.store().epoch(), sell(&till).await), (1, 2));
}

#[tokio::test]
async fn a_damaged_or_missing_database_is_replaced_all_the_same() {
    let counter = counter().await;
    let till = counter.open().await;
    sell(&till).await;
    let backup = till.backup(counter.dir.path().join("backup.db")).await.expect("written").path;
    sell(&till).await;
    till.close(common::DEADLINE).await.expect("closed");
    let mut bytes = std::fs::read(counter.db()).expect("readable");
    bytes[100..].fill(0xa5);
    std::fs::write(counter.db(), &bytes).expect("written");
    // What a killed restore has left is replaced.
    std::fs::write(counter.dir.path().join("till.db.restoring"), "half").expect("written");
    let done = restore(&backup, &counter.db()).await.expect("restored");
    assert_eq!((done.replaced.is_none(), done.epoch), (true, 2), "{done:?}");
    let kept = std::fs::read(done.kept.expect("kept")).expect("readable");
    assert!(kept == bytes, "left as it was");
    assert!(!counter.dir.path().join("till.db.restoring").exists());
    let till = counter.open().await;
    assert_eq!(till.store().epoch(), 2);
    till.close(common::DEADLINE).await.expect("closed");

    let elsewhere = tempfile::tempdir().expect("a folder");
    let new = elsewhere.path().join("till.db");
    let done = restore(&backup, &new).await.expect("restored");
    assert_eq!((done.kept, done.epoch), (None, 2));
    let store = Store::open(&new, Arc::new(SystemRuntime::new())).await.expect("opens");
    assert_eq!((store.epoch(), numbers(&store).await), (2, vec![1]));
}
