//! The threads of the store: one that writes, with group commit, and those that read.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, mpsc};

use rusqlite::Connection;
use tokio::sync::oneshot;
use tresen_hal::{Error, Kind, Result};

use super::failure::{Failure, again, told};
use super::lock::Lock;
use super::{meta, schema};

/// Hands work to the thread that writes. It ends when this is dropped.
pub(super) struct Writer {
    calls: mpsc::Sender<Call>,
}

/// Hands work to a thread that reads. It ends when this is dropped.
pub(super) struct Reader {
    calls: mpsc::Sender<Job>,
}

/// A piece of work outside of any transaction; it answers by itself.
type Job = Box<dyn FnOnce(&Connection, &Path) + Send>;

enum Call {
    /// Inside a transaction, with others.
    Together(Box<dyn Work>),
    /// Outside of any transaction.
    Apart(Job),
}

/// A piece of work and the one who waits for it.
trait Work: Send {
    /// Does it, inside its savepoint; `Err` rolls it back.
    fn run(&mut self, db: &Connection, path: &Path) -> Result<(), ()>;
    /// After the commit, or with why there was none.
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
        let done = work(db).map_err(|failure| failure.told(path));
        let ended = if done.is_ok() { Ok(()) } else { Err(()) };
        self.done = Some(done);
        ended
    }

    fn answer(self: Box<Self>, lost: Option<&Error>) {
        let answer = match (self.done, lost) {
            // What it failed of itself says more than what became of the others.
            (Some(Err(own)), _) => Err(own),
            (_, Some(lost)) => Err(again(lost)),
            (Some(Ok(done)), None) => Ok(done),
            (None, None) => Err(gone()),
        };
        self.answer.send(answer).ok();
    }
}

impl Writer {
    /// Takes the lock, opens the database and starts the thread; `at` is the time that the lock shows.
    pub(super) async fn start(path: Arc<Path>, at: String) -> Result<(Self, meta::Meta)> {
        let (calls, queue) = mpsc::channel();
        let (opened, open) = oneshot::channel::<Result<meta::Meta>>();
        spawn("tresen-store", move || {
            let open = || -> Result<(Lock, Connection, meta::Meta)> {
                let mut lock = Lock::take(&path, &at)?;
                let db = schema::open(&path)?;
                let meta = meta::open(&db, &mut lock, &at, &path)?;
                Ok((lock, db, meta))
            };
            match open() {
                Ok((mut lock, db, meta)) => {
                    opened.send(Ok(meta)).ok();
                    serve(&db, &mut lock, &queue, &path);
                    // In this order: who gets the lock finds the file closed.
                    drop(db);
                    drop(lock);
                }
                Err(error) => _ = opened.send(Err(error)),
            }
        })?;
        let meta = open.await.map_err(|_| gone())??;
        Ok((Self { calls }, meta))
    }

    /// Runs `work` in a transaction; `Ok` means that it is on disk.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let request = Request { work: Some(work), done: None, answer };
        self.calls.send(Call::Together(Box::new(request))).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Runs `work` between two transactions.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |db: &Connection, path: &Path| {
            answer.send(work(db).map_err(|failure| failure.told(path))).ok();
        });
        self.calls.send(Call::Apart(work)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Reader {
    /// Opens a connection that cannot write and starts its thread.
    pub(super) async fn start(name: &str, path: Arc<Path>) -> Result<Self> {
        let (calls, queue) = mpsc::channel::<Job>();
        let (opened, open) = oneshot::channel::<Result<()>>();
        spawn(name, move || match schema::open_read_only(&path) {
            Ok(db) => {
                opened.send(Ok(())).ok();
                while let Ok(call) = queue.recv() {
                    call(&db, &path);
                }
            }
            Err(error) => _ = opened.send(Err(error)),
        })?;
        open.await.map_err(|_| gone())??;
        Ok(Self { calls })
    }

    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let call = Box::new(move |db: &Connection, path: &Path| {
            answer.send(work(db).map_err(|failure| failure.told(path))).ok();
        });
        self.calls.send(call).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

pub(super) fn gone() -> Error {
    Error::new(Kind::Storage, "the storage thread has ended").hint("restart the till")
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.map(drop).map_err(|e| Error::new(Kind::Storage, "cannot start the storage thread").because(e))
}

/// Takes what has queued up, commits it together, and answers.
fn serve(db: &Connection, lock: &mut Lock, queue: &mpsc::Receiver<Call>, path: &Path) {
    while let Ok(first) = queue.recv() {
        let mut batch = VecDeque::new();
        for call in std::iter::once(first).chain(queue.try_iter().take(BATCH - 1)) {
            match call {
                Call::Together(work) => batch.push_back(work),
                Call::Apart(work) => {
                    commit_all(db, &mut batch, lock, path);
                    work(db, path);
                }
            }
        }
        commit_all(db, &mut batch, lock, path);
    }
}

fn commit_all(db: &Connection, batch: &mut VecDeque<Box<dyn Work>>, lock: &mut Lock, path: &Path) {
    while !batch.is_empty() {
        let mut done = Vec::new();
        let ended = transaction(db, batch, &mut done, path);
        if ended.is_ok()
            && let Ok(seq) = meta::journal_end(db)
        {
            lock.reached(seq);
        }
        done.into_iter().for_each(|work| work.answer(ended.as_ref().err()));
    }
}

/// One transaction over the batch. What SQLite itself rolls back (a full disk, a failing medium) goes
/// down with all that came before it; what comes after it stays in the batch.
fn transaction(
    db: &Connection,
    batch: &mut VecDeque<Box<dyn Work>>,
    done: &mut Vec<Box<dyn Work>>,
    path: &Path,
) -> Result<()> {
    let sql = |text: &str| db.execute_batch(text).map_err(|e| told(e, path));
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
            let lost = Error::new(Kind::Storage, "the database could not write").at(path.display());
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

/// Requests in one commit. More would not make it faster, only make the first of them wait.
const BATCH: usize = 256;
