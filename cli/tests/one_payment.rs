//! The program of `examples/one_payment.rs` at each simulated terminal: killed in the middle of its payment and started
//! again, it tells what the terminal has stored, and charges nothing twice.
//!
//! This program runs the example in a process of its own by starting itself again.

mod common;
#[expect(dead_code, reason = "a program of its own, of which this one calls a part")]
#[path = "../../examples/one_payment.rs"]
mod one_payment;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use common::Sim;
use tresen::payment::Payment;
use tresen::{Amount, Store, SystemRuntime};

/// Names the configuration for the program that pays.
const PAYS: &str = "TRESEN_TEST_PAYS";
const THIS: &str = "killed_in_the_middle_of_a_payment_it_tells_what_the_terminal_has_stored";

/// A protocol, what its simulator's address needs besides, and how its request for a payment begins in a trace.
const PROTOCOLS: &[(&str, &str, &str)] = &[
    ("zvt", "?exclusive=true&grace=0", "06 01"),
    ("opi", "&grace=0", "CardServiceRequest CardPayment"),
    ("nexo", "&grace=0", "POST /nexo SaleToPOIRequest Payment"),
    ("paytec", "?commit=reverses", "TransactionRequest"),
];

/// When the program is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    /// The terminal has been asked, and the customer has the card in the hand.
    Asked,
    /// The terminal has booked it.
    Booked,
}

fn pays(config: &Path) -> Child {
    let mut program = Command::new(std::env::current_exe().expect("this program"));
    program.args(["--exact", THIS, "--nocapture"]).env(PAYS, config);
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    program.spawn().expect("starts")
}

fn killed(protocol: &str, options: &str, asks: &str, kill: Kill) -> Option<Payment> {
    let name = format!("{protocol}, {kill:?}");
    let mut sim = Sim::start(&["terminal", "--trace", "--protocol", protocol, "--pace", "300"]);
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("till.toml");
    let text = format!("[till]\nsocket = false\n[terminals.counter]\naddress = '{}{options}'\n", sim.address);
    std::fs::write(&config, text).expect("written");
    let mut program = pays(&config);
    loop {
        let line = sim.line();
        let reached = match kill {
            Kill::Asked => line["message"].as_str().is_some_and(|message| message.starts_with(asks)),
            Kill::Booked => line["entry"].is_u64(),
        };
        if reached {
            break;
        }
    }
    program.kill().expect("it runs");
    program.wait().expect("it ends");

    // Started again, as often as a person would: it ends by itself.
    assert!(pays(&config).wait().expect("it ends").success(), "{name}");
    let on = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let journal = on.block_on(async {
        let database = dir.path().join("till.db");
        let store = Store::open_read_only(&database, Arc::new(SystemRuntime::new())).await.expect("a journal");
        store.payments().await.expect("readable")
    });
    assert_eq!(journal.len(), 1, "{name}: one payment was meant");
    // What stands at the terminal in the end.
    sim.type_in("ledger");
    sim.type_in("decline");
    let mut standing = std::collections::BTreeMap::new();
    loop {
        let line = sim.line();
        if let Some(entry) = line["entry"].as_u64() {
            standing.insert(entry, (line["state"] == "Stored", line["amount"].clone()));
        }
        // It has told all.
        if line["fault"] == "decline" {
            break;
        }
    }
    let stands = standing.values().filter(|(stands, _)| *stands).count();
    let payment = journal[0].entry.payment.clone();
    match &payment {
        Some(Payment::Charged(charge)) => {
            assert_eq!((charge.amount, stands), (Amount::eur(12_50), 1), "{name}: {standing:?}");
        }
        Some(Payment::NotCharged(_)) => assert_eq!(stands, 0, "{name}: {standing:?}"),
        Some(Payment::Unknown(unknown)) => assert!(stands <= 1 && !unknown.why.is_empty(), "{name}: {unknown:?}"),
        other => panic!("{name}: {other:?}"),
    }
    sim.quit();
    payment
}

#[test]
fn killed_in_the_middle_of_a_payment_it_tells_what_the_terminal_has_stored() {
    if let Some(config) = std::env::var_os(PAYS) {
        let on = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let config = config.into_string().expect("text");
        on.block_on(one_payment::take(&config, "12.50 EUR", "order-4711")).expect("takes it");
        return;
    }
    let mut settled = 0;
    for (protocol, options, asks) in PROTOCOLS {
        for kill in [Kill::Asked, Kill::Booked] {
            let payment = killed(protocol, options, asks, kill);
            settled += usize::from(!matches!(payment, Some(Payment::Unknown(_))));
        }
    }
    assert!(settled >= 7, "only {settled} of 8 were settled without a person");
}
