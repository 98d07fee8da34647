//! Sorts the receipts that a terminal sends into the customer's and the merchant's.

use super::commands::print::Slip;
use crate::outcome::Charge;

/// What has come of receipts so far.
#[derive(Debug, Default)]
pub(super) struct Slips {
    /// Lines of a receipt that has not ended.
    open: Vec<String>,
    /// Receipts without a name, in the order they came.
    nameless: Vec<Vec<String>>,
    merchant: Vec<String>,
    customer: Vec<String>,
    admin: Vec<String>,
}

impl Slips {
    pub(super) fn line(&mut self, text: String) {
        self.open.push(text);
    }

    /// The lines so far are a whole receipt.
    pub(super) fn end(&mut self) {
        if !self.open.is_empty() {
            self.nameless.push(std::mem::take(&mut self.open));
        }
    }

    pub(super) fn block(&mut self, slip: Option<Slip>, lines: Vec<String>) {
        match slip {
            Some(Slip::Merchant) => self.merchant.extend(lines),
            Some(Slip::Customer) => self.customer.extend(lines),
            Some(Slip::Admin) => self.admin.extend(lines),
            None => self.nameless.push(lines),
        }
    }

    /// Puts the slips into a charge. Of two without a name the merchant's comes first; a single one is the
    /// customer's.
    pub(super) fn fill(&self, charge: &mut Charge) {
        (charge.merchant_slip, charge.customer_slip) = (self.merchant.clone(), self.customer.clone());
        let mut nameless: Vec<_> = self.nameless.iter().chain([&self.open]).filter(|s| !s.is_empty()).collect();
        if nameless.len() > 1 && charge.merchant_slip.is_empty() {
            charge.merchant_slip = nameless.remove(0).clone();
        }
        for lines in nameless {
            charge.customer_slip.extend_from_slice(lines);
        }
    }

    /// All lines.
    pub(super) fn all(self) -> Vec<String> {
        let nameless = self.nameless.into_iter().flatten();
        [self.merchant, self.customer, self.admin].into_iter().flatten().chain(nameless).chain(self.open).collect()
    }
}

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
        lines.line("one".into());
        lines.end();
        assert_eq!(filled(&lines), (vec![], vec!["one".to_owned()]), "a single one is the customer's");
        lines.line("two".into());
        lines.line("three".into());
        assert_eq!(filled(&lines), (vec!["one".into()], vec!["two".into(), "three".into()]));
        let mut blocks = Slips::default();
        blocks.block(Some(Slip::Customer), vec!["c".into()]);
        blocks.block(Some(Slip::Merchant), vec!["m".into()]);
        assert_eq!(filled(&blocks), (vec!["m".into()], vec!["c".into()]));
        assert_eq!(blocks.all(), ["m", "c"]);
    }
}
