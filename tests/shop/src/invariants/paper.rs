//! Paper: what is on the rolls, and what the spool says.

use tresen::printers::escpos::sim::Simulator;
use tresen::{JobState, SpooledJob};

use super::{Books, Held};
use crate::counter::Counter;

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
    printer: String,
    /// It says that it is a copy.
    copy: bool,
    /// Its last line is there, too.
    whole: bool,
}

/// A job is on paper once at most, unless what is more says that it is a copy; and no more copies than were asked for.
pub fn nothing_is_printed_twice(counter: &Counter) -> Held {
    let pieces = pieces(counter);
    for piece in &pieces {
        let same = |copy| pieces.iter().filter(move |p| p.key == piece.key && p.copy == copy).count();
        if same(false) > 1 {
            return Err(format!("`{}` is on paper {} times without saying that it is a copy", piece.key, same(false)));
        }
        let asked = {
            let notebook = counter.world.notebook();
            let count = |id: &str| notebook.copies.get(id).copied().unwrap_or_default();
            count(&piece.key) + count(&format!("receipt-{}", piece.key))
        };
        // All of them, since a copy that broke off behind its mark leaves that above the next job.
        let all = same(true) + same(false);
        if all > 1 + asked as usize {
            return Err(format!("`{}` is on paper {all} times, {asked} copies were asked for", piece.key));
        }
    }
    Ok(())
}

/// A job that is proven is whole on a roll of the printer that proved it; also one of which people were told so.
pub fn proven_is_on_paper(counter: &Counter, books: &Books) -> Held {
    let pieces = pieces(counter);
    for job in &books.jobs {
        let told = counter.world.notebook().printed.contains(&job.id);
        if told && !matches!(job.state, JobState::Printed) {
            return Err(format!("people were told that `{}` is on paper, now it is {:?}", job.id, job.state));
        }
        if job.state != JobState::Printed {
            continue;
        }
        let on = job.printer.clone().unwrap_or_default();
        let whole = |p: &&Piece| p.key == key(job) && p.whole && p.copy >= job.copy && p.printer == on;
        if pieces.iter().filter(whole).count() == 0 {
            let there: Vec<_> = pieces.iter().filter(|p| p.key == key(job)).collect();
            return Err(format!(
                "`{}` is proven as printed on {on} (copy: {}), on paper is {there:?}",
                job.id, job.copy
            ));
        }
    }
    Ok(())
}

/// Of a job that waits, nothing came out: what failed "safely" did so.
pub fn waiting_is_not_on_paper(counter: &Counter, books: &Books) -> Held {
    let pieces = pieces(counter);
    for job in books.jobs.iter().filter(|job| job.state == JobState::Queued && !job.copy) {
        if let Some(piece) = pieces.iter().find(|piece| piece.key == key(job)) {
            return Err(format!("`{}` waits to be printed, and on paper is {piece:?}", job.id));
        }
    }
    Ok(())
}

/// A job that the till said it has, it has.
pub fn queued_is_kept(counter: &Counter, books: &Books) -> Held {
    let jobs = counter.world.notebook().jobs.clone();
    for (id, _) in jobs.iter().filter(|(_, sure)| **sure) {
        if !books.jobs.iter().any(|job| job.id == *id) {
            return Err(format!("print job `{id}` was queued and is gone"));
        }
    }
    Ok(())
}

/// Every job is on paper.
pub fn nothing_waits(books: &Books) -> Held {
    match books.jobs.iter().find(|job| !matches!(job.state, JobState::Printed | JobState::Accepted)) {
        Some(left) => Err(format!("a print job is left: {left:?}")),
        None => Ok(()),
    }
}

fn key(job: &SpooledJob) -> &str {
    job.id.strip_prefix("receipt-").unwrap_or(&job.id)
}

fn pieces(counter: &Counter) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for place in &counter.world.printers {
        place.with(|device| read(place.name(), device, &mut pieces));
    }
    pieces
}

fn read(printer: &str, device: &Simulator, pieces: &mut Vec<Piece>) {
    for sheet in device.sheets().iter().chain([device.uncut()]) {
        let mut copy = false;
        let first = pieces.len();
        for line in sheet.text().lines() {
            if line.contains("COPY - may have") {
                copy = true;
            } else if let Some(at) = line.find("sale ") {
                let key = line[at + 5..].trim().to_owned();
                pieces.push(Piece { key, printer: printer.to_owned(), copy, whole: false });
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
}
