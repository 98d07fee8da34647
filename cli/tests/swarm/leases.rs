//! What is heard of leases: nobody has what somebody else has, and none outlives its time.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tresen::lease::{End, View};
use tresen::{Event, EventKind};

/// How long a lease of this shop lasts without a call.
pub(crate) const LIFE: Duration = Duration::from_secs(4);

/// What was heard.
#[derive(Debug, Default)]
pub(crate) struct Book {
    held: BTreeMap<String, String>,
    last: u64,
    granted: u64,
    ends: BTreeMap<&'static str, u64>,
    missed: u64,
    looks: u64,
    wrong: Vec<String>,
}

impl Book {
    pub(crate) fn note(&mut self, event: &Event) {
        if event.seq != self.last + 1 && self.last != 0 {
            self.missed += 1;
            self.held.clear();
        }
        self.last = event.seq;
        match &event.kind {
            EventKind::Leased { target, holder } | EventKind::LeaseGranted { target, holder } => {
                self.granted += 1;
                if let Some(before) = self.held.insert(target.to_string(), holder.clone()) {
                    self.wrong.push(format!("{target} was leased to {holder} while {before} had it"));
                }
            }
            EventKind::LeaseEnded { target, holder, why } => {
                let how = match why {
                    End::Released => "released",
                    End::Expired => "expired",
                    _ => "otherwise",
                };
                *self.ends.entry(how).or_default() += 1;
                match self.held.remove(&target.to_string()) {
                    Some(before) if before != *holder => {
                        self.wrong.push(format!("the lease of {target} by {holder} ended while {before} had it"));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Leases as they were listed between two times.
    pub(crate) fn look(&mut self, views: &[View], asked: Timestamp, heard: Timestamp) {
        self.looks += 1;
        let life = SignedDuration::try_from(LIFE).expect("short");
        for View { target, holder, until, .. } in views {
            let Some(until) = *until else { continue };
            if until < asked || until > heard + life {
                self.wrong.push(format!("at {asked} the lease of {target} by {holder} lasted until {until}"));
            }
        }
    }

    pub(crate) fn wrong(&self) -> &[String] {
        &self.wrong
    }
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} granted", self.granted)?;
        for (how, times) in &self.ends {
            write!(f, ", {times} {how}")?;
        }
        write!(f, "; listed {} times; {} gaps in the events", self.looks, self.missed)
    }
}
