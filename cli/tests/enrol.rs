//! A client is let in, revoked and recorded: each step by a command, in processes of their own.
#![cfg(unix)]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{start, tresen};
use serde_json::Value;

#[test]
fn a_client_joins_by_the_code_that_the_till_shows_and_is_revoked() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let (file, folder) = (path("till.toml"), path("handheld"));
    std::fs::write(&file, "[till]\nname = 'Corner shop'\n[remote]\nlisten = '127.0.0.1:0'\n").expect("written");

    let early = tresen(["enrol", &file, "handheld 7", "--rights", "watch"]);
    assert_eq!(early.code, Some(1), "{}", early.out);
    assert!(early.err.contains("tresen serve"), "{}", early.err);

    let mut serve = start(["serve", &file, "--json"]);
    let facts = serve.json();
    let url = facts["addresses"][0].as_str().expect("an address").to_owned();
    let wrong = tresen(["enrol", &file, "handheld 7", "--rights", "watch fly"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("unknown right `fly`"), "{}", wrong.err);

    let said = tresen(["enrol", &file, "handheld 7", "--station", "bar", "--rights", "watch print:bar"]).well();
    let code = said.out.lines().next().and_then(|line| line.rsplit(' ').next()).expect("a code").to_owned();
    assert!(code.len() == 14 && code.matches('-').count() == 2, "{}", said.out);
    let scanned = said.out.lines().find(|line| line.starts_with("wss://")).expect("the QR code's text");
    assert_eq!(scanned, format!("{url}/#{code}"));

    let joined = tresen(["--json", "join", scanned, "--into", &folder]).well().json();
    assert_eq!((joined["name"].as_str(), joined["you"].as_str()), (Some("Corner shop"), Some("handheld 7")));
    for name in ["client.pem", "ca.pem", "till.json"] {
        let mode = std::fs::metadata(format!("{folder}/{name}")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let again = tresen(["join", &url, "--code", &code, "--into", &path("other")]);
    assert_eq!(again.code, Some(1), "a code is good once");
    assert!(!again.err.contains(&code), "{}", again.err);

    let clients = tresen(["--json", "clients", &file]).well().json();
    assert_eq!((clients["name"].as_str(), clients["station"].as_str()), (Some("handheld 7"), Some("bar")));
    assert_eq!(clients["rights"], "watch print:bar");
    let token = tresen(["--json", "token", &file, "kiosk", "--rights", "watch"]).well().json();
    let unused = token["code"].as_str().expect("a code").to_owned();

    let unknown = tresen(["revoke", &file, "handheld 8", "--why", "lost"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("handheld 7"), "{}", unknown.err);
    tresen(["revoke", &file, "handheld 7", "--why", "lost on Friday"]).well();
    assert_eq!(tresen(["clients", &file]).well().out, "nobody may call this till from outside\n");

    let bundle = path("bundle");
    let bundled = tresen(["support-bundle", &file, "--output", &bundle]);
    serve.interrupt();
    serve.end();

    // The database answers where no till runs.
    let audit = tresen(["--json", "audit", &file]).well().out;
    let actions: Vec<Value> = audit.lines().rev().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // The second attempt may have been too early, and then comes again; how often it did is the last line.
    let once = actions.iter().filter(|entry| entry["note"].get("times").is_none());
    let mut actions: Vec<_> = once.map(|entry| entry["note"]["action"].as_str().unwrap_or_default()).collect();
    actions.dedup();
    assert_eq!(actions, ["remote.enrol", "enrol", "remote.token", "remote.revoke"], "{audit}");
    assert!(tresen(["clients", &file, "--all"]).well().out.contains("lost on Friday"));

    let key = std::fs::read_to_string(format!("{folder}/client.pem")).expect("there");
    let key = key.lines().nth(1).expect("a line of the key");
    let bundle = std::fs::read(&bundle).unwrap_or_default();
    for (place, text) in
        [("audit", audit.as_str()), ("bundle", &String::from_utf8_lossy(&bundle)), ("output", &bundled.out)]
    {
        for secret in [code.as_str(), &unused, key] {
            assert!(!text.contains(secret), "{place}");
        }
    }
}
