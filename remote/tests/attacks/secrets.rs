//! Nothing secret is logged, stored or shown by `Debug`.

use std::io;
use std::sync::{Arc, Mutex};

use tresen::Result;
use tresen::remote::Invitation;
use tresen_remote::Client;
use tresen_remote::client::Options;
use tresen_remote::trust;

use crate::https::{Ask, post};
use crate::served::{KIOSK, Served, pair};

/// All that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_code_token_or_key_is_logged_stored_or_shown() -> Result<()> {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).init();

    let till = Served::start().await?;
    let mut shown = String::new();
    let mut secrets: Vec<String> = Vec::new();

    let invited = till.invite("handheld 7", "watch").await?;
    shown += &format!("{invited:?}");
    let code = invited.code;
    secrets.extend([code.to_string(), code.to_string().replace('-', "")]);
    let credentials = trust::join(&till.url(), &code, &till.runtime()).await?;
    shown += &format!("{credentials:?} {:?} {:?} {:?}", till.trust, till.trust.gate(), till.trust.authority());
    let (certificate, key) = pair(&credentials);
    secrets.extend(key.lines().filter(|line| !line.starts_with('-') && line.len() > 8).map(str::to_owned));
    for name in ["ca.key", "till.key"] {
        let text = std::fs::read_to_string(till.file(name)).expect("there");
        secrets.extend(text.lines().filter(|line| !line.starts_with('-') && line.len() > 8).map(str::to_owned));
    }
    let client = Client::connect(credentials.dial(&till.url())?, Options::new(till.runtime())).await?;
    drop(client);

    let token = till.token("kiosk", "watch", KIOSK).await?;
    secrets.push(token.clone());
    till.ask(&token, Some(KIOSK)).await;
    shown += &till.ask(&token, None).await.body;
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Origin", KIOSK)];
    let renewed = till.send(None, Ask("POST", "/v1/session.renew", &headers, "")).await.expect("answered");
    secrets.push(renewed.json()["token"].as_str().expect("a token").to_owned());

    // Wrong attempts with secrets in all places.
    let session = till.till.invite_session(Invitation::new("board", "watch".parse()?), None).await?.code;
    secrets.push(session.to_string());
    let wrong = [
        format!("{{\"code\":\"{session}x\"}}"),
        format!("{{\"code\":\"{session}\",\"{token}\":1}}"),
        format!("{{\"code\":[\"{session}\"]}}"),
        format!("\"{session}\""),
    ];
    for body in &wrong {
        till.next();
        let answer = till.send(None, post("/v1/session", body)).await.expect("answered");
        assert_eq!(answer.status, 400, "{answer:?}");
        shown += &answer.body.replace(&token, "");
    }
    till.next();
    let answer = till.send(None, Ask("POST", "/v1/session", &[("Origin", "https://evil.example")], &wrong[0])).await;
    shown += &answer.expect("answered").body;
    till.till.revoke_caller("handheld 7", "lost").await?;
    shown += &till.send(Some((&certificate, &key)), post("/v1/till.info", "")).await.expect("answered").body;

    for entry in till.audit().await {
        shown += &serde_json::to_string(&entry).expect("JSON");
    }
    till.till.store().checkpoint().await?;
    let stored = std::fs::read(till.till.store().path()).expect("there");
    let logged = log.0.lock().expect("whole").clone();
    assert!(logged.len() > 1000, "something was logged");
    for (place, content) in [("log", &logged), ("database", &stored), ("output", &shown.into_bytes())] {
        let content = String::from_utf8_lossy(content);
        for secret in &secrets {
            assert!(!content.contains(secret.as_str()), "{place} holds a secret of {} characters", secret.len());
        }
    }
    Ok(())
}
