//! Sales: what people did is what is stored.

use std::collections::BTreeMap;

use tresen::sale::{Sale, TenderKind, TenderState};
use tresen::{Payment, SaleState};

use super::{Books, Held};
use crate::counter::Counter;

/// Every sale that was begun is found, with the lines and the money of which the till said that it has them.
pub async fn begun_are_found_with_what_was_taken(counter: &Counter) -> Held {
    let ids: Vec<String> = counter.world.notebook().sales.iter().map(|note| note.id.clone()).collect();
    for id in ids {
        let sale = find(counter, &id).await?;
        let mut notebook = counter.world.notebook();
        let Some(note) = notebook.sale(&id) else { continue };
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
    }
    Ok(())
}

/// A closed sale is paid to the cent, nothing of it is undecided, and its receipt is in the spool.
pub async fn closed_are_paid_and_have_their_receipt(counter: &Counter, books: &Books) -> Held {
    for sale in closed(counter).await? {
        let id = sale.id();
        let taken: i64 = sale.tenders().iter().filter(|t| t.state == TenderState::Taken).map(|t| t.taken.minor()).sum();
        if taken != sale.ticket().total().minor() {
            return Err(format!("sale {id} is closed with {} to pay and {taken} taken", sale.ticket().total()));
        }
        if let Some(open) =
            sale.tenders().iter().find(|t| !matches!(t.state, TenderState::Taken | TenderState::Refused))
        {
            return Err(format!("sale {id} is closed and its tender {} is {:?}", open.key, open.state));
        }
        if !books.jobs.iter().any(|job| job.id == format!("receipt-{id}")) {
            return Err(format!("sale {id} is closed and has no receipt in the spool"));
        }
    }
    Ok(())
}

/// Closed sales are numbered from 1, without gaps.
pub async fn numbers_have_no_gaps(counter: &Counter) -> Held {
    for (at, sale) in closed(counter).await?.iter().enumerate() {
        if sale.ticket().number() != Some(at as i64 + 1) {
            return Err(format!("the sale after number {at} has the number {:?}", sale.ticket().number()));
        }
    }
    Ok(())
}

/// A card tender is what the journal says of its payment.
pub async fn tenders_and_journal_agree(counter: &Counter, books: &Books) -> Held {
    let ids: Vec<String> = counter.world.notebook().sales.iter().map(|note| note.id.clone()).collect();
    for id in ids {
        let sale = find(counter, &id).await?;
        for tender in sale.tenders() {
            let TenderKind::Card { .. } = tender.kind else { continue };
            let payment = books.payments.iter().find(|p| p.entry.intent.id.0 == tender.key);
            let outcome = payment.and_then(|p| p.entry.outcome());
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
    for payment in books.payments.iter().filter(|p| p.entry.outcome().is_some_and(|o| o.charge().is_some())) {
        let key = &payment.entry.intent.id.0;
        let id = key.split('/').next().unwrap_or_default();
        if !find(counter, id).await?.tenders().iter().any(|t| t.key == *key) {
            return Err(format!("payment {key} is charged and no tender knows of it"));
        }
    }
    Ok(())
}

/// Every sale is closed or given up.
pub async fn nothing_is_left(counter: &Counter) -> Held {
    let open = counter.till.open_sales().await.map_err(|e| e.to_string())?;
    match open.first() {
        Some(sale) => {
            Err(format!("sale {} is still open: {} to pay, {:?}", sale.id(), sale.open_amount(), sale.tenders()))
        }
        None => Ok(()),
    }
}

async fn find(counter: &Counter, id: &str) -> Result<Sale, String> {
    let found = counter.till.sale(id).await.map_err(|e| format!("sale {id} cannot be read: {e}"))?;
    found.ok_or_else(|| format!("sale {id} was begun and is gone"))
}

async fn closed(counter: &Counter) -> Result<Vec<Sale>, String> {
    counter.till.tickets_since(0, 5_000).await.map_err(|e| format!("closed sales cannot be read: {e}"))
}
