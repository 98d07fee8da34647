//! What has waited too long: `tresen status` and `tresen doctor` say it with the next step, whether a till runs or not.
#![cfg(unix)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{tresen, until};
use tresen::payment::{Intent, IntentId, Journal, Transaction};
use tresen::{Amount, Clock, Receipt, SystemClock, Tresen};

#[test]
fn what_is_overdue_is_said_with_the_next_step() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("till.toml");
    let toml = "[till]\ntell-after = '1ms'\n[printers.bar]\naddress = 'escpos+tcp://127.0.0.1:9'\n\
        [routes.slips]\nprinters = ['bar']\nwarn-after = '1ms'\n[health]\ndisk-low = '0 MB'\n";
    std::fs::write(&file, toml).expect("written");
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let till = threads.block_on(async {
        let till = Tresen::open(&file).await.expect("opens");
        till.printer("slips").expect("a route").submit_as("slip-1", &Receipt::new().text("Tea")).await.expect("queued");
        let (key, amount) = (IntentId("a-17".into()), Amount::eur(5_00));
        let intent = Intent::new(key, "counter", Transaction::Payment, amount, SystemClock.wall(), None);
        till.store().intend(&intent).await.expect("journalled");
        till.close(Duration::from_secs(5)).await.expect("closes");
        drop(till);
        Tresen::open(&file).await.expect("opens")
    });
    let file = Path::to_str(&file).expect("text");
    let said = |command: &str| tresen([command, file]).out;
    until("both are overdue", || said("status").matches("ALERT").count() == 2);
    let running = said("status");
    for part in [
        "ALERT      route slips: 1 print job waits, the oldest, slip-1, since 20",
        "next: look after the printers of the route; `tresen jobs`",
        "ALERT      terminal counter: 1 payment is undecided, the oldest, a-17, since 20",
        "next: look at the slips of the terminal; `tresen payments --open`",
    ] {
        assert!(running.contains(part), "`{part}` in {running}");
    }
    assert!(said("doctor").contains("slip-1"), "{}", said("doctor"));

    threads.block_on(till.close(Duration::from_secs(5))).expect("closes");
    let closed = said("status");
    for part in [
        "ALERT      route slips: 1 print job waits, the oldest since 20",
        "no till is running\n",
        "ALERT      terminal counter: 1 payment is undecided, the oldest since 20",
        "`tresen settle` decides",
    ] {
        assert!(closed.contains(part), "`{part}` in {closed}");
    }
    let told = tresen(["--json", "status", file]).well().json();
    assert_eq!(
        (told["alerts"].as_array().map(Vec::len), &told["alerts"][0]["alert"]),
        (Some(2), &"paper-overdue".into())
    );
}
