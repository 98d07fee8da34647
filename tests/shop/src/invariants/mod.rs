//! What must hold at any moment, and what must hold once everything is quiet again. Each names what it saw.

pub mod events;
pub mod money;
pub mod paper;
pub mod sales;

use tresen::{SpooledJob, StoredPayment};

pub use paper::{foot, head};

use crate::counter::Counter;

/// Holds, or what does not.
pub type Held = Result<(), String>;

/// What the database holds.
pub struct Books {
    /// All payments.
    pub payments: Vec<StoredPayment>,
    /// All print jobs.
    pub jobs: Vec<SpooledJob>,
}

impl Books {
    /// Reads them.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn read(counter: &Counter) -> Result<Self, String> {
        let store = counter.till.store();
        let unreadable = |e: tresen::Error| format!("the books cannot be read: {e}");
        Ok(Self {
            payments: store.payments().limit(5_000).await.map_err(unreadable)?.rows,
            jobs: store.jobs().limit(5_000).await.map_err(unreadable)?.rows,
        })
    }
}

/// What must hold at any moment.
///
/// # Errors
/// What does not.
pub async fn at_any_time(counter: &Counter) -> Held {
    let books = Books::read(counter).await?;
    money::charged_is_in_the_ledger_once(counter, &books)?;
    money::stored_is_in_the_journal(counter, &books)?;
    money::acknowledged_is_journalled(counter, &books)?;
    paper::nothing_is_printed_twice(counter)?;
    paper::proven_is_on_paper(counter, &books)?;
    paper::waiting_is_not_on_paper(counter, &books)?;
    paper::queued_is_kept(counter, &books)?;
    sales::begun_are_found_with_what_was_taken(counter).await?;
    sales::closed_are_paid_and_have_their_receipt(counter, &books).await?;
    sales::numbers_have_no_gaps(counter).await
}

/// What must hold once faults have ceased and people have seen to what was left.
///
/// # Errors
/// What does not.
pub async fn at_the_end(counter: &Counter) -> Held {
    at_any_time(counter).await?;
    let books = Books::read(counter).await?;
    money::nothing_is_open(&books)?;
    money::ledger_and_journal_agree(counter, &books)?;
    paper::nothing_waits(&books)?;
    sales::tenders_and_journal_agree(counter, &books).await?;
    sales::nothing_is_left(counter).await
}
