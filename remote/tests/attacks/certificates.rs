//! Certificates that must not let anybody in.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tresen::{Kind, Result, SystemRuntime};
use tresen_remote::Client;
use tresen_remote::client::{Connection, Options};
use tresen_remote::trust::{Credentials, Identity};

use crate::described::{part, valid};
use crate::https::post;
use crate::served::{Served, pair};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// `None`: the connection was refused or cut; otherwise the status.
async fn status(till: &Served, certificate: &str, key: &str) -> Option<u16> {
    till.send(Some((certificate, key)), post("/v1/till.info", "")).await.ok().map(|answer| answer.status)
}

#[tokio::test]
async fn the_own_certificate_lets_a_client_in_and_a_revoked_one_does_not() -> Result<()> {
    let till = Served::start().await?;
    let (certificate, key) = pair(&till.enrol("handheld 7", "watch").await?);
    assert_eq!(status(&till, &certificate, &key).await, Some(200));
    till.till.revoke_caller("handheld 7", "lost").await?;
    assert_eq!(status(&till, &certificate, &key).await, Some(401));
    let audit = till.audit().await;
    let refused = audit.iter().filter_map(|entry| entry.note.refused.as_deref()).collect::<Vec<_>>();
    assert_eq!(refused, ["the certificate was revoked"]);
    let done: Vec<_> = audit.iter().rev().map(|entry| entry.note.action.as_str()).collect();
    assert_eq!(done, ["remote.enrol", "enrol", "remote.revoke", "connect"]);
    Ok(())
}

#[tokio::test]
async fn a_revocation_cuts_the_open_connection() -> Result<()> {
    let till = Served::start().await?;
    let credentials = till.enrol("handheld 7", "watch").await?;
    let other = till.enrol("handheld 8", "watch").await?;
    let connect = async |credentials: &tresen_remote::trust::Credentials| {
        Client::connect(credentials.dial(&till.url())?, Options::new(Arc::new(SystemRuntime::new()))).await
    };
    let (client, stays) = (connect(&credentials).await?, connect(&other).await?);
    let mut state = client.state();
    assert!(matches!(*state.borrow(), Connection::Connected(_)));
    till.till.revoke_caller("handheld 7", "lost").await?;
    state.wait_for(|state| matches!(state, Connection::Away { .. })).await.expect("told");
    let again = connect(&credentials).await.expect_err("revoked");
    assert_eq!(again.kind(), Kind::Permission, "{again:#}");
    assert!(matches!(*stays.state().borrow(), Connection::Connected(_)), "the other one stays");
    Ok(())
}

#[tokio::test]
async fn an_expired_certificate_ends_in_the_handshake() -> Result<()> {
    let till = Served::start().await?;
    let (certificate, key) = pair(&till.enrol("handheld 7", "watch").await?);
    till.clock.advance(DAY * 364);
    assert_eq!(status(&till, &certificate, &key).await, Some(200));
    till.clock.advance(DAY * 2);
    assert_eq!(status(&till, &certificate, &key).await, None);
    Ok(())
}

#[tokio::test]
async fn certificates_of_others_end_in_the_handshake() -> Result<()> {
    let (till, other) = (Served::start().await?, Served::start().await?);
    // Another till's client of the same name, enrolled and good there.
    till.enrol("handheld 7", "watch").await?;
    let (certificate, key) = pair(&other.enrol("handheld 7", "watch").await?);
    assert_eq!(status(&other, &certificate, &key).await, Some(200));
    assert_eq!(status(&till, &certificate, &key).await, None);

    // An authority that calls itself as the till's.
    let (authority, own) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("tresen till {}", till.till.store().till()));
    let issuer = Issuer::new(params, authority);
    let mut client = CertificateParams::default();
    client.distinguished_name.push(DnType::CommonName, "handheld 7");
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let forged = client.signed_by(&own, &issuer).expect("signed").pem();
    assert_eq!(status(&till, &forged, &own.serialize_pem()).await, None);
    // And one that signed itself.
    let own_word = client.self_signed(&own).expect("signed").pem();
    assert_eq!(status(&till, &own_word, &own.serialize_pem()).await, None);
    Ok(())
}

/// Whoever has read the till's own key from its disk is not a client yet.
#[tokio::test]
async fn the_tills_own_certificate_is_for_servers_only() -> Result<()> {
    let till = Served::start().await?;
    let read = |name: &str| std::fs::read_to_string(till.file(name)).expect("there");
    assert_eq!(status(&till, &read("till.pem"), &read("till.key")).await, None);
    Ok(())
}

/// Signed by the till's authority, and of nobody enrolled: a copy of the database was lost, or the authority misused.
#[tokio::test]
async fn a_certificate_that_nobody_enrolled_is_refused() -> Result<()> {
    let till = Served::start().await?;
    let own = KeyPair::generate().expect("a key");
    let request = CertificateParams::default().serialize_request(&own).expect("a request").pem().expect("PEM");
    let issued = till.trust.authority().issue("handheld 7", &request, till.runtime().wall())?;
    assert_eq!(status(&till, &issued.pem, &own.serialize_pem()).await, Some(401));
    Ok(())
}

#[tokio::test]
async fn a_certificate_and_a_token_together_are_refused() -> Result<()> {
    let till = Served::start().await?;
    let (certificate, key) = pair(&till.enrol("handheld 7", "watch").await?);
    let token = till.token("kiosk", "watch", crate::served::KIOSK).await?;
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Origin", crate::served::KIOSK)];
    let ask = crate::https::Ask("POST", "/v1/till.info", &headers, "");
    assert_eq!(till.send(Some((&certificate, &key)), ask).await.expect("answered").status, 401);
    Ok(())
}

#[tokio::test]
async fn a_certificate_is_renewed_in_its_last_third_and_the_earlier_one_ends() -> Result<()> {
    let till = Served::start().await?;
    let first = till.enrol("handheld 7", "watch").await?;
    let (certificate, key) = pair(&first);
    let renew = serde_json::json!({ "request": first.request()? }).to_string();
    let early = till.send(Some((&certificate, &key)), post("/v1/session.renew", &renew)).await.expect("answered");
    assert_eq!(early.status, 409, "{early:?}");
    till.clock.advance(DAY * 250);
    let answer = till.send(Some((&certificate, &key)), post("/v1/session.renew", &renew)).await.expect("answered");
    assert_eq!(answer.status, 200, "{answer:?}");
    valid(&part("/messages/requests/session.renew/with"), &serde_json::from_str(&renew).expect("JSON"));
    valid(&part("/messages/requests/session.renew/reply"), &answer.json());
    let second = first.with_certificate(answer.json()["certificate"].as_str().expect("PEM"))?;
    let (renewed, same) = pair(&second);
    assert_eq!(status(&till, &renewed, &same).await, Some(200));
    assert_eq!(status(&till, &certificate, &key).await, Some(200), "for a week");
    till.clock.advance(DAY * 8);
    assert_eq!(status(&till, &certificate, &key).await, Some(401));
    assert_eq!(status(&till, &renewed, &same).await, Some(200));
    till.till.revoke_caller("handheld 7", "lost").await?;
    assert_eq!(status(&till, &renewed, &same).await, Some(401));
    Ok(())
}

#[tokio::test]
async fn a_client_renews_its_certificate_by_itself_and_writes_it_down() -> Result<()> {
    let till = Served::start().await?;
    let folder = till.dir.path().join("handheld");
    let first = till.enrol("handheld 7", "watch").await?;
    first.save(&folder)?;
    let before = std::fs::read_to_string(folder.join("client.pem")).expect("there");
    let now = || std::fs::read_to_string(folder.join("client.pem")).expect("there");
    let identity = Identity::open(&folder)?;
    // Not before its last third.
    till.clock.advance(DAY * 240);
    let connect = async || Client::connect(identity.dial(&till.url())?, Options::new(till.runtime())).await;
    let client = connect().await?;
    client.call(tresen::api::till::Info {}).await?;
    drop(client);
    assert_eq!(
        (now(), till.audit().await.iter().filter(|entry| entry.note.action == "session.renew").count()),
        (before.clone(), 0)
    );

    till.clock.advance(DAY * 4);
    let client = connect().await?;
    while now() == before {
        client.call(tresen::api::till::Info {}).await?;
    }
    let second = Credentials::load(&folder)?;
    assert!(second.expires()? > first.expires()?);
    assert_eq!(pair(&second).1, pair(&first).1, "the key is the same");
    drop(client);
    // The earlier certificate has ended; the client shows the one that it has now, also without a restart.
    till.clock.advance(DAY * 8);
    let (certificate, key) = pair(&first);
    assert_eq!(status(&till, &certificate, &key).await, Some(401));
    connect().await?.call(tresen::api::till::Info {}).await?;
    let renewals = till.audit().await.iter().filter(|entry| entry.note.action == "session.renew").count();
    assert_eq!(renewals, 1, "once");
    Ok(())
}

/// Killed between the till's answer and the file: the earlier certificate is good for a week, and renewed again.
#[tokio::test]
async fn a_renewal_that_was_not_written_down_is_repeated() -> Result<()> {
    let till = Served::start().await?;
    let folder = till.dir.path().join("handheld");
    let first = till.enrol("handheld 7", "watch").await?;
    first.save(&folder)?;
    till.clock.advance(DAY * 250);
    let (certificate, key) = pair(&first);
    let renew = serde_json::json!({ "request": first.request()? }).to_string();
    let answer = till.send(Some((&certificate, &key)), post("/v1/session.renew", &renew)).await.expect("answered");
    assert_eq!(answer.status, 200, "{answer:?}");
    till.clock.advance(DAY * 5);
    let client = Client::connect(Identity::open(&folder)?.dial(&till.url())?, Options::new(till.runtime())).await?;
    while Credentials::load(&folder)?.expires()? == first.expires()? {
        client.call(tresen::api::till::Info {}).await?;
    }
    Ok(())
}

/// The till's certificate is renewed beside open connections, and clients trust the next one.
#[tokio::test]
async fn a_renewed_certificate_of_the_till_is_trusted_and_drops_no_connection() -> Result<()> {
    let till = Served::start().await?;
    let credentials = till.enrol("handheld 7", "watch").await?;
    let client = Client::connect(credentials.dial(&till.url())?, Options::new(Arc::new(SystemRuntime::new()))).await?;
    let before = std::fs::read(till.file("till.pem")).expect("there");
    till.clock.advance(DAY * 300);
    till.trust.renew().await?;
    assert_ne!(std::fs::read(till.file("till.pem")).expect("there"), before);
    let (certificate, key) = pair(&credentials);
    assert_eq!(status(&till, &certificate, &key).await, Some(200));
    assert!(matches!(*client.state().borrow(), Connection::Connected(_)));
    Ok(())
}
