use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::trust::By;

fn anna() -> Arc<Principal> {
    let grants = "watch sell print drawer scan camera pay refund settle configure attach".parse().expect("rights");
    let by = By::Token { id: "1".into() };
    Arc::new(Principal { name: "anna".into(), station: None, grants, expires: None, by })
}

fn open(now: Instant) -> Session {
    let mut session = Session::new(now);
    let step = session.handle(now, Input::Text("{\"hello\":{\"protocol\":1,\"token\":\"t\"}}"));
    assert!(matches!(step, Some(Step::Admit { token: Some(token) }) if token == "t"));
    session.admit(anna(), None);
    session
}

#[test]
fn a_caller_has_five_seconds_whatever_pings_it_sends() {
    let now = Instant::now();
    let mut session = Session::new(now);
    assert!(session.handle(now + Duration::from_secs(4), Input::Alive).is_none());
    assert!(session.handle_timeout(now + HELLO - Duration::from_millis(1)).is_none());
    let Some(Step::Close { error: Some(error), code: Code::NotAllowed }) = session.handle_timeout(now + HELLO) else {
        panic!("closed");
    };
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(session.poll_timeout(), None);
    assert!(session.handle(now, Input::Text("{}")).is_none(), "closed is closed");
}

#[test]
fn the_till_pings_and_gives_up_after_its_time() {
    let now = Instant::now();
    let mut session = open(now);
    assert_eq!(session.poll_timeout(), Some(now + PING));
    assert!(matches!(session.handle_timeout(now + PING), Some(Step::Ping)));
    assert!(session.handle(now + PING, Input::Alive).is_none());
    assert!(matches!(session.handle_timeout(now + 2 * PING), Some(Step::Ping)));
    assert!(matches!(session.handle_timeout(now + 3 * PING), Some(Step::Ping)));
    assert_eq!(session.poll_timeout(), Some(now + PING + DEAD));
    assert!(matches!(session.handle_timeout(now + PING + DEAD), Some(Step::Close { error: None, .. })));
}

#[test]
fn a_right_of_its_own_ends_with_its_time() {
    let now = Instant::now();
    let mut session = open(now);
    session.admit(anna(), Some(now + Duration::from_secs(3)));
    assert_eq!(session.poll_timeout(), Some(now + Duration::from_secs(3)));
    let step = session.handle_timeout(now + Duration::from_secs(3));
    assert!(matches!(step, Some(Step::Close { code: Code::NotAllowed, .. })), "{step:?}");
}

#[test]
fn places_are_held_until_the_answer() {
    let now = Instant::now();
    let mut session = open(now);
    let request = "{\"id\":1,\"command\":\"till.info\"}";
    let mut steps: Vec<_> = (0..IN_FLIGHT).map(|_| session.handle(now, Input::Text(request))).collect();
    assert!(steps.iter().all(|step| matches!(step, Some(Step::Run(..)))));
    let full = session.handle(now, Input::Text(request));
    assert!(matches!(full, Some(Step::Refuse { id: Some(1), ref error }) if error.kind() == Kind::Busy), "{full:?}");
    steps.pop();
    assert!(matches!(session.handle(now, Input::Text(request)), Some(Step::Run(..))));
}

#[test]
fn the_order_of_fields_does_not_tell_contents_apart() {
    let digest = |with: &str| {
        let with = serde_json::from_str(with).expect("JSON");
        let mut request = Request::new(1, "terminal.pay", with);
        request.key = Some("a".into());
        check(&anna(), request).map(|checked| checked.key.map(|keyed| keyed.digest)).expect("a call")
    };
    let one = digest("{\"terminal\":\"counter\",\"amount\":\"1.00 EUR\"}");
    assert_eq!(digest("{\"amount\":\"1.00 EUR\",\"terminal\":\"counter\"}"), one);
    assert_ne!(digest("{\"amount\":\"1.01 EUR\",\"terminal\":\"counter\"}"), one);
    assert_ne!(digest("{\"amount\":\"1.00 EUR\",\"terminal\":\"counter\",\"key\":\"k\"}"), one);
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
}

/// Mutates messages and feeds them to sessions: no panic, no call without a caller, no key that is missing.
fn mutate(messages: usize, seed: u64) {
    let valid = [
        json!({ "hello": { "protocol": 1, "token": "t" } }).to_string(),
        json!({ "id": 1, "key": "a", "command": "terminal.pay", "with": { "terminal": "c", "amount": "1.00 EUR" } })
            .to_string(),
        json!({ "id": 2, "command": "follow", "with": { "since": 3, "run": "r" } }).to_string(),
        json!({ "id": 3, "command": "abort", "with": { "key": "a" } }).to_string(),
        json!({ "id": 4, "key": "k", "command": "scanner.next", "with": { "scanner": "s" }, "leases": [] }).to_string(),
        json!({ "id": 5, "command": "till.info" }).to_string(),
    ];
    let pieces =
        ["{", "}", "[", "\"", "null", "1e999", "-1", "\\u0000", "\\ud800", ":", ",", "\"hello\"", "\"key\":", "\u{0}"];
    let mut noise = Noise(seed);
    let now = Instant::now();
    let (mut session, mut seen) = (Session::new(now), BTreeMap::<&str, usize>::new());
    for _ in 0..messages {
        let mut bytes = valid[noise.below(valid.len())].clone().into_bytes();
        for _ in 0..noise.below(4) {
            let at = noise.below(bytes.len() + 1);
            match noise.below(4) {
                0 => bytes.truncate(at),
                1 => _ = bytes.get_mut(at).map(|byte| *byte ^= 1 << noise.below(8)),
                2 => _ = bytes.splice(at..at, pieces[noise.below(pieces.len())].bytes()),
                _ => _ = bytes.drain(at.min(bytes.len())..(at + noise.below(9)).min(bytes.len())),
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let was_open = session.principal().is_some();
        let step = session.handle(now, Input::Text(&text));
        let name = match &step {
            None => "none",
            Some(Step::Admit { .. }) => {
                assert!(!was_open, "{text}");
                session.admit(anna(), None);
                "admit"
            }
            Some(Step::Run(checked, _)) => {
                assert!(was_open && (checked.key.is_some() || !checked.call.info().changes), "{text}");
                "run"
            }
            Some(Step::Refuse { .. }) => "refuse",
            Some(Step::Close { error, .. }) => {
                assert!(error.is_some(), "{text}");
                session = Session::new(now);
                "close"
            }
            Some(Step::Ping) => panic!("no time has passed"),
            Some(_) => {
                assert!(was_open, "{text}");
                "other"
            }
        };
        *seen.entry(name).or_default() += 1;
        // A connection that has followed may not follow again; others come.
        if noise.below(16) == 0 {
            session = Session::new(now);
        }
    }
    for name in ["admit", "run", "refuse", "close", "other"] {
        assert!(seen.contains_key(name), "{seen:?}");
    }
}

#[test]
fn mutated_messages_break_nothing() {
    mutate(20_000, 1);
}

#[test]
#[ignore = "takes a minute: cargo test --workspace --lib -- --ignored a_million_mutated"]
fn a_million_mutated_messages_break_nothing() {
    mutate(1_000_000, 2);
}
