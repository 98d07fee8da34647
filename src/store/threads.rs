//! The threads of the store: one writer with group commit, and the readers.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot, watch};
use tresen_hal::runtime::Worker;
use tresen_hal::{Error, Kind, Result, Runtime};

use super::failure::{Failure, again, sql_error};
use super::lock::{Lock, Wait};
use super::{meta, schema};
use crate::manager::lock;

/// The writing connection and its thread.
pub(super) struct Writer {
    worker: Worker,
    shared: Arc<Writing>,
}

/// A read-only connection and its thread.
pub(super) struct Reader {
    worker: Worker,
    db: Arc<Mutex<Option<Connection>>>,
    path: Arc<Path>,
}

struct Writing {
    calls: Mutex<VecDeque<Call>>,
    /// `None` once closed. Dropped in this order: the file is closed before the lock is released.
    open: Mutex<Option<(Connection, Lock)>>,
    path: Arc<Path>,
    /// The journal's last sequence number on disk.
    end: watch::Sender<i64>,
    queued: Arc<Queued>,
}

/// The routes that have got print jobs: whoever queued them may have left before the spool was told.
#[derive(Debug, Default)]
pub(crate) struct Queued {
    /// The routes that the spool was not told of, and the last job that was looked at.
    routes: Mutex<(BTreeSet<String>, i64)>,
    told: Notify,
}

impl Queued {
    /// Waits for jobs on disk, and returns their routes. Cancel-safe.
    pub(crate) async fn next(&self) -> BTreeSet<String> {
        loop {
            let routes = std::mem::take(&mut lock(&self.routes).0);
            if !routes.is_empty() {
                return routes;
            }
            self.told.notified().await;
        }
    }

    /// Looks for jobs that the last commit has queued.
    fn look(&self, db: &Connection) -> rusqlite::Result<()> {
        let mut routes = lock(&self.routes);
        let end = meta::last_seq(db, "jobs")?;
        if end == routes.1 {
            return Ok(());
        }
        let mut new = db.prepare_cached("SELECT DISTINCT route FROM jobs WHERE seq > ?1")?;
        for route in new.query_map([routes.1], |row| row.get(0))? {
            routes.0.insert(route?);
        }
        routes.1 = end;
        drop(routes);
        self.told.notify_one();
        Ok(())
    }
}

/// The values needed to open a database.
pub(super) struct Opening {
    /// The current time in its stored form.
    pub(super) at: String,
    /// Two new ids: of the till, if the database is new, and of this opening.
    pub(super) ids: [String; 2],
}

/// Work outside any transaction; it sends its own answer.
type Job = Box<dyn FnOnce(&Connection, &Path) + Send>;

enum Call {
    /// Inside a transaction, together with others.
    Together(Box<dyn Work>),
    /// Outside any transaction.
    Apart(Job),
}

/// Work and the caller waiting for it.
trait Work: Send {
    /// Runs it inside its savepoint; `Err` rolls it back.
    fn run(&mut self, db: &Connection, path: &Path) -> Result<(), ()>;
    /// Answers after the commit, or with the reason why it failed.
    fn answer(self: Box<Self>, lost: Option<&Error>);
}

struct Request<F, T> {
    work: Option<F>,
    done: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, Failure> + Send> Work for Request<F, T> {
    fn run(&mut self, db: &Connection, path: &Path) -> Result<(), ()> {
        let work = self.work.take().ok_or(())?;
        // A panic goes down alone: the others in this transaction are not its callers.
        let done = match catch_unwind(AssertUnwindSafe(|| work(db))) {
            Ok(done) => done.map_err(|failure| failure.into_error(path)),
            Err(_) => Err(panicked()),
        };
        let ended = if done.is_ok() { Ok(()) } else { Err(()) };
        self.done = Some(done);
        ended
    }

    fn answer(self: Box<Self>, lost: Option<&Error>) {
        let answer = match (self.done, lost) {
            // Its own error is more specific than that of the commit.
            (Some(Err(own)), _) => Err(own),
            (_, Some(lost)) => Err(again(lost)),
            (Some(Ok(done)), None) => Ok(done),
            (None, None) => Err(closed()),
        };
        self.answer.send(answer).ok();
    }
}

impl Writer {
    /// Takes the lock and opens the database.
    pub(super) async fn start(runtime: &dyn Runtime, path: Arc<Path>, opening: Opening) -> Result<(Self, meta::Meta)> {
        let worker = runtime.worker("tresen-store")?;
        let place = path.clone();
        let mut wait = on(&worker, move || Wait::begin(&place)).await??;
        loop {
            let (waited, locked) = on(&worker, move || {
                let locked = wait.try_lock();
                (wait, locked)
            })
            .await?;
            wait = waited;
            if locked? {
                break;
            }
            // Where work runs on this thread, the till that is closing may be a task here.
            tokio::task::yield_now().await;
        }
        let place = path.clone();
        let opened = on(&worker, move || -> Result<(Connection, Lock, meta::Meta)> {
            let mut lock = Lock::taken(wait, &opening.at)?;
            let [till, this] = &opening.ids;
            let db = schema::open(&place, till)?;
            let meta = meta::open(&db, &mut lock, &opening.at, this, &place)?;
            Ok((db, lock, meta))
        });
        let (db, lock, meta) = opened.await??;
        let last_job = meta::last_seq(&db, "jobs").map_err(|e| sql_error(e, &path))?;
        let open = Mutex::new(Some((db, lock)));
        let end = watch::Sender::new(0);
        let queued = Arc::new(Queued { routes: Mutex::new((BTreeSet::new(), last_job)), told: Notify::new() });
        let shared = Arc::new(Writing { calls: Mutex::default(), open, path, end, queued });
        Ok((Self { worker, shared }, meta))
    }

    /// Runs `work` in a transaction; `Ok` means that it is on disk.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.hand_in(Call::Together(Box::new(Request { work: Some(work), done: None, answer })));
        answered.await.map_err(|_| closed())?
    }

    /// Runs `work` between transactions.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |db: &Connection, path: &Path| {
            let done = catch_unwind(AssertUnwindSafe(|| work(db).map_err(|failure| failure.into_error(path))));
            answer.send(done.unwrap_or_else(|_| Err(panicked()))).ok();
        });
        self.hand_in(Call::Apart(work));
        answered.await.map_err(|_| closed())?
    }

    /// The journal's last sequence number on disk, as of the last commit; 0 before the first.
    pub(super) fn journal_end(&self) -> watch::Receiver<i64> {
        self.shared.end.subscribe()
    }

    /// The routes that get print jobs.
    pub(super) fn queued(&self) -> Arc<Queued> {
        self.shared.queued.clone()
    }

    /// Closes the database after all earlier requests. Every later call is refused.
    pub(super) async fn close(&self) {
        let shared = self.shared.clone();
        on(&self.worker, move || shared.close()).await.ok();
    }

    fn hand_in(&self, call: Call) {
        lock(&self.shared.calls).push_back(call);
        let shared = self.shared.clone();
        self.worker.run(Box::new(move || shared.serve()));
    }
}

impl Drop for Writer {
    /// Closing may take a while: the thread does it, after all earlier requests.
    fn drop(&mut self) {
        let shared = self.shared.clone();
        self.worker.run(Box::new(move || shared.close()));
    }
}

impl Writing {
    /// Takes all queued requests, commits them together, and answers.
    fn serve(&self) {
        let mut open = lock(&self.open);
        let calls: Vec<_> = {
            let mut calls = lock(&self.calls);
            let together = calls.len().min(BATCH);
            calls.drain(..together).collect()
        };
        // Dropping a request answers that the database is closed.
        let Some((db, held)) = open.as_mut() else { return };
        let mut batch = VecDeque::new();
        for call in calls {
            match call {
                Call::Together(work) => batch.push_back(work),
                Call::Apart(work) => {
                    commit_all(db, &mut batch, held, self);
                    work(db, &self.path);
                }
            }
        }
        commit_all(db, &mut batch, held, self);
    }

    fn close(&self) {
        drop(lock(&self.open).take());
        lock(&self.calls).clear();
    }
}

impl Reader {
    /// Opens a connection that cannot write.
    pub(super) async fn start(runtime: &dyn Runtime, name: &str, path: Arc<Path>) -> Result<Self> {
        let worker = runtime.worker(name)?;
        let place = path.clone();
        let db = on(&worker, move || schema::open_read_only(&place)).await??;
        Ok(Self { worker, db: Arc::new(Mutex::new(Some(db))), path })
    }

    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (db, path) = (self.db.clone(), self.path.clone());
        let asked = on(&self.worker, move || match lock(&db).as_ref() {
            Some(db) => work(db).map_err(|failure| failure.into_error(&path)),
            None => Err(closed()),
        });
        asked.await?
    }

    /// Closes the connection after all earlier requests. Every later call is refused.
    pub(super) async fn close(&self) {
        let db = self.db.clone();
        on(&self.worker, move || drop(lock(&db).take())).await.ok();
    }
}

/// Runs `work` on `worker`, and waits for its result.
async fn on<T: Send + 'static>(worker: &Worker, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    worker.run(Box::new(move || _ = answer.send(catch_unwind(AssertUnwindSafe(work)))));
    answered.await.map_err(|_| closed())?.map_err(|_| panicked())
}

pub(super) fn closed() -> Error {
    Error::new(Kind::Storage, "the database was closed").hint("open the till again")
}

/// A defect of ours; nothing of the request was written.
fn panicked() -> Error {
    Error::new(Kind::Storage, "a request to the database panicked").hint("this is a defect, please report it")
}

fn commit_all(db: &Connection, batch: &mut VecDeque<Box<dyn Work>>, lock: &mut Lock, shared: &Writing) {
    while !batch.is_empty() {
        let mut done = Vec::new();
        let ended = transaction(db, batch, &mut done, &shared.path);
        if ended.is_ok()
            && let Ok(seq) = meta::journal_end(db)
        {
            lock.reached(seq, || meta::read(db).map(|meta| meta.epoch));
            shared.end.send_if_modified(|end| std::mem::replace(end, seq) != seq);
            if let Err(error) = shared.queued.look(db) {
                tracing::warn!(%error, "the print jobs that were queued cannot be read");
            }
        }
        done.into_iter().for_each(|work| work.answer(ended.as_ref().err()));
    }
}

/// Runs the batch in one transaction. A rollback by SQLite itself (full disk, failing medium) also affects all earlier
/// requests of the batch; later ones stay in the batch.
fn transaction(
    db: &Connection,
    batch: &mut VecDeque<Box<dyn Work>>,
    done: &mut Vec<Box<dyn Work>>,
    path: &Path,
) -> Result<()> {
    let sql = |text: &str| db.execute_batch(text).map_err(|e| sql_error(e, path));
    if let Err(error) = sql("BEGIN IMMEDIATE") {
        done.extend(batch.drain(..));
        return Err(error);
    }
    while let Some(mut work) = batch.pop_front() {
        let ended = sql("SAVEPOINT request").and_then(|()| match work.run(db, path) {
            Ok(()) => sql("RELEASE request"),
            Err(()) if db.is_autocommit() => Ok(()),
            Err(()) => sql("ROLLBACK TO request; RELEASE request"),
        });
        done.push(work);
        if db.is_autocommit() {
            let lost = Error::new(Kind::Storage, "the database could not be written").at(path.display());
            return Err(ended.err().unwrap_or(lost.hint("check the medium and its free space")));
        }
        if let Err(error) = ended {
            db.execute_batch("ROLLBACK").ok();
            return Err(error);
        }
    }
    sql("COMMIT").inspect_err(|_| {
        if !db.is_autocommit() {
            db.execute_batch("ROLLBACK").ok();
        }
    })
}

/// Maximum number of requests per commit. More would not be faster, only delay the first.
const BATCH: usize = 256;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tresen_printers::{Content, Receipt};

    use super::*;
    use crate::store::{Origin, Store};

    fn content(word: &str) -> Content {
        Content::Receipt(Receipt::new().text(word).cut())
    }

    /// A panic in the middle of a transaction: what it wrote is gone, the others' work is on disk, and the store goes on.
    #[tokio::test]
    async fn a_request_that_panics_fails_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let runtime = Arc::new(tresen_hal::SystemRuntime::new());
        let store = Store::open(&dir.path().join("till.db"), runtime).await.expect("opens");
        let (reached, at) = tokio::sync::oneshot::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let store = store.clone();
            async move {
                let first = store.write(move |_| {
                    reached.send(()).ok();
                    wait.recv().ok();
                    Ok(())
                });
                first.await
            }
        });
        at.await.expect("begun");
        // These queue up behind the first and share a transaction.
        let origin = Origin::new();
        let (before, after) = (content("before"), content("after"));
        let before = store.queue_job("before", "kitchen", &before, &origin);
        let panics = store.write(|db| -> Result<(), Failure> {
            db.execute("DELETE FROM jobs", [])?;
            panic!("a test panics");
        });
        let after = store.queue_job("after", "kitchen", &after, &origin);
        let release = async { go_on.send(()).expect("waits") };
        let all = async { tokio::join!(biased; before, panics, after, release) };
        let answered = tokio::time::timeout(std::time::Duration::from_secs(40), all).await;
        let (before, panicked, after, ()) = answered.expect("each request is answered");
        first.await.expect("runs").expect("written");
        before.expect("on disk");
        let panicked = panicked.expect_err("it panicked");
        assert!(panicked.to_string().contains("panicked"), "{panicked}");
        after.expect("on disk");
        let read = store.read(|_| -> Result<(), Failure> { panic!("a test panics") }).await.expect_err("it panicked");
        assert!(read.to_string().contains("panicked"), "{read}");
        for id in ["before", "after"] {
            assert!(store.job(id).await.expect("read").is_some(), "{id}");
        }
        store.queue_job("later", "kitchen", &content("later"), &origin).await.expect("the store goes on");
    }
}
