//! Every command with wrong fields, over WebSocket and plain HTTP: one error that names the field, and the connection
//! stays.

use serde_json::{Value, json};

use super::frames::Peer;
use super::http::ask;
use super::minimal::Requests;
use super::shop::Shop;

/// The paths of all objects within a value, as an error names them.
fn objects(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                if field.is_object() {
                    found.push((format!("{}/{name}", pointer(at)), path.clone()));
                }
                objects(field, &path, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, &format!("{at}[{index}]"), found);
            }
        }
        _ => {}
    }
}

fn pointer(path: &str) -> String {
    path.split(['.', '[', ']']).filter(|part| !part.is_empty()).map(|part| format!("/{part}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_wrong_field_is_named_and_the_connection_stays() {
    let shop = Shop::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    let mut asked = 0;
    for request in Requests::new(folder.path()).all() {
        let mut bad: Vec<(String, Value)> = Vec::new();
        let changed = |field: &str, value: Option<Value>| {
            let mut with = request.with.clone();
            match value {
                Some(value) => with[field] = value,
                None => _ = with.as_object_mut().expect("fields").remove(field),
            }
            (field.to_owned(), with)
        };
        bad.push(changed("unheard-of", Some(json!(1))));
        for field in &request.required {
            bad.push(changed(field, None));
            bad.push(changed(field, Some(Value::Null)));
        }
        for field in &request.fields {
            bad.push(changed(field, Some(json!([[{ "unheard-of": -1.5 }]]))));
        }
        let mut within = Vec::new();
        objects(&request.with, "", &mut within);
        for (pointer, path) in within.into_iter().filter(|(pointer, _)| !pointer.ends_with("/fields")) {
            let mut with = request.with.clone();
            with.pointer_mut(&pointer).expect("there")["unheard-of"] = json!(1);
            bad.push((path, with));
        }
        for (n, (field, with)) in bad.into_iter().enumerate() {
            let name = request.name;
            peer.text(&json!({ "id": 9, "key": format!("{name}/{n}"), "command": name, "with": with }).to_string())
                .await;
            let answer = peer.json().await;
            assert_eq!(answer["id"], 9, "{answer}");
            let head =
                format!("POST /v1/{name} HTTP/1.1\r\nAuthorization: Bearer anna\r\nIdempotency-Key: http/{name}/{n}");
            let over_http = ask(&shop, &head, &with.to_string()).await;
            assert_eq!(over_http.status, 400, "{name}, {field}: {}", over_http.body);
            for error in [&answer["error"], &over_http.body] {
                assert_eq!((&error["kind"], &error["effect"]), (&json!("input"), &json!("none")), "{name}: {answer}");
                let what = error["what"].as_str().expect("said");
                let named = [format!("`{field}`"), format!("`{field}."), format!("`{field}[")];
                let names = what.starts_with(&format!("`{name}`: ")) && named.iter().any(|named| what.contains(named));
                assert!(names, "{name}, {field}: {what} of {with}");
            }
            asked += 1;
        }
    }
    assert!(asked > 600, "{asked}");
    peer.text("{\"id\":1,\"command\":\"till.info\"}").await;
    assert_eq!(peer.json().await["reply"]["name"], "Corner shop");
}
