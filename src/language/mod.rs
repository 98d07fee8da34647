//! The texts that the library itself prints, one file per language.

use tresen_hal::Language;

mod english;
mod german;

/// The texts that the library itself prints.
pub(crate) trait Printed {
    /// All of them.
    fn texts(self) -> &'static Texts;

    /// The notice at the top of a copy.
    fn copy_notice(self) -> &'static str;

    /// The heading of the `number`th copy of a ticket's receipt, from 1.
    fn copy_heading(self, number: i64) -> String;

    /// The notice on a job printed on another printer than intended.
    fn instead_of(self, on: &str, meant_for: &str) -> String;

    /// The notice on each of several copies that a route prints, from 1: two tickets are recognised as one order.
    fn sheet(self, number: i64, of: i64) -> String;
}

impl Printed for Language {
    fn texts(self) -> &'static Texts {
        match self {
            Self::English => &english::TEXTS,
            Self::German => &german::TEXTS,
        }
    }

    fn copy_notice(self) -> &'static str {
        self.texts().copy
    }

    fn copy_heading(self, number: i64) -> String {
        format!("{} {number}", self.texts().copy_of)
    }

    fn instead_of(self, on: &str, meant_for: &str) -> String {
        (self.texts().instead_of)(on, meant_for)
    }

    fn sheet(self, number: i64, of: i64) -> String {
        (self.texts().sheet)(number, of)
    }
}

/// The texts of one language.
pub(crate) struct Texts {
    /// The decimal mark.
    pub(crate) mark: char,
    pub(crate) receipt: &'static str,
    pub(crate) subtotal: &'static str,
    pub(crate) tip: &'static str,
    pub(crate) total: &'static str,
    pub(crate) rate: &'static str,
    pub(crate) net: &'static str,
    pub(crate) tax: &'static str,
    pub(crate) gross: &'static str,
    pub(crate) card: &'static str,
    pub(crate) cash: &'static str,
    pub(crate) account: &'static str,
    pub(crate) given: &'static str,
    pub(crate) change: &'static str,
    pub(crate) refunded: &'static str,
    pub(crate) gives_back: &'static str,
    pub(crate) unsigned: &'static str,
    pub(crate) copy: &'static str,
    pub(crate) copy_of: &'static str,
    pub(crate) terminal: &'static str,
    pub(crate) kitchen: &'static str,
    pub(crate) date: &'static str,
    pub(crate) order: &'static str,
    pub(crate) cancelled: &'static str,
    /// Number of a copy, and how many there are.
    pub(crate) sheet: fn(i64, i64) -> String,
    /// The printer it is on, and the one it was meant for.
    pub(crate) instead_of: fn(&str, &str) -> String,
}
