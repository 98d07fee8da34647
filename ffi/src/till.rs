//! A till behind a handle: in this process, or elsewhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tresen::api::Call;
use tresen::hal::{Effect, Error, Kind, Retry};
use tresen::{Tresen, lease};

use crate::answer::Failure;
use crate::events::{self, Feed, Follower};

/// A till, on whose behalf it is asked, and the leases that its calls depend on.
#[derive(Clone)]
pub(crate) struct Till {
    core: Arc<Core>,
    derived: bool,
    station: Option<String>,
    leases: Vec<lease::Key>,
}

/// A till and the threads on which it, or the connection to it, runs. The fields drop in this order.
pub(crate) struct Core {
    place: Place,
    /// The connection was closed by this program; calls that wait for an answer end.
    ended: watch::Sender<bool>,
    /// The calls that have a key and are running.
    running: Mutex<BTreeMap<String, watch::Sender<bool>>>,
    /// A call has panicked: the till's state is not to be relied on.
    broken: AtomicBool,
    threads: Threads,
}

/// Where a till is.
enum Place {
    /// In this process.
    Here(Tresen),
    /// Elsewhere.
    #[cfg(feature = "remote")]
    Away(tresen_remote::Client),
}

impl Till {
    /// Opens the till that a configuration file describes, in this process.
    pub(crate) fn open(config: &str) -> Result<Self, Failure> {
        let (threads, config) = (Threads::start()?, Path::new(config).to_owned());
        let till = threads.run(async move { Tresen::open(config).await })??;
        Ok(Self::new(Place::Here(till), threads))
    }

    /// Connects to a till elsewhere.
    #[cfg(feature = "remote")]
    pub(crate) fn connect(url: &str, options: Value) -> Result<Self, Failure> {
        let (threads, url) = (Threads::start()?, url.to_owned());
        let options = crate::remote::Options::read(options)?;
        let client = threads.run(async move { options.connect(&url).await })??;
        Ok(Self::new(Place::Away(client), threads))
    }

    /// This build connects to no till.
    #[cfg(not(feature = "remote"))]
    pub(crate) fn connect(_: &str, _: Value) -> Result<Self, Failure> {
        let error = Error::new(Kind::Unsupported, "this build of the library lacks the feature `remote`");
        Err(error.with_effect(Effect::None).hint("build it with `--features remote`").into())
    }

    fn new(place: Place, threads: Threads) -> Self {
        let (ended, broken) = (watch::Sender::new(false), AtomicBool::new(false));
        let core = Core { place, ended, running: Mutex::default(), broken, threads };
        Self { core: Arc::new(core), derived: false, station: None, leases: Vec::new() }
    }

    /// The same till on behalf of a station.
    pub(crate) fn on_behalf_of(&self, station: &str) -> Result<Self, Failure> {
        if station.is_empty() {
            return Err(Failure::invalid("`station` is empty"));
        }
        match &self.core.place {
            Place::Here(_) => {}
            #[cfg(feature = "remote")]
            Place::Away(_) => {
                let what = "the station of a connection is that of its identity or token";
                let error = Error::new(Kind::Unsupported, what).with_effect(Effect::None);
                return Err(error.hint("connect once for each station").into());
            }
        }
        Ok(Self { derived: true, station: Some(station.to_owned()), ..self.clone() })
    }

    /// The same till for calls that depend on leases.
    pub(crate) fn with_leases(&self, leases: Vec<lease::Key>) -> Self {
        Self { derived: true, leases, ..self.clone() }
    }

    /// Runs a command to its end. It runs on the till's threads, whose stacks are large enough.
    pub(crate) fn call(&self, command: &str, with: Value, key: Option<&str>) -> Result<Value, Failure> {
        if let Some(key) = key.filter(|key| key.is_empty() || key.len() > KEY) {
            return Err(Failure::invalid(format!("`key` has {} bytes; expected 1 to {KEY}", key.len())));
        }
        match &self.core.place {
            Place::Here(till) => self.call_here(till, command, with, key),
            #[cfg(feature = "remote")]
            Place::Away(client) => {
                let (client, command) = (client.with_leases(self.leases.clone()), command.to_owned());
                let key = key.map_or_else(tresen::new_key, str::to_owned);
                let call = async move { client.call_json(&key, &command, with).await };
                Ok(self.core.run_until_ended(call)??)
            }
        }
    }

    fn call_here(&self, till: &Tresen, command: &str, with: Value, key: Option<&str>) -> Result<Value, Failure> {
        let (stop, abort) = watch::channel(false);
        let _running = key.map(|key| self.core.enter(key, stop)).transpose()?;
        let mut call = Call::read(command, with)?;
        if let (Some(key), Some(slot @ None)) = (key, call.key_slot()) {
            *slot = Some(key.to_owned());
        }
        let mut till = till.aborted_by(abort);
        if let Some(station) = &self.station {
            till = till.on_behalf_of(station.as_str());
        }
        for lease in &self.leases {
            till = till.with_lease(lease);
        }
        Ok(self.core.run(call.run(till))??)
    }

    /// Asks the call with this key to abort; false if none is running.
    pub(crate) fn abort(&self, key: &str) -> Result<bool, Failure> {
        match &self.core.place {
            Place::Here(_) => {
                self.core.check()?;
                let running = self.core.running.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(running.get(key).is_some_and(|stop| {
                    stop.send_replace(true);
                    true
                }))
            }
            #[cfg(feature = "remote")]
            Place::Away(client) => {
                let (client, key) = (client.clone(), key.to_owned());
                Ok(self.core.run_until_ended(async move { client.abort(&key).await })??)
            }
        }
    }

    /// The events from now on, and the state of the devices before.
    pub(crate) fn follow(&self) -> Result<(Arc<Follower>, Value), Failure> {
        let (feed, snapshot) = match &self.core.place {
            Place::Here(till) => {
                let till = till.clone();
                let (snapshot, events) = self.core.run(async move { till.follow() })?;
                (Feed::Here(events), events::json(snapshot)?)
            }
            #[cfg(feature = "remote")]
            Place::Away(client) => {
                let client = client.clone();
                let follow = async move { crate::remote::follow(&client).await };
                let (news, snapshot) = self.core.run_until_ended(follow)??;
                (Feed::Away(news), events::json(snapshot)?)
            }
        };
        Ok((Arc::new(Follower::new(self.core.clone(), feed)), snapshot))
    }

    /// Closes the till within about that time; nothing for a handle that was made of another.
    pub(crate) fn close(self, within: Duration) -> Result<(), Failure> {
        if self.derived {
            return Ok(());
        }
        self.core.ended.send_replace(true);
        match &self.core.place {
            Place::Here(till) => {
                let till = till.clone();
                Ok(self.core.threads.run(async move { till.close(within).await })??)
            }
            // The connection ends with the last call.
            #[cfg(feature = "remote")]
            Place::Away(_) => Ok(()),
        }
    }

    pub(crate) fn is_derived(&self) -> bool {
        self.derived
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn shares(&self, core: &Arc<Core>) -> bool {
        Arc::ptr_eq(&self.core, core)
    }
}

impl Core {
    /// Runs `work` on the till's threads and waits for it. If it panics, the till takes no more calls.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
        self.check()?;
        let done = self.threads.run(work);
        if done.as_ref().is_err_and(Failure::is_panic) {
            self.broken.store(true, Ordering::Release);
        }
        done
    }

    /// As [`Core::run`], until this program closes the connection. The call may go on at the till.
    #[cfg(feature = "remote")]
    fn run_until_ended<T: Send + 'static>(
        &self,
        work: impl Future<Output = tresen::Result<T>> + Send + 'static,
    ) -> Result<tresen::Result<T>, Failure> {
        let mut ended = self.ended.subscribe();
        self.run(async move {
            tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended) => {
                    let error = Error::new(Kind::Closed, "the connection was closed by this program");
                    Err(error.with_effect(Effect::Unknown).hint("ask again under the same key"))
                }
                done = work => done,
            }
        })
    }

    fn check(&self) -> Result<(), Failure> {
        match self.broken.load(Ordering::Acquire) {
            true => Err(Failure::panicked("an earlier call has failed within the library: only closing is left")),
            false => Ok(()),
        }
    }

    /// Registers a call for [`Till::abort`] as long as the result lives.
    fn enter(&self, key: &str, stop: watch::Sender<bool>) -> Result<Running<'_>, Failure> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(key) {
            let busy = Error::new(Kind::Busy, format!("a call with the key `{key}` is running"));
            return Err(busy.with_effect(Effect::None).with_retry(Retry::Never).into());
        }
        running.insert(key.to_owned(), stop);
        Ok(Running { core: self, key: key.to_owned() })
    }
}

/// A call that can be aborted by its key.
struct Running<'a> {
    core: &'a Core,
    key: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.core.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// The threads of one till.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> Result<Self, Failure> {
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        let threads = threads.worker_threads(2).thread_name("tresen").enable_all().build();
        Ok(Self(Some(threads.map_err(|error| Error::new(Kind::Io, "cannot start threads").because(error))?)))
    }

    fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
        let Some(threads) = &self.0 else { return Err(closed().into()) };
        match threads.block_on(threads.spawn(work)) {
            Ok(done) => Ok(done),
            Err(error) if error.is_panic() => Err(Failure::of_panic(error.into_panic())),
            Err(_) => Err(closed().into()),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            // A closed till has nothing left to do.
            threads.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the till was closed")
}

/// The longest key, in bytes.
const KEY: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_till_whose_call_panicked_takes_no_more_and_can_be_closed()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("till.toml");
        std::fs::write(&config, "[till]\nsocket = false\n")?;
        let till = Till::open(config.to_str().ok_or("a path")?).map_err(|failure| format!("{failure:?}"))?;
        let info = till.call("till.info", Value::Null, None).map_err(|failure| format!("{failure:?}"))?;
        assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
        let failure = till.core.run(async { panic!("out of cheese") }).map(|(): ()| ()).expect_err("it panicked");
        assert!(failure.is_panic(), "{failure:?}");
        for refused in [
            till.call("till.info", Value::Null, None).map(drop),
            till.on_behalf_of("bar").and_then(|till| till.call("till.info", Value::Null, None).map(drop)),
            till.abort("a-1").map(drop),
            till.follow().map(drop),
        ] {
            assert!(refused.expect_err("only closing is left").is_panic());
        }
        till.close(Duration::from_secs(5)).map_err(|failure| format!("{failure:?}"))?;
        Ok(())
    }
}
