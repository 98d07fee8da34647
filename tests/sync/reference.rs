//! Reference tables.

use serde_json::json;
use tresen::Tresen;
use tresen::config::Server as Settings;
use tresen::sync::SyncState;
use tresen::sync::sim::Server;

use crate::{folder, open_with, quit, up};

#[tokio::test(start_paused = true)]
async fn reference_tables_come_down_whole_and_stay_without_the_server() {
    let (dir, server) = (folder(), Server::new());
    for n in 0..25 {
        server.set_row("articles", &format!("{n:02}"), Some(json!({ "name": format!("Article {n}") })));
    }
    server.set_row("staff", "anna", Some(json!({ "pin": null })));
    let tables = |settings: &mut Settings| {
        settings.reference = ["articles", "missing", "staff"].map(str::to_owned).to_vec();
    };
    let till = open_with(dir.path(), &server, tables).await;
    up(&till, &server).await;
    let read = |till: Tresen| async move {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = till.reference("articles", after.as_deref(), 10).await.expect("read");
            rows.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return (page.table.expect("received").version, rows);
            }
        }
    };
    let (version, rows) = read(till.clone()).await;
    assert_eq!((version, rows.len()), (25, 25));
    assert!(rows.is_sorted_by_key(|row| row.id.clone()));
    let row = till.reference_row("articles", "07").await.expect("read").expect("there");
    assert_eq!(row.body, json!({ "name": "Article 7" }));
    // A change comes with the next service, not before.
    server.set_row("articles", "07", None);
    server.set_row("articles", "99", Some(json!({ "name": "New" })));
    assert!(till.reference_row("articles", "99").await.expect("read").is_none());
    server.set_reachable(false);
    let refreshed = till.refresh_reference().await.expect("read");
    assert!(matches!(refreshed.state, SyncState::Local { .. }), "{refreshed:?}");
    assert_eq!(refreshed.tables.iter().map(|t| t.version).collect::<Vec<_>>(), [25, 1], "those last received");
    server.set_reachable(true);
    let refreshed = till.refresh_reference().await.expect("read");
    assert_eq!(refreshed.tables[0].version, 27, "{refreshed:?}");
    let (version, rows) = read(till.clone()).await;
    assert_eq!((version, rows.len()), (27, 25));
    assert!(till.reference_row("articles", "07").await.expect("read").is_none());
    quit(till).await;
    // The next start has no server.
    server.set_reachable(false);
    let till = open_with(dir.path(), &server, tables).await;
    assert_eq!(read(till.clone()).await.1.len(), 25);
    assert!(till.reference("nothing", None, 10).await.expect("read").table.is_none());
}
