//! How calls end: done, failed, too late, or abandoned by their caller.

use std::time::Instant;

use tresen_hal::{Effect, Error, Kind};

use super::{Event, Purpose, Session, calls};
use crate::printer::Outcome;

impl Session {
    /// Fails the running call if it, or the piece in flight, has exceeded its limit. Returns whether it has.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        if let Some(running) = self.running.filter(|r| now >= r.since + r.limit) {
            let limit = running.limit.as_secs();
            self.fail(match running.purpose {
                Purpose::Job(_) => Error::new(Kind::Timeout, format!("the job took longer than {limit} s"))
                    .hint("look at the printer and the paper"),
                Purpose::Call => Error::new(Kind::Timeout, format!("the printer took longer than {limit} s")),
            });
            return true;
        }
        if self.stalled().is_none_or(|at| now < at) {
            return false;
        }
        let stall = self.options.timing.stall.as_secs();
        let error = match self.condition.fault {
            Some(fault) => calls::stopped(fault),
            None => Error::new(Kind::Timeout, format!("the printer took nothing for {stall} s"))
                .hint("switch it off and on"),
        };
        self.fail(error.with_effect(Effect::Unknown));
        self.broken = true;
        true
    }

    /// When the piece in flight exceeds its limit, counted from its start or from the report that a person is needed,
    /// whatever else the printer reports meanwhile.
    pub(super) fn stalled(&self) -> Option<Instant> {
        let since = self.in_flight?;
        let timing = &self.options.timing;
        Some(match self.fault_since {
            Some(fault) => fault.max(since) + timing.operator,
            None => self.fault_ended.max(since) + timing.stall,
        })
    }

    pub(super) fn finish(&mut self, event: Event) {
        self.running = None;
        self.agenda.clear();
        self.active = None;
        (self.job, self.pending) = (None, None);
        // Only an unfinished body leaves the printer inside a command.
        self.broken |= self.body.is_unfinished();
        self.body.clear();
        self.events.push_back(event);
    }

    /// Ends the call with an error.
    pub(super) fn fail(&mut self, error: Error) {
        let error = error.at(&self.options.label);
        self.broken |= self.in_flight.is_some();
        let event = match self.running.map(|r| r.purpose) {
            Some(Purpose::Job(false)) => {
                Event::Printed(Outcome::Failed { error: error.with_effect(Effect::None), safe_to_retry: true })
            }
            // From the first byte of the body on, how much was printed is unknown.
            Some(Purpose::Job(true)) => Event::Printed(Outcome::Unknown(error.with_effect(Effect::Unknown))),
            Some(Purpose::Call) => Event::Done(Err(error)),
            None => {
                self.agenda.clear();
                self.active = None;
                return;
            }
        };
        self.finish(event);
    }

    /// Abandons the running call: its caller is gone.
    pub(super) fn abandon(&mut self) {
        self.broken |= self.in_flight.is_some() || (self.running.is_some() && self.body.is_unfinished());
        self.running = None;
        self.agenda.clear();
        self.active = None;
        (self.job, self.pending) = (None, None);
        self.body.clear();
        // Its end must not be taken for the next call's.
        self.events.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Call, Options};
    use super::*;
    use crate::escpos::Overrides;

    /// While input is always ready, timers are never polled.
    #[test]
    fn a_deadline_passes_also_while_the_printer_talks_without_pause() {
        let start = Instant::now();
        let overrides = Overrides { status: Some(false), ..Overrides::default() };
        let mut session = Session::new(Options { overrides, ..Options::default() }, 0, start);
        session.begin(Call::Open, start);
        session.begin(Call::Raw(b"text"), start);
        assert!(session.poll_transmit(start).is_some(), "and the link never says that it took it");
        let mut ended = None;
        for second in 0..30 {
            session.handle_input(b"\x12", start + Duration::from_secs(second));
            while let Some(event) = session.poll_event() {
                if let Event::Done(result) = event {
                    ended = Some((second, result.expect_err("stuck").kind()));
                }
            }
        }
        // Timing::stall.
        assert_eq!(ended, Some((20, Kind::Timeout)));
        assert!(session.is_broken());
        assert_eq!(session.poll_timeout(), None, "nothing is due on it any more");
    }

    /// The caller left while the printer took nothing: the deadline of that piece must not come back for ever.
    #[test]
    fn a_broken_session_that_is_idle_has_no_deadline() {
        let start = Instant::now();
        let overrides = Overrides { status: Some(false), ..Overrides::default() };
        let mut session = Session::new(Options { overrides, ..Options::default() }, 0, start);
        session.begin(Call::Open, start);
        session.begin(Call::Raw(b"text"), start);
        assert!(session.poll_transmit(start).is_some());
        assert!(session.poll_timeout().is_some());
        session.abandon();
        assert!(session.is_broken());
        session.handle_input(b"\x12", start);
        assert_eq!(session.poll_timeout(), None);
    }
}
