//! What handhelds were told about money is true, whatever happens later.

use super::{Books, Held};
use crate::counter::Counter;
use crate::notebook::Told;

/// A payment that was told as charged is charged; none that was told as not charged is; and where an error said that
/// nothing happened, no payment of that sale was made meanwhile.
///
/// # Errors
/// What does not hold.
pub(super) fn is_true(counter: &Counter, books: &Books) -> Held {
    for told in &counter.world.notebook().told_of_money {
        match told {
            Told::Charged { key, minor } => {
                let charged = charge(books, key);
                if charged != Some(*minor) {
                    return Err(format!("payment {key} was told as charged with {minor}, the journal has {charged:?}"));
                }
            }
            Told::NotCharged { key } => {
                if let Some(charged) = charge(books, key) {
                    return Err(format!("payment {key} was told as not charged, the journal has {charged}"));
                }
            }
            Told::Nothing { sale, from, to } => {
                let attempts = books.payments.range(format!("{sale}/")..format!("{sale}0"));
                let mut made = attempts.filter(|(_, payment)| (*from..=*to).contains(&payment.entry.intent.at));
                if let Some((key, payment)) = made.find(|(key, _)| charge(books, key).is_some()) {
                    return Err(format!(
                        "nothing was told to have happened to sale {sale}, and payment {key} was made meanwhile: {:?}",
                        payment.entry
                    ));
                }
            }
        }
    }
    Ok(())
}

/// What a payment has charged, in minor units.
fn charge(books: &Books, key: &str) -> Option<i64> {
    Some(books.payments.get(key)?.entry.outcome()?.charge()?.amount.minor())
}
