//! `tresen probe`, `tresen trace` and the profiles, as a technician uses them.

mod common;

use std::io::Write as _;

use common::{Sim, command, start, tresen};

#[test]
fn a_terminal_at_a_port_is_named_with_its_address() {
    let sim = Sim::start(&["terminal"]);
    let at = sim.address.trim_start_matches("zvt+tcp://").to_owned();
    let said = tresen(["probe", &at]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for part in ["zvt", &*sim.address, "tresen info"] {
        assert!(said.out.contains(part), "{said:?} lacks {part}");
    }
    let told = tresen(["--json", "probe", &at]).well().json();
    assert_eq!((&told["answer"], &told["protocol"]), (&"device".into(), &"zvt".into()), "{told}");
    assert_eq!(told["address"], sim.address.as_str(), "{told}");
    sim.quit();
}

/// An address of the loopback network of its own, so that the usual ports are free.
#[cfg(target_os = "linux")]
#[test]
fn without_a_port_the_usual_ones_are_asked() {
    let pid = std::process::id();
    let host = format!("127.{}.{}.77", 64 + pid % 128, pid / 128 % 256);
    let sim = Sim::with(&["terminal", "--protocol", "opi", "--dialect", "swiss", "--listen", &format!("{host}:4100")]);
    let said = tresen(["probe", &host]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for part in [" 4100  opi", "dialect=swiss", "profiles for it: nexi-switzerland", "· terminal "] {
        assert!(said.out.contains(part), "{said:?} lacks {part}");
    }
    assert!(said.err.contains("asking at port 9100"), "progress: {said:?}");
    sim.quit();
    let said = tresen(["probe", &host]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("no usual port is open"), "{said:?}");
}

#[test]
fn a_wrong_target_is_one_error() {
    for (target, part) in [("zvt+tcp://10.0.0.1", "HOST or HOST:PORT"), ("printer.invalid", "cannot be resolved")] {
        let said = tresen(["probe", target]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.lines().last().expect("an error").contains(part), "{said:?}");
    }
}

/// PA00P015: 06 00 registration, 80 00, 06 0F; the password is masked.
const RECORDING: &str = "tresen-capture 1 zvt+tcp://10.0.0.30:20007\n\
    0.000000 > 060006123456be0978\n0.020000 < 800000\n0.030000 < 060f00\n0.031000 > 800000\n0.040000 !\n";

#[test]
fn a_recording_is_told_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.capture");
    let path = file.to_str().expect("text");
    std::fs::write(&file, RECORDING).expect("written");
    let said = tresen(["trace", path]).well().out;
    for part in
        ["0.000 > till    06 00 registration", "password ••••••", "config byte BE", "0.030 < device  06 0F completion"]
    {
        assert!(said.contains(part), "{said} lacks {part}");
    }
    assert!(!said.contains("123456"), "{said}");
    let said = tresen(["trace", path, "--language", "de"]).well().out;
    assert!(said.contains("Kasse") && said.contains("06 00 Anmeldung"), "{said}");
    let told = tresen(["--json", "trace", path]).well();
    assert_eq!(told.json()["from"], "till", "{told:?}");
}

/// Each new connection of a device is recorded in a file of its own, `FILE.2` and so on.
#[test]
fn later_connections_follow_and_several_recordings_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, content).expect("written");
        file.to_str().expect("text").to_owned()
    };
    let told = |what: &str| format!("tresen-capture 1 zvt+tcp://t\n0.1 > {what}\n0.2 !\n");
    let day = write("day.capture", RECORDING);
    // PA00P015: 05 01 status enquiry, 06 70 diagnosis, 06 02 log-off.
    write("day.capture.10", &told("060200"));
    write("day.capture.2", &told("050103123456"));
    write("day.capture.txt", "of another program");
    let night = write("night.capture", &told("067000"));
    let said = tresen(["trace", &day, &night]).well().out;
    let places: Vec<_> =
        ["06 00 registration", "capture.2: zvt", "05 01", "capture.10: zvt", "06 02", "night", "06 70"]
            .iter()
            .map(|part| said.find(part).unwrap_or_else(|| panic!("{part} is missing in {said}")))
            .collect();
    assert!(places.is_sorted(), "{said}");
    let named = tresen(["trace", &day, &format!("{day}.2")]).well().out;
    assert_eq!(named.matches("05 01").count(), 1, "{named}");
    assert!(tresen(["trace"]).code != Some(0), "a file is needed");
}

#[test]
fn damaged_cut_and_foreign_files_are_one_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.capture");
    let path = file.to_str().expect("text");
    for (content, code, part) in [
        ("hello\nworld\n", 1, "is no recording"),
        ("", 1, "is no recording"),
        ("tresen-capture 1 zvt+tcp://t\n0.1 > 0600\n0.2 < zz\n", 1, "line 3: expected bytes as pairs of hex digits"),
        ("tresen-capture 1 zvt+tcp://t\nsoon > 0600\n", 1, "line 2: expected seconds"),
        ("tresen-capture 1 zvt+tcp://t\n0.1 < 800000\n0.2 < 06", 0, "does not end"),
    ] {
        std::fs::write(&file, content).expect("written");
        let said = tresen(["trace", path]);
        assert_eq!(said.code, Some(code), "{content}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{content}: {said:?}");
        assert!(said.err.contains(part), "{content}: {said:?}");
    }
    let said = tresen(["trace", "/no/such/file"]);
    assert!(said.code == Some(1) && said.err.contains("/no/such/file"), "{said:?}");
}

#[test]
fn a_growing_recording_is_followed_to_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.capture");
    let (begin, rest) = RECORDING.split_at(RECORDING.find("800000").expect("an answer"));
    std::fs::write(&file, begin).expect("written");
    let mut tracing = start(["trace", "--follow", file.to_str().expect("text")]);
    tracing.says("registration");
    let mut growing = std::fs::OpenOptions::new().append(true).open(&file).expect("there");
    growing.write_all(rest.as_bytes()).expect("written");
    let said = tracing.end().well();
    assert!(said.out.contains("completion"), "{said:?}");
}

#[test]
fn simulated_terminals_tell_their_traffic_in_words() {
    for (protocol, options, said) in [
        ("zvt", "", ["06 00 registration", "80 00 positive answer", "05 01 status enquiry"]),
        (
            "opi",
            "",
            ["ServiceRequest Login (log-in) #", "ServiceResponse Login (log-in) #", "ServiceRequest Diagnosis"],
        ),
    ] {
        let mut sim = Sim::start(&["terminal", "--trace", "--protocol", protocol]);
        tresen(["info", &format!("{}{options}", sim.address)]).well();
        for part in said {
            let told =
                |line: &serde_json::Value| line["message"].as_str().is_some_and(|message| message.starts_with(part));
            while !told(&sim.line()) {}
        }
        sim.quit();
    }
}

#[test]
fn profiles_are_listed_shown_and_mistyped() {
    let listed = tresen(["info", "--profiles"]).well().out;
    assert!(listed.contains("zvt+…?profile=feig-cvend ") && listed.contains("generic-80mm"), "{listed}");
    let shown = tresen(["info", "--profile", "hobex"]).well().out;
    assert!(shown.contains("port=20007") && shown.contains("http"), "{shown}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("till.toml");
    let write = |profile: &str| {
        let text = format!("[terminals.bar]\naddress = \"zvt+tcp://127.0.0.1\"\nprofile = \"{profile}\"\n");
        std::fs::write(&file, text).expect("written");
    };
    let path = file.to_str().expect("text");
    write("feig-cvend");
    let said = tresen(["check-config", path]).well().out;
    assert!(said.contains("zvt+tcp://127.0.0.1:22000"), "the profile's port: {said}");
    write("feig-cvnd");
    let said = tresen(["check-config", path]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("terminals.bar.profile") || said.err.contains(":3:"), "the place: {said:?}");
    assert!(said.err.contains("did you mean feig-cvend"), "{said:?}");
    write("adyen");
    assert!(tresen(["check-config", path]).err.contains("is of `nexo` terminals"));
    let wrong = command(["info", "--profile", "nope-nope"]).output().expect("runs");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("unknown profile"));
}
