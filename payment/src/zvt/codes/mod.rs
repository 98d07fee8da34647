//! Result codes (BMP 27, 06 1E, 84 xx, 05 01) and intermediate status codes (04 FF) in words, in English and German.
//!
//! The numbers and their meanings are those of PA00P015 13.13, chapter 10 "Error-Messages" and its table of the
//! intermediate status; the words are ours. `DF` is a terminal status of older editions.

mod results;
mod states;

use std::borrow::Cow;

use tresen_hal::Language;

use crate::outcome::Reason;
pub use results::{Advice, RESULTS, ResultCode};
pub use states::STATES;

/// A result code in English.
pub fn result(code: u8) -> Cow<'static, str> {
    words(code, Language::English)
}

/// A result code in words.
pub fn words(code: u8, language: Language) -> Cow<'static, str> {
    match (known(code), code) {
        (Some(known), _) => Cow::Borrowed(known.text(language)),
        (None, 0x01..=0x63) => {
            let text = language.pick("the network operator declined with code", "der Netzbetreiber lehnte ab mit Code");
            Cow::Owned(format!("{text} {code}"))
        }
        (None, _) => Cow::Owned(format!("{} {code:02X}", language.pick("code", "Code"))),
    }
}

/// What somebody at the counter can do about a result code.
pub fn advice(code: u8, language: Language) -> Option<&'static str> {
    let advice = match code {
        0x01..=0x63 => Some(Advice::OtherCard),
        _ => known(code)?.advice,
    };
    advice.map(|advice| advice.text(language))
}

fn known(code: u8) -> Option<&'static ResultCode> {
    RESULTS.binary_search_by_key(&code, |known| known.code).ok().map(|at| &RESULTS[at])
}

/// What kind of reason a result code is when no money moved.
pub fn reason(code: u8) -> Reason {
    match code {
        0x6c => Reason::Aborted,
        0x6a | 0x6b | 0x77 | 0x7d | 0x83 | 0x85 | 0x89 | 0x9a..=0x9c | 0xa0 | 0xa1 | 0xa3 => Reason::Unavailable,
        0xb1 | 0xb2 | 0xbf..=0xc2 | 0xc4 | 0xcc | 0xdc..=0xe4 | 0xed | 0xf0 | 0xf5..=0xff => Reason::Unavailable,
        _ => Reason::Declined,
    }
}

/// What a terminal is doing when it answers a status enquiry with `code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// No transaction runs.
    Idle,
    /// A transaction may be running.
    Busy,
}

/// Only what surely is no running transaction counts as idle.
pub(super) fn activity(code: u8) -> Activity {
    match code {
        0x00 | 0x6a | 0x6b | 0x77 | 0x85 | 0xb1 | 0xb2 | 0xc2 | 0xc4 | 0xcc | 0xe4 | 0xf0 => Activity::Idle,
        _ => Activity::Busy,
    }
}

/// An intermediate status in words.
pub fn intermediate(code: u8, language: Language) -> Cow<'static, str> {
    if let Some(text) = states::with_card(code).and_then(|step| states::state(step, language)) {
        return Cow::Owned(format!("{text}; {}", language.pick("remove the card", "Karte entnehmen")));
    }
    match states::state(code, language) {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(format!("{} {code:02X}", language.pick("status", "Status"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Language; 2] = [Language::English, Language::German];

    #[test]
    fn names_codes_in_words() {
        assert_eq!(result(0x6c), "aborted by key or timeout");
        assert_eq!(result(5), "the network operator declined with code 5");
        assert_eq!(words(5, Language::German), "der Netzbetreiber lehnte ab mit Code 5");
        assert_eq!((result(0xd9), words(0xd9, Language::German)), ("code D9".into(), "Code D9".into()));
        let state = |code| intermediate(code, Language::English);
        assert_eq!(
            (state(0x0a), state(0x4b), state(0x99)),
            ("insert the card".into(), "remove the card".into(), "status 99".into())
        );
        assert_eq!(state(0x44), "waiting for the network operator; remove the card");
        assert_eq!(intermediate(0x66, Language::German), "wartet auf die Mobilfunknummer; Karte entnehmen");
    }

    #[test]
    fn the_tables_are_in_order_and_say_something_in_each_language() {
        assert!(RESULTS.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(STATES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for code in 0..=0xff {
            for language in BOTH {
                assert!(!words(code, language).is_empty() && !intermediate(code, language).is_empty());
                assert!(advice(code, language).is_none_or(|advice| advice.ends_with('.')));
            }
        }
        assert_eq!((advice(0x00, Language::English), advice(0xd9, Language::English)), (None, None));
    }

    /// PA00P015 13.13, chapter 10: what a code means, as a word that each text has to have.
    #[test]
    fn a_sample_means_what_the_specification_says() {
        for (code, english, german) in [
            (0x64, "read", "lesbar"),
            (0x6f, "currency", "Währung"),
            (0x78, "expired", "abgelaufen"),
            (0x83, "cannot", "kann das nicht"),
            (0x9c, "busy", "beschäftigt"),
            (0xb4, "already reversed", "bereits storniert"),
            (0xc2, "diagnosis", "Diagnose"),
            (0xc3, "maximum", "Höchstbetrag"),
            (0xc8, "too small", "zu klein"),
            (0xcc, "printer", "Drucker"),
            (0xdc, "card is in", "steckt eine Karte"),
            (0xf0, "closing", "Kassenschnitt"),
        ] {
            assert!(words(code, Language::English).contains(english), "{code:02x}");
            assert!(words(code, Language::German).contains(german), "{code:02x}");
        }
        for (code, english, german) in [
            (0x01, "PIN pad", "PIN-Pad"),
            (0x15, "PIN", "PIN"),
            (0x2c, "application", "Anwendung"),
            (0x69, "currency", "Währung"),
            (0xc8, "cashier", "Kassierer"),
            (0xe0, "application", "Anwendung"),
            (0xe1, "language", "Sprache"),
            (0xe2, "cleaning", "Reinigung"),
        ] {
            assert!(intermediate(code, Language::English).contains(english), "{code:02x}");
            assert!(intermediate(code, Language::German).contains(german), "{code:02x}");
        }
        assert_eq!(advice(0x6a, Language::German), Some("Kassenschnitt am Terminal ausführen."));
        assert_eq!(advice(0x05, Language::English), Some("Ask for another card or another way of paying."));
    }

    #[test]
    fn a_busy_or_unknown_state_is_not_idle() {
        for code in [0x9c, 0xdc, 0x04, 0x55] {
            assert_eq!(activity(code), Activity::Busy, "{code:02x}");
        }
        assert_eq!(activity(0), Activity::Idle);
    }

    #[test]
    fn an_abort_is_no_decline() {
        assert_eq!(
            (reason(0x6c), reason(0x9c), reason(0x78)),
            (Reason::Aborted, Reason::Unavailable, Reason::Declined)
        );
    }
}
