//! Customers' accounts: asked at the server, or against the balance last seen.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tresen_hal::{Amount, Backoff, Effect, Result};

use super::task::{ANSWER, Task};
use super::upstream::{Booked, Upstream};
use super::{SyncState, bounded};
use crate::event::{EventKind, Source};
use crate::sale::OnAccount;
use crate::store::accounts::TO_TELL;
use crate::store::{BookingState, SaleView, Store, StoredBooking};

/// Customers' accounts at the server: pass it to [`Sale::pay_account`](crate::sale::Sale::pay_account).
#[derive(Clone)]
pub struct Accounts {
    upstream: Arc<dyn Upstream>,
    state: watch::Receiver<SyncState>,
    limit: Option<Amount>,
    store: Store,
}

impl Accounts {
    pub(super) fn new(
        upstream: Arc<dyn Upstream>,
        state: watch::Receiver<SyncState>,
        limit: Option<Amount>,
        store: Store,
    ) -> Self {
        Self { upstream, state, limit, store }
    }

    /// Takes a tender that has begun: from the server, or locally if that does not answer.
    pub(crate) async fn take(&self, booking: &StoredBooking) -> Result<(SaleView, OnAccount)> {
        let key = &booking.key;
        let state = self.state.borrow().clone();
        if let SyncState::Local { why, .. } = state {
            return self.store.account_locally(key, self.limit, false, &why).await;
        }
        let request = booking.request(self.store.till());
        match bounded(RESERVE, self.upstream.reserve(&request)).await {
            Ok(answer) => {
                let view = self.store.account_answered(key, answer.balance, answer.refused.clone()).await?;
                let paid = match (answer.refused, answer.balance) {
                    (Some(why), _) => OnAccount::Refused { why },
                    (None, balance) => OnAccount::Reserved { balance },
                };
                Ok((view, paid))
            }
            Err(error) => {
                let sent = error.effect() != Effect::None;
                self.store.account_locally(key, self.limit, sent, &error.to_string()).await
            }
        }
    }

    /// The answer to a tender that has begun could not be written: as soon as the database can be written again, it is in
    /// doubt, and the server is asked.
    pub(crate) fn ask_later(&self, key: String) {
        let (store, mut state) = (self.store.clone(), self.state.clone());
        tokio::spawn(async move {
            let mut backoff = Backoff::new(store.random());
            while store.account_doubted(&key).await.is_err() {
                let due = tokio::time::Instant::now() + backoff.next_delay();
                loop {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(due) => break,
                        // The till is gone; with the next start everything in doubt is asked for.
                        there = state.changed() => if there.is_err() { return },
                    }
                }
            }
        });
    }
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Task {
    /// Asks the server about tenders in doubt, and tells it what to book and to release.
    pub(super) async fn settle(&mut self) -> Result<()> {
        loop {
            let bookings = self.store.bookings(&TO_TELL, PAGE).await?;
            for booking in &bookings {
                self.tell(booking).await?;
            }
            if bookings.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Asks again for what did not fit: the customer may have paid in.
    pub(super) async fn book_unbooked(&mut self) -> Result<()> {
        for booking in self.store.bookings(&[BookingState::Unbooked], LISTED).await? {
            self.tell(&booking).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, booking: &StoredBooking) -> Result<()> {
        let (key, from) = (&booking.key, booking.state);
        let request = booking.request(self.store.till());
        match from {
            BookingState::Doubt => {
                let reserved = bounded(ANSWER, self.upstream.decide(&request)).await?;
                let refused = (!reserved).then(|| "the server never got the request".to_owned());
                self.store.account_answered(key, None, refused).await?;
            }
            BookingState::Release => {
                bounded(ANSWER, self.upstream.release(&request)).await?;
                self.store.booking_ended(key, from, BookingState::Released, None).await?;
            }
            BookingState::Book | BookingState::Unbooked => match bounded(ANSWER, self.upstream.book(&request)).await? {
                Booked::Booked => _ = self.store.booking_ended(key, from, BookingState::Booked, None).await?,
                Booked::Unbooked { why } => {
                    let told = Some(why.clone());
                    if self.store.booking_ended(key, from, BookingState::Unbooked, told).await? {
                        let (account, amount) = (booking.account.clone(), booking.amount);
                        self.bus.publish(Source::Till, EventKind::AccountUnbooked { account, amount, why });
                    }
                }
            },
            _ => {}
        }
        Ok(())
    }
}

/// Longest wait for a reservation: a customer is waiting, too.
const RESERVE: Duration = Duration::from_secs(5);
/// How many bookings are told at a time.
const PAGE: u32 = 100;
/// How many of those that did not fit are asked for again.
pub(crate) const LISTED: u32 = 10_000;
