//! What a cashier does at a terminal, by commands.

mod common;

use common::{Sim, start, tresen};
use serde_json::Value;

/// A journal of this test's own.
fn journal() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("journal.db").to_str().expect("text").to_owned();
    (dir, file)
}

fn lines(json: &str) -> Vec<Value> {
    json.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

#[test]
fn a_payment_is_taken_back_money_is_given_back_and_the_day_is_closed() {
    let (_dir, journal) = journal();
    let sim = Sim::start(&["terminal", "--pace", "0"]);
    let run = |args: &[&str]| tresen([args, &["--journal", &journal]].concat());
    // The simulator's first receipt is 0417.
    assert!(run(&["pay", &sim.address, "12.50"]).well().out.contains("charged 12.50 EUR, receipt 0417"));
    let again = run(&["repeat-receipt", &sim.address]).well();
    assert!(again.out.contains("12,50") || again.out.contains("12.50"), "{again:?}");
    let said = run(&["reverse", &sim.address, "0417", "12.50"]).well();
    assert!(said.out.contains("reversed 12.50 EUR"), "{said:?}");
    let said = run(&["reverse", &sim.address, "0417", "12.50"]);
    assert!(said.code == Some(1) && said.err.contains("0417 was reversed by"), "nothing is sent: {said:?}");
    // A journal that does not know of it leaves it to the terminal.
    let (_dir, other) = self::journal();
    let said = tresen(["reverse", &sim.address, "0417", "12.50", "--journal", &other]);
    assert_eq!((said.code, said.err.as_str()), (Some(3), ""), "it is reversed already: {said:?}");
    assert!(said.out.contains("not reversed"), "{said:?}");
    let said = run(&["--json", "refund", &sim.address, "5.00"]).well();
    assert!(said.json()["charged"].is_object(), "{said:?}");
    let said = run(&["totals", &sim.address]).well();
    assert!(said.out.contains("girocard: ") && said.out.contains("total "), "{said:?}");
    assert!(run(&["diagnosis", &sim.address]).well().out.contains("the diagnosis is done"));
    assert!(run(&["initialise", &sim.address]).well().out.contains("the terminal is initialised"));
    let said = run(&["end-of-day", &sim.address]).well();
    assert!(said.out.contains("the day is closed"), "{said:?}");
    sim.quit();
}

#[test]
fn an_amount_is_held_and_booked_or_released_and_a_tip_is_added() {
    let (_dir, journal) = journal();
    let sim = Sim::start(&["terminal", "--pace", "0"]);
    let run = |args: &[&str]| tresen([args, &["--journal", &journal]].concat());
    let said = run(&["preauth", &sim.address, "50.00", "--key", "room"]).well();
    assert!(said.out.contains("held 50.00 EUR, receipt 0417"), "{said:?}");
    assert!(run(&["preauth", &sim.address, "30.00"]).well().out.contains("receipt 0418"));
    // The number on the slip suffices: the journal knows what is held.
    let said = run(&["book", &sim.address, "0417", "51.00"]);
    assert!(said.code == Some(1) && said.err.contains("holds 50.00 EUR"), "{said:?}");
    let said = run(&["book", &sim.address, "0417", "42.00", "--key", "check-out"]).well();
    assert!(said.out.contains("charged 42.00 EUR, receipt 0419"), "{said:?}");
    let again = run(&["--json", "book", &sim.address, "0417", "42.00", "--key", "check-out"]).well();
    assert_eq!(again.json()["charged"]["receipt_number"], "0419", "{again:?}");
    let twice = run(&["book", &sim.address, "0417", "42.00"]);
    assert!(twice.code == Some(1) && twice.err.contains("was booked by `check-out`"), "nothing is sent: {twice:?}");
    assert!(run(&["release", &sim.address, "418", "30.00"]).well().out.contains("released 30.00 EUR"));
    assert!(run(&["tip", &sim.address, "0419", "3.00"]).well().out.contains("charged 3.00 EUR"));
    let said = run(&["topup", &sim.address, "15.00"]);
    assert!(said.code == Some(1) && said.err.contains("0012"), "{said:?}");
    assert!(run(&["topup", &sim.address, "15.00", "--product", "0012"]).well().out.contains("loaded 15.00 EUR"));
    let said = run(&["increment", &sim.address, "0417", "5.00"]);
    assert!(said.code == Some(1) && said.err.contains("cannot hold more"), "{said:?}");
    let card = run(&["--json", "read-card", &sim.address, "--within", "5"]).well().json();
    assert_eq!((&card["name"], &card["masked_pan"]), (&"girocard".into(), &"67259000******0123".into()));
    // Only what was charged is turnover.
    let totals = run(&["--json", "totals", &sim.address]).well().json();
    assert_eq!(totals["total"], "45.00 EUR", "{totals}");
    let listed = tresen(["--json", "payments", &journal]).well();
    let rows: Vec<_> = lines(&listed.out).into_iter().filter(|row| row.get("intent").is_some()).collect();
    assert_eq!(rows.len(), 6, "{listed:?}");
    assert_eq!((&rows[0]["reversed_by"], &rows[2]["original"]), (&"check-out".into(), &"room".into()), "{listed:?}");
    sim.quit();
}

#[test]
fn a_terminal_that_speaks_nexo_pays_and_a_lost_answer_is_found() {
    let (_dir, journal) = journal();
    let mut sim = Sim::start(&["terminal", "--protocol", "nexo", "--pace", "0", "--passphrase", "a-secret"]);
    let address = sim.address.clone();
    assert!(address.starts_with("nexo+") && address.contains("passphrase=a-secret"), "{address}");
    let run = |args: &[&str]| tresen([args, &["--journal", &journal]].concat());
    let said = run(&["pay", &address, "12.50", "--key", "a"]).well();
    assert!(said.out.contains("charged 12.50 EUR") && said.out.contains("CARDHOLDER COPY"), "{said:?}");
    assert_eq!(sim.line()["state"], "Stored");
    assert!(run(&["repeat-receipt", &address]).well().out.contains("MERCHANT COPY"));
    let said = run(&["reverse", &address, "T0417.000417@2026-01-02T03:04:05.000Z", "12.50"]).well();
    assert!(said.out.contains("reversed 12.50 EUR"), "{said:?}");
    let said = run(&["reverse", &address, "0417", "12.50"]);
    assert!(said.err.contains("TRANSACTION@TIME"), "{said:?}");
    sim.type_in("lose answer");
    while sim.line()["fault"] != "lose answer" {}
    // The answer to the diagnosis with which it opens.
    let said = run(&["pay", &address, "7.00", "--key", "b"]);
    assert!(said.code != Some(0) && !said.err.contains("a-secret"), "{said:?}");
    let wrong = address.replace("a-secret", "another");
    let said = run(&["pay", &wrong, "7.00", "--key", "c"]);
    assert!(said.err.contains("passphrase") && !said.err.contains("another"), "{said:?}");
    sim.quit();
}

#[test]
fn a_terminal_that_speaks_paytec_pays_reverses_and_leaves_what_it_cannot_tell_unknown() {
    let (_dir, journal) = journal();
    let mut sim = Sim::start(&["terminal", "--protocol", "paytec", "--pace", "0"]);
    let address = sim.address.clone();
    assert!(address.starts_with("paytec+tcp://127.0.0.1:"), "{address}");
    let run = |args: &[&str]| tresen([args, &["--journal", &journal]].concat());
    let said = run(&["pay", &address, "12.90 CHF", "--key", "a"]).well();
    assert!(said.out.contains("charged 12.90 CHF") && said.out.contains("Kunde"), "{said:?}");
    let said = run(&["reverse", &address, "42", "12.90 CHF"]).well();
    assert!(said.out.contains("reversed 12.90 CHF"), "{said:?}");
    sim.type_in("tip 2.00");
    while sim.line()["fault"] != "tip 2.00" {}
    let said = run(&["pay", &address, "7.00 CHF", "--key", "b"]);
    assert_eq!(said.code, Some(3), "a tip is rolled back: {said:?}");
    let said = run(&["pay", &address, "7.00", "--key", "c"]).well();
    assert!(said.out.contains("charged 7.00 EUR"), "{said:?}");
    sim.quit();
}

#[test]
fn a_terminal_that_speaks_opi_pays_and_prints_over_its_own_channel() {
    let (_dir, journal) = journal();
    let till = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").to_string();
    let mut sim = Sim::start(&["terminal", "--protocol", "opi", "--dialect", "ifsf", "--pace", "0", "--till", &till]);
    let address = format!("{}&listen={till}", sim.address);
    assert!(address.starts_with("opi+tcp://127.0.0.1:") && address.contains("dialect=ifsf"), "{address}");
    let run = |args: &[&str]| tresen([args, &["--journal", &journal]].concat());
    let said = run(&["pay", &address, "12.50", "--key", "a"]).well();
    assert!(said.out.contains("charged 12.50 EUR, receipt 0417") && said.out.contains("Bitte Karte"), "{said:?}");
    assert_eq!(sim.line()["state"], "Stored");
    assert!(run(&["repeat-receipt", &address]).well().out.contains("Kundenbeleg"));
    assert!(
        run(&["pay", &address, "12.50", "--key", "a"]).well().out.contains("charged 12.50 EUR"),
        "the same payment"
    );
    assert!(run(&["reverse", &address, "000417", "12.50"]).well().out.contains("reversed 12.50 EUR"));
    let said = run(&["reverse", &address, "000417", "12.50"]);
    assert!(said.code == Some(1) && said.err.contains("was reversed by"), "nothing is sent: {said:?}");
    sim.type_in("decline");
    while sim.line()["fault"] != "decline" {}
    assert_eq!(run(&["pay", &address, "1.00"]).code, Some(3));
    let said = run(&["totals", &address]);
    assert!(said.code == Some(0) && said.out.contains("total "), "{said:?}");
    assert!(run(&["end-of-day", &address]).well().out.contains("the day is closed"));
    sim.quit();
}

#[test]
fn a_partial_approval_has_an_exit_status_of_its_own() {
    let (_dir, journal) = journal();
    let mut sim = Sim::start(&["terminal", "--pace", "0"]);
    sim.type_in("part 2.50");
    assert_eq!(sim.line()["fault"], "part 2.50");
    let address = format!("{}?partial=true", sim.address);
    let said = tresen(["pay", &address, "12.50", "--key", "a", "--journal", &journal]);
    assert_eq!((said.code, said.err.as_str()), (Some(5), ""), "{said:?}");
    assert!(said.out.contains("only 2.50 EUR of 12.50 EUR"), "{said:?}");
    assert!(said.out.contains("10.00 EUR still to be paid"), "{said:?}");
    let again = tresen(["--json", "pay", &address, "12.50", "--key", "a", "--journal", &journal]);
    assert_eq!((again.code, &again.json()["partial"]["amount"]), (Some(5), &"2.50 EUR".into()), "{again:?}");
    tresen(["pay", &address, "10.00", "--journal", &journal]).well();
    sim.quit();
}

#[test]
fn a_simulated_terminal_may_want_its_password() {
    let sim = Sim::start(&["terminal", "--password", "123456"]);
    let said = tresen(["info", &sim.address]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("password"), "{said:?}");
    assert!(!said.err.contains("another till"), "{said:?}");
    tresen(["info", &format!("{}?password=123456", sim.address)]).well();
    sim.quit();
}

#[cfg(unix)]
#[test]
fn a_second_interrupt_leaves_a_silent_terminal_and_recovery_says_how_it_ended() {
    let (_dir, journal) = journal();
    let mut sim = Sim::start(&["terminal", "--pace", "0"]);
    sim.type_in("mute");
    assert_eq!(sim.line()["fault"], "mute");
    let mut paying = start(["pay", &sim.address, "12.50", "--key", "sale", "--journal", &journal]);
    // It is authorised at the terminal; from here on nothing is heard any more.
    assert_eq!(sim.line()["amount"], "12.50 EUR");
    paying.interrupt();
    paying.complains("asking the terminal to abort");
    paying.interrupt();
    let said = paying.end();
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.out.contains("(sale)"), "{said:?}");

    let said = tresen(["--json", "pay", &sim.address, "--recover", "--journal", &journal]);
    let told = lines(&said.out);
    let settled = told.iter().find(|l| l["settled"] == "sale").unwrap_or_else(|| panic!("{said:?}"));
    assert!(settled["evidence"].as_str().is_some_and(|e| !e.is_empty()), "{settled}");
    let summary = told.last().expect("a summary");
    match settled["outcome"].as_str() {
        Some("charged" | "not-charged") => assert_eq!((said.code, &summary["open"]), (Some(0), &0.into()), "{said:?}"),
        Some("unknown") => assert_eq!((said.code, &summary["open"]), (Some(4), &1.into()), "{said:?}"),
        other => panic!("{other:?}"),
    }
    sim.quit();
}

#[test]
fn frames_of_a_simulated_terminal_are_shown_in_hex() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tresen"));
    command.args(["-vv", "sim", "terminal", "--listen", "127.0.0.1:0", "--password", "123456", "--json"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut sim = command.stderr(std::process::Stdio::piped()).spawn().expect("the command was built");
    let mut line = String::new();
    let mut out = std::io::BufReader::new(sim.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
    let told: Value = serde_json::from_str(&line).expect("JSON");
    let address = format!("{}?password=123456", told["address"].as_str().expect("an address"));
    tresen(["info", &address]).well();
    std::io::Write::write_all(&mut sim.stdin.take().expect("piped"), b"quit\n").expect("it listens");
    let said = sim.wait_with_output().expect("it ends");
    let log = String::from_utf8(said.stderr).expect("text");
    let frames: Vec<_> = log.lines().filter(|l| l.contains("frame")).collect();
    // 06 00, registration, and 80 00, its acknowledgement (ZVT 13.13).
    assert!(frames.iter().any(|f| f.contains("bytes=06 00 ") && f.contains("host")), "{log}");
    assert!(frames.iter().any(|f| f.contains("bytes=80 00 00") && f.contains("device")), "{log}");
}

#[test]
fn a_person_settles_what_no_terminal_can_tell() {
    let (dir, journal) = journal();
    let mut sim = Sim::start(&["terminal", "--pace", "0"]);
    sim.type_in("mute");
    assert_eq!(sim.line()["fault"], "mute");
    let paying = start(["pay", &sim.address, "12.50", "--journal", &journal]);
    assert_eq!(sim.line()["amount"], "12.50 EUR");
    // Killed, and the terminal is gone for good.
    paying.kill();
    drop(sim);

    let run = |args: &[&str]| tresen([args, &["--journal", &journal]].concat());
    let said = run(&["--json", "settle"]);
    assert_eq!(said.code, Some(4), "{said:?}");
    let open = lines(&said.out);
    assert_eq!(open.len(), 1, "{said:?}");
    assert_eq!(open[0]["intent"]["amount"], "12.50 EUR", "{said:?}");
    let key = open[0]["intent"]["id"].as_str().expect("a key").to_owned();

    for (args, part) in [
        (&["settle", key.as_str()][..], "--charged"),
        (&["settle", &key, "--not-charged", "--by", "Anna"], "--reason"),
        (&["settle", &key, "--charged", "12.50", "--not-charged", "--by", "Anna", "--reason", "x"], "cannot be used"),
        (&["settle", "--not-charged", "--by", "Anna", "--reason", "x"], "KEY"),
    ] {
        let said = run(args);
        assert_eq!(said.code, Some(2), "{args:?}: {said:?}");
        assert!(said.err.contains(part), "{args:?}: {said:?}");
    }
    let said = run(&["settle", "no-such-key", "--not-charged", "--by", "Anna", "--reason", "slip"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("unknown payment `no-such-key`"), "{said:?}");

    let said = run(&["settle", &key, "--charged", "12.50", "--by", "Anna", "--reason", "slip 0417"]).well();
    assert!(said.out.contains("charged 12.50 EUR, by Anna: slip 0417"), "{said:?}");
    assert!(run(&["settle"]).well().out.contains("nothing is open"));
    let said = run(&["settle", &key, "--not-charged", "--by", "Ben", "--reason", "changed my mind"]);
    assert_eq!(said.code, Some(1), "a decision is final: {said:?}");
    assert!(said.err.contains("Anna"), "{said:?}");

    let steps: Vec<_> = lines(&tresen(["--json", "journal", &journal]).well().out);
    let kinds: Vec<_> = steps.iter().filter(|s| s["key"] == key.as_str()).map(|s| s["kind"].clone()).collect();
    assert_eq!(kinds.last(), Some(&"settled".into()), "{kinds:?}");
    assert!(tresen(["status", &journal]).well().out.contains("payments   0 open"));
    assert!(tresen(["jobs", &journal]).well().out.contains("no job"));
    drop(dir);
}

#[cfg(unix)]
#[test]
fn the_journal_is_its_owners_alone_and_a_second_till_is_told_who_has_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let mut sim = Sim::start(&["terminal", "--pace", "0"]);
    sim.type_in("mute");
    assert_eq!(sim.line()["fault"], "mute");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tresen"));
    let mut first = command
        .args(["pay", &sim.address, "1.00"])
        .env("XDG_STATE_HOME", dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the command was built");
    assert_eq!(sim.line()["amount"], "1.00 EUR");
    let folder = dir.path().join("tresen");
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in std::fs::read_dir(&folder).expect("a folder") {
        let path = file.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let journal = folder.join("journal.db");
    let said = tresen(["pay", &sim.address, "--recover", "--journal", journal.to_str().expect("text")]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains(&first.id().to_string()), "it names the process {}: {said:?}", first.id());
    first.kill().expect("it runs");
    first.wait().expect("it ends");
}
