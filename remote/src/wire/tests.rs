use serde_json::json;
use tresen_hal::Effect;

use super::*;

#[test]
fn the_first_message_is_read_and_a_wrong_one_does_not_repeat_its_token() {
    let hello = |text: &str| FromClient::decode(text);
    assert_eq!(hello("{\"hello\":{\"protocol\":1}}").ok(), Some(FromClient::Hello(Hello::new(None))));
    let spaced = " { \"hello\" : { \"protocol\" : 1 , \"token\" : \"s3cret\" } } ";
    let read = hello(spaced).expect("a hello");
    assert_eq!(read, FromClient::Hello(Hello::new(Some("s3cret".into()))));
    assert!(!format!("{read:?}").contains("s3cret"));
    for wrong in [
        "{\"hello\":{\"protocol\":1,\"token\":\"s3cret\",\"more\":1}}",
        "{\"hello\":{\"protocol\":\"s3cret\"}}",
        "{\"hello\":\"s3cret\"}",
        "{\"hello\":{\"protocol\":1,\"token\":\"s3cret\"},\"id\":1}",
        "{\"hello\":{\"protocol\":1,\"token\":\"s3cret\"}",
    ] {
        let (id, error) = hello(wrong).expect_err("wrong");
        assert_eq!((id, error.kind()), (None, Kind::Input));
        assert!(!format!("{error:#} {error:?}").contains("s3cret"), "{error:#}");
    }
}

#[test]
fn a_request_has_a_key_and_a_wrong_one_names_its_field() {
    let text = json!({ "id": 1, "key": "a-17", "command": "printer.cancel", "with": { "job": "x" } }).to_string();
    let Ok(FromClient::Request(request)) = FromClient::decode(&text) else { panic!("a request") };
    assert_eq!((request.key.as_deref(), request.command.as_str()), (Some("a-17"), "printer.cancel"));
    let (id, error) = FromClient::decode("{\"id\":7,\"command\":\"till.info\",\"kee\":\"a\"}").expect_err("wrong");
    assert_eq!(id, Some(7));
    assert!(error.to_string().contains("`kee`"), "{error}");
}

#[test]
fn answers_are_told_apart_also_an_empty_reply() {
    let read = |value: serde_json::Value| Answer::decode(&value.to_string());
    assert!(matches!(read(json!({ "id": 3, "reply": null })), Ok(Answer::Reply { id: 3, reply: Value::Null })));
    let error = Error::new(Kind::Busy, "taken").with_effect(Effect::None);
    assert!(matches!(read(json!({ "id": 3, "error": error })), Ok(Answer::Error { id: 3, .. })));
    assert!(matches!(read(json!({ "id": null, "error": error })), Ok(Answer::Fatal(_))));
    assert!(matches!(read(json!({ "missed": { "from": 1, "to": 4 } })), Ok(Answer::Missed(Missed { from: 1, to: 4 }))));
    assert!(matches!(read(json!({ "closing": { "why": "the till stops" } })), Ok(Answer::Closing(_))));
    for wrong in [json!({}), json!(1), json!({ "id": 3 }), json!({ "run": "x" })] {
        assert_eq!(read(wrong).expect_err("no message").kind(), Kind::Protocol);
    }
}

#[test]
fn what_the_till_writes_is_what_the_design_says() {
    assert_eq!(text(&Notice::Closing(&Closing { why: "x".into() })), "{\"closing\":{\"why\":\"x\"}}");
    assert_eq!(text(&Notice::Missed(Missed { from: 1, to: 2 })), "{\"missed\":{\"from\":1,\"to\":2}}");
}

#[test]
fn a_notice_of_a_device_has_a_length_limit() {
    let notice = |length: usize| {
        let device = json!({ "class": "terminal", "name": "counter" });
        json!({ "notice": { "device": device, "event": { "notice": "x".repeat(length) } } }).to_string()
    };
    let around = notice(0).len();
    assert!(matches!(FromClient::decode(&notice(NOTICE - around)), Ok(FromClient::Attach(_))));
    let (id, error) = FromClient::decode(&notice(NOTICE - around + 1)).expect_err("too long");
    assert_eq!((id, error.kind(), error.effect()), (None, Kind::Input, Effect::None));
    assert!(error.what().contains("65537"), "{error}");
    // A picture is an answer.
    let answer = json!({ "answer": { "id": 1, "reply": "x".repeat(2 * NOTICE) } }).to_string();
    assert!(matches!(FromClient::decode(&answer), Ok(FromClient::Attach(_))));
}
