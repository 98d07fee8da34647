//! What is on the paper of a virtual printer: words that belong to a customer, on originals and on copies.

use std::collections::BTreeMap;

use tresen::hal::sim::Shared;
use tresen::printers::Profile;
use tresen::printers::escpos::sim::{Sheet, Simulator};

/// How often a word stands on paper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// On sheets that are not marked as a copy.
    pub(crate) original: u32,
    pub(crate) copied: u32,
}

/// A virtual printer and what it has printed.
#[derive(Debug)]
pub(crate) struct Printer {
    pub(crate) device: Shared<Simulator>,
    words: BTreeMap<String, Times>,
    sheets: u64,
}

impl Printer {
    pub(crate) fn new() -> Self {
        let device = Shared::new(Simulator::new(Profile::epson_tm_m30()));
        Self { device, words: BTreeMap::new(), sheets: 0 }
    }

    /// Takes the finished sheets. A printer keeps its latest only.
    pub(crate) fn collect(&mut self) {
        for sheet in self.device.with(Simulator::take_sheets) {
            self.take(&sheet);
        }
    }

    /// Takes what is there, also without a cut.
    pub(crate) fn collect_all(&mut self) {
        self.device.with(Simulator::finish);
        self.collect();
        let rest = self.device.with(|device| device.uncut().clone());
        self.take(&rest);
    }

    fn take(&mut self, sheet: &Sheet) {
        let text = sheet.text();
        // The mark of a copy.
        let copy = text.contains("COPY");
        self.sheets += u64::from(!text.trim().is_empty());
        for line in text.lines().map(narrow) {
            for word in line.split_whitespace().filter(|word| is_of_customer(word)) {
                let times = self.words.entry(word.to_owned()).or_default();
                *(if copy { &mut times.copied } else { &mut times.original }) += 1;
            }
        }
    }

    /// How often each word stands on its paper.
    pub(crate) fn words(&self) -> &BTreeMap<String, Times> {
        &self.words
    }

    /// How many sheets it has printed.
    pub(crate) fn sheets(&self) -> u64 {
        self.sheets
    }
}

/// A line of double width has every other column empty.
fn narrow(line: &str) -> String {
    let line = line.trim_start();
    let is_wide = line.len() > 2 && line.chars().skip(1).step_by(2).all(|c| c == ' ');
    line.chars().step_by(if is_wide { 2 } else { 1 }).collect()
}

/// `h07-00012.2`
fn is_of_customer(word: &str) -> bool {
    let parts = word.strip_prefix('h').and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(number, rest)| number.parse::<u64>().is_ok() && rest.contains('.'))
}
