//! Plain HTTP, by hand.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tresen_remote::server::Options;
use tresen_remote::wire::MESSAGE;

use super::shop::{Shop, principal, soon};

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
    pub(crate) bytes: Vec<u8>,
}

/// One request over a connection of its own.
pub(crate) async fn ask(shop: &Shop, head: &str, body: &str) -> Answer {
    let mut stream = shop.stream();
    let length = body.len();
    let host = if head.to_lowercase().contains("\r\nhost:") { "" } else { "Host: localhost:7480\r\n" };
    let request = format!("{head}\r\n{host}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    // A server that refuses may stop reading.
    stream.write_all(request.as_bytes()).await.ok();
    let mut said = Vec::new();
    soon(Duration::from_secs(3600), stream.read_to_end(&mut said)).await.expect("in time").ok();
    let end = said.windows(4).position(|four| four == b"\r\n\r\n");
    let bytes = said.split_off(end.unwrap_or_else(|| panic!("no answer to {request:.80}: {said:?}")) + 4);
    let head = String::from_utf8(said).expect("text").to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body: serde_json::from_slice(&bytes).unwrap_or_default(), bytes }
}

pub(crate) const ANNA: &str = "Authorization: Bearer anna";

#[tokio::test(start_paused = true)]
async fn one_request_is_one_call_and_its_status_says_how_it_went() {
    let shop = Shop::open().await;
    shop.gate.admit("bob", principal("bob", "watch"));
    let pay = "{\"terminal\":\"counter\",\"amount\":\"12.50 EUR\"}";
    let paid = ask(&shop, &format!("POST /v1/terminal.pay HTTP/1.1\r\n{ANNA}\r\nIdempotency-Key: a"), pay).await;
    assert_eq!(paid.status, 200, "{}", paid.body);
    assert!(paid.body["charged"].is_object(), "{}", paid.body);
    let again = ask(&shop, &format!("POST /v1/terminal.pay HTTP/1.1\r\n{ANNA}\r\nIdempotency-Key: a"), pay).await;
    assert_eq!(again.body, paid.body);
    assert_eq!(shop.charged(), 12_50);
    for (head, body, status, said) in [
        ("POST /v1/till.info HTTP/1.1", "", 401, "neither"),
        ("POST /v1/till.info HTTP/1.1\r\nAuthorization: Bearer nobody", "", 401, "does not know"),
        ("POST /v1/till.info HTTP/1.1\r\nAuthorization: Basic YTph", "", 401, "Bearer"),
        ("POST /v1/terminal.pay HTTP/1.1\r\nAuthorization: Bearer anna", pay, 400, "key"),
        (
            "POST /v1/printer.kick-drawer HTTP/1.1\r\nAuthorization: Bearer bob\r\nIdempotency-Key: k",
            "{\"printer\":\"receipt\"}",
            403,
            "drawer",
        ),
        ("POST /v1/till.explode HTTP/1.1\r\nAuthorization: Bearer anna", "", 404, "till.explode"),
        ("POST /v1/till.info HTTP/1.1\r\nAuthorization: Bearer anna", "{", 400, "JSON"),
        ("POST /v1/till.info HTTP/1.1\r\nAuthorization: Bearer anna", "{\"x\":1}", 400, "x"),
        ("POST /v1/follow HTTP/1.1\r\nAuthorization: Bearer anna", "", 404, "WebSocket"),
        ("POST /v1/printer.status HTTP/1.1\r\nAuthorization: Bearer anna", "{\"printer\":\"none\"}", 400, "none"),
    ] {
        let answer = ask(&shop, head, body).await;
        assert_eq!(answer.status, status, "{head}: {}", answer.body);
        assert!(answer.body["what"].as_str().is_some_and(|what| what.contains(said)), "{head}: {}", answer.body);
    }
    let long = " ".repeat(MESSAGE + 1);
    assert_eq!(ask(&shop, &format!("POST /v1/till.info HTTP/1.1\r\n{ANNA}"), &long).await.status, 413);
    assert_eq!(ask(&shop, &format!("GET /v1/till.info HTTP/1.1\r\n{ANNA}"), "").await.status, 405);
    assert_eq!(ask(&shop, &format!("GET /v2 HTTP/1.1\r\n{ANNA}"), "").await.status, 404);
    let header = "x".repeat(64 << 10);
    let answer = ask(&shop, &format!("GET / HTTP/1.1\r\nX: {header}"), "").await;
    assert_eq!(answer.status, 431);
    assert_eq!(shop.charged(), 12_50);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_an_origin_that_is_not_listed_gets_nothing() {
    let shop = Shop::with(Options { origins: vec!["https://kiosk.example".into()], ..Options::default() }).await;
    let info = |extra: &str| format!("POST /v1/till.info HTTP/1.1\r\n{ANNA}\r\n{extra}");
    for (origin, status, told) in [
        ("http://localhost:7480", 200, false),
        ("https://kiosk.example", 200, true),
        ("https://evil.example", 403, false),
        ("null", 403, false),
        ("https://localhost:7480", 403, false),
    ] {
        let answer = ask(&shop, &info(&format!("Origin: {origin}")), "").await;
        assert_eq!(answer.status, status, "{origin}: {}", answer.body);
        let allowed = answer.head.contains(&format!("access-control-allow-origin: {origin}"));
        assert_eq!(allowed, told, "{origin}: {}", answer.head);
    }
    // DNS rebinding: the page's own name points to this machine.
    let answer = ask(&shop, &info("Host: evil.example:7480\r\nOrigin: http://evil.example:7480"), "").await;
    assert_eq!(answer.status, 421, "{}", answer.body);
    let upgrade =
        "GET /v1/ws HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nOrigin: https://evil.example";
    assert_eq!(ask(&shop, upgrade, "").await.status, 403);
    let preflight = "OPTIONS /v1/terminal.pay HTTP/1.1\r\nOrigin: https://kiosk.example\r\n\
                     Access-Control-Request-Method: POST\r\nAccess-Control-Request-Private-Network: true";
    let answer = ask(&shop, preflight, "").await;
    assert_eq!(answer.status, 204);
    for header in [
        "access-control-allow-origin: https://kiosk.example",
        "access-control-allow-headers: authorization, content-type, idempotency-key",
        "access-control-allow-private-network: true",
    ] {
        assert!(answer.head.contains(header), "{}", answer.head);
    }
    let stranger = "OPTIONS /v1/terminal.pay HTTP/1.1\r\nOrigin: https://evil.example";
    let answer = ask(&shop, stranger, "").await;
    assert_eq!(answer.status, 403);
    assert!(!answer.head.contains("access-control"), "{}", answer.head);
    assert_eq!(json!(shop.charged()), json!(0));
}
