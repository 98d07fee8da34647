//! The receipt of a ticket, as a document.

use jiff::tz::TimeZone;
use tresen_hal::{Amount, Language};
use tresen_payment::Charge;
use tresen_printers::Receipt;
use tresen_printers::document::{Cell, Qr, Row, Style};

use super::line::{Line, Quantity};
use super::sign::Signing;
use super::tender::{Tender, TenderKind, TenderOperation, TenderState};
use super::ticket::Ticket;
use crate::language::{Printed, Texts};

impl Ticket {
    /// The receipt without payment: number and time, lines with their tax keys, tips, total, taxes by key.
    pub fn receipt(&self, language: Language) -> Receipt {
        let texts = language.texts();
        let number = |amount: Amount| amount.number(texts.mark);
        let mut receipt = Receipt::new().row(format!("{} {}", texts.receipt, self.label()), self.time(texts)).rule();
        if let Some(original) = self.original() {
            receipt = receipt.text(format!("{} {original}", texts.gives_back));
        }
        for line in self.lines() {
            let total = number(line.total);
            let total = line.tax_key.as_ref().map_or(total.clone(), |key| format!("{total} {key}"));
            receipt = receipt.row(&line.name, total);
            if let Some(detail) = detail(line, texts) {
                receipt = receipt.text(detail);
            }
        }
        receipt = receipt.rule();
        if !self.tips().is_empty() {
            receipt = receipt.row(texts.subtotal, number(self.turnover()));
            for tip in self.tips() {
                receipt = receipt.row(texts.tip, number(tip.amount));
            }
        }
        receipt = receipt.styled_row(
            format!("{} {}", texts.total, self.total().currency()),
            number(self.total()),
            Style::new().bold().size(1, 2),
        );
        receipt = receipt.feed(1).columns(table([texts.rate, texts.net, texts.tax, texts.gross].map(str::to_owned)));
        let rows = self.vat();
        for row in &rows {
            let rate = row.rate.to_string().replace('.', &texts.mark.to_string());
            let rate = row.key.as_ref().map_or(rate.clone(), |key| format!("{key} {rate}"));
            receipt = receipt.columns(table([rate, number(row.net), number(row.tax), number(row.gross)]));
        }
        for row in &rows {
            if let Some(text) = &row.text {
                receipt = receipt.text(row.key.as_ref().map_or(text.clone(), |key| format!("{key} {text}")));
            }
        }
        match self.note() {
            Some(note) => receipt.feed(1).text(note),
            None => receipt,
        }
    }

    /// The receipt with its card payment: amount, card, the terminal's slip.
    pub fn paid_by(&self, charge: &Charge, language: Language) -> Receipt {
        let texts = language.texts();
        card(self.receipt(language).rule(), charge, texts.card, charge.amount, texts)
    }

    /// The receipt with all its tenders, and the fiscal device's signature.
    pub fn settled(&self, tenders: &[Tender], signing: Option<&Signing>, language: Language) -> Receipt {
        let texts = language.texts();
        let number = |amount: Amount| amount.number(texts.mark);
        let mut receipt = self.receipt(language);
        let taken: Vec<_> = tenders.iter().filter(|t| t.state == TenderState::Taken).collect();
        if !taken.is_empty() {
            receipt = receipt.rule();
        }
        for tender in taken {
            let paid = tender.operation == TenderOperation::Payment;
            receipt = match (&tender.kind, &tender.charge) {
                (TenderKind::Card { .. }, Some(charge)) => {
                    let word = if paid { texts.card } else { texts.refunded };
                    card(receipt, charge, word, tender.taken, texts)
                }
                (TenderKind::Card { .. }, None) => receipt.row(texts.card, number(tender.taken)),
                (TenderKind::Cash, _) => receipt.row(texts.cash, number(tender.taken)),
                (TenderKind::Account { account }, _) => {
                    receipt.row(format!("{} {account}", texts.account), number(tender.taken))
                }
                (TenderKind::Other { name }, _) => receipt.row(name, number(tender.taken)),
            };
            if let (Some(given), Some(change)) = (tender.given, tender.change()) {
                receipt = receipt.row(texts.given, number(given)).row(texts.change, number(change));
            }
        }
        match signing {
            Some(Signing::Signed(signature)) => {
                receipt = receipt.rule();
                for line in &signature.lines {
                    receipt = receipt.text(line);
                }
                // Content too long for a QR code is still stored with the sale.
                match signature.code.as_ref().map(Qr::new) {
                    Some(Ok(code)) => receipt.qr(code),
                    _ => receipt,
                }
            }
            Some(Signing::Outage { .. }) => receipt.rule().text(texts.unsigned),
            None => receipt,
        }
    }

    /// The kitchen ticket: number and time, quantities and names, large. Discounts are left out.
    pub fn kitchen(&self, language: Language) -> Receipt {
        let texts = language.texts();
        let mut receipt = Receipt::new()
            .styled(format!("{} {}", texts.kitchen, self.label()), Style::new().bold().centre().size(2, 2))
            .styled(self.time(texts), Style::new().centre())
            .rule();
        for line in self.lines().iter().filter(|l| l.total.minor() >= 0) {
            let quantity = match line.quantity {
                Quantity::Pieces(count) => format!("{count} x"),
                Quantity::Grams(grams) => format!("{grams} g"),
            };
            receipt = receipt.styled(format!("{quantity} {}", line.name), Style::new().size(2, 2));
        }
        match self.note() {
            Some(note) => receipt.rule().text(note).cut(),
            None => receipt.cut(),
        }
    }

    /// The time of closing, if closed, otherwise of opening.
    fn time(&self, texts: &Texts) -> String {
        self.closed_at().unwrap_or(self.opened_at()).to_zoned(TimeZone::system()).strftime(texts.date).to_string()
    }
}

/// A card payment or refund: amount, card, the terminal's slip.
fn card(receipt: Receipt, charge: &Charge, word: &str, amount: Amount, texts: &Texts) -> Receipt {
    let mut receipt = receipt.row(word, amount.number(texts.mark));
    if let Some(card) = &charge.card_name {
        receipt = receipt.row(card, charge.masked_pan.clone().unwrap_or_default());
    }
    if charge.customer_slip.is_empty() {
        if let Some(terminal) = &charge.terminal_id {
            let number = charge.receipt_number.clone().unwrap_or_default();
            receipt = receipt.row(format!("{} {terminal}", texts.terminal), number);
        }
        return receipt;
    }
    receipt = receipt.feed(1);
    for line in &charge.customer_slip {
        receipt = receipt.styled(line, Style::new().centre());
    }
    receipt
}

/// A row of the tax table with its four columns, the same widths on every line; fits 32 columns.
fn table([rate, net, tax, gross]: [String; 4]) -> Row {
    let amount = |columns, text| Cell::fixed(columns, text).right();
    Row::new([Cell::flex(rate), amount(8, net), amount(7, tax), amount(8, gross)])
}

/// `  2 x 3.80`, `  0.456 kg x 19.90`; `None` for a single piece.
fn detail(line: &Line, texts: &Texts) -> Option<String> {
    let price = line.unit_price.number(texts.mark);
    match line.quantity {
        Quantity::Pieces(1) => None,
        Quantity::Pieces(count) => Some(format!("  {count} x {price}")),
        Quantity::Grams(grams) => Some(format!("  {}{}{:03} kg x {price}", grams / 1000, texts.mark, grams % 1000)),
    }
}
