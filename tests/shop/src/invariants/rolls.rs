//! Paper: reads what came out of the printers as people would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::world::PrinterPlace;

/// The first line of a piece of paper with this key.
pub fn head(key: &str) -> String {
    format!("sale {key}")
}

/// Its last line.
pub fn foot(key: &str) -> String {
    format!("done {key}")
}

/// The key of a kitchen ticket: no route prints a dish on two tickets, or on two cancellations.
pub fn kitchen_key(cancels: bool, route: &str, first: &str) -> String {
    format!("{} {route} {first}", if cancels { "cancel" } else { "order" })
}

/// A piece of paper on a roll.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub key: String,
    pub printer: usize,
    /// It says that it is a copy that may have been printed before.
    pub copy: bool,
    /// It says that it is this copy of a receipt.
    pub number: Option<i64>,
    /// It says that it is this one of several copies.
    pub sheet: Option<i64>,
    /// It says that it is printed on one printer instead of another.
    pub remark: Option<(String, String)>,
    /// Of a kitchen ticket: how much of what.
    pub dishes: Vec<(i64, String)>,
    /// Its last line is there, too; not known of kitchen tickets.
    pub whole: bool,
}

/// All paper that came out.
#[derive(Debug, Default)]
pub struct Rolls {
    /// What was cut off, by key.
    cut: BTreeMap<String, Vec<Piece>>,
    /// What hangs in each printer: its text, and the pieces on it.
    uncut: Vec<(String, Vec<Piece>)>,
    /// Drawer pulses of all printers.
    pub kicks: u64,
}

impl Rolls {
    /// Takes what was cut off since the last time, and looks at the rest; returns the keys on it.
    pub fn look(&mut self, printers: &[Arc<PrinterPlace>]) -> BTreeSet<String> {
        self.uncut.resize_with(printers.len(), Default::default);
        self.kicks = 0;
        let mut changed = BTreeSet::new();
        for (at, place) in printers.iter().enumerate() {
            let mut fresh = Vec::new();
            place.with(|device| {
                for sheet in device.take_sheets() {
                    read(at, sheet.text(), &mut fresh);
                }
                self.kicks += device.kicked();
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

    pub(super) fn of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Piece> + Clone {
        let uncut = self.uncut.iter().flat_map(|(_, pieces)| pieces).filter(move |piece| piece.key == key);
        self.cut.get(key).into_iter().flatten().chain(uncut)
    }

    pub(super) fn keys(&self) -> BTreeSet<String> {
        let uncut = self.uncut.iter().flat_map(|(_, pieces)| pieces).map(|piece| piece.key.clone());
        self.cut.keys().cloned().chain(uncut).collect()
    }

    /// Throws away what hangs in the printers, and all other paper but that of these keys; numbered copies have keys of
    /// their own: that of the receipt, `/copy-` and the number.
    pub fn keep(&mut self, printers: &[Arc<PrinterPlace>], keys: &BTreeSet<String>) {
        for place in printers {
            place.with(|device| device.tear_off());
        }
        self.look(printers);
        self.cut.retain(|key, _| keys.contains(key));
        for (key, pieces) in &mut self.cut {
            pieces.retain(|piece| piece.number.is_none_or(|n| keys.contains(&format!("{key}/copy-{n}"))));
        }
    }
}

/// What stands on a sheet above the piece that is read next.
#[derive(Default)]
struct Above {
    copy: bool,
    number: Option<i64>,
    sheet: Option<i64>,
    remark: Option<(String, String)>,
    cancels: bool,
    /// The next line names the route of a kitchen ticket.
    ordered: bool,
}

fn read(printer: usize, text: &str, pieces: &mut Vec<Piece>) {
    let mut above = Above::default();
    let mut route: Option<(String, Above)> = None;
    let first = pieces.len();
    for line in text.lines() {
        let wide = wide(line);
        let words: Vec<_> = line.split_whitespace().collect();
        if line.contains("COPY - may have") {
            above.copy = true;
        } else if let ["COPY", number] = words[..] {
            above.number = number.parse().ok();
        } else if let ["Copy", n, "of", _] = words[..] {
            above.sheet = n.parse().ok();
        } else if let ["Printed", "on", on, "instead", "of", meant] = words[..] {
            above.remark = Some((on.to_owned(), meant.to_owned()));
        } else if wide.as_deref() == Some("CANCELLED") {
            above.cancels = true;
        } else if wide.as_deref().is_some_and(|wide| wide.starts_with("Order ")) {
            above.ordered = true;
        } else if above.ordered
            && let [name, ..] = words[..]
        {
            route = Some((name.to_owned(), std::mem::take(&mut above)));
        } else if let Some(at) = line.find("sale ") {
            let key = line[at + 5..].trim().to_owned();
            let Above { copy, number, sheet, remark, .. } = std::mem::take(&mut above);
            pieces.push(Piece { key, printer, copy, number, sheet, remark, ..Piece::default() });
            route = None;
        } else if let Some(at) = line.find("done ")
            && pieces.len() > first
            && let Some(last) = pieces.last_mut()
            && last.key == line[at + 5..].trim()
        {
            last.whole = true;
        } else if let Some((count, dish)) = wide.as_deref().and_then(dish) {
            if let Some((name, above)) = route.take() {
                let key = kitchen_key(above.cancels, &name, &dish);
                let Above { copy, number, sheet, remark, .. } = above;
                pieces.push(Piece { key, printer, copy, number, sheet, remark, ..Piece::default() });
            }
            if let Some(last) = pieces.last_mut() {
                last.dishes.push((count, dish));
            }
        }
    }
}

/// The text of a line in double width, in which each character takes two places.
fn wide(line: &str) -> Option<String> {
    let places: Vec<char> = line.trim().chars().collect();
    let is_wide = places.len() > 2 && places.iter().skip(1).step_by(2).all(|place| *place == ' ');
    is_wide.then(|| places.into_iter().step_by(2).collect::<String>().trim().to_owned())
}

/// How much of what a line of a kitchen ticket asks for: `2 x Dish 7-1`, `-2 x Dish 7-1` on a cancellation.
fn dish(wide: &str) -> Option<(i64, String)> {
    let (count, name) = wide.split_once(" x ")?;
    Some((count.trim_start_matches('-').parse().ok()?, name.to_owned()))
}
