//! Tenders on customers' accounts in doubt that a person decides: the server that could tell is gone, or away for long.

use tresen_hal::{Error, Kind, Result};
use tresen_payment::Decision;

use super::accounts::{end, end_tender, known_booking};
use super::failure::Failure;
use super::{BookingState, Store, StoredBooking};

impl Store {
    /// Tenders on customers' accounts of which nobody knows whether the server has reserved them, oldest first, at most
    /// `limit`.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn accounts_in_doubt(&self, limit: u32) -> Result<Vec<StoredBooking>> {
        self.bookings(&[BookingState::Doubt], limit).await
    }

    /// Decides a tender on a customer's account that is in doubt; the journal records who decided what, and why. One that
    /// was taken is booked when its sale closes. One that was not taken is released at the server, should it be there
    /// again and have reserved it.
    ///
    /// # Errors
    /// [`Kind::NotFound`]: there is no such tender. [`Kind::Input`]: it is not in doubt, another amount, or the decision
    /// lacks a name or a reason. [`Kind::Storage`].
    pub async fn settle_account(&self, key: &str, decision: &Decision) -> Result<StoredBooking> {
        let (key, decision, at) = (key.to_owned(), decision.clone(), self.now());
        self.write(move |db| {
            let Some(booking) = known_booking(db, &key)? else {
                return Err(Error::new(Kind::NotFound, format!("there is no tender `{key}` on an account")).into());
            };
            allowed(&booking, &decision)?;
            let why = format!("settled by {}: {}", decision.by.trim(), decision.reason.trim());
            match decision.charged {
                Some(_) => end(db, &key, BookingState::Held, Some(&why), &at)?,
                None => {
                    end_tender(db, &booking, "refused", 0, Some(&why), &at)?;
                    end(db, &key, BookingState::Release, Some(&why), &at)?
                }
            };
            known_booking(db, &key)?.ok_or_else(|| Failure::row(format!("the tender `{key}` is gone")))
        })
        .await
    }
}

fn allowed(booking: &StoredBooking, decision: &Decision) -> Result<()> {
    let key = &booking.key;
    if decision.by.trim().is_empty() || decision.reason.trim().is_empty() {
        let error = Error::new(Kind::Input, format!("`{key}` cannot be settled without a name and a reason"));
        return Err(error.hint("who decides, and on what grounds?"));
    }
    if booking.state != BookingState::Doubt {
        return Err(Error::new(Kind::Input, format!("`{key}` is not in doubt: it is {}", booking.state.word())));
    }
    match decision.charged {
        Some(amount) if amount != booking.amount => {
            let what = format!("`{key}` was for {}; an account is charged with all of it or nothing", booking.amount);
            Err(Error::new(Kind::Input, what))
        }
        _ => Ok(()),
    }
}
