//! What the simulated terminal has in its turnover storage.

use tresen_hal::Amount;

/// One transaction of the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// What kind.
    pub kind: Kind,
    /// How much.
    pub amount: Amount,
    /// Receipt number, 1 to 9999.
    pub receipt: u16,
    /// Trace number, 1 to 999999.
    pub trace: u32,
    /// Where it stands.
    pub state: State,
    /// The result code it got.
    pub code: u8,
    /// The day it belongs to has been closed.
    pub closed: bool,
}

/// Kinds of transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The customer paid.
    Payment,
    /// The payment at this place of the ledger was taken back.
    Reversal(usize),
    /// The customer got money.
    Refund,
    /// An amount was reserved and not paid.
    Reservation,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Approved, and not yet past the commit point.
    Authorised,
    /// It stands.
    Stored,
    /// It was taken back: by the terminal itself, or by a reversal.
    Reversed,
    /// It was never approved.
    Declined,
}

/// All transactions, oldest first.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Transaction>,
    receipts: u16,
    traces: u32,
}

impl Ledger {
    pub(crate) fn starting_after(receipt: u16) -> Self {
        Self { receipts: receipt, traces: u32::from(receipt), ..Self::default() }
    }

    /// All transactions, oldest first.
    pub fn entries(&self) -> &[Transaction] {
        &self.entries
    }

    /// The transactions that stand.
    pub fn stored(&self) -> impl DoubleEndedIterator<Item = &Transaction> {
        self.entries.iter().filter(|t| t.state == State::Stored)
    }

    /// The sum in minor units of payments that stand, minus refunds.
    pub fn turnover(&self) -> i64 {
        let signed = |t: &Transaction| match t.kind {
            Kind::Payment => t.amount.minor(),
            Kind::Refund => -t.amount.minor(),
            Kind::Reversal(_) | Kind::Reservation => 0,
        };
        self.stored().filter(|t| !t.closed).map(signed).sum()
    }

    pub(crate) fn add(&mut self, kind: Kind, amount: Amount, decline: Option<u8>) -> usize {
        self.receipts = self.receipts % 9999 + 1;
        self.traces = self.traces % 999_999 + 1;
        let state = if decline.is_some() { State::Declined } else { State::Authorised };
        let (receipt, trace, code) = (self.receipts, self.traces, decline.unwrap_or(0));
        self.entries.push(Transaction { kind, amount, receipt, trace, state, code, closed: false });
        self.entries.len() - 1
    }

    /// The transaction stands; the payment it reverses does not any more.
    pub(crate) fn store(&mut self, index: usize) {
        self.entries[index].state = State::Stored;
        if let Kind::Reversal(of) = self.entries[index].kind {
            self.entries[of].state = State::Reversed;
        }
    }

    /// The terminal takes the transaction back.
    pub(crate) fn undo(&mut self, index: usize) {
        self.entries[index].state = State::Reversed;
        self.entries[index].code = 0xb4;
    }

    pub(crate) fn close_day(&mut self) {
        self.entries.iter_mut().for_each(|t| t.closed = true);
    }

    /// The newest payment with this receipt number.
    pub(crate) fn payment(&self, receipt: u16) -> Option<usize> {
        self.entries.iter().rposition(|t| t.receipt == receipt && t.kind == Kind::Payment)
    }

    /// The newest transaction that stands.
    pub(crate) fn last_stored(&self) -> Option<usize> {
        self.entries.iter().rposition(|t| t.state == State::Stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_stands() {
        let mut ledger = Ledger::starting_after(9998);
        let first = ledger.add(Kind::Payment, Amount::eur(500), None);
        assert_eq!(ledger.turnover(), 0, "authorised is not stored");
        ledger.store(first);
        let second = ledger.add(Kind::Payment, Amount::eur(700), None);
        ledger.store(second);
        assert_eq!((ledger.turnover(), ledger.entries()[second].receipt), (1200, 1), "numbers wrap");
        let back = ledger.add(Kind::Reversal(first), Amount::eur(500), None);
        ledger.store(back);
        assert_eq!((ledger.turnover(), ledger.last_stored()), (700, Some(back)));
        assert_eq!(ledger.payment(9999), Some(first));
        ledger.close_day();
        assert_eq!(ledger.turnover(), 0);
    }
}
