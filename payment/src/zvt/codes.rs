//! Result codes (BMP 27, 06 1E, 84 xx, 05 01) and intermediate status codes (04 FF) in words.
//!
//! The numbers are those of PA00P015, chapters "Error messages" and "Intermediate status information";
//! the words are ours.

use std::borrow::Cow;

use crate::outcome::Reason;

/// A result code in words.
pub fn result(code: u8) -> Cow<'static, str> {
    Cow::Borrowed(match code {
        0x00 => "no error",
        0x01..=0x63 => return Cow::Owned(format!("the network operator declined with code {code}")),
        0x64 => "the card cannot be read",
        0x65 => "no card data: neither track nor chip found",
        0x66 => "processing error",
        0x67 => "not allowed for debit cards",
        0x68 => "not allowed for credit and fuel cards",
        0x6a => "the turnover storage is full, close the day first",
        0x6b => "the terminal is not registered",
        0x6c => "aborted by key or timeout",
        0x6e => "the card is blocked",
        0x6f => "wrong currency",
        0x71 => "not enough credit on the card",
        0x72 => "the card's chip is faulty",
        0x73 => "the card's data is wrong",
        0x74 => "the terminal's key engine is exhausted",
        0x75 => "the text is not authentic",
        0x76 => "the card is not on the list of permitted cards",
        0x77 => "the day cannot be closed now",
        0x78 => "the card has expired",
        0x79 => "the card is not valid yet",
        0x7a => "unknown card",
        0x7b | 0x7c | 0x7e => "the magnetic stripe may not be used instead of the chip",
        0x7d => "the terminal's communication module does not answer",
        0x83 => "the terminal cannot do this",
        0x85 => "a key is missing in the terminal",
        0x89 | 0xed => "the PIN pad is faulty",
        0x9a => "the terminal reports a protocol error",
        0x9b => "the terminal could not reach the network operator",
        0x9c => "the terminal is busy",
        0xa0 => "the receiver is not ready",
        0xa1 => "the remote station does not answer",
        0xa3 => "no connection to the network operator",
        0xa4 => "stored-value cards cannot be submitted",
        0xa5 => "not allowed by card security rules",
        0xb1 => "the terminal's memory is full",
        0xb2 => "the merchant journal is full",
        0xb4 => "already reversed",
        0xb5 => "a reversal is not possible",
        0xb7 => "the pre-authorisation does not fit, or the amount is too high",
        0xb8 => "the pre-authorisation failed",
        0xbf => "the power supply is too low",
        0xc0 => "the card lock is faulty",
        0xc1 => "the merchant card is locked",
        0xc2 => "the terminal needs a diagnosis",
        0xc3 => "the amount is above the maximum",
        0xc4 => "the card profile is invalid and must be loaded anew",
        0xc5 => "this way of paying is not supported",
        0xc6 => "this currency is not supported",
        0xc8 => "the amount is too small",
        0xc9 => "the maximum amount is too small",
        0xcb => "only allowed in euro",
        0xcc => "the printer is not ready",
        0xcd => "cashback is not possible",
        0xd2 => "not allowed for service cards",
        0xdc => "a card is in the terminal",
        0xdd => "the card could not be ejected",
        0xde => "the card could not be drawn in",
        0xe0 => "remote maintenance is active",
        0xe2 => "the card reader is faulty",
        0xe3 => "the shutter is closed",
        0xe4 => "the terminal must be activated",
        0xe7 => "a group of goods is unknown",
        0xe8 => "no table of goods is loaded",
        0xe9 => "the restriction code is not permitted",
        0xea => "the card code is not permitted",
        0xeb => "the PIN algorithm is unknown",
        0xec => "PIN processing is not possible",
        0xf0 => "a day's closing is still open",
        0xf1 => "offline error of the debit scheme",
        0xf5 | 0xf6 => "the terminal must be personalised",
        0xfa => "offline transactions could not be submitted",
        0xfb => "the turnover data is faulty",
        0xfc => "a part of the terminal is missing or faulty",
        0xfd => "the baud rate is not supported",
        0xfe => "unknown register",
        0xff => "system error",
        _ => return Cow::Owned(format!("code {code:02X}")),
    })
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

/// An intermediate status in words. The codes 41 to 5D say the same as 01 to 1D, and that the card
/// can be taken out.
pub fn intermediate(code: u8) -> Cow<'static, str> {
    if let 0x41..=0x5d = code
        && code != 0x4b
        && let Some(text) = step(code - 0x40)
    {
        return Cow::Owned(format!("{text}; remove the card"));
    }
    match step(code) {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(format!("status {code:02X}")),
    }
}

fn step(code: u8) -> Option<&'static str> {
    Some(match code {
        0x00 => "waiting for the amount to be confirmed",
        0x01 | 0x02 => "please look at the PIN pad",
        0x03 => "not accepted",
        0x04 => "waiting for the network operator",
        0x05 => "sending an automatic reversal",
        0x06 => "sending stored bookings",
        0x07 => "card not admitted",
        0x08 => "unknown card",
        0x09 => "the card has expired",
        0x0a => "insert the card",
        0x0b | 0x4b => "remove the card",
        0x0c => "the card cannot be read",
        0x0d => "processing error",
        0x0e | 0x17 => "please wait",
        0x0f => "the terminal closes its day",
        0x10 => "invalid card",
        0x11 => "showing the balance",
        0x12 => "system fault",
        0x13 => "payment not possible",
        0x14 => "not enough credit",
        0x15 => "wrong PIN",
        0x16 => "limit not sufficient",
        0x18 => "too many wrong PINs",
        0x19 => "the card's data is wrong",
        0x1a => "service mode",
        0x1b => "approved, please fill up",
        0x1c => "approved, please take the goods",
        0x1d => "declined",
        0x26 => "waiting for the mobile number",
        0x27 => "waiting for the mobile number again",
        0x28 => "choosing the currency",
        0x29 => "choosing the language",
        0x2a => "insert the card to load it",
        0x2b => "emergency transaction",
        0x2c => "choosing the application",
        0xd2 => "dialling the network operator",
        0xd3 => "connected to the network operator",
        0xe0 => "waiting for the application to be confirmed",
        0xe1 => "waiting for the amount to be confirmed",
        0xe2 => "waiting for the PIN",
        0xe3 => "waiting for the card number",
        0xff => "working",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_codes_in_words() {
        assert_eq!(result(0x6c), "aborted by key or timeout");
        assert_eq!(result(5), "the network operator declined with code 5");
        assert_eq!(
            (result(0xc8), result(0xc9)),
            ("the amount is too small".into(), "the maximum amount is too small".into())
        );
        assert_eq!(result(0xd9), "code D9");
        assert_eq!(intermediate(0x0a), "insert the card");
        assert_eq!(intermediate(0x44), "waiting for the network operator; remove the card");
        assert_eq!(intermediate(0x4b), "remove the card");
        assert_eq!(intermediate(0x99), "status 99");
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
