//! What a handheld is told about its calls, at once or after the till was away.

use std::time::Duration;

use jiff::Timestamp;
use tresen::api::sale::CardPaid;
use tresen::api::{Command, printer, sale};
use tresen::payment::Payment;
use tresen::sale::Sold;
use tresen::{Effect, Error, SaleView};

use super::{Handheld, note_tender};
use crate::checkout::{note_line, note_print};
use crate::counter::Counter;
use crate::mortal::OPENED;
use crate::notebook::{SaleNote, Told};
use crate::remote::Learnt;

impl Handheld {
    /// Goes on with the call that was under way when the till died, or the handheld broke.
    pub(super) async fn resumes(&mut self, counter: &Counter) {
        let Some(handset) = self.radio.handset().cloned() else { return };
        if let Some(learnt) = handset.resume(counter, &self.radio).await {
            counter.world.notebook().count("outcomes learnt later");
            self.learns(counter, &learnt);
        }
    }

    fn learns(&mut self, counter: &Counter, learnt: &Learnt) {
        let sale = learnt.field("sale");
        if let Some(view) = learnt.reply::<sale::Open>() {
            let id = view.ticket.id().to_owned();
            counter.world.notebook().begun(SaleNote::of(&id));
            if self.mine.is_none() {
                self.mine = Some(id);
            } else {
                counter.world.notebook().parked.push_back(id);
            }
        }
        if let Some(paid) = learnt.reply::<sale::PayCard>() {
            note_paid(counter, &paid);
        }
        if let (sale::PayCard::NAME, Err(error)) = (learnt.command, learnt.outcome.as_ref()) {
            note_not_paid(counter, sale.clone(), learnt.made, error);
        }
        if learnt.reply::<printer::Submit>().is_some() {
            counter.world.notebook().job(&learnt.field("id"), true);
        }
        if let Some(closed) = learnt.reply::<sale::Close>() {
            note_closed(counter, &sale, &closed.sold, &closed.sale);
        }
        // Of a sale that was left to others they know better.
        if learnt.broke {
            return;
        }
        if learnt.reply::<sale::Add>().is_some()
            && let Some(name) = learnt.with["line"]["name"].as_str()
        {
            note_line(counter, &sale, name, true);
        }
        if let Some(view) = learnt.reply::<sale::PayOther>() {
            note_tender(counter, &view);
        }
        if let Some(paid) = learnt.reply::<sale::PayCash>() {
            note_tender(counter, &paid.sale);
        }
    }
}

/// Notes what was told about a card payment.
pub(super) fn note_paid(counter: &Counter, paid: &CardPaid) {
    let now = counter.world.story.time();
    let mut notebook = counter.world.notebook();
    notebook.count(match paid.payment {
        Payment::Charged(_) => "charged",
        Payment::Partial(_) => "charged in part",
        Payment::NotCharged(_) => "not charged",
        _ => "unknown",
    });
    let Some(key) = paid.sale.tenders.last().map(|tender| tender.key.clone()) else { return };
    match &paid.payment {
        Payment::Charged(charge) | Payment::Partial(charge) => {
            notebook.told_of_money.push(Told::Charged { key, minor: charge.amount.minor() });
        }
        Payment::NotCharged(_) => notebook.told_of_money.push(Told::NotCharged { key }),
        _ => _ = notebook.doubts.insert(key, now),
    }
}

/// Notes an error that said that nothing happened to a payment that was asked for at `asked`.
pub(super) fn note_not_paid(counter: &Counter, sale: String, asked: Duration, error: &Error) {
    if error.effect() == Effect::None {
        let opened: Timestamp = OPENED.parse().expect("a time");
        let (from, to) = (opened + asked, opened + counter.world.story.time());
        counter.world.notebook().told_of_money.push(Told::Nothing { sale, from, to });
    }
}

/// Notes that the till said that a sale is closed.
pub(super) fn note_closed(counter: &Counter, sale: &str, sold: &Sold, view: &SaleView) {
    let Sold::Closed { print, .. } = sold else { return };
    note_print(counter, &format!("receipt-{sale}"), print);
    if let Some(note) = counter.world.notebook().sale(sale) {
        note.number = view.ticket.number();
    }
}
