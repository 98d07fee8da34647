//! Tips that customers add at the terminal: each is on the ticket for as long as its payment stands.

use tresen_payment::Charge;

use crate::sale::{Tender, TenderOperation, Ticket, Tip};

/// Follows a card attempt that has ended: `taken` is its charge if it stands now. Returns whether the ticket has changed.
///
/// A tip that does not fit on the ticket stays off it; the sale then shows that more was taken than is due.
pub(super) fn follow(ticket: &mut Ticket, tender: &Tender, taken: Option<&Charge>) -> bool {
    match (tender.operation, taken) {
        (TenderOperation::Payment, Some(charge)) => {
            let tip = charge.tip.filter(|tip| tip.minor() > 0 && !ticket.tips().iter().any(|t| is_of(t, &tender.key)));
            let Some(tip) = tip else { return false };
            let added = ticket.add_tip(Tip::new(tip).of_payment(&tender.key));
            if let Err(error) = &added {
                tracing::warn!(%error, payment = tender.key, "a tip of the terminal does not fit on the ticket");
            }
            added.is_ok()
        }
        (TenderOperation::Payment, None) => remove(ticket, &tender.key),
        (TenderOperation::Reversal, Some(_)) => tender.reference.as_ref().is_some_and(|paid| remove(ticket, paid)),
        (TenderOperation::Reversal | TenderOperation::Refund, _) => false,
    }
}

fn remove(ticket: &mut Ticket, payment: &str) -> bool {
    let mut removed = false;
    while let Some(at) = ticket.tips().iter().position(|tip| is_of(tip, payment)) {
        if ticket.remove_tip(at).is_err() {
            break;
        }
        removed = true;
    }
    removed
}

fn is_of(tip: &Tip, payment: &str) -> bool {
    tip.payment.as_deref() == Some(payment)
}
