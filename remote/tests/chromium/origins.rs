//! Pages of other origins, each from a web server of its own on another loopback address.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tresen::payment::zvt::sim::Profile;
use tresen::{Print, Receipt};

use crate::devtools::{Browser, Page};
use crate::shop::{Shop, until};

const RIGHTS: &str = "watch print:receipt";

/// A web server with a page that brings its own copy of `tresen.js`; its origin.
async fn page_of(address: &str) -> String {
    let listener = TcpListener::bind((address, 0)).await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let (kind, body) = match head.starts_with(b"GET /tresen.js") {
                    true => ("text/javascript", include_str!("../../web/tresen.js")),
                    false => ("text/html", "<!doctype html><title>another page</title><link rel=icon href='data:,'>"),
                };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
                let answer = format!("{head}Connection: close\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.ok();
            });
        }
    });
    origin
}

/// The page connects to the till with a code: what the till says of it, or the error's sentence.
async fn connect(page: &mut Page, shop: &Shop, code: &str) -> Value {
    let options = json!({ "url": shop.url, "code": code });
    page.run(&format!(
        "import('/tresen.js').then(async ({{ connect }}) => {{ window.till = await connect({options}); \
         return till.about.you; }}).catch(error => error.message)"
    ))
    .await
}

/// Whether a WebSocket to the till opens.
async fn socket_opens(page: &mut Page, shop: &Shop) -> Value {
    let url = json!(format!("{}/v1/ws", shop.url.replace("http", "ws")));
    page.run(&format!(
        "new Promise(done => {{ const socket = new WebSocket({url}); \
         socket.onopen = () => done(true); socket.onerror = () => done(false); }})"
    ))
    .await
}

#[tokio::test]
async fn a_listed_page_calls_and_another_is_refused() {
    let (listed, other) = (page_of("127.0.0.2").await, page_of("127.0.0.3").await);
    let shop = Shop::for_pages(Profile::default(), &[&listed]).await;
    let browser = Browser::start().await;
    let code = shop.code("kiosk", RIGHTS).await;

    let mut page = browser.page().await;
    page.go(&other).await;
    let refused = connect(&mut page, &shop, &code).await;
    // The browser does not tell the page more: the answer has no CORS headers.
    assert!(refused.as_str().is_some_and(|why| why.starts_with("the till is not reached")), "{refused}");
    assert_eq!(socket_opens(&mut page, &shop).await, false);

    // The code was not spent by that.
    page.go(&listed).await;
    assert_eq!(connect(&mut page, &shop, &code).await, "kiosk");
    assert_eq!(page.run("till.call('till.info').then(info => info.name)").await, "Café Mitte");
    // A request with a token has a preflight: `authorization` is not a simple header.
    let receipt = Receipt::new().text("Zwei Espresso").cut();
    let job = shop.till.printer("receipt").expect("configured").submit_as("slip-1", &receipt).await.expect("queued");
    until(|| shop.receipts().len() == 1).await;
    assert_eq!(page.run("till.picture('slip-1').then(picture => picture.type)").await, "image/png");
    let printed = job.outcome(Duration::from_secs(60)).await.expect("read");
    assert!(matches!(printed, Print::Printed { .. }), "{printed:?}");
    let complaints = page.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains(&other) && complaints[0].contains("preflight"), "{complaints:?}");
    shop.close().await;
}

#[tokio::test]
async fn a_token_of_one_page_is_of_no_use_to_another() {
    let (mine, yours) = (page_of("127.0.0.2").await, page_of("127.0.0.3").await);
    let shop = Shop::for_pages(Profile::default(), &[&mine, &yours]).await;
    let browser = Browser::start().await;
    let mut page = browser.page().await;
    page.go(&mine).await;
    assert_eq!(connect(&mut page, &shop, &shop.code("kiosk", RIGHTS).await).await, "kiosk");
    let token = page.run("JSON.parse(Object.values(sessionStorage)[0]).token").await;
    page.go(&yours).await;
    let options = json!({ "url": shop.url, "token": token });
    let refused = page
        .run(&format!("import('/tresen.js').then(({{ connect }}) => connect({options})).catch(error => error.kind)"))
        .await;
    assert_eq!(refused, "permission");
    shop.close().await;
}

/// Chrome asks the user before a page from the internet may use this machine or the local network:
/// <https://developer.chrome.com/blog/local-network-access>. The till cannot answer in the user's place.
#[tokio::test]
async fn a_page_from_the_internet_calls_when_the_user_allows_it() {
    let origin = page_of("127.0.0.2").await;
    let shop = Shop::for_pages(Profile::default(), &[&origin]).await;
    let public = format!("--ip-address-space-overrides={}=public", origin.trim_start_matches("http://"));
    let browser = Browser::with(&[&public]).await;
    let mut page = browser.page().await;
    page.go(&origin).await;
    let code = shop.code("kiosk", RIGHTS).await;
    let refused = connect(&mut page, &shop, &code).await;
    assert!(refused.as_str().is_some_and(|why| why.starts_with("the till is not reached")), "{refused}");
    assert_eq!(socket_opens(&mut page, &shop).await, false);
    page.allow(&origin, "loopbackNetwork").await;
    assert_eq!(connect(&mut page, &shop, &code).await, "kiosk");
    assert_eq!(page.run("till.call('till.info').then(info => info.name)").await, "Café Mitte");
    shop.close().await;
}
