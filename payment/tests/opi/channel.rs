//! Two terminals of one till share a listener.

use std::sync::Arc;

use tresen_hal::link::memory;
use tresen_hal::sim::Shared;
use tresen_payment::opi::sim::{Profile, Simulator, serve};
use tresen_payment::opi::{self, Options};
use tresen_payment::{MemoryJournal, Payment, Terminal as _};

use super::counter::{Counter, pay};

#[tokio::test(start_paused = true)]
async fn each_terminal_prints_on_its_own_slip_though_both_sit_behind_one_address() {
    let counter = Counter::new(Profile::default());
    let (to_second, port) = memory::port();
    let sim =
        Shared::new(Simulator::new(Profile { terminal_id: "60000002".into(), traces_from: 800, ..Profile::default() }));
    let (to_till, till) = memory::port();
    let listener = opi::Listener::new(Box::new(till));
    tokio::spawn(serve(Box::new(port), Some(Arc::new(to_till.clone())), sim.clone()));
    // Both terminals bear the usual `POPID` and `WorkstationID`.
    let first_sim = Shared::new(Simulator::new(Profile::default()));
    let (to_first, port) = memory::port();
    tokio::spawn(serve(Box::new(port), Some(Arc::new(to_till)), first_sim));
    let journal = Arc::new(MemoryJournal::new());
    let clock = Arc::new(counter.clock.clone());
    let mut terminals = Vec::new();
    for (name, dialer) in [("first", to_first), ("second", to_second)] {
        let options = Options::new(name);
        let opened = opi::open(Arc::new(dialer), Some(listener.clone()), options, journal.clone(), clock.clone());
        terminals.push(opened.await.expect("logs in"));
    }
    let [first, second] = &mut terminals[..] else { panic!("two") };
    first.recover().await.expect("nothing is open");
    let (one, two) = tokio::join!(pay(first, "one"), pay(second, "two"));
    for (paid, trace) in [(one, "000417"), (two, "000801")] {
        let Ok(Payment::Charged(charge)) = paid else { panic!("{paid:?}") };
        let told = charge.customer_slip.iter().find(|line| line.contains("TA-Nr")).expect("a receipt");
        assert!(told.ends_with(trace) && charge.trace.as_deref() == Some(trace), "{charge:?} {told}");
    }
}
