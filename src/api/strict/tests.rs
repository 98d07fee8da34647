use serde_json::json;
use tresen_hal::{Effect, Kind};
use tresen_printers::Content;

use super::super::Call;
use super::super::terminal::Pay;
use super::super::tests::{examples, till};
use super::*;
use crate::sale::Line;
use crate::store::Origin;

#[track_caller]
fn field<T: Serialize + DeserializeOwned>(value: Value) -> String {
    match read::<T>(&value) {
        Ok(_) => panic!("accepted: {value}"),
        Err(wrong) => wrong.field.unwrap_or_default(),
    }
}

/// A receipt of this item.
fn of(item: Value) -> Value {
    json!({ "v": 1, "receipt": { "items": [{ "type": "cut", "cut": "partial" }, item] } })
}

#[test]
fn an_unknown_field_is_named_wherever_it_stands() {
    assert_eq!(field::<Origin>(json!({ "station": "bar", "stazione": "bar" })), "stazione");
    let text = of(json!({ "type": "text", "text": "Tea", "size": 3 }));
    assert_eq!(field::<Content>(text), "receipt.items[1].size");
    let cell = of(json!({ "type": "row", "cells": ["Tea", { "text": "3.80", "alignment": "right" }] }));
    assert_eq!(field::<Content>(cell), "receipt.items[1].cells[1].alignment");
    // A field that has its default, with an unknown one within.
    let style = of(json!({ "type": "text", "text": "Tea", "style": { "bold": false, "blink": true } }));
    assert_eq!(field::<Content>(style), "receipt.items[1].style.blink");
}

#[test]
fn what_is_known_is_read_also_where_it_says_what_is_so_anyway() {
    let text = json!({ "type": "text", "text": "Tea", "style": { "bold": false } });
    let row = json!({ "type": "row", "cells": [{ "text": "Tea" }, { "text": "3.80", "style": {} }] });
    for item in [text, row] {
        read::<Content>(&of(item)).expect("known");
    }
    read::<Origin>(&json!({ "station": null })).expect("known");
    read::<Pay>(&json!({ "terminal": "bar", "amount": "1.00 EUR", "key": null })).expect("known");
}

#[test]
fn a_wrong_type_is_named_also_within_what_is_read_from_a_buffer() {
    let text = of(json!({ "type": "text", "text": "Tea", "style": { "bold": "yes" } }));
    assert_eq!(field::<Content>(text), "receipt.items[1].style.bold");
    assert_eq!(field::<Content>(of(json!({ "type": "text", "text": [{}, 7] }))), "receipt.items[1].text[0]");
    assert_eq!(field::<Content>(of(json!({ "type": "text", "text": 7 }))), "receipt.items[1].text");
    assert_eq!(field::<Content>(of(json!({ "type": "telegram" }))), "receipt.items[1].type");
    let wrong = read::<Content>(&of(json!({ "type": "text" }))).expect_err("incomplete");
    assert!(wrong.to_string().contains("missing field `text`"), "{wrong}");
    assert_eq!(field::<Line>(json!({ "name": 7 })), "name");
}

/// A message that is made to be looked at for long is not.
#[test]
fn a_hostile_value_is_refused_after_a_bounded_number_of_looks() {
    let many: serde_json::Map<_, _> = (0..50_000).map(|n| (format!("f{n}"), json!(n))).collect();
    read::<Content>(&of(Value::Object(many))).expect_err("no item");
    let cells: Vec<_> = (0..50_000).map(|_| json!({ "text": "x", "style": {} })).collect();
    let value = of(json!({ "type": "row", "cells": cells }));
    let mut reader = Reader::<Content>::new(&value);
    assert_eq!(reader.unknown(&value, None, &mut Vec::new()), None);
    assert!(READS - reader.left < 20, "{} reads", READS - reader.left);
}

/// Each look at a large value costs as much as reading it.
#[test]
fn a_large_value_is_looked_at_less_often() {
    let items: Vec<_> = (0..100_000).map(|n| json!({ "type": "text", "text": n.to_string() })).collect();
    let mut large = of(items[0].clone());
    large["receipt"]["items"] = json!(items);
    let mut reader = Reader::<Content>::new(&large);
    let looks = std::iter::from_fn(|| reader.with(&[], None)).count();
    assert_eq!((looks, looks < READS), (VALUES / count(&large), true));
    assert_eq!(count(&json!({ "a": [1, { "b": null }] })), 5);
}

/// Each kind of item, with what it may say.
fn everything() -> Value {
    let style = json!({ "bold": true, "align": "centre" });
    json!({ "v": 1, "receipt": { "items": [
        { "type": "text", "text": [{ "text": "Tea", "style": style }, "for two"], "style": style },
        { "type": "row", "style": style, "cells": [
            { "text": "Tea", "width": { "fixed": 9 }, "align": "right", "style": style },
            { "text": [{ "text": "3.80", "style": style }], "width": "fit" },
        ] },
        { "type": "rule", "with": "=" },
        { "type": "qr", "data": "https://example.org" },
        { "type": "barcode", "data": "4006381333931", "symbology": "ean-13" },
        { "type": "feed", "lines": 2 },
        { "type": "cut", "cut": "full" },
        { "type": "drawer", "on_ms": 60 },
    ] } })
}

/// The paths of all parts of a value.
fn paths(value: &Value, at: &mut Vec<At>, found: &mut Vec<Vec<At>>) {
    for step in steps(value) {
        at.push(step);
        found.push(at.clone());
        let part = super::at(value, &at[at.len() - 1..]).expect("a part of it");
        paths(part, at, found);
        at.pop();
    }
}

/// The value with `other` at `path`, all lists as long as before.
fn put(value: &mut Value, path: &[At], other: Value) {
    let place = path.iter().fold(value, |value, at| match at {
        At::Field(name) => &mut value[name],
        At::Index(index) => &mut value[index],
    });
    *place = other;
}

/// One of these paths is named.
#[track_caller]
fn refused(name: &str, with: &Value, paths: &[String]) {
    let path = &paths[0];
    let Err(error) = Call::read(name, with.clone()) else { panic!("{name} takes {path} in {with}") };
    assert_eq!((error.kind(), error.effect()), (Kind::Input, Effect::None), "{error}");
    // An object may be written as a list of its fields: then it is the first of them that is wrong.
    let ends = ["`: ", "[0]`: "];
    let said =
        |path: &String| ends.iter().any(|end| error.what().starts_with(&format!("`{name}`: field `{path}{end}")));
    assert!(paths.iter().any(said), "{name}, {path}: {error}");
}

/// The path, and within an item of a receipt what surrounds it: of what may be written in several ways, an error does not
/// always tell which part is wrong.
fn nearest(path: &[At]) -> Vec<String> {
    let around = (1..path.len()).rev().map(|n| words(&path[..n])).filter(|path| path.contains(".items["));
    [words(path)].into_iter().chain(around).collect()
}

/// Every command, every part of its example at any depth: another type is refused by the part's name, and so is an
/// unknown field beside it.
#[tokio::test(start_paused = true)]
async fn each_part_of_each_command_is_refused_by_its_name() {
    let (_dir, till) = till().await;
    let (mut wrong, mut unknown) = (0, 0);
    for (name, mut with) in examples(&till).await.0.into_iter().map(|(name, example)| (name, example.with)) {
        if with.get("content").is_some() {
            with["content"] = everything();
        }
        Call::read(name, with.clone()).expect(name);
        let mut found = vec![Vec::new()];
        paths(&with, &mut Vec::new(), &mut found);
        for path in found {
            let part = at(&with, &path).expect("a part of it");
            if !path.is_empty() {
                let mut with = with.clone();
                // An object may also be written as a list of its fields.
                let parts = part.is_array() || part.is_object();
                let bad = if parts { json!(true) } else { json!([[{ "unheard-of": -1.5 }]]) };
                put(&mut with, &path, bad);
                refused(name, &with, &nearest(&path));
                wrong += 1;
            }
            // A map takes any name.
            if part.is_object() && !matches!(path.last(), Some(At::Field(name)) if MAPS.contains(&name.as_str())) {
                let mut with = with.clone();
                let mut more = part.clone();
                more["unheard-of"] = json!(1);
                put(&mut with, &path, more);
                let beside: Vec<_> = path.iter().cloned().chain([At::Field("unheard-of".into())]).collect();
                // An object that stands for one of several things has one field, and is wrong as a whole.
                let whole = part.as_object().is_some_and(|fields| fields.len() == 1).then(|| words(&path));
                refused(name, &with, &[words(&beside)].into_iter().chain(whole).collect::<Vec<_>>());
                unknown += 1;
            }
        }
    }
    assert!(wrong > 300 && unknown > 150, "{wrong} wrong, {unknown} unknown");
}

/// Fields whose names are anybody's.
const MAPS: [&str; 2] = ["facts", "fields"];
