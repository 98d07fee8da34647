//! Calls by their keys: joined while they run, and remembered afterwards.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tresen_hal::{Error, Kind, Result, Retry};

use super::Keyed;

/// The calls of all callers by their keys. `C` is a handle to a call, by which its reply can be awaited.
#[derive(Debug)]
pub struct Keys<C> {
    callers: BTreeMap<String, BTreeMap<String, Known<C>>>,
}

#[derive(Debug)]
struct Known<C> {
    digest: [u8; 32],
    call: C,
    /// Tells this call from a later one under the same key.
    number: u64,
    done: Option<Instant>,
}

/// What a key means.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<C> {
    /// Nothing yet: the call has to be started.
    New(C),
    /// A call that is running, or done.
    Known(C),
}

impl<C> Default for Keys<C> {
    fn default() -> Self {
        Self { callers: BTreeMap::new() }
    }
}

impl<C: Clone> Keys<C> {
    /// The call under a key of `caller`. If there is none, or `is_over` says that the one there is ending, it is
    /// `start(number)`.
    ///
    /// # Errors
    /// [`Kind::Input`]: the key belongs to a call with other content. [`Kind::Busy`]: [`CALLS`] calls of the caller are
    /// running.
    pub fn ask(
        &mut self,
        now: Instant,
        caller: &str,
        keyed: &Keyed,
        number: u64,
        is_over: impl Fn(&C) -> bool,
        start: impl FnOnce() -> C,
    ) -> Result<Asked<C>> {
        let calls = self.callers.entry(caller.to_owned()).or_default();
        calls.retain(|_, known| !known.is_old(now));
        if let Some(known) = calls.get(&keyed.key) {
            if known.digest != keyed.digest {
                let what = format!("the key `{}` belongs to another call", keyed.key);
                return Err(Error::new(Kind::Input, what).hint("choose a new key for a new call"));
            }
            if !is_over(&known.call) {
                return Ok(Asked::Known(known.call.clone()));
            }
        }
        if calls.len() >= CALLS && !calls.contains_key(&keyed.key) {
            let oldest = calls.iter().filter_map(|(key, known)| Some((known.done?, key))).min();
            let Some(oldest) = oldest.map(|(_, key)| key.clone()) else {
                let busy = Error::new(Kind::Busy, format!("{CALLS} calls of `{caller}` are running"));
                return Err(busy.with_retry(Retry::Now));
            };
            calls.remove(&oldest);
        }
        let call = start();
        calls.insert(keyed.key.clone(), Known { digest: keyed.digest, call: call.clone(), number, done: None });
        Ok(Asked::New(call))
    }

    /// The call under a key of `caller`, if it is running.
    pub fn running(&self, caller: &str, key: &str) -> Option<&C> {
        let known = self.callers.get(caller)?.get(key)?;
        known.done.is_none().then_some(&known.call)
    }

    /// The call `number` is done, and kept for [`KEPT`] if `keep`.
    pub fn done(&mut self, now: Instant, caller: &str, key: &str, number: u64, keep: bool) {
        let Some(calls) = self.callers.get_mut(caller) else { return };
        match calls.get_mut(key) {
            Some(known) if known.number == number && keep => known.done = Some(now),
            Some(known) if known.number == number => _ = calls.remove(key),
            _ => {}
        }
    }

    /// Forgets what is older than [`KEPT`].
    pub fn sweep(&mut self, now: Instant) {
        for calls in self.callers.values_mut() {
            calls.retain(|_, known| !known.is_old(now));
        }
        self.callers.retain(|_, calls| !calls.is_empty());
    }

    /// How many calls are kept.
    pub fn len(&self) -> usize {
        self.callers.values().map(BTreeMap::len).sum()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }
}

impl<C> Known<C> {
    fn is_old(&self, now: Instant) -> bool {
        self.done.is_some_and(|done| now.saturating_duration_since(done) >= KEPT)
    }
}

/// How long a reply is kept under its key: 10 min.
pub const KEPT: Duration = Duration::from_secs(600);
/// How many calls of one caller are kept, running and done.
pub const CALLS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(key: &str, content: u8) -> Keyed {
        Keyed { key: key.into(), digest: [content; 32] }
    }

    struct Desk {
        keys: Keys<u64>,
        now: Instant,
    }

    impl Desk {
        fn ask(&mut self, caller: &str, key: &str, content: u8, number: u64) -> Result<Asked<u64>> {
            self.keys.ask(self.now, caller, &keyed(key, content), number, |_| false, || number)
        }
    }

    fn desk() -> Desk {
        Desk { keys: Keys::default(), now: Instant::now() }
    }

    #[test]
    fn the_same_key_is_the_same_call_of_one_caller_only() -> Result<()> {
        let mut desk = desk();
        assert_eq!(desk.ask("anna", "a", 1, 1)?, Asked::New(1));
        assert_eq!(desk.ask("anna", "a", 1, 2)?, Asked::Known(1), "joined");
        assert_eq!(desk.ask("bob", "a", 1, 3)?, Asked::New(3));
        let error = desk.ask("anna", "a", 2, 4).expect_err("other content");
        assert_eq!(error.kind(), Kind::Input);
        let now = desk.now;
        desk.keys.done(now, "anna", "a", 1, true);
        assert_eq!(desk.ask("anna", "a", 1, 5)?, Asked::Known(1), "given again");
        assert!(desk.ask("anna", "a", 2, 6).is_err(), "also when it is done");
        desk.now += KEPT - Duration::from_millis(1);
        assert_eq!(desk.ask("anna", "a", 1, 7)?, Asked::Known(1));
        desk.now += Duration::from_millis(1);
        assert_eq!(desk.ask("anna", "a", 2, 8)?, Asked::New(8));
        Ok(())
    }

    #[test]
    fn what_had_no_effect_runs_again_and_a_late_end_is_not_that_of_the_next_call() -> Result<()> {
        let mut desk = desk();
        let now = desk.now;
        assert_eq!(desk.ask("anna", "a", 1, 1)?, Asked::New(1));
        desk.keys.done(now, "anna", "a", 1, false);
        assert_eq!(desk.ask("anna", "a", 1, 2)?, Asked::New(2));
        desk.keys.done(now, "anna", "a", 1, false);
        assert_eq!(desk.keys.running("anna", "a"), Some(&2));
        desk.keys.done(now, "anna", "a", 2, true);
        assert_eq!(desk.keys.running("anna", "a"), None);
        Ok(())
    }

    #[test]
    fn the_oldest_reply_makes_room_and_running_calls_never_do() -> Result<()> {
        let mut desk = desk();
        for number in 0..CALLS as u64 {
            desk.ask("anna", &format!("k{number}"), 1, number)?;
        }
        assert_eq!(desk.ask("anna", "more", 1, 5000).expect_err("full").kind(), Kind::Busy);
        assert_eq!(desk.ask("bob", "more", 1, 5001)?, Asked::New(5001));
        let now = desk.now;
        desk.keys.done(now + Duration::from_secs(1), "anna", "k3", 3, true);
        desk.keys.done(now, "anna", "k7", 7, true);
        assert_eq!(desk.ask("anna", "more", 1, 5002)?, Asked::New(5002));
        assert_eq!(desk.ask("anna", "k3", 1, 5003)?, Asked::Known(3));
        assert_eq!(desk.keys.len(), CALLS + 1);
        desk.keys.sweep(now + KEPT + Duration::from_secs(1));
        assert_eq!(desk.keys.len(), CALLS, "all but the two that are done");
        Ok(())
    }
}
