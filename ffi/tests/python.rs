//! The Python client and the JavaScript module keep lists of commands, by which they know what they may send again: these are those of the library.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use tresen::api::{self, Call};

type Names = BTreeSet<String>;

#[test]
fn what_a_client_repeats_changes_nothing_or_is_recognised() -> Result<(), Box<dyn std::error::Error>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/python/tresen.py");
    let text = std::fs::read_to_string(file)?;
    let (reads, durable) = (listed(&text, "READS")?, listed(&text, "DURABLE")?);
    let harmless = |name: &&str| api::command(name).is_some_and(|info| !info.changes);
    let mut expected: Names = api::commands().filter(harmless).map(str::to_owned).collect();
    // Requests of the protocol that are no commands of a till.
    expected.extend(["abort", "follow"].map(str::to_owned));
    assert_eq!(reads, expected);
    let (amount, content) = ("1.00 EUR", json!({ "v": 1, "receipt": { "items": [] } }));
    let samples = [
        json!({ "terminal": "counter", "amount": amount }),
        json!({ "terminal": "counter", "amount": amount, "reference": { "protocol": "zvt", "fields": { "receipt": "0001" } } }),
        json!({ "printer": "receipt", "content": content }),
        json!({}),
        json!({ "original": "s" }),
        json!({ "sale": "s" }),
        json!({ "sale": "s", "line": { "name": "Tea", "quantity": { "pieces": 1 }, "unit_price": amount, "vat": 700,
            "total": amount } }),
        json!({ "sale": "s", "line": { "line": 0 } }),
        json!({ "sale": "s", "tip": { "amount": amount } }),
        json!({ "sale": "s", "terminal": "counter", "amount": amount }),
        json!({ "sale": "s", "terminal": "counter", "attempt": 1 }),
        json!({ "sale": "s", "attempt": 1 }),
        json!({ "sale": "s", "given": amount }),
        json!({ "sale": "s", "account": "4711", "amount": amount }),
        json!({ "sale": "s", "name": "Voucher", "amount": amount }),
    ];
    let recognised = |name: &&str| {
        let mut calls = samples.iter().filter_map(|with| Call::read(name, with.clone()).ok());
        calls.any(|mut call| call.key_slot().is_some())
    };
    let expected: Names = api::commands().filter(recognised).map(str::to_owned).collect();
    assert_eq!(durable, expected);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../remote/web/tresen.js");
    let script = std::fs::read_to_string(script)?;
    let (_, list) = script.split_once("DURABLE = new Set([").ok_or("no such list")?;
    let (list, _) = list.split_once("]);").ok_or("it has no end")?;
    let list: Names = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(list, expected, "of the JavaScript module");
    Ok(())
}

/// The names in `LIST = frozenset(""" … """.split())`.
fn listed(text: &str, list: &str) -> Result<Names, Box<dyn std::error::Error>> {
    let (_, rest) = text.split_once(&format!("{list} = frozenset(")).ok_or("no such list")?;
    let names = rest.split("\"\"\"").nth(1).ok_or("the list is empty")?;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}
