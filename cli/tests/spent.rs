//! A terminal that does not tell its last transaction: each connection is left after the look, and the next
//! customer pays all the same.

mod common;

use common::tresen;
use tokio::net::TcpListener;
use tresen::hal::sim::{self, Shared};
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Misbehaviour, OnRepeat, Profile, Simulator};

#[test]
fn a_payment_is_taken_although_the_first_look_spends_the_connection() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let profile = Profile { commit: Commit::Keeps, repeat: OnRepeat::Silent, ..Profile::default() };
    let sim = Shared::new(Simulator::new(profile));
    let (_server, at) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        sim::tcp(listener, sim.clone()).expect("served")
    });
    let dir = tempfile::tempdir().expect("a folder");
    let journal = dir.path().join("journal.db");
    let address = format!("zvt+tcp://{at}?t3=1&answer=1&patience=1&grace=0");
    let pay =
        |key: &str| tresen(["pay", &address, "12.50", "--key", key, "--journal", journal.to_str().expect("text")]);
    sim.with(|s| s.misbehave(Misbehaviour::HangUpAfterApproval));
    let lost = pay("lost");
    assert_eq!(lost.code, Some(4), "{lost:?}");
    let next = pay("next");
    assert_eq!(next.code, Some(0), "{next:?}");
    assert!(next.out.contains("charged 12.50 EUR, receipt 0418"), "{next:?}");
    assert_eq!(sim.with(|s| (s.received(0x0601), s.ledger().stored().count())), (2, 2));
}
