//! The server ends, and the client loses its till.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tresen::api::{printer, scanner, terminal, till};
use tresen::{Amount, Payment};
use tresen_hal::{BoxFuture, Effect, Error, Kind, Result};
use tresen_remote::client::{Client, Connection, Dial, Stream};
use tresen_remote::server::{Options, Server};

use super::frames::{CLOSE, Peer};
use super::shop::{Memory, Shop, options, soon};

fn slow_customer(shop: &Shop) {
    let terminal = shop.counter.terminal("counter").expect("there");
    terminal.with(|terminal| terminal.profile_mut().pace = Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_finishes_a_running_payment_and_tells_its_clients() {
    let shop = Shop::open().await;
    slow_customer(&shop);
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    let with = json!({ "terminal": "counter", "amount": "12.50 EUR" });
    peer.text(&json!({ "id": 1, "key": "a", "command": "terminal.pay", "with": with }).to_string()).await;
    let with = json!({ "scanner": "hand" });
    peer.text(&json!({ "id": 2, "key": "s", "command": "scanner.next", "with": with }).to_string()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let closing = tokio::spawn({
        let server = shop.server.clone();
        async move { server.close(Duration::from_secs(60)).await }
    });
    let waited = peer.json().await;
    assert_eq!((&waited["id"], &waited["error"]["kind"]), (&json!(2), &json!("cancelled")), "{waited}");
    peer.text("{\"id\":3,\"command\":\"till.info\"}").await;
    let refused = peer.json().await;
    assert_eq!((&refused["id"], &refused["error"]["effect"]), (&json!(3), &json!("none")), "{refused}");
    let paid = peer.json().await;
    assert!(paid["id"] == 1 && paid["reply"]["charged"].is_object(), "{paid}");
    assert!(peer.json().await["closing"]["why"].is_string());
    let (opcode, payload) = peer.next().await.expect("a close frame");
    assert_eq!((opcode, &payload[..2]), (CLOSE, &1001u16.to_be_bytes()[..]));
    drop(peer);
    closing.await.expect("no panic");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(shop.charged(), 12_50);
}

/// The server in its place; none while the till is away.
#[derive(Clone, Default)]
struct Place(Arc<Mutex<Option<Arc<Server>>>>);

impl Dial for Place {
    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Stream>>> {
        let server = self.0.lock().expect("sound").clone();
        Box::pin(async move {
            match server {
                Some(server) => Memory(server).dial().await,
                None => Err(Error::new(Kind::Refused, "nobody listens").with_effect(Effect::None)),
            }
        })
    }

    fn host(&self) -> &str {
        "127.0.0.1:7480"
    }
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_a_till_that_is_away_and_their_errors_are_honest() {
    let shop = Shop::open().await;
    let place = Place::default();
    let client = Client::lazy(place.clone(), options("anna")).expect("offers nothing");
    let began = Instant::now();
    let error = client.call(till::Info {}).await.expect_err("away");
    assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::None), "{error}");
    assert_eq!(began.elapsed(), Duration::from_secs(30));
    // It comes while a call waits.
    let arriving = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        *place.0.lock().expect("sound") = Some(shop.server.clone());
    };
    let (info, ()) = tokio::join!(client.call(till::Info {}), arriving);
    assert_eq!(info.expect("answered").name, "Corner shop");
    assert!(matches!(&*client.state().borrow(), Connection::Connected(_)));
    // It goes while a payment runs, which goes on; and the client cannot know that.
    slow_customer(&shop);
    let pay = terminal::Pay { terminal: "counter".into(), amount: Amount::eur(3_00), key: None };
    let leaving = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        *place.0.lock().expect("sound") = None;
        shop.server.close(Duration::ZERO).await;
    };
    let (paid, ()) = tokio::join!(client.call_as("p", pay.clone()), leaving);
    let error = paid.expect_err("away");
    assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::Unknown), "{error}");
    // Another run of the server: the durable key tells.
    let server = Server::start(&shop.till, shop.gate.clone(), Options::default()).expect("starts");
    *place.0.lock().expect("sound") = Some(Arc::new(server));
    let paid = soon(Duration::from_secs(60), client.call_as("p", pay)).await.expect("in time").expect("answered");
    assert!(matches!(paid, Payment::Charged(_)), "{paid:?}");
    assert_eq!(shop.charged(), 3_00, "once");
}

#[tokio::test(start_paused = true)]
async fn what_another_run_of_the_server_does_not_recognise_is_not_sent_to_it() {
    let shop = Shop::open().await;
    let place = Place(Arc::new(Mutex::new(Some(shop.server.clone()))));
    let client = Client::connect(place.clone(), options("anna")).await.expect("let in");
    // A drawer whose answer is lost with its server.
    let printer = shop.counter.printer("receipt").expect("there");
    printer.with(|printer| printer.remove_paper());
    let restart = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        *place.0.lock().expect("sound") = None;
        shop.server.close(Duration::ZERO).await;
        let server = Server::start(&shop.till, shop.gate.clone(), Options::default()).expect("starts");
        *place.0.lock().expect("sound") = Some(Arc::new(server));
    };
    let next = scanner::Next { scanner: "hand".into(), within: Some(Duration::from_secs(300)) };
    let reprint = printer::Find { job: "none".into() };
    let (waited, ()) = tokio::join!(client.call_as("s", next), restart);
    let error = waited.expect_err("of another run");
    assert!(matches!(error.kind(), Kind::Closed | Kind::Cancelled), "{error}");
    assert_eq!(soon(Duration::from_secs(60), client.call(reprint)).await.expect("in time").expect("answered"), None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_let_in_is_told_so() {
    let shop = Shop::open().await;
    let error = Client::connect(Memory(shop.server.clone()), options("nobody")).await.expect_err("not let in");
    assert_eq!(error.kind(), Kind::Permission, "{error}");
    let client = Client::lazy(Memory(shop.server.clone()), options("nobody")).expect("offers nothing");
    let error = client.call(till::Info {}).await.expect_err("not let in");
    assert_eq!((error.kind(), error.effect()), (Kind::Permission, Effect::None), "{error}");
    // Enrolled meanwhile: it is tried again.
    shop.gate.admit("nobody", super::shop::principal("nobody", "watch"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    client.call(till::Info {}).await.expect("let in");
}
