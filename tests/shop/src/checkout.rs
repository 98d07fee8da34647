//! What is the same whoever sells: closing a sale, taking cash, and noting what the till said.

use std::time::Duration;

use tresen::printers::DrawerPin;
use tresen::sale::{Checkout, Sale, Sold, Tender, TenderKind, TenderState};
use tresen::{Amount, Print, Receipt};

use crate::counter::Counter;
use crate::invariants::{foot, head};

/// Signs, closes and prints a sale, and notes what the till said.
pub async fn close(counter: &Counter, who: &str, sale: &mut Sale) {
    if sale.ticket().lines().is_empty() {
        if counter.call(who, "gives the empty sale up", AT_ONCE, sale.void("nothing was sold")).await.is_ok() {
            note_voided(counter, sale.id());
        }
        return;
    }
    let Some(mut checkout) = checkout(counter) else { return };
    if let Some(pin) = with_drawer(counter, sale.id(), sale.tenders()) {
        checkout = checkout.drawer(pin);
    }
    let sold = counter.call(who, format!("closes {}", sale.id()), PRINT, checkout.close(sale)).await;
    if let Ok(sold) = sold {
        note_sold(counter, sale, &sold);
    }
}

/// What a till does once after it has started: it goes on with the sales that were being paid.
pub async fn resume(counter: &Counter) {
    let Some(checkout) = checkout(counter) else { return };
    let sales = counter.world.notebook().sales().len() as u32 + 1;
    let resumed = counter.call("THE TILL", "resumes", PRINT * sales, checkout.resume()).await;
    for (sale, sold) in resumed.into_iter().flatten() {
        if let Ok(sold) = sold {
            note_sold(counter, &sale, &sold);
        }
    }
}

fn checkout(counter: &Counter) -> Option<Checkout> {
    counter.till.checkout("receipt").ok()
}

/// How the receipts of this shop look.
pub fn receipt(sale: &Sale) -> Receipt {
    let total = sale.ticket().total().to_string();
    let receipt = Receipt::new().text(head(sale.id())).row("Total", total).text(foot(sale.id())).cut();
    let opens = has_cash(sale.tenders()) && opens_drawer_itself(sale.id());
    if opens { receipt.drawer(DrawerPin::Five) } else { receipt }
}

/// Whether the receipt of a sale with cash opens the drawer; with others the checkout does.
pub fn opens_drawer_itself(sale: &str) -> bool {
    sale.bytes().last().is_some_and(|last| last.is_multiple_of(2))
}

/// The drawer that the checkout of a sale with these tenders opens.
pub fn with_drawer(counter: &Counter, sale: &str, tenders: &[Tender]) -> Option<DrawerPin> {
    if !has_cash(tenders) || opens_drawer_itself(sale) {
        return None;
    }
    counter.world.notebook().drawer_sales.insert(sale.to_owned());
    Some(DrawerPin::Two)
}

fn has_cash(tenders: &[Tender]) -> bool {
    tenders.iter().any(|tender| tender.kind == TenderKind::Cash && tender.state == TenderState::Taken)
}

/// Notes that the till said that a sale was given up.
pub fn note_voided(counter: &Counter, sale: &str) {
    if let Some(note) = counter.world.notebook().sale(sale) {
        note.voided = true;
    }
}

fn note_sold(counter: &Counter, sale: &Sale, sold: &Sold) {
    let Sold::Closed { print, .. } = sold else { return };
    note_print(counter, &format!("receipt-{}", sale.id()), print);
    if let Some(note) = counter.world.notebook().sale(sale.id()) {
        note.number = sale.ticket().number();
    }
}

/// Takes cash, and notes what the till said.
pub async fn pay_cash(counter: &Counter, who: &str, sale: &mut Sale, given: Amount) {
    offered(counter, sale.id());
    if counter.call(who, format_args!("takes {given} in cash"), AT_ONCE, sale.pay_cash(given)).await.is_ok() {
        note_tender(counter, sale);
    }
}

/// Pays out what is open, in cash, and notes what the till said.
pub async fn pay_out(counter: &Counter, who: &str, sale: &mut Sale) {
    offered(counter, sale.id());
    if counter.call(who, "pays out", AT_ONCE, sale.pay_out()).await.is_ok() {
        note_tender(counter, sale);
    }
}

/// Notes what the till said about a print job.
pub fn note_print(counter: &Counter, id: &str, print: &Print) {
    let mut notebook = counter.world.notebook();
    match print {
        Print::Printed { .. } => {
            notebook.count("printed");
            notebook.printed(id);
        }
        Print::Unknown { .. } => notebook.count("parked"),
        _ => notebook.count("printing or waiting"),
    }
}

/// Notes a line of a sale, and whether the till said that it is there.
pub fn note_line(counter: &Counter, sale: &str, name: &str, sure: bool) {
    if let Some(note) = counter.world.notebook().sale(sale) {
        note.lines.insert(name.to_owned(), sure);
    }
}

/// Notes that money was handed over, whatever is answered.
pub fn offered(counter: &Counter, sale: &str) {
    if let Some(note) = counter.world.notebook().sale(sale) {
        note.offered += 1;
    }
}

/// Notes the last tender of a sale, which the till said it took.
pub fn note_tender(counter: &Counter, sale: &Sale) {
    let Some(last) = sale.tenders().last() else { return };
    if let Some(note) = counter.world.notebook().sale(sale.id()) {
        note.taken.insert(last.key.clone(), last.taken.minor());
    }
}

/// Calls that only touch the database.
pub const AT_ONCE: Duration = Duration::from_secs(1);
/// [`tresen::Terminal`]: 5 s for the first opening, 900 s for the transaction, 60 s for its settlement.
pub const PAYMENT: Duration = Duration::from_secs(966);
/// [`tresen::Printer`]: its patience.
pub const PRINT: Duration = Duration::from_secs(61);
/// A question to a device.
pub const SECONDS_61: Duration = Duration::from_secs(61);
