//! Sales, step by step. `sale` is a sale's id; each reply contains the sale after the step.
//!
//! `rev` is the revision known to the caller. If another station has changed the sale since, nothing is changed and the
//! reply is [`Kind::Busy`]; without it, the step applies to the current revision. `by` is who takes the step; it
//! defaults to the calling station, or else to whoever opened the sale. While somebody other than the caller has the
//! sale's [lease](crate::lease), each step is refused; a caller without a name counts as `by`.
//!
//! Steps that add something or move money have a `key`, by which they are taken once, whatever happens in between: the
//! same key with the same content replies with what the step did, and with the sale as it is now, whatever `rev` says;
//! with another content it is refused. An attempt that was certainly never sent to a terminal is taken anew. To void,
//! close, check out or order a sale twice does the same as once; other steps are protected by `rev`.

use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, BoxFuture, Error, Kind, Result};
use tresen_payment::Payment;
use tresen_printers::DrawerPin;

mod stored;

use super::{Command, Need, Right};
use crate::sale::{Checkout, KitchenTicket, Line, OnAccount, ReturnLine, Sale, Sold, Tip};
use crate::store::{Origin, SaleView, StepKey, changed};
use crate::tresen::Tresen;

pub use stored::{ByNumber, Find, ListClosed, ListOpen, ListParked, Open, OpenRefund, Reprint, Returnable, Since};

/// The kitchen tickets of a sale: [`Tresen::orders`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// The sale's id.
    pub sale: String,
}

impl Command for Orders {
    const NAME: &'static str = "sale.orders";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<KitchenTicket>;

    async fn run(self, till: &Tresen) -> Result<Vec<KitchenTicket>> {
        till.orders(&self.sale).await
    }
}

/// Updates a sale's card payments from the journal: [`Sale::refresh`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// Its id.
    pub sale: String,
}

impl Command for Refresh {
    const NAME: &'static str = "sale.refresh";
    const RIGHT: Right = Right::Sell;
    const CHANGES: bool = false;
    type Reply = SaleView;

    async fn run(self, till: &Tresen) -> Result<SaleView> {
        till.store().follow_tenders(&self.sale).await
    }
}

/// A card payment and the sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CardPaid {
    /// The outcome.
    pub payment: Payment,
    /// The sale.
    pub sale: SaleView,
}

/// A payment from an account and the sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AccountPaid {
    /// The outcome.
    pub paid: OnAccount,
    /// The sale.
    pub sale: SaleView,
}

/// Cash paid out to the customer, and the sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CashPaid {
    /// The amount paid out: change or refund.
    pub back: Amount,
    /// The sale.
    pub sale: SaleView,
}

/// Kitchen tickets that were queued, and the sale after that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OrderedSale {
    /// The tickets; none if nothing was new.
    pub tickets: Vec<KitchenTicket>,
    /// The sale.
    pub sale: SaleView,
}

/// A removed line, and the sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Removed {
    /// The line.
    pub line: Line,
    /// The sale.
    pub sale: SaleView,
}

/// A removed tip, and the sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TipRemoved {
    /// The tip.
    pub tip: Tip,
    /// The sale.
    pub sale: SaleView,
}

/// The outcome of a checkout, and the sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CheckedOut {
    /// The outcome.
    pub sold: Sold,
    /// The sale.
    pub sale: SaleView,
}

/// One resumed sale.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Resumed {
    /// The sale.
    pub sale: SaleView,
    /// The outcome, if it could be resumed.
    #[serde(default)]
    pub sold: Option<Sold>,
    /// Why it could not be resumed.
    #[serde(default)]
    pub error: Option<Error>,
}

/// Fields of a step that are no part of its content: they may differ when it is repeated under its key.
pub const CIRCUMSTANCES: [&str; 2] = ["rev", "by"];

/// The key of a step that has one.
macro_rules! step_key {
    ($this:expr, $name:literal) => {
        Ok(None)
    };
    ($this:expr, $name:literal, $key:ident) => {
        $this.$key.as_deref().map(|key| StepKey::new($name, key, $this)).transpose()
    };
}

/// Steps of an open sale. A step that is `keyed` is taken once under its key, also if the till was restarted since.
macro_rules! steps {
    ($($(#[$doc:meta])* $command:ident $name:literal $right:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* } $(keyed $key:ident)?
        $(at $device:ident)? $(needs $needs:expr,)? -> $reply:ty, $run:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// The sale's id.
            pub sale: String,
            /// The revision known to the caller.
            #[serde(default)]
            pub rev: Option<i64>,
            /// Who takes the step.
            #[serde(default)]
            pub by: Option<Origin>,
            $($(#[$field_doc])* pub $field: $kind,)*
            $(
                /// The key of the step, chosen by the caller: the same key is the same step, taken once. It is
                /// recognised after a restart of the till as well.
                #[serde(default)]
                pub $key: Option<String>,
            )?
        }

        impl $command {
            fn step(&self) -> Result<Option<StepKey>> {
                step_key!(self, $name $(, $key)?)
            }
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            const RIGHT: Right = Right::$right;
            const CHANGES: bool = true;
            type Reply = $reply;

            $(fn device(&self) -> Option<&str> {
                Some(&self.$device)
            })?

            $(async fn needs(&mut self, till: &Tresen) -> Result<Vec<Need>> {
                let needs: for<'a> fn(&'a mut Self, &'a Tresen) -> BoxFuture<'a, Result<Vec<Need>>> = $needs;
                needs(self, till).await
            })?

            fn origin(&mut self) -> Option<&mut Origin> {
                self.by.as_mut()
            }

            $(fn key_slot(&mut self) -> Option<&mut Option<String>> {
                Some(&mut self.$key)
            })?

            async fn run(self, till: &Tresen) -> Result<$reply> {
                let sale = known(till, &self.sale, self.rev, self.by.clone(), self.step()?).await?;
                let run: fn(Self, Tresen, Sale) -> _ = $run;
                run(self, till.clone(), sale).await
            }
        }
    )*};
}

steps! {
    /// Adds a line: [`Sale::add`].
    Add "sale.add" Sell {
        /// The line; its total is checked when it is added.
        line: Line,
    } keyed key -> SaleView, |this, _, mut sale| async move {
        if !sale.is_repeated() {
            sale.add(this.line).await?;
        }
        Ok(sale.into_view())
    };
    /// Removes a line: [`Sale::remove`].
    Remove "sale.remove" Sell {
        /// The line's index, from 0.
        at: usize,
    } -> Removed, |this, _, mut sale| async move {
        let line = sale.remove(this.at).await?;
        Ok(Removed { line, sale: sale.into_view() })
    };
    /// Adds a tip: [`Sale::add_tip`].
    AddTip "sale.add-tip" Sell {
        /// The tip.
        tip: Tip,
    } keyed key -> SaleView, |this, _, mut sale| async move {
        if !sale.is_repeated() {
            sale.add_tip(this.tip).await?;
        }
        Ok(sale.into_view())
    };
    /// Removes a tip: [`Sale::remove_tip`].
    RemoveTip "sale.remove-tip" Sell {
        /// The tip's index, from 0.
        at: usize,
    } -> TipRemoved, |this, _, mut sale| async move {
        let tip = sale.remove_tip(this.at).await?;
        Ok(TipRemoved { tip, sale: sale.into_view() })
    };
    /// In a refund, gives back another line of the original sale: [`Sale::return_line`].
    ReturnOne "sale.return-line" Refund {
        /// The line and how much of it.
        line: ReturnLine,
    } keyed key needs |_, _| Box::pin(async { Ok(vec![Need::all(Right::Sell), Need::all(Right::Refund)]) }), -> SaleView, |this, _, mut sale| async move {
        if !sale.is_repeated() {
            sale.return_line(this.line).await?;
        }
        Ok(sale.into_view())
    };
    /// Parks the sale under a name: [`Sale::park`].
    Park "sale.park" Sell {
        /// The name.
        name: String,
    } -> SaleView, |this, _, mut sale| async move {
        sale.park(&this.name).await?;
        Ok(sale.into_view())
    };
    /// Resumes a parked sale: [`Sale::resume`].
    ResumeParked "sale.resume-parked" Sell {} -> SaleView, |_, _, mut sale| async move {
        sale.resume().await?;
        Ok(sale.into_view())
    };
    /// Sets the remark that is printed on the receipt: [`Sale::set_note`].
    SetNote "sale.set-note" Sell {
        /// The remark.
        note: String,
    } -> SaleView, |this, _, mut sale| async move {
        sale.set_note(this.note).await?;
        Ok(sale.into_view())
    };
    /// Pays at a terminal, or refunds there if the open amount is negative: [`Sale::pay_card_part`]. The payment's key
    /// is the sale's id, a slash, and the number of the attempt, from 1.
    PayCard "sale.pay-card" Sell {
        /// The terminal's name.
        terminal: String,
        /// The amount; default the open amount.
        #[serde(default)]
        amount: Option<Amount>,
    } keyed key at terminal needs |this, till| Box::pin(async move {
        let step = this.step()?;
        let money = pinned(till, &this.sale, &mut this.rev, this.amount, step).await?;
        let right = if money.minor() < 0 { Right::Refund } else { Right::Pay };
        Ok(vec![Need::all(Right::Sell), Need::new(right, Some(&this.terminal))])
    }), -> CardPaid, |this, till, mut sale| async move {
        let amount = this.amount.unwrap_or_else(|| sale.open_amount());
        let terminal = match till.terminal(&this.terminal) {
            Ok(terminal) => terminal,
            // It was taken away, and the payment may have been begun before.
            Err(gone) => return Ok(CardPaid { payment: sale.payment_before(gone).await?, sale: sale.into_view() }),
        };
        let payment = match sale.pay_card_again(&terminal, till.abort()).await? {
            Some(payment) => payment,
            None => sale.pay_card_part(&terminal, amount, till.abort()).await?,
        };
        Ok(CardPaid { payment, sale: sale.into_view() })
    };
    /// Reverses a card payment of the sale at its terminal: [`Sale::reverse_card`].
    ReverseCard "sale.reverse-card" Refund {
        /// The terminal's name.
        terminal: String,
        /// The attempt to reverse.
        attempt: i64,
    } keyed key at terminal needs |this, _| Box::pin(async move {
        Ok(vec![Need::all(Right::Sell), Need::new(Right::Refund, Some(&this.terminal))])
    }), -> CardPaid, |this, till, mut sale| async move {
        let terminal = match till.terminal(&this.terminal) {
            Ok(terminal) => terminal,
            Err(gone) => return Ok(CardPaid { payment: sale.payment_before(gone).await?, sale: sale.into_view() }),
        };
        let payment = match sale.pay_card_again(&terminal, till.abort()).await? {
            Some(payment) => payment,
            None => sale.reverse_card(&terminal, this.attempt, till.abort()).await?,
        };
        Ok(CardPaid { payment, sale: sale.into_view() })
    };
    /// Takes cash: [`Sale::pay_cash`].
    PayCash "sale.pay-cash" Sell {
        /// What the customer hands over.
        given: Amount,
    } keyed key -> CashPaid, |this, _, mut sale| async move {
        let back = match sale.begun_before() {
            Some(tender) => tender.change().unwrap_or(Amount::zero(tender.asked.currency())),
            None => sale.pay_cash(this.given).await?,
        };
        Ok(CashPaid { back, sale: sale.into_view() })
    };
    /// Pays out the open amount, which is negative, in cash: [`Sale::pay_out`].
    PayOut "sale.pay-out" Refund {} keyed key needs |_, _| Box::pin(async { Ok(vec![Need::all(Right::Sell), Need::all(Right::Refund)]) }), -> CashPaid, |_, _, mut sale| async move {
        let back = match sale.begun_before() {
            Some(tender) => Amount::zero(tender.asked.currency()).checked_sub(tender.asked).unwrap_or(tender.asked),
            None => sale.pay_out().await?,
        };
        Ok(CashPaid { back, sale: sale.into_view() })
    };
    /// Pays from a customer's account at the server: [`Sale::pay_account`].
    PayAccount "sale.pay-account" Sell {
        /// The account.
        account: String,
        /// The amount; default the open amount.
        #[serde(default)]
        amount: Option<Amount>,
    } keyed key needs |this, till| Box::pin(async move {
        let step = this.step()?;
        let money = pinned(till, &this.sale, &mut this.rev, this.amount, step).await?;
        Ok(selling(money))
    }), -> AccountPaid, |this, till, mut sale| async move {
        let amount = this.amount.unwrap_or_else(|| sale.open_amount());
        let paid = match sale.account_paid_before().await? {
            Some(paid) => paid,
            None => sale.pay_account(&till.accounts()?, &this.account, amount).await?,
        };
        Ok(AccountPaid { paid, sale: sale.into_view() })
    };
    /// Records a payment by the vendor's own means: [`Sale::pay_other`].
    PayOther "sale.pay-other" Sell {
        /// The name printed on the receipt.
        name: String,
        /// The amount.
        amount: Amount,
        /// A reference stored with it, such as a voucher's number.
        #[serde(default)]
        reference: Option<String>,
    } keyed key needs |this, _| Box::pin(async move { Ok(selling(this.amount)) }), -> SaleView, |this, _, mut sale| async move {
        if !sale.is_repeated() {
            sale.pay_other(&this.name, this.amount, this.reference.as_deref()).await?;
        }
        Ok(sale.into_view())
    };
    /// Gives back a tender in cash or by the vendor's own means: [`Sale::give_back`].
    GiveBack "sale.give-back" Refund {
        /// The attempt to give back.
        attempt: i64,
    } keyed key needs |_, _| Box::pin(async { Ok(vec![Need::all(Right::Sell), Need::all(Right::Refund)]) }), -> SaleView, |this, _, mut sale| async move {
        if !sale.is_repeated() {
            sale.give_back(this.attempt).await?;
        }
        Ok(sale.into_view())
    };
    /// Sends what is new to those who make it: [`Tresen::order`].
    Order "sale.order" Sell {} -> OrderedSale, |_, till, mut sale| async move {
        let origin = sale.origin().clone();
        let tickets = till.order_by(&mut sale, origin).await?;
        Ok(OrderedSale { tickets, sale: sale.into_view() })
    };
    /// Voids the sale before it is paid: [`Sale::void`].
    Void "sale.void" Sell {
        /// The reason.
        why: String,
    } -> SaleView, |this, _, mut sale| async move {
        sale.void(&this.why).await?;
        Ok(sale.into_view())
    };
    /// Pays the open amount at a terminal, signs, closes, prints: [`Checkout::run`].
    CheckOut "sale.check-out" Sell {
        /// The terminal's name.
        terminal: String,
        /// The printer or route.
        printer: String,
        /// The drawer pin, to open the drawer.
        #[serde(default)]
        drawer: Option<DrawerPin>,
    } at terminal needs |this, till| Box::pin(async move {
        let mut needs = closing(&this.printer, this.drawer);
        let money = match till.sale(&this.sale).await? {
            Some(_) => Some(pinned(till, &this.sale, &mut this.rev, None, None).await?.minor()),
            None => None,
        };
        if money.is_none_or(|money| money >= 0) {
            needs.push(Need::new(Right::Pay, Some(&this.terminal)));
        }
        if money.is_none_or(|money| money < 0) {
            needs.push(Need::new(Right::Refund, Some(&this.terminal)));
        }
        Ok(needs)
    }), -> CheckedOut, |this, till, mut sale| async move {
        let checkout = checkout(&till, &this.printer, this.drawer)?;
        let sold = checkout.run(&mut sale, &this.terminal, till.abort()).await?;
        Ok(CheckedOut { sold, sale: sale.into_view() })
    };
    /// Signs, closes and prints a paid sale; for a closed sale returns the state of its receipt: [`Checkout::close`].
    Close "sale.close" Sell {
        /// The printer or route.
        printer: String,
        /// The drawer pin, to open the drawer.
        #[serde(default)]
        drawer: Option<DrawerPin>,
    } at printer needs |this, _| Box::pin(async move { Ok(closing(&this.printer, this.drawer)) }), -> CheckedOut, |this, till, mut sale| async move {
        let sold = checkout(&till, &this.printer, this.drawer)?.close(&mut sale).await?;
        Ok(CheckedOut { sold, sale: sale.into_view() })
    };
}

/// Resumes the sales that an earlier run of the till left open: [`Checkout::resume`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// The printer or route.
    pub printer: String,
    /// The drawer pin, to open the drawer.
    #[serde(default)]
    pub drawer: Option<DrawerPin>,
}

impl Command for Resume {
    const NAME: &'static str = "sale.resume";
    const RIGHT: Right = Right::Sell;
    const CHANGES: bool = true;
    type Reply = Vec<Resumed>;

    fn device(&self) -> Option<&str> {
        Some(&self.printer)
    }

    async fn needs(&mut self, _: &Tresen) -> Result<Vec<Need>> {
        Ok(closing(&self.printer, self.drawer))
    }

    async fn run(self, till: &Tresen) -> Result<Vec<Resumed>> {
        let resumed = checkout(till, &self.printer, self.drawer)?.resume().await?;
        let resumed = resumed.into_iter().map(|(sale, sold)| {
            let (sold, error) = match sold {
                Ok(sold) => (Some(sold), None),
                Err(error) => (None, Some(error)),
            };
            Resumed { sale: sale.into_view(), sold, error }
        });
        Ok(resumed.collect())
    }
}

fn checkout(till: &Tresen, printer: &str, drawer: Option<DrawerPin>) -> Result<Checkout> {
    let checkout = till.checkout(printer)?;
    Ok(match drawer {
        Some(pin) => checkout.drawer(pin),
        None => checkout,
    })
}

/// What it takes to close a sale.
fn closing(printer: &str, drawer: Option<DrawerPin>) -> Vec<Need> {
    let mut needs = vec![Need::all(Right::Sell), Need::new(Right::Print, Some(printer))];
    if drawer.is_some() {
        needs.push(Need::new(Right::Drawer, Some(printer)));
    }
    needs
}

/// What it takes to take money, or to give it back.
fn selling(money: Amount) -> Vec<Need> {
    let mut needs = vec![Need::all(Right::Sell)];
    if money.minor() < 0 {
        needs.push(Need::all(Right::Refund));
    }
    needs
}

/// The amount, or else what is open; the sale must then still be at this revision when the step is taken.
async fn pinned(
    till: &Tresen,
    id: &str,
    rev: &mut Option<i64>,
    amount: Option<Amount>,
    step: Option<StepKey>,
) -> Result<Amount> {
    if let Some(amount) = amount {
        return Ok(amount);
    }
    let sale = known(till, id, *rev, None, step).await?;
    if let Some(tender) = sale.begun_before() {
        return Ok(tender.asked);
    }
    *rev = Some(sale.rev());
    Ok(sale.open_amount())
}

/// The sale, if it is at the revision known to the caller, or if the step was taken before.
async fn known(till: &Tresen, id: &str, rev: Option<i64>, by: Option<Origin>, step: Option<StepKey>) -> Result<Sale> {
    let mut sale = till.sale(id).await?.ok_or_else(|| Error::new(Kind::Input, format!("unknown sale `{id}`")))?;
    if let Some(step) = step {
        sale = sale.under(step).await?;
    }
    if let Some(rev) = rev.filter(|rev| *rev != sale.rev() && !sale.is_repeated()) {
        return Err(changed(id, sale.rev(), rev));
    }
    let sale = match by.or_else(|| till.origin()) {
        Some(origin) => sale.by(origin),
        None => sale,
    };
    Ok(sale.asked_by(&till.asker()))
}
