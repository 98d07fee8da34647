//! Open one-time codes: sans-IO, the time is an argument. They are in memory only and end with the server.
//!
//! A wrong attempt counts against every open code, because the till cannot know which one was meant. Nothing in an answer
//! tells whether a code is open.

use std::time::{Duration, Instant};

use tresen::remote::Invitation;
use tresen_hal::{Error, Kind, Result, Retry};

use super::attempts::Attempts;

/// How long a code is good: 10 minutes.
pub(super) const LIFE: Duration = Duration::from_secs(600);

/// The codes of one purpose.
pub(super) struct Codes {
    open: Vec<Open>,
    attempts: Attempts,
}

/// An open code. There is no `Debug`: it holds a secret.
pub(super) struct Open {
    pub(super) invitation: Invitation,
    /// The origin that may redeem it, if only one may.
    pub(super) origin: Option<String>,
    /// What the code proves itself by.
    pub(super) key: [u8; 32],
    until: Instant,
    wrong: u32,
}

impl Codes {
    pub(super) fn new() -> Self {
        Self { open: Vec::new(), attempts: Attempts::new(1, EVERY) }
    }

    /// Opens a code. One for the same name replaces the earlier one.
    pub(super) fn open(
        &mut self,
        now: Instant,
        invitation: Invitation,
        origin: Option<String>,
        key: [u8; 32],
    ) -> Result<()> {
        self.tidy(now);
        self.open.retain(|open| open.invitation.name != invitation.name);
        if self.open.len() >= MOST {
            let error = Error::new(Kind::Busy, format!("{MOST} one-time codes are open"));
            return Err(error.hint("use one of them, or wait until one ends after 10 minutes"));
        }
        self.open.push(Open { invitation, origin, key, until: now + LIFE, wrong: 0 });
        Ok(())
    }

    /// An attempt: the open code that `fits`, which is then used up.
    ///
    /// # Errors
    /// [`Kind::Busy`]: too many attempts; nothing was tried. [`Kind::Permission`]: none fits. Five such attempts end a code.
    pub(super) fn redeem(&mut self, now: Instant, fits: impl Fn(&Open) -> bool) -> Result<Open> {
        if !self.attempts.take(now) {
            let error = Error::new(Kind::Busy, "too many attempts").with_retry(Retry::Now);
            return Err(error.hint("one attempt a second is allowed"));
        }
        self.tidy(now);
        // All are looked at, so that the time taken does not tell which one fits.
        let fitting: Vec<bool> = self.open.iter().map(fits).collect();
        if let Some(at) = fitting.iter().position(|fits| *fits) {
            return Ok(self.open.remove(at));
        }
        for open in &mut self.open {
            open.wrong += 1;
        }
        self.open.retain(|open| open.wrong < WRONG);
        let error = Error::new(Kind::Permission, "the till did not accept the one-time code");
        Err(error.hint("a code is good for 10 minutes, once, and for five attempts: ask for a new one at the till"))
    }

    fn tidy(&mut self, now: Instant) {
        self.open.retain(|open| now < open.until);
    }
}

/// How many codes may be open.
const MOST: usize = 16;
/// After how many wrong attempts a code ends.
const WRONG: u32 = 5;
/// The time between two attempts.
const EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(names: &[&str], now: Instant) -> Codes {
        let mut codes = Codes::new();
        for (n, name) in names.iter().enumerate() {
            let invitation = Invitation::new(*name, "watch".parse().expect("rights"));
            codes.open(now, invitation, None, [n as u8; 32]).expect("opened");
        }
        codes
    }

    fn by(n: u8) -> impl Fn(&Open) -> bool {
        move |open| open.key == [n; 32]
    }

    #[test]
    fn a_code_is_good_once_and_for_ten_minutes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut open = codes(&["a", "b"], start);
        assert_eq!(open.redeem(at(1), by(0)).map(|open| open.invitation.name).ok().as_deref(), Some("a"));
        assert_eq!(open.redeem(at(2), by(0)).err().map(|e| e.kind()), Some(Kind::Permission));
        assert!(open.redeem(at(599), by(1)).is_ok());
        assert!(codes(&["a"], start).redeem(at(600), by(0)).is_err());
    }

    #[test]
    fn five_wrong_attempts_end_every_open_code() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut open = codes(&["a", "b"], start);
        for n in 0..4 {
            assert!(open.redeem(at(n), by(9)).is_err());
        }
        assert!(open.redeem(at(4), by(0)).is_ok(), "the right one, after four wrong ones");
        assert!(open.redeem(at(5), by(9)).is_err());
        assert!(open.redeem(at(6), by(1)).is_err(), "the fifth has ended it");
    }

    #[test]
    fn attempts_within_a_second_are_not_tried_and_count_for_nothing() {
        let start = Instant::now();
        let mut open = codes(&["a"], start);
        let tried = (0..1000).filter(|_| {
            let error = open.redeem(start, by(9)).err().expect("wrong");
            error.kind() == Kind::Permission
        });
        assert_eq!(tried.count(), 1);
        assert!(open.redeem(start + EVERY, by(0)).is_ok());
    }

    #[test]
    fn the_answer_does_not_tell_whether_a_code_is_open() {
        let start = Instant::now();
        let [open, none] =
            [&["a"][..], &[]].map(|names| codes(names, start).redeem(start, by(9)).err().expect("wrong"));
        assert_eq!(format!("{open:#}"), format!("{none:#}"));
    }
}
