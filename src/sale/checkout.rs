//! Money first, then paper, then the books.

use std::sync::Arc;

use tokio::sync::watch;
use tresen_hal::Result;
use tresen_payment::{Charge, IntentId, Payment, Request};
use tresen_printers::{DrawerPin, Receipt};

use super::receipt::Language;
use super::ticket::Ticket;
use crate::manager::{Printer, Terminal};
use crate::spool::Print;
use crate::store::Store;

/// What makes a receipt out of a ticket and its payment.
type Compose = Arc<dyn Fn(&Ticket, &Charge) -> Receipt + Send + Sync>;

/// Pays a ticket by card, prints its receipt and closes it.
///
/// The ticket's id is the key of the payment and of the paper: asked again with the same ticket,
/// after a crash say, nothing is charged and nothing is printed twice.
#[derive(Clone)]
pub struct Checkout {
    store: Store,
    terminal: Terminal,
    printer: Printer,
    compose: Compose,
    drawer: Option<DrawerPin>,
}

/// How a checkout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum Sold {
    /// Paid, and the ticket is closed; what became of the paper stands beside it.
    Paid {
        /// The payment.
        charge: Box<Charge>,
        /// The receipt.
        print: Print,
        /// Why the drawer did not open, if it should have.
        drawer: Option<String>,
    },
    /// Not paid, or not known to be; the ticket is open.
    Open(Payment),
}

impl Checkout {
    pub(crate) fn new(store: Store, terminal: Terminal, printer: Printer, language: Language) -> Self {
        let compose: Compose = Arc::new(move |ticket, charge| ticket.paid_by(charge, language).cut());
        Self { store, terminal, printer, compose, drawer: None }
    }

    /// Composes the receipt in another way: with a logo, a code, the house's words.
    #[must_use]
    pub fn compose(mut self, compose: impl Fn(&Ticket, &Charge) -> Receipt + Send + Sync + 'static) -> Self {
        self.compose = Arc::new(compose);
        self
    }

    /// Opens the drawer after payment.
    #[must_use]
    pub fn drawer(mut self, pin: DrawerPin) -> Self {
        self.drawer = Some(pin);
        self
    }

    /// Pays, prints, closes. Set `abort` to ask the terminal to stop waiting for the customer.
    ///
    /// # Errors
    /// Before payment: nothing was sent. After it: the database cannot be written; the payment
    /// stands in the journal, and asking again with the same ticket goes on from there.
    pub async fn run(&self, ticket: &Ticket, abort: watch::Receiver<bool>) -> Result<Sold> {
        let intent = IntentId(ticket.id().to_owned());
        let request = Request { intent: intent.clone(), amount: ticket.total() };
        let charge = match self.terminal.pay_as(request, abort).await? {
            Payment::Charged(charge) => charge,
            open => return Ok(Sold::Open(open)),
        };
        self.store.close_ticket(ticket, Some(&intent)).await?;
        let print =
            self.printer.print_as(&format!("receipt-{}", ticket.id()), &(self.compose)(ticket, &charge)).await?;
        let drawer = match self.drawer {
            Some(pin) => self.printer.kick_drawer(pin).await.err().map(|e| e.to_string()),
            None => None,
        };
        Ok(Sold::Paid { charge, print, drawer })
    }
}
