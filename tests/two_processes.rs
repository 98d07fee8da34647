//! Two programs and one database. The other program is this one, started again.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use common::Counter;
use rusqlite::Connection;
use tresen::{JobState, Kind, Store, SystemRuntime, Tresen};

/// Names the database for the other program.
const OTHER: &str = "TRESEN_TEST_OTHER_TILL";

struct Other(Child);

impl Other {
    /// Starts the test `name` in a process of its own, and waits until it has the database open.
    fn start(name: &str, counter: &Counter) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", name, "--nocapture"])
            .env(OTHER, counter.db())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let open = said.map_while(|line| line.ok()).any(|line| line.contains("it is open"));
        assert!(open, "the other program ended without opening it");
        Self(child)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn a_second_till_is_refused_and_hears_who_has_it_open() {
    if let Some(path) = std::env::var_os(OTHER) {
        let _store = Store::open(path.as_ref(), Arc::new(SystemRuntime::new())).await.expect("opens");
        println!("it is open");
        std::io::stdin().lines().next();
        return;
    }
    let mut counter = Counter::new();
    let _away = counter.away("printers.receipt", "escpos");
    drop(Store::open(&counter.db(), Arc::new(SystemRuntime::new())).await.expect("makes it"));
    let other = Other::start("a_second_till_is_refused_and_hears_who_has_it_open", &counter);
    // Something that the other one is printing.
    Connection::open(counter.db())
        .expect("opens")
        .execute_batch(
            "INSERT INTO jobs (id, route, content, state, attempt, queued_at, changed_at)
             VALUES ('a', 'receipt', '{\"v\":1,\"receipt\":{\"items\":[]}}', 'printing', 1,
                     '2026-01-02T08:00:00.000000Z', '2026-01-02T08:00:00.000000Z')",
        )
        .expect("written");
    let error = Tresen::with(counter.config()).await.expect_err("it is open elsewhere");
    assert_eq!((error.kind(), error.device()), (Kind::Busy, counter.db().to_str()), "{error}");
    let program = std::env::current_exe().expect("this program");
    let program = program.file_name().expect("a name").to_str().expect("text");
    let pid = format!("process {}", other.0.id());
    assert!(error.to_string().contains(&pid) && error.to_string().contains(program), "{error}");

    let beside = Store::open_read_only(&counter.db(), Arc::new(SystemRuntime::new())).await.expect("looks on");
    let job = beside.job("a").await.expect("readable").expect("there");
    assert_eq!(job.state, JobState::Printing, "nobody but the till that prints it may park it");
    drop(beside);

    // Killed, it lets go of it, and the next one finds what was left in the middle.
    drop(other);
    let till = counter.open().await;
    let job = till.store().job("a").await.expect("readable").expect("there");
    assert_eq!(job.state, JobState::Unknown);
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_is_locked_under_each_of_its_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = |name: &str| folder.path().join(name);
    let runtime = || Arc::new(SystemRuntime::new());
    // The second link is relative, and what it points to is made by the first till.
    std::os::unix::fs::symlink(name("till.db"), name("one.db")).expect("linked");
    std::os::unix::fs::symlink("one.db", name("two.db")).expect("linked");
    let first = Store::open(&name("two.db"), runtime()).await.expect("makes it");
    let locks = ["till.db.lock", "one.db.lock", "two.db.lock"].map(|lock| name(lock).exists());
    assert_eq!(locks, [true, false, false], "one lock, whatever name it is opened by");
    assert_eq!(first.path(), name("till.db"));
    let socket = tresen::api::socket::path;
    assert_eq!(socket(&name("two.db")), socket(&name("till.db")), "and it is found under each");
}
