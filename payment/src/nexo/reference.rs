//! How nexo names a transaction: by the terminal's number and time for it.

use super::wire::{Identification, PoiData};
use crate::journal::{Intent, Reference};

/// The reference of a transaction, with number and time of its `POITransactionID`: to reverse what only a list or a slip
/// tells. The time is ISO 8601.
pub fn reference(transaction: &str, time: &str) -> Reference {
    Reference::new(PROTOCOL).with(TRANSACTION, transaction).with(TIME, time).unique()
}

/// What names the transaction of a response.
pub(super) fn of(data: Option<&PoiData>) -> Option<Reference> {
    let named = data?.transaction.as_ref()?;
    let whole = !named.transaction_id.is_empty() && named.transaction_id.len() <= LONGEST;
    whole.then(|| reference(&named.transaction_id, &named.time_stamp))
}

/// The original that a reversal names.
pub(super) fn original(reference: &Reference) -> Option<Identification> {
    let field = |name| reference.field(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let ours = reference.protocol() == PROTOCOL;
    let (transaction_id, time_stamp) = field(TRANSACTION).zip(field(TIME)).filter(|_| ours)?;
    Some(Identification { transaction_id, time_stamp })
}

/// Under which names an intent is sent: with these the terminal is asked about it later, whatever the address says then.
pub(super) fn sent_as(sale: &str, poi: &str) -> Reference {
    Reference::new(PROTOCOL).with(SALE, sale).with(POI, poi)
}

/// `SaleID` and `POIID` of an intent.
pub(super) fn sender(intent: &Intent) -> Option<(&str, &str)> {
    let sent = intent.last_before.as_ref().filter(|sent| sent.protocol() == PROTOCOL)?;
    sent.field(SALE).zip(sent.field(POI))
}

/// The `ServiceID` of an intent: from the intent alone, so that a till that was killed knows it again. Ten characters of
/// 36 (51 bits): two intents of a till within 48 hours do not meet by chance.
pub(super) fn service_id(intent: &Intent) -> String {
    // FNV-1a, 64 bits, and a finaliser that spreads its low entropy over all bits.
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let at = intent.at.as_millisecond().to_be_bytes();
    let parts = [intent.terminal.as_bytes(), &[0], intent.id.0.as_bytes(), &[0], &at];
    let mut hash = parts.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, hash);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number(hash ^ (hash >> 33))
}

/// Ten letters and digits of a number.
pub(super) fn number(mut from: u64) -> String {
    let mut digits = [0; 10];
    for digit in &mut digits {
        *digit = DIGITS[usize::try_from(from % 36).expect("less than 36")];
        from /= 36;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// `SaleTransactionID` of an intent: its key, as the acquirer's reports show it, if that can stand there.
pub(super) fn sale_transaction(intent: &Intent) -> Identification {
    let key = &intent.id.0;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let fits = (1..=LONGEST).contains(&key.len()) && key.bytes().all(plain);
    let transaction_id = if fits { key.clone() } else { service_id(intent) };
    Identification { transaction_id, time_stamp: format!("{:.3}", intent.at) }
}

/// `transaction oLkO001.8828`
pub(super) fn name(reference: &Reference) -> String {
    match reference.field(TRANSACTION) {
        Some(transaction) => format!("transaction {transaction}"),
        None => reference.to_string(),
    }
}

const PROTOCOL: &str = "nexo";
const TRANSACTION: &str = "transaction";
const TIME: &str = "time";
const SALE: &str = "sale";
const POI: &str = "poi";
const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Characters of a number.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tresen_hal::Amount;

    use super::*;
    use crate::journal::Transaction;
    use crate::outcome::IntentId;

    fn intent(key: &str, at: i64) -> Intent {
        let at = jiff::Timestamp::from_millisecond(at).expect("a time");
        Intent::new(IntentId(key.into()), "counter", Transaction::Payment, Amount::eur(1), at, Some(sent_as("t", "p")))
    }

    #[test]
    fn a_service_id_follows_from_its_intent_and_is_its_own() {
        assert_eq!(service_id(&intent("sale 1", 7)), service_id(&intent("sale 1", 7)));
        let keys = (0..20_000).map(|n| format!("sale {n}")).collect::<Vec<_>>();
        let ids: BTreeSet<_> = keys.iter().flat_map(|key| [1, 2].map(|at| service_id(&intent(key, at)))).collect();
        assert_eq!(ids.len(), 40_000);
        assert!(ids.iter().all(|id| id.len() == 10 && id.bytes().all(|b| b.is_ascii_alphanumeric())));
    }

    #[test]
    fn a_key_that_cannot_stand_in_a_report_is_replaced() {
        let id = |key: &str| sale_transaction(&intent(key, 1_000)).transaction_id;
        assert_eq!(id("2026-7.1_a"), "2026-7.1_a");
        for odd in ["Käse", "a b", "", &"x".repeat(65)] {
            assert_eq!(id(odd), service_id(&intent(odd, 1_000)));
        }
        assert_eq!(sale_transaction(&intent("a", 1_500)).time_stamp, "1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn references_of_other_protocols_name_nothing() {
        let named = reference("oLkO001.8828", "2026-01-02T03:04:05.000Z");
        assert_eq!(original(&named).map(|named| named.transaction_id).as_deref(), Some("oLkO001.8828"));
        assert_eq!(original(&Reference::new("zvt").with("receipt", "0417")), None);
        assert_eq!(original(&Reference::new("zvt").with(TRANSACTION, "a").with(TIME, "b")), None);
        assert_eq!(sender(&intent("a", 1)), Some(("t", "p")));
    }
}
