//! Sales: what people did is what is stored.

use std::collections::BTreeMap;

use tresen::sale::{Sale, TenderKind, TenderState};
use tresen::{Payment, SaleState};

use super::books::{News, unreadable};
use super::{Books, Held, kitchen};
use crate::counter::Counter;
use crate::notebook::SaleNote;

/// Every sale that was begun is found, with the lines and the money of which the till said that it has them; closed ones
/// are paid to the cent, numbered without gaps, and their receipt is in the spool.
///
/// # Errors
/// What does not hold.
pub(super) async fn hold(counter: &Counter, books: &mut Books, news: &News) -> Held {
    for id in &news.sales {
        let sale = find(counter, id).await?;
        let notebook = counter.world.notebook();
        if let Some(note) = notebook.note(id) {
            is_as_noted(&sale, note)?;
        }
        let note = notebook.note(id).map(|note| (note.ordered.clone(), note.cancelled.clone()));
        drop(notebook);
        let (ordered, cancelled) = note.unwrap_or_default();
        kitchen::is_ordered(counter, books, &sale, &ordered, &cancelled)?;
        if sale.state() == SaleState::Closed {
            is_paid_and_has_its_receipt(books, &sale)?;
        }
    }
    for sale in books.closed(counter).await? {
        let before = counter.world.notebook().number_after.get(&books.last_number).copied();
        let number = before.unwrap_or(books.last_number) + 1;
        if sale.ticket().number() != Some(number) {
            return Err(format!(
                "the sale after number {} has the number {:?}",
                books.last_number,
                sale.ticket().number()
            ));
        }
        books.last_number = number;
    }
    Ok(())
}

fn is_as_noted(sale: &Sale, note: &SaleNote) -> Held {
    let id = sale.id();
    let mut stored: BTreeMap<&str, usize> = BTreeMap::new();
    sale.ticket().lines().iter().for_each(|line| *stored.entry(&line.name).or_default() += 1);
    for (name, count) in &stored {
        if *count > 1 || note.removed.contains(*name) || !note.lines.contains_key(*name) {
            return Err(format!("sale {id} has `{name}` {count} times, nobody sold that"));
        }
    }
    if let Some((name, _)) = note.lines.iter().find(|(name, sure)| **sure && !stored.contains_key(name.as_str())) {
        return Err(format!("sale {id} has lost its line `{name}`"));
    }
    let sum = sale.ticket().lines().iter().map(|line| line.total.minor()).sum::<i64>();
    if sum != sale.ticket().total().minor() {
        return Err(format!("sale {id} has lines of {sum} and a total of {}", sale.ticket().total()));
    }
    let by_hand: Vec<_> = sale.tenders().iter().filter(|t| !matches!(t.kind, TenderKind::Card { .. })).collect();
    for (key, minor) in &note.taken {
        if !by_hand.iter().any(|t| t.key == *key && t.taken.minor() == *minor && t.state == TenderState::Taken) {
            return Err(format!("sale {id} has lost the tender {key} of {minor}"));
        }
    }
    if by_hand.len() > note.offered {
        return Err(format!("sale {id} has {} tenders by hand, {} were offered", by_hand.len(), note.offered));
    }
    let (number, closed) = (sale.ticket().number(), sale.state() == SaleState::Closed);
    if note.number.is_some() && (note.number != number || !closed) {
        return Err(format!("sale {id} was closed as {:?}, now it is {:?} {number:?}", note.number, sale.state()));
    }
    if note.voided && sale.state() != SaleState::Voided {
        return Err(format!("sale {id} was given up, now it is {:?}", sale.state()));
    }
    if sale.ticket().original() != note.original.as_deref() {
        return Err(format!("sale {id} gives back {:?}, people meant {:?}", sale.ticket().original(), note.original));
    }
    Ok(())
}

fn is_paid_and_has_its_receipt(books: &Books, sale: &Sale) -> Held {
    let id = sale.id();
    let taken: i64 = sale.tenders().iter().filter(|t| t.state == TenderState::Taken).map(|t| t.taken.minor()).sum();
    if taken != sale.ticket().total().minor() {
        return Err(format!("sale {id} is closed with {} to pay and {taken} taken", sale.ticket().total()));
    }
    if let Some(open) = sale.tenders().iter().find(|t| !matches!(t.state, TenderState::Taken | TenderState::Refused)) {
        return Err(format!("sale {id} is closed and its tender {} is {:?}", open.key, open.state));
    }
    if !books.jobs.contains_key(&format!("receipt-{id}")) {
        return Err(format!("sale {id} is closed and has no receipt in the spool"));
    }
    Ok(())
}

/// A card tender is what the journal says of its payment.
///
/// # Errors
/// One is not.
pub(super) async fn tenders_and_journal_agree(counter: &Counter, books: &Books) -> Held {
    let ids: Vec<String> = counter.world.notebook().sales().iter().map(|note| note.id.clone()).collect();
    let mut tenders = BTreeMap::new();
    for id in ids {
        let sale = find(counter, &id).await?;
        for tender in sale.tenders() {
            let TenderKind::Card { .. } = tender.kind else { continue };
            tenders.insert(tender.key.clone(), ());
            let outcome = books.payments.get(&tender.key).and_then(|p| p.entry.outcome());
            let fits = match (tender.state, &outcome) {
                (TenderState::Taken, Some(Payment::Charged(c) | Payment::Partial(c))) => {
                    c.amount.minor() == tender.taken.minor().abs()
                }
                (TenderState::Refused, Some(Payment::NotCharged(_)) | None) => true,
                _ => false,
            };
            if !fits {
                return Err(format!(
                    "tender {} is {:?} ({}), the journal says {outcome:?}",
                    tender.key, tender.state, tender.taken
                ));
            }
        }
    }
    // And no payment without its tender.
    for (key, payment) in &books.payments {
        if payment.entry.outcome().is_some_and(|o| o.charge().is_some()) && !tenders.contains_key(key) {
            return Err(format!("payment {key} is charged and no tender knows of it"));
        }
    }
    Ok(())
}

/// Every sale is closed or given up.
///
/// # Errors
/// One is not.
pub(super) async fn nothing_is_left(counter: &Counter) -> Held {
    let open = counter.till.open_sales().await.map_err(|e| e.to_string())?;
    match open.first() {
        Some(sale) => {
            Err(format!("sale {} is still open: {} to pay, {:?}", sale.id(), sale.open_amount(), sale.tenders()))
        }
        None => Ok(()),
    }
}

async fn find(counter: &Counter, id: &str) -> Result<Sale, String> {
    let found = counter.till.sale(id).await.map_err(unreadable)?;
    found.ok_or_else(|| format!("sale {id} was begun and is gone"))
}
