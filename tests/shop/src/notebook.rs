//! What people at the counter know: what they did, and what the till told them. The invariants hold the till to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::disaster::Line;
use crate::setup::Setup;

/// The notes of all people.
#[derive(Debug, Default)]
pub struct Notebook {
    /// Sales that were begun, oldest first.
    sales: Vec<SaleNote>,
    places: BTreeMap<String, usize>,
    /// Sales of which something was noted since the last check.
    pub touched_sales: BTreeSet<String>,
    /// Print jobs besides receipts, by id, and whether the till said that it has them.
    pub jobs: BTreeMap<String, bool>,
    /// Jobs of which something was noted since the last check.
    pub touched_jobs: BTreeSet<String>,
    /// Jobs of which the till said that they are on paper, with proof.
    pub printed: BTreeSet<String>,
    /// How often a copy of a job was asked for.
    pub copies: BTreeMap<String, u32>,
    /// What people typed in at a terminal: its place, and the receipt.
    pub by_hand: BTreeSet<(usize, u16)>,
    /// How often somebody wanted a drawer opened besides at a checkout.
    pub drawers: u64,
    /// How often the till said that it did.
    pub opened: u64,
    /// Drawer pulses of sales that a lost disk has taken with it.
    pub earlier_kicks: u64,
    /// Sales that were left open for anybody to go on with: parked, or their handheld was dropped.
    pub parked: VecDeque<String>,
    /// Codes that were held in front of a scanner, and whether anybody has got the scan.
    pub scans: BTreeMap<String, bool>,
    /// Who has leased which terminal, as far as handhelds have heard.
    pub leases: BTreeMap<String, LeaseNote>,
    /// Who queues for which terminal, and since when they know it.
    pub queues: BTreeMap<String, Vec<(String, Duration)>>,
    /// How long handhelds waited for a terminal, by handheld.
    pub waits: BTreeMap<String, Vec<Duration>>,
    /// Configurations that were in force at some time.
    pub setups: BTreeSet<Setup>,
    /// Devices that were detached at some time.
    pub detached: BTreeSet<String>,
    /// The group of each article that has one; names are unique.
    pub groups: BTreeMap<String, &'static str>,
    /// Sales that were closed at a checkout that opens a drawer.
    pub drawer_sales: BTreeSet<String>,
    /// Payments of which people heard that they are in doubt, and when.
    pub doubts: BTreeMap<String, Duration>,
    /// Those of which the till has told a person in this life.
    pub told: BTreeSet<String>,
    /// How often people asked each terminal for payments, reversals and refunds.
    pub asked: BTreeMap<String, [u64; 3]>,
    /// What handhelds were told about card payments.
    pub told_of_money: Vec<Told>,
    /// How many events of each source were heard.
    pub heard: BTreeMap<String, u64>,
    /// Backups, oldest first.
    pub backups: Vec<PathBuf>,
    /// Sales that were lost with the disk.
    pub lost: BTreeSet<String>,
    /// Lines of the journal that were lost with the disk, and of these the keys of those that the server had acknowledged.
    pub lost_lines: BTreeSet<Line>,
    /// See above: epoch and sequence number.
    pub acknowledged: BTreeSet<(i64, i64)>,
    /// Where numbers of sales go on after a gap: the number before, and the one that counts as the one before.
    pub number_after: BTreeMap<i64, i64>,
    /// A backup was put back, and nothing was compared since: what the terminals have stored that nobody claims is lost,
    /// and pulses of drawers are as well.
    pub forgotten: bool,
    /// See above.
    pub forgotten_kicks: bool,
    /// Receipts of terminals whose payments were lost, or that were taken back by a reversal that was lost.
    pub orphans: BTreeSet<(usize, u16)>,
    /// What happened how often, for the summary.
    pub counts: BTreeMap<&'static str, u64>,
}

/// What a handheld was told about a card payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The payment under this key has charged so much, in minor units.
    Charged {
        /// The key.
        key: String,
        /// The amount.
        minor: i64,
    },
    /// The payment under this key has charged nothing.
    NotCharged {
        /// The key.
        key: String,
    },
    /// An error that had no effect, between these times.
    Nothing {
        /// The sale that was to be paid.
        sale: String,
        /// When it was asked.
        from: Timestamp,
        /// When it was told.
        to: Timestamp,
    },
}

/// One sale.
#[derive(Debug, Default)]
pub struct SaleNote {
    /// Its id.
    pub id: String,
    /// The sale that it gives back.
    pub original: Option<String>,
    /// Lines by name, which are unique: true while the till said that it is there, false while that is not known.
    pub lines: BTreeMap<String, bool>,
    /// Lines of which the till said that they were taken out.
    pub removed: BTreeSet<String>,
    /// Lines of which the till said that they were ordered.
    pub ordered: BTreeSet<String>,
    /// Lines of which it said so, and that were taken out before it ordered again.
    pub cancelled: BTreeSet<String>,
    /// Cash and vouchers by the tender's key, in minor units, of which the till said that it took them.
    pub taken: BTreeMap<String, i64>,
    /// Cash and vouchers that were handed over, whatever was answered.
    pub offered: usize,
    /// Its number, once the till said that it is closed.
    pub number: Option<i64>,
    /// The till said that it was given up.
    pub voided: bool,
}

/// A lease of which a handheld has heard.
#[derive(Debug)]
pub struct LeaseNote {
    /// Who has it.
    pub holder: String,
    /// Its number.
    pub token: u64,
    /// When its holder last sent a command that was answered.
    pub used: Duration,
    /// Its holder has let it go, or is going to.
    pub released: bool,
}

impl SaleNote {
    /// A sale that was begun.
    pub fn of(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }
}

impl Notebook {
    /// Counts something.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A sale that was begun, unless it is noted already.
    pub fn begun(&mut self, note: SaleNote) {
        self.touched_sales.insert(note.id.clone());
        if !self.places.contains_key(&note.id) {
            self.places.insert(note.id.clone(), self.sales.len());
            self.sales.push(note);
        }
    }

    /// All sales, oldest first.
    pub fn sales(&self) -> &[SaleNote] {
        &self.sales
    }

    /// The notes about a sale, for reading.
    pub fn note(&self, id: &str) -> Option<&SaleNote> {
        self.places.get(id).map(|at| &self.sales[*at])
    }

    /// The notes about a sale, to be changed.
    pub fn sale(&mut self, id: &str) -> Option<&mut SaleNote> {
        let at = *self.places.get(id)?;
        self.touched_sales.insert(id.to_owned());
        self.sales.get_mut(at)
    }

    /// From now on these sales and these print jobs with their state are what there is.
    pub fn know(&mut self, sales: Vec<SaleNote>, jobs: &[(String, String)]) {
        let before = std::mem::take(&mut self.sales);
        self.places.clear();
        self.touched_sales.clear();
        sales.into_iter().for_each(|note| self.begun(note));
        self.lost.extend(before.into_iter().map(|note| note.id).filter(|id| !self.places.contains_key(id)));
        let is_there = |id: &String| jobs.iter().any(|(there, _)| there == id);
        self.jobs.retain(|id, _| is_there(id));
        self.copies.retain(|id, _| is_there(id));
        self.touched_jobs.retain(is_there);
        self.printed.retain(|id| jobs.iter().any(|(there, state)| there == id && state == "printed"));
        self.parked.retain(|id| self.places.contains_key(id));
        self.doubts.clear();
        self.told_of_money.clear();
        (self.opened, self.drawers) = (0, 0);
        (self.forgotten, self.forgotten_kicks) = (true, true);
    }

    /// A print job that is handed in, or of which the till says that it has it.
    pub fn job(&mut self, id: &str, sure: bool) {
        *self.jobs.entry(id.to_owned()).or_default() |= sure;
        self.touched_jobs.insert(id.to_owned());
    }

    /// The till said that a job is on paper, with proof.
    pub fn printed(&mut self, id: &str) {
        self.printed.insert(id.to_owned());
        self.touched_jobs.insert(id.to_owned());
    }
}
