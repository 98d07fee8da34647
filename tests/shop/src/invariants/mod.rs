//! What must hold at any moment, and what must hold once everything is quiet again. Each names what it saw.
//!
//! A check reads what is new since the last one: [`Books`]. Every so often, at the beginning of each life of the till and
//! at the end, everything is read and checked from the beginning.

mod books;
pub mod doubts;
mod drawers;
pub mod events;
pub mod journal;
mod kitchen;
pub mod leases;
pub mod money;
pub mod paper;
pub mod rolls;
pub mod sales;
pub mod server;
mod told;

pub use books::Books;
pub use rolls::{foot, head};

use crate::counter::Counter;

/// Holds, or what does not.
pub type Held = Result<(), String>;

/// What must hold at any moment.
///
/// # Errors
/// What does not.
pub async fn at_any_time(counter: &Counter) -> Held {
    let mut books = counter.books.lock().await;
    let news = books.read(counter).await?;
    journal::grows(&mut books)?;
    server::has_what_was_journalled(counter, &mut books)?;
    money::hold(counter, &mut books, &news)?;
    if news.all {
        doubts::nobody_else_moves_money(counter)?;
    }
    told::is_true(counter, &books)?;
    kitchen::grows(counter, &mut books)?;
    paper::hold(counter, &books, &news)?;
    drawers::open_for_cash_only(counter, &mut books, &news)?;
    sales::hold(counter, &mut books, &news).await
}

/// What must hold once faults have ceased and people have seen to what was left.
///
/// # Errors
/// What does not.
pub async fn at_the_end(counter: &Counter) -> Held {
    counter.books.lock().await.forget();
    at_any_time(counter).await?;
    let mut books = counter.books.lock().await;
    money::nothing_is_open(&books)?;
    money::ledger_and_journal_agree(counter, &books)?;
    paper::nothing_waits(&books)?;
    drawers::opened_when_told(counter, &mut books)?;
    journal::agrees_with_the_tables(&mut books)?;
    server::has_everything(counter, &mut books)?;
    sales::tenders_and_journal_agree(counter, &books).await?;
    sales::nothing_is_left(counter).await
}
