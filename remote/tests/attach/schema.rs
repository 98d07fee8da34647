//! Each kind of message about a handheld's devices fits the schema, as do the fields and replies of each call.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tresen::payment::{
    Answer, Card, Charge, EndOfDay, IntentId, Operation, Payment, Progress, Question, Reference, Request, Slip,
    TerminalStatus, Totals, Wanted,
};
use tresen::printers::{Content, DrawerPin, Identity, Job, Proof, Status};
use tresen::{Amount, Class, DeviceId, Effect, Error, Kind, Receipt, Scan, cameras, payment, printers, scanners};
use tresen_hal::Dots;
use tresen_remote::attach::wire::{
    After, Answered, Ask, Attached, Device, Found, FromHandheld, FromTill, Gone, Key, Kick, Notice, Offered, Picture,
    Print, Printed, Reply, Switch, Taken, Told, Transact, Transacted,
};
use tresen_remote::wire::FromClient;

use super::described::{Dialogue, SCHEMA, fits, part, valid};
use super::peer::{belt, offer, terminal};

fn device() -> DeviceId {
    DeviceId::new(Class::Terminal, "terminal")
}

fn error() -> Error {
    Error::new(Kind::Timeout, "late").at("belt").with_effect(Effect::Unknown).because("no answer")
}

fn scan() -> Box<Scan> {
    let at = "2026-01-02T08:00:00Z".parse().expect("a time");
    Box::new(Scan::reported("]E0".parse().expect("an identifier"), b"4006381333931", at))
}

fn question() -> Box<Question> {
    Box::new(Question::new("Unterschrift ok?", Wanted::Signature, Answer::No))
}

fn charged() -> Payment {
    let mut charge = Charge::new(IntentId("sale-1".into()), Amount::eur(12_50));
    charge.reference = Some(Reference::new("zvt").with("receipt", "0417").with_fact("held", "12.50"));
    Payment::Charged(Box::new(charge))
}

/// Everything that a handheld may say.
fn from_handheld() -> Vec<FromHandheld> {
    let name = || "one".to_owned();
    let devices = vec![
        Device::Printer { name: name(), capabilities: printers::Capabilities::new(Dots(384), 32) },
        Device::Scanner { name: name(), capabilities: scanners::Capabilities::default() },
        Device::Camera { name: name(), capabilities: cameras::Capabilities::default() },
        Device::Terminal { name: name(), capabilities: payment::Capabilities::default(), journal: "j/1".into() },
    ];
    let told = [
        Told::Status(Status::default()),
        Told::Scan { number: 1, scan: scan() },
        Told::ScanLost(scan()),
        Told::Notice("Bitte warten".into()),
        Told::Progress { key: "a".into(), progress: Progress::Status { code: 4, text: "Karte".into() } },
        Told::Progress { key: "a".into(), progress: Progress::Display("Karte".into()) },
        Told::Progress { key: "a".into(), progress: Progress::Approved },
        Told::Progress {
            key: "a".into(),
            progress: Progress::Receipt { slip: Some(Slip::Customer), lines: vec!["12,50".into()] },
        },
        Told::Question { key: "a".into(), id: "q".into(), question: question() },
        Told::Withdrawn { id: "q".into() },
    ];
    let mut all = vec![
        FromHandheld::Offer(Offered { run: "r".into(), devices, away: vec![device()] }),
        FromHandheld::Offer(Offered { run: "r".into(), devices: Vec::new(), away: Vec::new() }),
        FromHandheld::Answer(Answered { id: 1, reply: Some(Value::Null), error: None }),
        FromHandheld::Answer(Answered { id: 1, reply: None, error: Some(error()) }),
        FromHandheld::Gone(Gone { device: device(), why: "out of reach".into() }),
    ];
    all.extend(told.map(|event| FromHandheld::Notice(Notice { device: device(), event })));
    all
}

/// Everything that the till may say, but for the fields of calls.
fn from_till() -> Vec<FromTill> {
    let attached = [
        Attached { device: device(), name: Some("terminal.7".into()), refused: None },
        Attached { device: device(), name: None, refused: Some(error()) },
    ];
    let ask = |with| FromTill::Ask(Ask { id: 1, device: device(), call: "find".into(), with });
    vec![
        ask(Value::Null),
        ask(json!({ "key": "a" })),
        FromTill::Taken(Taken { device: device(), number: 1 }),
        FromTill::Lost(Taken { device: device(), number: 1 }),
        FromTill::Attached { devices: attached.into() },
        FromTill::Replaced { by: "r".into() },
    ]
}

/// Each call: its fields, and what it may reply.
fn calls() -> Vec<(&'static str, &'static str, Vec<Value>, Vec<Value>)> {
    let status = || vec![json(Status::default())];
    let job = Job::new("job-1", Content::Receipt(Receipt::new().text("Tee").cut())).as_copy().on_fresh_sheet();
    let printed = [
        Printed::Printed(Proof::ProcessId("17".into())),
        Printed::Printed(Proof::BufferDone),
        Printed::Accepted,
        Printed::Unknown(error()),
        Printed::Failed { error: error(), safe_to_retry: true },
    ];
    let (request, of) = (Request::new("sale-1", Amount::eur(12_50)), Reference::new("zvt").with("receipt", "0417"));
    let operations = [
        Operation::Pay(request.clone()),
        Operation::Reverse { request: request.clone(), of },
        Operation::TopUp { request, product: Some("0012".into()) },
        Operation::Display { text: "Bitte warten".into(), within: Duration::from_secs(30) },
        Operation::Input { question: *question() },
        Operation::EndOfDay,
    ];
    let transacted = [
        Transacted::Payment(charged()),
        Transacted::Payment(Payment::unknown(&IntentId("sale-1".into()), "the link was cut")),
        Transacted::Card(Card::default()),
        Transacted::Answer(Answer::Text("80331".into())),
        Transacted::Receipt(vec!["12,50".into()]),
        Transacted::Totals(Totals::default()),
        Transacted::Day(EndOfDay::default()),
        Transacted::Done(Vec::new()),
    ];
    let found = [
        Found::Never,
        Found::Running,
        Found::Open { why: "the link was cut".into(), asked: true },
        Found::Ended(charged()),
    ];
    let frame = Picture {
        format: cameras::PixelFormat::Grey8,
        width: 2,
        height: 1,
        number: 17,
        still: true,
        data: vec![0, 255],
    };
    let key = || vec![json(Key { key: "sale-1".into() })];
    let switch = |on| vec![json(Switch { on })];
    let nothing = || vec![Value::Null];
    vec![
        ("printer", "status", nothing(), status()),
        ("printer", "identity", nothing(), vec![json(Identity::default())]),
        ("printer", "print", vec![json(Print { key: "a".into(), job })], all(printed)),
        ("printer", "kick-drawer", vec![json(Kick { pin: DrawerPin::Five })], nothing()),
        ("scanner", "set-enabled", switch(true), nothing()),
        ("scanner", "beep", switch(false), nothing()),
        ("scanner", "trigger", switch(true), nothing()),
        ("camera", "frame", vec![json(After { after: None }), json(After { after: Some(16) })], vec![json(frame)]),
        ("terminal", "status", nothing(), vec![json(TerminalStatus::default())]),
        ("terminal", "transact", operations.iter().map(|of| json(Transact::of(of))).collect(), all(transacted)),
        ("terminal", "find", key(), all(found)),
        ("terminal", "abort", key(), vec![json!(true)]),
        ("terminal", "answer", vec![json(Reply { question: "q".into(), answer: Answer::Choice(1) })], nothing()),
    ]
}

fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("JSON")
}

fn all<T: Serialize>(values: impl IntoIterator<Item = T>) -> Vec<Value> {
    values.into_iter().map(json).collect()
}

/// The kinds that a definition of the schema tells apart by their only field, or by a text.
fn described(name: &str) -> BTreeSet<&'static str> {
    let kind = |one: &'static Value| one["const"].as_str().or_else(|| one["required"][0].as_str());
    let kinds = SCHEMA["$defs"][name]["oneOf"].as_array().into_iter().flatten();
    kinds.map(|one| kind(one).expect("a name")).collect()
}

/// The kinds of these values.
fn kinds<'a>(values: impl IntoIterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    let kind = |value: &'a Value| value.as_str().or_else(|| value.as_object()?.keys().next().map(String::as_str));
    values.into_iter().map(|value| kind(value).expect("a name")).collect()
}

#[test]
fn each_kind_of_message_is_described() {
    // A new kind does not compile: it needs an example above, and a description.
    for message in from_handheld() {
        match message {
            FromHandheld::Offer(_) | FromHandheld::Answer(_) | FromHandheld::Gone(_) => {}
            FromHandheld::Notice(notice) => match notice.event {
                Told::Status(_) | Told::Scan { .. } | Told::ScanLost(_) | Told::Notice(_) => {}
                Told::Progress { .. } | Told::Question { .. } | Told::Withdrawn { .. } => {}
            },
        }
    }
    for message in from_till() {
        match message {
            FromTill::Ask(_) | FromTill::Taken(_) | FromTill::Lost(_) => {}
            FromTill::Attached { .. } | FromTill::Replaced { .. } => {}
        }
    }
    let (client, till) = (all(from_handheld()), all(from_till()));
    client.iter().for_each(|message| Dialogue::default().client_says(message));
    let messages = part("/messages/till");
    till.iter().for_each(|message| valid(&messages, message));
    assert_eq!(kinds(&client), described("HandheldMessage"));
    assert_eq!(kinds(&till), described("AttachMessage"));
    let told: Vec<_> = client.iter().filter_map(|message| message["notice"].get("event")).collect();
    assert_eq!(kinds(told.iter().copied()), described("DeviceTold"));
    let offered = client[0]["offer"]["devices"].as_array().expect("devices");
    let classes: BTreeSet<_> = offered.iter().filter_map(|device| device["class"].as_str()).collect();
    assert_eq!(classes, ["camera", "printer", "scanner", "terminal"].into());
}

#[test]
fn the_fields_and_replies_of_each_call_are_described() {
    let mut known = BTreeSet::new();
    for (class, call, with, replies) in calls() {
        with.iter().for_each(|with| fits(class, call, "with", with));
        replies.iter().for_each(|reply| fits(class, call, "reply", reply));
        for (name, shown) in [("print", "PrintEnd"), ("transact", "Transacted"), ("find", "Found")] {
            assert!(call != name || kinds(&replies) == described(shown), "{shown}");
        }
        known.insert((class, call));
    }
    let classes = SCHEMA["messages"]["devices"]["calls"].as_object().expect("classes").iter();
    let calls = classes.flat_map(|(class, calls)| {
        calls.as_object().expect("calls").keys().map(move |call| (class.as_str(), call.as_str()))
    });
    assert_eq!(known, calls.collect());
}

/// What the till refuses is no message by the schema, and fields that it does not know are ignored by both.
#[test]
fn the_schema_takes_what_the_till_takes() {
    let client = part("/messages/client");
    let gone = json!({ "device": { "class": "printer", "name": "belt" }, "why": "unplugged" });
    let event = |event: Value| json!({ "notice": { "device": gone["device"], "event": event } });
    let mut both = offer("r", &[belt()]);
    both["gone"] = gone.clone();
    for wrong in [
        json!({ "offer": { "run": "r" } }),
        json!({ "offer": { "run": 7, "devices": [] } }),
        offer("r", &[json!({ "class": "printer", "name": "belt" })]),
        offer("r", &[json!({ "class": "kettle", "name": "one", "capabilities": {} })]),
        both,
        json!({ "answer": { "reply": null } }),
        json!({ "answer": { "id": -1, "reply": null } }),
        json!({ "gone": { "device": "belt", "why": "unplugged" } }),
        event(json!({ "rumour": 1 })),
        event(json!({ "status": { "online": "perhaps" } })),
        json!({ "ask": { "id": 1, "device": gone["device"], "call": "print" } }),
    ] {
        assert!(!client.is_valid(&wrong), "{wrong}");
        assert!(FromClient::decode(&wrong.to_string()).is_err(), "{wrong}");
    }
    let mut later = offer("r", &[belt(), terminal("j")]);
    later["offer"]["colour"] = json!("red");
    later["offer"]["devices"][0]["colour"] = json!("red");
    later["offer"]["devices"][1]["capabilities"]["colour"] = json!("yes");
    for right in [later, json!({ "gone": gone }), json!({ "answer": { "id": 1, "reply": { "any": "thing" } } })] {
        valid(&client, &right);
        assert!(matches!(FromClient::decode(&right.to_string()), Ok(FromClient::Attach(_))), "{right}");
    }
}
