//! A terminal written by hand that shares no code with ours, over TCP.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tresen_hal::link::Reached;
use tresen_hal::{Address, Amount, Kind, SystemRuntime};
use tresen_payment::nexo::{self, Options};
use tresen_payment::{Answer, Host, Length, MemoryJournal, Payment, Question, Reason, Request, Terminal as _, Wanted};
use tresen_peers::nexo::{Fault, Terminal as Peer};

use super::counter::is_charged;

const PRICE: Amount = Amount::eur(39_50);

struct Shop {
    peer: Peer,
    journal: Arc<MemoryJournal>,
}

impl Shop {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let peer = Peer::listen(listener, "V400m-1", "shop", "correct horse").expect("listens");
        Self { peer, journal: Arc::default() }
    }

    async fn open(&self, passphrase: &str) -> tresen_hal::Result<nexo::Terminal> {
        let text = format!("nexo+tcp://{}?poi=V400m-1&sale=till-1&key=shop&passphrase={passphrase}", self.peer.at());
        let address: Address = text.parse().expect("an address");
        let mut options = Options::from_address(&address)?;
        options.name = "counter".into();
        options.grace = std::time::Duration::ZERO;
        let place = Address::tcp("nexo", self.peer.at().ip().to_string(), self.peer.at().port());
        let runtime = Arc::new(SystemRuntime::new());
        nexo::open(Arc::new(Reached::new(place)), None, options, self.journal.clone(), runtime).await
    }
}

fn request(id: &str) -> Request {
    Request::new(id, PRICE)
}

#[tokio::test]
async fn pays_refunds_reverses_and_shows_no_card() {
    let shop = Shop::new().await;
    let mut terminal = shop.open("correct%20horse").await.expect("answers");
    shop.peer.fault(Fault::Trickle);
    let Ok(Payment::Charged(charge)) = terminal.pay(request("sale"), Host::none()).await else { panic!("charged") };
    assert_eq!((charge.amount, charge.trace.as_deref()), (PRICE, Some("8828")));
    assert_eq!((charge.masked_pan.as_deref(), charge.card_name.as_deref()), (Some("****** **** 9999"), Some("mc")));
    assert_eq!(charge.customer_slip, ["Käse & Brot", "Card            ************9999"]);
    assert!(is_charged(&terminal.refund(request("refund"), Host::none()).await.expect("an outcome")));
    let sale = charge.reference.expect("it is named");
    assert!(is_charged(&terminal.reverse(sale, request("back"), Host::none()).await.expect("an outcome")));
    shop.peer.fault(Fault::Decline);
    let declined = terminal.pay(request("declined"), Host::none()).await.expect("an outcome");
    assert!(
        matches!(&declined, Payment::NotCharged(n) if n.reason == Reason::Declined && n.text.ends_with("Nicht möglich")),
        "{declined:?}"
    );
    assert!(terminal.status().await.expect("answers").ready);
    let kinds: Vec<_> = shop.peer.ledger().into_iter().map(|entry| (entry.kind, entry.amount)).collect();
    let expected = ["Payment", "Refund", "Reversal"].map(|kind| (kind.to_owned(), "39.5".to_owned()));
    assert_eq!(kinds, expected);
    let everything = serde_json::to_string(&shop.journal.entries()).expect("serialises");
    assert!(everything.contains("9999") && !everything.contains("330089"), "{everything}");
}

#[tokio::test]
async fn what_was_lost_is_settled_by_its_status() {
    let shop = Shop::new().await;
    let mut terminal = shop.open("correct%20horse").await.expect("answers");
    shop.peer.fault(Fault::LoseAnswer);
    assert!(matches!(terminal.pay(request("sale"), Host::none()).await, Ok(Payment::Unknown(_))));
    drop(terminal);
    let mut terminal = shop.open("correct%20horse").await.expect("answers");
    let settled = terminal.recover().await.expect("asks");
    let Payment::Charged(charge) = &settled[0].payment else { panic!("{settled:?}") };
    let sale = charge.reference.clone().expect("it is named");
    shop.peer.fault(Fault::LoseAnswer);
    assert!(matches!(terminal.reverse(sale, request("back"), Host::none()).await, Ok(Payment::Unknown(_))));
    let settled = terminal.recover().await.expect("asks");
    assert!(is_charged(&settled[0].payment), "{settled:?}");
    assert_eq!(shop.peer.ledger().len(), 2);
}

#[tokio::test]
async fn shows_asks_and_prints() {
    let shop = Shop::new().await;
    let mut terminal = shop.open("correct%20horse").await.expect("answers");
    terminal.display("Willkommen".into(), Duration::from_secs(5)).await.expect("shows");
    terminal.print("Tisch 7\nKasse 1".into()).await.expect("prints");
    let ask = |text: &str, wanted| Question::new(text, wanted, Answer::Declined);
    let choices = Wanted::Choice { of: vec!["0 %".into(), "5 %".into(), "10 %".into()] };
    for (question, answer) in [
        (ask("AGB\nEinverstanden?", Wanted::Confirmation), Answer::Yes),
        (ask("PLZ?", Wanted::Number(Length::new(4, 5))), Answer::Text("0470".into())),
        (ask("Trinkgeld?", choices), Answer::Choice(1)),
        // Nothing is entered: its default.
        (ask("E-Mail?", Wanted::Text(Length::new(3, 80))), Answer::Declined),
    ] {
        let entered = terminal.input(question.clone(), Host::none()).await.expect("an answer");
        assert_eq!(entered, answer, "{question:?}");
    }
    let seen = [
        "Willkommen",
        "Tisch 7|Kasse 1",
        "GetConfirmation|AGB|Einverstanden?|X|OK",
        "GetDigit|PLZ?",
        "MenuButtons|Trinkgeld?",
        "GetText|E-Mail?",
    ];
    assert_eq!(shop.peer.seen(), seen);
}

#[tokio::test]
async fn another_passphrase_opens_nothing() {
    let shop = Shop::new().await;
    let error = shop.open("correct%20house").await.expect_err("another key");
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert!(shop.peer.requests().is_empty());
}
