//! A server in memory, with faults: for tests of tills without PostgreSQL. It stands for the server's side of
//! [`Upstream`]; nothing is kept when the process ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tresen_hal::{Amount, BoxFuture, Effect, Error, Kind, Result};

use super::upstream::{Ack, Balance, Booked, Booking, Hello, Pushed, Reserved, Table, Upstream, Welcome};
use crate::manager::lock;
use crate::store::{Hash, OutboxEntry, ReferenceRow};

/// The server; clones are connections to the same one.
#[derive(Debug, Clone, Default)]
pub struct Server(Arc<Mutex<State>>);

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing goes wrong.
    None,
    /// The request is lost.
    Lost,
    /// The request is carried out, the answer is lost.
    AnswerLost,
    /// The request is carried out at once, the answer comes late.
    Late(Duration),
    /// The request is carried out twice.
    Twice,
}

#[derive(Debug, Clone, Default)]
struct State {
    away: bool,
    faults: VecDeque<Fault>,
    calls: u64,
    received: u64,
    data: Data,
}

/// Everything that a backup of the server contains.
#[derive(Debug, Clone, Default)]
pub struct Data {
    epochs: BTreeMap<(String, i64), Epoch>,
    quarantine: Vec<(String, OutboxEntry)>,
    tables: BTreeMap<String, (i64, BTreeMap<String, Value>)>,
    accounts: BTreeMap<String, Amount>,
    bookings: BTreeMap<(String, String), (Booking, Hold)>,
    /// Bookings under keys that stand for others.
    disputed: Vec<Booking>,
}

#[derive(Debug, Clone, Default)]
struct Epoch {
    first: i64,
    entries: BTreeMap<i64, OutboxEntry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Reserved,
    Booked,
    Released,
    Unbooked,
}

impl Server {
    /// An empty server that can be reached.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether it can be reached.
    pub fn set_reachable(&self, reachable: bool) {
        self.state().away = !reachable;
    }

    /// What goes wrong with the next calls, in order.
    pub fn add_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults);
    }

    /// The number of calls so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The number of journal entries that were sent to it so far, those that it had already included.
    pub fn received(&self) -> u64 {
        self.state().received
    }

    /// A backup of everything it has.
    pub fn backup(&self) -> Data {
        self.state().data.clone()
    }

    /// Replaces everything it has.
    pub fn restore(&self, data: Data) {
        self.state().data = data;
    }

    /// The entries of a till, by epoch and sequence number.
    pub fn entries(&self, till: &str) -> Vec<OutboxEntry> {
        let state = self.state();
        let epochs = state.data.epochs.iter().filter(|((of, _), _)| of == till);
        epochs.flat_map(|(_, epoch)| epoch.entries.values().cloned()).collect()
    }

    /// Entries in quarantine, with their tills.
    pub fn quarantine(&self) -> Vec<(String, OutboxEntry)> {
        self.state().data.quarantine.clone()
    }

    /// Stores an entry as if it had come from somewhere else.
    pub fn plant(&self, till: &str, entry: OutboxEntry) {
        let mut state = self.state();
        let epoch = state.data.epoch(till, entry.epoch, entry.seq);
        epoch.entries.insert(entry.seq, entry);
    }

    /// Changes a row of a reference table; `None` removes it.
    pub fn set_row(&self, table: &str, id: &str, body: Option<Value>) {
        let mut state = self.state();
        let (version, rows) = state.data.tables.entry(table.to_owned()).or_default();
        *version += 1;
        match body {
            Some(body) => _ = rows.insert(id.to_owned(), body),
            None => _ = rows.remove(id),
        }
    }

    /// Sets the balance of an account.
    pub fn set_balance(&self, account: &str, balance: Amount) {
        self.state().data.accounts.insert(account.to_owned(), balance);
    }

    /// The balance of an account: without what is reserved, and with it.
    pub fn balance(&self, account: &str) -> Option<(Amount, Amount)> {
        let state = self.state();
        Some((state.data.available(account)?, *state.data.accounts.get(account)?))
    }

    /// The keys of what could not be booked.
    pub fn unbooked(&self) -> Vec<String> {
        let state = self.state();
        let unbooked = state.data.bookings.iter().filter(|(_, (_, hold))| *hold == Hold::Unbooked);
        let disputed = state.data.disputed.iter().map(|booking| booking.key.clone());
        unbooked.map(|((_, key), _)| key.clone()).chain(disputed).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Carries a call out, or not, as the next fault says.
    fn call<'a, T: Send + 'a>(&'a self, work: impl Fn(&mut Data) -> Result<T> + Send + 'a) -> BoxFuture<'a, Result<T>> {
        Box::pin(async move {
            let (fault, done) = {
                let mut state = self.state();
                state.calls += 1;
                if state.away {
                    let error = Error::new(Kind::Closed, "the server cannot be reached");
                    return Err(error.with_effect(Effect::None));
                }
                let fault = state.faults.pop_front().unwrap_or(Fault::None);
                let done = match fault {
                    Fault::Lost => None,
                    Fault::Twice => {
                        work(&mut state.data).ok();
                        Some(work(&mut state.data))
                    }
                    _ => Some(work(&mut state.data)),
                };
                (fault, done)
            };
            let cut = || Error::new(Kind::Closed, "the connection was cut").with_effect(Effect::Unknown);
            match fault {
                Fault::AnswerLost => return Err(cut()),
                Fault::Late(by) => tokio::time::sleep(by).await,
                _ => {}
            }
            done.unwrap_or_else(|| Err(cut()))
        })
    }
}

impl Data {
    /// The last entry of a till: its sequence number.
    pub fn last(&self, till: &str) -> Option<i64> {
        let epochs = self.epochs.iter().filter(|((of, _), _)| of == till);
        epochs.filter_map(|(_, epoch)| epoch.entries.keys().last()).max().copied()
    }

    fn epoch(&mut self, till: &str, epoch: i64, first: i64) -> &mut Epoch {
        let new = || Epoch { first, entries: BTreeMap::new() };
        self.epochs.entry((till.to_owned(), epoch)).or_insert_with(new)
    }

    fn acks(&self, till: &str) -> Vec<Ack> {
        let epochs = self.epochs.iter().filter(|((of, _), _)| of == till);
        epochs.map(|((_, number), epoch)| epoch.ack(*number)).collect()
    }

    fn push(&mut self, till: &str, entries: &[OutboxEntry]) -> Pushed {
        let mut quarantined = Vec::new();
        for entry in entries {
            let stored = &mut self.epoch(till, entry.epoch, entry.seq).entries;
            let there = stored.entry(entry.seq).or_insert_with(|| entry.clone());
            if there.hash != entry.hash {
                quarantined.push((entry.epoch, entry.seq));
                let aside = (till.to_owned(), entry.clone());
                if !self.quarantine.contains(&aside) {
                    self.quarantine.push(aside);
                }
            }
        }
        Pushed { acks: self.acks(till), quarantined }
    }

    fn available(&self, account: &str) -> Option<Amount> {
        let balance = *self.accounts.get(account)?;
        let held = self.bookings.values().filter(|(of, hold)| of.account == account && *hold == Hold::Reserved);
        held.map(|(booking, _)| booking.amount).try_fold(balance, Amount::checked_sub)
    }

    fn reserve(&mut self, booking: &Booking) -> Reserved {
        let key = (booking.till.clone(), booking.key.clone());
        let refused = match (self.bookings.get(&key), self.available(&booking.account)) {
            (Some((other, _)), _) if other != booking => Some(ANOTHER.to_owned()),
            (Some((_, Hold::Released)), _) => Some("it was released before".to_owned()),
            (Some(_), _) => None,
            (None, None) => Some(format!("there is no account `{}`", booking.account)),
            (None, Some(balance)) if balance.minor() < booking.amount.minor() => {
                Some(format!("the balance is {balance}"))
            }
            (None, Some(_)) => {
                self.bookings.insert(key, (booking.clone(), Hold::Reserved));
                None
            }
        };
        Reserved { balance: self.available(&booking.account), refused }
    }

    fn book(&mut self, booking: &Booking) -> Booked {
        let key = (booking.till.clone(), booking.key.clone());
        if self.bookings.get(&key).is_some_and(|(other, _)| other != booking) {
            if !self.disputed.contains(booking) {
                self.disputed.push(booking.clone());
            }
            return Booked::Unbooked { why: ANOTHER.to_owned() };
        }
        let hold = self.bookings.get(&key).map(|(_, hold)| *hold);
        let why = match (hold, self.available(&booking.account)) {
            (Some(Hold::Booked), _) => return Booked::Booked,
            (Some(Hold::Released), _) => Some("it was released before".to_owned()),
            (Some(Hold::Reserved), _) => None,
            (_, None) => Some(format!("there is no account `{}`", booking.account)),
            (_, Some(balance)) if booking.amount.minor() > balance.minor().max(0) => {
                Some(format!("the balance is {balance}"))
            }
            _ => None,
        };
        let hold = if why.is_some() { Hold::Unbooked } else { Hold::Booked };
        self.bookings.insert(key, (booking.clone(), hold));
        if let Some(why) = why {
            return Booked::Unbooked { why };
        }
        if let Some(balance) = self.accounts.get_mut(&booking.account)
            && let Some(rest) = balance.checked_sub(booking.amount)
        {
            *balance = rest;
        }
        Booked::Booked
    }
}

impl Epoch {
    fn ack(&self, epoch: i64) -> Ack {
        let through = (self.first..).take_while(|seq| self.entries.contains_key(seq)).last();
        let through = through.unwrap_or(self.first - 1);
        Ack { epoch, first: self.first, through, hash: self.entries.get(&through).map(|entry| entry.hash) }
    }
}

impl Upstream for Server {
    fn hello<'a>(&'a self, hello: &'a Hello) -> BoxFuture<'a, Result<Welcome>> {
        self.call(move |data| Ok(Welcome { acks: data.acks(&hello.till), clock: None }))
    }

    fn hash_at<'a>(&'a self, till: &'a str, epoch: i64, seq: i64) -> BoxFuture<'a, Result<Option<Hash>>> {
        self.call(move |data| {
            let epoch = data.epochs.get(&(till.to_owned(), epoch));
            Ok(epoch.and_then(|epoch| epoch.entries.get(&seq)).map(|entry| entry.hash))
        })
    }

    fn push<'a>(&'a self, till: &'a str, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Result<Pushed>> {
        Box::pin(async move {
            self.state().received += entries.len() as u64;
            self.call(move |data| Ok(data.push(till, entries))).await
        })
    }

    fn reference<'a>(&'a self, table: &'a str, known: Option<i64>) -> BoxFuture<'a, Result<Option<Table>>> {
        self.call(move |data| {
            let Some((version, rows)) = data.tables.get(table) else {
                return Err(Error::new(Kind::Config, format!("the server has no reference table `{table}`")));
            };
            if known == Some(*version) {
                return Ok(None);
            }
            let rows = rows.iter().map(|(id, body)| ReferenceRow { id: id.clone(), body: body.clone() });
            Ok(Some(Table { version: *version, rows: rows.collect() }))
        })
    }

    fn balances(&self) -> BoxFuture<'_, Result<Vec<Balance>>> {
        self.call(|data| {
            let accounts = data.accounts.keys();
            let balances = accounts.filter_map(|of| Some(Balance { account: of.clone(), amount: data.available(of)? }));
            Ok(balances.collect())
        })
    }

    fn reserve<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Reserved>> {
        self.call(move |data| Ok(data.reserve(booking)))
    }

    fn decide<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<bool>> {
        self.call(move |data| {
            let key = (booking.till.clone(), booking.key.clone());
            let (known, hold) = data.bookings.entry(key).or_insert_with(|| (booking.clone(), Hold::Released));
            Ok(known == booking && *hold != Hold::Released)
        })
    }

    fn book<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Booked>> {
        self.call(move |data| Ok(data.book(booking)))
    }

    fn release<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<()>> {
        self.call(move |data| {
            let key = (booking.till.clone(), booking.key.clone());
            let (known, hold) = data.bookings.entry(key).or_insert_with(|| (booking.clone(), Hold::Released));
            if known == booking && *hold != Hold::Booked {
                *hold = Hold::Released;
            }
            Ok(())
        })
    }
}

/// Why a booking is refused whose key was used for another account or amount.
const ANOTHER: &str = "its key stands for another booking";
