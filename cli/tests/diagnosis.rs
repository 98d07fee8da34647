//! What a technician is told when the wrong thing answers, or nothing.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use common::{Said, Sim, start, tresen};

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

#[track_caller]
fn fails(said: &Said, parts: &[&str]) {
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "one error: {said:?}");
    for part in parts {
        assert!(said.err.contains(part), "`{}` lacks `{part}`", said.err.trim_end());
    }
}

fn printer(dir: &tempfile::TempDir) -> Sim {
    Sim::start(&["printer", "--profile", "epson-tm-m30", "--out", dir.path().to_str().expect("text")])
}

#[test]
fn a_second_till_at_a_terminal_is_told_of_the_first() {
    // As terminals do that serve one till: the system takes the second connection, and nobody answers on it.
    let terminal = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = terminal.local_addr().expect("bound");
    let _first = TcpStream::connect(at).expect("the first till");
    let _served = terminal.accept().expect("the first till");
    fails(&tresen(["info", &format!("zvt+tcp://{at}")]), &["another till may be connected"]);
}

#[test]
fn a_terminals_address_that_is_a_printers_and_the_other_way_round() {
    let dir = tempfile::tempdir().expect("a folder");
    let sim = printer(&dir);
    let address = sim.address.replace("escpos", "zvt");
    fails(&tresen(["info", &address]), &["an ESC/POS printer answers"]);
    sim.quit();
    let sim = Sim::start(&["terminal"]);
    let address = sim.address.replace("zvt", "escpos");
    fails(&tresen(["info", &address]), &["a ZVT payment terminal answers"]);
    sim.quit();
}

#[test]
fn the_text_of_another_service_is_shown() {
    let at = stranger(1, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    fails(&tresen(["info", &format!("zvt+tcp://{at}")]), &["web server", "`HTTP/1.1 400 Bad Request`"]);
    let at = stranger(0, b"SSH-2.0-OpenSSH_9.2p1\r\n");
    fails(&tresen(["info", &format!("zvt+tcp://{at}")]), &["something else", "`SSH-2.0-OpenSSH_9.2p1`"]);
}

/// RFC 8446, 5.1 and 6: a record of type 21, alert, from a server that has read the five bytes of a header.
#[test]
fn a_terminal_that_expects_tls_is_told_from_one_that_is_off() {
    let at = stranger(5, &[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a]);
    fails(&tresen(["info", &format!("zvt+tcp://{at}")]), &["expects TLS", "`tls=true`"]);
}

#[test]
fn a_printer_that_needs_a_person_fails_the_question_how_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut sim = printer(&dir);
    for (typed, shown, told) in [
        ("paper out", "paper      out", "out of paper"),
        ("paper in", "", ""),
        ("cover open", "cover open yes", "the cover is open"),
        ("cover closed", "", ""),
    ] {
        sim.type_in(typed);
        // The simulator reads its keyboard and its port independently.
        let want = if told.is_empty() { Some(0) } else { Some(1) };
        let said = std::iter::repeat_with(|| tresen(["info", &sim.address])).find(|s| s.code == want).expect("endless");
        assert!(said.out.contains(shown) && said.err.contains(told), "{typed}: {said:?}");
    }
    sim.type_in("near end");
    let said = std::iter::repeat_with(|| tresen(["info", &sim.address])).find(|s| s.out.contains("nearly empty"));
    assert_eq!(said.expect("endless").code, Some(0), "it still prints");
    sim.quit();
}

#[test]
fn a_printer_that_says_nothing_at_all_is_not_well() {
    let at = stranger(1 << 20, b"");
    fails(&tresen(["info", &format!("escpos+tcp://{at}")]), &["does not answer", "another till"]);
}

#[test]
fn bytes_as_from_a_wrong_baud_rate_are_no_scan() {
    let mut sim = Sim::start(&["scanner"]);
    sim.type_in("noise 4006381333931");
    let said = tresen(["scan", &sim.address, "--count", "1", "--timeout", "6"]);
    fails(&said, &["not text", "ff 00 fe 80", "baud"]);
    sim.type_in("scan 4006381333931");
    let said = tresen(["scan", &sim.address, "--count", "1", "--timeout", "20"]).well();
    assert!(said.out.contains("4006381333931"), "{said:?}");
    sim.quit();
}

#[test]
fn a_code_without_an_end_is_told_from_silence() {
    let mut sim = Sim::start(&["scanner", "--no-suffix", "--no-aim"]);
    sim.type_in("scan 4006381333931");
    let said = tresen(["scan", &sim.address, "--count", "1", "--timeout", "6"]);
    fails(&said, &["received 13 bytes, but no end", "34 30 30 36", "suffix", "baud"]);
    let said = start(["scan", &sim.address, "--count", "1", "--timeout", "1"]).end();
    fails(&said, &["nothing was read", "does it beep?"]);
    sim.quit();
}

#[cfg(all(unix, feature = "serial"))]
#[test]
fn a_simulated_scanner_is_a_serial_port_too() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let mut sim = Command::new(env!("CARGO_BIN_EXE_tresen"));
    let sim = sim.args(["sim", "scanner", "--pty", "--json"]);
    let mut sim = sim.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the command was built");
    let mut keyboard = sim.stdin.take().expect("piped");
    let mut line = String::new();
    BufReader::new(sim.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let address = told["address"].as_str().expect("an address");
    assert!(address.starts_with("scanner+serial:///dev/"), "{address}");
    let scan = start(["scan", address, "--count", "1", "--timeout", "30", "--json"]);
    writeln!(keyboard, "scan 4006381333931").expect("it listens");
    assert_eq!(scan.end().well().json()["text"], "4006381333931");
    writeln!(keyboard, "quit").expect("it listens");
    sim.wait().expect("it ends");
}

#[cfg(unix)]
#[test]
fn a_recorder_goes_on_when_the_device_is_away_for_one_till() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().expect("a folder");
    let sim = printer(&dir);
    let capture = dir.path().join("till.capture");
    let mut recorder = Command::new(env!("CARGO_BIN_EXE_tresen"));
    recorder.args(["--json", "record", &sim.address, "--listen", "127.0.0.1:0", "-o"]).arg(&capture);
    let mut recorder = recorder.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command was built");
    let mut out = BufReader::new(recorder.stdout.take().expect("piped"));
    let mut err = BufReader::new(recorder.stderr.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let at = told["listening"].as_str().expect("an address").to_owned();
    // The first till asks for the printer's status (DLE EOT 1) and is answered by the printer.
    let mut till = TcpStream::connect(&at).expect("the first till");
    till.write_all(&[0x10, 0x04, 0x01]).expect("passed on");
    till.read_exact(&mut [0]).expect("answered");
    drop(till);
    sim.quit();
    for _ in 0..2 {
        let mut till = TcpStream::connect(&at).expect("another till");
        assert_eq!(till.read(&mut [0; 8]).unwrap_or(0), 0, "there is nothing to talk to");
        let mut line = String::new();
        err.read_line(&mut line).expect("a line");
        let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(told["kind"], "refused", "{told}");
    }
    assert!(recorder.try_wait().expect("it can be asked").is_none(), "it goes on");
    recorder.kill().expect("it runs");
    recorder.wait().expect("it ends");
}
