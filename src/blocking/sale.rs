//! Sales.

use std::ops::Deref;

use tresen_hal::{Amount, Kind, Result};
use tresen_payment::Payment;

use super::{Abort, On, Terminal};
use crate::api::sale as api;
use crate::sale::{self, Line, OnAccount, ReturnLine, Tip};
use crate::store::{Origin, SaleView};

/// A sale, as [`sale::Sale`]; its state is available through `Deref`.
#[derive(Clone)]
pub struct Sale(pub(super) On<sale::Sale>);

impl Deref for Sale {
    type Target = sale::Sale;
    fn deref(&self) -> &sale::Sale {
        &self.0.inner
    }
}

impl Sale {
    /// The sale as last read.
    pub fn inner(&self) -> &sale::Sale {
        &self.0.inner
    }

    /// Records further steps under this name instead of that of whoever opened the sale.
    #[must_use]
    pub fn by(self, origin: Origin) -> Self {
        let On { inner, till, threads } = self.0;
        Self(On { inner: inner.by(origin), till, threads })
    }

    /// Reads the sale again.
    ///
    /// # Errors
    /// As [`sale::Sale::refresh`].
    pub fn refresh(&mut self) -> Result<()> {
        let view = self.0.ask(api::Refresh { sale: self.key() })?;
        self.0.inner.show(view);
        Ok(())
    }

    /// Adds a line.
    ///
    /// # Errors
    /// As [`sale::Sale::add`].
    pub fn add(&mut self, line: Line) -> Result<()> {
        let (sale, rev, by) = self.known();
        let view = self.0.ask(api::Add { sale, rev, by, line, key: None })?;
        self.show(view);
        Ok(())
    }

    /// Removes a line by its index, from 0.
    ///
    /// # Errors
    /// As [`sale::Sale::remove`].
    pub fn remove(&mut self, at: usize) -> Result<Line> {
        let (sale, rev, by) = self.known();
        let removed = self.0.ask(api::Remove { sale, rev, by, at })?;
        self.show(removed.sale);
        Ok(removed.line)
    }

    /// Adds a tip.
    ///
    /// # Errors
    /// As [`sale::Sale::add_tip`].
    pub fn add_tip(&mut self, tip: impl Into<Tip>) -> Result<()> {
        let (sale, rev, by) = self.known();
        let view = self.0.ask(api::AddTip { sale, rev, by, tip: tip.into(), key: None })?;
        self.show(view);
        Ok(())
    }

    /// Removes a tip by its index, from 0.
    ///
    /// # Errors
    /// As [`sale::Sale::remove_tip`].
    pub fn remove_tip(&mut self, at: usize) -> Result<Tip> {
        let (sale, rev, by) = self.known();
        let removed = self.0.ask(api::RemoveTip { sale, rev, by, at })?;
        self.show(removed.sale);
        Ok(removed.tip)
    }

    /// In a refund, gives back another line of the original sale.
    ///
    /// # Errors
    /// As [`sale::Sale::return_line`].
    pub fn return_line(&mut self, line: ReturnLine) -> Result<()> {
        let (sale, rev, by) = self.known();
        let view = self.0.ask(api::ReturnOne { sale, rev, by, line, key: None })?;
        self.show(view);
        Ok(())
    }

    /// Parks the sale under a name.
    ///
    /// # Errors
    /// As [`sale::Sale::park`].
    pub fn park(&mut self, name: &str) -> Result<()> {
        let (sale, rev, by) = self.known();
        let view = self.0.ask(api::Park { sale, rev, by, name: name.to_owned() })?;
        self.show(view);
        Ok(())
    }

    /// Resumes a parked sale.
    ///
    /// # Errors
    /// As [`sale::Sale::resume`].
    pub fn resume(&mut self) -> Result<()> {
        let (sale, rev, by) = self.known();
        let view = self.0.ask(api::ResumeParked { sale, rev, by })?;
        self.show(view);
        Ok(())
    }

    /// Sets the remark that is printed on the receipt.
    ///
    /// # Errors
    /// As [`sale::Sale::set_note`].
    pub fn set_note(&mut self, note: &str) -> Result<()> {
        let (sale, rev, by) = self.known();
        let view = self.0.ask(api::SetNote { sale, rev, by, note: note.to_owned() })?;
        self.show(view);
        Ok(())
    }

    /// Pays the open amount at a terminal.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_card`].
    pub fn pay_card(&mut self, terminal: &Terminal, abort: &Abort) -> Result<Payment> {
        self.pay_card_part(terminal, self.open_amount(), abort)
    }

    /// Pays a part at a terminal.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_card_part`].
    pub fn pay_card_part(&mut self, terminal: &Terminal, amount: Amount, abort: &Abort) -> Result<Payment> {
        let (sale, rev, by) = self.known();
        let (name, amount) = (terminal.name().to_owned(), Some(amount));
        let paid = self.0.ask_until(api::PayCard { sale, rev, by, terminal: name, amount, key: None }, abort);
        self.paid(paid)
    }

    /// Reverses a card payment at its terminal.
    ///
    /// # Errors
    /// As [`sale::Sale::reverse_card`].
    pub fn reverse_card(&mut self, terminal: &Terminal, attempt: i64, abort: &Abort) -> Result<Payment> {
        let (sale, rev, by) = self.known();
        let reversal = api::ReverseCard { sale, rev, by, terminal: terminal.name().to_owned(), attempt, key: None };
        let paid = self.0.ask_until(reversal, abort);
        self.paid(paid)
    }

    /// Takes cash; returns the change.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_cash`].
    pub fn pay_cash(&mut self, given: Amount) -> Result<Amount> {
        let (sale, rev, by) = self.known();
        let paid = self.0.ask(api::PayCash { sale, rev, by, given, key: None })?;
        self.show(paid.sale);
        Ok(paid.back)
    }

    /// Pays out the open amount in cash; returns the amount.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_out`].
    pub fn pay_out(&mut self) -> Result<Amount> {
        let (sale, rev, by) = self.known();
        let paid = self.0.ask(api::PayOut { sale, rev, by, key: None })?;
        self.show(paid.sale);
        Ok(paid.back)
    }

    /// Pays from a customer's account at the till's server.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_account`]; no server is configured.
    pub fn pay_account(&mut self, account: &str, amount: Amount) -> Result<OnAccount> {
        let (sale, rev, by) = self.known();
        let (account, amount) = (account.to_owned(), Some(amount));
        let paid = self.0.ask(api::PayAccount { sale, rev, by, account, amount, key: None })?;
        self.show(paid.sale);
        Ok(paid.paid)
    }

    /// Records a payment by the vendor's own means.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_other`].
    pub fn pay_other(&mut self, name: &str, amount: Amount, reference: Option<&str>) -> Result<()> {
        let (sale, rev, by) = self.known();
        let (name, reference) = (name.to_owned(), reference.map(str::to_owned));
        let view = self.0.ask(api::PayOther { sale, rev, by, name, amount, reference, key: None })?;
        self.show(view);
        Ok(())
    }

    /// Gives back a tender in cash or by the vendor's own means.
    ///
    /// # Errors
    /// As [`sale::Sale::give_back`].
    pub fn give_back(&mut self, attempt: i64) -> Result<()> {
        let (sale, rev, by) = self.known();
        let view = self.0.ask(api::GiveBack { sale, rev, by, attempt, key: None })?;
        self.show(view);
        Ok(())
    }

    /// Voids the sale before it is paid.
    ///
    /// # Errors
    /// As [`sale::Sale::void`].
    pub fn void(&mut self, why: &str) -> Result<()> {
        // Includes what the journal knows of its card payments, which is not another station's change.
        self.refresh()?;
        let (sale, rev, by) = self.known();
        let view = self.0.ask(api::Void { sale, rev, by, why: why.to_owned() })?;
        self.show(view);
        Ok(())
    }

    fn key(&self) -> String {
        self.id().to_owned()
    }

    /// The fields of every step: the sale, the revision known here, and who takes the step.
    fn known(&self) -> (String, Option<i64>, Option<Origin>) {
        (self.key(), Some(self.rev()), Some(self.0.inner.origin().clone()))
    }

    fn show(&mut self, view: SaleView) {
        self.0.inner.show(view);
    }

    /// Updates the sale after a failed card attempt too, unless the attempt never began.
    fn paid(&mut self, paid: Result<api::CardPaid>) -> Result<Payment> {
        match paid {
            Ok(paid) => {
                self.show(paid.sale);
                Ok(paid.payment)
            }
            Err(error) => {
                // Errors of the sale itself name no device: nothing was begun.
                if error.device().is_some() || !matches!(error.kind(), Kind::Busy | Kind::Input) {
                    self.refresh().ok();
                }
                Err(error)
            }
        }
    }
}
