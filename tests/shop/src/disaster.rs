//! The till's disk is lost, and a backup is put back: what people knew of the time since does not count any more, except
//! for what the server has, the terminals have stored, and customers hold in their hands.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tresen::Store;

use crate::checkout::AT_ONCE;
use crate::counter::Counter;
use crate::dice::Dice;
use crate::invariants::rolls::kitchen_key;
use crate::mortal::Mortal;
use crate::notebook::{Notebook, SaleNote};
use crate::world::{NAMES, World};

/// How a backup is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Onto a new disk, by the library.
    NewDisk,
    /// Over the database that is still there, by the library.
    Over,
    /// Copied by hand onto a new disk.
    CopiedToNewDisk,
    /// Copied by hand, the lock file is still there.
    Copied,
}

/// Takes a backup while the till sells.
pub async fn back_up(counter: &Counter, who: &str) {
    // Each under a name of its own: one may be there although the till died before it said so.
    let n = {
        let mut notebook = counter.world.notebook();
        notebook.count("backups tried");
        notebook.counts["backups tried"]
    };
    let to = counter.world.folder().join(format!("backup-{n}.db"));
    let what = format!("takes backup {n}");
    if let Ok(backup) = counter.call(who, what, AT_ONCE, counter.till.backup(to)).await {
        let mut notebook = counter.world.notebook();
        notebook.count("backups");
        notebook.backups.push(backup.path);
    }
}

/// The disk is lost after the till has died, and one of the last backups is put back. Call it in a runtime, between two
/// lives.
pub async fn strike(world: &Arc<World>, dice: &mut Dice) {
    let backups = world.notebook().backups.clone();
    let older = dice.index(backups.len().clamp(1, 2));
    let Some(chosen) = backups.len().checked_sub(1 + older) else { return };
    let backup = &backups[chosen];
    let way = [Way::NewDisk, Way::Over, Way::CopiedToNewDisk, Way::Copied][dice.index(4)];
    world.story.tell("THE DISK", format_args!("is lost; {} is put back: {way:?}", backup.display()));
    // Meanwhile the terminals finish what they had begun.
    for place in &world.terminals {
        place.rest().await;
    }
    world.radios.iter().filter_map(|radio| radio.handset()).for_each(|handset| handset.forget());
    let database = world.database();
    let lost = lines(&database);
    let acknowledged = property(&database, "acknowledged");
    let earlier_epoch = epoch(&database);
    let keeps = |name: &&str| way == Way::Over || (way == Way::Copied && name.ends_with(".lock"));
    for name in NAMES.iter().filter(|name| !keeps(name)) {
        std::fs::remove_file(world.folder().join(name)).ok();
    }
    match way {
        Way::NewDisk | Way::Over => {
            let restored = Store::restore(backup, &database, Mortal::new(dice.bits(), world)).await;
            if let Err(error) = restored {
                return world.violated(format!("the backup is not restored: {error}"));
            }
        }
        Way::CopiedToNewDisk | Way::Copied => _ = std::fs::copy(backup, &database).expect("there is room"),
    }
    let before = if way == Way::Over { earlier_epoch.max(epoch(backup)) } else { epoch(backup) };
    if matches!(way, Way::NewDisk | Way::Over) && epoch(&database) <= before {
        return world.violated(format!("epoch {before} goes on after a backup was put back"));
    }
    // Not those of the restored database, which may be the same but for their time.
    let kept: BTreeSet<Line> = lines(backup).into_iter().collect();
    let mut notebook = world.notebook();
    notebook.count("backups put back");
    // Later ones hold what people know nothing of any more, and paper that was thrown away.
    notebook.backups.truncate(chosen + 1);
    for line in lost.into_iter().filter(|line| !kept.contains(line)) {
        if line.1 <= acknowledged {
            notebook.acknowledged.insert((line.0, line.1));
        }
        notebook.lost_lines.insert(line);
    }
    let keys = forget(&mut notebook, &database).expect("the backup can be read");
    drop(notebook);
    world.rolls().keep(&world.printers, &keys);
}

/// A line of the journal: epoch, sequence number, kind, key, body.
pub type Line = (i64, i64, String, String, String);

fn lines(database: &Path) -> Vec<Line> {
    let read = || -> rusqlite::Result<Vec<Line>> {
        let db = Connection::open(database)?;
        let mut find = db.prepare("SELECT epoch, seq, kind, key, body FROM journal ORDER BY seq")?;
        let lines = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
        lines.collect()
    };
    read().expect("the database can be read")
}

fn epoch(database: &Path) -> i64 {
    property(database, "epoch")
}

fn property(database: &Path, key: &str) -> i64 {
    let db = Connection::open(database).expect("the database can be read");
    let found = db.query_row("SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?1", [key], |row| row.get(0));
    found.unwrap_or(0)
}

/// People know what the backup holds; returns the keys of its papers.
fn forget(notebook: &mut Notebook, database: &Path) -> rusqlite::Result<BTreeSet<String>> {
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut find = db.prepare("SELECT id, original, state, number, body FROM sales ORDER BY seq")?;
    let sales = find.query_map([], |row| {
        let (state, body): (String, String) = (row.get(2)?, row.get(4)?);
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let names = body["lines"].as_array().into_iter().flatten().filter_map(|line| line["name"].as_str());
        let lines = names.map(|name| (name.to_owned(), true)).collect();
        let (id, original, number) = (row.get(0)?, row.get(1)?, row.get(3)?);
        Ok(SaleNote { id, original, number, lines, voided: state == "voided", ..SaleNote::default() })
    })?;
    let mut sales = sales.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut find =
        db.prepare("SELECT key, taken FROM tenders WHERE sale = ?1 AND kind <> 'card' AND state = 'taken'")?;
    let mut count = db.prepare("SELECT count(*) FROM tenders WHERE sale = ?1 AND kind <> 'card'")?;
    for note in &mut sales {
        note.taken =
            find.query_map([&note.id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        let there: i64 = count.query_row([&note.id], |row| row.get(0))?;
        note.offered = notebook.note(&note.id).map_or(0, |before| before.offered).max(there as usize);
    }
    let mut find = db.prepare("SELECT id, state FROM jobs")?;
    let jobs = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let jobs = jobs.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    let mut keys: BTreeSet<String> = jobs.iter().map(|(id, _)| id.trim_start_matches("receipt-").to_owned()).collect();
    let mut find = db.prepare("SELECT cancels, route, lines ->> '$[0].name' FROM orders")?;
    let papers = find.query_map([], |row| {
        let (cancels, route, first): (bool, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(kitchen_key(cancels, &route, &first))
    })?;
    keys.extend(papers.collect::<rusqlite::Result<Vec<_>>>()?);
    let last: i64 = db.query_row("SELECT coalesce(max(number), 0) FROM sales", [], |row| row.get(0))?;
    let meta = db.query_row("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'number'", [], |row| row.get(0));
    // Gaps that later lives had are as lost as their sales: their numbers are assigned again.
    notebook.number_after.retain(|before, _| *before < last);
    notebook.number_after.insert(last, meta.unwrap_or(0).max(last));
    notebook.know(sales, &jobs);
    Ok(keys)
}
