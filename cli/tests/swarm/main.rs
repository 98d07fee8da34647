//! Many handhelds, each a process of its own with a certificate, at one till behind a network that stalls, loses
//! connections and changes addresses. Some are killed and go on from their notes. In the end what the handhelds have
//! noted, the till's books, the terminals' ledgers and the paper are compared: nothing is lost, nothing is doubled.
//!
//! The till is `tresen serve`; terminals, printers and scanners are simulators in this process, and so is the network
//! ([`relay`]). A handheld is this program, started again. `TRESEN_SWARM="SECONDS SEED HANDHELDS"` sets the size; `.ci/swarm`
//! runs 22 handhelds. The seed repeats what each of them does and what the network does to each connection; when
//! processes run is up to the system, so that a seed does not repeat a run to the byte.

#![cfg(unix)]

mod books;
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, unreachable_pub, reason = "the shop uses the rest of it")]
#[path = "../../../tests/shop/src/dice.rs"]
mod dice;
mod handheld;
mod leases;
mod notes;
mod paper;
mod relay;
mod shop;
mod staff;

use std::path::Path;
use std::time::Duration;

use books::Books;
use dice::Dice;
use relay::Relay;
use shop::Shop;
use staff::Staff;

/// The size of a run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How long the network and the devices fail and handhelds are killed.
    time: Duration,
    seed: u64,
    handhelds: u64,
}

impl Plan {
    fn of_environment() -> Self {
        let text = std::env::var(SIZE).unwrap_or_else(|_| "5 1 4".into());
        let numbers: Vec<u64> = text.split_whitespace().map(|n| n.parse().expect("numbers")).collect();
        let [seconds, seed, handhelds] = numbers[..] else { panic!("{SIZE} is SECONDS SEED HANDHELDS: {text}") };
        Self { time: Duration::from_secs(seconds), seed, handhelds }
    }
}

#[test]
fn a_swarm_of_handhelds_loses_and_doubles_nothing() {
    if let Some(folder) = std::env::var_os(HANDHELD) {
        let on = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        if let Err(error) = on.block_on(handheld::work(Path::new(&folder))) {
            eprintln!("{error:#}");
            std::process::exit(1);
        }
        return;
    }
    let plan = Plan::of_environment();
    let on = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    on.block_on(swarm(plan));
}

async fn swarm(plan: Plan) {
    let mut dice = Dice::new(plan.seed);
    let mut shop = Shop::open(plan.handhelds).await;
    let relay = Relay::start(shop.till_at(), dice.fork()).await;
    let mut staff = Staff::enrol(&shop, plan, relay.at());
    let alone = shop.memory();
    staff.begin();
    shop.watch();
    let busy = shop.fail_in_turn(&mut staff, plan.time, &mut dice).await;
    relay.calm();
    shop.mend();
    staff.finish().await;
    shop.settle().await;
    let books = Books::of(&shop).await;
    let done = shop.memory();
    staff.leave().await;
    shop.without_clients().await;
    let left = shop.memory();
    let wrong = books.compare(&shop, &staff.notes());
    let wrong: Vec<String> = shop.close().into_iter().chain(wrong).collect();
    println!("seed {}: {} handhelds, {} s of faults", plan.seed, plan.handhelds, plan.time.as_secs());
    println!("{books}");
    println!("{} kills; network: {}", staff.kills(), relay.counts());
    println!("leases: {}", shop.leases());
    println!(
        "the till's memory in KiB: {alone} alone, {busy} while they sell, {done} at rest, {left} when they have left"
    );
    println!("at rest {} KiB more per handheld than alone", done.saturating_sub(alone) / plan.handhelds);
    assert!(wrong.is_empty(), "seed {}, kept in {}:\n{}", plan.seed, shop.keep().display(), wrong.join("\n"));
}

/// Names the folder of a handheld for the process that plays it.
const HANDHELD: &str = "TRESEN_SWARM_HANDHELD";
const SIZE: &str = "TRESEN_SWARM";
/// What has to end at all ends within this time.
const GUARD: Duration = Duration::from_secs(300);
