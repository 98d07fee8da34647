//! What is in a support bundle, and above all what is not.
#![cfg(unix)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::{Sim, tresen};
use tresen::payment::{Decision, Intent, IntentId, Journal, Request, Transaction};
use tresen::{Amount, Clock, Config, Drivers, Origin, Receipt, SystemClock, Tresen};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Secrets as they were planted, and the forms in which they could come out again.
const SECRETS: [&str; 17] = [
    "739154",
    "37 39 31 35 34",
    "4111111111111111",
    "4111 1111 1111 1111",
    "34313131",
    "4929123412341234",
    "5500000000000004",
    "Mustermann",
    "MUSTERMANN",
    "Hauptstr",
    "Erika",
    "Schmidt",
    "GUTSCHEIN",
    "geheim77",
    "anna:",
    "5550199",
    "s3cr3t",
];

#[track_caller]
fn keeps_its_secrets(bundle: &str) {
    for secret in SECRETS {
        let line = bundle.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "`{secret}` got out");
    }
}

/// A recording as a person could have made it, without a redactor: a password, a card, a track and a name.
fn capture(path: &Path) {
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let track = hex("%B4111111111111111^MUSTERMANN/MAX^2512101?");
    let lines = format!(
        "tresen-capture 1 zvt+tcp://10.0.0.30:20007?password=739154\n0.000000 > 06000373915400\n\
         0.100000 < {track}\n0.200000 < {}\n0.300000 < 040f0a\nMax Mustermann\n9.000000 !\n",
        hex("4111111111111111")
    );
    std::fs::write(path, lines).expect("written");
}

#[test]
fn a_bundle_of_a_running_till_tells_everything_but_its_secrets() {
    let paper = tempfile::tempdir().expect("a folder");
    let printer = Sim::start(&["printer", "--profile", "epson-tm-m30", "--out", text(paper.path())]);
    let terminal = Sim::start(&["terminal", "--pace", "0", "--password", "739154"]);
    let mut scanner = Sim::start(&["scanner"]);
    let dir = tempfile::tempdir().expect("a folder");
    let (file, recorded) = (dir.path().join("till.toml"), dir.path().join("terminal.capture"));
    let toml = format!(
        "# Call Max Mustermann, 0171 5550199\n[till]\nname = 'Till 1'\n[printers.bar]\naddress = '{}'\n\
         [printers.kitchen]\naddress = 'escpos+tcp://127.0.0.1:9'\n\
         [scanners.hand]\naddress = '{}'\n[terminals.counter]\naddress = '{}?record={}'\npassword = \"739154\"\n",
        printer.address,
        scanner.address,
        terminal.address,
        recorded.display()
    );
    std::fs::write(&file, toml).expect("written");
    let threads = runtime();
    let till = threads.block_on(async {
        let config = Config::load(&file, &Drivers::standard()).expect("right");
        let till = Tresen::with(config).await.expect("opens").on_behalf_of(Origin::new().operator("Schmidt"));
        let mut ready = till.terminal("counter").expect("configured").phase();
        ready.wait_for(|phase| phase.is_ready()).await.expect("open");
        let receipt = Receipt::new().text("Max Mustermann, Hauptstr. 5");
        for (route, id) in [("bar", "slip-17"), ("kitchen", "card 4111 1111 1111 1111")] {
            till.printer(route).expect("configured").submit_as(id, &receipt).await.expect("queued");
        }
        let bar = till.printer("bar").expect("configured");
        assert!(bar.print_as("slip-17", &receipt).await.expect("stored").is_done());
        let (_keep, abort) = tokio::sync::watch::channel(false);
        let request = Request::new("k-4929123412341234", Amount::eur(12_50));
        let paid = till.terminal("counter").expect("configured").pay_as(request, abort).await.expect("paid");
        assert!(paid.is_decided());
        let (key, amount) = (IntentId("a-18".into()), Amount::eur(7_00));
        let intent = Intent::new(key, "old", Transaction::Payment, amount, SystemClock.wall(), None);
        till.store().intend(&intent).await.expect("journalled");
        let why = "Max Mustermann showed 5500000000000004";
        let _ = till.settle(&intent.id, Decision::not_charged("Erika", why)).await.expect("settled");
        scanner.type_in("scan GUTSCHEIN");
        till.scanner("hand").expect("configured").next().await.expect("scanned");
        till
    });
    let planted = dir.path().join("planted.capture");
    capture(&planted);
    let out = dir.path().join("bundle.txt");
    let args = ["support-bundle", text(&file), "-o", text(&out), "--capture", text(&planted)];
    let said = tresen(args).well();
    assert!(said.out.contains("read it before you send it"), "{}", said.out);
    let bundle = std::fs::read_to_string(&out).expect("text");
    keeps_its_secrets(&bundle);
    for part in [
        "Please read this file before you send it",
        "system\n",
        "tresen        0.",
        "[printers.\"bar\"]",
        "password = [removed]",
        "printer bar",
        "running    process",
        "1 print job: half within",
        "connected at zvt+tcp://127.0.0.1",
        "printed slip-17",
        "slip-17  printed  for bar",
        "card [removed]  queued  for kitchen",
        "k-[removed]  payment of 12.50 EUR at counter",
        "a-18  payment of 7.00 EUR at old",
        "not charged: settled, decided by a person",
        "06 00 registration",
        "04 0f status information",
        "refused",
    ] {
        assert!(bundle.contains(part), "no `{part}` in\n{bundle}");
    }
    assert_eq!(std::fs::metadata(&out).expect("there").permissions().mode() & 0o777, 0o600);
    let again = tresen(args);
    assert!(again.code == Some(1) && again.err.contains("exists already"), "{again:?}");

    threads.block_on(till.close(Duration::from_secs(5))).expect("closes");
    let closed = tresen(["support-bundle", text(&file), "--no-checks", "-o", "-"]).well().out;
    keeps_its_secrets(&closed);
    assert!(closed.contains("no till is running") && closed.contains("slip-17  printed"), "{closed}");
    [printer, terminal, scanner].into_iter().for_each(Sim::quit);
}

#[test]
fn a_configuration_that_is_wrong_is_reported_without_its_secrets() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("till.toml");
    let toml = "[cameras.door]\naddress = 'camera+http://anna:geheim77@10.0.0.40/stream'\n\
        [terminals.t]\naddress = 'zvt+tcp://10.0.0.30?passwort=s3cr3t'\npassword = 's3cr3t-9'\n\
        [surver]\nurl = 'postgres://anna:geheim77@db/pos'\n";
    std::fs::write(&file, toml).expect("written");
    let said = tresen(["support-bundle", text(&file), "--no-checks", "-o", "-"]).well();
    keeps_its_secrets(&said.out);
    assert!(said.out.contains("`surver`") && said.out.contains("passwor"), "the problems are told: {}", said.out);
    // Broken TOML is told, too.
    std::fs::write(&file, "[terminals.t]\npassword = 's3cr3t-9\n").expect("written");
    let said = tresen(["support-bundle", text(&file), "--no-checks", "-o", "-"]).well();
    keeps_its_secrets(&said.out);
    assert!(said.out.contains("not valid TOML"), "{}", said.out);
}
