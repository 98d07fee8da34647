//! When an earlier printer of a route takes over again from a later one.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::FailBack;

/// Which printers of a lane are held back.
pub(super) struct Takeover {
    rule: FailBack,
    /// The printer that took the last job. Those before it are held back by the rule.
    last: usize,
    /// Since when each printer has been able to print.
    good_since: Vec<Option<Instant>>,
}

/// Whether a printer may take a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    No,
    /// Until then, if it stays able to print.
    Until(Instant),
    /// Until no job waits any more.
    WhileJobsWait,
}

impl Takeover {
    pub(super) fn new(rule: FailBack, printers: usize) -> Self {
        Self { rule, last: 0, good_since: vec![None; printers] }
    }

    /// Notes whether a printer is able to print now.
    pub(super) fn note(&mut self, printer: usize, good: bool, now: Instant) {
        let since = &mut self.good_since[printer];
        match good {
            true => _ = since.get_or_insert(now),
            false => *since = None,
        }
    }

    /// Whether an earlier printer is held back, for the next one to go on.
    pub(super) fn held(&self, printer: usize, now: Instant) -> Held {
        if printer >= self.last {
            return Held::No;
        }
        match self.rule {
            FailBack::AtOnce => Held::No,
            FailBack::WhenEmpty => Held::WhileJobsWait,
            FailBack::After(time) => match self.good_since[printer].map(|since| since + time) {
                Some(due) if due <= now => Held::No,
                Some(due) => Held::Until(due),
                // Not able to print, which is a reason of its own.
                None => Held::Until(now + time.max(Duration::from_millis(1))),
            },
        }
    }

    /// A printer takes a job.
    pub(super) fn took(&mut self, printer: usize) {
        self.last = printer;
    }

    /// No job waits or is being printed.
    pub(super) fn emptied(&mut self) {
        if self.rule == FailBack::WhenEmpty {
            self.last = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[tokio::test(start_paused = true)]
    async fn each_rule_holds_earlier_printers_back_in_its_way() {
        let now = Instant::now();
        let takeover = |rule| {
            let mut takeover = Takeover::new(rule, 3);
            takeover.note(0, true, now);
            takeover.took(1);
            takeover
        };
        assert_eq!(takeover(FailBack::AtOnce).held(0, now), Held::No);

        let mut empty = takeover(FailBack::WhenEmpty);
        assert_eq!([0, 1, 2].map(|p| empty.held(p, now)), [Held::WhileJobsWait, Held::No, Held::No]);
        empty.emptied();
        assert_eq!(empty.held(0, now), Held::No);

        let mut after = takeover(FailBack::After(seconds(30)));
        after.emptied();
        assert_eq!(after.held(0, now + seconds(29)), Held::Until(now + seconds(30)));
        assert_eq!(after.held(0, now + seconds(30)), Held::No);
        after.note(0, false, now + seconds(10));
        after.note(0, true, now + seconds(20));
        assert_eq!(after.held(0, now + seconds(30)), Held::Until(now + seconds(50)), "it begins anew");
        after.took(0);
        assert_eq!(after.held(0, now), Held::No, "it has taken over");
    }
}
