//! A till with years behind it: 45,000 jobs, 45,000 payments and as many lines of the journal.

mod common;

use std::sync::Arc;

use common::{Counter, is_charged, paper, pay, within};
use rusqlite::Connection;
use tresen::payment::zvt::sim::Profile;
use tresen::{Amount, Print, Receipt, Store, SystemRuntime};

const JOBS: i64 = 45_000;

/// What is done is not read again: most of it could not even be read.
fn history(db: &Connection) {
    db.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {JOBS})
         INSERT INTO jobs (id, route, content, state, attempt, printer, queued_at, changed_at)
         SELECT 'old-' || i, 'receipt', 'written by a version that nobody knows any more', 'accepted', 1, 'receipt',
                '2026-01-02T08:00:00.000000Z', '2026-01-02T08:00:00.000000Z' FROM n;
         WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {JOBS})
         INSERT INTO intents (id, terminal, operation, minor, currency, at, state, intent)
         SELECT 'old-' || i, 'counter', 'payment', 100, 'EUR', '2026-01-02T08:00:00.000000Z', 'not-charged',
                'written by a version that nobody knows any more' FROM n;
         INSERT INTO journal (at, kind, key, body, epoch, hash)
         SELECT at, 'intent', id, intent, 1, zeroblob(32) FROM intents;
         COMMIT;"
    ))
    .expect("written");
}

#[tokio::test]
async fn with_years_behind_it_a_till_pays_and_prints_as_on_its_first_day() {
    let mut counter = Counter::new();
    let (printer, terminal) = (counter.printer("receipt").await, counter.terminal(Profile::default()).await);
    drop(Store::open(&counter.db(), Arc::new(SystemRuntime::new())).await.expect("makes it"));
    let db = Connection::open(counter.db()).expect("opens");
    history(&db);
    // Whoever asks for all of it reads it in pages, while the till works.
    let till = counter.open_ready(&["receipt", "counter"]).await;
    let listing = async {
        let (mut after, mut jobs, mut pages) = (Some(0), 0, 0);
        while let Some(from) = after {
            let page = till.store().jobs().after(from).limit(5_000).await.expect("listed");
            assert!(page.len() <= 5_000);
            (after, jobs, pages) = (page.next, jobs + page.len(), pages + 1);
        }
        (jobs, pages)
    };
    let work = async {
        assert!(is_charged(&pay(&till, "sale", Amount::eur(5_00)).await.expect("pays")));
        let receipts = till.printer("receipt").expect("configured");
        let print = within("printed", receipts.print_as("new", &Receipt::new().text("MARK").cut())).await;
        assert!(matches!(print.expect("stored"), Print::Printed { .. }));
    };
    let ((jobs, pages), ()) = tokio::join!(listing, work);
    assert!(jobs >= JOBS as usize && pages >= 9, "{jobs} jobs on {pages} pages");
    assert_eq!((terminal.with(|t| t.ledger().turnover()), paper(&printer).matches("MARK").count()), (5_00, 1));
    let payments = till.store().payments().await.expect("listed");
    assert_eq!((payments.len(), payments.unreadable.len()), (0, 1_000), "one page, and what cannot be read is named");
    let newest = till.store().payments().after(JOBS).await.expect("listed");
    assert_eq!(newest[0].intent.id.0, "sale");

    let pruned = till.store().prune("2026-01-03T00:00:00Z".parse().expect("a time")).await.expect("pruned");
    assert_eq!((pruned.jobs, pruned.payments, pruned.journal), (JOBS as usize, JOBS as usize, JOBS as usize));
    assert!(is_charged(&pay(&till, "next", Amount::eur(5_00)).await.expect("pays")));
}
