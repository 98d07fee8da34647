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
fn whoever_was_let_in_may_ask_whether_the_link_is_alive() {
    let now = Instant::now();
    let mut session = open(now);
    session.admit(Arc::new(Principal { grants: "sell".parse().expect("rights"), ..(*anna()).clone() }), None);
    let step = session.handle(now, Input::Text("{\"id\":7,\"command\":\"ping\"}"));
    assert!(matches!(step, Some(Step::Alive { id: 7 })), "{step:?}");
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
    let pay = "{\"id\":2,\"key\":\"a\",\"command\":\"terminal.pay\",\"with\":{\"terminal\":\"counter\",\"amount\":\"1.00 EUR\"}}";
    let full = session.handle(now, Input::Text(pay));
    let Some(Step::Refuse { id: Some(2), error }) = full else { panic!("{full:?}") };
    assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::Unknown), "it may have been made before: {error}");
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

#[test]
fn the_circumstances_of_a_durable_step_do_not_tell_contents_apart() {
    let digest = |command: &str, with: Value| {
        let request = Request { key: Some("a".into()), ..Request::new(1, command, with) };
        check(&anna(), request).map(|checked| checked.key.map(|keyed| keyed.digest)).expect("a call")
    };
    let pay = |rev: i64, operator: &str, amount: &str| {
        let by = json!({ "operator": operator });
        digest("sale.pay-card", json!({ "sale": "s", "rev": rev, "by": by, "terminal": "counter", "amount": amount }))
    };
    assert_eq!(pay(2, "Bo", "1.00 EUR"), pay(3, "Cy", "1.00 EUR"));
    assert_ne!(pay(2, "Bo", "1.00 EUR"), pay(2, "Bo", "1.01 EUR"));
    // A step without a key of its own is protected by its `rev`.
    let void = |rev: i64| digest("sale.void", json!({ "sale": "s", "rev": rev, "why": "left" }));
    assert_ne!(void(2), void(3));
}

/// What a call of `caller` under the key `a-17` has as its durable key.
fn durable(caller: &Principal, command: &str, with: Value) -> Result<Option<String>> {
    let checked = check(caller, Request { key: Some("a-17".into()), ..Request::new(1, command, with) })?;
    let mut call = checked.call;
    owns(caller, &mut call)?;
    assert_eq!(checked.durable, call.key_slot().is_some(), "{command}");
    Ok(call.key_slot().and_then(|slot| slot.clone()))
}

#[test]
fn a_durable_key_is_that_of_the_client_and_not_of_the_next_one_with_its_name() -> Result<()> {
    let client = |client| {
        let by = By::Certificate { fingerprint: "ab".into(), client };
        Principal { by, ..Principal::clone(&anna()) }
    };
    let pay = |key: Value| json!({ "terminal": "counter", "amount": "1.00 EUR", "key": key });
    let print = json!({ "printer": "bar", "content": { "v": 1, "receipt": { "items": [] } } });
    assert_eq!(durable(&client(3), "terminal.pay", pay(Value::Null))?.as_deref(), Some("anna#3/a-17"));
    assert_eq!(durable(&client(4), "terminal.pay", pay(Value::Null))?.as_deref(), Some("anna#4/a-17"));
    assert_eq!(durable(&anna(), "terminal.pay", pay(Value::Null))?.as_deref(), Some("anna/a-17"));
    assert_eq!(durable(&anna(), "printer.print", print)?.as_deref(), Some("anna/a-17"));
    assert_eq!(durable(&anna(), "sale.open", json!({}))?.as_deref(), Some("anna/a-17"));
    assert_eq!(durable(&anna(), "sale.void", json!({ "sale": "s", "why": "w" }))?, None);

    for named in ["order-9", "anna#3/a-1"] {
        assert_eq!(
            durable(&client(3), "terminal.pay", pay(named.into()))?.as_deref(),
            Some(named),
            "what is named stays"
        );
    }
    for other in ["anna/a-1", "anna#4/a-1", "anna#33/a-1", "bob/a-1", "/a-1"] {
        let error = durable(&client(3), "terminal.pay", pay(other.into())).expect_err(other);
        assert_eq!((error.kind(), error.effect()), (Kind::Permission, Effect::None));
        assert!(error.what().contains(other), "{error}");
    }
    Ok(())
}

#[test]
fn the_first_message_is_a_hello_and_short() {
    let now = Instant::now();
    let long = format!("{{\"hello\":{{\"protocol\":1,\"token\":\"{}\"}}}}", "t".repeat(FIRST));
    let step = Session::new(now).handle(now, Input::Text(&long));
    assert!(matches!(step, Some(Step::Close { code: Code::TooLong, .. })), "{step:?}");
    let step = Session::new(now).handle(now, Input::Text("{\"id\":1,\"command\":\"till.info\"}"));
    assert!(matches!(step, Some(Step::Close { code: Code::NotAllowed, .. })), "{step:?}");
}
