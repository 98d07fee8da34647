//! How an export is written: a TOML file, usually one per receiving system.
//!
//! ```toml
//! what = "lines"               # refuses to be used for another export; default any
//! format = "csv"               # csv, txt or json; the caller's choice wins
//!
//! [csv]
//! separator = ";"              # default ","
//! decimal = ","                # decimal mark; default "."
//! quote = "\""                 # one character; doubled inside quotes
//! quote-all = false            # default: only where needed
//! header = true                # the first line has the names
//! newline = "crlf"             # or "lf"
//! encoding = "windows-1252"    # default "utf-8"; the error for an unknown one lists all
//! bom = false                  # a byte order mark at the beginning
//! replacement = "?"            # for characters that the encoding lacks; without it they are an error
//! formulas = "keep"            # text that a spreadsheet may run: keep, escape (a leading ') or refuse
//!
//! [txt]                        # decimal, header, newline, encoding, bom, replacement as above
//! gap = " "                    # between columns; default none
//!
//! [time]
//! zone = "Europe/Berlin"       # of times in the output, default UTC, and of the range, default the system's
//! format = "%d.%m.%Y %H:%M:%S" # as strftime; default RFC 3339
//!
//! [filter]                     # only rows whose value is one of these
//! state = ["closed"]
//!
//! [[columns]]                  # in this order; without any, all columns of the export
//! field = "closed_at"          # a column of the export
//! name = "Datum"               # default the field's own name
//! format = "%d.%m.%Y"          # times only
//!
//! [[columns]]
//! field = "total"
//! minor = true                 # money in cents, without decimal mark
//! width = 12                   # txt: characters; default as wide as the widest value
//! align = "right"              # txt: left or right; default right for numbers
//! pad = "0"                    # txt: fills the width; default a space
//! overflow = "cut"             # txt: a text that is too wide is cut; default an error. Numbers are never cut
//!
//! [[columns]]
//! field = "state"
//! values = { closed = "V", voided = "S" }   # other words for some values
//! empty = "-"                  # for a missing value; default nothing
//!
//! [[columns]]
//! constant = "4711"            # the same in every row
//! name = "Filiale"
//! ```

mod layout;
mod read;

use std::path::Path;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Result};

use super::encoding::Encoding;
use super::{Format, What};

pub(super) use layout::{Field, Layout, Origin};

/// Columns and settings of an export: a TOML file.
///
/// Every key is optional; an unknown key, column or value is an error that names line, key and what is expected.
/// `examples/mapping.toml` in the repository shows all keys.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    what: Option<What>,
    format: Option<Format>,
    pub(super) csv: Csv,
    pub(super) txt: Txt,
    zone: Option<TimeZone>,
    pub(super) time: Option<String>,
    columns: Vec<Mapped>,
    filters: Vec<(String, Vec<String>, Place)>,
    /// The text it was read from.
    text: String,
}

impl Mapping {
    /// Reads a mapping from a file.
    ///
    /// # Errors
    /// The file cannot be read, or as [`Mapping::parse`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a mapping from TOML text; `name` is used in errors.
    ///
    /// # Errors
    /// [`Kind::Config`](tresen_hal::Kind::Config): not valid TOML, an unknown key, an invalid value. The error names the
    /// line.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        read::mapping(text, name)
    }

    /// The export that it is for, if it says so.
    pub fn what(&self) -> Option<What> {
        self.what
    }

    /// The format that it asks for, if any.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// The time zone of dates without an offset.
    pub(super) fn zone_or_system(&self) -> TimeZone {
        self.zone.clone().unwrap_or_else(TimeZone::system)
    }

    /// The time zone of times in the output.
    pub(super) fn zone_or_utc(&self) -> TimeZone {
        self.zone.clone().unwrap_or(TimeZone::UTC)
    }
}

/// The text is the mapping.
impl Serialize for Mapping {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Mapping {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mapping".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "The text of a mapping, in TOML." })
    }
}

impl<'de> Deserialize<'de> for Mapping {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text, "mapping").map_err(serde::de::Error::custom)
    }
}

/// Settings of CSV.
#[derive(Debug, Clone)]
pub(super) struct Csv {
    pub(super) separator: String,
    pub(super) quote: char,
    pub(super) quote_all: bool,
    pub(super) formulas: Formulas,
    pub(super) lines: Lines,
}

/// Settings of text with columns of fixed width.
#[derive(Debug, Clone, Default)]
pub(super) struct Txt {
    pub(super) gap: String,
    pub(super) lines: Lines,
}

/// Settings of both.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) decimal: char,
    pub(super) header: bool,
    pub(super) newline: &'static str,
    pub(super) encoding: Encoding,
    pub(super) bom: bool,
    pub(super) replacement: Option<String>,
}

/// What to do with text that a spreadsheet may run as a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Formulas {
    Keep,
    Escape,
    Refuse,
}

impl Default for Csv {
    fn default() -> Self {
        let (separator, formulas, lines) = (",".to_owned(), Formulas::Keep, Lines::default());
        Self { separator, quote: '"', quote_all: false, formulas, lines }
    }
}

impl Default for Lines {
    fn default() -> Self {
        let (newline, encoding, replacement) = ("\r\n", Encoding::Utf8, None);
        Self { decimal: '.', header: true, newline, encoding, bom: false, replacement }
    }
}

/// A column of the output.
#[derive(Debug, Clone)]
struct Mapped {
    origin: MappedOrigin,
    name: Option<String>,
    format: Option<String>,
    minor: bool,
    values: Vec<(String, String)>,
    empty: String,
    width: Option<usize>,
    align_right: Option<bool>,
    pad: char,
    cut: bool,
    place: Place,
}

#[derive(Debug, Clone)]
enum MappedOrigin {
    Field(String),
    Constant(String),
}

/// Where something stands, for errors: file and line.
#[derive(Debug, Clone)]
struct Place(String);
