//! Drawers: they open for cash, once for each sale, and neither for copies nor on a printer that stands in for another.

use tresen::{JobState, SpooledJob};

use super::books::{News, unreadable};
use super::{Books, Held};
use crate::checkout::opens_drawer_itself;
use crate::counter::Counter;

/// How many pulses there must be at least, and may be at most.
#[derive(Default)]
struct Pulses {
    least: u64,
    most: u64,
}

impl Pulses {
    fn add(&mut self, least: bool, most: bool) {
        self.least += u64::from(least);
        self.most += u64::from(most);
    }
}

/// Pulses are those of cash sales, and of people who wanted a drawer open. Those of a receipt come with its proof; of the
/// others the till knows only that they were sent, so they are missed at the end alone, and if no cable was cut.
///
/// # Errors
/// There were others, or some are missing.
pub(super) fn open_for_cash_only(counter: &Counter, books: &mut Books, news: &News) -> Held {
    let kicks = counter.world.rolls().kicks;
    if std::mem::replace(&mut books.kicks, kicks) == kicks && !news.all {
        return Ok(());
    }
    let expected = expected(counter, books, false)?;
    let mut notebook = counter.world.notebook();
    if std::mem::take(&mut notebook.forgotten_kicks) {
        notebook.earlier_kicks = kicks.saturating_sub(expected.least);
    }
    drop(notebook);
    between(counter, &expected)
}

/// Every drawer that was opened has had its pulse.
///
/// # Errors
/// One had none.
pub(super) fn opened_when_told(counter: &Counter, books: &mut Books) -> Held {
    between(counter, &expected(counter, books, !counter.world.plan.has_faults())?)
}

fn between(counter: &Counter, expected: &Pulses) -> Held {
    let kicks = counter.world.rolls().kicks;
    let kicks = kicks.saturating_sub(counter.world.notebook().earlier_kicks);
    if kicks < expected.least || kicks > expected.most {
        return Err(format!(
            "drawers were opened {kicks} times; cash and people account for {} to {}",
            expected.least, expected.most
        ));
    }
    Ok(())
}

fn expected(counter: &Counter, books: &mut Books, told: bool) -> Result<Pulses, String> {
    let mut find = books
        .db()
        .prepare_cached(
            "SELECT id, drawer FROM sales WHERE state = 'closed' AND EXISTS
             (SELECT 1 FROM tenders WHERE sale = sales.id AND kind = 'cash' AND state = 'taken')",
        )
        .map_err(unreadable)?;
    let sales = find
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, Option<String>)>>>)
        .map_err(unreadable)?;
    drop(find);
    let (notebook, rolls) = (counter.world.notebook(), counter.world.rolls());
    let mut pulses = Pulses { least: if told { notebook.opened } else { 0 }, most: notebook.drawers };
    for (id, drawer) in sales {
        if !opens_drawer_itself(&id) {
            let asked = drawer.is_some();
            if asked && !notebook.drawer_sales.contains(&id) {
                return Err(format!("the drawer of sale {id} is {drawer:?}, nobody wanted that"));
            }
            pulses.add(told && drawer.as_deref() == Some("opened"), asked);
            continue;
        }
        let Some(job) = books.jobs.get(&format!("receipt-{id}")) else { continue };
        let printed = job.state == JobState::Printed && !job.copy;
        let meant_for_it = |job: &SpooledJob| {
            let on = job.printer.clone().unwrap_or_default();
            let station = job.origin.station.as_deref();
            let lane = |setup: &_| crate::setup::lane(&counter.world, *setup, &job.route, station);
            notebook.setups.iter().any(|setup| lane(setup).first() == Some(&on))
        };
        let marked = rolls.of(&id).any(|piece| piece.remark.is_some());
        // The notice of a job that broke off may hang above it.
        let (sure, redirected) = (printed && !marked, printed && marked && !meant_for_it(job));
        pulses.add(sure, !redirected && (job.attempt > 0 || printed));
    }
    Ok(pulses)
}
