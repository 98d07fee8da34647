//! What the doctor finds out of itself: each fault with its evidence and its next step.
#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Running, Said, Sim, command, start, tresen, until};
use serde_json::Value;
use tresen::payment::{Charge, Intent, IntentId, Journal, Payment, Transaction};
use tresen::{Amount, Clock, Config, Drivers, Store, SystemClock, SystemRuntime, Tresen};

/// The doctor's findings about `what`, and its exit status.
fn doctor(args: &[&str]) -> (Vec<Value>, Option<i32>) {
    findings(tresen([&["--json", "doctor"], args].concat()))
}

fn findings(said: Said) -> (Vec<Value>, Option<i32>) {
    let found = said.out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    (found, said.code)
}

/// The finding about `subject`.
#[track_caller]
fn of<'a>(found: &'a [Value], subject: &str) -> &'a Value {
    found.iter().find(|f| f["subject"] == subject).unwrap_or_else(|| panic!("no `{subject}` in {found:#?}"))
}

/// The check of a device failed, and what is told holds all parts.
#[track_caller]
fn fails(address: &str, parts: &[&str]) -> Value {
    let (found, code) = doctor(&[address]);
    let finding = found.iter().find(|f| f["state"] == "failed").unwrap_or_else(|| panic!("all is well: {found:#?}"));
    assert_eq!(code, Some(1), "{found:#?}");
    for part in parts {
        assert!(finding.to_string().contains(part), "no `{part}` in {finding:#}");
    }
    finding.clone()
}

/// Answers every connection with `say` once it has heard `after` bytes, and hangs up.
fn stranger(after: usize, say: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if stream.read_exact(&mut vec![0; after]).is_ok() {
                stream.write_all(say).ok();
            }
        }
    });
    at
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("till.toml");
    (dir, file)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// RFC 6761, 6.4: names under `invalid` never resolve.
#[test]
fn a_name_that_nobody_knows() {
    fails("escpos+tcp://printer.invalid", &["`printer.invalid` cannot be resolved", "IP address"]);
}

/// An address of the loopback network of its own, so that the usual ports are free.
#[cfg(target_os = "linux")]
fn own_host(n: u8) -> String {
    let pid = std::process::id();
    format!("127.{}.{}.{n}", 64 + pid % 128, pid / 128 % 256)
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_at_another_port_than_the_one_of_the_address() {
    let host = own_host(1);
    let terminal = Sim::with(&["terminal", "--listen", &format!("{host}:22000")]);
    let right = format!("use zvt+tcp://{host}:22000");
    let parts = ["nothing listens on port 20007", "port 22000 is open", "a ZVT payment terminal", right.as_str()];
    fails(&format!("zvt+tcp://{host}"), &parts);
    let paper = tempfile::tempdir().expect("a folder");
    let printer = Sim::with(&["printer", "--out", text(paper.path()), "--listen", &format!("{host}:9100")]);
    let right = format!("use escpos+tcp://{host}:9100");
    fails(&format!("escpos+tcp://{host}:9109"), &["nothing listens on port 9109", &right]);
    // A printer where a terminal is meant is evidence, and no advice.
    terminal.quit();
    let told = fails(&format!("zvt+tcp://{host}"), &["port 9100 is open: an ESC/POS printer"]);
    assert!(!told["hint"].as_str().unwrap_or_default().contains("9100"), "{told:#}");
    printer.quit();
}

#[test]
fn another_service_is_named() {
    let web = stranger(1, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    fails(&format!("zvt+tcp://{web}"), &["web server", "check the port"]);
    let login = stranger(0, b"SSH-2.0-OpenSSH_9.2p1\r\n");
    fails(&format!("escpos+tcp://{login}"), &["SSH"]);
}

#[test]
fn a_terminal_that_speaks_tls() {
    let key = rcgen::generate_simple_self_signed(vec!["terminal".into()]).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![key.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into()),
        )
        .expect("a key");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut server = rustls::ServerConnection::new(config.clone()).expect("a server");
            // Sends its alert when what it hears is no handshake.
            while server.complete_io(&mut stream).is_ok_and(|(read, _)| read > 0) {}
        }
    });
    fails(&format!("zvt+tcp://{at}"), &["expects TLS", "`tls=true`"]);
}

#[test]
fn a_password_that_the_terminal_refuses() {
    let sim = Sim::start(&["terminal", "--password", "739154"]);
    let address = format!("{}?password=482615", sim.address);
    let finding = fails(&address, &["password"]);
    assert!(finding["hint"].as_str().is_some_and(|hint| hint.contains("password")), "{finding:#}");
    // Whoever reads the screen does not learn it.
    for args in [&["doctor", &address][..], &["--json", "doctor", &address]] {
        let said = tresen(args);
        assert!(said.err.contains("checks failed"), "{}", said.err);
        assert!(!(said.out + &said.err).contains("482615"), "{args:?}");
    }
    sim.quit();
}

/// A pseudo-terminal, and whoever answers at its other end: Epson's DLE EOT n (one byte with bits 1 and 4 set, here
/// without any fault), while its port is open at `rate`.
#[cfg(all(target_os = "linux", feature = "serial"))]
fn answers_at(rate: u32) -> (std::fs::File, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&far).and_then(|()| unlockpt(&far)).expect("its own");
    let path = ptsname(&far, Vec::new()).expect("a name").into_string().expect("text");
    // While this is open, the far end survives that the port is closed.
    let near = std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("opens");
    let mut far = std::fs::File::from(far);
    std::thread::spawn(move || {
        let mut bytes = [0; 256];
        while let Ok(count) = far.read(&mut bytes) {
            let now = rustix::termios::tcgetattr(&far).expect("a terminal").output_speed();
            let asked = bytes[..count].windows(2).filter(|pair| *pair == [0x10, 0x04]).count();
            if now == rate && far.write_all(&vec![0x12; asked]).is_err() {
                return;
            }
        }
    });
    (near, path)
}

#[cfg(all(target_os = "linux", feature = "serial"))]
#[test]
fn the_rate_at_which_a_printer_answers_is_found() {
    let (_near, path) = answers_at(38_400);
    let right = format!("set the rate: escpos+serial://{path}?baud=38400");
    fails(&format!("escpos+serial://{path}"), &["at 38400 baud it answers", &right]);
    // One that is switched off answers at none.
    let (_near, path) = answers_at(0);
    fails(&format!("escpos+serial://{path}"), &["no answer at the other rates either", "19200"]);
}

#[cfg(all(target_os = "linux", feature = "serial"))]
#[test]
fn the_program_that_holds_a_port_is_named() {
    let (_near, path) = answers_at(0);
    let address = format!("scanner+serial://{path}");
    let mut holder = start(["scan", &address, "-v"]);
    holder.says("reading from");
    fails(&address, &["(tresen) has it open", "end that program"]);
    holder.kill();
    let (found, code) = doctor(&[&address]);
    assert_eq!(code, Some(0), "{found:#?}");
}

#[test]
fn a_scanner_is_judged_by_a_code() {
    let judged = |sim: &mut Sim, seconds: &str, line: &str| {
        let mut doctor = start(["doctor", &sim.address, "--scan", seconds]);
        doctor.complains("scan a code now");
        sim.type_in(line);
        let said = doctor.end();
        assert!(!said.out.contains("4006381333931"), "a code may be a customer's: {}", said.out);
        said
    };
    let mut sim = Sim::start(&["scanner", "--no-aim"]);
    let said = judged(&mut sim, "20", "scan 4006381333931");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("warning  a scan") && said.out.contains("AIM"), "{}", said.out);
    sim.quit();

    let mut sim = Sim::start(&["scanner"]);
    let said = judged(&mut sim, "20", "scan 4006381333931");
    assert!(said.out.contains("ok       a scan") && said.code == Some(0), "{said:?}");
    let said = judged(&mut sim, "20", "noise 4006381333931");
    assert!(said.out.contains("not text") && said.out.contains("ff 00 fe") && said.code == Some(1), "{said:?}");
    sim.quit();

    let mut sim = Sim::start(&["scanner", "--no-suffix", "--no-aim"]);
    let said = judged(&mut sim, "3", "scan 4006381333931");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("no end of a code") && said.out.contains("suffix"), "{}", said.out);
    sim.quit();
}

/// After noise the next rate is tried: a pseudo-terminal has none, so that the second scan is text.
#[cfg(all(target_os = "linux", feature = "serial"))]
#[test]
fn the_rate_of_a_scanner_is_found_by_scanning_again() {
    let mut sim = Sim::with(&["scanner", "--pty"]);
    let mut doctor = start(["doctor", &sim.address, "--scan", "30"]);
    doctor.complains("scan a code now");
    sim.type_in("noise 4006381333931");
    doctor.complains("scan it again");
    sim.type_in("scan 4006381333931");
    let said = doctor.end();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("the baud rate is wrong") && said.out.contains("set the rate: "), "{}", said.out);
}

/// `timedatectl show` (systemd, timedatectl(1)) prints `yes` or `no`.
#[cfg(target_os = "linux")]
#[test]
fn a_machine_whose_clock_nobody_sets_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let tools = tempfile::tempdir().expect("a folder");
    let tool = tools.path().join("timedatectl");
    for (says, state) in [("no", "warning"), ("yes", "ok"), ("perhaps", "ok")] {
        std::fs::write(&tool, format!("#!/bin/sh\necho {says}\n")).expect("written");
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("set");
        let mut doctor = command(["--json", "doctor", "scanner+tcp://127.0.0.1:9"]);
        doctor.env("PATH", format!("{}:/usr/bin:/bin", tools.path().display()));
        let (found, _) = findings(Running::from(doctor).end());
        assert_eq!(of(&found, "clock")["state"], state, "{says}: {found:#?}");
    }
}

#[test]
fn a_terminals_clock_is_read_off_its_last_payment() {
    let (dir, _) = folder();
    let db = dir.path().join("till.db");
    runtime().block_on(async {
        let store = Store::open(&db, Arc::new(SystemRuntime::new())).await.expect("opens");
        let now = SystemClock.wall();
        for (key, terminal, ahead) in [("a", "bar", -3600), ("b", "bar", 3600), ("c", "counter", 40)] {
            let (key, amount) = (IntentId(key.into()), Amount::eur(1_00));
            let intent = Intent::new(key, terminal, Transaction::Payment, amount, now, None);
            store.intend(&intent).await.expect("journalled");
            let mut charge = Charge::new(intent.id.clone(), amount);
            let local = now.to_zoned(jiff::tz::TimeZone::system()).datetime();
            charge.at = Some(local.checked_add(jiff::SignedDuration::from_secs(ahead)).expect("a time"));
            store.conclude(&intent.id, &Payment::Charged(Box::new(charge))).await.expect("journalled");
        }
        store.close().await;
    });
    let (found, code) = doctor(&[text(&db)]);
    let bar = of(&found, "terminal bar");
    assert_eq!((bar["state"].as_str(), code), (Some("warning"), Some(0)), "{found:#?}");
    assert!(bar["what"].as_str().is_some_and(|what| what.contains("50 min ahead of")), "the last counts: {bar:#}");
    assert!(found.iter().all(|f| f["subject"] != "terminal counter"), "a customer takes a while: {found:#?}");
}

#[test]
fn a_database_of_another_version_and_one_that_is_held() {
    let (dir, file) = folder();
    std::fs::write(&file, "[till]\nsocket = false\n").expect("written");
    let db = dir.path().join("till.db");
    let threads = runtime();
    let till = threads.block_on(Tresen::open(&file)).expect("opens");
    let (found, code) = doctor(&[text(&file)]);
    let store = of(&found, "store");
    assert_eq!((store["state"].as_str(), code), (Some("failed"), Some(1)), "{found:#?}");
    let this = format!("process {}", std::process::id());
    assert!(store.to_string().contains(&this) && store.to_string().contains("socket"), "{store:#}");
    threads.block_on(till.close(std::time::Duration::from_secs(5))).expect("closes");
    drop(till);
    assert_eq!(of(&doctor(&[text(&file)]).0, "store")["state"], "ok");

    // SQLite file format, 1.3: the user version is a big-endian number at offset 60.
    let mut bytes = std::fs::read(&db).expect("read");
    bytes[60..64].copy_from_slice(&4711_u32.to_be_bytes());
    std::fs::write(&db, bytes).expect("written");
    let store = doctor(&[text(&file)]).0;
    let store = of(&store, "store");
    assert!(store["state"] == "failed" && store["what"].as_str().is_some_and(|w| w.contains("version")), "{store:#}");
    std::fs::write(&db, "Dear diary").expect("written");
    let store = doctor(&[text(&file)]).0;
    assert!(of(&store, "store").to_string().contains("is not a database"), "{store:#?}");
}

#[test]
fn one_device_under_two_names() {
    let (_dir, file) = folder();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let text_of_file = format!(
        "[printers.bar]\naddress = 'escpos+tcp://127.0.0.1:{port}'\n\
         [printers.kitchen]\naddress = 'escpos+tcp://127.0.0.01:{port}'\n"
    );
    // The same address in two spellings: `localhost` may be IPv6 here.
    std::fs::write(&file, text_of_file.replace("127.0.0.01", "127.1")).expect("written");
    let (found, _) = doctor(&[text(&file)]);
    let told = found.iter().find(|f| f["what"].as_str().is_some_and(|what| what.contains("is also the printer bar")));
    let told = told.unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!((told["subject"].as_str(), told["state"].as_str()), (Some("printer kitchen"), Some("warning")));
}

#[test]
fn a_running_till_is_asked_and_its_devices_are_left_alone() {
    let paper = tempfile::tempdir().expect("a folder");
    let mut printer = Sim::start(&["printer", "--profile", "epson-tm-m30", "--out", text(paper.path())]);
    let (dir, file) = folder();
    let config = format!(
        "[printers.bar]\naddress = '{}'\n[scanners.hand]\naddress = 'scanner+tcp://127.0.0.1:9'\n",
        printer.address
    );
    std::fs::write(&file, &config).expect("written");
    let threads = runtime();
    let till = threads.block_on(async {
        let mut config = Config::load(&file, &Drivers::standard()).expect("right");
        config.till.store = dir.path().join("till.db");
        let till = Tresen::with(config).await.expect("opens");
        let bar = till.printer("bar").expect("configured");
        bar.phase().wait_for(|phase| phase.is_ready()).await.expect("open");
        let hand = till.scanner("hand").expect("configured");
        hand.phase().wait_for(|phase| phase.is_away()).await.expect("open");
        till
    });
    // The till has the printer's only connection.
    let (found, code) = doctor(&[text(&file)]);
    assert_eq!(code, Some(1), "{found:#?}");
    assert!(of(&found, "till").to_string().contains(&format!("process {}", std::process::id())), "{found:#?}");
    assert_eq!(of(&found, "printer bar")["state"], "ok", "{found:#?}");
    let hand = of(&found, "scanner hand");
    assert!(hand["state"] == "failed" && hand.to_string().contains("nothing listens on port 9"), "{hand:#}");
    printer.type_in("paper out");
    until("the till knows", || of(&doctor(&[text(&file)]).0, "printer bar")["state"] == "failed");
    let (found, _) = doctor(&[text(&file)]);
    assert!(of(&found, "printer bar").to_string().contains("insert a new roll"), "{found:#?}");
    assert_eq!(threads.block_on(till.health()).devices[0].reconnects, 0, "nobody took its printer");
    printer.quit();
}
