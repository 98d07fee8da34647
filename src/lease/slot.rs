//! The state machine of one target: its lease and its queue. Sans-IO; time is an argument.
//!
//! Every method begins with [`Slot::tick`], so that it never sees a lease that has expired. What others have to hear of
//! is collected as [`Change`]s.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::refusal::{Lost, Refusal};
use super::words::{End, Grant, Key, Nature, Target, Turn, View, Waiting, Wish};

/// One target's lease and queue. For sales it is stored as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// The last token.
    last: u64,
    held: Option<Held>,
    queue: VecDeque<Queued>,
    /// The previous lease, for the late calls of its holder.
    ended: Option<Ended>,
    #[serde(skip)]
    changes: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    holder: String,
    token: u64,
    nature: Nature,
    since: Timestamp,
    until: Timestamp,
    #[serde(with = "millis")]
    ttl: Duration,
    asked: Vec<Wish>,
    /// It ends as soon as nothing is running.
    ending: Option<End>,
    /// How many calls the holder is waiting for. Waiting is use.
    #[serde(skip)]
    present: usize,
    /// The keys of running transactions, which are not torn from their terminal.
    #[serde(skip)]
    running: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Queued {
    name: String,
    since: Timestamp,
    until: Timestamp,
    #[serde(with = "millis")]
    ttl: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    token: u64,
    why: End,
    at: Timestamp,
}

/// Who makes a call, as far as leases are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Claim<'a> {
    /// The caller's name.
    pub(crate) name: Option<&'a str>,
    /// The token of the lease that the call depends on.
    pub(crate) token: Option<u64>,
}

/// What a call does with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A short call.
    Call,
    /// A transaction, which is a lease of its own.
    Transaction,
    /// Waiting for scans.
    Listen,
}

/// What others have to hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    /// It was leased; `queued` if it was passed on to the first of the queue.
    Leased { holder: String, token: u64, queued: bool },
    /// It ended.
    Ended { holder: String, token: u64, why: End },
    /// It ends with these transactions.
    Ending { holder: String, token: u64, why: End, running: Vec<String> },
    /// Somebody asks its holder to let go.
    Wanted { holder: String, by: String, why: String },
    /// Something that only concerns those who wait.
    Moved,
}

impl Slot {
    /// A target that nobody has; its tokens are above `last`.
    pub(crate) fn new(last: u64) -> Self {
        Self { last, ..Self::default() }
    }

    /// The changes since this was last called.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// When [`Slot::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let held = self.held.as_ref().filter(|held| held.expires()).map(|held| held.until);
        self.queue.iter().map(|queued| queued.until).chain(held).min()
    }

    /// Ends what has expired, and passes on what is free.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        let waiting = self.queue.len();
        self.queue.retain(|queued| queued.until > now);
        if self.queue.len() != waiting {
            self.changes.push(Change::Moved);
        }
        if let Some(held) = &self.held {
            if held.expires() && held.until <= now {
                self.end(End::Expired);
            } else if held.nature == Nature::Transaction && held.present == 0 && held.running.is_empty() {
                self.end(End::Released);
            }
        }
        if let Some(held) = self.held.take_if(|held| held.ending.is_some() && held.running.is_empty()) {
            let Held { holder, token, nature, ending, .. } = held;
            let why = ending.unwrap_or(End::Released);
            self.changes.push(match nature {
                Nature::Leased => Change::Ended { holder, token, why: why.clone() },
                _ => Change::Moved,
            });
            self.ended = Some(Ended { token, why, at: now });
        }
        if self.held.is_none()
            && let Some(next) = self.queue.pop_front()
        {
            self.grant(&next.name, Nature::Leased, next.ttl, now);
            self.changes.push(Change::Leased { holder: next.name, token: self.last, queued: true });
        }
    }

    /// Leases it, or renews the caller's own lease.
    pub(crate) fn acquire(&mut self, name: &str, ttl: Duration, now: Timestamp) -> Result<(), Refusal> {
        self.tick(now);
        match &mut self.held {
            Some(held) if held.holder == name && held.ending.is_none() => {
                let before = std::mem::replace(&mut held.nature, Nature::Leased);
                (held.ttl, held.until) = (ttl, now + ttl);
                if before == Nature::Leased {
                    return Ok(());
                }
                let token = held.token;
                self.changes.push(Change::Leased { holder: name.to_owned(), token, queued: false });
            }
            // Leasing a scanner is how somebody else begins to listen.
            Some(held) if held.nature != Nature::Listener || !held.running.is_empty() => {
                return Err(self.refusal(now));
            }
            _ => {
                if self.held.is_some() {
                    self.end(End::Released);
                    self.tick(now);
                }
                self.grant(name, Nature::Leased, ttl, now);
                self.changes.push(Change::Leased { holder: name.to_owned(), token: self.last, queued: false });
            }
        }
        Ok(())
    }

    /// Leases it, or takes a place in the queue, or renews the caller's place.
    pub(crate) fn queue(&mut self, name: &str, ttl: Duration, now: Timestamp) {
        if self.acquire(name, ttl, now).is_ok() {
            self.queue.retain(|queued| queued.name != name);
            return;
        }
        match self.queue.iter_mut().find(|queued| queued.name == name) {
            Some(queued) => (queued.ttl, queued.until) = (ttl, now + ttl),
            None => {
                self.queue.push_back(Queued { name: name.to_owned(), since: now, until: now + ttl, ttl });
                self.changes.push(Change::Moved);
            }
        }
    }

    /// Leaves the queue; false if the caller was not in it.
    pub(crate) fn leave(&mut self, name: &str, now: Timestamp) -> bool {
        self.tick(now);
        let waiting = self.queue.len();
        self.queue.retain(|queued| queued.name != name);
        let left = self.queue.len() != waiting;
        if left {
            self.changes.push(Change::Moved);
        }
        left
    }

    /// Renews the caller's lease.
    pub(crate) fn renew(&mut self, claim: Claim<'_>, now: Timestamp) -> Result<(), Refusal> {
        self.tick(now);
        match self.mine(claim) {
            Some(held) => held.until = now + held.ttl,
            None => return Err(self.not_mine(claim, now)),
        }
        Ok(())
    }

    /// Ends the caller's lease; false if it has ended already.
    pub(crate) fn release(&mut self, claim: Claim<'_>, now: Timestamp) -> bool {
        self.tick(now);
        let held = self.mine(claim).is_some();
        if held {
            self.end(End::Released);
            self.tick(now);
        }
        held
    }

    /// Ends any lease, whoever has it; with its target, that is [`End::Closed`] and [`End::Removed`], also the queue.
    pub(crate) fn end_with(&mut self, why: End, now: Timestamp) {
        if matches!(why, End::Closed | End::Removed) && !self.queue.is_empty() {
            self.queue.clear();
            self.changes.push(Change::Moved);
        }
        self.end(why);
        self.tick(now);
    }

    /// Asks the holder to let go.
    pub(crate) fn ask(&mut self, by: &str, why: &str, now: Timestamp) -> Result<(), Lost> {
        self.tick(now);
        let Some(held) = &mut self.held else { return Err(Lost::never()) };
        let (by, why) = (by.to_owned(), why.to_owned());
        held.asked.retain(|wish| wish.by != by);
        held.asked.push(Wish { by: by.clone(), why: why.clone(), at: now });
        let holder = held.holder.clone();
        self.changes.push(Change::Wanted { holder, by, why });
        Ok(())
    }

    /// Takes it from whoever has it: at once, or when the running transaction ends, before all who wait.
    pub(crate) fn take_over(&mut self, name: &str, why: &str, ttl: Duration, now: Timestamp) {
        self.queue.retain(|queued| queued.name != name);
        if self.acquire(name, ttl, now).is_ok() {
            return;
        }
        self.queue.push_front(Queued { name: name.to_owned(), since: now, until: now + ttl, ttl });
        self.changes.push(Change::Moved);
        self.end(End::TakenOver { by: name.to_owned(), why: why.to_owned() });
        self.tick(now);
    }

    /// A caller begins to wait for a call. Returns the token of the lease that it uses: pass it to [`Slot::exit`].
    pub(crate) fn enter(
        &mut self,
        claim: Claim<'_>,
        purpose: Use,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<u64>, Refusal> {
        self.tick(now);
        self.check(claim, purpose, now)?;
        if let (None, Some(name)) = (&self.held, claim.name) {
            let nature = match purpose {
                Use::Call => return Ok(None),
                Use::Transaction => Nature::Transaction,
                Use::Listen => Nature::Listener,
            };
            self.grant(name, nature, ttl, now);
            self.changes.push(Change::Moved);
        }
        Ok(self.mine(claim).map(|held| {
            held.until = now + held.ttl;
            held.present += 1;
            held.token
        }))
    }

    /// The caller has its answer, or has left.
    pub(crate) fn exit(&mut self, token: u64, now: Timestamp) {
        if let Some(held) = self.held.as_mut().filter(|held| held.token == token) {
            held.present = held.present.saturating_sub(1);
            held.until = now + held.ttl;
        }
        self.tick(now);
    }

    /// A transaction begins. Returns the token of its lease: pass it to [`Slot::ended`].
    pub(crate) fn begin(&mut self, claim: Claim<'_>, key: &str, now: Timestamp) -> Result<Option<u64>, Refusal> {
        self.tick(now);
        self.check(claim, Use::Transaction, now)?;
        Ok(self.mine(claim).map(|held| {
            held.running.push(key.to_owned());
            held.token
        }))
    }

    /// A transaction has ended.
    pub(crate) fn ended(&mut self, token: u64, key: &str, now: Timestamp) {
        if let Some(held) = self.held.as_mut().filter(|held| held.token == token)
            && let Some(at) = held.running.iter().position(|running| running == key)
        {
            held.running.remove(at);
        }
        self.tick(now);
    }

    /// Checks that a call is not refused because of a lease, without using it.
    pub(crate) fn check(&self, claim: Claim<'_>, purpose: Use, now: Timestamp) -> Result<(), Refusal> {
        let Some(held) = &self.held else {
            return match claim.token {
                Some(_) => Err(self.not_mine(claim, now)),
                None => Ok(()),
            };
        };
        let refused = if held.is_of(claim) {
            held.ending.is_some() && purpose != Use::Listen
        } else {
            claim.token.is_some()
                || match held.nature {
                    Nature::Leased => true,
                    Nature::Transaction => purpose == Use::Transaction && claim.name.is_some(),
                    Nature::Listener => purpose == Use::Listen,
                }
        };
        if refused { Err(self.not_mine(claim, now)) } else { Ok(()) }
    }

    /// Limits what was read from a database to the time to live from now on.
    pub(crate) fn restored(&mut self, now: Timestamp) {
        if let Some(held) = &mut self.held {
            held.until = held.until.min(now + held.ttl);
            held.since = held.since.min(now);
        }
        for queued in &mut self.queue {
            queued.until = queued.until.min(now + queued.ttl);
            queued.since = queued.since.min(now);
        }
    }

    /// The caller's turn: its lease, or its place in the queue.
    pub(crate) fn turn(&self, target: &Target, name: &str) -> Option<Turn> {
        if let Some(grant) = self.grant_of(target, name) {
            return Some(Turn::Granted(grant));
        }
        let place = self.queue.iter().position(|queued| queued.name == name)?;
        let (queued, lease) = (&self.queue[place], self.view(target)?);
        let (since, until) = (queued.since, queued.until);
        Some(Turn::Waiting { place: place + 1, since, until, lease: Box::new(lease) })
    }

    /// The caller's lease.
    pub(crate) fn grant_of(&self, target: &Target, name: &str) -> Option<Grant> {
        let held = self.held.as_ref().filter(|held| held.holder == name && held.ending.is_none())?;
        let key = Key { target: target.clone(), token: held.token };
        Some(Grant { key, holder: held.holder.clone(), since: held.since, until: held.until })
    }

    /// The lease as everybody may see it.
    pub(crate) fn view(&self, target: &Target) -> Option<View> {
        let held = self.held.as_ref()?;
        let waiting = |queued: &Queued| {
            let Queued { name, since, until, .. } = queued;
            Waiting { name: name.clone(), since: *since, until: *until }
        };
        Some(View {
            target: target.clone(),
            holder: held.holder.clone(),
            nature: held.nature,
            since: held.since,
            until: held.expires().then_some(held.until),
            ending: held.ending.clone(),
            asked: held.asked.clone(),
            waiting: self.queue.iter().map(waiting).collect(),
        })
    }

    /// The holder's name, the token and the end of the lease, for columns.
    pub(crate) fn columns(&self) -> (u64, Option<&str>, Option<Timestamp>) {
        (self.last, self.held.as_ref().map(|held| held.holder.as_str()), self.held.as_ref().map(|held| held.until))
    }

    fn grant(&mut self, name: &str, nature: Nature, ttl: Duration, now: Timestamp) {
        self.last += 1;
        self.held = Some(Held {
            holder: name.to_owned(),
            token: self.last,
            nature,
            since: now,
            until: now + ttl,
            ttl,
            asked: Vec::new(),
            ending: None,
            present: 0,
            running: Vec::new(),
        });
    }

    /// Marks the lease as ending; the first reason counts.
    fn end(&mut self, why: End) {
        let Some(held) = self.held.as_mut().filter(|held| held.ending.is_none()) else { return };
        held.ending = Some(why.clone());
        if !held.running.is_empty() {
            let (holder, token, running) = (held.holder.clone(), held.token, held.running.clone());
            self.changes.push(Change::Ending { holder, token, why, running });
        }
    }

    /// The caller's lease, unless it is ending.
    fn mine(&mut self, claim: Claim<'_>) -> Option<&mut Held> {
        self.held.as_mut().filter(|held| held.is_of(claim) && held.ending.is_none())
    }

    /// Why a lease is not the caller's, or no longer.
    fn not_mine(&self, claim: Claim<'_>, now: Timestamp) -> Refusal {
        let ending = self.held.as_ref().filter(|held| held.is_of(claim)).and_then(|held| held.ending.clone());
        if let Some(why) = ending {
            return Refusal::Lost(Lost::ending(why));
        }
        match (claim.token, &self.held) {
            (None, Some(_)) => self.refusal(now),
            (token, _) => {
                let known = self.ended.as_ref().filter(|ended| token.is_none_or(|token| token == ended.token));
                Refusal::Lost(known.map_or_else(Lost::unknown, |ended| Lost::ended(ended.why.clone(), now, ended.at)))
            }
        }
    }

    fn refusal(&self, now: Timestamp) -> Refusal {
        let Some(held) = &self.held else { return Refusal::Lost(Lost::never()) };
        Refusal::Held {
            holder: held.holder.clone(),
            nature: held.nature,
            held_for: span(held.since, now),
            left: held.expires().then(|| span(now, held.until)),
            ending: held.ending.clone(),
            waiting: self.queue.len(),
        }
    }
}

impl Held {
    fn is_of(&self, claim: Claim<'_>) -> bool {
        match (claim.name, claim.token) {
            (Some(name), token) => name == self.holder && token.is_none_or(|token| token == self.token),
            // The token alone is proof enough.
            (None, token) => token == Some(self.token),
        }
    }

    /// Whether it ends by itself at `until`.
    fn expires(&self) -> bool {
        self.nature != Nature::Transaction && self.present == 0 && self.ending.is_none()
    }
}

/// The time from one to the other; zero if it is negative.
pub(super) fn span(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}

/// Durations as whole milliseconds.
mod millis {
    use super::{Deserialize, Duration, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(ttl: &Duration, to: S) -> Result<S::Ok, S::Error> {
        u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
