use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;
use tresen_hal::{Kind, ManualClock, Result, SystemRuntime};

use super::{AuditEnd, AuditNote, NewClient, NewSession};
use crate::store::Store;

const START: &str = "2026-01-02T08:00:00Z";

struct Till {
    dir: TempDir,
    clock: ManualClock,
}

impl Till {
    fn new() -> Self {
        let clock = ManualClock::at(START.parse().expect("a time"));
        Self { dir: tempfile::tempdir().expect("a folder"), clock }
    }

    async fn open(&self) -> Result<Store> {
        let runtime = SystemRuntime::with_clock(Arc::new(self.clock.clone()));
        Store::open(&self.dir.path().join("till.db"), Arc::new(runtime)).await
    }
}

fn after(seconds: i64) -> Timestamp {
    START.parse::<Timestamp>().expect("a time") + jiff::SignedDuration::from_secs(seconds)
}

fn client(name: &str, digit: &str) -> NewClient {
    let rights = "watch print:bar".parse().expect("rights");
    NewClient { name: name.into(), station: None, rights, fingerprint: digit.repeat(64), expires: after(1000) }
}

fn session(name: &str, digit: &str) -> NewSession {
    let rights = "watch".parse().expect("rights");
    let (origin, token) = (Some("https://kiosk.example".into()), digit.repeat(64));
    NewSession { name: name.into(), station: None, rights, origin, token, expires: after(900) }
}

#[tokio::test]
async fn a_name_is_free_again_when_its_client_was_revoked() -> Result<()> {
    let till = Till::new();
    let store = till.open().await?;
    store.add_remote_client(client("belt", "a"), AuditNote::new("enrol")).await?;
    let taken = store.add_remote_client(client("belt", "b"), AuditNote::new("enrol")).await;
    assert_eq!(taken.expect_err("taken").kind(), Kind::Input);
    assert_eq!(store.audit(None, 10).await?.len(), 1, "what was refused leaves nothing");
    assert!(store.revoke_remote("belt", "lost", AuditNote::new("revoke")).await?);
    assert!(!store.revoke_remote("belt", "lost", AuditNote::new("revoke")).await?);
    store.add_remote_client(client("belt", "b"), AuditNote::new("enrol")).await?;
    let (old, _) = store.remote_client_with(&"a".repeat(64)).await?.expect("known");
    assert_eq!(old.revoked.expect("revoked").1, "lost");
    let (new, _) = store.remote_client_with(&"b".repeat(64)).await?.expect("known");
    assert_eq!((new.revoked, new.rights.to_string()), (None, "watch print:bar".to_owned()));
    assert_eq!(store.remote_clients().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_renewed_certificate_ends_the_earlier_one_after_the_overlap() -> Result<()> {
    let till = Till::new();
    let store = till.open().await?;
    store.add_remote_client(client("belt", "a"), AuditNote::new("enrol")).await?;
    let renew = |print: &str| {
        let (store, print) = (store.clone(), print.repeat(64));
        async move { store.renew_remote_client("belt", &print, after(2000), after(100), AuditNote::new("renew")).await }
    };
    renew("b").await?;
    assert_eq!(store.remote_client_with(&"a".repeat(64)).await?.expect("known").1, after(100));
    assert_eq!(store.remote_client_with(&"b".repeat(64)).await?.expect("known").1, after(2000));
    store.revoke_remote("belt", "lost", AuditNote::new("revoke")).await?;
    assert_eq!(renew("c").await.expect_err("revoked").kind(), Kind::Refused);
    assert!(store.remote_client_with(&"c".repeat(64)).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_token_ends_in_time_by_renewal_by_revocation_and_by_a_session_of_the_same_name() -> Result<()> {
    let till = Till::new();
    let store = till.open().await?;
    let known = |digit: &str| {
        let (store, token) = (store.clone(), digit.repeat(64));
        async move { store.remote_session_with(&token).await }
    };
    store.open_remote_session(session("kiosk", "a"), AuditNote::new("session")).await?;
    let first = known("a").await?.expect("open");
    store.renew_remote_session(first.id, &"b".repeat(64), after(1800)).await?;
    assert_eq!(known("a").await?.expect("until its end").expires, after(900));
    till.clock.advance(Duration::from_secs(900));
    assert!(known("a").await?.is_none());
    assert_eq!(known("b").await?.expect("current").expires, after(1800));
    store.open_remote_session(session("kiosk", "c"), AuditNote::new("session")).await?;
    assert!(known("b").await?.is_none(), "another session has its name");
    assert!(store.revoke_remote("kiosk", "stolen", AuditNote::new("revoke")).await?);
    assert!(known("c").await?.is_none());
    let ended = store.renew_remote_session(first.id, &"d".repeat(64), after(1800)).await;
    assert_eq!(ended.expect_err("ended").kind(), Kind::Refused);
    assert!(store.remote_sessions().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_presented_ends_those_before_it_and_lost_ones_are_few() -> Result<()> {
    let till = Till::new();
    let store = till.open().await?;
    store.open_remote_session(session("kiosk", "0"), AuditNote::new("session")).await?;
    store
        .open_remote_session(NewSession { name: "board".into(), ..session("board", "f") }, AuditNote::new("s"))
        .await?;
    let token = |digit: usize| format!("{digit}").repeat(64);
    let good =
        async |digit: usize| Ok::<_, tresen_hal::Error>(store.remote_session_with(&token(digit)).await?.is_some());
    let id = store.remote_session_with(&token(0)).await?.expect("open").id;
    store.present_remote_token(&token(0)).await?;
    for digit in 1..=3 {
        store.renew_remote_session(id, &token(digit), after(1000)).await?;
    }
    assert!(good(0).await? && good(1).await? && good(2).await? && good(3).await?, "nobody has presented a later one");
    store.present_remote_token(&token(2)).await?;
    assert!(!good(0).await? && !good(1).await? && good(2).await? && good(3).await?);
    assert!(store.remote_session_with(&"f".repeat(64)).await?.is_some(), "another session's stays");
    // Whoever renews and renews: the token that was presented stays, and of the others the last eight.
    for n in 0..20 {
        store.renew_remote_session(id, &format!("{n:064}"), after(1000)).await?;
    }
    let kept = async |n: u32| store.remote_session_with(&format!("{n:064}")).await.expect("readable").is_some();
    assert!(good(2).await? && !good(3).await? && !kept(11).await && kept(12).await && kept(19).await);
    Ok(())
}

#[tokio::test]
async fn a_privileged_call_is_one_line_with_its_result_or_without() -> Result<()> {
    let till = Till::new();
    let store = till.open().await?;
    let note = || AuditNote::new("printer.kick-drawer").by("bar").from(Some("10.0.0.7:5000".into()));
    let (done, failed) = (store.begin_audit(note()).await?, store.begin_audit(note()).await?);
    store.begin_audit(note()).await?;
    till.clock.advance(Duration::from_secs(3));
    store.end_audit(failed, note().refused("the drawer is locked")).await?;
    store.end_audit(done, note()).await?;
    assert!(store.end_audit(done, note()).await.is_err(), "it has ended");
    store.note_audit(AuditNote { times: Some(7), ..note().refused("no right") }).await?;
    // The program was killed.
    store.close().await;
    let store = till.open().await?;
    let lines = store.audit(None, 10).await?;
    let ends: Vec<_> = lines.iter().map(|line| (line.end, line.note.refused.as_deref(), line.note.times)).collect();
    assert_eq!(
        ends,
        [
            (AuditEnd::AtOnce, Some("no right"), Some(7)),
            (AuditEnd::NotRecorded, None, None),
            (AuditEnd::At(after(3)), Some("the drawer is locked"), None),
            (AuditEnd::At(after(3)), None, None),
        ]
    );
    assert!(lines[1..].iter().all(|line| line.at == after(0)));
    assert_eq!(store.audit(Some(lines[1].seq), 1).await?[0].seq, failed, "results are no lines");
    Ok(())
}

#[tokio::test]
async fn a_restored_database_knows_its_clients_and_no_token() -> Result<()> {
    let till = Till::new();
    let store = till.open().await?;
    store.add_remote_client(client("belt", "a"), AuditNote::new("enrol")).await?;
    store.open_remote_session(session("kiosk", "b"), AuditNote::new("session")).await?;
    let backup = till.dir.path().join("backup.db");
    store.backup(&backup).await?;
    let path = store.path().to_owned();
    store.close().await;
    Store::restore(&backup, &path, Arc::new(SystemRuntime::with_clock(Arc::new(till.clock.clone())))).await?;
    let store = till.open().await?;
    assert!(store.remote_client_with(&"a".repeat(64)).await?.is_some());
    assert!(store.remote_session_with(&"b".repeat(64)).await?.is_none());
    assert!(store.remote_sessions().await?.is_empty());
    assert_eq!(store.audit(None, 10).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn the_audit_table_only_grows() -> Result<()> {
    let till = Till::new();
    let store = till.open().await?;
    for n in 0..5 {
        let note = AuditNote::new("connect").by(format!("belt {n}")).refused("x".repeat(5000));
        store.note_audit(note).await?;
    }
    let beside = Connection::open(store.path()).expect("opens");
    for sql in ["DELETE FROM remote_audit", "UPDATE remote_audit SET refused = NULL"] {
        let error = beside.execute(sql, []).expect_err("append-only");
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    let entries = store.audit(Some(5), 2).await?;
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [4, 3]);
    assert_eq!(entries[0].note.principal.as_deref(), Some("belt 3"));
    assert_eq!(entries[0].note.refused.as_deref().map(str::len), Some(200));
    Ok(())
}

#[tokio::test]
async fn the_audit_table_goes_back_as_many_days_as_it_should() -> Result<()> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let till = Till::new();
    let store = till.open().await?;
    let actions = async || {
        let lines = store.audit(None, 100).await.expect("readable");
        lines.into_iter().rev().map(|line| line.note.action).collect::<Vec<_>>()
    };
    store.note_audit(AuditNote::new("connect").refused("unknown")).await?;
    let done = store.begin_audit(AuditNote::new("printer.kick-drawer")).await?;
    store.end_audit(done, AuditNote::new("printer.kick-drawer")).await?;
    store.begin_audit(AuditNote::new("remote.revoke")).await?;
    let long = store.begin_audit(AuditNote::new("terminal.end-of-day")).await?;
    till.clock.advance(DAY);
    store.end_audit(long, AuditNote::new("terminal.end-of-day")).await?;
    store.note_audit(AuditNote::new("enrol")).await?;
    let all = actions().await;
    for days in [0, 89, 36_501] {
        assert_eq!(store.prune_audit(days).await.expect_err("out of range").kind(), Kind::Input);
    }
    till.clock.advance(89 * DAY);
    assert_eq!(store.prune_audit(90).await?, 0, "90 days to the second");
    assert_eq!(actions().await, all, "nothing is recorded of it");

    till.clock.advance(Duration::from_secs(1));
    assert_eq!(store.prune_audit(91).await?, 0);
    assert_eq!(store.prune_audit(90).await?, 3);
    assert_eq!(actions().await, ["terminal.end-of-day", "enrol", "prune"], "a call goes with its result");
    let lines = store.audit(None, 1).await?;
    let (by, about) = (lines[0].note.principal.as_deref(), lines[0].note.about.as_deref());
    assert_eq!((by, about), (Some("the till"), Some("lines from before 2026-01-02T08:00:01Z: 3")));
    // What is left is append-only as before, and numbers go on.
    let beside = Connection::open(store.path()).expect("opens");
    let rows: i64 = beside.query_row("SELECT count(*) FROM remote_audit", [], |row| row.get(0)).expect("counted");
    assert_eq!((rows, lines[0].seq), (4, 8));
    let error = beside.execute("DELETE FROM remote_audit", []).expect_err("append-only");
    assert!(error.to_string().contains("append-only"), "{error}");

    till.clock.advance(200 * DAY);
    assert_eq!(store.prune_audit(90).await?, 3, "the one before is a line as well");
    assert_eq!(actions().await, ["prune"]);
    Ok(())
}
