//! Export of what the till has stored, as CSV, as text with columns of fixed width, or as JSON, one object per line.
//!
//! [`Tresen::export`](crate::Tresen::export) writes to anything that takes bytes; [`Store::export`](crate::Store::export)
//! does so beside a running till; the command `tresen export` uses the latter. Each reads in one transaction on a
//! connection of its own: the output shows the database as it was at the beginning, and the till goes on meanwhile.
//! [`Tresen::export_page`](crate::Tresen::export_page) returns one page of text at a time, for use over the socket.
//!
//! Memory is bounded: rows are written as they are read. A row that this version cannot read is counted and reported,
//! and the others are exported all the same; a value that cannot be written as requested (a character that the encoding
//! lacks, a text that is wider than its column) fails the export, naming the row and the column.
//!
//! A [`Mapping`] sets separators, decimal mark, encoding, time zone, and the columns with their order, names and
//! formats. Without one, all [`columns`] are written under their own names, as UTF-8, with RFC 3339 times in UTC and
//! with decimal points.
//!
//! **Spreadsheets run formulas.** A text that begins with `=`, `+`, `-` or `@` may be executed by a program that opens
//! the CSV file: names of articles and notes come from people. Exports keep data as it is by default; set
//! `formulas = "escape"` or `"refuse"` in the mapping where a person opens the file.

mod cell;
mod columns;
mod encoding;
mod mapping;
mod range;
mod run;
mod sheet;
mod till;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

pub use cell::ColumnKind;
pub use columns::{ColumnInfo, columns};
pub use mapping::Mapping;

use crate::store::Unreadable;

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ExportWhat"))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    /// Sales, one row each.
    Tickets,
    /// The lines of sales, and their tips.
    Lines,
    /// The totals of sales by tax rate and key. Tax is rounded here, as on the receipt, not by line.
    Taxes,
    /// Attempts to pay, including failed ones, and transactions at terminals that belong to no sale.
    Payments,
    /// Print jobs.
    Jobs,
    /// The journal.
    Journal,
}

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ExportFormat"))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// Separated values, quoted as RFC 4180 describes.
    #[default]
    Csv,
    /// Columns of fixed width. A column without `width` is as wide as its widest value.
    Txt,
    /// One JSON object per line, in UTF-8. Amounts and other decimals are strings: they are exact.
    Json,
}

/// A request for an export.
///
/// ```no_run
/// # async fn export(till: &tresen::Tresen) -> tresen::Result<()> {
/// use tresen::export::{Export, Format, Mapping, What};
///
/// let mapping = Mapping::load("datev.toml")?;
/// let day = Export::new(What::Lines, Format::Csv).mapping(mapping).range(Some("2026-01-02"), Some("2026-01-02"))?;
/// let done = till.export_file(day, "lines.csv").await?;
/// println!("{} rows, {} could not be read", done.rows, done.unreadable);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Export {
    pub(crate) what: What,
    pub(crate) format: Format,
    pub(crate) from: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) open: bool,
    pub(crate) mapping: Mapping,
}

impl Export {
    /// Everything, with all columns under their own names.
    pub fn new(what: What, format: Format) -> Self {
        Self { what, format, from: None, until: None, open: false, mapping: Mapping::default() }
    }

    /// Only from this time on. Sales count by the time they were closed or voided, payments and terminal transactions by
    /// the time they began, jobs by the time they were queued.
    pub fn from(self, from: Timestamp) -> Self {
        Self { from: Some(from), ..self }
    }

    /// Only before this time.
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    /// Only from `from` to `to`, as dates or times: `2026-01-02`, `2026-01-02T14:00`, `2026-01-02T14:00:00Z`. Those
    /// without an offset are in the time zone of the mapping, or else of the system. A date as `to` includes that day; a
    /// time as `to` is not included itself. Set the mapping first.
    ///
    /// # Errors
    /// [`Kind::Input`]: not a date or time, or `to` is before `from`.
    pub fn range(self, from: Option<&str>, to: Option<&str>) -> Result<Self> {
        let zone = self.mapping.zone_or_system();
        let from = from.map(|text| range::start(text, &zone)).transpose()?;
        let until = to.map(|text| range::end(text, &zone)).transpose()?;
        if let (Some(from), Some(until)) = (from, until)
            && until < from
        {
            return Err(Error::new(Kind::Input, "the range ends before it begins").hint("swap the two"));
        }
        Ok(Self { from: from.or(self.from), until: until.or(self.until), ..self })
    }

    /// Sales that are still open, too, by the time they were opened. By default, only closed and voided sales are
    /// exported as tickets, lines and taxes.
    pub fn open(self, open: bool) -> Self {
        Self { open, ..self }
    }

    /// With the columns and settings of a mapping.
    pub fn mapping(self, mapping: Mapping) -> Self {
        Self { mapping, ..self }
    }
}

/// The result of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Exported {
    /// Rows written, without the header.
    pub rows: u64,
    /// Records that this version cannot read, and that are missing from the output.
    pub unreadable: u64,
    /// The first 100 of those.
    pub problems: Vec<Unreadable>,
}

/// One page of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ExportPage"))]
#[non_exhaustive]
pub struct Page {
    /// The rows, as text; the first page has the header, too. The mapping's encoding is checked but not applied.
    pub text: String,
    /// What the page holds.
    #[serde(flatten)]
    pub done: Exported,
    /// If there may be more: the position to continue after.
    pub next: Option<String>,
}

impl FromStr for What {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        named(text, &WHATS, "export")
    }
}

impl FromStr for Format {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        named(text, &FORMATS, "format")
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name(self, &WHATS))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name(self, &FORMATS))
    }
}

fn named<T: Copy>(text: &str, all: &[(&'static str, T)], of: &str) -> Result<T> {
    all.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        Error::new(Kind::Input, format!("unknown {of} `{text}`; expected one of {}", known.join(", ")))
    })
}

fn name<T: PartialEq>(value: &T, all: &[(&'static str, T)]) -> &'static str {
    all.iter().find(|(_, other)| other == value).map_or("", |(name, _)| name)
}

const WHATS: [(&str, What); 6] = [
    ("tickets", What::Tickets),
    ("lines", What::Lines),
    ("taxes", What::Taxes),
    ("payments", What::Payments),
    ("jobs", What::Jobs),
    ("journal", What::Journal),
];
const FORMATS: [(&str, Format); 3] = [("csv", Format::Csv), ("txt", Format::Txt), ("json", Format::Json)];

#[cfg(test)]
mod tests;
