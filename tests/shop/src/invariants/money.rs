//! Money: the journal and the terminals' ledgers.

use tresen::payment::Operation;
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Kind, State, Transaction};
use tresen::{Payment, StoredPayment};

use super::{Books, Held};
use crate::counter::Counter;

/// A payment that is charged stands at its terminal, exactly once, with its amount; or it was taken back.
pub fn charged_is_in_the_ledger_once(counter: &Counter, books: &Books) -> Held {
    let mut claimed = Vec::new();
    for payment in &books.payments {
        let Some(charge) = charge(payment) else { continue };
        let (key, terminal) = (&payment.entry.intent.id.0, &payment.entry.intent.terminal);
        let Some(receipt) = receipt(payment) else {
            return Err(format!("payment {key} is charged without a receipt number"));
        };
        let ledger = ledger(counter, terminal);
        let stands = |t: &&Transaction| {
            t.receipt == receipt
                && (t.state == State::Stored || (t.state == State::Reversed && matches!(t.kind, Kind::Payment)))
        };
        let found: Vec<_> = ledger.iter().filter(stands).collect();
        let [found] = found[..] else {
            return Err(format!(
                "payment {key} is charged under receipt {receipt}, of which the ledger of {terminal} has {found:?}"
            ));
        };
        if found.amount != charge {
            return Err(format!("payment {key} is charged with {charge}, the ledger of {terminal} has {found:?}"));
        }
        if found.state == State::Reversed && !is_reversed(payment, books) {
            return Err(format!("payment {key} is charged, the terminal {terminal} has taken it back: {found:?}"));
        }
        if claimed.contains(&(terminal, receipt)) {
            return Err(format!("payment {key} is charged under receipt {receipt} of {terminal}, as is another one"));
        }
        claimed.push((terminal, receipt));
    }
    Ok(())
}

/// What stands at a terminal is charged in the journal, or open there: no money moves unseen.
pub fn stored_is_in_the_journal(counter: &Counter, books: &Books) -> Held {
    for (at, place) in counter.world.terminals.iter().enumerate() {
        let mut open: Vec<&StoredPayment> =
            books.payments.iter().filter(|p| p.entry.is_open() && p.entry.intent.terminal == place.name()).collect();
        // The largest first, so that a part does not take an open payment from a whole.
        let mut unclaimed = unclaimed_of(counter, at, books);
        unclaimed.sort_by_key(|t| std::cmp::Reverse(t.amount.minor()));
        for transaction in unclaimed {
            let fits = |p: &&StoredPayment| {
                let asked = p.entry.intent.amount;
                match (&p.entry.intent.operation, transaction.kind) {
                    (Operation::Payment, Kind::Payment) => transaction.amount.minor() <= asked.minor(),
                    (Operation::Reversal { .. }, Kind::Reversal(_)) => transaction.amount == asked,
                    _ => false,
                }
            };
            // The smallest open payment that it may be.
            let found =
                open.iter().enumerate().filter(|(_, p)| fits(p)).min_by_key(|(_, p)| p.entry.intent.amount.minor());
            let Some((found, _)) = found else {
                let near: Vec<_> = books
                    .payments
                    .iter()
                    .filter(|p| p.entry.intent.amount == transaction.amount && p.entry.intent.terminal == place.name())
                    .map(|p| (&p.entry.intent.id.0, p.entry.outcome()))
                    .collect();
                return Err(format!(
                    "{} has charged {transaction:?}, which the journal neither has nor has open; of this amount it has {near:?}",
                    place.name()
                ));
            };
            open.remove(found);
        }
    }
    Ok(())
}

/// A terminal that takes back what is not acknowledged has stored it: then the approval was in the journal before it was
/// acknowledged, and still is.
pub fn acknowledged_is_journalled(counter: &Counter, books: &Books) -> Held {
    let by_hand = counter.world.notebook().by_hand.clone();
    for (at, place) in counter.world.terminals.iter().enumerate() {
        if place.with(|t| t.profile_mut().commit) != Commit::Reverses {
            continue;
        }
        let ledger = ledger(counter, place.name());
        for stored in ledger.iter().filter(|t| t.state == State::Stored && !by_hand.contains(&(at, t.receipt))) {
            let approved = |p: &&StoredPayment| {
                let receipt = p.entry.approved.as_ref().and_then(|charge| charge.receipt_number.clone());
                p.entry.intent.terminal == place.name() && receipt.and_then(|r| r.parse().ok()) == Some(stored.receipt)
            };
            if books.payments.iter().filter(approved).count() != 1 {
                return Err(format!("{} has stored {stored:?}, whose approval is not in the journal", place.name()));
            }
        }
    }
    Ok(())
}

/// Every payment is decided.
pub fn nothing_is_open(books: &Books) -> Held {
    match books.payments.iter().find(|p| p.entry.is_open()) {
        Some(open) => Err(format!("a payment is still open: {:?}", open.entry)),
        None => Ok(()),
    }
}

/// Every transaction that stands is claimed by a payment.
pub fn ledger_and_journal_agree(counter: &Counter, books: &Books) -> Held {
    for (at, place) in counter.world.terminals.iter().enumerate() {
        if let Some(left) = unclaimed_of(counter, at, books).first() {
            return Err(format!("{} has {left:?}, which no payment in the journal claims", place.name()));
        }
    }
    Ok(())
}

/// What stands at a terminal and no payment in the journal claims.
///
/// # Errors
/// The journal cannot be read.
pub async fn unclaimed(counter: &Counter, at: usize) -> Result<Vec<Transaction>, String> {
    Ok(unclaimed_of(counter, at, &Books::read(counter).await?))
}

fn unclaimed_of(counter: &Counter, at: usize, books: &Books) -> Vec<Transaction> {
    let name = counter.world.terminals[at].name();
    let claimed: Vec<u16> = books
        .payments
        .iter()
        .filter(|p| p.entry.intent.terminal == name && charge(p).is_some())
        .filter_map(receipt)
        .collect();
    let by_hand = counter.world.notebook().by_hand.clone();
    let is_ours = |t: &Transaction| {
        (t.state == State::Stored || (t.state == State::Reversed && t.code == 0 && matches!(t.kind, Kind::Payment)))
            && !by_hand.contains(&(at, t.receipt))
            && !claimed.contains(&t.receipt)
    };
    ledger(counter, name).into_iter().filter(is_ours).collect()
}

/// Whether a reversal of this payment is charged, or may be.
fn is_reversed(payment: &StoredPayment, books: &Books) -> bool {
    let reference = receipt(payment);
    books.payments.iter().any(|p| match &p.entry.intent.operation {
        Operation::Reversal { reference: of } => {
            let of: Option<u16> = of.field("receipt").and_then(|r| r.parse().ok());
            p.entry.intent.terminal == payment.entry.intent.terminal
                && of == reference
                && (p.entry.is_open() || charge(p).is_some())
        }
        _ => false,
    })
}

fn ledger(counter: &Counter, terminal: &str) -> Vec<Transaction> {
    let place = counter.world.terminals.iter().find(|place| place.name() == terminal);
    place.map(|place| place.with(|t| t.ledger().entries().to_vec())).unwrap_or_default()
}

fn charge(payment: &StoredPayment) -> Option<tresen::Amount> {
    match payment.entry.outcome() {
        Some(Payment::Charged(charge) | Payment::Partial(charge)) => Some(charge.amount),
        _ => None,
    }
}

fn receipt(payment: &StoredPayment) -> Option<u16> {
    let outcome = payment.entry.outcome()?;
    let charge = outcome.charge()?;
    let told = charge.receipt_number.clone();
    let named = || charge.reference.as_ref().and_then(|r| r.field("receipt")).map(str::to_owned);
    named().or(told)?.parse().ok()
}
