//! The verbs for what is held and charged later, for tips, and for prepaid cards.

use tokio::sync::watch;
use tresen_hal::{Amount, Result};
use tresen_payment::{Operation, Payment, Reference, Request};

use super::Terminals;
use crate::manager::device::Device;

impl Device<Terminals> {
    /// Holds an amount on the customer's card, under a new key: a pre-authorisation. [`Payment::Charged`] means that it
    /// is held; no money has moved, and it counts as no turnover. [`Self::book`] or [`Self::release`] ends it, by the
    /// [reference](tresen_payment::Charge::reference) of its charge.
    ///
    /// The key is lost after a crash or an error: use [`Self::pre_authorise_as`] to be able to repeat the same
    /// pre-authorisation.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn pre_authorise(&self, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.pre_authorise_as(self.new_request(amount), abort).await
    }

    /// As [`Self::pre_authorise`], under the caller's key; calling again with the same key is the same
    /// pre-authorisation, and nothing is sent.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn pre_authorise_as(&self, request: Request, abort: watch::Receiver<bool>) -> Result<Payment> {
        self.transact(Operation::PreAuthorise(request), None, abort).await
    }

    /// Adds `amount` to what a pre-authorisation holds, under a new key.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn increment(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.increment_as(reference, self.new_request(amount), abort).await
    }

    /// As [`Self::increment`], under the caller's key; calling again with the same key is the same increment, and
    /// nothing is sent.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn increment_as(
        &self,
        reference: &Reference,
        request: Request,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        self.transact(Operation::Increment { request, of: reference.clone() }, Some(reference), abort).await
    }

    /// Charges `amount` of what a pre-authorisation holds, under a new key. The rest is released, and the
    /// pre-authorisation has ended.
    ///
    /// # Errors
    /// As [`Self::pay`]; [`Kind::Input`](tresen_hal::Kind::Input): it is more than is held, or what is held is not
    /// known.
    pub async fn book(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.book_as(reference, self.new_request(amount), abort).await
    }

    /// As [`Self::book`], under the caller's key; calling again with the same key is the same booking, and nothing is
    /// sent.
    ///
    /// # Errors
    /// As [`Self::book`].
    pub async fn book_as(
        &self,
        reference: &Reference,
        request: Request,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        // The number on a slip does not say what is held; the journal's reference does.
        let known = self.till.store.pre_authorised(self.name(), reference).await?;
        let of = known.unwrap_or_else(|| reference.clone());
        self.transact(Operation::Book { request, of: of.clone() }, Some(&of), abort).await
    }

    /// Releases what a pre-authorisation holds, `amount`, under a new key. Nothing is charged, and the
    /// pre-authorisation has ended.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn release(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.release_as(reference, self.new_request(amount), abort).await
    }

    /// As [`Self::release`], under the caller's key; calling again with the same key is the same release, and nothing
    /// is sent.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn release_as(
        &self,
        reference: &Reference,
        request: Request,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        self.transact(Operation::Release { request, of: reference.clone() }, Some(reference), abort).await
    }

    /// Adds a tip of `amount` to a payment, under a new key.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn tip(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.tip_as(reference, self.new_request(amount), abort).await
    }

    /// As [`Self::tip`], under the caller's key; calling again with the same key is the same tip, and nothing is sent.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn tip_as(
        &self,
        reference: &Reference,
        request: Request,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        self.transact(Operation::Tip { request, of: reference.clone() }, Some(reference), abort).await
    }

    /// Loads a prepaid card or account with `amount`, under a new key. `product` is which one, as the protocol names
    /// it, where the terminal does not ask. It counts as no turnover: the till sells it and takes the money by another
    /// tender.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn top_up(&self, product: Option<&str>, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.top_up_as(product, self.new_request(amount), abort).await
    }

    /// As [`Self::top_up`], under the caller's key; calling again with the same key is the same top-up, and nothing is
    /// sent.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn top_up_as(
        &self,
        product: Option<&str>,
        request: Request,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        let product = product.map(str::to_owned);
        self.transact(Operation::TopUp { request, product }, None, abort).await
    }

    /// `amount` under a new key.
    pub(super) fn new_request(&self, amount: Amount) -> Request {
        Request::new(self.till.runtime.new_id(), amount)
    }
}
