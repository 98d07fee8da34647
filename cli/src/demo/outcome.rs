//! The outcome: files, journal, and whether till and terminal agree.

use std::path::{Path, PathBuf};

use serde_json::json;
use tresen::export::{Export, Format, What};
use tresen::payment::Charge;
use tresen::payment::zvt::sim::State;
use tresen::sale::Sold;
use tresen::{Error, Kind, Payment, Print, Result, Tresen};

use super::Fault;
use super::counter::Counter;
use super::sale::Ended;
use crate::out::Out;

/// Writes the tickets, compares till and terminal, and prints a summary. Returns an error if anything differs from what
/// is expected with this fault.
pub(super) async fn tell(
    till: &Tresen,
    counter: &Counter,
    ended: &Ended,
    fault: Option<Fault>,
    dir: &Path,
    files: [PathBuf; 3],
    out: Out,
) -> Result<()> {
    let wrong = |what: &str| Error::new(Kind::Protocol, what).at("demo");
    let paid = || ended.sale.tenders().iter().find_map(|t| t.charge.as_deref());
    let charge: Option<&Charge> = match (&ended.sold, fault) {
        (Sold::Closed { .. }, None | Some(Fault::PaperOut | Fault::LinkCut)) => paid(),
        (Sold::Open { payment: Some(Payment::NotCharged(why)), .. }, Some(Fault::Decline)) => {
            out.say(format_args!("  not charged: {}", why.text));
            None
        }
        (Sold::Open { payment: Some(Payment::NotCharged(why)), .. }, _) => {
            return Err(wrong(&format!("the payment should have succeeded, but: {}", why.text)));
        }
        (Sold::Open { payment: Some(Payment::Unknown(unknown)), .. }, _) => {
            return Err(wrong(&format!("payment {} is still unknown: {}", unknown.intent.0, unknown.why)));
        }
        _ => return Err(wrong("the payment should have been declined")),
    };
    let tickets = dir.join("tickets.csv");
    if charge.is_some() {
        till.export_file(Export::new(What::Lines, Format::Csv), &tickets).await?;
    }
    agree(till, counter, ended, charge).await?;
    paper(counter, ended, fault)?;
    till.store().checkpoint().await?;

    out.say("\nFiles");
    for file in files.iter().chain([&dir.join("till.db"), &tickets]).filter(|f| f.exists()) {
        out.say(format_args!("  {}", file.display()));
    }
    let summary = match (fault, charge) {
        (None, Some(c)) => format!("Sold: {} charged once, receipt proven on paper.", c.amount),
        (Some(Fault::PaperOut), Some(c)) => {
            format!("Sold: {} charged once; the receipt was printed in the kitchen, with a note.", c.amount)
        }
        (Some(Fault::LinkCut), Some(c)) => format!(
            "Sold: the link was cut after approval; {} charged once, in the terminal's ledger and in the journal.",
            c.amount
        ),
        _ => "Declined: nothing charged, no receipt printed, the ticket stays open.".to_owned(),
    };
    let value = json!({
        "ticket": ended.sale.ticket().number(),
        "total": ended.sale.ticket().total(),
        "charged": charge.map(|c| c.amount),
        "receipt_link": ended.link,
        "folder": dir,
    });
    out.answer(&value, format_args!("\n{summary}"));
    Ok(())
}

/// The terminal's ledger and the till's journal must agree.
async fn agree(till: &Tresen, counter: &Counter, ended: &Ended, charge: Option<&Charge>) -> Result<()> {
    let stands: Vec<_> = counter
        .terminal
        .with(|t| t.ledger().entries().iter().filter(|e| e.state == State::Stored).map(|e| e.amount).collect());
    let journal = till.store().payments().await?;
    let ours =
        journal.iter().find(|e| e.intent.id.0 == format!("{}/1", ended.sale.id())).and_then(|e| e.payment.as_ref());
    let charged: Vec<_> = ours.and_then(Payment::charge).map(|charge| charge.amount).into_iter().collect();
    let expected: Vec<_> = charge.iter().map(|_| ended.sale.ticket().total()).collect();
    if stands == expected && charged == expected {
        return Ok(());
    }
    Err(Error::new(
        Kind::Protocol,
        format!("terminal and journal do not agree: {stands:?}, {charged:?}, expected {expected:?}"),
    )
    .at("demo"))
}

/// The receipt must be on the right printer, with the ticket's total on it.
fn paper(counter: &Counter, ended: &Ended, fault: Option<Fault>) -> Result<()> {
    let total = ended.sale.ticket().total().number('.');
    let text = |printer: &tresen::hal::sim::Shared<tresen::printers::escpos::sim::Simulator>| {
        printer.with(|p| p.roll().text().to_owned())
    };
    let (receipt, kitchen) = (text(&counter.receipt), text(&counter.kitchen));
    let right = match (&ended.sold, fault) {
        (Sold::Closed { print: Print::Printed { on, .. }, .. }, Some(Fault::PaperOut)) => {
            on == "kitchen"
                && kitchen.contains(&total)
                && kitchen.contains("instead of receipt")
                && receipt.trim().is_empty()
        }
        (Sold::Closed { print: Print::Printed { on, .. }, .. }, _) => on == "receipt" && receipt.contains(&total),
        (Sold::Open { .. }, _) => receipt.trim().is_empty(),
        _ => false,
    };
    if right { Ok(()) } else { Err(Error::new(Kind::Protocol, "the printed output is not as expected").at("demo")) }
}
