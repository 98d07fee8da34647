//! Transactions at a payment terminal that name an earlier one.

use tresen_hal::{Amount, Result};
use tresen_payment::{Payment, Reference, Request};

use super::{Abort, Terminal};
use crate::api::terminal;

impl Terminal {
    /// Reverses a payment, under a new key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn reverse(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (terminal, reference) = (self.name().to_owned(), reference.clone());
        self.0.ask(terminal::Reverse { terminal, reference, amount, key: None })
    }

    /// Reverses a payment, under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn reverse_as(&self, reference: &Reference, request: Request, abort: &Abort) -> Result<Payment> {
        let (terminal, reference, amount) = (self.name().to_owned(), reference.clone(), request.amount);
        self.0.ask_until(terminal::Reverse { terminal, reference, amount, key: Some(request.intent.0) }, abort)
    }

    /// Adds to what a pre-authorisation holds, under a new key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn increment(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (terminal, reference) = (self.name().to_owned(), reference.clone());
        self.0.ask(terminal::Increment { terminal, reference, amount, key: None })
    }

    /// Adds to what a pre-authorisation holds, under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn increment_as(&self, reference: &Reference, request: Request, abort: &Abort) -> Result<Payment> {
        let (terminal, reference, amount) = (self.name().to_owned(), reference.clone(), request.amount);
        self.0.ask_until(terminal::Increment { terminal, reference, amount, key: Some(request.intent.0) }, abort)
    }

    /// Charges what a pre-authorisation holds, or a part, and releases the rest, under a new key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn book(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (terminal, reference) = (self.name().to_owned(), reference.clone());
        self.0.ask(terminal::Book { terminal, reference, amount, key: None })
    }

    /// Charges what a pre-authorisation holds, or a part, and releases the rest, under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn book_as(&self, reference: &Reference, request: Request, abort: &Abort) -> Result<Payment> {
        let (terminal, reference, amount) = (self.name().to_owned(), reference.clone(), request.amount);
        self.0.ask_until(terminal::Book { terminal, reference, amount, key: Some(request.intent.0) }, abort)
    }

    /// Releases what a pre-authorisation holds, under a new key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn release(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (terminal, reference) = (self.name().to_owned(), reference.clone());
        self.0.ask(terminal::Release { terminal, reference, amount, key: None })
    }

    /// Releases what a pre-authorisation holds, under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn release_as(&self, reference: &Reference, request: Request, abort: &Abort) -> Result<Payment> {
        let (terminal, reference, amount) = (self.name().to_owned(), reference.clone(), request.amount);
        self.0.ask_until(terminal::Release { terminal, reference, amount, key: Some(request.intent.0) }, abort)
    }

    /// Adds a tip to a payment, under a new key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn tip(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (terminal, reference) = (self.name().to_owned(), reference.clone());
        self.0.ask(terminal::Tip { terminal, reference, amount, key: None })
    }

    /// Adds a tip to a payment, under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn tip_as(&self, reference: &Reference, request: Request, abort: &Abort) -> Result<Payment> {
        let (terminal, reference, amount) = (self.name().to_owned(), reference.clone(), request.amount);
        self.0.ask_until(terminal::Tip { terminal, reference, amount, key: Some(request.intent.0) }, abort)
    }
}
