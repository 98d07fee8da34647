//! The record of privileged calls: before they begin, and how they ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tresen::api::{printer, terminal};
use tresen::{Amount, Payment};
use tresen_hal::{BoxFuture, Effect, Error, Kind, Result};
use tresen_remote::client::Client;
use tresen_remote::server::{Options, Server};
use tresen_remote::trust::memory::Guests;
use tresen_remote::trust::{Audit, Gate, Principal};

use super::shop::{Memory, Shop, options};

#[tokio::test(start_paused = true)]
async fn a_privileged_call_is_recorded_before_it_begins_and_when_it_ends() {
    let shop = Shop::open().await;
    shop.counter.terminal("counter").expect("there").with(|terminal| {
        terminal.profile_mut().pace = Duration::from_secs(2);
    });
    let client = shop.client("anna").await;
    let refund = terminal::Refund { terminal: "counter".into(), amount: Amount::eur(1_00), key: None };
    let refunding = client.call_as("r-1", refund);
    let looking = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        (shop.gate.begun(), shop.gate.record())
    };
    let (refunded, (begun, record)) = tokio::join!(refunding, looking);
    assert!(matches!(refunded, Ok(Payment::Charged(_))), "{refunded:?}");
    assert_eq!(record, [], "it was still running");
    assert_eq!((begun.len(), begun[0].action.as_str(), begun[0].key.as_deref()), (1, "terminal.refund", Some("r-1")));
    assert_eq!(shop.gate.record(), begun, "it is done");
    // Given again under its key: it was not made again.
    let refund = terminal::Refund { terminal: "counter".into(), amount: Amount::eur(1_00), key: None };
    assert!(matches!(client.call_as("r-1", refund).await, Ok(Payment::Charged(_))));
    assert_eq!(shop.gate.begun().len(), 1);
}

/// A gate whose record is full.
pub(crate) struct Full(pub(crate) Arc<Guests>);

impl Gate for Full {
    fn by_certificate(&self, der: &[u8]) -> BoxFuture<'_, Result<Principal>> {
        self.0.by_certificate(der)
    }

    fn by_token(&self, token: &str, origin: Option<&str>) -> BoxFuture<'_, Result<Principal>> {
        self.0.by_token(token, origin)
    }

    fn is_known(&self, name: &str) -> BoxFuture<'_, Result<bool>> {
        self.0.is_known(name)
    }

    fn revoked(&self) -> watch::Receiver<u64> {
        self.0.revoked()
    }

    fn note(&self, entry: Audit) -> BoxFuture<'_, ()> {
        self.0.note(entry)
    }

    fn begin(&self, _: &Audit) -> BoxFuture<'_, Result<i64>> {
        Box::pin(async { Err(Error::new(Kind::Storage, "the disk is full")) })
    }

    fn end(&self, _: i64, _: Audit) -> BoxFuture<'_, ()> {
        unreachable!("nothing has begun")
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recorded_is_not_done() {
    let shop = Shop::open().await;
    let gate = Arc::new(Full(shop.gate.clone()));
    let server = Arc::new(Server::start(&shop.till, gate, Options::default()).expect("starts"));
    let client = Client::connect(Memory(server), options("anna")).await.expect("let in");
    let kick = printer::KickDrawer { printer: "receipt".into(), pin: Default::default() };
    let error = client.call_as("k", kick).await.expect_err("not recorded");
    assert_eq!((error.kind(), error.effect()), (Kind::Storage, Effect::None), "{error}");
    assert_eq!(shop.counter.printer("receipt").expect("there").with(|printer| printer.kicked()), 0);
    // What is not privileged goes on.
    let pay = terminal::Pay { terminal: "counter".into(), amount: Amount::eur(1_00), key: None };
    assert!(matches!(client.call_as("p", pay).await, Ok(Payment::Charged(_))));
}
