//! Paying from a customer's account at the server.

use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Error, Kind, Result};

use super::process::Sale;
use super::tender::{TenderKind, TenderOperation, TenderState};
use crate::store::NewTender;
use crate::sync::Accounts;

/// The outcome of [`Sale::pay_account`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[must_use]
pub enum OnAccount {
    /// Reserved at the server; booked when the sale closes.
    Reserved {
        /// The balance left.
        balance: Option<Amount>,
    },
    /// Taken without the server; booked when it is back. If it does not fit the balance then, it is listed:
    /// [`Tresen::unbooked`](crate::Tresen::unbooked).
    Owed {
        /// The balance last seen, less what is owed.
        balance: Amount,
    },
    /// The account is credited when the sale closes.
    Credited,
    /// Not taken.
    Refused {
        /// Why.
        why: String,
    },
    /// The server may have reserved it. The tender stays open until the server has been asked again; the rest of the
    /// sale can be paid meanwhile.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Sale {
    /// Pays `amount` of the open amount from a customer's account: reserves it at the server, which books it when the
    /// sale closes. In local mode, it is taken up to the configured limit against the balance last seen. A negative
    /// amount credits the account when the sale closes.
    ///
    /// The tender's key is the key at the server: nothing is reserved or booked twice. Dropping the future discards the
    /// answer, not the tender: [`Sale::refresh`] finds it.
    ///
    /// # Errors
    /// [`Kind::Input`]: more than the open amount, or no account. Otherwise as [`Sale::add`].
    pub async fn pay_account(&mut self, accounts: &Accounts, account: &str, amount: Amount) -> Result<OnAccount> {
        self.fits(amount)?;
        if account.trim().is_empty() {
            return Err(Error::new(Kind::Input, "the account is missing"));
        }
        let kind = TenderKind::Account { account: account.to_owned() };
        let new = NewTender {
            kind,
            operation: TenderOperation::Payment,
            asked: amount,
            given: None,
            reference: None,
            taken: false,
        };
        if amount.minor() < 0 {
            self.begin(NewTender { operation: TenderOperation::Refund, taken: true, ..new }).await?;
            return Ok(OnAccount::Credited);
        }
        let (mut sale, accounts) = (self.clone(), accounts.clone());
        // Goes on if the caller leaves: a tender that has begun gets its outcome.
        let attempt = tokio::spawn(async move {
            let key = sale.begin(new).await?;
            let taken = async { accounts.take(&sale.store().booking(&key).await?).await }.await;
            if taken.is_err() {
                accounts.ask_later(key);
            }
            taken
        });
        match attempt.await {
            Ok(ended) => {
                let (record, paid) = ended?;
                self.show(record);
                Ok(paid)
            }
            Err(panic) => Ok(OnAccount::Unknown { why: format!("the call panicked: {panic}") }),
        }
    }

    /// The outcome of the attempt that was begun before under the key of this step; `None`: there is none.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub(crate) async fn account_paid_before(&self) -> Result<Option<OnAccount>> {
        let Some(tender) = self.begun_before() else { return Ok(None) };
        let why = || tender.why.clone().unwrap_or_default();
        Ok(Some(match (tender.operation, tender.state) {
            (TenderOperation::Refund, _) => OnAccount::Credited,
            (_, TenderState::Refused) => OnAccount::Refused { why: why() },
            (_, TenderState::Begun | TenderState::Unknown) => OnAccount::Unknown { why: why() },
            (_, TenderState::Taken) => {
                let booking = self.store().booking(&tender.key).await?;
                match booking.reserved {
                    true => OnAccount::Reserved { balance: None },
                    false => OnAccount::Owed { balance: self.store().account_left(&booking).await? },
                }
            }
        }))
    }
}
