//! A wall clock that jumps while leases run.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tresen::lease::Target;

use super::common::set_clock::SetClock;
use super::sales::table;
use super::{SECOND, TTL, ended, heard, open_with, runtime};

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_neither_ends_nor_extends_a_lease() {
    for (during, between) in [(5, 0), (-5, 0), (0, -5), (0, 5)] {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = SetClock::over(runtime());
        let till = open_with(folder.path(), Arc::new(clock.clone())).await;
        let mut events = till.events();
        let (sale, lease) = table(&till.on_behalf_of("anna")).await;
        let start = Instant::now();
        clock.set_hours(during);
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
        clock.set_hours(between);
        let start = Instant::now();
        let till = open_with(folder.path(), Arc::new(clock)).await;
        let bo = tokio::spawn(till.on_behalf_of("bo").queue(Target::Sale(id)).await.expect("a place").wait());
        bo.await.expect("no panic").expect("his turn");
        assert!(start.elapsed() <= TTL + SECOND, "{between} h: {:?}", start.elapsed());
        till.close(SECOND).await.expect("closed");
    }
}
