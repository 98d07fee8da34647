//! Somebody between client and till; guessing the code; using it twice.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tresen::remote::OneTimeCode;
use tresen::{Kind, Result};
use tresen_remote::trust;

use crate::https::{self, post};
use crate::served::Served;

/// TLS of somebody who is not the till, whatever it calls itself.
fn impostor() -> TlsAcceptor {
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).expect("names").self_signed(&key).expect("signed");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a pair");
    TlsAcceptor::from(Arc::new(config))
}

/// A relay that ends TLS towards the client with a certificate of its own, and begins it anew towards the till.
async fn relay(till: std::net::SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let acceptor = impostor();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await.ok()?;
                let name = ServerName::try_from("localhost").expect("a name");
                let stream = TcpStream::connect(till).await.ok()?;
                let mut server = TlsConnector::from(https::tls(None)).connect(name, stream).await.ok()?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()
            });
        }
    });
    format!("wss://{at}")
}

#[tokio::test]
async fn a_man_in_the_middle_is_refused_by_the_till_and_the_code_stays_good() -> Result<()> {
    let till = Served::start().await?;
    let code = till.invite("handheld 7", "watch").await?.code;
    let error = trust::join(&relay(till.at).await, &code, &till.runtime()).await.expect_err("relayed");
    assert_eq!(error.kind(), Kind::Permission, "{error:#}");
    assert!(till.till.remote_callers().await?.clients.is_empty());
    let refused = till.audit().await.into_iter().filter(|entry| entry.note.refused.is_some()).count();
    assert_eq!(refused, 1);
    till.next();
    trust::join(&till.url(), &code, &till.runtime()).await?;
    assert_eq!(till.till.remote_callers().await?.clients.len(), 1);
    Ok(())
}

/// An answer that a client must not believe, from somebody who has all that is public: offer, authority, a certificate.
#[tokio::test]
async fn who_does_not_know_the_code_cannot_answer_for_the_till() -> Result<()> {
    let till = Served::start().await?;
    let code = till.invite("handheld 7", "watch").await?.code;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("wss://{}", listener.local_addr().expect("an address"));
    let offer = serde_json::json!({ "till": "0198", "name": "Till 1", "salt": "07".repeat(32) }).to_string();
    let key = rcgen::KeyPair::generate().expect("a key");
    let own = rcgen::CertificateParams::default().self_signed(&key).expect("signed").pem();
    let answer = serde_json::json!({ "name": "x", "certificate": own, "authority": own, "proof": "00".repeat(32) });
    let answers = [offer, answer.to_string()];
    let acceptor = impostor();
    tokio::spawn(async move {
        // The offer and the answer go over a connection each.
        for body in answers {
            let (stream, _) = listener.accept().await.expect("accepted");
            let mut stream = acceptor.accept(stream).await.expect("TLS");
            let mut request = [0; 8192];
            assert!(stream.read(&mut request).await.expect("a request") > 0);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.expect("written");
            // Until the client has read it, or is gone.
            let _ended = stream.read_u8().await;
        }
    });
    let error = trust::join(&url, &code, &till.runtime()).await.expect_err("not the till");
    assert_eq!(error.kind(), Kind::Permission);
    assert!(error.to_string().contains("does not know the code"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_code_is_good_once() -> Result<()> {
    let till = Served::start().await?;
    let code = till.invite("handheld 7", "watch").await?.code;
    trust::join(&till.url(), &code, &till.runtime()).await?;
    till.next();
    let error = trust::join(&till.url(), &code, &till.runtime()).await.expect_err("used up");
    assert_eq!(error.kind(), Kind::Permission);
    // And for the time that it says.
    let late = till.invite("handheld 8", "watch").await?.code;
    till.clock.advance(std::time::Duration::from_secs(600));
    let error = trust::join(&till.url(), &late, &till.runtime()).await.expect_err("too late");
    assert_eq!(error.kind(), Kind::Permission);
    assert_eq!(till.till.remote_callers().await?.clients.len(), 1);
    Ok(())
}

/// The clock stands still: 1,000 attempts at the same moment.
#[tokio::test]
async fn of_a_thousand_guesses_in_one_second_one_is_looked_at() -> Result<()> {
    let till = Arc::new(Served::start().await?);
    let code = till.till.invite_session(tresen::remote::Invitation::new("kiosk", "watch".parse()?), None).await?.code;
    till.clock.stop();
    let (at, config, places) = (till.at, https::tls(None), Arc::new(Semaphore::new(4)));
    let guesses = (0..1000_u64).map(|guess| {
        let (config, places) = (config.clone(), places.clone());
        tokio::spawn(async move {
            let _place = places.acquire().await.expect("open");
            let body = serde_json::json!({ "code": OneTimeCode::of(guess) }).to_string();
            https::send(at, config, post("/v1/session", &body)).await.expect("answered").status
        })
    });
    let mut statuses = Vec::new();
    for guess in guesses.collect::<Vec<_>>() {
        statuses.push(guess.await.expect("ran"));
    }
    let count = |status| statuses.iter().filter(|other| **other == status).count();
    assert_eq!((count(403), count(429)), (1, 999));

    // Four more end the code: the right one is refused then.
    for guess in 0..4 {
        till.next();
        let body = serde_json::json!({ "code": OneTimeCode::of(guess) }).to_string();
        assert_eq!(till.send(None, post("/v1/session", &body)).await.expect("answered").status, 403);
    }
    till.next();
    let body = serde_json::json!({ "code": code }).to_string();
    assert_eq!(till.send(None, post("/v1/session", &body)).await.expect("answered").status, 403);
    // Strangers cannot fill the disk: one line for the first guess, and one for how often it was repeated.
    assert!(till.audit().await.len() < 10, "{}", till.audit().await.len());
    Ok(())
}

#[tokio::test]
async fn a_client_does_not_enrol_without_tls_and_not_by_half_a_request() -> Result<()> {
    let till = Served::start().await?;
    let mut plain = TcpStream::connect(till.plain).await.expect("connects");
    let ask = format!(
        "POST /v1/enrol HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}",
        till.plain
    );
    plain.write_all(ask.as_bytes()).await.expect("written");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");

    for (body, part) in [
        ("", "not JSON"),
        ("[]", "field"),
        ("{\"nonce\":1}", "`nonce`"),
        ("{\"nonce\":\"\",\"request\":\"\"}", "field"),
        ("{\"nonce\":\"\",\"request\":\"\",\"proof\":\"\"}", "`nonce`"),
        ("{\"nonce\":\"\",\"request\":\"\",\"proof\":\"\",\"admin\":true}", "`admin`"),
    ] {
        let answer = till.send(None, post("/v1/enrol", body)).await.expect("answered");
        assert!(answer.status == 400 && answer.body.contains(part), "{body}: {answer:?}");
    }
    let long = format!("{{\"nonce\":\"{}\"}}", "a".repeat(100_000));
    let answer = till.send(None, post("/v1/enrol", &long)).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413));
    Ok(())
}
