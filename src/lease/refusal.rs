//! Why a call or a lease is refused, as an error that says what to do.

use std::time::Duration;

use jiff::Timestamp;
use tresen_hal::{Effect, Error, Kind, Retry};

use super::slot::span;
use super::words::{End, Nature, Target};

/// Why a call or a lease is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Somebody else has it.
    Held {
        holder: String,
        nature: Nature,
        held_for: Duration,
        /// How long it lasts unless it is renewed.
        left: Option<Duration>,
        ending: Option<End>,
        /// How many wait for it.
        waiting: usize,
    },
    /// The caller's own lease has ended.
    Lost(Lost),
}

/// How the caller's own lease ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    why: Option<End>,
    ago: Option<Duration>,
}

impl Lost {
    /// It ends with the running transaction.
    pub(super) fn ending(why: End) -> Self {
        Self { why: Some(why), ago: None }
    }

    pub(super) fn ended(why: End, now: Timestamp, at: Timestamp) -> Self {
        Self { why: Some(why), ago: Some(span(at, now)) }
    }

    /// It ended so long ago that others followed it, or before the till was opened.
    pub(super) fn unknown() -> Self {
        Self { why: None, ago: None }
    }

    /// Nobody has it.
    pub(super) fn never() -> Self {
        Self::unknown()
    }
}

impl Refusal {
    /// The error for a call or a lease of `target`.
    pub(crate) fn into_error(self, target: &Target) -> Error {
        let error = match self {
            Self::Held { holder, nature, held_for, left, ending, waiting } => {
                let mut what = match nature {
                    Nature::Leased => format!("leased by `{holder}` for {} s", held_for.as_secs()),
                    Nature::Transaction => format!("serving `{holder}` for {} s", held_for.as_secs()),
                    Nature::Listener => format!("its scans go to `{holder}` for {} s", held_for.as_secs()),
                };
                match (ending, left) {
                    (Some(end), _) => what += &format!(", until the running transaction ends: {end}"),
                    (None, Some(left)) => what += &format!(", for {} s more unless renewed", left.as_secs()),
                    (None, None) if nature == Nature::Leased => what += ", and in use",
                    (None, None) => {}
                }
                if waiting > 0 {
                    what += &format!("; waiting: {waiting}");
                }
                Error::new(Kind::Busy, what).hint("queue for it, ask its holder, or take it over with a reason")
            }
            Self::Lost(lost) => {
                let what = match (lost.why, lost.ago) {
                    (Some(why), Some(ago)) => format!("the lease ended {} s ago: {why}", ago.as_secs()),
                    (Some(why), None) => format!("the lease ends with the running transaction: {why}"),
                    (None, _) => "the lease has ended".to_owned(),
                };
                Error::new(Kind::Cancelled, what).with_retry(Retry::Never).hint("lease it again")
            }
        };
        let error = error.with_effect(Effect::None);
        match target {
            Target::Device(device) => error.at(&device.name),
            Target::Sale(_) => error.at(target),
        }
    }
}

/// The error for a caller that has no name.
pub(super) fn nameless() -> Error {
    let what = "a lease needs a holder, and this caller has no name";
    Error::new(Kind::Input, what).hint("name it: `Tresen::on_behalf_of`, or `caller` in a request")
}

/// The error for asking for a lease that nobody has.
pub(super) fn free(target: &Target) -> Error {
    Error::new(Kind::Input, "nobody has leased it").with_retry(Retry::Now).at(target).hint("lease it")
}
