//! What a response says about money: its `Result` and `ErrorCondition` (Adyen, Terminal API reference, `Response`).

use std::fmt;

use crate::outcome::Reason;

/// `Result`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// `Success`.
    Success,
    /// `Partial`: less than was asked for.
    Partial,
    /// `Failure`, and why.
    Failure(Condition),
    /// Another word than these.
    Other(String),
}

/// `ErrorCondition`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// The till asked for the abort.
    Aborted,
    /// The terminal serves somebody else.
    Busy,
    /// The customer cancelled.
    Cancel,
    /// A part of the device does not work.
    DeviceOut,
    /// The transaction is still running.
    InProgress,
    /// A card is in the reader.
    InsertedCard,
    /// The card cannot be used.
    InvalidCard,
    /// The till has to log in first.
    LoggedOut,
    /// The terminal does not understand the request.
    MessageFormat,
    /// The terminal may not do this.
    NotAllowed,
    /// The terminal knows no such transaction.
    NotFound,
    /// The goods may not be paid with this card.
    PaymentRestriction,
    /// The host or the terminal declined.
    Refusal,
    /// A device that is needed is not there.
    UnavailableDevice,
    /// A service that is needed is not there.
    UnavailableService,
    /// The host cannot be reached.
    UnreachableHost,
    /// The PIN was wrong.
    WrongPin,
    /// None was given.
    None,
    /// Another word than these.
    Other(String),
}

/// What a result says about a transaction's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It stands.
    Done,
    /// Nothing has moved.
    NotDone(Reason),
    /// That is not known.
    Unsure,
}

impl Outcome {
    /// From the two words of a response.
    pub fn of(result: &str, condition: Option<&str>) -> Self {
        match result {
            "Success" => Self::Success,
            "Partial" => Self::Partial,
            "Failure" => Self::Failure(condition.map_or(Condition::None, Condition::of)),
            other => Self::Other(other.to_owned()),
        }
    }

    /// What it says about the money of the transaction that the response answers.
    ///
    /// A failure says that nothing has moved, but for those where the terminal, while it writes them, has lost what
    /// decides: the host, a service or a part of itself. Those say so.
    pub fn ending(&self) -> Ending {
        let Self::Failure(condition) = self else {
            return if matches!(self, Self::Other(_)) { Ending::Unsure } else { Ending::Done };
        };
        match condition {
            Condition::Refusal | Condition::WrongPin | Condition::InvalidCard | Condition::PaymentRestriction => {
                Ending::NotDone(Reason::Declined)
            }
            Condition::Aborted | Condition::Cancel => Ending::NotDone(Reason::Aborted),
            Condition::Busy
            | Condition::InsertedCard
            | Condition::LoggedOut
            | Condition::MessageFormat
            | Condition::NotAllowed
            | Condition::UnavailableDevice => Ending::NotDone(Reason::Unavailable),
            Condition::DeviceOut
            | Condition::InProgress
            | Condition::NotFound
            | Condition::UnavailableService
            | Condition::UnreachableHost
            | Condition::None
            | Condition::Other(_) => Ending::Unsure,
        }
    }
}

macro_rules! words {
    ($($name:ident $word:literal $text:literal,)*) => {
        impl Condition {
            /// From its word.
            pub fn of(word: &str) -> Self {
                match word {
                    $($word => Self::$name,)*
                    other => Self::Other(other.to_owned()),
                }
            }

            /// Its word in messages; empty for none.
            pub fn word(&self) -> &str {
                match self {
                    $(Self::$name => $word,)*
                    Self::None => "",
                    Self::Other(word) => word,
                }
            }
        }

        impl fmt::Display for Condition {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)*
                    Self::None => "the terminal gives no reason",
                    Self::Other(word) => return write!(f, "the terminal says `{word}`"),
                })
            }
        }

        #[cfg(test)]
        const WORDS: &[&str] = &[$($word),*];
    };
}

words! {
    Aborted "Aborted" "aborted by the till",
    Busy "Busy" "the terminal is busy",
    Cancel "Cancel" "cancelled at the terminal",
    DeviceOut "DeviceOut" "a part of the terminal does not work",
    InProgress "InProgress" "the transaction is still running",
    InsertedCard "InsertedCard" "a card is in the terminal",
    InvalidCard "InvalidCard" "the card cannot be used",
    LoggedOut "LoggedOut" "the till is not logged in",
    MessageFormat "MessageFormat" "the terminal does not understand the request",
    NotAllowed "NotAllowed" "the terminal may not do this",
    NotFound "NotFound" "the terminal does not know the transaction",
    PaymentRestriction "PaymentRestriction" "this cannot be paid with the card",
    Refusal "Refusal" "declined",
    UnavailableDevice "UnavailableDevice" "a device that is needed is missing",
    UnavailableService "UnavailableService" "a service that is needed does not answer",
    UnreachableHost "UnreachableHost" "the host cannot be reached",
    WrongPin "WrongPIN" "wrong PIN",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_results_that_say_so_end_a_transaction() {
        let ending = |result: &str, condition: Option<&str>| Outcome::of(result, condition).ending();
        assert_eq!((ending("Success", None), ending("Partial", None)), (Ending::Done, Ending::Done));
        assert_eq!(ending("Failure", Some("Refusal")), Ending::NotDone(Reason::Declined));
        assert_eq!(ending("Failure", Some("Cancel")), Ending::NotDone(Reason::Aborted));
        assert_eq!(ending("Failure", Some("Busy")), Ending::NotDone(Reason::Unavailable));
        for unsure in ["InProgress", "NotFound", "UnreachableHost", "UnavailableService", "DeviceOut", "Later"] {
            assert_eq!(ending("Failure", Some(unsure)), Ending::Unsure, "{unsure}");
        }
        assert_eq!(ending("Failure", None), Ending::Unsure);
        assert_eq!((ending("success", None), ending("", None)), (Ending::Unsure, Ending::Unsure));
    }

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for word in WORDS {
            assert_eq!(Condition::of(word).word(), *word);
            assert!(!matches!(Condition::of(word), Condition::Other(_)), "{word}");
        }
    }
}
