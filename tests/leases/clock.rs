//! A wall clock that jumps while leases run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tresen::hal::runtime::{SimulatedRuntime, Work, Worker};
use tresen::hal::{Clock, Runtime};
use tresen::lease::Target;

use super::sales::table;
use super::{SECOND, TTL, ended, heard, open_with, runtime};

/// A clock that somebody sets.
#[derive(Debug)]
struct SetClock {
    runtime: SimulatedRuntime,
    ahead: AtomicI64,
}

impl SetClock {
    fn new() -> Arc<Self> {
        Arc::new(Self { runtime: runtime(), ahead: AtomicI64::new(0) })
    }

    fn set(&self, hours: i64) {
        self.ahead.store(hours * 3600, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> std::time::Instant {
        self.runtime.now()
    }
    fn wall(&self) -> Timestamp {
        self.runtime.wall() + jiff::SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed))
    }
}

impl Runtime for SetClock {
    fn random(&self) -> u64 {
        self.runtime.random()
    }
    fn new_id(&self) -> String {
        self.runtime.new_id()
    }
    fn offload(&self, work: Work) {
        self.runtime.offload(work);
    }
    fn worker(&self, name: &str) -> tresen::Result<Worker> {
        self.runtime.worker(name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_neither_ends_nor_extends_a_lease() {
    for (during, between) in [(5, 0), (-5, 0), (0, -5), (0, 5)] {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = SetClock::new();
        let till = open_with(folder.path(), clock.clone()).await;
        let mut events = till.events();
        let (sale, lease) = table(&till.on_behalf_of("anna")).await;
        let start = Instant::now();
        clock.set(during);
        tokio::time::sleep(Duration::from_secs(100)).await;
        let bo = till.on_behalf_of("bo");
        bo.lease(&sale).await.expect_err("hers for 80 s more");
        if between == 0 {
            heard(&mut events, ended).await;
            assert!((TTL..=TTL + SECOND).contains(&start.elapsed()), "{during} h: {:?}", start.elapsed());
            bo.lease(&sale).await.expect("free");
            till.close(SECOND).await.expect("closed");
            continue;
        }
        let id = sale.id().to_owned();
        till.close(SECOND).await.expect("closed");
        drop((sale, lease, events, bo, till));
        clock.set(between);
        let start = Instant::now();
        let till = open_with(folder.path(), clock).await;
        let bo = tokio::spawn(till.on_behalf_of("bo").queue(Target::Sale(id)).await.expect("a place").wait());
        bo.await.expect("no panic").expect("his turn");
        assert!(start.elapsed() <= TTL + SECOND, "{between} h: {:?}", start.elapsed());
        till.close(SECOND).await.expect("closed");
    }
}
