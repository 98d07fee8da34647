//! How a terminal answers: the attribute `OverallResult`.

use std::borrow::Cow;
use std::fmt;

use crate::outcome::Reason;

/// An `OverallResult`, also that of an output or input. Read without case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are OPI's")]
pub enum OverallResult {
    Success,
    PartialFailure,
    Failure,
    DeviceUnavailable,
    Busy,
    LoggedOut,
    Aborted,
    TimedOut,
    CommunicationError,
    FormatError,
    ParsingError,
    ValidationError,
    MissingMandatoryData,
    UnknownCard,
    NotSupported,
    Activated,
    AlreadyActivated,
    Deactivated,
    AlreadyDeactivated,
    DayClosed,
    ConnectionError,
    FlowTimedOut,
    /// `Unknown`: the Swiss dialect's word.
    Unknown,
    /// Any other word.
    Other(String),
}

/// What an answer says about money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was done.
    Done,
    /// It was not done, and why.
    NotDone(Reason),
    /// It may have been done.
    Unsure,
}

/// IFSF and O.P.I.: the upper half; Swiss ep2: the lower. How each ends is our reading, on the safe side: what may
/// come from something between till and terminal that has lost the terminal is [`Ending::Unsure`].
const TABLE: &[(&str, OverallResult, Ending, &str)] = {
    use Ending::{Done, NotDone, Unsure};
    use OverallResult::*;
    &[
        ("Success", Success, Done, "done"),
        ("PartialFailure", PartialFailure, Unsure, "a part of it failed"),
        ("Failure", Failure, NotDone(Reason::Declined), "declined"),
        (
            "DeviceUnavailable",
            DeviceUnavailable,
            NotDone(Reason::Unavailable),
            "a device of the terminal is not available",
        ),
        ("Busy", Busy, NotDone(Reason::Unavailable), "the terminal is busy"),
        ("LoggedOut", LoggedOut, NotDone(Reason::Unavailable), "the till is not logged in at the terminal"),
        ("Aborted", Aborted, NotDone(Reason::Aborted), "aborted"),
        ("TimedOut", TimedOut, Unsure, "the terminal's time ran out"),
        ("CommunicationError", CommunicationError, Unsure, "the terminal reports a communication error"),
        ("FormatError", FormatError, NotDone(Reason::Unavailable), "the terminal cannot read the request: format"),
        ("ParsingError", ParsingError, NotDone(Reason::Unavailable), "the terminal cannot read the request: parsing"),
        (
            "ValidationError",
            ValidationError,
            NotDone(Reason::Unavailable),
            "the terminal refuses the request: validation",
        ),
        (
            "MissingMandatoryData",
            MissingMandatoryData,
            NotDone(Reason::Unavailable),
            "the terminal misses data in the request",
        ),
        ("UnknownCard", UnknownCard, NotDone(Reason::Declined), "the terminal does not know the card"),
        ("NotSupported", NotSupported, NotDone(Reason::Unavailable), "the terminal does not support this"),
        ("Activated", Activated, Unsure, "activated"),
        ("AlreadyActivated", AlreadyActivated, Unsure, "already activated"),
        ("Deactivated", Deactivated, NotDone(Reason::Unavailable), "the terminal is not activated"),
        ("AlreadyDeactivated", AlreadyDeactivated, NotDone(Reason::Unavailable), "already deactivated"),
        ("DayClosed", DayClosed, Unsure, "the day is closed"),
        ("ConnectionError", ConnectionError, Unsure, "the terminal reports a connection error"),
        ("FlowTimedOut", FlowTimedOut, Unsure, "the terminal's time ran out"),
        ("Unknown", Unknown, Unsure, "the terminal does not know how it ended"),
    ]
};

impl OverallResult {
    /// Reads the word.
    pub fn parse(word: &str) -> Self {
        let found = TABLE.iter().find(|row| row.0.eq_ignore_ascii_case(word.trim()));
        found.map_or_else(|| Self::Other(word.trim().to_owned()), |row| row.1.clone())
    }

    /// What it says about money.
    pub fn ending(&self) -> Ending {
        self.row().map_or(Ending::Unsure, |row| row.2)
    }

    /// For the cashier.
    pub fn text(&self) -> Cow<'_, str> {
        match (self, self.row()) {
            (Self::Other(word), _) => {
                Cow::Owned(format!("the terminal answered `{}`", crate::pan::mask_line(word, &[])))
            }
            (_, row) => Cow::Borrowed(row.map_or("", |row| row.3)),
        }
    }

    /// Asking again a little later may help.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy | Self::DeviceUnavailable)
    }

    fn row(&self) -> Option<&'static (&'static str, Self, Ending, &'static str)> {
        TABLE.iter().find(|row| row.1 == *self)
    }
}

impl fmt::Display for OverallResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.row()) {
            (Self::Other(word), _) => f.write_str(word),
            (_, row) => f.write_str(row.map_or("", |row| row.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_without_case_and_written_as_it_is_named() {
        for (word, result, ..) in TABLE {
            assert_eq!(OverallResult::parse(&word.to_uppercase()), *result);
            assert_eq!(result.to_string(), *word);
        }
        // O.P.I. spells it both ways.
        assert_eq!(OverallResult::parse("Loggedout"), OverallResult::LoggedOut);
        assert_eq!(OverallResult::parse("Maybe").ending(), Ending::Unsure);
        assert_eq!(OverallResult::parse("Maybe").to_string(), "Maybe");
    }
}
