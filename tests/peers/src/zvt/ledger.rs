//! The terminal's own books: what it did, whoever believes it.

/// One transaction at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Receipt number, 1 to 9999.
    pub receipt: u16,
    /// Trace number.
    pub trace: u32,
    /// In the smallest unit.
    pub amount: u64,
    /// ISO 4217, numeric.
    pub currency: u16,
    /// What it is.
    pub kind: Kind,
    /// How far it came.
    pub state: State,
    /// The result code that goes with it.
    pub code: u8,
    /// Whose it is: the label of the customer who stood at the counter.
    pub whose: String,
    /// When the host answered, in milliseconds of the terminal's life.
    pub at: u64,
}

/// Kinds of transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// Money from the customer.
    #[default]
    Payment,
    /// A payment taken back, with a receipt of its own. Holds the payment's trace number.
    Reversal(u32),
    /// Money to the customer.
    Refund,
    /// Money is held.
    Reservation,
    /// What the reservation at this place held is charged, or a part of it.
    Booking(usize),
    /// What the reservation at this place held is released.
    Release(usize),
    /// More is charged to the payment at this place.
    Tip(usize),
    /// A prepaid card is loaded.
    TopUp,
}

/// How far a transaction came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The host has approved it; whether it will stand is not decided.
    Approved,
    /// It stands.
    Stored,
    /// It was approved and then taken back.
    Reversed,
    /// It was declined.
    Declined,
    /// A reservation that was booked or released.
    Ended,
}

/// All transactions, oldest first.
#[derive(Debug, Clone)]
pub struct Ledger {
    all: Vec<Transaction>,
    /// What was before this has been handed in; 06 20 does not show it.
    closed: usize,
    next_receipt: u16,
    next_trace: u32,
}

impl Ledger {
    /// Empty. The next transaction gets these numbers.
    pub fn new(next_receipt: u16, next_trace: u32) -> Self {
        Self { all: Vec::new(), closed: 0, next_receipt, next_trace }
    }

    /// Enters a transaction and numbers it. Receipt numbers wrap from 9999 to 1.
    pub fn enter(&mut self, kind: Kind, state: State, (amount, currency): (u64, u16), whose: &str, at: u64) -> usize {
        let (receipt, trace) = (self.next_receipt, self.next_trace);
        self.next_receipt = if receipt == 9999 { 1 } else { receipt + 1 };
        self.next_trace += 1;
        let whose = whose.to_owned();
        self.all.push(Transaction { receipt, trace, amount, currency, kind, state, code: 0, whose, at });
        self.all.len() - 1
    }

    /// A trace number that belongs to no transaction.
    pub fn count_trace(&mut self) -> u32 {
        self.next_trace += 1;
        self.next_trace - 1
    }

    /// The transaction stands.
    pub fn store(&mut self, index: usize) {
        self.all[index].state = State::Stored;
        if let Kind::Booking(of) | Kind::Release(of) = self.all[index].kind {
            self.all[of].state = State::Ended;
        }
    }

    /// The transaction is taken back, without a receipt of its own.
    pub fn take_back(&mut self, index: usize) {
        self.all[index].state = State::Reversed;
    }

    /// The transaction is taken back with a receipt of its own, which is entered.
    pub fn reverse(&mut self, index: usize, at: u64) -> usize {
        self.take_back(index);
        let of = self.all[index].clone();
        self.enter(Kind::Reversal(of.trace), State::Stored, (of.amount, of.currency), &of.whose, at)
    }

    /// Marks the last transaction as declined with this code.
    pub fn decline(&mut self, index: usize, code: u8) {
        (self.all[index].state, self.all[index].code) = (State::Declined, code);
    }

    /// End of day: everything is handed in, nothing can be shown any more.
    pub fn close(&mut self) {
        self.closed = self.all.len();
    }

    /// Another terminal is in its place: nothing to show, and numbers of its own.
    pub fn swap(&mut self, next_receipt: u16, next_trace: u32) {
        self.close();
        (self.next_receipt, self.next_trace) = (next_receipt, next_trace);
    }

    /// Everything.
    pub fn all(&self) -> &[Transaction] {
        &self.all
    }

    /// What a repeated receipt shows: the last transaction that stands, or the last of any kind.
    pub fn last(&self, declined_too: bool) -> Option<&Transaction> {
        let shown = |t: &&Transaction| t.state == State::Stored || declined_too && t.state == State::Declined;
        self.all[self.closed..].iter().rev().find(shown)
    }

    /// The payments of this customer that stand.
    pub fn stored(&self, whose: &str) -> Vec<&Transaction> {
        let stands = |t: &&Transaction| t.whose == whose && t.kind == Kind::Payment && t.state == State::Stored;
        self.all.iter().filter(stands).collect()
    }

    /// The last payment of this customer that stands.
    pub fn last_of(&self, whose: &str) -> Option<usize> {
        let stands = |t: &Transaction| t.whose == whose && t.kind == Kind::Payment && t.state == State::Stored;
        self.all.iter().rposition(stands)
    }
}
