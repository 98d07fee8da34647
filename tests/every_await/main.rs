//! A caller who leaves, or a process that ends, at each suspension of an operation in turn: what has begun is whole, no
//! money moves twice, no paper is printed twice, no lease stays, and whoever comes next can finish the sale.

#[path = "../common/mod.rs"]
mod common;
mod dropped;
mod killed;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use common::desk::Desk;
use tokio::sync::watch;
use tresen::payment::zvt::sim::Profile;
use tresen::sale::{Line, Sale, Vat};
use tresen::{Amount, SaleState, Tresen};

const PRICE: Amount = Amount::eur(1_00);
const CASH: Amount = Amount::eur(40);

/// Polls a future at most `polls` times and drops it then; `None` if it had not ended.
struct Polled<F>(Option<Pin<Box<F>>>, usize);

impl<F: Future> Polled<F> {
    fn new(future: F, polls: usize) -> Self {
        Self(Some(Box::pin(future)), polls)
    }
}

impl<F: Future> Future for Polled<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polls = self.1;
        if let Some(future) = self.0.as_mut().filter(|_| polls > 0) {
            if let Poll::Ready(done) = future.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            self.1 -= 1;
        }
        if self.1 > 0 {
            return Poll::Pending;
        }
        self.0 = None;
        Poll::Ready(None)
    }
}

/// A counter with a printer, a kitchen and a terminal.
fn counter() -> Counter {
    let mut desk = Desk::new();
    let printer = desk.printer("receipt", "", common::epson());
    let kitchen = desk.printer("stove", "", common::epson());
    desk.configure("[routes.kitchen]\nprinters = ['stove']\ngroups = ['kitchen']");
    let profile = Profile { pace: Duration::from_millis(200), ..Profile::default() };
    let terminal = desk.terminal("counter", profile);
    Counter { desk, printer, kitchen, terminal }
}

struct Counter {
    desk: Desk,
    printer: std::sync::Arc<common::desk::Place<tresen::printers::escpos::sim::Simulator>>,
    kitchen: std::sync::Arc<common::desk::Place<tresen::printers::escpos::sim::Simulator>>,
    terminal: std::sync::Arc<common::desk::Place<tresen::payment::zvt::sim::Simulator>>,
}

impl Counter {
    /// What the terminal has charged, in minor units.
    fn charged(&self) -> i64 {
        self.terminal.with(|terminal| terminal.ledger().turnover())
    }

    /// Sheets printed since the last look.
    fn sheets(&self) -> [usize; 2] {
        [&self.printer, &self.kitchen].map(|printer| printer.with(|printer| printer.take_sheets().len()))
    }
}

fn no_abort() -> watch::Receiver<bool> {
    watch::channel(false).1
}

fn soup() -> Line {
    Line::pieces("Soup", 1, PRICE, Vat::percent(19)).expect("fits").group("kitchen")
}

/// A whole sale: leased, ordered, parked, resumed, paid with two tenders, closed. It tells its id as soon as it has one.
async fn sell(till: &Tresen, id: &std::cell::RefCell<Option<String>>) -> tresen::Result<()> {
    let mut sale = till.open_sale().await?;
    id.replace(Some(sale.id().to_owned()));
    let lease = till.lease(&sale).await?;
    sale.add(soup()).await?;
    till.order(&mut sale).await?;
    sale.park("table 7").await?;
    sale.resume().await?;
    sale.pay_cash(CASH).await?;
    let _ = sale.pay_card(&till.terminal("counter")?, no_abort()).await?;
    let _ = till.checkout("receipt")?.close(&mut sale).await?;
    lease.release().await.map(drop)
}

/// What a sale took by card, in minor units.
fn by_card(sale: &Sale) -> i64 {
    sale.tenders().iter().filter(|tender| tender.intent.is_some()).map(|tender| tender.taken.minor()).sum()
}

/// Does what is missing of a sale, as the next person at the counter does.
async fn finish(till: &Tresen, sale: &mut Sale) {
    sale.refresh().await.expect("readable");
    assert!(!sale.is_pending(), "every attempt has its outcome: {:?}", sale.tenders());
    if sale.state() == SaleState::Open {
        if sale.parked().is_some() {
            sale.resume().await.expect("parked");
        }
        if sale.ticket().lines().is_empty() {
            sale.add(soup()).await.expect("open");
        }
        till.order(sale).await.expect("stored");
        let open = sale.open_amount();
        if open.minor() > 0 {
            sale.pay_cash(open).await.expect("taken");
        }
    }
}
