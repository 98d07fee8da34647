//! A vendor's own terminal driver that answers wrongly: what it leaves open is in doubt, never "nothing was sent".

use std::future::pending;
use std::sync::Arc;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::watch;
use tresen::hal::{BoxFuture, Driver, Known, Result};
use tresen::payment::{
    Capabilities, Host, Intent, IntentId, Journal, Notice, Operation, OperationKind, Operations, Outcome, Request,
    Settled, TerminalStatus, Transaction,
};
use tresen::testing::Counter;
use tresen::{Amount, Config, Payment, Plan, Terminal, Terminals, Tresen};

/// What a driver that has charged the card tells of it.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// That the day is closed.
    Another,
    /// The outcome of another payment.
    AnotherPayment,
}

struct Own {
    told: Told,
    can: Capabilities,
    journal: Arc<dyn Journal>,
}

impl Driver for Own {
    type Event = Notice;

    fn event(&mut self) -> BoxFuture<'_, Result<Notice>> {
        Box::pin(pending())
    }
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl tresen::payment::Terminal for Own {
    fn capabilities(&self) -> &Capabilities {
        &self.can
    }
    fn login(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn transact<'a>(&'a mut self, operation: Operation, _host: Host) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(async move {
            let (transaction, request) = operation.into_transaction().expect("this test asks for nothing else");
            assert_eq!(transaction, Transaction::Payment);
            let Request { intent: id, amount, .. } = request;
            let intent = Intent::new(id, "counter", transaction, amount, Timestamp::UNIX_EPOCH, None);
            self.journal.intend(&intent).await?;
            Ok(match self.told {
                Told::Another => Outcome::Done(vec!["the day is closed".into()]),
                Told::AnotherPayment => {
                    Outcome::Payment(Payment::unknown(&IntentId("another".into()), "its end was not heard"))
                }
            })
        })
    }
    fn recover(&mut self) -> BoxFuture<'_, Result<Vec<Settled>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn status(&mut self) -> BoxFuture<'_, Result<TerminalStatus>> {
        Box::pin(std::future::ready(Ok(TerminalStatus::default())))
    }
}

async fn shop(told: Told) -> (TempDir, Tresen, Terminal) {
    let folder = tempfile::tempdir().expect("a folder");
    let till = Counter::of(Config::default(), folder.path()).expect("right").open().await.expect("opens");
    let plan = Plan::new("an own terminal", move |context| async move {
        let mut can = Capabilities::default();
        can.operations = Operations::only([(OperationKind::Pay, Known::Yes)]);
        let journal = context.journal.expect("a till has one");
        Ok(Box::new(Own { told, can, journal }) as Box<dyn tresen::payment::Terminal>)
    });
    till.attach::<Terminals>("counter", vec![plan]).await.expect("new");
    let terminal = till.terminal("counter").expect("attached");
    terminal.phase().wait_for(|phase| phase.is_ready()).await.expect("is open");
    (folder, till, terminal)
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_something_else_leaves_the_payment_in_doubt() {
    for (told, says) in
        [(Told::Another, "the outcome of an administrative function"), (Told::AnotherPayment, "`another`")]
    {
        let (_folder, till, terminal) = shop(told).await;
        let (_keep, abort) = watch::channel(false);
        let ended = terminal.pay_as(Request::new("a", Amount::eur(12_50)), abort).await.expect("something was sent");
        let Payment::Unknown(unknown) = &ended else { panic!("{told:?}: {ended:?}") };
        assert_eq!(unknown.intent, IntentId("a".into()), "{told:?}");
        assert!(unknown.why.contains(says), "{told:?}: {}", unknown.why);
        // It stays open, for recovery or a person.
        let open = till.open_payments("counter").await.expect("readable");
        assert_eq!(open.iter().map(|open| open.id.0.as_str()).collect::<Vec<_>>(), ["a"], "{told:?}");
    }
}
