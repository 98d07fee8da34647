//! What payments cost: messages of OPI and nexo a second, payments a second of till and simulated terminal on one core,
//! in memory and over TCP. Nothing here is written to a disk: `cargo bench --bench sale` of the till does that.
//!
//! Prints figures and fails nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tresen_hal::link::memory;
use tresen_hal::sim::{self, Shared};
use tresen_hal::{Amount, SystemClock};
use tresen_payment::nexo::crypto::Key;
use tresen_payment::zvt::sim::{Profile, Simulator};
use tresen_payment::zvt::{self, Options};
use tresen_payment::{Host, MemoryJournal, Payment, Request, Terminal, nexo, opi};

/// The facts page's answer to a card payment, as terminals of Germany send it.
const OPI: &[u8] =
    br#"<?xml version="1.0" encoding="UTF-8"?><CardServiceResponse RequestType="CardPayment" WorkstationID="1"
 RequestID="2" OverallResult="Success" xmlns="http://www.nrf-arts.org/IXRetail/namespace"><Terminal
 TerminalID="60000001" STAN="021601"/><Tender><TotalAmount Currency="EUR">39.50</TotalAmount><Authorisation
 AuthorisationType="Online" CardCircuit="girocard" ReceiptNumber="8930" ActionCode="0"
 TimeStamp="2026-01-02T08:00:01" AcquirerID="1"/></Tender><PrivateData><CardTechnologyType>NFC</CardTechnologyType>
<ErrorCode>1002700</ErrorCode></PrivateData></CardServiceResponse>"#;

/// As "Make a payment" documents it, shortened.
const NEXO: &str = r#"{"SaleToPOIResponse":{"MessageHeader":{"ProtocolVersion":"3.0","SaleID":"till","MessageClass":"Service",
"MessageCategory":"Payment","ServiceID":"1","POIID":"V400m-1","MessageType":"Response"},"PaymentResponse":{"Response":
{"Result":"Success"},"SaleData":{"SaleTransactionID":{"TransactionID":"a","TimeStamp":"2026-01-02T08:00:00Z"}},"POIData":
{"POITransactionID":{"TransactionID":"tx.1","TimeStamp":"2026-01-02T08:00:01Z"}},"PaymentResult":{"AmountsResp":
{"AuthorizedAmount":10.99,"Currency":"EUR"}}}}}"#;

const PAYMENTS: u32 = 200;

fn main() {
    messages();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        in_memory(true).await;
        in_memory(false).await;
        over_tcp().await;
    });
}

fn messages() {
    rate("OPI, answer read", || _ = black_box(opi::wire::Message::parse(black_box(OPI)).expect("a message")));
    let request = opi::wire::Request::new(opi::wire::Family::Card, "CardPayment", "2");
    let encoding = opi::xml::Encoding::Utf8;
    rate("OPI, request written", || _ = black_box(black_box(&request).to_bytes(encoding)));

    let read = || nexo::wire::Message::from_json(black_box(NEXO.as_bytes()), None).expect("a message");
    rate("nexo, answer read", || _ = black_box(read()));
    let message = read();
    rate("nexo, message written", || _ = black_box(black_box(&message).to_json(None)));
    let key = Key::derive("shop", 1, "test123").expect("ASCII");
    let sealed = message.to_json(Some((&key, [7; 16])));
    rate("nexo, message sealed and written", || _ = black_box(message.to_json(Some((&key, [7; 16])))));
    rate("nexo, sealed answer read", || {
        _ = black_box(nexo::wire::Message::from_json(black_box(sealed.as_bytes()), Some(&key)).expect("a message"));
    });
}

/// How often a second, by the best of several rounds.
fn rate(what: &str, call: impl Fn()) {
    const CALLS: u32 = 500;
    let round = |_| {
        let began = Instant::now();
        (0..CALLS).for_each(|_| call());
        began.elapsed() / CALLS
    };
    let best = (0..50).map(round).min().expect("some rounds");
    println!("{what}: {best:.2?}, {:.0} a second", 1.0 / best.as_secs_f64());
}

/// Till and terminal on one thread. Without the question before each payment the till's own work is least.
async fn in_memory(ask_before: bool) {
    let (near, far) = memory::pair();
    let sim = Shared::new(Simulator::new(Profile::default()));
    tokio::spawn(async move { sim::link(&far, &sim).await });
    let mut options = Options::new("counter");
    options.ask_before = ask_before;
    let journal = Arc::new(MemoryJournal::new());
    let mut till = zvt::open(Box::new(near), options, journal, Arc::new(SystemClock)).await.expect("registers");
    let began = Instant::now();
    pay(&mut till).await;
    let asked = if ask_before { "with 06 20 before each" } else { "without 06 20" };
    tell(&format!("ZVT in memory, till and terminal on one core, {asked}"), began.elapsed());
}

async fn over_tcp() {
    let sim = Shared::new(Simulator::new(Profile::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (_server, at) = sim::tcp(listener, sim.clone()).expect("served");
    let address = format!("zvt+tcp://{at}").parse().expect("an address");
    let link = tresen_hal::link::open(&address).await.expect("opens");
    let journal = Arc::new(MemoryJournal::new());
    let mut till = zvt::open(link, Options::new("counter"), journal, Arc::new(SystemClock)).await.expect("registers");
    let began = Instant::now();
    pay(&mut till).await;
    tell("ZVT over TCP, till and terminal on one core, with 06 20 before each", began.elapsed());
}

async fn pay(till: &mut zvt::Terminal) {
    for number in 0..PAYMENTS {
        let request = Request::new(number.to_string(), Amount::eur(12_50));
        let paid = till.pay(request, Host::none()).await.expect("an outcome");
        assert!(matches!(paid, Payment::Charged(_)), "{paid:?}");
    }
}

fn tell(what: &str, all: Duration) {
    let each = all / PAYMENTS;
    println!("{what}: {each:.2?} a payment, {:.0} a second", 1.0 / each.as_secs_f64());
}
