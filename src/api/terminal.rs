//! Payment terminals.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Result};
use tresen_payment::{
    self as payment, Card, Decision, Intent, IntentId, Payment, Question, Reference, Request, Settled, Transaction,
};

use super::{Command, Need, Right};
use crate::manager::{OpenQuestion, Terminal, made_before};
use crate::store::StoredPayment;
use crate::tresen::Tresen;

/// Transactions with an amount and a key.
macro_rules! transactions {
    ($($(#[$doc:meta])* $command:ident $name:literal $right:ident $run:ident $transaction:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// The terminal's name.
            pub terminal: String,
            /// The amount.
            pub amount: Amount,
            /// The transaction's key, chosen by the caller: repeating the command with the same key is the same
            /// transaction. Generated if absent; the command cannot be repeated then.
            #[serde(default)]
            pub key: Option<String>,
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            const RIGHT: Right = Right::$right;
            const CHANGES: bool = true;
            type Reply = Payment;

            fn device(&self) -> Option<&str> {
                Some(&self.terminal)
            }

            fn key_slot(&mut self) -> Option<&mut Option<String>> {
                Some(&mut self.key)
            }

            async fn run(self, till: &Tresen) -> Result<Payment> {
                let request = request(till, self.key, self.amount);
                match till.terminal(&self.terminal) {
                    Ok(terminal) => terminal.$run(request, till.abort()).await,
                    Err(gone) => made_before(till.store(), &self.terminal, &Transaction::$transaction, &request, gone).await,
                }
            }
        }
    )*};
}

transactions! {
    /// Takes a payment: [`Terminal::pay_as`].
    Pay "terminal.pay" Pay pay_as Payment;
    /// Takes a payment; refused if the terminal is busy with another one: [`Terminal::try_pay_as`].
    TryPay "terminal.try-pay" Pay try_pay_as Payment;
    /// Refunds an amount without reference to a payment: [`Terminal::refund_as`].
    Refund "terminal.refund" Refund refund_as Refund;
    /// Holds an amount: [`Terminal::pre_authorise_as`].
    PreAuthorise "terminal.pre-authorise" Pay pre_authorise_as PreAuthorisation;
}

/// Transactions that name an earlier one.
macro_rules! follow_ups {
    ($($(#[$doc:meta])* $command:ident $name:literal $right:ident $run:ident $transaction:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// The terminal's name.
            pub terminal: String,
            /// The reference of the earlier charge.
            pub reference: Reference,
            /// The amount.
            pub amount: Amount,
            /// The transaction's key, as in `terminal.pay`.
            #[serde(default)]
            pub key: Option<String>,
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            const RIGHT: Right = Right::$right;
            const CHANGES: bool = true;
            type Reply = Payment;

            fn device(&self) -> Option<&str> {
                Some(&self.terminal)
            }

            fn key_slot(&mut self) -> Option<&mut Option<String>> {
                Some(&mut self.key)
            }

            async fn run(self, till: &Tresen) -> Result<Payment> {
                let request = request(till, self.key, self.amount);
                match till.terminal(&self.terminal) {
                    Ok(terminal) => terminal.$run(&self.reference, request, till.abort()).await,
                    Err(gone) => {
                        let transaction = Transaction::$transaction { reference: self.reference };
                        made_before(till.store(), &self.terminal, &transaction, &request, gone).await
                    }
                }
            }
        }
    )*};
}

follow_ups! {
    /// Reverses a payment: [`Terminal::reverse_as`].
    Reverse "terminal.reverse" Refund reverse_as Reversal;
    /// Adds to what a pre-authorisation holds: [`Terminal::increment_as`].
    Increment "terminal.increment" Pay increment_as Increment;
    /// Charges what a pre-authorisation holds, or a part: [`Terminal::book_as`].
    Book "terminal.book" Pay book_as Booking;
    /// Releases what a pre-authorisation holds: [`Terminal::release_as`].
    Release "terminal.release" Pay release_as Release;
    /// Adds a tip to a payment: [`Terminal::tip_as`].
    Tip "terminal.tip" Pay tip_as Tip;
}

/// Loads a prepaid card or account: [`Terminal::top_up_as`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// The terminal's name.
    pub terminal: String,
    /// The amount.
    pub amount: Amount,
    /// Which product, as the protocol names it; absent where the terminal asks.
    #[serde(default)]
    pub product: Option<String>,
    /// The transaction's key, as in `terminal.pay`.
    #[serde(default)]
    pub key: Option<String>,
}

impl Command for TopUp {
    const NAME: &'static str = "terminal.top-up";
    const RIGHT: Right = Right::Pay;
    const CHANGES: bool = true;
    type Reply = Payment;

    fn device(&self) -> Option<&str> {
        Some(&self.terminal)
    }

    fn key_slot(&mut self) -> Option<&mut Option<String>> {
        Some(&mut self.key)
    }

    async fn run(self, till: &Tresen) -> Result<Payment> {
        let request = request(till, self.key, self.amount);
        match till.terminal(&self.terminal) {
            Ok(terminal) => terminal.top_up_as(self.product.as_deref(), request, till.abort()).await,
            Err(gone) => {
                let transaction = Transaction::TopUp { product: self.product };
                made_before(till.store(), &self.terminal, &transaction, &request, gone).await
            }
        }
    }
}

/// Has the terminal read a card; no money moves: [`Terminal::read_card`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReadCard {
    /// The terminal's name.
    pub terminal: String,
    /// How long the terminal waits for a card, in milliseconds; default 30 s.
    #[serde(rename = "within_ms", with = "super::millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for ReadCard {
    const NAME: &'static str = "terminal.read-card";
    const RIGHT: Right = Right::Pay;
    const CHANGES: bool = true;
    type Reply = Card;

    fn device(&self) -> Option<&str> {
        Some(&self.terminal)
    }

    async fn run(self, till: &Tresen) -> Result<Card> {
        till.terminal(&self.terminal)?.read_card(self.within.unwrap_or(CARD)).await
    }
}

/// Shows a text at the terminal: [`Terminal::display`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Display {
    /// The terminal's name.
    pub terminal: String,
    /// Lines of it are separate.
    pub text: String,
    /// For how long, in milliseconds; default 5 s.
    #[serde(rename = "within_ms", with = "super::millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for Display {
    const NAME: &'static str = "terminal.display";
    const RIGHT: Right = Right::Pay;
    const CHANGES: bool = true;
    type Reply = ();

    fn device(&self) -> Option<&str> {
        Some(&self.terminal)
    }

    async fn run(self, till: &Tresen) -> Result<()> {
        till.terminal(&self.terminal)?.display(&self.text, self.within.unwrap_or(SHOWN)).await
    }
}

/// Asks whoever stands at the terminal: [`Terminal::input`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The terminal's name.
    pub terminal: String,
    /// What to ask, what kind of answer is wanted, the default, and how long to wait.
    pub question: Question,
}

impl Command for Input {
    const NAME: &'static str = "terminal.input";
    const RIGHT: Right = Right::Pay;
    const CHANGES: bool = true;
    type Reply = tresen_payment::Answer;

    fn device(&self) -> Option<&str> {
        Some(&self.terminal)
    }

    async fn run(self, till: &Tresen) -> Result<tresen_payment::Answer> {
        till.terminal(&self.terminal)?.input(self.question).await
    }
}

/// Prints a text on the terminal's own printer: [`Terminal::print`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Print {
    /// The terminal's name.
    pub terminal: String,
    /// Lines of it are separate.
    pub text: String,
}

impl Command for Print {
    const NAME: &'static str = "terminal.print";
    const RIGHT: Right = Right::Pay;
    const CHANGES: bool = true;
    type Reply = ();

    fn device(&self) -> Option<&str> {
        Some(&self.terminal)
    }

    async fn run(self, till: &Tresen) -> Result<()> {
        till.terminal(&self.terminal)?.print(&self.text).await
    }
}

/// Has the terminal find out from a card whether its holder has reached an age: [`Terminal::age_check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AgeCheck {
    /// The terminal's name.
    pub terminal: String,
    /// In years.
    pub years: u8,
    /// How long the terminal waits for a card, in milliseconds; default 30 s.
    #[serde(rename = "within_ms", with = "super::millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for AgeCheck {
    const NAME: &'static str = "terminal.age-check";
    const RIGHT: Right = Right::Pay;
    const CHANGES: bool = true;
    type Reply = payment::AgeCheck;

    fn device(&self) -> Option<&str> {
        Some(&self.terminal)
    }

    async fn run(self, till: &Tresen) -> Result<payment::AgeCheck> {
        till.terminal(&self.terminal)?.age_check(self.years, self.within.unwrap_or(CARD)).await
    }
}

/// Requests a transaction to abort, whoever started it: [`Terminal::abort`]. Returns whether it is running or waiting;
/// the outcome is in its own reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// The terminal's name.
    pub terminal: String,
    /// The transaction's key; for a sale's card payment, that of the tender.
    pub key: IntentId,
}

impl Command for Abort {
    const NAME: &'static str = "terminal.abort";
    const RIGHT: Right = Right::Pay;
    const CHANGES: bool = true;
    type Reply = bool;

    fn device(&self) -> Option<&str> {
        Some(&self.terminal)
    }

    async fn run(self, till: &Tresen) -> Result<bool> {
        Ok(till.terminal(&self.terminal)?.abort(&self.key))
    }
}

/// Answers a question of the terminal: [`Terminal::answer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The terminal's name.
    pub terminal: String,
    /// The question's id.
    pub question: String,
    /// The answer.
    pub answer: payment::Answer,
}

impl Command for Answer {
    const NAME: &'static str = "terminal.answer";
    const RIGHT: Right = Right::Pay;
    const CHANGES: bool = true;
    type Reply = ();

    fn device(&self) -> Option<&str> {
        Some(&self.terminal)
    }

    async fn run(self, till: &Tresen) -> Result<()> {
        till.terminal(&self.terminal)?.answer(&self.question, self.answer)
    }
}

/// A payment in the journal: [`Store::payment`](crate::Store::payment).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// Its key.
    pub key: IntentId,
}

impl Command for Find {
    const NAME: &'static str = "terminal.find";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Option<StoredPayment>;

    async fn needs(&mut self, till: &Tresen) -> Result<Vec<Need>> {
        Ok(vec![of_payment(till, Self::RIGHT, &self.key).await?])
    }

    async fn run(self, till: &Tresen) -> Result<Option<StoredPayment>> {
        till.store().payment(&self.key).await
    }
}

/// Undecided payments: [`Tresen::open_payments`]; also for a terminal that is no longer configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The terminal's name.
    pub terminal: String,
}

impl Command for Open {
    const NAME: &'static str = "terminal.open";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<Intent>;

    fn device(&self) -> Option<&str> {
        Some(&self.terminal)
    }

    async fn run(self, till: &Tresen) -> Result<Vec<Intent>> {
        till.open_payments(&self.terminal).await
    }
}

/// Settles an open payment by hand: [`Tresen::settle`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// Its key.
    pub key: IntentId,
    /// The outcome, who decided it, and the reason.
    pub decision: Decision,
    /// The terminal it must belong to; any if absent.
    #[serde(default)]
    pub terminal: Option<String>,
}

impl Command for Settle {
    const NAME: &'static str = "terminal.settle";
    const RIGHT: Right = Right::Settle;
    const CHANGES: bool = true;
    type Reply = Payment;

    async fn needs(&mut self, till: &Tresen) -> Result<Vec<Need>> {
        Ok(vec![of_payment(till, Self::RIGHT, &self.key).await?])
    }

    async fn run(self, till: &Tresen) -> Result<Payment> {
        match &self.terminal {
            Some(terminal) => till.terminal(terminal)?.settle(&self.key, self.decision).await,
            None => till.settle(&self.key, self.decision).await,
        }
    }
}

/// Commands with no argument but the terminal's name.
macro_rules! asks {
    ($($(#[$doc:meta])* $command:ident $name:literal $right:ident $changes:literal $reply:ty, $run:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// The terminal's name.
            pub terminal: String,
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            const RIGHT: Right = Right::$right;
            const CHANGES: bool = $changes;
            type Reply = $reply;

            fn device(&self) -> Option<&str> {
                Some(&self.terminal)
            }

            async fn run(self, till: &Tresen) -> Result<$reply> {
                let terminal = till.terminal(&self.terminal)?;
                let run: fn(Terminal) -> _ = $run;
                run(terminal).await
            }
        }
    )*};
}

asks! {
    /// The transaction being served: [`Terminal::serving`].
    Serving "terminal.serving" Watch false Option<IntentId>, |terminal| async move { Ok(terminal.serving()) };
    /// The terminal's questions that wait for an answer: [`Terminal::questions`].
    Questions "terminal.questions" Watch false Vec<OpenQuestion>, |terminal| async move { Ok(terminal.questions()) };
    /// Settles open payments by asking the terminal: [`Terminal::recover`].
    Recover "terminal.recover" Pay true Vec<Settled>, |terminal| async move { terminal.recover().await };
    /// Runs the end of day: [`Terminal::end_of_day`].
    EndOfDay "terminal.end-of-day" Settle true payment::EndOfDay, |terminal| async move { terminal.end_of_day().await };
    /// Its turnover since the last end of day: [`Terminal::totals`].
    Totals "terminal.totals" Watch false payment::Totals, |terminal| async move { terminal.totals().await };
    /// Has it call its network operator: [`Terminal::diagnose`].
    Diagnose "terminal.diagnose" Configure true Vec<String>, |terminal| async move { terminal.diagnose().await };
    /// Has it initialised at its host: [`Terminal::initialise`].
    Initialise "terminal.initialise" Configure true Vec<String>, |terminal| async move { terminal.initialise().await };
    /// Repeats the last receipt: [`Terminal::repeat_receipt`].
    RepeatReceipt "terminal.repeat-receipt" Pay true Vec<String>, |terminal| async move { terminal.repeat_receipt().await };
    /// Queries its status: [`Terminal::status`].
    Status "terminal.status" Watch false payment::TerminalStatus, |terminal| async move { terminal.status().await };
    /// Its capabilities: `Terminal::capabilities`.
    Capabilities "terminal.capabilities" Watch false Option<payment::Capabilities>,
        |terminal| async move { Ok(terminal.capabilities()) };
}

fn request(till: &Tresen, key: Option<String>, amount: Amount) -> Request {
    Request::new(key.unwrap_or_else(|| till.new_id()), amount)
}

/// The right for a payment's terminal; for all terminals if there is no such payment.
async fn of_payment(till: &Tresen, right: Right, key: &IntentId) -> Result<Need> {
    let payment = till.store().payment(key).await?;
    Ok(Need::new(right, payment.as_ref().map(|payment| payment.intent.terminal.as_str())))
}

/// How long a text is shown.
const SHOWN: Duration = Duration::from_secs(5);
/// How long a terminal waits for a card that it shall read.
const CARD: Duration = Duration::from_secs(30);
