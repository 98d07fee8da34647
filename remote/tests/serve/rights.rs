//! Every command, over WebSocket and plain HTTP: what a caller may not do is refused by the name of the right and of the
//! device, recorded, and changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tresen::api::{Call, Need, Right};

use super::frames::Peer;
use super::http::ask;
use super::minimal::Requests;
use super::shop::{Shop, principal};

/// Callers by their rights, each with its connection.
#[derive(Default)]
struct Callers(BTreeMap<String, Peer<DuplexStream>>);

impl Callers {
    /// The connection of the caller who has these rights and whose name says so.
    async fn with(&mut self, shop: &Shop, rights: &str) -> &mut Peer<DuplexStream> {
        if !self.0.contains_key(rights) {
            shop.gate.admit(rights, principal(rights, rights));
            self.0.insert(rights.to_owned(), Peer::welcomed(shop.stream(), rights).await);
        }
        self.0.get_mut(rights).expect("there")
    }

    /// The error of a call, over a WebSocket.
    async fn socket(&mut self, shop: &Shop, rights: &str, name: &str, with: &Value) -> Option<Value> {
        let peer = self.with(shop, rights).await;
        let request = json!({ "id": 7, "key": format!("ws/{name}/{}", rights.len()), "command": name, "with": with });
        peer.text(&request.to_string()).await;
        let answer = peer.json().await;
        assert_eq!(answer["id"], 7, "{name}: {answer}");
        answer.get("error").cloned()
    }

    /// The error of a call, over plain HTTP.
    async fn http(&mut self, shop: &Shop, rights: &str, name: &str, with: &Value) -> Option<Value> {
        shop.gate.admit(rights, principal(rights, rights));
        let head = format!(
            "POST /v1/{name} HTTP/1.1\r\nAuthorization: Bearer {rights}\r\nIdempotency-Key: http/{name}/{}",
            rights.len()
        );
        let answer = ask(shop, &head, &with.to_string()).await;
        assert_eq!(answer.status == 403, answer.body["kind"] == "permission", "{name}: {}", answer.body);
        (answer.status != 200).then_some(answer.body)
    }
}

/// All rows of all tables, and what the devices have done.
fn world(shop: &Shop) -> BTreeMap<String, Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(shop.till.store().path(), flags).expect("opens");
    let mut all = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").expect("a query");
    let tables: Vec<String> =
        all.query_map([], |row| row.get(0)).expect("tables").collect::<Result<_, _>>().expect("names");
    assert!(tables.len() > 15, "{tables:?}");
    let mut world = BTreeMap::new();
    for table in tables {
        let mut rows = db.prepare(&format!("SELECT * FROM \"{table}\"")).expect("a query");
        let columns = rows.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|at| row.get_ref(at).map(|value| format!("{value:?}"))).collect::<Result<Vec<_>, _>>()
        };
        let rows =
            rows.query_map([], |found| row(found)).expect("rows").collect::<Result<Vec<_>, _>>().expect("values");
        world.insert(table, rows.into_iter().map(|row| row.join("|")).collect());
    }
    let kicked = shop.counter.printer("receipt").expect("there").with(|printer| printer.kicked());
    world.insert("devices".into(), vec![shop.paper(), shop.charged().to_string(), kicked.to_string()]);
    world
}

fn word(need: &Need) -> String {
    match &need.device {
        Some(device) => format!("{}:{device}", need.right),
        None => need.right.to_string(),
    }
}

/// All rights but this one.
fn without(right: Right) -> String {
    let others: Vec<_> = Right::ALL.iter().filter(|other| **other != right).map(|other| other.as_str()).collect();
    others.join(" ")
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_is_named_recorded_and_changes_nothing() {
    let shop = Shop::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut callers = Callers::default();
    // The sale that the requests name.
    let line = json!({ "name": "Tea", "quantity": { "pieces": 1 }, "unit_price": "3.80 EUR", "vat": 700, "total": "3.80 EUR" });
    shop.till.ask_json("sale.open", json!({ "id": "x" })).await.expect("opens");
    shop.till.ask_json("sale.add", json!({ "sale": "x", "line": line })).await.expect("added");
    // What the till writes of itself when devices connect, is written.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = world(&shop);
    let (mut refused, mut commands) = (0, 0);
    for request in Requests::new(folder.path()).all() {
        let (name, with) = (request.name, &request.with);
        let mut call = Call::read(name, with.clone()).expect(name);
        let needs = call.needs(&shop.till).await.expect(name);
        assert!(!needs.is_empty(), "{name} is free for all");
        for need in &needs {
            // Everything but this right; and this right elsewhere only.
            let others = without(need.right);
            for lacking in [others.clone(), format!("{others} {}:elsewhere", need.right)] {
                let recorded = shop.gate.record().len();
                let errors = [
                    callers.socket(&shop, &lacking, name, with).await,
                    callers.http(&shop, &lacking, name, with).await,
                ];
                for error in errors {
                    let error = error.unwrap_or_else(|| panic!("{name} is done without {}", word(need)));
                    assert_eq!(
                        (&error["kind"], &error["effect"]),
                        (&json!("permission"), &json!("none")),
                        "{name}: {error}"
                    );
                    let what = error["what"].as_str().expect("said");
                    assert!(what.contains(&format!("`{name}` needs the right `{}`", need.right)), "{what}");
                    if let Some(device) = &need.device {
                        assert!(what.contains(&format!("for `{device}`")), "{name}: {what}");
                    }
                }
                let record = shop.gate.record();
                let noted = record[recorded..].iter().filter(|entry| {
                    entry.action == name && entry.principal.as_deref() == Some(&lacking) && entry.refused.is_some()
                });
                assert_eq!(noted.count(), 2, "{name} without {}", word(need));
                refused += 2;
            }
        }
        assert_eq!(world(&shop), before, "{name} was refused");
        commands += 1;
    }
    assert_eq!(commands, tresen::api::commands().count());
    assert!(refused > 2 * commands, "{refused}");
    // With exactly the rights that it needs, each passes the check. Some then fail for another reason.
    for request in Requests::new(folder.path()).all() {
        let (name, with) = (request.name, &request.with);
        let mut call = Call::read(name, with.clone()).expect(name);
        let needs: Vec<_> = call.needs(&shop.till).await.expect(name).iter().map(word).collect();
        let exact = needs.join(" ");
        // Some take long, and meanwhile nobody answers pings.
        callers.0.clear();
        for error in [callers.socket(&shop, &exact, name, with).await, callers.http(&shop, &exact, name, with).await] {
            let what = error.as_ref().and_then(|error| error["what"].as_str()).unwrap_or_default();
            assert!(!what.contains("needs the right"), "{name} with `{exact}`: {what}");
        }
    }
    assert_ne!(world(&shop), before, "and they do something");
}
