//! Paper: what is on the rolls, and what the spool says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tresen::{JobState, SpooledJob};

use super::books::News;
use super::{Books, Held};
use crate::counter::Counter;
use crate::world::PrinterPlace;

/// The first line of a piece of paper with this key.
pub fn head(key: &str) -> String {
    format!("sale {key}")
}

/// Its last line.
pub fn foot(key: &str) -> String {
    format!("done {key}")
}

/// A piece of paper on a roll.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    key: String,
    printer: usize,
    /// It says that it is a copy.
    copy: bool,
    /// Its last line is there, too.
    whole: bool,
}

/// All paper that came out.
#[derive(Debug, Default)]
pub struct Rolls {
    /// What was cut off, by key.
    cut: BTreeMap<String, Vec<Piece>>,
    /// What hangs in each printer: its text, and the pieces on it.
    uncut: Vec<(String, Vec<Piece>)>,
    /// Drawer pulses by printer.
    pub kicks: Vec<u64>,
}

impl Rolls {
    /// Takes what was cut off since the last time, and looks at the rest; returns the keys on it.
    pub fn look(&mut self, printers: &[Arc<PrinterPlace>]) -> BTreeSet<String> {
        self.uncut.resize_with(printers.len(), Default::default);
        self.kicks.resize(printers.len(), 0);
        let mut changed = BTreeSet::new();
        for (at, place) in printers.iter().enumerate() {
            let mut fresh = Vec::new();
            place.with(|device| {
                for sheet in device.take_sheets() {
                    read(at, sheet.text(), &mut fresh);
                }
                self.kicks[at] = device.kicked();
                let (text, pieces) = &mut self.uncut[at];
                if text != device.uncut().text() {
                    changed.extend(pieces.drain(..).map(|piece| piece.key));
                    device.uncut().text().clone_into(text);
                    read(at, text, pieces);
                    changed.extend(pieces.iter().map(|piece| piece.key.clone()));
                }
            });
            for piece in fresh {
                changed.insert(piece.key.clone());
                self.cut.entry(piece.key.clone()).or_default().push(piece);
            }
        }
        changed
    }

    fn of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Piece> + Clone {
        let uncut = self.uncut.iter().flat_map(|(_, pieces)| pieces).filter(move |piece| piece.key == key);
        self.cut.get(key).into_iter().flatten().chain(uncut)
    }

    fn keys(&self) -> BTreeSet<String> {
        let uncut = self.uncut.iter().flat_map(|(_, pieces)| pieces).map(|piece| piece.key.clone());
        self.cut.keys().cloned().chain(uncut).collect()
    }
}

/// A job is on paper once at most unless it says that it is a copy; what is proven is there; what waits is not; what was
/// queued is kept.
///
/// # Errors
/// What does not hold.
pub(super) fn hold(counter: &Counter, books: &Books, news: &News) -> Held {
    let mut rolls = counter.world.rolls();
    let mut keys = rolls.look(&counter.world.printers);
    if news.all {
        keys = rolls.keys();
    }
    for key in &keys {
        not_printed_twice(counter, &rolls, key)?;
    }
    let told_of = keys.iter().flat_map(|key| [key.clone(), format!("receipt-{key}")]);
    for id in told_of.chain(news.jobs.iter().cloned()) {
        let notebook = counter.world.notebook();
        let sure = notebook.jobs.get(&id).is_some_and(|sure| *sure);
        let told = notebook.printed.contains(&id);
        drop(notebook);
        let Some(job) = books.jobs.get(&id) else {
            if sure {
                return Err(format!("print job `{id}` was queued and is gone"));
            }
            continue;
        };
        if told && job.state != JobState::Printed {
            return Err(format!("people were told that `{id}` is on paper, now it is {:?}", job.state));
        }
        proven_is_on_paper(counter, &rolls, job)?;
        if job.state == JobState::Queued
            && !job.copy
            && let Some(piece) = rolls.of(key(job)).next()
        {
            return Err(format!("`{id}` waits to be printed, and on paper is {piece:?}"));
        }
    }
    Ok(())
}

/// At most once, unless what is more says that it is a copy; and no more copies than were asked for.
fn not_printed_twice(counter: &Counter, rolls: &Rolls, key: &str) -> Held {
    let same = |copy| rolls.of(key).filter(move |p| p.copy == copy).count();
    if same(false) > 1 {
        return Err(format!("`{key}` is on paper {} times without saying that it is a copy", same(false)));
    }
    let asked = {
        let notebook = counter.world.notebook();
        let count = |id: &str| notebook.copies.get(id).copied().unwrap_or_default();
        count(key) + count(&format!("receipt-{key}"))
    };
    // All of them, since a copy that broke off behind its mark leaves that above the next job.
    let all = same(true) + same(false);
    if all > 1 + asked as usize {
        return Err(format!("`{key}` is on paper {all} times, {asked} copies were asked for"));
    }
    Ok(())
}

/// A job that is proven is whole on a roll of the printer that proved it.
fn proven_is_on_paper(counter: &Counter, rolls: &Rolls, job: &SpooledJob) -> Held {
    if job.state != JobState::Printed {
        return Ok(());
    }
    let on = job.printer.clone().unwrap_or_default();
    let at = counter.world.printers.iter().position(|place| place.name() == on);
    let mut whole = rolls.of(key(job)).filter(|p| p.whole && p.copy >= job.copy && Some(p.printer) == at);
    if whole.next().is_none() {
        let there: Vec<_> = rolls.of(key(job)).collect();
        return Err(format!("`{}` is proven as printed on {on} (copy: {}), on paper is {there:?}", job.id, job.copy));
    }
    Ok(())
}

/// Every job is on paper.
///
/// # Errors
/// One is not.
pub(super) fn nothing_waits(books: &Books) -> Held {
    match books.jobs.values().find(|job| !matches!(job.state, JobState::Printed | JobState::Accepted)) {
        Some(left) => Err(format!("a print job is left: {left:?}")),
        None => Ok(()),
    }
}

fn key(job: &SpooledJob) -> &str {
    job.id.strip_prefix("receipt-").unwrap_or(&job.id)
}

fn read(printer: usize, text: &str, pieces: &mut Vec<Piece>) {
    let mut copy = false;
    let first = pieces.len();
    for line in text.lines() {
        if line.contains("COPY - may have") {
            copy = true;
        } else if let Some(at) = line.find("sale ") {
            let key = line[at + 5..].trim().to_owned();
            pieces.push(Piece { key, printer, copy, whole: false });
            copy = false;
        } else if let Some(at) = line.find("done ")
            && pieces.len() > first
            && let Some(last) = pieces.last_mut()
            && last.key == line[at + 5..].trim()
        {
            last.whole = true;
        }
    }
}
