//! Who holds the connections of a server: together a limited number, strangers and each caller few of them.
//!
//! A connection is a stranger's until a [gate](crate::trust::Gate) has let its caller in: a certificate is looked at
//! after the handshake, a token with the first request. Strangers cannot keep others out by holding connections: where one
//! address holds too many, a newcomer from there ends the oldest, unless they are younger than [`GRACE`]: all handhelds
//! behind one router may connect at once. Where all together hold too many, it ends the oldest of the address that has
//! the most.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tresen::config::Remote;
use tresen_hal::{Error, Kind, Result, Retry};

use super::lock;

/// How many connections a server has at a time. [`serve`](crate::serve) takes them from `[remote]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// All together: [`CONNECTIONS`](super::CONNECTIONS). One more is refused.
    pub connections: usize,
    /// Of strangers: [`STRANGERS`](super::STRANGERS). One more displaces another.
    pub strangers: usize,
    /// Of strangers of one address, besides those of the last [`GRACE`](super::GRACE):
    /// [`STRANGERS_OF_ONE_ADDRESS`](super::STRANGERS_OF_ONE_ADDRESS). One more displaces another.
    pub strangers_of_one_address: usize,
    /// Of one caller: [`CONNECTIONS_OF_ONE_CALLER`](super::CONNECTIONS_OF_ONE_CALLER). One more is refused.
    pub of_one_caller: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: super::CONNECTIONS,
            strangers: super::STRANGERS,
            strangers_of_one_address: super::STRANGERS_OF_ONE_ADDRESS,
            of_one_caller: super::CONNECTIONS_OF_ONE_CALLER,
        }
    }
}

impl From<&Remote> for Limits {
    fn from(remote: &Remote) -> Self {
        Self {
            connections: remote.connections,
            strangers: remote.strangers,
            strangers_of_one_address: remote.strangers_of_one_address,
            of_one_caller: remote.connections_of_one_caller,
        }
    }
}

/// The connections of a server.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    table: Mutex<Table>,
    /// How many [`Place`]s there are, displaced ones included.
    held: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    /// Those that were not displaced, by their numbers: the oldest first.
    open: BTreeMap<u64, Open>,
    strangers: BTreeMap<String, BTreeSet<u64>>,
    callers: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Open {
    host: String,
    since: Instant,
    /// The caller that was let in last.
    caller: Option<String>,
    displaced: watch::Sender<bool>,
}

/// The place of one connection. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    displaced: watch::Receiver<bool>,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::default(), held: watch::Sender::new(0) })
    }

    /// A place for a stranger that connects from `address`.
    ///
    /// # Errors
    /// [`Kind::Busy`]: all are taken.
    pub(super) fn take(self: &Arc<Self>, now: Instant, address: &str) -> Result<Place> {
        let (host, limits) = (host(address), &self.limits);
        let mut table = lock(&self.table);
        while table.strangers.get(&host).is_some_and(|own| own.len() >= limits.strangers_of_one_address)
            && table.oldest(&host).is_some_and(|since| now.saturating_duration_since(since) >= GRACE)
        {
            table.displace(&host);
        }
        if table.strangers.values().map(BTreeSet::len).sum::<usize>() >= limits.strangers {
            let fullest = table.fullest();
            table.displace(&fullest);
        }
        if *self.held.borrow() >= limits.connections {
            let error = Error::new(Kind::Busy, format!("{} clients are already connected", limits.connections));
            return Err(error.with_retry(Retry::AfterReconnect));
        }
        table.last += 1;
        let number = table.last;
        let (displaced, told) = watch::channel(false);
        table.strangers.entry(host.clone()).or_default().insert(number);
        table.open.insert(number, Open { host, since: now, caller: None, displaced });
        self.held.send_modify(|held| *held += 1);
        Ok(Place { places: self.clone(), number, displaced: told })
    }

    /// Waits until all are free.
    pub(super) async fn empty(&self) {
        self.held.subscribe().wait_for(|held| *held == 0).await.ok();
    }
}

impl Place {
    /// The gate has let `caller` in: the connection is not a stranger's any more.
    ///
    /// # Errors
    /// [`Kind::Busy`]: the caller has too many. [`Kind::Closed`]: it was displaced.
    pub(super) fn admit(&self, caller: &str) -> Result<()> {
        let limit = self.places.limits.of_one_caller;
        let mut table = lock(&self.places.table);
        let Some(open) = table.open.get(&self.number) else {
            return Err(Error::new(Kind::Closed, "the connection was closed for another one"));
        };
        if open.caller.as_deref() == Some(caller) {
            return Ok(());
        }
        if table.callers.get(caller).is_some_and(|count| *count >= limit) {
            let error = Error::new(Kind::Busy, format!("`{caller}` has as many connections as it may: {limit}"));
            return Err(error.with_retry(Retry::AfterReconnect).hint("close those that it does not need"));
        }
        table.leave(self.number);
        *table.callers.entry(caller.to_owned()).or_default() += 1;
        if let Some(open) = table.open.get_mut(&self.number) {
            open.caller = Some(caller.to_owned());
        }
        Ok(())
    }

    /// Waits until another stranger has its place.
    pub(super) async fn displaced(&self) {
        let mut displaced = self.displaced.clone();
        if displaced.wait_for(|displaced| *displaced).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether a displaced connection may finish its request: unless there are too many of them.
    pub(super) fn may_finish(&self) -> bool {
        let open = lock(&self.places.table).open.len();
        self.places.held.borrow().saturating_sub(open) <= self.places.limits.strangers
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = lock(&self.places.table);
        table.leave(self.number);
        table.open.remove(&self.number);
        drop(table);
        self.places.held.send_modify(|held| *held -= 1);
    }
}

impl Table {
    /// The address with the most connections of strangers; of several, the one whose oldest is the oldest.
    fn fullest(&self) -> String {
        let most = self.strangers.iter().max_by_key(|(_, own)| (own.len(), std::cmp::Reverse(own.first().copied())));
        most.map(|(host, _)| host.clone()).unwrap_or_default()
    }

    /// Since when the oldest connection of a stranger at this address is there.
    fn oldest(&self, host: &str) -> Option<Instant> {
        let oldest = self.strangers.get(host)?.first()?;
        Some(self.open.get(oldest)?.since)
    }

    /// Ends the oldest connection of a stranger at this address.
    fn displace(&mut self, host: &str) {
        let Some(oldest) = self.strangers.get(host).and_then(|own| own.first().copied()) else { return };
        self.leave(oldest);
        if let Some(open) = self.open.remove(&oldest) {
            tracing::info!(host, "too many connections of strangers: the oldest is closed");
            open.displaced.send_replace(true);
        }
    }

    /// It is not counted among the strangers, or among those of its caller, any more.
    fn leave(&mut self, number: u64) {
        let Some(open) = self.open.get(&number) else { return };
        match &open.caller {
            None => {
                if let Some(own) = self.strangers.get_mut(&open.host) {
                    own.remove(&number);
                    if own.is_empty() {
                        self.strangers.remove(&open.host);
                    }
                }
            }
            Some(caller) => {
                if let Some(count) = self.callers.get_mut(caller) {
                    *count -= 1;
                    if *count == 0 {
                        self.callers.remove(caller);
                    }
                }
            }
        }
    }
}

/// For how long a connection is not displaced by another one of its address: 3 s.
pub const GRACE: Duration = Duration::from_secs(3);

/// What counts as one address: without the port, and of IPv6 the network of 64 bits, which one subscriber has.
pub(crate) fn host(address: &str) -> String {
    match address.parse().map(|address: SocketAddr| address.ip().to_canonical()) {
        Ok(IpAddr::V4(address)) => address.to_string(),
        Ok(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Arc<Places> {
        Places::new(Limits { connections: 10, strangers: 6, strangers_of_one_address: 3, of_one_caller: 2 })
    }

    fn is_displaced(place: &Place) -> bool {
        *place.displaced.borrow()
    }

    fn all(places: &Arc<Places>, addresses: &[&str]) -> Vec<Place> {
        let now = Instant::now();
        addresses.iter().map(|address| places.take(now, address).expect("there is room")).collect()
    }

    #[test]
    fn a_newcomer_displaces_the_oldest_stranger_of_its_own_address() {
        let (places, now) = (places(), Instant::now());
        let take = |later, address| places.take(now + later, address).expect("there is room");
        let mut held = Vec::new();
        for address in ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:2", "10.0.0.1:3"] {
            held.push(take(Duration::ZERO, address));
        }
        held.push(take(GRACE - Duration::from_millis(1), "10.0.0.1:4"));
        assert!(!held.iter().any(is_displaced), "all of one router connect at once");
        // Two too many have grown old.
        held.push(take(GRACE, "10.0.0.1:5"));
        assert_eq!(held.iter().map(is_displaced).collect::<Vec<_>>(), [true, false, true, false, false, false]);
        assert_eq!(held[0].admit("anna").expect_err("too late").kind(), Kind::Closed);
        // One that is admitted is no stranger.
        held[3].admit("anna").expect("room");
        held.push(take(3 * GRACE, "10.0.0.1:6"));
        assert_eq!(held.iter().filter(|place| is_displaced(place)).count(), 2);
    }

    #[test]
    fn of_all_strangers_the_oldest_of_the_fullest_address_leaves() {
        let places = places();
        let held = all(&places, &["a", "b", "b", "c", "c", "c"]);
        let last = all(&places, &["d"]);
        assert_eq!(held.iter().map(is_displaced).collect::<Vec<_>>(), [false, false, false, true, false, false]);
        // Of two that have as many, the one that has connected first.
        let more = all(&places, &["e"]);
        assert_eq!(held.iter().map(is_displaced).collect::<Vec<_>>(), [false, true, false, true, false, false]);
        assert!(!last.iter().chain(&more).any(is_displaced));
    }

    #[test]
    fn a_caller_has_so_many_and_gives_them_back() {
        let places = places();
        let mut held = all(&places, &["a", "b", "c"]);
        held[0].admit("anna").expect("room");
        held[0].admit("anna").expect("the same connection");
        held[1].admit("anna").expect("room");
        let error = held[2].admit("anna").expect_err("the third");
        assert_eq!((error.kind(), error.what()), (Kind::Busy, "`anna` has as many connections as it may: 2"));
        held[2].admit("bob").expect("another caller");
        held.remove(0);
        held[1].admit("anna").expect("one is free");
        assert_eq!(lock(&places.table).callers, BTreeMap::from([("anna".to_owned(), 2)]), "bob's is anna's now");
        drop(held);
        let table = lock(&places.table);
        assert!(table.callers.is_empty() && table.strangers.is_empty() && table.open.is_empty());
        assert_eq!(*places.held.borrow(), 0);
    }

    #[test]
    fn all_together_are_limited_and_displaced_ones_count_until_they_are_gone() {
        let (places, now) = (places(), Instant::now());
        let callers: Vec<_> = (0..4)
            .map(|n| {
                let place = places.take(now, "a").expect("room");
                place.admit(&format!("caller {n}")).expect("room");
                place
            })
            .collect();
        let mut strangers = all(&places, &["b", "b", "b", "c", "c", "c"]);
        assert_eq!(places.take(now, "d").expect_err("ten").kind(), Kind::Busy);
        assert!(is_displaced(&strangers[0]), "it makes room when it is gone");
        strangers.remove(0);
        assert!(places.take(now, "d").is_ok());
        assert!(!callers.iter().any(is_displaced));
    }

    #[test]
    fn an_address_has_no_port_and_ipv6_is_a_network() {
        assert_eq!(host("10.0.0.7:5000"), "10.0.0.7");
        assert_eq!(host("[::ffff:10.0.0.7]:5000"), "10.0.0.7");
        assert_eq!(host("[2001:db8:1:2:3:4:5:6]:443"), "2001:db8:1:2::");
        assert_eq!(host("[::1]:443"), "::");
        assert_eq!(host("memory"), "memory");
    }
}
