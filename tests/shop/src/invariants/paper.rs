//! Paper: what is on the rolls, and what the spool says.

use std::collections::BTreeSet;

use tresen::{JobState, SpooledJob};

use super::books::News;
use super::rolls::{Piece, Rolls};
use super::{Books, Held};
use crate::counter::Counter;
use crate::setup::lane;

/// A job is on paper once at most unless it says that it is a copy, by a printer of its route, and says so if it was meant
/// for another one; what is proven is there; what waits is not; what was queued is kept.
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
        not_printed_twice(counter, books, &rolls, key)?;
        says_where(counter, books, &rolls, key)?;
    }
    let told_of = keys.iter().flat_map(|key| jobs_of(books, key));
    let due: BTreeSet<String> = told_of.chain(news.jobs.iter().cloned()).collect();
    for id in &due {
        let notebook = counter.world.notebook();
        let sure = notebook.jobs.get(id).is_some_and(|sure| *sure);
        let told = notebook.printed.contains(id);
        drop(notebook);
        let Some(job) = books.jobs.get(id) else {
            if sure {
                return Err(format!("print job `{id}` was queued and is gone"));
            }
            continue;
        };
        if told && job.state != JobState::Printed {
            return Err(format!("people were told that `{id}` is on paper, now it is {:?}", job.state));
        }
        proven_is_on_paper(counter, books, &rolls, job)?;
        if job.state == JobState::Queued
            && !job.copy
            && let Some(piece) = rolls
                .of(&books.kitchen.key(job))
                .find(|piece| is_of(piece, job) && piece.number.is_some() == job.id.contains("/copy-"))
        {
            return Err(format!("`{id}` waits to be printed, and on paper is {piece:?}"));
        }
    }
    Ok(())
}

/// The ids of the jobs that print what has this key.
fn jobs_of(books: &Books, key: &str) -> Vec<String> {
    let base = books.kitchen.job(key).map_or_else(|| key.to_owned(), str::to_owned);
    let all = [base.clone(), format!("receipt-{key}")].into_iter().flat_map(|id| {
        let end = format!("{id}~");
        let further = books.jobs.range(id.clone()..end).map(|(id, _)| id.clone());
        let further = further.filter(move |other| other.strip_prefix(&*id).is_some_and(is_suffix));
        further.collect::<Vec<_>>()
    });
    let mut all: Vec<_> = all.collect();
    all.push(base);
    all
}

/// Of a further sheet, or of a copy of a receipt.
fn is_suffix(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('#') || rest.starts_with("/copy-")
}

/// Whether a piece is of a job, of those that print what has its key.
fn is_of(piece: &Piece, job: &SpooledJob) -> bool {
    let sheet = job.sheets == 1 || piece.sheet == Some(job.sheet);
    let number = job.id.split_once("/copy-").and_then(|(_, number)| number.parse().ok());
    // A copy that broke off leaves its number above the next job.
    sheet && (number.is_none() || piece.number == number)
}

/// Each sheet at most once, unless what is more says that it is a copy; and no more copies than were asked for.
fn not_printed_twice(counter: &Counter, books: &Books, rolls: &Rolls, key: &str) -> Held {
    let ids = jobs_of(books, key);
    let sheets = ids.iter().filter_map(|id| books.jobs.get(id)).map(|job| job.sheets).max().unwrap_or(1);
    for sheet in 1..=sheets {
        let pieces = || rolls.of(key).filter(|p| sheets == 1 || p.sheet == Some(sheet));
        let unmarked = pieces().filter(|p| !p.copy && p.number.is_none()).count();
        if unmarked > 1 {
            return Err(format!("`{key}` is on paper {unmarked} times without saying that it is a copy"));
        }
        let copies = &counter.world.notebook().copies;
        let of_sheet = |id: &&String| (sheet == 1) != id.contains('#') || id.ends_with(&format!("#{sheet}"));
        let asked: u32 = ids.iter().filter(of_sheet).filter_map(|id| copies.get(id)).sum();
        // All of them, since a copy that broke off behind its mark leaves that above the next job.
        let all = pieces().count();
        if all > 1 + asked as usize {
            return Err(format!("`{key}` is on paper {all} times, {asked} copies were asked for"));
        }
    }
    if let Some(piece) = rolls.of(key).find(|p| sheets > 1 && p.sheet.is_none_or(|sheet| sheet > sheets)) {
        return Err(format!("`{key}` has {sheets} copies, on paper is {piece:?}"));
    }
    Ok(())
}

/// Paper comes out where its route says; on another printer than the first, it says so.
fn says_where(counter: &Counter, books: &Books, rolls: &Rolls, key: &str) -> Held {
    let world = &counter.world;
    let Some(job) = jobs_of(books, key).into_iter().find_map(|id| books.jobs.get(&id)) else { return Ok(()) };
    // A copy of a receipt may be asked for at another station.
    let (route, station) = (&job.route, job.origin.station.as_deref());
    let notebook = world.notebook();
    let lanes: Vec<_> = notebook.setups.iter().map(|setup| lane(world, *setup, route, station)).collect();
    for piece in rolls.of(key).filter(|piece| piece.number.is_none()) {
        let on = world.printers[piece.printer].name();
        if !lanes.iter().flatten().any(|name| name == on) {
            return Err(format!("`{key}` is of route {route} and station {station:?}, and on {on}: {piece:?}"));
        }
        // The notice of a job that broke off may hang above it.
        let remark = piece.remark.as_ref().filter(|(_, meant)| lanes.iter().flatten().any(|name| name == meant));
        let right = match remark {
            Some((said, meant)) => said == on && meant != on,
            None => lanes.iter().any(|lane| {
                let before = lane.iter().take_while(|name| *name != on);
                before.clone().count() < lane.len() && before.into_iter().all(|name| notebook.detached.contains(name))
            }),
        };
        if !right {
            return Err(format!(
                "`{key}` of route {route} and station {station:?} does not say why it is on {on}: {piece:?}"
            ));
        }
    }
    Ok(())
}

/// A job that is proven is whole on a roll of the printer that proved it.
fn proven_is_on_paper(counter: &Counter, books: &Books, rolls: &Rolls, job: &SpooledJob) -> Held {
    if job.state != JobState::Printed {
        return Ok(());
    }
    let on = job.printer.clone().unwrap_or_default();
    let at = counter.world.printers.iter().position(|place| place.name() == on);
    let key = books.kitchen.key(job);
    let dishes = books.kitchen.dishes(job);
    let is_whole = |p: &&Piece| dishes.map_or(p.whole, |dishes| p.dishes == *dishes);
    let mut whole =
        rolls.of(&key).filter(is_whole).filter(|p| is_of(p, job) && p.copy >= job.copy && Some(p.printer) == at);
    if whole.next().is_none() {
        let there: Vec<_> = rolls.of(&key).collect();
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
