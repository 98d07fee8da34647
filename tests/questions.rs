//! What a terminal asks of the till: who is asked, who answers, and what stands if nobody does.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tresen::hal::link::memory;
use tresen::hal::sim::Shared;
use tresen::payment::opi::sim::{Profile, Simulator, State, serve};
use tresen::payment::opi::{self, Listener};
use tresen::payment::{Answer, Request, Wanted};
use tresen::testing::Counter;
use tresen::{Amount, Config, EventKind, Events, Kind, OpenQuestion, Payment, Plan, Terminal, Terminals, Tresen};

const PRICE: Amount = Amount::eur(12_50);
/// How long the terminal's options let a question wait.
const WITHIN: Duration = Duration::from_secs(10);

/// A till with a terminal that asks before it charges.
struct Shop {
    till: Tresen,
    terminal: Terminal,
    sim: Shared<Simulator>,
    serving: JoinHandle<()>,
    _folder: TempDir,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let till = Counter::of(Config::default(), folder.path()).expect("right").open().await.expect("opens");
        let sim = Shared::new(Simulator::new(Profile { asks: Some("Unterschrift ok?".into()), ..Profile::default() }));
        let ((to_terminal, at_terminal), (to_till, at_till)) = (memory::port(), memory::port());
        let listener = Listener::new(Box::new(at_till));
        let serving = tokio::spawn(serve(Box::new(at_terminal), Some(Arc::new(to_till)), sim.clone()));
        let plan = Plan::new("a terminal in memory", move |context| {
            let (connect, listener) = (Arc::new(to_terminal.clone()), listener.clone());
            async move {
                let options = opi::Options::new(&*context.name);
                let journal = context.journal.expect("a till has one");
                let terminal = opi::open(connect, Some(listener), options, journal, context.runtime).await?;
                Ok(Box::new(terminal) as Box<dyn tresen::payment::Terminal>)
            }
        });
        till.attach::<Terminals>("counter", vec![plan]).await.expect("new");
        let terminal = till.terminal("counter").expect("attached");
        terminal.phase().wait_for(|phase| phase.is_ready()).await.expect("is open");
        Self { till, terminal, sim, serving, _folder: folder }
    }

    fn pay(&self, key: &str) -> JoinHandle<tresen::Result<Payment>> {
        let (terminal, request) = (self.terminal.clone(), Request::new(key, PRICE));
        tokio::spawn(async move {
            let (_keep, abort) = tokio::sync::watch::channel(false);
            terminal.pay_as(request, abort).await
        })
    }

    fn stored(&self) -> usize {
        self.sim.with(|sim| sim.ledger().entries().iter().filter(|t| t.state == State::Stored).count())
    }
}

async fn asked(events: &mut Events) -> OpenQuestion {
    loop {
        if let EventKind::Question(question) = events.next().await.expect("open").kind {
            return *question;
        }
    }
}

async fn closed(events: &mut Events) -> String {
    loop {
        if let EventKind::QuestionClosed { id } = events.next().await.expect("open").kind {
            return id;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_follows_answers_and_the_first_answer_stands() {
    let shop = Shop::open().await;
    let mut events = shop.till.events();
    let paying = shop.pay("a");
    let open = asked(&mut events).await;
    assert_eq!((open.question.text.as_str(), &open.question.wanted), ("Unterschrift ok?", &Wanted::Confirmation));
    assert_eq!((open.question.default.clone(), open.question.within), (Answer::No, WITHIN));
    assert_eq!(open.intent.as_ref().map(|intent| intent.0.as_str()), Some("a"));

    // Another handle, as that of a handheld.
    let handheld = shop.till.terminal("counter").expect("there");
    assert_eq!(handheld.questions(), std::slice::from_ref(&open));
    let other = handheld.answer(&open.id, Answer::Text("yes".into())).expect_err("another kind of answer");
    assert_eq!(other.kind(), Kind::Input, "{other}");
    assert_eq!(handheld.questions().len(), 1, "it stays open");
    handheld.answer(&open.id, Answer::Yes).expect("answers");
    let second = shop.terminal.answer(&open.id, Answer::No).expect_err("answered");
    assert_eq!(second.kind(), Kind::NotFound, "{second}");
    assert!(matches!(paying.await.expect("ends"), Ok(Payment::Charged(_))));
    assert_eq!(closed(&mut events).await, open.id);
    assert_eq!((shop.stored(), shop.terminal.questions().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_default_stands_in_time() {
    let shop = Shop::open().await;
    // Nobody follows the events: the customer does not wait.
    let begun = Instant::now();
    let declined = |paid: tresen::Result<Payment>| {
        assert!(matches!(&paid, Ok(Payment::NotCharged(_))), "{paid:?}");
    };
    declined(shop.pay("nobody").await.expect("ends"));
    assert!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
    // Somebody follows and says nothing.
    let mut events = shop.till.events();
    let begun = Instant::now();
    let paying = shop.pay("silent");
    let open = asked(&mut events).await;
    declined(paying.await.expect("ends"));
    assert!((WITHIN..2 * WITHIN).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(closed(&mut events).await, open.id);
    assert_eq!((shop.stored(), shop.terminal.questions().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_leaves_the_default_and_the_payment_goes_on() {
    let shop = Shop::open().await;
    let mut events = shop.till.events();
    let begun = Instant::now();
    let paying = shop.pay("left");
    let open = asked(&mut events).await;
    paying.abort();
    assert_eq!(closed(&mut events).await, open.id);
    assert!(begun.elapsed() < WITHIN, "at once: {:?}", begun.elapsed());
    // The same key is the same payment: it has gone on and ended with the default.
    let again = timeout(Duration::from_secs(60), shop.pay("left")).await.expect("in time").expect("ends");
    assert!(matches!(&again, Ok(Payment::NotCharged(_))), "{again:?}");
    assert_eq!(shop.stored(), 0);
}
