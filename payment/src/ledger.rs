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
    /// An amount was reserved and not paid. Its state says what became of it.
    Reservation,
    /// The reservation at this place of the ledger was charged with the amount of this transaction; the rest was released.
    Booking(usize),
    /// The reservation at this place of the ledger was released.
    Release(usize),
    /// A tip was added to the payment at this place of the ledger.
    Tip(usize),
    /// A prepaid card or account was loaded.
    TopUp,
}

impl Kind {
    /// The earlier transaction that it names, by its place in the ledger.
    pub fn of(self) -> Option<usize> {
        match self {
            Self::Reversal(of) | Self::Booking(of) | Self::Release(of) | Self::Tip(of) => Some(of),
            Self::Payment | Self::Refund | Self::Reservation | Self::TopUp => None,
        }
    }
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Approved, and not yet past the commit point.
    Authorised,
    /// It stands. A reservation is open.
    Stored,
    /// A reservation was charged with this amount.
    Booked(Amount),
    /// A reservation was released.
    Released,
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

    /// The sum in minor units of payments, bookings and tips that stand, minus refunds.
    pub fn turnover(&self) -> i64 {
        let signed = |t: &Transaction| match t.kind {
            Kind::Payment | Kind::Booking(_) | Kind::Tip(_) => t.amount.minor(),
            Kind::Refund => -t.amount.minor(),
            Kind::Reversal(_) | Kind::Reservation | Kind::Release(_) | Kind::TopUp => 0,
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

    /// The transaction stands; what it reverses, books or releases has ended.
    pub(crate) fn store(&mut self, index: usize) {
        self.entries[index].state = State::Stored;
        let (of, ended) = match self.entries[index].kind {
            Kind::Reversal(of) => (of, State::Reversed),
            Kind::Booking(of) => (of, State::Booked(self.entries[index].amount)),
            Kind::Release(of) => (of, State::Released),
            Kind::Payment | Kind::Refund | Kind::Reservation | Kind::Tip(_) | Kind::TopUp => return,
        };
        self.entries[of].state = ended;
    }

    /// The terminal takes the transaction back.
    pub(crate) fn undo(&mut self, index: usize) {
        self.entries[index].state = State::Reversed;
        self.entries[index].code = 0xb4;
    }

    pub(crate) fn close_day(&mut self) {
        self.entries.iter_mut().for_each(|t| t.closed = true);
    }

    /// The newest payment with this receipt number, or booking, which can be reversed as one.
    pub(crate) fn payment(&self, receipt: u16) -> Option<usize> {
        let charged = |t: &Transaction| matches!(t.kind, Kind::Payment | Kind::Booking(_));
        self.entries.iter().rposition(|t| t.receipt == receipt && charged(t))
    }

    /// The newest reservation with this receipt number, if it is open.
    pub(crate) fn open_reservation(&self, receipt: u16) -> Option<usize> {
        let at = self.entries.iter().rposition(|t| t.receipt == receipt && t.kind == Kind::Reservation)?;
        (self.entries[at].state == State::Stored).then_some(at)
    }

    /// The open reservations, oldest first.
    pub(crate) fn open_reservations(&self) -> impl Iterator<Item = &Transaction> {
        self.stored().filter(|t| t.kind == Kind::Reservation)
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
    fn a_reservation_is_turnover_only_once_it_is_booked() {
        let mut ledger = Ledger::starting_after(0);
        let [booked, released] = [5000, 3000].map(|held| {
            let at = ledger.add(Kind::Reservation, Amount::eur(held), None);
            ledger.store(at);
            at
        });
        assert_eq!((ledger.turnover(), ledger.open_reservations().count()), (0, 2));
        let booking = ledger.add(Kind::Booking(booked), Amount::eur(4200), None);
        assert_eq!(ledger.open_reservation(1), Some(booked), "authorised is not stored");
        ledger.store(booking);
        let release = ledger.add(Kind::Release(released), Amount::eur(3000), None);
        ledger.store(release);
        let tip = ledger.add(Kind::Tip(booking), Amount::eur(300), None);
        ledger.store(tip);
        assert_eq!((ledger.turnover(), ledger.open_reservations().count()), (4500, 0));
        assert_eq!(ledger.entries()[booked].state, State::Booked(Amount::eur(4200)));
        assert_eq!(ledger.entries()[released].state, State::Released);
        assert_eq!((ledger.open_reservation(1), ledger.payment(3)), (None, Some(booking)));
    }

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
