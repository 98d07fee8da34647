//! What people at the counter know: what they did, and what the till told them. The invariants hold the till to it.

use std::collections::{BTreeMap, BTreeSet};

/// The notes of all people.
#[derive(Debug, Default)]
pub struct Notebook {
    /// Sales that were begun, oldest first.
    pub sales: Vec<SaleNote>,
    /// Print jobs besides receipts, by id, and whether the till said that it has them.
    pub jobs: BTreeMap<String, bool>,
    /// Jobs of which the till said that they are on paper, with proof.
    pub printed: BTreeSet<String>,
    /// How often a copy of a job was asked for.
    pub copies: BTreeMap<String, u32>,
    /// What people typed in at a terminal: its place, and the receipt.
    pub by_hand: BTreeSet<(usize, u16)>,
    /// What happened how often, for the summary.
    pub counts: BTreeMap<&'static str, u64>,
}

/// One sale.
#[derive(Debug, Default)]
pub struct SaleNote {
    /// Its id.
    pub id: String,
    /// Lines by name, which are unique: true while the till said that it is there, false while that is not known.
    pub lines: BTreeMap<String, bool>,
    /// Lines of which the till said that they were taken out.
    pub removed: BTreeSet<String>,
    /// Cash and vouchers by the tender's key, in minor units, of which the till said that it took them.
    pub taken: BTreeMap<String, i64>,
    /// Cash and vouchers that were handed over, whatever was answered.
    pub offered: usize,
    /// Its number, once the till said that it is closed.
    pub number: Option<i64>,
    /// The till said that it was given up.
    pub voided: bool,
}

impl Notebook {
    /// Counts something.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// The notes about a sale.
    pub fn sale(&mut self, id: &str) -> Option<&mut SaleNote> {
        self.sales.iter_mut().find(|sale| sale.id == id)
    }
}
