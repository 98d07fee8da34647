//! Binds sessions to connections and a journal: the [`Terminal`](class::Terminal) of nexo.
//!
//! [`open`] asks the terminal how it is; call `recover` next. The driver holds no link: each request has a connection of
//! its own, so it is never spent.

mod asking;
mod device;
mod exchange;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tresen_hal::link::Connect;
use tresen_hal::{BoxFuture, Driver, Known, Result, Runtime};

use super::crypto::Key;
use super::listener::{Attached, Listener, attach};
use super::options::Options;
use super::reference::number;
use super::wire::{Body, Category, Class, Direction, Header, Message};
use crate::host::Host;
use crate::journal::Journal;
use crate::operation::{Operation, OperationKind, Outcome};
use crate::terminal::{self as class, Capabilities, Notice, Operations, Settled, TerminalStatus};
use exchange::told;

/// A nexo terminal.
#[derive(Debug)]
pub struct Terminal {
    connect: Arc<dyn Connect>,
    options: Options,
    journal: Arc<dyn Journal>,
    runtime: Arc<dyn Runtime>,
    capabilities: Capabilities,
    /// Its end of the place where the till listens.
    listener: Option<Attached>,
    /// What was told while nothing was asked that it belongs to.
    notices: VecDeque<Notice>,
}

/// What is known of terminals that speak nexo as Adyen has it.
const OPERATIONS: &[(OperationKind, Known)] = &[
    (OperationKind::Pay, Known::Yes),
    // The merchant's account decides.
    (OperationKind::Refund, Known::Unknown),
    (OperationKind::Reversal, Known::Yes),
    (OperationKind::Reprint, Known::Yes),
    (OperationKind::Diagnosis, Known::Unknown),
    // Not all terminals have a display, keys or a printer.
    (OperationKind::Display, Known::Unknown),
    (OperationKind::Input, Known::Unknown),
    (OperationKind::Print, Known::Unknown),
];

/// Asks the terminal that `connect` reaches how it is: this proves that it has the key and is the one with the `POIID`
/// of the options. Nothing that moves money is sent.
///
/// Call [`recover`](class::Terminal::recover) next. What the terminal tells meanwhile comes over `listener`.
///
/// # Errors
/// The terminal cannot be reached, does not have the key, is another one, or does not answer within
/// [`Options::answer`].
pub async fn open(
    connect: Arc<dyn Connect>,
    listener: Option<Arc<Listener>>,
    options: Options,
    journal: Arc<dyn Journal>,
    runtime: Arc<dyn Runtime>,
) -> Result<Terminal> {
    let capabilities = Capabilities {
        operations: Operations::only(OPERATIONS.iter().copied()),
        abort: Known::Yes,
        partial: options.partial.into(),
        receipt_text: Known::Yes,
    };
    let listener = listener.map(|listener| attach(&listener, &options));
    let notices = VecDeque::new();
    let mut terminal = Terminal { connect, options, journal, runtime, capabilities, listener, notices };
    terminal.diagnose(false).await?;
    Ok(terminal)
}

impl Terminal {
    /// A request of this till. Without an id it gets one of its own.
    fn message(&self, category: Category, service_id: Option<String>, body: Body) -> Message {
        let service_id = service_id.unwrap_or_else(|| number(self.runtime.random()));
        let header = Header {
            protocol_version: Some("3.0".into()),
            class: Class::Service,
            category,
            direction: Direction::Request,
            sale_id: Some(self.options.sale.clone()),
            service_id: Some(service_id),
            poi_id: Some(self.options.poi.clone()),
        };
        Message { header, body }
    }

    /// The key with a new nonce.
    fn seal(&self) -> Option<(&Key, [u8; 16])> {
        let key = self.options.key.as_ref()?;
        let mut nonce = [0; 16];
        let (first, second) = nonce.split_at_mut(8);
        first.copy_from_slice(&self.runtime.random().to_be_bytes());
        second.copy_from_slice(&self.runtime.random().to_be_bytes());
        Some((key, nonce))
    }

    fn now(&self) -> Instant {
        self.runtime.now()
    }

    async fn operate(&mut self, operation: Operation, host: Host) -> Result<Outcome> {
        match operation.into_transaction() {
            Ok((transaction, _)) if self.capabilities.of(transaction.kind()).is_no() => {
                Err(transaction.kind().unsupported().at(&self.options.name))
            }
            Ok((transaction, request)) => self.pay(transaction, request, host).await.map(Outcome::Payment),
            Err(Operation::Reprint) => self.receipt_again().await.map(Outcome::Receipt),
            Err(Operation::Display { text, within }) => {
                self.show(&text, within).await.map(|()| Outcome::Done(Vec::new()))
            }
            Err(Operation::Input { question }) => self.ask_there(question, host).await.map(Outcome::Answer),
            Err(Operation::Print { text }) => self.print(&text).await.map(|()| Outcome::Done(Vec::new())),
            Err(Operation::Diagnosis) => self.try_host().await.map(|()| Outcome::Done(Vec::new())),
            Err(other) => Err(other.kind().unsupported().at(&self.options.name)),
        }
    }
}

impl Driver for Terminal {
    type Event = Notice;

    fn event(&mut self) -> BoxFuture<'_, Result<Notice>> {
        Box::pin(async move {
            match self.notices.pop_front() {
                Some(notice) => Ok(notice),
                None => Ok(Notice::Text(told(&mut self.listener).await.text)),
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl class::Terminal for Terminal {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn login(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.diagnose(false).await.map(drop) })
    }

    fn transact<'a>(&'a mut self, operation: Operation, host: Host) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(self.operate(operation, host))
    }

    fn recover(&mut self) -> BoxFuture<'_, Result<Vec<Settled>>> {
        Box::pin(self.settle())
    }

    fn status(&mut self) -> BoxFuture<'_, Result<TerminalStatus>> {
        Box::pin(self.how_it_is())
    }
}
