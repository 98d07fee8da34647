//! The commands beside a till that runs, in a process of its own: this program, started again.
#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use common::{tresen, until};
use tresen::api::socket;
use tresen::payment::{Intent, IntentId, Journal, Transaction};
use tresen::sale::{Line, Vat};
use tresen::{Amount, Clock, Config, Drivers, JobState, Receipt, Store, SystemClock, SystemRuntime, Tresen};

/// Names the database for the other program.
const OTHER: &str = "TRESEN_TEST_RUNNING";

/// A till that waits for a printer that is not there.
struct Till {
    child: Child,
    store: PathBuf,
}

impl Drop for Till {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

fn store(path: &Path) -> Store {
    runtime().block_on(Store::open_read_only(path, Arc::new(SystemRuntime::new()))).expect("a database")
}

fn job(path: &Path, id: &str) -> JobState {
    let (store, runtime) = (store(path), runtime());
    runtime.block_on(store.job(id)).expect("readable").expect("there").state
}

fn config(path: &Path) -> Config {
    let text = "[printers.receipt]\naddress = 'escpos+tcp://127.0.0.1:9'\n\
                [terminals.bar]\naddress = 'zvt+tcp://127.0.0.1:10'\n";
    let mut config = Config::parse(text, "till.toml", &Drivers::standard()).expect("right");
    config.till.store = path.to_owned();
    config
}

impl Till {
    /// Starts the test `name` in a process of its own, with a job that waits and an open payment.
    fn start(name: &str, store: PathBuf) -> Self {
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", name, "--nocapture"])
            .env(OTHER, &store)
            .stdout(Stdio::null())
            .spawn()
            .expect("starts");
        let till = Self { child, store };
        until("it runs", || till.store.with_extension("ready").exists());
        till
    }

    /// What the other program does.
    fn run(path: &Path) -> ! {
        runtime().block_on(async {
            let till = Tresen::with(config(path)).await.expect("opens");
            let receipt = Receipt::new().text("Tea");
            till.printer("receipt").expect("configured").submit_as("slip", &receipt).await.expect("queued");
            let (id, amount) = (IntentId("a".into()), Amount::eur(12_50));
            let intent = Intent::new(id, "old", Transaction::Payment, amount, SystemClock.wall(), None);
            till.store().intend(&intent).await.expect("written");
            till.on_behalf_of("handheld 7").lease(&till.terminal("bar").expect("configured")).await.expect("free");
            let mut sale = till.open_sale().await.expect("opens");
            let tea = Line::pieces("Tea", 1, Amount::eur(2_90), Vat::percent(19)).expect("fits");
            sale.add(tea).await.expect("kept");
            sale.pay_cash(Amount::eur(2_90)).await.expect("taken");
            let checkout = till.checkout("receipt").expect("configured");
            // Its receipt waits for the printer for as long as this program lives.
            tokio::spawn(async move { checkout.close(&mut sale).await.map(drop) });
            while till.sale_by_number(1).await.expect("readable").is_none() {
                tokio::task::yield_now().await;
            }
            std::fs::write(path.with_extension("ready"), "").expect("written");
            std::future::pending().await
        })
    }
}

#[test]
fn commands_ask_the_till_that_has_the_database_open_and_the_file_when_none_has() {
    if let Some(path) = std::env::var_os(OTHER) {
        Till::run(path.as_ref());
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("till.db");
    let name = "commands_ask_the_till_that_has_the_database_open_and_the_file_when_none_has";
    let till = Till::start(name, path.clone());
    let db = path.to_str().expect("text");

    // A closed port: nobody listens on discard.
    until("the printer is away", || tresen(["status", db]).well().out.contains("printer    receipt: away since"));
    let told = tresen(["--json", "status", db]).well().json();
    assert_eq!((&told["devices"][0]["name"], &told["open"]), (&"receipt".into(), &1.into()), "{told}");

    let mut watching = Command::new(env!("CARGO_BIN_EXE_tresen"))
        .args(["--json", "watch", db])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut screen = BufReader::new(watching.stdout.take().expect("piped"));
    let mut first = String::new();
    screen.read_line(&mut first).expect("text");
    assert!(first.contains("\"devices\":[{\"class\":\"printer\""), "{first}");
    let leased = tresen(["lease", db]).well();
    assert!(leased.out.starts_with("terminal bar: handheld 7 since "), "{}", leased.out);
    let unknown = tresen(["lease", db, "--take-over", "bra", "--why", "lost"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("terminal/bar"), "{unknown:?}");
    let why = ["--why", "handheld 7 is lost"];
    let taken = tresen(["lease", db, "--take-over", "bar", "--to", "handheld 8", why[0], why[1]]).well();
    assert!(taken.out.contains("terminal bar is taken over, handheld 8 has it now"), "{}", taken.out);
    let taken = tresen(["lease", db, "--take-over", "terminal/bar", why[0], why[1]]).well();
    assert!(taken.out.contains("terminal bar is taken over and free"), "{}", taken.out);
    assert!(tresen(["lease", db]).well().out.contains("nothing is leased"));
    let settle = ["settle", "a", "--charged", "12.50", "--by", "Anna", "--reason", "slip 0417", "--store", db];
    let said = tresen(settle).well();
    assert!(said.out.contains("is charged 12.50 EUR, by Anna: slip 0417"), "{}", said.out);
    let again = tresen(settle);
    assert_eq!(again.code, Some(1), "it is final: {again:?}");
    let unknown = tresen(["settle", "none", "--not-charged", "--by", "A", "--reason", "x", "--store", db]);
    assert!(unknown.err.contains("unknown payment `none`"), "{}", unknown.err);

    let refused = tresen(["reprint", db, "slip"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("not parked, it is queued"), "{}", refused.err);
    assert!(tresen(["cancel", db, "slip"]).well().out.contains("slip is cancelled"));
    assert_eq!(job(&path, "slip"), JobState::Cancelled);
    assert_eq!(tresen(["cancel", db, "slip"]).code, Some(1), "once");

    let copy = tresen(["reprint", db, "--ticket", "1", "--printer", "receipt", "--timeout", "0"]).well();
    assert!(copy.out.contains("the copy of ticket 1 is waiting"), "{}", copy.out);
    let read = store(&path);
    let copies = runtime().block_on(async { read.jobs().await.expect("readable").rows });
    assert!(copies.iter().any(|job| job.id.ends_with("/copy-1")), "{copies:?}");
    let unknown = tresen(["reprint", db, "--ticket", "2", "--printer", "receipt"]);
    assert!(unknown.err.contains("no closed sale has the number 2"), "{}", unknown.err);
    assert_eq!(tresen(["reprint", db, "--ticket", "1"]).code, Some(2), "on which printer?");

    // kill -9: its socket stays behind, and the commands go on without it.
    drop(till);
    assert!(watching.wait().expect("it ends with the till").success());
    let mut rest = String::new();
    screen.read_to_string(&mut rest).expect("text");
    assert!(rest.lines().all(|line| line.contains("\"seq\"")), "events, one a line: {rest}");
    assert!(socket::path(&path).exists());
    assert!(tresen(["status", db]).well().out.contains("no till is running"));
    let gone = tresen(["watch", db]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.err.contains("no till is running here"), "{}", gone.err);
    assert!(tresen(["cancel", db, "slip"]).err.contains("it is cancelled"));
    let gone = tresen(["reprint", db, "--ticket", "1", "--printer", "receipt"]);
    assert!(gone.err.contains("only a till composes"), "{}", gone.err);
}

#[test]
fn without_a_till_jobs_are_decided_in_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("till.db");
    let db = path.to_str().expect("text");
    let none = tresen(["cancel", db, "slip"]);
    assert_eq!(none.code, Some(1));
    assert!(!path.exists(), "nothing is made: {}", none.err);
    runtime().block_on(async {
        let till = Tresen::with(config(&path)).await.expect("opens");
        for id in ["slip", "bill"] {
            let receipt = Receipt::new().text("Tea");
            till.printer("receipt").expect("configured").submit_as(id, &receipt).await.expect("queued");
        }
        till.close(std::time::Duration::from_secs(5)).await.expect("closes");
    });
    let said = tresen(["--json", "cancel", db, "slip"]).well();
    assert_eq!(said.json()["cancelled"], "slip");
    assert_eq!((job(&path, "slip"), job(&path, "bill")), (JobState::Cancelled, JobState::Queued));
    assert!(tresen(["reprint", db, "bill"]).err.contains("not parked, it is queued"));
}
