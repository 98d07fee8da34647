//! What the database holds, read as far as it is new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tresen::sale::Sale;
use tresen::{JobState, SpooledJob, StoredPayment};

use super::journal::Replay;
use super::kitchen::Kitchen;
use super::money::Ledgers;
use crate::counter::Counter;
use crate::world::World;

/// What the database holds, as of the last check. One for each life of the till.
pub struct Books {
    /// A connection of its own, for what changed.
    db: Mutex<Connection>,
    /// All payments, by key.
    pub payments: BTreeMap<String, StoredPayment>,
    /// Those that are not decided.
    pub open: BTreeSet<String>,
    /// All print jobs, by id.
    pub jobs: BTreeMap<String, SpooledJob>,
    /// The terminals' ledgers, and which payment claims what of them.
    pub(super) ledgers: Ledgers,
    /// The journal.
    pub(super) replay: Replay,
    /// What was ordered.
    pub(super) kitchen: Kitchen,
    /// Drawer pulses when they were last compared.
    pub(super) kicks: u64,
    /// Jobs that may change.
    moving: BTreeSet<String>,
    /// Open sales with the revision that was checked.
    revisions: BTreeMap<String, i64>,
    last_payment: i64,
    last_job: i64,
    /// The number of the last closed sale.
    pub(super) last_number: i64,
    /// Calls of the server when it was last compared.
    pub(super) server_calls: u64,
    /// SQLite's number of the database's last change.
    version: Option<i64>,
    /// Checks since everything was read.
    checks: u64,
}

/// What changed since the last check.
#[derive(Default)]
pub(super) struct News {
    /// Payments that are new or have changed.
    pub payments: BTreeSet<String>,
    /// Jobs that are new, have changed, or of which people were told something.
    pub jobs: BTreeSet<String>,
    /// Sales that have changed, or of which people noted something.
    pub sales: BTreeSet<String>,
    /// Everything was read again.
    pub all: bool,
}

impl Books {
    /// Opens the books of the till that runs.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub fn open(world: &World) -> Result<Self, String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(world.database(), flags).map_err(|e| e.to_string())?;
        Ok(Self {
            db: Mutex::new(db),
            payments: BTreeMap::new(),
            open: BTreeSet::new(),
            jobs: BTreeMap::new(),
            ledgers: Ledgers::default(),
            replay: Replay::default(),
            kitchen: Kitchen::default(),
            kicks: 0,
            moving: BTreeSet::new(),
            revisions: BTreeMap::new(),
            last_payment: 0,
            last_job: 0,
            last_number: 0,
            server_calls: 0,
            version: None,
            checks: 0,
        })
    }

    /// Has the next check read everything.
    pub fn forget(&mut self) {
        self.checks = 0;
    }

    /// The database, for what no interface of the till lists.
    pub(super) fn db(&mut self) -> &mut Connection {
        self.db.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn read(&mut self, counter: &Counter) -> Result<News, String> {
        let mut news = News { all: self.checks.is_multiple_of(ALL_AFTER), ..News::default() };
        self.checks += 1;
        if news.all {
            self.payments.clear();
            self.open.clear();
            self.jobs.clear();
            self.moving.clear();
            self.revisions.clear();
            self.ledgers = Ledgers::default();
            self.replay = Replay::default();
            self.kitchen = Kitchen::default();
            (self.last_payment, self.last_job, self.last_number) = (0, 0, 0);
            let notebook = counter.world.notebook();
            news.sales.extend(notebook.sales().iter().map(|note| note.id.clone()));
            news.jobs.extend(notebook.jobs.keys().cloned());
        }
        if self.has_changed().map_err(unreadable)? || news.all {
            self.read_payments(counter, &mut news).await.map_err(unreadable)?;
            self.read_jobs(counter, &mut news).await.map_err(unreadable)?;
            self.read_sales(&mut news).map_err(unreadable)?;
        }
        let mut notebook = counter.world.notebook();
        news.sales.append(&mut notebook.touched_sales);
        news.jobs.append(&mut notebook.touched_jobs);
        Ok(news)
    }

    /// Whether anybody has written since the last time.
    fn has_changed(&mut self) -> rusqlite::Result<bool> {
        let version = self.db().pragma_query_value(None, "data_version", |row| row.get(0))?;
        Ok(self.version.replace(version) != Some(version))
    }

    async fn read_payments(&mut self, counter: &Counter, news: &mut News) -> tresen::Result<()> {
        let store = counter.till.store();
        let mut read = Vec::new();
        for id in self.open.clone() {
            read.extend(store.payment(&tresen::payment::IntentId(id)).await?);
        }
        let mut after = Some(self.last_payment);
        while let Some(from) = after {
            let page = store.payments().after(from).await?;
            read.extend(page.rows);
            after = page.next;
        }
        for payment in read {
            let key = payment.entry.intent.id.0.clone();
            self.last_payment = self.last_payment.max(payment.seq);
            if payment.entry.is_open() {
                self.open.insert(key.clone());
            } else {
                self.open.remove(&key);
            }
            if self.payments.get(&key) != Some(&payment) {
                news.payments.insert(key.clone());
                self.payments.insert(key, payment);
            }
        }
        Ok(())
    }

    async fn read_jobs(&mut self, counter: &Counter, news: &mut News) -> tresen::Result<()> {
        let store = counter.till.store();
        let mut read = store.open_jobs().await?;
        let open: BTreeSet<String> = read.iter().map(|job| job.id.clone()).collect();
        for id in self.moving.iter().filter(|id| !open.contains(*id)).cloned().collect::<Vec<_>>() {
            read.extend(store.job(&id).await?);
        }
        let mut after = Some(self.last_job);
        while let Some(from) = after {
            let page = store.jobs().after(from).await?;
            read.extend(page.rows);
            after = page.next;
        }
        for job in read {
            self.last_job = self.last_job.max(job.seq);
            if matches!(job.state, JobState::Printed | JobState::Accepted | JobState::Cancelled) {
                self.moving.remove(&job.id);
            } else {
                self.moving.insert(job.id.clone());
            }
            if self.jobs.get(&job.id) != Some(&job) {
                news.jobs.insert(job.id.clone());
                self.jobs.insert(job.id.clone(), job);
            }
        }
        Ok(())
    }

    fn read_sales(&mut self, news: &mut News) -> rusqlite::Result<()> {
        let db = self.db.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut find = db.prepare_cached("SELECT id, rev FROM sales WHERE state = 'open'")?;
        let open = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let open = open.collect::<rusqlite::Result<BTreeMap<String, i64>>>()?;
        let changed = open.iter().filter(|(id, rev)| self.revisions.get(*id) != Some(rev)).map(|(id, _)| id);
        news.sales.extend(changed.cloned());
        news.sales.extend(self.revisions.keys().filter(|id| !open.contains_key(*id)).cloned());
        drop(find);
        self.revisions = open;
        Ok(())
    }

    /// Closed sales that are new, in order of their numbers.
    pub(super) async fn closed(&self, counter: &Counter) -> Result<Vec<Sale>, String> {
        let (mut closed, mut after) = (Vec::new(), self.last_number);
        loop {
            let page = counter.till.tickets_since(after, 1_000).await.map_err(unreadable)?;
            let Some(last) = page.last().and_then(|sale| sale.ticket().number()) else { return Ok(closed) };
            after = last;
            closed.extend(page);
        }
    }
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> String {
    format!("the books cannot be read: {error}")
}

/// Everything is read again after so many checks.
const ALL_AFTER: u64 = 1_000;
