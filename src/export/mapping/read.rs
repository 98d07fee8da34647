//! Parses the TOML text of a mapping.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::tz::TimeZone;
use serde::Deserialize;
use toml::Spanned;
use tresen_hal::{Error, Kind, Result};

use super::{Csv, Formulas, Lines, Mapped, MappedOrigin, Mapping, Place, Txt};
use crate::export::cell::ColumnKind;
use crate::export::encoding::Encoding;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    what: Option<Spanned<String>>,
    format: Option<Spanned<String>>,
    csv: CsvKeys,
    txt: TxtKeys,
    time: TimeKeys,
    filter: BTreeMap<Spanned<String>, Vec<String>>,
    columns: Vec<Spanned<ColumnKeys>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct CsvKeys {
    separator: Option<Spanned<String>>,
    decimal: Option<Spanned<String>>,
    quote: Option<Spanned<String>>,
    quote_all: bool,
    header: Option<bool>,
    newline: Option<Spanned<String>>,
    encoding: Option<Spanned<String>>,
    bom: bool,
    replacement: Option<Spanned<String>>,
    formulas: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct TxtKeys {
    gap: Option<Spanned<String>>,
    decimal: Option<Spanned<String>>,
    header: Option<bool>,
    newline: Option<Spanned<String>>,
    encoding: Option<Spanned<String>>,
    bom: bool,
    replacement: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct TimeKeys {
    zone: Option<Spanned<String>>,
    format: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct ColumnKeys {
    field: Option<String>,
    constant: Option<String>,
    name: Option<String>,
    format: Option<String>,
    minor: bool,
    values: BTreeMap<String, String>,
    empty: String,
    width: Option<Spanned<i64>>,
    align: Option<Spanned<String>>,
    pad: Option<Spanned<String>>,
    overflow: Option<Spanned<String>>,
}

pub(super) fn mapping(text: &str, name: &str) -> Result<Mapping> {
    let places = Places { text, name };
    let syntax = |error: toml::de::Error, key: &str| {
        let what = error.message().trim_end().replace('\n', ", ");
        places.fault(error.span().map(|span| span.start), key, what)
    };
    let toml = toml::Deserializer::parse(text).map_err(|e| syntax(e, ""))?;
    let file: File = serde_path_to_error::deserialize(toml).map_err(|error| {
        let key = keys(error.path());
        syntax(error.into_inner(), &key)
    })?;
    places.mapping(file)
}

/// The path of a key, without the steps by which `toml` reads a position.
fn keys(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut keys = String::new();
    for step in path {
        match step {
            Segment::Map { key } if key.starts_with("$__") => {}
            Segment::Map { key } if keys.is_empty() => keys.push_str(key),
            Segment::Map { key } => keys += &format!(".{key}"),
            Segment::Seq { index } => keys += &format!("[{index}]"),
            _ => {}
        }
    }
    keys
}

/// Finds the lines of faults.
struct Places<'t> {
    text: &'t str,
    name: &'t str,
}

impl Places<'_> {
    fn place(&self, at: Option<usize>) -> Place {
        let line = at.and_then(|at| self.text.get(..at)).map(|before| before.matches('\n').count() + 1);
        Place(line.map_or(self.name.to_owned(), |line| format!("{}:{line}", self.name)))
    }

    fn fault(&self, at: Option<usize>, key: &str, what: String) -> Error {
        let what = if key.is_empty() { what } else { format!("key `{key}`: {what}") };
        Error::new(Kind::Config, what).at(self.place(at).0)
    }

    /// The fault of a value.
    fn wrong<T>(&self, value: &Spanned<T>, key: &str, what: impl Into<String>) -> Error {
        self.fault(Some(value.span().start), key, what.into())
    }

    fn mapping(&self, file: File) -> Result<Mapping> {
        let what = self.parsed(&file.what, "what")?;
        let format = self.parsed(&file.format, "format")?;
        let zone = match &file.time.zone {
            Some(zone) => Some(TimeZone::get(zone.get_ref()).map_err(|e| {
                self.wrong(zone, "time.zone", e.to_string()).hint("write a name such as \"Europe/Berlin\"")
            })?),
            None => None,
        };
        if let Some(format) = &file.time.format {
            let checked = ColumnKind::Time.check_format(format.get_ref());
            checked.map_err(|why| self.wrong(format, "time.format", why))?;
        }
        let mut columns = Vec::new();
        for (at, column) in file.columns.into_iter().enumerate() {
            columns.push(self.column(&format!("columns[{at}]"), column)?);
        }
        let filters = file.filter.into_iter().map(|(field, values)| {
            let place = self.place(Some(field.span().start));
            (field.into_inner(), values, place)
        });
        Ok(Mapping {
            what,
            format,
            csv: self.csv(file.csv)?,
            txt: self.txt(file.txt)?,
            zone,
            time: file.time.format.map(Spanned::into_inner),
            columns,
            filters: filters.collect(),
            text: self.text.to_owned(),
        })
    }

    fn csv(&self, keys: CsvKeys) -> Result<Csv> {
        let mut csv = Csv { quote_all: keys.quote_all, ..Csv::default() };
        if let Some(quote) = &keys.quote {
            csv.quote = self.character(quote, "csv.quote")?;
        }
        let common = [&keys.decimal, &keys.newline, &keys.encoding, &keys.replacement];
        csv.lines = self.lines("csv", common, keys.header, keys.bom)?;
        if let Some(separator) = keys.separator {
            let text = separator.get_ref();
            let taken = |c: char| c == csv.quote || c == '\r' || c == '\n';
            if text.is_empty() || text.contains(taken) {
                return Err(self.wrong(&separator, "csv.separator", "expected a text without quotes and newlines"));
            }
            csv.separator = separator.into_inner();
        }
        if csv.separator.contains(csv.lines.decimal) {
            let at = keys.decimal.as_ref().map(|decimal| decimal.span().start);
            let what = format!("the separator `{}` contains the decimal mark", csv.separator);
            return Err(self.fault(at, "csv.decimal", what));
        }
        if let Some(formulas) = keys.formulas {
            let all = [("keep", Formulas::Keep), ("escape", Formulas::Escape), ("refuse", Formulas::Refuse)];
            csv.formulas = self.word(&formulas, "csv.formulas", &all)?;
        }
        Ok(csv)
    }

    fn txt(&self, keys: TxtKeys) -> Result<Txt> {
        let common = [&keys.decimal, &keys.newline, &keys.encoding, &keys.replacement];
        let lines = self.lines("txt", common, keys.header, keys.bom)?;
        Ok(Txt { gap: keys.gap.map(Spanned::into_inner).unwrap_or_default(), lines })
    }

    fn lines(
        &self,
        section: &str,
        [decimal, newline, encoding, replacement]: [&Option<Spanned<String>>; 4],
        header: Option<bool>,
        bom: bool,
    ) -> Result<Lines> {
        let key = |key: &str| format!("{section}.{key}");
        let mut lines = Lines { bom, ..Lines::default() };
        lines.header = header.unwrap_or(lines.header);
        if let Some(decimal) = decimal {
            lines.decimal = self.character(decimal, &key("decimal"))?;
            if lines.decimal.is_ascii_digit() || lines.decimal == '-' {
                return Err(self.wrong(decimal, &key("decimal"), "expected a mark such as \",\""));
            }
        }
        if let Some(newline) = newline {
            lines.newline = self.word(newline, &key("newline"), &[("crlf", "\r\n"), ("lf", "\n")])?;
        }
        if let Some(encoding) = encoding {
            let known = || format!("unknown encoding; expected one of {}", Encoding::names().join(", "));
            let found = Encoding::named(encoding.get_ref());
            lines.encoding = found.ok_or_else(|| self.wrong(encoding, &key("encoding"), known()))?;
        }
        if let Some(replacement) = replacement {
            if let Some(lacks) = replacement.get_ref().chars().find(|c| !lines.encoding.has(*c)) {
                let what = format!("the encoding {} lacks `{lacks}`", lines.encoding);
                return Err(self.wrong(replacement, &key("replacement"), what));
            }
            lines.replacement = Some(replacement.get_ref().clone());
        }
        Ok(lines)
    }

    fn column(&self, key: &str, column: Spanned<ColumnKeys>) -> Result<Mapped> {
        let at = column.span().start;
        let keys = column.into_inner();
        let fault = |what: &str| self.fault(Some(at), key, what.to_owned());
        let origin = match (keys.field, keys.constant) {
            (Some(field), None) => MappedOrigin::Field(field),
            (None, Some(constant)) if keys.name.is_some() => MappedOrigin::Constant(constant),
            (None, Some(_)) => return Err(fault("a constant needs a `name`")),
            _ => return Err(fault("expected either `field` or `constant`")),
        };
        let width = match &keys.width {
            Some(width) => match usize::try_from(*width.get_ref()) {
                Ok(wide) if (1..=MAX_WIDTH).contains(&wide) => Some(wide),
                _ => {
                    let what = format!("expected a width from 1 to {MAX_WIDTH}");
                    return Err(self.wrong(width, &format!("{key}.width"), what));
                }
            },
            None => None,
        };
        let align_right = match &keys.align {
            Some(align) => Some(self.word(align, &format!("{key}.align"), &[("left", false), ("right", true)])?),
            None => None,
        };
        let pad = match &keys.pad {
            Some(pad) => self.character(pad, &format!("{key}.pad"))?,
            None => ' ',
        };
        let cut = match &keys.overflow {
            Some(overflow) => self.word(overflow, &format!("{key}.overflow"), &[("error", false), ("cut", true)])?,
            None => false,
        };
        Ok(Mapped {
            origin,
            name: keys.name,
            format: keys.format,
            minor: keys.minor,
            values: keys.values.into_iter().collect(),
            empty: keys.empty,
            width,
            align_right,
            pad,
            cut,
            place: self.place(Some(at)),
        })
    }

    fn parsed<T: FromStr<Err = Error>>(&self, value: &Option<Spanned<String>>, key: &str) -> Result<Option<T>> {
        let Some(value) = value else { return Ok(None) };
        value.get_ref().parse().map(Some).map_err(|error: Error| self.wrong(value, key, error.what()))
    }

    fn character(&self, value: &Spanned<String>, key: &str) -> Result<char> {
        let mut chars = value.get_ref().chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() => Ok(c),
            _ => Err(self.wrong(value, key, "expected one character")),
        }
    }

    fn word<T: Copy>(&self, value: &Spanned<String>, key: &str, all: &[(&str, T)]) -> Result<T> {
        let found = all.iter().find(|(name, _)| name == value.get_ref());
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|(name, _)| *name).collect();
            let what = format!("unknown value `{}`; expected one of {}", value.get_ref(), known.join(", "));
            self.wrong(value, key, what)
        })
    }
}

const MAX_WIDTH: usize = 10_000;
