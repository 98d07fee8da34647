//! A till that is served, in a process of its own.
#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{start, tresen};

/// Sends one request by hand and returns the whole answer.
fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "{request}\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

#[test]
fn a_till_is_served_until_it_is_told_to_stop() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("till.toml");
    let config = "[till]\nname = 'Corner shop'\n[remote]\nlisten = '127.0.0.1:0'\nplain = '127.0.0.1:0'\n";
    std::fs::write(&file, config).expect("written");
    let file = file.to_str().expect("text");
    let mut serve = start(["serve", file, "--json"]);
    let facts = serve.json();
    assert_eq!(facts["name"], "Corner shop", "{facts}");
    assert!(facts["addresses"][0].as_str().is_some_and(|at| at.starts_with("wss://127.0.0.1:")), "{facts}");
    let plain = facts["plain"].as_str().and_then(|at| at.strip_prefix("http://")).expect("plain HTTP").to_owned();
    let answer = ask(&plain, "POST /v1/till.info HTTP/1.1");
    assert!(answer.starts_with("HTTP/1.1 401 "), "nobody is let in without a token: {answer}");
    let answer = ask(&plain, "GET /v1/ws HTTP/1.1\r\nOrigin: https://evil.example");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    // The local socket is served as well.
    tresen(["status", file]).well();
    serve.interrupt();
    let said = serve.end();
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert!(TcpStream::connect(&plain).is_err(), "nobody listens any more");
}

#[test]
fn without_its_section_nothing_is_served() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("till.toml");
    std::fs::write(&file, "[till]\nname = 'Corner shop'\n").expect("written");
    let said = tresen(["serve", file.to_str().expect("text")]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("[remote]"), "{}", said.err);
}
