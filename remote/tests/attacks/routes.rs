//! Every route asks who calls, except those that are public on purpose.

use std::collections::BTreeSet;
use std::path::Path;

use tresen::Result;
use tresen_remote::trust::PUBLIC;

use crate::https::Ask;
use crate::served::Served;

/// All paths that are given to `.route(` in the sources: a new one cannot be forgotten here.
fn paths() -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                for route in text.split(".route(").skip(1).map(str::trim_start) {
                    // Files that are compiled in, and redirections to their folders: no secrets, no orders.
                    if path.ends_with("web/mod.rs") {
                        continue;
                    }
                    let route = route.strip_prefix('"').expect("a path as text");
                    paths.insert(route.split('"').next().expect("an end").to_owned());
                }
                assert!(!text.contains(".route_service(") && !text.contains(".nest("), "not looked at by this test");
            }
        }
    }
    paths
}

#[tokio::test]
async fn every_route_asks_who_calls_except_the_public_ones() -> Result<()> {
    let till = Served::start().await?;
    let paths = paths();
    assert!(paths.contains("/v1/{command}") && PUBLIC.iter().all(|public| paths.contains(*public)), "{paths:?}");
    for path in paths.iter().filter(|path| !PUBLIC.contains(&path.as_str())) {
        let place = path.replace("{command}", "till.info").replace(['{', '}'], "");
        for method in ["GET", "POST"] {
            let answer = till.send(None, Ask(method, &place, &[], "")).await.expect("answered");
            // 400, 426: not even a WebSocket. 404, 405: not served by this server, or not by this method.
            assert!([400, 401, 404, 405, 426].contains(&answer.status), "{method} {path}: {answer:?}");
            assert!(!answer.body.contains("devices"), "{method} {path}: {answer:?}");
        }
    }
    let command = till.send(None, Ask("POST", "/v1/till.info", &[], "")).await.expect("answered");
    assert_eq!(command.status, 401);
    // A command whose name is like a public route's is none.
    let answer = till.send(None, Ask("POST", "/v1/enrol/till.info", &[], "")).await.expect("answered");
    assert_eq!(answer.status, 404);
    Ok(())
}

/// Each command, without authentication and without any right.
#[tokio::test]
async fn no_command_runs_without_authentication_or_right() -> Result<()> {
    let till = Served::start().await?;
    // The right that the fewest commands need.
    let token = till.token("nobody", "attach", crate::served::KIOSK).await?;
    let bearer = format!("Bearer {token}");
    for command in tresen::api::commands() {
        let path = format!("/v1/{command}");
        let answer = till.send(None, Ask("POST", &path, &[("Idempotency-Key", "a")], "{}")).await.expect("answered");
        assert_eq!(answer.status, 401, "{command}");
        let headers = [("Authorization", bearer.as_str()), ("Origin", crate::served::KIOSK), ("Idempotency-Key", "a")];
        let answer = till.send(None, Ask("POST", &path, &headers, "{}")).await.expect("answered");
        // 400: a field is missing, before anything is done.
        assert!([400, 403].contains(&answer.status), "{command}: {answer:?}");
    }
    Ok(())
}
