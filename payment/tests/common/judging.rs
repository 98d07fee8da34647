//! What a sweep asks of the end of every life: journal and ledger agree, or the journal says unknown and why.

use tresen_payment::{Entry, Payment, Settled, Unknown};

use super::words::is_charged;

/// How lives ended: charged, not charged, unknown, never begun.
#[derive(Debug, Default)]
pub(crate) struct Sums(pub(crate) [usize; 4]);

/// What is known of a transaction once everything has settled.
#[derive(Debug)]
pub(crate) struct Life<'a> {
    pub(crate) name: &'a str,
    /// What the journal has of it.
    pub(crate) entry: Option<Entry>,
    /// How often it was sent.
    pub(crate) sent: usize,
    /// How often it stands at the terminal.
    pub(crate) stored: usize,
    /// What the caller was told at once.
    pub(crate) told: Option<&'a Payment>,
    /// What the recovery has settled.
    pub(crate) settled: &'a [Settled],
}

impl Sums {
    /// Judges a life and counts it. Returns how it ended; nothing if it was never begun.
    pub(crate) fn judge(&mut self, life: Life<'_>, excused: impl FnOnce(&Entry, &Unknown) -> bool) -> Option<Payment> {
        let Life { name, entry, sent, stored, told, settled } = life;
        assert!(settled.iter().all(|s| !s.evidence.is_empty()), "{name}");
        assert!(stored <= 1, "{name}: {stored} were stored");
        let Some(entry) = entry else {
            assert_eq!((sent, stored), (0, 0), "{name}: nothing was meant, so nothing was sent");
            self.0[3] += 1;
            return None;
        };
        let payment = entry.payment.clone().unwrap_or_else(|| panic!("{name}: no outcome"));
        match &payment {
            Payment::Unknown(unknown) => {
                let named = !unknown.why.is_empty();
                assert!(named && excused(&entry, unknown), "{name}: {payment:?} {settled:?}");
                self.0[2] += 1;
            }
            payment => {
                assert_eq!(usize::from(is_charged(payment)), stored, "{name}: {payment:?} {settled:?}");
                self.0[usize::from(!is_charged(payment))] += 1;
            }
        }
        // What was told at once, other than Unknown, is still true.
        if let Some(told @ (Payment::Charged(_) | Payment::NotCharged(_))) = told {
            assert_eq!(is_charged(told), is_charged(&payment), "{name}");
        }
        Some(payment)
    }
}
