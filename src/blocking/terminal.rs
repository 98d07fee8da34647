//! Payment terminals.

use std::time::Duration;

use tresen_hal::{Amount, Result};
use tresen_payment::{
    AgeCheck, Answer, Capabilities, Card, Decision, EndOfDay, IntentId, Payment, Question, Request, Settled,
    TerminalStatus, Totals,
};

use super::{Abort, Device};
use crate::api::terminal;
use crate::manager::{OpenQuestion, Terminals};

/// A payment terminal, as [`crate::Terminal`].
pub type Terminal = Device<Terminals>;

impl Device<Terminals> {
    /// Takes a payment and waits until it is decided.
    ///
    /// # Errors
    /// Nothing was sent to the terminal; see [`crate::Terminal::pay`].
    pub fn pay(&self, amount: Amount) -> Result<Payment> {
        self.0.ask(terminal::Pay { terminal: self.terminal(), amount, key: None })
    }

    /// Takes a payment under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn pay_as(&self, request: Request, abort: &Abort) -> Result<Payment> {
        let (amount, key) = (request.amount, Some(request.intent.0));
        self.0.ask_until(terminal::Pay { terminal: self.terminal(), amount, key }, abort)
    }

    /// As [`Terminal::pay_as`], but refused instead of queued while the terminal is busy.
    ///
    /// # Errors
    /// As [`crate::Terminal::try_pay_as`].
    pub fn try_pay_as(&self, request: Request, abort: &Abort) -> Result<Payment> {
        let (amount, key) = (request.amount, Some(request.intent.0));
        self.0.ask_until(terminal::TryPay { terminal: self.terminal(), amount, key }, abort)
    }

    /// Refunds an amount under a new key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn refund(&self, amount: Amount) -> Result<Payment> {
        self.0.ask(terminal::Refund { terminal: self.terminal(), amount, key: None })
    }

    /// Refunds an amount under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn refund_as(&self, request: Request, abort: &Abort) -> Result<Payment> {
        let (amount, key) = (request.amount, Some(request.intent.0));
        self.0.ask_until(terminal::Refund { terminal: self.terminal(), amount, key }, abort)
    }

    /// Holds an amount under a new key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn pre_authorise(&self, amount: Amount) -> Result<Payment> {
        self.0.ask(terminal::PreAuthorise { terminal: self.terminal(), amount, key: None })
    }

    /// Holds an amount under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn pre_authorise_as(&self, request: Request, abort: &Abort) -> Result<Payment> {
        let (amount, key) = (request.amount, Some(request.intent.0));
        self.0.ask_until(terminal::PreAuthorise { terminal: self.terminal(), amount, key }, abort)
    }

    /// Loads a prepaid card or account under a new key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn top_up(&self, product: Option<&str>, amount: Amount) -> Result<Payment> {
        let product = product.map(str::to_owned);
        self.0.ask(terminal::TopUp { terminal: self.terminal(), amount, product, key: None })
    }

    /// Loads a prepaid card or account under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn top_up_as(&self, product: Option<&str>, request: Request, abort: &Abort) -> Result<Payment> {
        let (product, amount, key) = (product.map(str::to_owned), request.amount, Some(request.intent.0));
        self.0.ask_until(terminal::TopUp { terminal: self.terminal(), amount, product, key }, abort)
    }

    /// Has the terminal read a card; no money moves.
    ///
    /// # Errors
    /// As [`crate::Terminal::read_card`].
    pub fn read_card(&self, within: Duration) -> Result<Card> {
        self.0.ask(terminal::ReadCard { terminal: self.terminal(), within: Some(within) })
    }

    /// Shows a text at the terminal.
    ///
    /// # Errors
    /// As [`crate::Terminal::display`].
    pub fn display(&self, text: &str, within: Duration) -> Result<()> {
        self.0.ask(terminal::Display { terminal: self.terminal(), text: text.to_owned(), within: Some(within) })
    }

    /// Asks whoever stands at the terminal.
    ///
    /// # Errors
    /// As [`crate::Terminal::input`].
    pub fn input(&self, question: Question) -> Result<Answer> {
        self.0.ask(terminal::Input { terminal: self.terminal(), question })
    }

    /// Prints a text on the terminal's own printer.
    ///
    /// # Errors
    /// As [`crate::Terminal::print`].
    pub fn print(&self, text: &str) -> Result<()> {
        self.0.ask(terminal::Print { terminal: self.terminal(), text: text.to_owned() })
    }

    /// Has the terminal find out from a card whether its holder has reached an age, in years.
    ///
    /// # Errors
    /// As [`crate::Terminal::age_check`].
    pub fn age_check(&self, years: u8, within: Duration) -> Result<AgeCheck> {
        self.0.ask(terminal::AgeCheck { terminal: self.terminal(), years, within: Some(within) })
    }

    /// Requests the transaction with this key to abort, whoever started it; false if there is none.
    pub fn abort(&self, key: &IntentId) -> bool {
        self.0.inner.abort(key)
    }

    /// The terminal's questions that wait for an answer.
    pub fn questions(&self) -> Vec<OpenQuestion> {
        self.0.inner.questions()
    }

    /// Answers a question of the terminal.
    ///
    /// # Errors
    /// As [`crate::Terminal::answer`].
    pub fn answer(&self, question: &str, answer: Answer) -> Result<()> {
        self.0.inner.answer(question, answer)
    }

    /// Settles open payments by asking the terminal.
    ///
    /// # Errors
    /// The terminal cannot be reached; the payments stay open.
    pub fn recover(&self) -> Result<Vec<Settled>> {
        self.0.ask(terminal::Recover { terminal: self.terminal() })
    }

    /// Settles an open payment by hand.
    ///
    /// # Errors
    /// As [`crate::Terminal::settle`].
    pub fn settle(&self, intent: &IntentId, decision: Decision) -> Result<Payment> {
        self.0.ask(terminal::Settle { key: intent.clone(), decision, terminal: Some(self.terminal()) })
    }

    /// The transaction being served.
    pub fn serving(&self) -> Option<IntentId> {
        self.0.inner.serving()
    }

    /// Runs the end of day.
    ///
    /// # Errors
    /// The terminal cannot be reached or refuses.
    pub fn end_of_day(&self) -> Result<EndOfDay> {
        self.0.ask(terminal::EndOfDay { terminal: self.terminal() })
    }

    /// The terminal's turnover since the last end of day.
    ///
    /// # Errors
    /// As [`crate::Terminal::totals`].
    pub fn totals(&self) -> Result<Totals> {
        self.0.ask(terminal::Totals { terminal: self.terminal() })
    }

    /// Has the terminal call its network operator.
    ///
    /// # Errors
    /// As [`crate::Terminal::diagnose`].
    pub fn diagnose(&self) -> Result<Vec<String>> {
        self.0.ask(terminal::Diagnose { terminal: self.terminal() })
    }

    /// Has the terminal initialised at its host.
    ///
    /// # Errors
    /// As [`crate::Terminal::initialise`].
    pub fn initialise(&self) -> Result<Vec<String>> {
        self.0.ask(terminal::Initialise { terminal: self.terminal() })
    }

    /// Repeats the last receipt.
    ///
    /// # Errors
    /// The terminal cannot be reached or has none.
    pub fn repeat_receipt(&self) -> Result<Vec<String>> {
        self.0.ask(terminal::RepeatReceipt { terminal: self.terminal() })
    }

    /// Queries the terminal's status.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn status(&self) -> Result<TerminalStatus> {
        self.0.ask(terminal::Status { terminal: self.terminal() })
    }

    /// The terminal's capabilities; `None` until first connected.
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.0.inner.capabilities()
    }

    fn terminal(&self) -> String {
        self.name().to_owned()
    }
}
