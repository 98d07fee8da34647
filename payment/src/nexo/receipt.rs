//! Receipts: lines of `name=…&value=…&key=…` become lines of text.

use super::form;
use super::wire::{OutputText, Receipt};
use crate::slips::{Slip, Slips};

/// Takes the receipts of a response.
pub(super) fn collect(receipts: &[Receipt], slips: &mut Slips) {
    for receipt in receipts {
        let slip = match receipt.document_qualifier.as_deref() {
            Some("CashierReceipt") => Some(Slip::Merchant),
            Some("CustomerReceipt") => Some(Slip::Customer),
            Some("SaleReceipt" | "Journal" | "Document" | "Voucher") => Some(Slip::Admin),
            _ => None,
        };
        let content = receipt.output_content.as_ref();
        slips.block(slip, lines(content.map(|content| &content.output_text[..]).unwrap_or_default()));
    }
}

/// Runs of text up to the one that ends its line.
fn lines(runs: &[OutputText]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for run in runs {
        open.get_or_insert_default().push_str(&laid_out(run.text.as_deref().unwrap_or_default()));
        if run.end_of_line_flag != Some(false) {
            lines.extend(open.take());
        }
    }
    lines.extend(open);
    lines
}

/// The name on the left, the value on the right, if there are both and they fit.
fn laid_out(text: &str) -> String {
    let part = |key| form::value(text, key).filter(|part| !part.is_empty());
    match (part("name"), part("value")) {
        (Some(name), Some(value)) => {
            let used = name.chars().count() + value.chars().count();
            format!("{name}{}{value}", " ".repeat(WIDTH.saturating_sub(used).max(1)))
        }
        (Some(alone), None) | (None, Some(alone)) => alone.into_owned(),
        // `key=filler` is an empty line; what has none of these is a plain text.
        (None, None) if form::value(text, "key").is_some() => String::new(),
        (None, None) => text.to_owned(),
    }
}

/// Characters of a line: what 58 mm paper has.
const WIDTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nexo::wire::OutputContent;

    /// Lines as Adyen, "Generate receipts", shows them.
    #[test]
    fn names_stand_left_and_values_right() {
        let run = |text: &str, end: Option<bool>| OutputText { text: Some(text.into()), end_of_line_flag: end };
        let content = OutputContent {
            output_format: Some("Text".into()),
            predefined_content: None,
            output_text: vec![
                run("key=header1", None),
                run("name=CARDHOLDER%20COPY&key=cardholderHeader", Some(true)),
                run("key=filler", Some(true)),
                run("name=Card&value=%2A%2A%2A%2A%2A%2A%2A%2A%2A%2A%2A%2A9999&key=pan", Some(true)),
                run("name=TOTAL&value=%E2%82%AC%C2%A010.99&key=totalAmount", Some(true)),
                run("Vielen ", Some(false)),
                run("Dank", Some(false)),
            ],
        };
        let receipt = Receipt {
            document_qualifier: Some("CustomerReceipt".into()),
            output_content: Some(content),
            required_signature_flag: None,
        };
        let mut slips = Slips::default();
        collect(&[receipt], &mut slips);
        let lines = slips.all();
        assert_eq!(
            lines,
            [
                "",
                "CARDHOLDER COPY",
                "",
                "Card            ************9999",
                "TOTAL                    €\u{a0}10.99",
                "Vielen Dank",
            ]
        );
    }
}
