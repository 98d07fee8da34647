use std::path::PathBuf;
use std::sync::mpsc;

use super::*;
use crate::spool::Jobs;
use rusqlite::StatementStatus;
use tempfile::TempDir;
use tresen_hal::{Amount, ManualClock, SystemRuntime};
use tresen_payment::{Charge, Intent, IntentId, Journal, NotCharged, Payment, Reason, Transaction, zvt};
use tresen_printers::{Content, Proof, Receipt};

struct Till {
    dir: TempDir,
}

impl Till {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    fn db(&self) -> PathBuf {
        self.dir.path().join("till.db")
    }

    async fn open(&self) -> Store {
        Store::open(&self.db(), Arc::new(SystemRuntime::new())).await.expect("opens")
    }

    /// A second connection, as from another program.
    fn beside(&self) -> Connection {
        Connection::open(self.db()).expect("opens")
    }
}

fn content(word: &str) -> Content {
    Content::Receipt(Receipt::new().text(word).cut())
}

fn intent(id: &str, operation: Transaction) -> Intent {
    Intent::new(IntentId(id.into()), "counter", operation, Amount::eur(10_00), Timestamp::UNIX_EPOCH, None)
}

fn charged(id: &str, receipt: &str) -> Payment {
    let mut charge = Charge::new(IntentId(id.into()), Amount::eur(10_00));
    charge.receipt_number = Some(receipt.into());
    Payment::Charged(Box::new(charge))
}

#[tokio::test]
async fn the_store_keeps_what_every_journal_promises() {
    let till = Till::new();
    tresen_payment::testing::journal(&till.open().await).await;
}

/// A listing that hangs halfway, with a payment and a print at the same time.
#[tokio::test]
async fn a_listing_that_hangs_delays_neither_a_payment_nor_a_print() {
    let till = Till::new();
    let store = till.open().await;
    for id in ["a", "b", "c"] {
        store.queue_job(id, "kitchen", &content(id), &Origin::new()).await.expect("queued");
    }
    let (at_second, reached) = tokio::sync::oneshot::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let listing = tokio::spawn({
        let store = store.clone();
        async move {
            let mut at_second = Some(at_second);
            let rows = store.list(move |db| {
                let mut all = db.prepare("SELECT id FROM jobs ORDER BY seq")?;
                let mut rows = all.query([])?;
                let mut seen = 0;
                while rows.next()?.is_some() {
                    seen += 1;
                    if seen == 2 {
                        at_second.take().expect("once").send(()).ok();
                        wait.recv().ok();
                    }
                }
                Ok(seen)
            });
            rows.await
        }
    });
    reached.await.expect("it is in the middle");
    store.intend(&intent("sale", Transaction::Payment)).await.expect("written");
    store.conclude(&IntentId("sale".into()), &charged("sale", "0417")).await.expect("written");
    let (job, _) = store.next_job("kitchen", &Jobs::all(), 0).await.expect("read").job.expect("waits");
    assert!(store.begin_job(&job, "kitchen").await.expect("written").is_some());
    assert_eq!(store.job("a").await.expect("read").expect("there").state, JobState::Printing);
    assert!(!listing.is_finished());
    go_on.send(()).expect("it waits");
    assert_eq!(listing.await.expect("no panic").expect("listed"), 3);
}

#[tokio::test]
async fn of_requests_that_are_committed_together_a_failing_one_fails_alone() {
    let till = Till::new();
    let store = till.open().await;
    let (go_on, wait) = mpsc::channel::<()>();
    let held = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .writer()
                .expect("writes")
                .apart(move |_| {
                    wait.recv().ok();
                    Ok(())
                })
                .await
        }
    });
    let queue = |id: &'static str, word: &'static str| {
        let store = store.clone();
        tokio::spawn(async move { store.queue_job(id, "kitchen", &content(word), &Origin::new()).await })
    };
    let requests = [queue("a", "A"), queue("a", "another"), queue("b", "B")];
    // On this single thread each call has queued its work once it was polled.
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    go_on.send(()).expect("it waits");
    held.await.expect("no panic").expect("done");
    let mut ended = Vec::new();
    for request in requests {
        ended.push(request.await.expect("no panic").map_err(|e| e.kind()));
    }
    assert_eq!(ended, [Ok(()), Err(Kind::Input), Ok(())]);
    assert_eq!(store.jobs().await.expect("listed").iter().map(|j| &*j.id).collect::<Vec<_>>(), ["a", "b"]);
}

/// The commit itself fails: a foreign key that is checked at the end.
#[tokio::test]
async fn what_could_not_be_committed_is_answered_as_failed() {
    let till = Till::new();
    let store = till.open().await;
    let beside = till.beside();
    beside
        .execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER breaks AFTER INSERT ON jobs BEGIN INSERT INTO child VALUES (1); END;",
        )
        .expect("made");
    let error = store.queue_job("a", "kitchen", &content("A"), &Origin::new()).await.expect_err("no commit");
    assert_eq!(error.kind(), Kind::Storage, "{error}");
    assert_eq!(store.job("a").await.expect("read"), None);
    beside.execute_batch("DROP TRIGGER breaks").expect("mended");
    store.queue_job("a", "kitchen", &content("A"), &Origin::new()).await.expect("it goes on");
}

#[tokio::test]
async fn a_full_disk_is_called_a_full_disk_and_nothing_else_is() {
    let till = Till::new();
    let store = till.open().await;
    let pages = |n: i64| {
        store
            .writer()
            .expect("writes")
            .apart(move |db| Ok(db.query_row(&format!("PRAGMA max_page_count = {n}"), [], |r| r.get::<_, i64>(0))?))
    };
    pages(1).await.expect("set");
    let large = content(&"x".repeat(100_000));
    let error = store.queue_job("a", "kitchen", &large, &Origin::new()).await.expect_err("no room");
    assert!(error.to_string().contains("disk is full"), "{error}");
    assert_eq!((error.kind(), error.device()), (Kind::Storage, till.db().to_str()), "{error}");
    pages(1_000_000).await.expect("set");
    store.queue_job("a", "kitchen", &large, &Origin::new()).await.expect("room again");
    let error =
        store.write(|db| Ok(db.execute("INSERT INTO meta VALUES ('till', 'x')", [])?)).await.expect_err("twice");
    assert!(!error.to_string().contains("disk") && error.to_string().contains("conflicts with stored data"), "{error}");
}

/// Queries made before each payment and each print must not scan the history.
#[tokio::test]
async fn the_questions_of_every_day_use_an_index() {
    let till = Till::new();
    let store = till.open().await;
    let waiting = "SELECT id FROM jobs WHERE route = 'a' AND state = 'queued' AND seq > 0 ORDER BY seq";
    let parked = "UPDATE jobs SET error = '' WHERE state = 'printing'";
    let last = format!("SELECT id {}", journal::LAST);
    let ends = format!("SELECT id {}", journal::ENDS);
    for sql in [journal::OPEN, &last, &ends, waiting, parked, "SELECT id FROM sales WHERE state = 'open' ORDER BY seq"]
    {
        let sql = sql.replace("?1", "'counter'").replace("?2", "'a'");
        let plan: Vec<String> = store
            .read(move |db| {
                let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let steps = plan.query_map([], |row| row.get(3))?;
                Ok(steps.collect::<rusqlite::Result<_>>()?)
            })
            .await
            .expect("explained");
        let plan = plan.join("; ");
        assert!(plan.contains("USING") && plan.contains("INDEX") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[tokio::test]
async fn a_job_that_cannot_be_read_is_marked_and_the_next_one_is_printed() {
    let till = Till::new();
    let store = till.open().await;
    for id in ["a", "b", "c", "d"] {
        store.queue_job(id, "kitchen", &content(id), &Origin::new()).await.expect("queued");
    }
    let beside = till.beside();
    for (id, text) in
        [("a", r#"{"v":2,"hologram":1}"#), ("b", "not JSON"), ("c", r#"{"v":1,"receipt":{"items":[{"x":1}]}}"#)]
    {
        beside.execute("UPDATE jobs SET content = ?2 WHERE id = ?1", [id, text]).expect("broken");
    }
    let next = store.next_job("kitchen", &Jobs::all(), 0).await.expect("read");
    assert_eq!(next.job.expect("the one that can be read").0.id, "d");
    let ids: Vec<_> = next.unreadable.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert!(next.unreadable[0].1.contains("version 2"), "{:?}", next.unreadable);
    assert_eq!(store.next_job("kitchen", &Jobs::all(), 0).await.expect("read").unreadable, [], "marked once");
    let listed = store.jobs().await.expect("listed");
    let states: Vec<_> = listed.iter().map(|j| (&*j.id, j.state, j.error.is_some())).collect();
    let unreadable = JobState::Unreadable;
    assert_eq!(
        states,
        [("a", unreadable, true), ("b", unreadable, true), ("c", unreadable, true), ("d", JobState::Queued, false)]
    );
    beside.execute("UPDATE jobs SET proof = 'x' WHERE id = 'd'", []).expect("broken");
    let listed = store.jobs().await.expect("the others are listed");
    assert_eq!((listed.len(), &*listed.unreadable[0].id), (3, "d"));
}

/// The stored format is permanent: these texts were not written by our serialiser. RFC 4648: `1b 40` is `G0A=`.
#[tokio::test]
async fn contents_that_earlier_tills_stored_can_be_read() {
    let till = Till::new();
    let store = till.open().await;
    let receipt = |receipt: Receipt| Content::Receipt(receipt);
    for (n, (text, expected)) in [
        (r#"{"v":1,"receipt":{"items":[]}}"#, receipt(Receipt::new())),
        (r#"{"v":1,"receipt":{"items":[{"type":"text","text":"a"}]}}"#, receipt(Receipt::new().text("a"))),
        (r#"{ "receipt": { "items": [ { "type": "rule" } ] }, "v": 1 }"#, receipt(Receipt::new().rule())),
        (r#"{"v":1,"raw":{"language":"escpos","bytes":"G0A="}}"#, Content::escpos(*b"\x1b@")),
        (r#"{"raw":{"bytes":"","language":"escpos"},"v":1}"#, Content::escpos(*b"")),
    ]
    .into_iter()
    .enumerate()
    {
        let id = n.to_string();
        store.queue_job(&id, &id, &content("replaced"), &Origin::new()).await.expect("queued");
        till.beside().execute("UPDATE jobs SET content = ?2 WHERE id = ?1", [&*id, text]).expect("written");
        let next = store.next_job(&id, &Jobs::all(), 0).await.expect("read");
        assert_eq!(next.job.expect(text).1, expected, "{text}");
        assert_eq!(store.job_content(&id).await.expect("read"), Some(expected), "{text}");
    }
}

#[tokio::test]
async fn raw_bytes_stand_in_the_database_as_they_are_documented() {
    let till = Till::new();
    let store = till.open().await;
    store.queue_job("a", "kitchen", &Content::escpos(*b"\x1b@"), &Origin::new()).await.expect("queued");
    let text: String =
        till.beside().query_row("SELECT content FROM jobs WHERE id = 'a'", [], |r| r.get(0)).expect("there");
    assert_eq!(text, r#"{"v":1,"raw":{"language":"escpos","bytes":"G0A="}}"#);
}

/// A text that is not UTF-8 used to block its route.
#[tokio::test]
async fn a_content_that_is_no_text_keeps_no_other_job_waiting() {
    let till = Till::new();
    let store = till.open().await;
    for id in ["a", "b", "c"] {
        store.queue_job(id, "kitchen", &content(id), &Origin::new()).await.expect("queued");
    }
    let beside = till.beside();
    beside.execute("UPDATE jobs SET content = CAST(x'ff' AS TEXT) WHERE id = 'a'", []).expect("broken");
    let raw = r#"{"v":1,"raw":{"language":"escpos","bytes":"not base64"}}"#;
    beside.execute("UPDATE jobs SET content = ?1 WHERE id = 'b'", [raw]).expect("broken");
    let next = store.next_job("kitchen", &Jobs::all(), 0).await.expect("read");
    assert_eq!(next.job.expect("the one that can be read").0.id, "c");
    let ids: Vec<_> = next.unreadable.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(next.unreadable[1].1.contains("base64"), "{:?}", next.unreadable);
}

#[tokio::test]
async fn a_mark_that_comes_too_late_changes_nothing() {
    let till = Till::new();
    let store = till.open().await;
    store.queue_job("a", "kitchen", &content("A"), &Origin::new()).await.expect("queued");
    let job = async || store.next_job("kitchen", &Jobs::all(), 0).await.expect("read").job.expect("waits").0;
    let first = job().await;
    assert!(store.begin_job(&first, "one").await.expect("written").is_some());
    assert!(store.begin_job(&first, "two").await.expect("written").is_none(), "it is begun already");
    assert!(store.end_job("a", 1, &JobEnd::Waits("no paper".into())).await.expect("written"));
    let second = job().await;
    assert_eq!((second.attempt, second.error.as_deref()), (1, Some("no paper")));
    assert!(!store.note_waiting(&second, "no paper").await.expect("read"), "the same reason is not written again");
    assert!(store.note_waiting(&second, "cover open").await.expect("written"));
    assert!(store.begin_job(&second, "two").await.expect("written").is_some());
    // The first attempt's printer answers now.
    assert!(!store.end_job("a", 1, &JobEnd::Printed(Proof::ProcessId("0001".into()))).await.expect("written"));
    assert!(store.end_job("a", 2, &JobEnd::Accepted).await.expect("written"));
    assert!(!store.end_job("a", 2, &JobEnd::Unknown("late".into())).await.expect("written"));
    let ended = store.job("a").await.expect("read").expect("there");
    assert_eq!((ended.state, ended.attempt, ended.printer.as_deref()), (JobState::Accepted, 2, Some("two")));
}

#[tokio::test]
async fn a_payment_that_was_taken_back_says_so_and_money_that_goes_back_is_negative() {
    let till = Till::new();
    let store = till.open().await;
    store.intend(&intent("sale", Transaction::Payment)).await.expect("written");
    store.conclude(&IntentId("sale".into()), &charged("sale", "0417")).await.expect("written");
    store
        .intend(&intent("back", Transaction::Reversal { reference: zvt::reference(None, "417", None) }))
        .await
        .expect("written");
    store.conclude(&IntentId("back".into()), &charged("back", "0418")).await.expect("written");
    store.intend(&intent("refund", Transaction::Refund)).await.expect("written");
    let row = |id: &str| -> (String, i64, Option<i64>, String) {
        let find = "SELECT state, minor, moved, operation FROM intents WHERE id = ?1";
        till.beside().query_row(find, [id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))).expect("there")
    };
    assert_eq!(row("sale"), ("reversed".into(), 10_00, Some(10_00), "payment".into()));
    assert_eq!(row("back"), ("charged".into(), -10_00, Some(-10_00), "reversal".into()));
    assert_eq!(row("refund"), ("open".into(), -10_00, None, "refund".into()));
    let payments = store.payments().await.expect("listed");
    assert_eq!(payments[0].reversed_by, Some(IntentId("back".into())));
    assert_eq!(payments[1].original, Some(IntentId("sale".into())));
    // The terminal revokes the reversal: the payment is valid again.
    let reversed = NotCharged::new(IntentId("back".into()), Reason::Reversed, None, "taken back");
    store.conclude(&IntentId("back".into()), &Payment::NotCharged(reversed)).await.expect("written");
    assert_eq!(row("sale").0, "charged");
    assert_eq!(store.payment(&IntentId("sale".into())).await.expect("read").expect("there").reversed_by, None);
}

#[tokio::test]
async fn what_is_done_and_old_is_thrown_away_and_what_is_open_never() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    let clock = Arc::new(ManualClock::at(at("2026-01-02T08:00:00Z")));
    let store =
        Store::open(&dir.path().join("till.db"), Arc::new(SystemRuntime::with_clock(clock))).await.expect("opens");
    for id in ["done", "waits"] {
        store.queue_job(id, "kitchen", &content(id), &Origin::new()).await.expect("queued");
    }
    let (done, _) = store.next_job("kitchen", &Jobs::all(), 0).await.expect("read").job.expect("waits");
    store.begin_job(&done, "kitchen").await.expect("written");
    store.end_job("done", 1, &JobEnd::Accepted).await.expect("written");
    for (id, end) in [("old", true), ("open", false), ("newest", true)] {
        store.intend(&intent(id, Transaction::Payment)).await.expect("written");
        if end {
            store.conclude(&IntentId(id.into()), &charged(id, id)).await.expect("written");
        }
    }
    assert_eq!(store.prune(at("1960-01-01T00:00:00Z")).await.expect("pruned"), Pruned::default(), "nothing is so old");
    let pruned = store.prune(at("2026-01-02T08:00:00.1Z")).await.expect("pruned");
    assert_eq!((pruned.jobs, pruned.payments, pruned.journal), (1, 1, 2));
    let ids: Vec<_> = store.payments().await.expect("listed").iter().map(|p| p.intent.id.0.clone()).collect();
    assert_eq!(ids, ["open", "newest"], "the last charge is evidence");
    assert!(store.journal().await.expect("listed").iter().all(|line| line.key != "old"));
    assert_eq!(store.jobs().await.expect("listed")[0].id, "waits");
    assert_eq!(store.last("counter").await.expect("read"), None);
}

#[tokio::test]
async fn listings_come_page_by_page() {
    let till = Till::new();
    let store = till.open().await;
    for n in 0..7 {
        store.queue_job(&n.to_string(), "kitchen", &content("x"), &Origin::new()).await.expect("queued");
    }
    let (mut after, mut pages) = (Some(0), Vec::new());
    while let Some(from) = after {
        let page = store.jobs().after(from).limit(3).await.expect("listed");
        after = page.next;
        pages.push(page.len());
    }
    assert_eq!(pages, [3, 3, 1]);
}

#[tokio::test]
async fn each_row_says_where_it_comes_from() {
    let till = Till::new();
    let store = till.open().await;
    let origin = Origin::new().station("bar").source("order 7").operator("anna");
    store.queue_job("a", "kitchen", &content("x"), &origin).await.expect("queued");
    assert_eq!(store.job("a").await.expect("read").expect("there").origin, origin);
}

#[tokio::test]
async fn a_backup_that_is_put_back_begins_a_new_epoch_and_a_restart_does_not() {
    let till = Till::new();
    let id = {
        let store = till.open().await;
        assert_eq!(store.epoch(), 1);
        store.intend(&intent("before", Transaction::Payment)).await.expect("written");
        store.checkpoint().await.expect("in the file");
        store.till().to_owned()
    };
    let backup = till.dir.path().join("backup.db");
    {
        let store = till.open().await;
        assert_eq!((store.epoch(), store.till()), (1, &*id), "a restart is no restoring");
        store.checkpoint().await.expect("in the file");
        // While it is open: the usual backup of a till that runs for weeks.
        std::fs::copy(till.db(), &backup).expect("copied");
        store.intend(&intent("after", Transaction::Payment)).await.expect("written");
    }
    drop(till.open().await);
    let restore = || {
        // Once the lock is available, the file must be closed.
        drop(lock::Lock::take(&till.db(), "now").expect("free"));
        for end in ["-wal", "-shm"] {
            std::fs::remove_file(lock::beside(&till.db(), end)).ok();
        }
        std::fs::copy(&backup, till.db()).expect("restored");
    };
    restore();
    let store = till.open().await;
    assert_eq!((store.epoch(), store.till()), (2, &*id));
    let kinds: Vec<_> = store.journal().await.expect("listed").iter().map(|l| l.kind.clone()).collect();
    assert_eq!(kinds, ["intent", "epoch"]);
    assert_eq!(store.new_epoch().await.expect("written"), 3);
    drop(store);
    // Moved to another folder without its lock file: whether the old one is still in use is unknown.
    let elsewhere = Till::new();
    std::fs::copy(&backup, elsewhere.db()).expect("moved");
    assert_eq!(elsewhere.open().await.epoch(), 2);
}

#[tokio::test]
async fn who_looks_on_writes_nothing() {
    let till = Till::new();
    let store = till.open().await;
    store.queue_job("a", "kitchen", &content("x"), &Origin::new()).await.expect("queued");
    let beside = Store::open_read_only(&till.db(), Arc::new(SystemRuntime::new())).await.expect("opens beside it");
    assert_eq!(beside.jobs().await.expect("listed").len(), 1);
    assert_eq!(beside.till(), store.till());
    let error = beside.queue_job("b", "kitchen", &content("x"), &Origin::new()).await.expect_err("refused");
    assert_eq!(error.kind(), Kind::Storage, "{error}");
    store.queue_job("c", "kitchen", &content("x"), &Origin::new()).await.expect("queued");
    assert_eq!(beside.jobs().await.expect("listed").len(), 2);
    drop((store, beside));
    let missing = till.dir.path().join("no.db");
    Store::open_read_only(&missing, Arc::new(SystemRuntime::new())).await.expect_err("there is none");
    assert!(!missing.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn all_files_are_their_owners_alone_also_those_that_were_not() {
    use std::os::unix::fs::PermissionsExt;
    let till = Till::new();
    for round in 0..2 {
        let store = till.open().await;
        store.queue_job(&round.to_string(), "kitchen", &content("x"), &Origin::new()).await.expect("queued");
        for end in ["", "-wal", "-shm", ".lock"] {
            let path = lock::beside(&till.db(), end);
            let mode = std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}, round {round}", path.display());
        }
        drop(store);
        for end in ["", ".lock"] {
            let wide = std::fs::Permissions::from_mode(0o666);
            std::fs::set_permissions(lock::beside(&till.db(), end), wide).expect("set");
        }
    }
}

#[test]
fn times_sort_as_text() {
    let [whole, half] = ["2026-01-02T08:00:00Z", "2026-01-02T08:00:00.5Z"].map(|t| stamp(t.parse().expect("a time")));
    assert!(whole < half, "{whole} {half}");
    assert_eq!(time(&half).expect("a time").to_string(), "2026-01-02T08:00:00.5Z");
}

/// A sale of 10.00 with a card attempt that is about to be sent.
async fn about_to_pay(store: &Store) -> (String, String) {
    let line = crate::sale::Line::pieces("Tea", 1, Amount::eur(10_00), crate::sale::Vat::percent(19)).expect("fits");
    let record = store.new_sale("sale", Timestamp::UNIX_EPOCH, tresen_hal::Currency::EUR, &Origin::new()).await;
    let mut record = record.expect("opened");
    record.ticket.add(line).expect("euro");
    let record = store.change_sale(Basis::nameless(record.rev, store), &record.ticket).await.expect("kept");
    let new = NewTender {
        kind: crate::sale::TenderKind::Card { terminal: "counter".into() },
        operation: crate::sale::TenderOperation::Payment,
        asked: record.due,
        given: None,
        reference: None,
        taken: false,
    };
    let origin = Origin::new().operator("anna");
    let (record, key) =
        store.begin_tender("sale", Basis::nameless(record.rev, store), new, &origin).await.expect("written");
    assert_eq!((record.due, record.pending), (Amount::eur(0), true), "it counts until it is decided");
    ("sale".into(), key)
}

#[tokio::test]
async fn a_partial_approval_leaves_the_rest_open() {
    let till = Till::new();
    let store = till.open().await;
    let (sale, key) = about_to_pay(&store).await;
    store.intend(&intent(&key, Transaction::Payment)).await.expect("written");
    let id = IntentId(key.clone());
    let part = Payment::charged(Charge::new(id.clone(), Amount::eur(6_00)), Amount::eur(10_00));
    assert!(matches!(part, Payment::Partial(_)));
    store.conclude(&id, &part).await.expect("written");
    let record = store.follow_tenders(&sale).await.expect("followed");
    assert_eq!((record.due, record.pending), (Amount::eur(4_00), false));
    assert_eq!((record.tenders[0].asked, record.tenders[0].taken), (Amount::eur(10_00), Amount::eur(6_00)));
    let number = store.next_number().await.expect("read");
    let closing = Closing { number, at: store.time(), paper: None, order: None };
    let error = store.close_sale(&sale, Basis::nameless(record.rev, &store), closing).await.expect_err("4.00 are open");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    assert_eq!(store.sale(&sale).await.expect("read").expect("there"), record, "nothing of it stays");
    let payment = store.payment(&id).await.expect("read").expect("there");
    assert_eq!(payment.origin.operator.as_deref(), Some("anna"), "the payment knows who asked for it");
}

#[tokio::test]
async fn an_attempt_that_was_never_sent_is_refused_and_one_that_may_have_been_is_not() {
    let till = Till::new();
    let store = till.open().await;
    let (sale, key) = about_to_pay(&store).await;
    let record = store.follow_tenders(&sale).await.expect("followed");
    assert!(record.pending, "the call may be on its way");
    store.never_sent(&key, "the terminal is away");
    let record = store.follow_tenders(&sale).await.expect("followed");
    assert_eq!((record.due, record.tenders[0].why.as_deref()), (Amount::eur(10_00), Some("the terminal is away")));

    let till = Till::new();
    {
        let store = till.open().await;
        about_to_pay(&store).await;
    }
    let record = till.open().await.follow_tenders(&sale).await.expect("followed");
    assert_eq!(record.due, Amount::eur(10_00), "the till stopped before the journal had it");
    let till = Till::new();
    {
        let store = till.open().await;
        let (_, key) = about_to_pay(&store).await;
        store.intend(&intent(&key, Transaction::Payment)).await.expect("written");
    }
    let record = till.open().await.follow_tenders(&sale).await.expect("followed");
    assert_eq!((record.due, record.pending), (Amount::eur(0), true), "the journal has it open");
}

#[tokio::test]
async fn numbers_go_on_after_everything_was_thrown_away() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a time")));
    let store =
        Store::open(&dir.path().join("till.db"), Arc::new(SystemRuntime::with_clock(clock))).await.expect("opens");
    let origin = Origin::new();
    let new = store.new_sale("free", Timestamp::UNIX_EPOCH, tresen_hal::Currency::EUR, &origin).await.expect("new");
    let number = store.next_number().await.expect("read");
    assert_eq!((number.epoch, number.number), (1, 1));
    let closing = Closing { number, at: store.time(), paper: None, order: None };
    store.close_sale("free", Basis::nameless(new.rev, &store), closing).await.expect("nothing to pay");
    let pruned = store.prune("2027-01-01T00:00:00Z".parse().expect("a time")).await.expect("pruned");
    assert_eq!(pruned.sales, 1);
    assert_eq!(store.next_number().await.expect("read").number, 2);
}

/// SQLite counts how often a compiled statement has run, and how often it had to be compiled again.
#[tokio::test]
async fn a_statement_is_compiled_once_for_all_its_runs() {
    let till = Till::new();
    let store = till.open().await;
    let counted = |sql: &'static str| {
        move |db: &Connection| {
            let statement = db.prepare_cached(sql)?;
            Ok((statement.get_status(StatementStatus::Run), statement.get_status(StatementStatus::RePrepare)))
        }
    };
    for n in 0..5 {
        store.outbox().await.expect("read");
        store.outbox_entries(n, 10 + n as u32, 1000).await.expect("read");
        store.queue_job(&n.to_string(), "kitchen", &content("A"), &Origin::new()).await.expect("queued");
    }
    let oldest = store.read(counted("SELECT min(seq) FROM journal")).await.expect("read");
    assert_eq!(oldest, (5, 0));
    // A value that is compared with a column of a partial index's condition.
    for opened in [true, false] {
        let compare = move |db: &Connection| {
            let mut find = db.prepare_cached("SELECT count(*) FROM jobs WHERE route = 'kitchen' AND state = ?1")?;
            for state in ["queued", "printed", "queued"] {
                find.query_row([state], |row| row.get::<_, i64>(0))?;
            }
            Ok((find.get_status(StatementStatus::Run), find.get_status(StatementStatus::RePrepare)))
        };
        let runs = if opened { store.write(compare).await } else { store.read(compare).await };
        assert_eq!(runs.expect("run"), (3, 0), "by whom writes: {opened}");
    }
}
