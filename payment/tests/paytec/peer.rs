//! A terminal and a till written by hand that share no code with ours: over TCP, and over a serial line in memory.

use std::sync::Arc;

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tresen_hal::link::memory::{self, Memory};
use tresen_hal::sim::{self, Shared as Served};
use tresen_hal::{Address, Link as _, Result, SystemClock, link};
use tresen_payment::paytec::sim::{Profile, Simulator};
use tresen_payment::paytec::{self, Options};
use tresen_payment::{Host, MemoryJournal, Payment, Reason, Request, Terminal as _};
use tresen_peers::paytec::{Entry, Fault, Noise, Terminal as Peer, Till};
use tresen_peers::{Channel, Shared};

use super::counter::{francs, is_charged, pay, price, reason, why};

/// The far end of a memory link, as the peer's channel.
struct Far(Memory);

impl Channel for Far {
    async fn recv(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.recv(&mut bytes).await.ok()?;
        Some(bytes)
    }
    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.send(bytes).await.is_ok()
    }
}

struct Shop {
    peer: Shared<Peer>,
    journal: Arc<MemoryJournal>,
    options: Options,
}

impl Shop {
    fn new(serial: bool) -> Self {
        let mut options = Options::new("counter");
        options.serial = serial;
        Self { peer: Shared::new(Peer::new(serial)), journal: Arc::default(), options }
    }

    async fn open(&self) -> Result<paytec::Terminal> {
        let (near, far) = memory::pair();
        let peer = self.peer.clone();
        tokio::spawn(async move { peer.over(Far(far)).await });
        paytec::open(Box::new(near), self.options.clone(), self.journal.clone(), Arc::new(SystemClock)).await
    }

    fn states(&self) -> Vec<&'static str> {
        self.peer.with(|p| p.ledger.iter().map(|entry| entry.state).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn pays_refunds_reverses_and_shows_no_card() {
    for serial in [false, true] {
        let shop = Shop::new(serial);
        let mut terminal = shop.open().await.expect("connects");
        let Ok(Payment::Charged(charge)) = pay(&mut terminal, "sale").await else { panic!("charged") };
        assert_eq!((charge.amount, charge.receipt_number.as_deref()), (price(), Some("101")));
        assert_eq!((charge.authorisation.as_deref(), charge.card_name.as_deref()), (Some("00Z42"), Some("Mastercard")));
        assert_eq!(charge.customer_slip[..2], ["** KUNDE **", "Mastercard"]);
        assert_eq!(charge.merchant_slip[0], "** HAENDLER **");
        let refund = terminal.refund(Request::new("refund", francs(5_00)), Host::none()).await.expect("an outcome");
        assert!(is_charged(&refund), "{refund:?}");
        let sale = charge.reference.expect("it is named");
        let back = terminal.reverse(sale, Request::new("back", price()), Host::none()).await.expect("an outcome");
        assert!(is_charged(&back), "{back:?}");
        shop.peer.with(|p| p.faults.push(Fault::Decline));
        let declined = pay(&mut terminal, "declined").await.expect("an outcome");
        assert!(matches!(&declined, Payment::NotCharged(not) if not.text == "ABGELEHNT"), "{declined:?}");
        shop.peer.with(|p| p.faults.push(Fault::Less));
        assert_eq!(reason(&pay(&mut terminal, "less").await.expect("an outcome")), Reason::Reversed);
        let ledger = shop.peer.with(|p| p.ledger.clone());
        let entry = |number, function, amount, state| Entry { number, function, amount, state };
        let expected = [
            entry(101, 0x8000, 12_90, "reversed"),
            entry(102, 0x800, 5_00, "confirmed"),
            entry(103, 0x20, 12_90, "confirmed"),
            entry(104, 0x8000, 12_90, "declined"),
            entry(105, 0x8000, 12_90, "rolled back"),
        ];
        assert_eq!(ledger, expected);
        let everything = serde_json::to_string(&shop.journal.entries()).expect("serialises");
        assert!(everything.contains("0044") && !everything.contains("5413330089"), "{everything}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_is_settled_as_far_as_it_can_be() {
    for serial in [false, true] {
        for reverses in [false, true] {
            for (fault, ends, states) in [
                (Fault::LoseRequest, "not", vec![]),
                (Fault::LoseResponse, if reverses { "not" } else { "unknown" }, vec!["undone"]),
                (Fault::LoseAcknowledgement, "unknown", vec!["confirmed"]),
            ] {
                let mut shop = Shop::new(serial);
                shop.options.reverses = reverses;
                let mut terminal = shop.open().await.expect("connects");
                shop.peer.with(|p| p.faults.push(fault));
                assert!(!why(&pay(&mut terminal, "sale").await.expect("an outcome")).is_empty());
                drop(terminal);
                let mut terminal = shop.open().await.expect("connects again");
                let settled = terminal.recover().await.expect("asks");
                match ends {
                    "not" => assert!(matches!(reason(&settled[0].payment), Reason::NotFound | Reason::Reversed)),
                    _ => assert!(!why(&settled[0].payment).is_empty(), "{fault:?} {settled:?}"),
                }
                assert_eq!(shop.states(), states, "{fault:?}");
                assert!(is_charged(&pay(&mut terminal, "next").await.expect("an outcome")));
                assert!(shop.peer.with(|p| p.requested("TransactionRequest")) == 2);
            }
        }
    }
}

/// A frame that was damaged is sent again. One that moves money and is not acknowledged is not.
#[tokio::test(start_paused = true)]
async fn frames_are_repeated_where_that_is_safe() {
    let shop = Shop::new(true);
    let mut terminal = shop.open().await.expect("connects");
    // Status, activation, transaction, confirmation.
    for frame in 0..4 {
        for noise in [Noise::Refuse, Noise::Deaf] {
            shop.peer.with(|p| p.noise = Some((frame, noise)));
            let id = format!("{noise:?} at {frame}");
            let payment = pay(&mut terminal, &id).await.expect("an outcome");
            assert!(is_charged(&payment), "{id}: {payment:?}");
            assert_eq!(shop.peer.with(|p| p.noise), None, "{id}");
        }
    }
    let confirmed = shop.states().iter().filter(|state| **state == "confirmed").count();
    assert_eq!((confirmed, shop.peer.with(|p| p.requested("TransactionRequest"))), (8, 8));
}

/// The till that is written by hand, against the simulator, over TCP.
#[tokio::test]
async fn the_simulator_serves_a_till_of_another_hand() {
    let device = Served::new(Simulator::new(Profile::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (_server, at) = sim::tcp(listener, device.clone()).expect("listens");
    let mut till = Till::new(TcpStream::connect(at).await.expect("connects"));
    let hello =
        json!({"ConnectRequest": {"TrmLng": "de", "PrinterWidth": 40, "UnsolicitedReceipts": 1, "POSID": "K7"}});
    let about = till.ask(hello, "ConnectResponse").await.expect("answers");
    assert_eq!((&about["TrmID"], about["IFDSerialNum"].is_string()), (&json!("90000001"), true));
    let status = till.ask(json!({"StatusRequest": {}}), "StatusResponse").await.expect("answers");
    assert_eq!(status["TrmStatus"], 0, "no shift is open");
    let shift = till.ask(json!({"ActivationRequest": {}}), "ActivationResponse").await.expect("answers");
    assert_eq!((&shift["TrxSeqCnt"], &shift["ActSeqCnt"]), (&json!(41), &json!(13)));
    let request = json!({"TransactionRequest": {"TrxFunction": 32768, "TrxCurrC": 756, "AmtAuth": 1290}});
    for (confirm, stored) in [(0, 0), (1, 1)] {
        let approved = till.ask(request.clone(), "TransactionResponse").await.expect("answers");
        assert_eq!((&approved["TrxResult"], &approved["AmtAuth"]), (&json!(0), &json!(1290)));
        let decision = json!({"TransactionConfirmationRequest": {"Confirm": confirm}});
        till.ask(decision, "TransactionConfirmationResponse").await.expect("answers");
        assert_eq!(device.with(|d| d.ledger().stored().count()), stored);
    }
    let receipt = till.hear("ReceiptResponse").await.expect("comes by itself");
    assert_eq!(receipt["ReceiptType"], 1);
    let copy = till.hear("ReceiptResponse").await.expect("comes by itself");
    assert!(copy["ReceiptText"].as_str().is_some_and(|text| text.starts_with("Kunde\n")));
    let back = json!({"TransactionRequest": {"TrxFunction": 32, "TrxSeqCntOri": 43}});
    let back = till.ask(back, "TransactionResponse").await.expect("answers");
    assert_eq!((&back["TrxResult"], &back["TrxSeqCntOri"]), (&json!(0), &json!(43)));
    let decision = json!({"TransactionConfirmationRequest": {"Confirm": 1}});
    till.ask(decision, "TransactionConfirmationResponse").await.expect("answers");
    assert_eq!(device.with(|d| d.ledger().turnover()), 0);
    till.say(json!({"HeartbeatRequest": {}})).await.expect("sent");
    till.hear("HeartbeatResponse").await.expect("answers");
    till.ask(json!({"TransactionConfirmationRequest": {"Confirm": 1}}), "ErrorNotification")
        .await
        .expect("nothing waits");
}

/// The driver over real sockets, by an address.
#[tokio::test]
async fn an_address_reaches_a_terminal() {
    let peer = Shared::new(Peer::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = peer.listen(listener).expect("listens");
    let text = format!("paytec+tcp://{}", server.at());
    let address: Address = text.parse().expect("an address");
    let link = link::open(&address).await.expect("reached");
    let options = Options::from_address(&address).expect("right");
    let journal = Arc::new(MemoryJournal::new());
    let mut terminal = paytec::open(link, options, journal, Arc::new(SystemClock)).await.expect("connects");
    assert!(is_charged(&pay(&mut terminal, "sale").await.expect("an outcome")));
    assert_eq!(peer.with(|p| p.ledger[0].state), "confirmed");
}
