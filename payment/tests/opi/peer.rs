//! A terminal written by hand that shares no code with ours, over TCP: both channels.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tresen_hal::link::Reached;
use tresen_hal::{Address, Amount, Driver, SystemRuntime};
use tresen_payment::opi::{self, Listener, Options};
use tresen_payment::{Host, MemoryJournal, Payment, Progress, Reason, Request, Slip, Terminal as _};
use tresen_peers::opi::{Fault, Terminal as Peer};

const PRICE: Amount = Amount::eur(39_50);

struct Shop {
    peer: Peer,
    journal: Arc<MemoryJournal>,
    listener: Arc<Listener>,
}

impl Shop {
    async fn new() -> Self {
        let here = "127.0.0.1:0";
        let channel_1 = TcpListener::bind(here).await.expect("a port");
        let till: SocketAddr = channel_1.local_addr().expect("an address");
        let peer = Peer::listen(TcpListener::bind(here).await.expect("a port"), Some(till)).expect("listens");
        Self { peer, journal: Arc::default(), listener: Listener::new(Box::new(channel_1)) }
    }

    async fn open(&self) -> opi::Terminal {
        let at = self.peer.at();
        let connect = Arc::new(Reached::new(Address::tcp("opi", at.ip().to_string(), at.port())));
        let runtime = Arc::new(SystemRuntime::new());
        let listener = Some(self.listener.clone());
        opi::open(connect, listener, Options::new("counter"), self.journal.clone(), runtime).await.expect("logs in")
    }
}

fn request(id: &str) -> Request {
    Request::new(id, PRICE)
}

#[tokio::test]
async fn pays_prints_refunds_reverses_and_closes_the_day() {
    let shop = Shop::new().await;
    let mut terminal = shop.open().await;
    let (_abort, wanted) = tokio::sync::watch::channel(false);
    let (watch, mut steps) = Host::new(wanted);
    shop.peer.fault(Fault::Trickle);
    let Ok(Payment::Charged(charge)) = terminal.pay(request("sale"), watch).await else { panic!("charged") };
    assert_eq!((charge.amount, charge.trace.as_deref()), (PRICE, Some("021601")));
    assert_eq!(
        (charge.masked_pan.as_deref(), charge.merchant_id.as_deref()),
        (Some("***************4747"), Some("VU-123456789017"))
    );
    assert_eq!(charge.customer_slip, ["K-U-N-D-E-N-B-E-L-E-G", "Karte ***************4747", "Grüße"]);
    let mut told = Vec::new();
    while let Ok(step) = steps.try_recv() {
        told.push(step);
    }
    let lines = ["K-U-N-D-E-N-B-E-L-E-G", "Karte ***************4747", "Grüße"].map(str::to_owned).to_vec();
    assert!(told.contains(&Progress::Receipt { slip: Some(Slip::Customer), lines }), "{told:?}");
    let answers = shop.peer.answers();
    assert!(
        answers.len() == 1
            && answers[0].contains("OverallResult=\"Success\"")
            && answers[0].contains("OutResult=\"Success\"")
    );
    assert!(matches!(terminal.refund(request("refund"), Host::none()).await, Ok(Payment::Charged(_))));
    let sale = charge.reference.expect("it is named");
    assert!(matches!(terminal.reverse(sale, request("back"), Host::none()).await, Ok(Payment::Charged(_))));
    shop.peer.fault(Fault::Decline);
    let declined = terminal.pay(request("declined"), Host::none()).await.expect("an outcome");
    assert!(
        matches!(&declined, Payment::NotCharged(n) if n.reason == Reason::Declined && n.text.starts_with("Nicht möglich")),
        "{declined:?}"
    );
    assert!(terminal.status().await.expect("answers").ready);
    assert_eq!(terminal.end_of_day(Host::none()).await.expect("closes").total, Some(Amount::eur(338_00)));
    terminal.close().await;
    let entries = shop.journal.entries();
    let everything = format!("{entries:?} {} {told:?}", serde_json::to_string(&entries).expect("serialises"));
    assert!(everything.contains("4747") && !everything.contains("330010"), "no card number in journal or events");
    let kinds: Vec<_> = shop.peer.ledger().into_iter().map(|entry| (entry.kind, entry.amount)).collect();
    let expected =
        ["CardPayment", "PaymentRefund", "PaymentReversal"].map(|kind| (kind.to_owned(), "39.50".to_owned()));
    assert_eq!(kinds, expected);
    assert_eq!(shop.peer.requests().last().map(String::as_str), Some("Logoff"));
}

#[tokio::test]
async fn what_was_lost_is_settled_by_the_last_message() {
    let shop = Shop::new().await;
    let mut terminal = shop.open().await;
    assert!(matches!(terminal.pay(request("before"), Host::none()).await, Ok(Payment::Charged(_))));
    shop.peer.fault(Fault::LoseAnswer);
    // The question before the payment loses its answer first; the payment goes on without it.
    assert!(matches!(terminal.pay(request("asked"), Host::none()).await, Ok(Payment::Charged(_))));
    drop(terminal);
    let lost = {
        let mut options = Options::new("counter");
        options.ask_before = false;
        let at = shop.peer.at();
        let connect = Arc::new(Reached::new(Address::tcp("opi", at.ip().to_string(), at.port())));
        let runtime = Arc::new(SystemRuntime::new());
        let mut other = opi::open(connect, None, options, shop.journal.clone(), runtime).await.expect("logs in");
        shop.peer.fault(Fault::LoseAnswer);
        other.pay(request("sale"), Host::none()).await.expect("an outcome")
    };
    assert!(matches!(lost, Payment::Unknown(_)), "{lost:?}");
    let settled = shop.open().await.recover().await.expect("asks");
    assert!(matches!(&settled[..], [one] if matches!(one.payment, Payment::Charged(_))), "{settled:?}");
    assert_eq!(shop.peer.ledger().len(), 3);
    assert_eq!(shop.peer.requests().iter().filter(|kind| *kind == "CardPayment").count(), 3);
}

#[tokio::test]
async fn it_holds_books_and_releases() {
    let shop = Shop::new().await;
    let mut terminal = shop.open().await;
    let mut references = Vec::new();
    for key in ["a", "b"] {
        let held = terminal.pre_authorise(request(key), Host::none()).await.expect("an outcome");
        references.push(held.into_charge().and_then(|charge| charge.reference).expect("it is named"));
    }
    let less = || Request::new("c", Amount::eur(20_00));
    let booked = terminal.book(references[0].clone(), less(), Host::none()).await.expect("an outcome");
    assert_eq!(booked.charge().map(|charge| charge.amount), Some(Amount::eur(20_00)));
    let twice = terminal.book(references[0].clone(), Request::new("d", Amount::eur(1)), Host::none()).await;
    assert!(twice.expect_err("it was booked").to_string().contains("was booked by `c`"));
    let released = terminal.release(references[1].clone(), request("e"), Host::none()).await.expect("an outcome");
    assert!(matches!(released, Payment::Charged(_)), "{released:?}");
    let done: Vec<_> = shop.peer.ledger().into_iter().map(|entry| (entry.kind, entry.amount)).collect();
    let expected = [
        ("CardPreAuthorisation", "39.50"),
        ("CardPreAuthorisation", "39.50"),
        ("CardFinancialAdvice", "20.00"),
        ("PreAuthReversal", "39.50"),
    ];
    assert_eq!(done, expected.map(|(kind, amount)| (kind.to_owned(), amount.to_owned())));
}
