//! Mutated messages and bytes, as many as the environment variable `TRESEN_FRAMES` says: nothing panics, nothing runs
//! without a caller or a key, and the till serves on. Ten million:
//! `TRESEN_FRAMES=10000000 cargo test --release -p tresen-remote --test serve -- --nocapture mutated`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tresen::api::Place;
use tresen_hal::{Effect, Error, Kind};
use tresen_remote::session::{Asked, CALLS, Input, Keys, Session, Step};
use tresen_remote::wire::{Answer, HELLO};

use super::frames::{BINARY, CLOSE, PING, Peer, TEXT, frame};
use super::minimal::Requests;
use super::shop::{ALL, Shop, principal, soon};

/// How many messages are mutated.
fn frames() -> usize {
    let asked = std::env::var("TRESEN_FRAMES").ok();
    asked.map_or(20_000, |number| number.parse().expect("a number"))
}

/// Deterministic noise: splitmix64, Steele et al. 2014.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Valid messages: those of the protocol, and a request for each command.
fn valid() -> Vec<Value> {
    let item = json!({ "type": "row", "cells": ["Tea", { "text": [{ "text": "3.80" }], "width": "fit" }] });
    let content = json!({ "v": 1, "receipt": { "items": [item, { "type": "qr", "data": "x" }, { "type": "cut" }] } });
    let mut valid = vec![
        json!({ "hello": { "protocol": 1, "token": "t" } }),
        json!({ "id": 2, "command": "follow", "with": { "since": 3, "run": "r" } }),
        json!({ "id": 3, "command": "abort", "with": { "key": "a" } }),
        json!({ "id": 4, "command": "session.renew" }),
        json!({ "id": 5, "key": "p", "command": "printer.print", "with": { "printer": "receipt", "content": content } }),
        json!({ "offer": { "devices": [] } }),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let target = json!({ "device": { "class": "terminal", "name": "counter" } });
    for request in Requests::new(folder.path()).all() {
        let leases = json!([{ "target": target, "token": 1 }]);
        valid.push(json!({ "id": 6, "key": "k", "command": request.name, "with": request.with, "leases": leases }));
    }
    valid
}

/// Another value somewhere within a message.
fn mutate_value(noise: &mut Noise, value: &mut Value) {
    let mut place = value;
    loop {
        let deeper = match place {
            Value::Object(fields) => fields.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if deeper == 0 || noise.below(4) == 0 {
            break;
        }
        let at = noise.below(deeper);
        place = match place {
            Value::Object(fields) => fields.values_mut().nth(at).expect("counted"),
            Value::Array(items) => &mut items[at],
            _ => unreachable!("neither has parts"),
        };
    }
    match (noise.below(4), place) {
        (0, Value::Object(fields)) => _ = fields.insert(noise.of(&WORDS).to_string(), json!(noise.next())),
        (1, Value::Object(fields)) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            if !names.is_empty() {
                fields.remove(noise.of(&names));
            }
        }
        (2, Value::Array(items)) => items.extend(items.clone()),
        (_, place) => {
            *place = match noise.below(10) {
                0 => Value::Null,
                1 => json!(true),
                2 => json!(noise.next()),
                3 => json!(-1.5),
                4 => json!(i64::MIN),
                5 => json!(noise.of(&WORDS)),
                6 => json!("9".repeat(noise.below(200))),
                7 => json!([]),
                8 => json!({}),
                _ => json!([[{ "x": [null, 1e300] }]]),
            }
        }
    }
}

fn mutate_bytes(noise: &mut Noise, bytes: &mut Vec<u8>) {
    let at = noise.below(bytes.len() + 1);
    match noise.below(5) {
        0 => bytes.truncate(at),
        1 => _ = bytes.get_mut(at).map(|byte| *byte ^= 1 << noise.below(8)),
        2 => _ = bytes.splice(at..at, noise.of(&PIECES).bytes()),
        3 => _ = bytes.drain(at..(at + noise.below(9)).min(bytes.len())),
        _ => {
            let piece = bytes[at..(at + noise.below(40)).min(bytes.len())].to_vec();
            let to = noise.below(bytes.len() + 1);
            bytes.splice(to..to, piece);
        }
    }
}

fn mutated(noise: &mut Noise, valid: &[Value]) -> Vec<u8> {
    let mut value = noise.of(valid).clone();
    if noise.below(2) == 0 {
        (0..noise.below(3)).for_each(|_| mutate_value(noise, &mut value));
    }
    let mut bytes = value.to_string().into_bytes();
    if noise.below(2) == 0 {
        (0..noise.below(4)).for_each(|_| mutate_bytes(noise, &mut bytes));
    }
    bytes
}

/// What the server keeps of one connection, and of the keys of all.
struct Desk {
    now: Instant,
    session: Session,
    keys: Keys<u64>,
    /// Calls that run, in order, with the key under which they do.
    running: Vec<(Place, Option<String>, u64)>,
    number: u64,
    seen: BTreeMap<&'static str, usize>,
}

impl Desk {
    fn new() -> Self {
        let now = Instant::now();
        let session = Session::new(now);
        Self { now, session, keys: Keys::default(), running: Vec::new(), number: 0, seen: BTreeMap::new() }
    }

    fn reconnect(&mut self) {
        self.session = Session::new(self.now);
    }

    fn take(&mut self, noise: &mut Noise, input: Input<'_>) {
        let said = format!("{input:?}");
        let was_open = self.session.principal().is_some();
        let step = self.session.handle(self.now, input);
        let name = match step {
            None => "none",
            Some(Step::Admit { .. }) => {
                assert!(!was_open, "{said}");
                let until = (noise.below(4) == 0).then(|| self.now + Duration::from_secs(noise.below(60) as u64));
                self.session.admit(Arc::new(principal("anna", ALL)), until);
                "admit"
            }
            Some(Step::Run(checked, place)) => {
                assert!(was_open && (checked.key.is_some() || !checked.call.info().changes), "{said}");
                self.number += 1;
                let (number, now) = (self.number, self.now);
                let asked =
                    checked.key.as_ref().map(|keyed| self.keys.ask(now, "anna", keyed, number, |_| false, || number));
                match asked {
                    Some(Err(error)) => honest(&error, &said),
                    Some(Ok(Asked::Known(_))) => {}
                    Some(Ok(Asked::New(_))) | None => {
                        self.running.push((place, checked.key.map(|keyed| keyed.key), number));
                    }
                }
                "run"
            }
            Some(Step::Refuse { error, .. }) => {
                assert!(was_open, "{said}");
                honest(&error, &said);
                "refuse"
            }
            Some(Step::Close { error, .. }) => {
                honest(&error.expect("it says why"), &said);
                assert!(self.session.poll_timeout().is_none(), "{said}");
                self.reconnect();
                "close"
            }
            Some(Step::Ping) => panic!("no time has passed"),
            Some(
                Step::Follow { .. } | Step::Abort { .. } | Step::Alive { .. } | Step::Gate { .. } | Step::Attach(_),
            ) => {
                assert!(was_open, "{said}");
                "other"
            }
        };
        *self.seen.entry(name).or_default() += 1;
    }

    /// Some calls end, and time passes.
    fn pass(&mut self, noise: &mut Noise) {
        while self.running.len() > noise.below(80) {
            let (place, key, number) = self.running.remove(0);
            drop(place);
            if let Some(key) = key {
                self.keys.done(self.now, "anna", &key, number, noise.below(2) == 0);
            }
        }
        self.now += Duration::from_millis(noise.below(4_000) as u64);
        while let Some(step) = self.session.handle_timeout(self.now) {
            match step {
                Step::Ping => {}
                Step::Close { .. } => self.reconnect(),
                step => panic!("time does not cause {step:?}"),
            }
        }
        self.keys.sweep(self.now);
        assert!(self.keys.len() <= CALLS);
    }
}

/// What is refused was not done.
fn honest(error: &Error, said: &str) {
    assert_eq!(error.effect(), Effect::None, "{said}: {error}");
    let expected = [Kind::Input, Kind::Unsupported, Kind::Busy, Kind::Permission, Kind::Address];
    assert!(expected.contains(&error.kind()), "{said}: {error:?}");
    assert!(!error.what().is_empty(), "{said}");
}

#[test]
fn mutated_messages_break_no_session() {
    let (mut noise, valid, mut desk) = (Noise(1), valid(), Desk::new());
    for _ in 0..frames() {
        let bytes = mutated(&mut noise, &valid);
        // Most are let in first.
        if desk.session.principal().is_none() && noise.below(8) > 0 {
            desk.take(&mut noise, Input::Text(&valid[0].to_string()));
        }
        let text = String::from_utf8_lossy(&bytes);
        _ = Answer::decode(&text);
        let input = match noise.below(100) {
            0 => Input::Binary,
            1 => Input::TooLong,
            2 => Input::Malformed("reserved bits".into()),
            3 => Input::Alive,
            _ => Input::Text(&text),
        };
        desk.take(&mut noise, input);
        if noise.below(16) == 0 {
            desk.pass(&mut noise);
        }
        // A connection that has followed may not follow again; others come.
        if noise.below(32) == 0 {
            desk.reconnect();
        }
    }
    println!("{:?}", desk.seen);
    for name in ["admit", "run", "refuse", "close", "other"] {
        assert!(desk.seen.contains_key(name), "{:?}", desk.seen);
    }
}

/// Over connections to a till: a hundredth of the messages, as frames that are mutated as well.
#[tokio::test(start_paused = true)]
async fn mutated_frames_stop_no_till() {
    let shop = Shop::open().await;
    shop.gate.admit("nobody", principal("nobody", "attach"));
    let (mut noise, valid) = (Noise(2), valid());
    let (mut left, mut connections) = (frames() / 100, 0);
    while left > 0 {
        let mut peer = Peer::welcomed(shop.stream(), "nobody").await;
        connections += 1;
        for _ in 0..left.min(1 + noise.below(40)) {
            left -= 1;
            let message = mutated(&mut noise, &valid);
            let opcode = *noise.of(&[TEXT, TEXT, TEXT, TEXT, TEXT, BINARY, PING, CLOSE]);
            let mut bytes =
                frame(opcode, &message[..if opcode == PING { message.len().min(125) } else { message.len() }]);
            if noise.below(3) == 0 {
                mutate_bytes(&mut noise, &mut bytes);
            }
            // The till may have closed the connection.
            if peer.stream.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // Whatever it has to say, it ends.
        peer.stream.shutdown().await.ok();
        soon(20 * HELLO, async { while peer.next().await.is_some() {} }).await.expect("it ends");
        if connections % 50 == 0 {
            let mut anna = Peer::welcomed(shop.stream(), "anna").await;
            anna.text("{\"id\":1,\"command\":\"till.info\"}").await;
            assert_eq!(anna.json().await["reply"]["name"], "Corner shop");
        }
    }
    println!("{connections} connections");
    assert_eq!((shop.charged(), shop.paper().as_str()), (0, ""), "without a right nothing is done");
    let mut anna = Peer::welcomed(shop.stream(), "anna").await;
    anna.text("{\"id\":1,\"command\":\"till.info\"}").await;
    assert_eq!(anna.json().await["reply"]["name"], "Corner shop");
}

const PIECES: [&str; 15] = [
    "{",
    "}",
    "[",
    "\"",
    "null",
    "1e999",
    "-1",
    "\\u0000",
    "\\ud800",
    ":",
    ",",
    "\"hello\"",
    "\"key\":",
    "\u{0}",
    "[[[[[[[[",
];
const WORDS: [&str; 12] = [
    "",
    "x",
    "type",
    "with",
    "command",
    "key",
    "station",
    "1.00 EUR",
    "-9999999999999999.99 EUR",
    "\u{0}",
    "text",
    "\u{1f600}",
];
