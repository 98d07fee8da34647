//! Payment terminals.

use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Result};
use tresen_payment::{self as payment, Decision, Intent, IntentId, Payment, Reference, Request, Settled};

use super::Command;
use crate::manager::Terminal;
use crate::store::StoredPayment;
use crate::tresen::Tresen;

/// Transactions of an amount under a key.
macro_rules! transactions {
    ($($(#[$doc:meta])* $command:ident $name:literal $run:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// Which terminal.
            pub terminal: String,
            /// How much.
            pub amount: Amount,
            /// The caller's key: asked again with the same, it is the same transaction. A new one if there is none, and
            /// then nobody can ask again.
            #[serde(default)]
            pub key: Option<String>,
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            type Reply = Payment;

            async fn run(self, till: &Tresen) -> Result<Payment> {
                let request = request(till, self.key, self.amount);
                till.terminal(&self.terminal)?.$run(request, till.abort()).await
            }
        }
    )*};
}

transactions! {
    /// Takes a payment: [`Terminal::pay_as`].
    Pay "terminal.pay" pay_as;
    /// Takes a payment, and is refused instead of waiting behind another one: [`Terminal::try_pay_as`].
    TryPay "terminal.try-pay" try_pay_as;
    /// Gives money back without reference to a payment: [`Terminal::refund_as`].
    Refund "terminal.refund" refund_as;
}

/// Takes a payment back: [`Terminal::reverse_as`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reverse {
    /// Which terminal.
    pub terminal: String,
    /// The reference of its charge.
    pub reference: Reference,
    /// How much.
    pub amount: Amount,
    /// The caller's key, as in [`Pay`].
    #[serde(default)]
    pub key: Option<String>,
}

impl Command for Reverse {
    const NAME: &'static str = "terminal.reverse";
    type Reply = Payment;

    async fn run(self, till: &Tresen) -> Result<Payment> {
        let request = request(till, self.key, self.amount);
        till.terminal(&self.terminal)?.reverse_as(&self.reference, request, till.abort()).await
    }
}

/// Asks a transaction to stop, whoever has begun it: [`Terminal::abort`]. Answers whether it is running or waiting; how
/// it ends, its own answer tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// Which terminal.
    pub terminal: String,
    /// The transaction's key; of a sale's card payment the tender's.
    pub key: IntentId,
}

impl Command for Abort {
    const NAME: &'static str = "terminal.abort";
    type Reply = bool;

    async fn run(self, till: &Tresen) -> Result<bool> {
        Ok(till.terminal(&self.terminal)?.abort(&self.key))
    }
}

/// A payment as the journal knows it: [`Store::payment`](crate::Store::payment).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// Its key.
    pub key: IntentId,
}

impl Command for Find {
    const NAME: &'static str = "terminal.find";
    type Reply = Option<StoredPayment>;

    async fn run(self, till: &Tresen) -> Result<Option<StoredPayment>> {
        till.store().payment(&self.key).await
    }
}

/// What is not decided yet: [`Tresen::open_payments`]. Also of a terminal that is not configured any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Which terminal.
    pub terminal: String,
}

impl Command for Open {
    const NAME: &'static str = "terminal.open";
    type Reply = Vec<Intent>;

    async fn run(self, till: &Tresen) -> Result<Vec<Intent>> {
        till.open_payments(&self.terminal).await
    }
}

/// Settles an open payment by hand: [`Tresen::settle`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// Its key.
    pub key: IntentId,
    /// How it ended, who says so, and on what grounds.
    pub decision: Decision,
    /// The terminal that it must be of; any if there is none.
    #[serde(default)]
    pub terminal: Option<String>,
}

impl Command for Settle {
    const NAME: &'static str = "terminal.settle";
    type Reply = Payment;

    async fn run(self, till: &Tresen) -> Result<Payment> {
        match &self.terminal {
            Some(terminal) => till.terminal(terminal)?.settle(&self.key, self.decision).await,
            None => till.settle(&self.key, self.decision).await,
        }
    }
}

/// Commands that need nothing but the terminal's name.
macro_rules! asks {
    ($($(#[$doc:meta])* $command:ident $name:literal $reply:ty, $run:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// Which terminal.
            pub terminal: String,
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            type Reply = $reply;

            async fn run(self, till: &Tresen) -> Result<$reply> {
                let terminal = till.terminal(&self.terminal)?;
                let run: fn(Terminal) -> _ = $run;
                run(terminal).await
            }
        }
    )*};
}

asks! {
    /// The transaction that it serves now: [`Terminal::serving`].
    Serving "terminal.serving" Option<IntentId>, |terminal| async move { Ok(terminal.serving()) };
    /// Settles what is open by asking the terminal: [`Terminal::recover`].
    Recover "terminal.recover" Vec<Settled>, |terminal| async move { terminal.recover().await };
    /// Closes the day: [`Terminal::end_of_day`].
    EndOfDay "terminal.end-of-day" payment::EndOfDay, |terminal| async move { terminal.end_of_day().await };
    /// The last receipt once more: [`Terminal::repeat_receipt`].
    RepeatReceipt "terminal.repeat-receipt" Vec<String>, |terminal| async move { terminal.repeat_receipt().await };
    /// Asks for its status: [`Terminal::status`].
    Status "terminal.status" payment::TerminalStatus, |terminal| async move { terminal.status().await };
    /// What it can do: `Terminal::capabilities`.
    Capabilities "terminal.capabilities" Option<payment::Capabilities>,
        |terminal| async move { Ok(terminal.capabilities()) };
}

fn request(till: &Tresen, key: Option<String>, amount: Amount) -> Request {
    Request::new(key.unwrap_or_else(|| till.new_id()), amount)
}
