//! The audit table under attack.

use std::sync::Arc;
use std::time::Duration;

use tresen::hal::SimulatedRuntime;
use tresen::{AuditEnd, AuditNote, Config, Drivers, Result, Tresen};
use tresen_remote::trust::Trust;

use crate::https::Ask;
use crate::served::{KIOSK, Served};

#[tokio::test]
async fn a_caller_with_a_weak_right_does_not_fill_the_disk_with_refusals() -> Result<()> {
    let till = Served::start().await?;
    let token = till.token("kiosk", "watch", KIOSK).await?;
    let bearer = format!("Bearer {token}");
    let ask = async |command: &str, body: &str| {
        let headers = [("Authorization", bearer.as_str()), ("Origin", KIOSK), ("Idempotency-Key", "k")];
        let path = format!("/v1/{command}");
        till.send(None, Ask("POST", &path, &headers, body)).await.expect("answered").status
    };
    for _ in 0..30 {
        assert_eq!(ask("printer.kick-drawer", "{\"printer\":\"bar\"}").await, 403);
    }
    assert_eq!(ask("printer.kick-drawer", "{\"printer\":\"kitchen\"}").await, 403);
    let kicks = async || {
        let audit = till.audit().await.into_iter().rev().filter(|entry| entry.note.action == "printer.kick-drawer");
        audit.map(|entry| (entry.note.device.unwrap_or_default(), entry.note.times)).collect::<Vec<_>>()
    };
    assert_eq!(kicks().await, [("bar".to_owned(), None), ("kitchen".to_owned(), None)]);
    // What was counted is written when the server ends.
    till.server.close(Duration::from_secs(1)).await;
    let counted = ("bar".to_owned(), Some(29));
    assert_eq!(kicks().await, [("bar".to_owned(), None), ("kitchen".to_owned(), None), counted]);
    Ok(())
}

#[tokio::test]
async fn a_privileged_call_is_one_line_with_its_result() -> Result<()> {
    let till = Served::start().await?;
    let token = till.token("desk", "configure", KIOSK).await?;
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Origin", KIOSK), ("Idempotency-Key", "k")];
    let lists = Ask("POST", "/v1/remote.audit", &headers, "{}");
    let answer = till.send(None, lists).await.expect("answered");
    // Its own line, as it stands while the call runs.
    assert_eq!((answer.status, &answer.json()[0]["end"]), (200, &"not-recorded".into()), "{answer:?}");
    let wrong = Ask("POST", "/v1/remote.revoke", &headers, "{\"name\":\"nobody\",\"why\":\"lost\"}");
    assert_eq!(till.send(None, wrong).await.expect("answered").status, 400);
    let audit = till.audit().await;
    let [revoked, listed, ..] = &audit[..] else { panic!("{audit:?}") };
    assert_eq!((listed.note.action.as_str(), listed.note.refused.as_deref()), ("remote.audit", None));
    assert!(matches!((listed.end, revoked.end), (AuditEnd::At(_), AuditEnd::At(_))), "{audit:?}");
    assert!(revoked.note.refused.as_deref().is_some_and(|why| why.contains("nobody")), "{audit:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_served_till_forgets_what_is_older_than_it_should_keep() -> Result<()> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[till]\nsocket = false\n[remote]\naudit-days = 90\n";
    let mut config = Config::parse(text, "till.toml", &Drivers::standard())?;
    config.till.store = folder.path().join("till.db");
    let open = async |at: &str| {
        let runtime = SimulatedRuntime::new(7, at.parse().expect("a time"));
        Tresen::builder().runtime(Arc::new(runtime)).with(config.clone()).await
    };
    for (at, action) in [("2026-01-02T08:00:00Z", "first"), ("2026-02-16T08:00:00Z", "second")] {
        let till = open(at).await?;
        till.store().note_audit(AuditNote::new(action)).await?;
        till.close(Duration::ZERO).await?;
    }
    // 89 days after the first.
    let till = open("2026-04-01T08:00:00Z").await?;
    let actions = async || {
        let lines = till.audit(None, 100).await.expect("readable");
        lines.into_iter().rev().map(|line| line.note.action).collect::<Vec<_>>()
    };
    let _trust = Trust::open(&till, &[]).await?;
    tokio::time::sleep(DAY / 2).await;
    assert_eq!(actions().await, ["first", "second"]);
    tokio::time::sleep(2 * DAY).await;
    assert_eq!(actions().await, ["second", "prune"]);
    Ok(())
}
