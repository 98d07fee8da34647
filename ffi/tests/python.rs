//! The Python client keeps lists of commands, by which it knows what it may send again: they are those of the library.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use tresen::api::{self, Call};

type Names = BTreeSet<String>;

#[test]
fn what_the_python_client_repeats_changes_nothing_or_is_recognised() -> Result<(), Box<dyn std::error::Error>> {
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
    ];
    let recognised = |name: &&str| {
        let mut calls = samples.iter().filter_map(|with| Call::read(name, with.clone()).ok());
        calls.any(|mut call| call.fill_key("a-17"))
    };
    let expected: Names = api::commands().filter(recognised).map(str::to_owned).collect();
    assert_eq!(durable, expected);
    Ok(())
}

/// The names in `LIST = frozenset(""" … """.split())`.
fn listed(text: &str, list: &str) -> Result<Names, Box<dyn std::error::Error>> {
    let (_, rest) = text.split_once(&format!("{list} = frozenset(")).ok_or("no such list")?;
    let names = rest.split("\"\"\"").nth(1).ok_or("the list is empty")?;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}
