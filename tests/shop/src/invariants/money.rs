//! Money: the journal and the terminals' ledgers.

use std::collections::{BTreeMap, BTreeSet};

use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Kind, State, Transaction};
use tresen::payment::{Intent, journal};
use tresen::{Payment, StoredPayment};

use super::books::News;
use super::{Books, Held};
use crate::counter::Counter;

/// A receipt of a terminal, by the terminal's place.
type Slip = (usize, u16);

/// What the terminals have stored, and what the journal says of it.
#[derive(Default)]
pub(super) struct Ledgers {
    /// As last seen.
    entries: Vec<Vec<Transaction>>,
    by_receipt: BTreeMap<Slip, Vec<usize>>,
    /// The payment that is charged under a receipt.
    claimed: BTreeMap<Slip, String>,
    /// Payments whose approval names a receipt.
    approved: BTreeMap<Slip, BTreeSet<String>>,
    /// Reversals of a receipt that are charged or may be.
    reversals: BTreeMap<Slip, BTreeSet<String>>,
    /// Transactions that stand and that no payment claims, by terminal.
    unclaimed: Vec<BTreeSet<usize>>,
}

/// A payment that is charged stands at its terminal exactly once, or was taken back; what stands there is charged or open
/// in the journal; what was acknowledged was journalled before.
///
/// # Errors
/// What does not hold.
pub(super) fn hold(counter: &Counter, books: &mut Books, news: &News) -> Held {
    let mut changed = books.ledgers.look(counter);
    let mut due = claim(counter, books, news, &mut changed)?;
    if std::mem::take(&mut counter.world.notebook().forgotten) {
        abandon(counter, &books.ledgers);
    }
    for &(at, index) in &changed {
        due.extend(books.ledgers.claimed.get(&(at, books.ledgers.entries[at][index].receipt)).cloned());
    }
    for key in &due {
        stands_once(counter, books, key)?;
    }
    let by_hand = counter.world.notebook().by_hand.clone();
    for &(at, index) in &changed {
        let ledgers = &mut books.ledgers;
        let transaction = &ledgers.entries[at][index];
        let slip = (at, transaction.receipt);
        let stands = transaction.state == State::Stored
            || (transaction.state == State::Reversed
                && transaction.code == 0
                && matches!(transaction.kind, Kind::Payment));
        if stands && !by_hand.contains(&slip) && !ledgers.claimed.contains_key(&slip) {
            ledgers.unclaimed[at].insert(index);
        } else {
            ledgers.unclaimed[at].remove(&index);
        }
        acknowledged_is_journalled(counter, books, (at, index), &by_hand)?;
    }
    stored_is_in_the_journal(counter, books)
}

/// A backup was put back: what is on the terminals and not in it is lost, and so is who took it back.
fn abandon(counter: &Counter, ledgers: &Ledgers) {
    let mut notebook = counter.world.notebook();
    for (at, entries) in ledgers.entries.iter().enumerate() {
        let slips = entries.iter().map(|t| ((at, t.receipt), t.state == State::Reversed));
        let lost = slips.filter(|(slip, reversed)| *reversed || !ledgers.claimed.contains_key(slip));
        notebook.orphans.extend(lost.map(|(slip, _)| slip));
    }
}

impl Ledgers {
    /// Reads the ledgers; returns what changed.
    fn look(&mut self, counter: &Counter) -> BTreeSet<(usize, usize)> {
        let places = &counter.world.terminals;
        self.entries.resize_with(places.len(), Vec::new);
        self.unclaimed.resize_with(places.len(), BTreeSet::new);
        let mut changed = BTreeSet::new();
        for (at, place) in places.iter().enumerate() {
            place.with(|terminal| {
                for (index, now) in terminal.ledger().entries().iter().enumerate() {
                    match self.entries[at].get_mut(index) {
                        Some(seen) if seen == now => continue,
                        Some(seen) => *seen = now.clone(),
                        None => {
                            self.entries[at].push(now.clone());
                            self.by_receipt.entry((at, now.receipt)).or_default().push(index);
                        }
                    }
                    changed.insert((at, index));
                }
            });
        }
        changed
    }
}

/// Takes the payments that changed into the index; returns those that are charged now, or that a reversal concerns.
fn claim(
    counter: &Counter,
    books: &mut Books,
    news: &News,
    changed: &mut BTreeSet<(usize, usize)>,
) -> Result<BTreeSet<String>, String> {
    let Books { payments, ledgers, .. } = books;
    let mut due = BTreeSet::new();
    for (key, payment) in news.payments.iter().filter_map(|key| payments.get_key_value(key)) {
        let name = &payment.entry.intent.terminal;
        let Some(at) = counter.world.terminals.iter().position(|place| place.name() == name) else {
            return Err(format!("payment {key} is one of the terminal {name}, which the shop does not have"));
        };
        let told = payment.entry.approved.as_ref().and_then(|charge| charge.receipt_number.clone());
        if let Some(receipt) = told.and_then(|receipt| receipt.parse().ok()) {
            ledgers.approved.entry((at, receipt)).or_default().insert(key.clone());
        }
        if let journal::Transaction::Reversal { reference } = &payment.entry.intent.operation
            && let Some(receipt) = reference.field("receipt").and_then(|receipt| receipt.parse().ok())
        {
            let reversals = ledgers.reversals.entry((at, receipt)).or_default();
            if payment.entry.is_open() || charge(payment).is_some() {
                reversals.insert(key.clone());
            } else {
                reversals.remove(key);
            }
            due.extend(ledgers.claimed.get(&(at, receipt)).cloned());
        }
        if charge(payment).is_none() {
            continue;
        }
        let Some(receipt) = receipt(payment) else {
            return Err(format!("payment {key} is charged without a receipt number"));
        };
        if let Some(other) = ledgers.claimed.insert((at, receipt), key.clone())
            && other != *key
        {
            return Err(format!("payment {key} is charged under receipt {receipt} of {name}, as is {other}"));
        }
        due.insert(key.clone());
        changed.extend(ledgers.by_receipt.get(&(at, receipt)).into_iter().flatten().map(|index| (at, *index)));
    }
    Ok(due)
}

fn stands_once(counter: &Counter, books: &Books, key: &str) -> Held {
    let Some((payment, charge)) = books.payments.get(key).and_then(|p| Some((p, charge(p)?))) else { return Ok(()) };
    let terminal = &payment.entry.intent.terminal;
    let (Some(at), Some(receipt)) =
        (counter.world.terminals.iter().position(|place| place.name() == terminal), receipt(payment))
    else {
        return Ok(());
    };
    let ledgers = &books.ledgers;
    let stands =
        |t: &&Transaction| t.state == State::Stored || (t.state == State::Reversed && matches!(t.kind, Kind::Payment));
    let there = ledgers.by_receipt.get(&(at, receipt)).into_iter().flatten().map(|index| &ledgers.entries[at][*index]);
    let found: Vec<_> = there.filter(stands).collect();
    let [found] = found[..] else {
        return Err(format!(
            "payment {key} is charged under receipt {receipt}, of which the ledger of {terminal} has {found:?}"
        ));
    };
    if found.amount != charge {
        return Err(format!("payment {key} is charged with {charge}, the ledger of {terminal} has {found:?}"));
    }
    let reversed = ledgers.reversals.get(&(at, receipt)).is_some_and(|reversals| !reversals.is_empty());
    let lost = counter.world.notebook().orphans.contains(&(at, receipt));
    if found.state == State::Reversed && !reversed && !lost {
        return Err(format!("payment {key} is charged, the terminal {terminal} has taken it back: {found:?}"));
    }
    Ok(())
}

/// What stands at a terminal is charged in the journal, or open there: no money moves unseen.
fn stored_is_in_the_journal(counter: &Counter, books: &Books) -> Held {
    for (at, place) in counter.world.terminals.iter().enumerate() {
        let mut unclaimed: Vec<_> =
            books.ledgers.unclaimed[at].iter().map(|i| &books.ledgers.entries[at][*i]).collect();
        // What was lost takes no open payment from what is not.
        let notebook = counter.world.notebook();
        unclaimed.retain(|t| !notebook.orphans.contains(&(at, t.receipt)));
        drop(notebook);
        if unclaimed.is_empty() {
            continue;
        }
        let mut open: Vec<&StoredPayment> = books.open.iter().filter_map(|key| books.payments.get(key)).collect();
        open.retain(|p| p.entry.intent.terminal == place.name());
        // The largest first, so that a part does not take an open payment from a whole.
        unclaimed.sort_by_key(|t| std::cmp::Reverse(t.amount.minor()));
        for transaction in unclaimed {
            // The smallest open payment that it may be.
            let found = open.iter().enumerate().filter(|(_, p)| may_be(p, transaction));
            let Some((found, _)) = found.min_by_key(|(_, p)| p.entry.intent.amount.minor()) else {
                let same = |p: &&StoredPayment| {
                    p.entry.intent.amount == transaction.amount && p.entry.intent.terminal == place.name()
                };
                let near: Vec<_> = books.payments.values().filter(same).collect();
                let near: Vec<_> = near.iter().map(|p| (&p.entry.intent.id.0, p.entry.outcome())).collect();
                return Err(format!(
                    "{} has charged {transaction:?}, which the journal neither has nor has open; of this amount it has \
                     {near:?}",
                    place.name()
                ));
            };
            open.remove(found);
        }
    }
    Ok(())
}

fn may_be(open: &StoredPayment, transaction: &Transaction) -> bool {
    let asked = open.entry.intent.amount;
    match (&open.entry.intent.operation, transaction.kind) {
        (journal::Transaction::Payment, Kind::Payment) => transaction.amount.minor() <= asked.minor(),
        (journal::Transaction::Reversal { .. }, Kind::Reversal(_)) | (journal::Transaction::Refund, Kind::Refund) => {
            transaction.amount == asked
        }
        _ => false,
    }
}

/// A terminal that takes back what is not acknowledged has stored it: then the approval was in the journal before it was
/// acknowledged, and still is.
fn acknowledged_is_journalled(
    counter: &Counter,
    books: &Books,
    (at, index): (usize, usize),
    by_hand: &BTreeSet<Slip>,
) -> Held {
    let place = &counter.world.terminals[at];
    let stored = &books.ledgers.entries[at][index];
    let slip = (at, stored.receipt);
    if stored.state != State::Stored
        || by_hand.contains(&slip)
        || counter.world.notebook().orphans.contains(&slip)
        || place.with(|t| t.profile_mut().commit) != Commit::Reverses
    {
        return Ok(());
    }
    if books.ledgers.approved.get(&slip).map_or(0, BTreeSet::len) != 1 {
        return Err(format!("{} has stored {stored:?}, whose approval is not in the journal", place.name()));
    }
    Ok(())
}

/// Every payment is decided.
///
/// # Errors
/// One is not.
pub(super) fn nothing_is_open(books: &Books) -> Held {
    match books.open.first().and_then(|key| books.payments.get(key)) {
        Some(open) => Err(format!("a payment is still open: {:?}", open.entry)),
        None => Ok(()),
    }
}

/// Every transaction that stands is claimed by a payment.
///
/// # Errors
/// One is not.
pub(super) fn ledger_and_journal_agree(counter: &Counter, books: &Books) -> Held {
    for (at, place) in counter.world.terminals.iter().enumerate() {
        let left = books.ledgers.unclaimed[at].iter().map(|index| &books.ledgers.entries[at][*index]);
        let notebook = counter.world.notebook();
        if let Some(left) = left.into_iter().find(|left| !notebook.orphans.contains(&(at, left.receipt))) {
            return Err(format!("{} has {left:?}, which no payment in the journal claims", place.name()));
        }
    }
    Ok(())
}

/// What stands at a terminal and may be this payment: no payment in the journal claims it, and it was lost with a disk only
/// if the payment comes from a backup. What was lost and is of the same amount is nobody else's.
///
/// # Errors
/// Something does not hold.
pub async fn candidates(counter: &Counter, at: usize, intent: &Intent) -> Result<Vec<Transaction>, String> {
    super::at_any_time(counter).await?;
    let books = counter.books.lock().await;
    let unclaimed = books.ledgers.unclaimed[at].iter().map(|index| &books.ledgers.entries[at][*index]);
    let notebook = counter.world.notebook();
    let is_lost = |t: &Transaction| notebook.orphans.contains(&(at, t.receipt));
    Ok(unclaimed.filter(|t| is_lost(t) == intent.restored).cloned().collect())
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
