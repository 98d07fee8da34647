//! Status, jobs, payments and journal of a till: asked while it runs, read from its file when it does not.
#![cfg(unix)]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Said, start, tresen};
use serde_json::Value;
use tresen::payment::{Charge, Intent, IntentId, Journal, Payment, Transaction};
use tresen::{Amount, Clock, Receipt, SystemClock, Tresen};

/// A till with ten jobs that wait and three payments, one of them open.
struct Till {
    _dir: tempfile::TempDir,
    file: PathBuf,
    db: PathBuf,
    threads: tokio::runtime::Runtime,
    till: Tresen,
}

impl Till {
    fn open() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, db) = (dir.path().join("till.toml"), dir.path().join("till.db"));
        let toml = "[till]\nname = 'Till 1'\n[printers.bar]\naddress = 'escpos+tcp://127.0.0.1:9'\n\
            [printers.kitchen]\naddress = 'escpos+tcp://127.0.0.1:10'\n";
        std::fs::write(&file, toml).expect("written");
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let threads = threads.expect("threads");
        let till = threads.block_on(async {
            let till = Tresen::open(&file).await.expect("opens");
            for n in 0..10 {
                let route = if n % 2 == 0 { "bar" } else { "kitchen" };
                let receipt = Receipt::new().text("Tea");
                till.printer(route).expect("configured").submit_as(&format!("j{n}"), &receipt).await.expect("queued");
            }
            for (key, terminal, charged) in [("a", "one", true), ("b", "two", false), ("c", "one", true)] {
                let (key, amount) = (IntentId(key.into()), Amount::eur(5_00));
                let intent = Intent::new(key, terminal, Transaction::Payment, amount, SystemClock.wall(), None);
                till.store().intend(&intent).await.expect("journalled");
                if charged {
                    let paid = Payment::Charged(Box::new(Charge::new(intent.id.clone(), amount)));
                    till.store().conclude(&intent.id, &paid).await.expect("journalled");
                }
            }
            till
        });
        Self { _dir: dir, file, db, threads, till }
    }

    fn close(&self) {
        self.threads.block_on(self.till.close(Duration::from_secs(5))).expect("closes");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn rows(said: &Said) -> Vec<Value> {
    said.out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// The field of each row.
fn each(said: &Said, field: &str) -> Vec<String> {
    let of = |row: &Value| row.pointer(field).and_then(Value::as_str).map(str::to_owned);
    rows(said).iter().filter_map(of).collect()
}

#[test]
fn rows_are_the_same_from_the_till_and_from_its_file() {
    let till = Till::open();
    let asked = |file: &Path| {
        let file = text(file);
        let jobs = tresen(["--json", "jobs", file, "--route", "kitchen"]).well();
        assert_eq!(each(&jobs, "/id"), ["j1", "j3", "j5", "j7", "j9"]);
        let page = tresen(["--json", "jobs", file, "--limit", "4"]).well();
        assert_eq!(each(&page, "/id"), ["j0", "j1", "j2", "j3"]);
        let next = rows(&page).last().expect("the end")["next"].to_string();
        let page = tresen(["--json", "jobs", file, "--limit", "6", "--after", &next]).well();
        assert_eq!(each(&page, "/id"), ["j4", "j5", "j6", "j7", "j8", "j9"]);
        assert!(rows(&page).iter().all(|row| row.get("next").is_none()), "nothing is left: {}", page.out);
        let none = tresen(["jobs", file, "--state", "printed"]).well();
        assert!(none.out.contains("no job"), "{}", none.out);
        assert_eq!(rows(&tresen(["--json", "jobs", file, "--since", "1h"]).well()).len(), 10);
        assert_eq!(tresen(["--json", "jobs", file, "--since", "2100-01-01"]).well().out, "");

        let open = tresen(["--json", "payments", file, "--open"]).well();
        assert_eq!(each(&open, "/intent/id"), ["b"]);
        let one = tresen(["--json", "payments", file, "--terminal", "one"]).well();
        assert_eq!(each(&one, "/intent/id"), ["a", "c"]);
        let said = tresen(["payments", file]).well().out;
        assert!(said.contains("a  payment of 5.00 EUR at one") && said.contains("5.00 EUR charged"), "{said}");
        let steps = tresen(["--json", "journal", file, "--key", "a"]).well();
        assert_eq!(each(&steps, "/kind"), ["intent", "charged"]);
        let status = tresen(["--json", "status", file]).well().json();
        assert_eq!(status["open"], 1, "{status}");
        let queues: Vec<_> = status["store"]["queues"].as_array().expect("queues").iter().collect();
        assert_eq!((queues.len(), &queues[0]["waiting"]), (2, &5.into()), "{status}");
        status["running"].as_bool().expect("said")
    };
    assert!(asked(&till.file), "by its configuration");
    assert!(asked(&till.db), "by its database");
    till.close();
    assert!(!asked(&till.file) && !asked(&till.db));
    let said = tresen(["status", text(&till.file)]).well().out;
    assert!(said.contains("no till is running") && said.contains("bar: 5 waiting since"), "{said}");
}

#[test]
fn a_status_that_is_watched_tells_events_and_ends_with_the_till() {
    let till = Till::open();
    let mut watching = start(["status", text(&till.file), "--watch"]);
    watching.says("kitchen: ");
    assert!(tresen(["cancel", text(&till.file), "j0"]).well().out.contains("j0 is cancelled"));
    let grill = "escpos+tcp://127.0.0.1:11".parse().expect("an address");
    let plan = till.till.drivers().plan::<tresen::Printers>(&grill).expect("right");
    till.threads.block_on(till.till.attach::<tresen::Printers>("grill", vec![plan])).expect("attached");
    watching.says("printer grill  attached");
    till.close();
    let said = watching.end();
    assert!(said.out.ends_with("the till has closed\n") && said.code == Some(0), "{said:?}");
    assert!(!said.out.contains('\x1b'), "it is no screen: {}", said.out);
    let nobody = tresen(["status", text(&till.file), "--watch"]);
    assert!(nobody.code == Some(1) && nobody.err.contains("no till is running here"), "{nobody:?}");
}

#[test]
fn what_is_no_till_is_told_in_one_sentence() {
    let dir = tempfile::tempdir().expect("a folder");
    let make = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).expect("written");
        text(&path).to_owned()
    };
    let foreign = dir.path().join("foreign.db");
    // SQLite file format, 1.3, cut off: somebody else's database, or a damaged one.
    std::fs::write(&foreign, b"SQLite format 3\0rest").expect("written");
    for (file, told) in [
        (make("empty.db", b""), "the file is empty"),
        (make("notes.txt", b"Dear diary"), "neither a till's database nor its configuration"),
        (make("wrong.toml", b"[till]\nname = 7\n"), "name"),
        (text(dir.path()).to_owned(), "this is a folder"),
        (text(&dir.path().join("none.db")).to_owned(), "there is no such file"),
        (text(&foreign).to_owned(), "foreign.db"),
    ] {
        for command in [&["status"] as &[&str], &["jobs"], &["payments"], &["journal"], &["cancel"], &["reprint"]] {
            let job: &[&str] = if matches!(command[0], "cancel" | "reprint") { &["j1"] } else { &[] };
            let said = tresen([command, &[file.as_str()], job].concat());
            assert_eq!((said.code, said.err.lines().count()), (Some(1), 1), "{command:?} {file}: {said:?}");
            assert!(said.err.contains(told), "{command:?}: `{}` lacks `{told}`", said.err);
        }
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 4, "nothing is made");
}
