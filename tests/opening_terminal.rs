//! A till that was started again asks its terminal about open payments, for as long as that takes. Who pays meanwhile waits.

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::Instant;
use tresen::hal::{BoxFuture, Driver, Error, Known, Result};
use tresen::payment::{
    Capabilities, Charge, Host, Intent, Journal, Notice, Operation, OperationKind, Operations, Outcome, Request,
    Settled, TerminalStatus,
};
use tresen::testing::Counter;
use tresen::{Amount, Config, Effect, EventKind, Kind, Payment, Plan, Terminal, Terminals, Tresen};

const PRICE: Amount = Amount::eur(12_50);
/// How long the terminal takes to answer for open payments.
const RECOVERY: Duration = Duration::from_secs(45);

struct Slow {
    can: Capabilities,
    journal: Arc<dyn Journal>,
    paid: Arc<AtomicUsize>,
    /// It answers nothing of open payments in the end.
    broken: bool,
}

impl Driver for Slow {
    type Event = Notice;

    fn event(&mut self) -> BoxFuture<'_, Result<Notice>> {
        Box::pin(pending())
    }
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

impl tresen::payment::Terminal for Slow {
    fn capabilities(&self) -> &Capabilities {
        &self.can
    }
    fn login(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(ready(Ok(())))
    }
    fn transact<'a>(&'a mut self, operation: Operation, _host: Host) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(async move {
            let (transaction, request) = operation.into_transaction().expect("this test asks for nothing else");
            let Request { intent: id, amount, .. } = request;
            let intent = Intent::new(id.clone(), "counter", transaction, amount, Timestamp::UNIX_EPOCH, None);
            self.journal.intend(&intent).await?;
            self.paid.fetch_add(1, SeqCst);
            let payment = Payment::charged(Charge::new(id.clone(), amount), amount);
            self.journal.conclude(&id, &payment).await?;
            Ok(Outcome::Payment(payment))
        })
    }
    fn recover(&mut self) -> BoxFuture<'_, Result<Vec<Settled>>> {
        Box::pin(async {
            tokio::time::sleep(RECOVERY).await;
            match self.broken {
                true => Err(Error::new(Kind::Closed, "the terminal hung up")),
                false => Ok(Vec::new()),
            }
        })
    }
    fn status(&mut self) -> BoxFuture<'_, Result<TerminalStatus>> {
        Box::pin(ready(Ok(TerminalStatus::default())))
    }
}

struct Shop {
    till: Tresen,
    terminal: Terminal,
    paid: Arc<AtomicUsize>,
    _folder: TempDir,
}

impl Shop {
    /// A till whose terminal is being opened.
    async fn opening(broken: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let till = Counter::of(Config::default(), folder.path()).expect("right").open().await.expect("opens");
        let paid = Arc::new(AtomicUsize::new(0));
        let counted = paid.clone();
        let plan = Plan::new("a slow terminal", move |context| {
            let paid = counted.clone();
            async move {
                let mut can = Capabilities::default();
                can.operations = Operations::only([(OperationKind::Pay, Known::Yes)]);
                let journal = context.journal.expect("a till has one");
                Ok(Box::new(Slow { can, journal, paid, broken }) as Box<dyn tresen::payment::Terminal>)
            }
        });
        till.attach::<Terminals>("counter", vec![plan]).await.expect("new");
        let terminal = till.terminal("counter").expect("attached");
        Self { till, terminal, paid, _folder: folder }
    }

    async fn pay(&self, id: &str, abort: watch::Receiver<bool>) -> Result<Payment> {
        self.terminal.pay_as(Request::new(id, PRICE), abort).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_payment_waits_until_its_terminal_was_asked_about_open_ones() {
    let shop = Shop::opening(false).await;
    let mut events = shop.till.events();
    let (_keep, abort) = watch::channel(false);
    let begun = Instant::now();
    let payment = shop.pay("sale", abort).await.expect("it waits");
    assert!(matches!(payment, Payment::Charged(_)), "{payment:?}");
    assert!(begun.elapsed() > RECOVERY - Duration::from_secs(5), "{:?}", begun.elapsed());
    let waits = async {
        loop {
            if let EventKind::PaymentWaits { intent, behind } = events.next().await.expect("the till is open").kind {
                return (intent.0, behind);
            }
        }
    };
    assert_eq!(waits.await, ("sale".to_owned(), None));
    // The next one does not wait.
    let (_keep, abort) = watch::channel(false);
    let begun = Instant::now();
    let next = shop.pay("next", abort).await.expect("pays");
    assert!(matches!(next, Payment::Charged(_)), "{next:?}");
    assert!(begun.elapsed() < Duration::from_secs(1) && shop.paid.load(SeqCst) == 2);
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_the_wait_and_nothing_is_sent() {
    let shop = Shop::opening(false).await;
    let (wish, abort) = watch::channel(false);
    let begun = Instant::now();
    let (ended, ()) = tokio::join!(shop.pay("sale", abort), async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        wish.send_replace(true);
    });
    let error = ended.expect_err("it was aborted");
    assert_eq!((error.kind(), error.effect()), (Kind::Cancelled, Effect::None), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
    shop.terminal.phase().wait_for(|phase| phase.is_ready()).await.expect("is open");
    assert_eq!(shop.paid.load(SeqCst), 0);
    // The key is free: nothing was journalled.
    let (_keep, abort) = watch::channel(false);
    assert!(matches!(shop.pay("sale", abort).await, Ok(Payment::Charged(_))));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_cannot_be_opened_refuses_with_the_reason() {
    let shop = Shop::opening(true).await;
    let (_keep, abort) = watch::channel(false);
    let error = shop.pay("sale", abort).await.expect_err("it hung up");
    assert_eq!(error.effect(), Effect::None);
    assert!(error.to_string().contains("the terminal hung up"), "{error}");
    assert_eq!(shop.paid.load(SeqCst), 0);
}
