//! The driver against a terminal that was written by hand, and shares no code with it.

use std::sync::Arc;
use std::time::Duration;

use tresen_hal::link::memory::{self, Memory};
use tresen_hal::{Amount, Link, SimulatedRuntime};
use tresen_payment::zvt::{self, Options};
use tresen_payment::{Host, MemoryJournal, Payment, Reason, Request, Terminal as _};
use tresen_peers::zvt::{Act, At, Fault, Kind, Quirks, State, Terminal as Peer, Unheard};
use tresen_peers::{Channel, Shared};

const HELD: Amount = Amount::eur(50_00);
const BILL: Amount = Amount::eur(42_00);

/// The terminal's end of a memory link.
struct Far(Memory);

impl Channel for Far {
    async fn recv(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::new();
        self.0.recv(&mut chunk).await.ok()?;
        Some(chunk)
    }
    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.send(bytes).await.is_ok()
    }
}

struct Shop {
    peer: Shared<Peer>,
    journal: Arc<MemoryJournal>,
    runtime: SimulatedRuntime,
}

impl Shop {
    fn new(quirks: Quirks) -> Self {
        let wall = "2026-01-02T08:00:00Z".parse().expect("a timestamp");
        Self {
            peer: Shared::new(Peer::new(quirks, 417)),
            journal: Arc::new(MemoryJournal::new()),
            runtime: SimulatedRuntime::new(0, wall),
        }
    }

    async fn open(&self) -> zvt::Terminal {
        let (near, far) = memory::pair();
        let peer = self.peer.clone();
        tokio::spawn(async move { peer.over(Far(far)).await });
        let options = Options::new("counter");
        let terminal = zvt::open(Box::new(near), options, self.journal.clone(), Arc::new(self.runtime.clone()));
        terminal.await.expect("registers")
    }

    fn books(&self) -> Vec<(Kind, u64, State)> {
        self.peer.with(|t| t.ledger.all().iter().map(|t| (t.kind, t.amount, t.state)).collect())
    }
}

fn amount(payment: &Payment) -> Option<Amount> {
    payment.charge().map(|charge| charge.amount)
}

#[tokio::test(start_paused = true)]
async fn it_holds_books_releases_tips_loads_and_reads() {
    let shop = Shop::new(Quirks::default());
    let mut terminal = shop.open().await;
    let mut references = Vec::new();
    for key in ["a", "b"] {
        let held = terminal.pre_authorise(Request::new(key, HELD), Host::none()).await.expect("an outcome");
        references.push(held.into_charge().and_then(|charge| charge.reference).expect("it is named"));
    }
    let [first, second] = <[_; 2]>::try_from(references).expect("two");
    assert_eq!(terminal.open_reservation().await.expect("tells"), Some(417));
    let booked = terminal.book(first.clone(), Request::new("c", BILL), Host::none()).await.expect("an outcome");
    assert_eq!(amount(&booked), Some(BILL));
    let twice = terminal.book(first, Request::new("d", BILL), Host::none()).await.expect_err("it was booked");
    assert!(twice.to_string().contains("was booked by `c`"), "{twice}");
    let released = terminal.release(second, Request::new("e", HELD), Host::none()).await.expect("an outcome");
    assert_eq!(amount(&released), Some(HELD));
    let paid = terminal.pay(Request::new("f", BILL), Host::none()).await.expect("an outcome");
    let paid = paid.into_charge().and_then(|charge| charge.reference).expect("it is named");
    let tip = terminal.tip(paid, Request::new("g", Amount::eur(3_00)), Host::none()).await.expect("an outcome");
    assert_eq!(amount(&tip), Some(Amount::eur(3_00)));
    let load = Request::new("h", Amount::eur(15_00));
    let loaded = terminal.top_up(Some("0012".into()), load, Host::none()).await.expect("an outcome");
    assert_eq!(amount(&loaded), Some(Amount::eur(15_00)));
    assert_eq!(terminal.open_reservation().await.expect("tells"), None);
    let card = terminal.read_card(Duration::from_secs(15), Host::none()).await.expect("a card");
    assert_eq!((card.token.as_deref(), card.masked_pan), (Some("000000000000081ca72f"), None));
    assert_eq!(
        shop.books(),
        [
            (Kind::Reservation, 50_00, State::Ended),
            (Kind::Reservation, 50_00, State::Ended),
            (Kind::Booking(0), 42_00, State::Stored),
            (Kind::Release(1), 50_00, State::Stored),
            (Kind::Payment, 42_00, State::Stored),
            (Kind::Tip(4), 3_00, State::Stored),
            (Kind::TopUp, 15_00, State::Stored),
        ]
    );
}

/// The approval is lost on its way, or its acknowledgement: the terminal takes it back or keeps it, and shows what stands.
#[tokio::test(start_paused = true)]
async fn what_was_not_heard_is_settled_as_the_terminal_has_it() {
    for (unheard, act, at) in [
        (Unheard::Reverses, Act::CutBefore, At::OutOf(0x040f, 3)),
        (Unheard::Reverses, Act::CutAfter, At::OutOf(0x040f, 3)),
        (Unheard::Keeps, Act::CutAfter, At::OutOf(0x040f, 3)),
        // The completion, after the acknowledgement.
        (Unheard::Reverses, Act::CutBefore, At::OutOf(0x060f, 4)),
    ] {
        let name = format!("{unheard:?} {act:?} {at:?}");
        let faults = vec![Fault { at, act }];
        let shop = Shop::new(Quirks { unheard, faults, ..Quirks::default() });
        shop.peer.with(|t| t.had(9_99));
        let mut terminal = shop.open().await;
        let held = terminal.pre_authorise(Request::new("a", HELD), Host::none()).await.expect("an outcome");
        let of = held.into_charge().and_then(|charge| charge.reference).expect("it is named");
        let told = terminal.book(of.clone(), Request::new("b", BILL), Host::none()).await.expect("an outcome");
        assert!(matches!(told, Payment::Unknown(_)), "{name}: {told:?}");
        drop(terminal);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut terminal = shop.open().await;
        let settled = terminal.recover().await.expect("it answers").remove(0);
        let booked = shop.books().iter().any(|(kind, _, state)| *kind == Kind::Booking(1) && *state == State::Stored);
        match &settled.payment {
            Payment::Charged(charge) => assert!(booked && charge.amount == BILL, "{name}: {settled:?}"),
            Payment::NotCharged(not) => {
                assert!(!booked && matches!(not.reason, Reason::Reversed | Reason::NotFound), "{name}: {settled:?}");
                assert_eq!(shop.books()[1].2, State::Stored, "{name}: it is open again");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(booked, unheard == Unheard::Keeps || matches!(at, At::OutOf(0x060f, _)), "{name}");
        assert_eq!(shop.peer.with(|t| t.asked("")), 2, "{name}");
        let again = terminal.book(of, Request::new("b", BILL), Host::none()).await.expect("from the journal");
        assert_eq!((again, shop.peer.with(|t| t.asked(""))), (settled.payment, 2), "{name}");
    }
}
