//! Every message between client and till is lost once, with a payment, a print job and a scan in flight.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tresen::api::{printer, scanner, terminal};
use tresen::{Amount, Content, Payment, Print, Receipt};
use tresen_remote::client::Client;

use super::shop::{Cut, Cutting, Shop, options, soon};

/// Sells once over a link that is cut once; whether it was.
async fn sell(cut: Cut) -> bool {
    let shop = Shop::open().await;
    let plan = Arc::new(Mutex::new(Some(cut)));
    let dial = Cutting { server: shop.server.clone(), cut: plan.clone() };
    let client = Client::lazy(dial, options("anna")).expect("offers nothing");
    let pay = terminal::Pay { terminal: "counter".into(), amount: Amount::eur(12_50), key: None };
    let content = Content::Receipt(Receipt::new().text("Flat white"));
    let print = printer::Print { printer: "receipt".into(), content, id: None, within: None };
    let next = scanner::Next { scanner: "hand".into(), within: Some(Duration::from_secs(60)) };
    let scanning = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        shop.scan("4006381333931");
    };
    let all = async {
        tokio::join!(
            client.call_as("pay", pay.clone()),
            client.call_as("print", print.clone()),
            client.call_as("scan", next.clone()),
            scanning,
        )
    };
    let (paid, printed, scanned, ()) =
        soon(Duration::from_secs(120), all).await.unwrap_or_else(|e| panic!("{cut:?}: {e}"));
    let paid = paid.unwrap_or_else(|error| panic!("{cut:?}: {error}"));
    assert!(matches!(paid, Payment::Charged(_)), "{cut:?}: {paid:?}");
    let printed = printed.unwrap_or_else(|error| panic!("{cut:?}: {error}"));
    assert!(matches!(printed, Print::Printed { .. }), "{cut:?}: {printed:?}");
    let scan = scanned.unwrap_or_else(|error| panic!("{cut:?}: {error}")).unwrap_or_else(|| panic!("{cut:?}: no scan"));
    assert_eq!(scan.text, "4006381333931", "{cut:?}");

    // Each once, as the devices see it.
    assert_eq!(shop.charged(), 12_50, "{cut:?}");
    assert_eq!(shop.paper().matches("Flat white").count(), 1, "{cut:?}");
    let none = scanner::Next { scanner: "hand".into(), within: Some(Duration::ZERO) };
    assert_eq!(client.call(none).await.unwrap_or_else(|e| panic!("{cut:?}: {e}")), None, "{cut:?}: one scan was made");
    // The same keys are the same calls, now that all is done.
    let again = client.call_as("pay", pay).await.unwrap_or_else(|error| panic!("{cut:?}: {error}"));
    assert_eq!(again, paid, "{cut:?}");
    let again = client.call_as("print", print).await.unwrap_or_else(|error| panic!("{cut:?}: {error}"));
    assert_eq!(again, printed, "{cut:?}");
    assert_eq!(client.call_as("scan", next).await.ok().flatten().as_ref(), Some(&scan), "{cut:?}");
    assert_eq!((shop.charged(), shop.paper().matches("Flat white").count()), (12_50, 1), "{cut:?}");
    plan.lock().expect("sound").is_none()
}

#[tokio::test(start_paused = true)]
async fn each_message_to_the_till_is_lost_once() {
    let mut cuts = 0;
    while sell(Cut::ToTill(cuts)).await {
        cuts += 1;
    }
    // A hello, three calls, and what follows them.
    assert!(cuts >= 4, "{cuts} messages were lost");
}

#[tokio::test(start_paused = true)]
async fn each_message_to_the_client_is_lost_once() {
    let mut cuts = 0;
    while sell(Cut::ToClient(cuts)).await {
        cuts += 1;
    }
    // A welcome, three replies, and what follows them.
    assert!(cuts >= 4, "{cuts} messages were lost");
}
