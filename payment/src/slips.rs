//! Sorts the receipts that a terminal sends into the customer's and the merchant's, and masks card numbers in them.
//!
//! At most [`MAX_LINES`] lines and [`MAX_BYTES`] bytes of text are kept of one command: ten times the longest
//! receipt. What a terminal sends beyond that is dropped, and a last line `…` says so.

use serde::{Deserialize, Serialize};

use crate::host::Progress;
use crate::outcome::Charge;
use crate::pan;

/// Whose receipt it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Slip {
    /// The merchant keeps it.
    Merchant,
    /// The customer gets it.
    Customer,
    /// An administrative function's.
    Admin,
}

/// What has come of receipts in one command. The lines that go in may hold whole card numbers; those that come out
/// do not.
#[derive(Default)]
pub(crate) struct Slips {
    /// Whole receipts, in the order they came.
    receipts: Vec<Receipt>,
    /// One that has not ended.
    open: Receipt,
    /// How many receipts have been told.
    told: usize,
    lines: usize,
    bytes: usize,
    /// Numbers that look like a card's and are others: the merchant's.
    known: Vec<String>,
}

#[derive(Default)]
struct Receipt {
    slip: Option<Slip>,
    lines: Vec<String>,
}

impl std::fmt::Debug for Slips {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slips").field("receipts", &self.receipts.len()).field("lines", &self.lines).finish()
    }
}

impl Slips {
    /// A line of a receipt that comes line by line. Another name than that of the lines before begins another receipt.
    pub(crate) fn line(&mut self, slip: Option<Slip>, text: String) {
        if slip.is_some() && self.open.slip.is_some() && slip != self.open.slip {
            self.end();
        }
        self.open.slip = self.open.slip.or(slip);
        if let Some(text) = self.admit(text) {
            self.open.lines.push(text);
        }
    }

    /// The lines so far are a whole receipt.
    pub(crate) fn end(&mut self) {
        let receipt = std::mem::take(&mut self.open);
        if !receipt.lines.is_empty() {
            self.receipts.push(receipt);
        }
    }

    /// A receipt that comes as a block, or a part of one.
    pub(crate) fn block(&mut self, slip: Option<Slip>, lines: impl IntoIterator<Item = String>) {
        self.end();
        for line in lines {
            match self.admit(line) {
                Some(line) => self.open.lines.push(line),
                None => break,
            }
        }
        self.open.slip = slip;
        self.end();
    }

    /// A number that stands on receipts and is no card's.
    pub(crate) fn know(&mut self, number: Option<String>) {
        self.known.extend(number.filter(|number| !self.known.contains(number)));
    }

    /// The receipts that have ended since the last call. A line alone cannot be shown: a card number may go
    /// on in the next.
    pub(crate) fn tell(&mut self) -> Vec<Progress> {
        let new = &self.receipts[self.told..];
        let whole = |receipt: &Receipt| Progress::Receipt {
            slip: receipt.slip,
            lines: pan::mask_lines(&receipt.lines, &self.known),
        };
        let receipts = new.iter().map(whole).collect();
        self.told = self.receipts.len();
        receipts
    }

    /// Puts the slips into a charge. Their names decide. Without names the merchant's comes first, and a single one
    /// is the customer's.
    pub(crate) fn fill(&self, charge: &mut Charge) {
        let named = |slip| self.receipts().filter(move |receipt| receipt.slip == Some(slip)).flat_map(Receipt::lines);
        let mut merchant: Vec<String> = named(Slip::Merchant).collect();
        let mut customer: Vec<String> = named(Slip::Customer).collect();
        let mut nameless = self.receipts().filter(|receipt| receipt.slip.is_none()).peekable();
        let first = nameless.next();
        if merchant.is_empty() && (nameless.peek().is_some() || !customer.is_empty()) {
            merchant.extend(first.into_iter().flat_map(Receipt::lines));
        } else {
            customer.extend(first.into_iter().flat_map(Receipt::lines));
        }
        customer.extend(nameless.flat_map(Receipt::lines));
        charge.merchant_slip = pan::mask_lines(&merchant, &self.known);
        charge.customer_slip = pan::mask_lines(&customer, &self.known);
    }

    /// All lines: the merchant's, the customer's, those of administrative functions, and the nameless.
    pub(crate) fn all(self) -> Vec<String> {
        let order = [Some(Slip::Merchant), Some(Slip::Customer), Some(Slip::Admin), None];
        let sorted = order.into_iter().flat_map(|slip| self.receipts().filter(move |receipt| receipt.slip == slip));
        let lines: Vec<String> = sorted.flat_map(Receipt::lines).collect();
        pan::mask_lines(&lines, &self.known)
    }

    fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.receipts.iter().chain((!self.open.lines.is_empty()).then_some(&self.open))
    }

    /// The line, as long as there is room.
    fn admit(&mut self, line: String) -> Option<String> {
        if self.lines >= MAX_LINES {
            return None;
        }
        self.lines += 1;
        self.bytes += line.len();
        if self.lines == MAX_LINES || self.bytes > MAX_BYTES {
            tracing::warn!("the terminal sends more receipts than any has; the rest is dropped");
            self.lines = MAX_LINES;
            return Some("…".to_owned());
        }
        Some(line)
    }
}

impl Receipt {
    fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.lines.iter().cloned()
    }
}

/// Lines that are kept of one command.
pub(crate) const MAX_LINES: usize = 2_000;
/// Bytes of text that are kept of one command.
pub(crate) const MAX_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::IntentId;
    use tresen_hal::Amount;

    fn filled(slips: &Slips) -> (Vec<String>, Vec<String>) {
        let mut charge = Charge::new(IntentId("a".into()), Amount::eur(1));
        slips.fill(&mut charge);
        (charge.merchant_slip, charge.customer_slip)
    }

    #[test]
    fn sorts_lines_and_blocks() {
        let mut lines = Slips::default();
        lines.line(None, "one".into());
        lines.end();
        assert_eq!(filled(&lines), (vec![], vec!["one".to_owned()]), "a single one is the customer's");
        lines.line(None, "two".into());
        lines.line(None, "three".into());
        assert_eq!(filled(&lines), (vec!["one".into()], vec!["two".into(), "three".into()]));
        let mut blocks = Slips::default();
        blocks.block(Some(Slip::Customer), vec!["c".into()]);
        blocks.block(Some(Slip::Merchant), vec!["m".into()]);
        assert_eq!(filled(&blocks), (vec!["m".into()], vec!["c".into()]));
        assert_eq!(blocks.all(), ["m", "c"]);
    }

    #[test]
    fn the_name_on_a_line_decides_whose_slip_it_is() {
        let (merchant, customer) = (Some(Slip::Merchant), Some(Slip::Customer));
        // The customer's first, without an attribute that ends it; only some lines bear the name.
        let mut swapped = Slips::default();
        for (slip, text) in [(None, "c1"), (customer, "c2"), (merchant, "m1"), (None, "m2")] {
            swapped.line(slip, text.into());
        }
        let two = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(filled(&swapped), (two("m1", "m2"), two("c1", "c2")));
        let mut alone = Slips::default();
        alone.line(merchant, "m".into());
        alone.end();
        assert_eq!(filled(&alone), (vec!["m".to_owned()], vec![]), "the merchant's is nobody else's");
        let mut half = Slips::default();
        half.block(customer, ["c".to_owned()]);
        half.block(None, ["other".to_owned()]);
        assert_eq!(filled(&half), (vec!["other".to_owned()], vec!["c".to_owned()]));
    }

    #[test]
    fn no_whole_card_number_leaves() {
        let mut slips = Slips::default();
        slips.know(Some("455600012345678".into()));
        slips.line(Some(Slip::Customer), "Karte 4111 1111".into());
        assert_eq!(slips.tell(), [], "it may go on");
        slips.line(None, "1111 1111".into());
        slips.line(None, "VU 455600012345678".into());
        slips.end();
        let shown = ["Karte **** ****", "**** 1111", "VU 455600012345678"];
        let lines = shown.map(str::to_owned).to_vec();
        assert_eq!(slips.tell(), [Progress::Receipt { slip: Some(Slip::Customer), lines }]);
        assert_eq!(slips.tell(), [], "once");
        assert_eq!(filled(&slips).1, shown);
        assert!(!format!("{slips:?}").contains("1111"));
        assert_eq!(slips.all(), shown);
    }

    #[test]
    fn a_flood_of_lines_is_bounded() {
        let mut short = Slips::default();
        for _ in 0..3 * MAX_LINES {
            short.line(None, String::new());
        }
        assert_eq!(short.all().len(), MAX_LINES);
        let mut long = Slips::default();
        for _ in 0..100 {
            long.block(Some(Slip::Merchant), vec!["x".repeat(60_000)]);
        }
        let lines = long.all();
        assert_eq!(lines.last().map(String::as_str), Some("…"));
        assert!(lines.iter().map(String::len).sum::<usize>() <= MAX_BYTES + 3);
    }
}
