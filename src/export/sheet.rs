//! Rows as text: CSV, columns of fixed width, JSON.

use tresen_hal::{Error, Kind, Result};

use super::Format;
use super::cell::{Style, Value};
use super::encoding::Encoding;
use super::mapping::{Csv, Field, Formulas, Layout, Lines, Mapping, Origin, Txt};

/// Writes rows as text.
pub(super) struct Sheet {
    format: Writing,
    fields: Vec<Field>,
    style: Style,
    /// The width of each column, for text with columns of fixed width.
    widths: Vec<usize>,
}

enum Writing {
    Csv(Csv),
    Txt(Txt),
    Json,
}

/// A value and its text.
struct Cell {
    value: Value,
    text: String,
}

impl Sheet {
    pub(super) fn new(format: Format, layout: &Layout, mapping: &Mapping) -> Self {
        let (writing, decimal) = match format {
            Format::Csv => (Writing::Csv(mapping.csv.clone()), mapping.csv.lines.decimal),
            Format::Txt => (Writing::Txt(mapping.txt.clone()), mapping.txt.lines.decimal),
            Format::Json => (Writing::Json, '.'),
        };
        let style = Style { decimal, zone: mapping.zone_or_utc(), time: mapping.time.clone() };
        let header = matches!(&writing, Writing::Txt(txt) if txt.lines.header);
        let wide = |field: &Field| field.width.unwrap_or(if header { length(&field.name) } else { 0 });
        let widths = layout.fields.iter().map(wide).collect();
        Self { format: writing, fields: layout.fields.clone(), style, widths }
    }

    /// Whether the rows have to be [measured](Sheet::measure) before they are written.
    pub(super) fn needs_widths(&self) -> bool {
        matches!(self.format, Writing::Txt(_)) && self.fields.iter().any(|field| field.width.is_none())
    }

    /// Widens the columns without a width of their own to the values of a row.
    pub(super) fn measure(&mut self, row: &dyn Fn(usize) -> Value) {
        let cells = self.cells(row);
        for ((width, field), cell) in self.widths.iter_mut().zip(&self.fields).zip(cells) {
            if field.width.is_none() {
                *width = (*width).max(length(&cell.text));
            }
        }
    }

    /// What comes before the rows.
    pub(super) fn header(&self) -> Result<String> {
        let lines = match &self.format {
            Writing::Csv(csv) => &csv.lines,
            Writing::Txt(txt) => &txt.lines,
            Writing::Json => return Ok(String::new()),
        };
        if !lines.header {
            return Ok(String::new());
        }
        let name = |field: &Field| Cell { value: Value::Text(String::new()), text: field.name.clone() };
        self.line(self.fields.iter().map(name).collect(), &|| "the header".into())
    }

    /// A row as a line, with its newline. `label` names it in errors.
    pub(super) fn row(&self, row: &dyn Fn(usize) -> Value, label: &dyn Fn() -> String) -> Result<String> {
        self.line(self.cells(row), label)
    }

    /// The bytes of a text made of what this sheet wrote.
    pub(super) fn encoding(&self) -> Encoding {
        self.lines().map_or(Encoding::Utf8, |lines| lines.encoding)
    }

    /// The byte order mark, if one is wanted.
    pub(super) fn bom(&self) -> &'static [u8] {
        self.lines().filter(|lines| lines.bom).map_or(b"", |lines| lines.encoding.bom())
    }

    fn lines(&self) -> Option<&Lines> {
        match &self.format {
            Writing::Csv(csv) => Some(&csv.lines),
            Writing::Txt(txt) => Some(&txt.lines),
            Writing::Json => None,
        }
    }

    fn cells(&self, row: &dyn Fn(usize) -> Value) -> Vec<Cell> {
        let cell = |field: &Field| {
            let value = match &field.origin {
                Origin::Column(column) => row(*column),
                Origin::Constant(text) => Value::Text(text.clone()),
            };
            if value.is_missing() {
                return Cell { value, text: field.empty.clone() };
            }
            let text = value.text(&self.style, field.format.as_deref(), field.minor);
            let other = field.values.iter().find(|(from, _)| *from == text);
            let text = other.map_or(text, |(_, to)| to.clone());
            Cell { value, text }
        };
        self.fields.iter().map(cell).collect()
    }

    fn line(&self, cells: Vec<Cell>, label: &dyn Fn() -> String) -> Result<String> {
        let mut out = String::new();
        match &self.format {
            Writing::Csv(csv) => {
                for (at, mut cell) in cells.into_iter().enumerate() {
                    let field = &self.fields[at];
                    defuse(&mut cell, csv.formulas).map_err(|what| wrong(label, field, what))?;
                    fit(&mut cell.text, &csv.lines).map_err(|what| wrong(label, field, what))?;
                    if at > 0 {
                        out += &csv.separator;
                    }
                    // A line with one empty value would read as no line at all.
                    let alone = self.fields.len() == 1 && cell.text.is_empty();
                    quote(&cell.text, csv, alone, &mut out);
                }
                out += csv.lines.newline;
            }
            Writing::Txt(txt) => {
                for (at, mut cell) in cells.into_iter().enumerate() {
                    let field = &self.fields[at];
                    // A newline within a value would begin another row.
                    cell.text = cell.text.replace(['\r', '\n', '\t'], " ");
                    fit(&mut cell.text, &txt.lines).map_err(|what| wrong(label, field, what))?;
                    if at > 0 {
                        out += &txt.gap;
                    }
                    let padded = pad(&cell, field, self.widths[at]);
                    out += &padded.map_err(|what| wrong(label, field, what).hint(WIDER))?;
                }
                out += txt.lines.newline;
            }
            Writing::Json => {
                for (at, (cell, field)) in cells.iter().zip(&self.fields).enumerate() {
                    out += if at == 0 { "{" } else { "," };
                    out += &serde_json::Value::from(field.name.as_str()).to_string();
                    out.push(':');
                    out += &cell.value.json(&cell.text);
                }
                out += "}\n";
            }
        }
        Ok(out)
    }
}

/// A value that cannot be written as requested.
fn wrong(label: &dyn Fn() -> String, field: &Field, what: String) -> Error {
    Error::new(Kind::Input, format!("{}, column `{}`: {what}", label(), field.name))
}

/// Replaces characters that the encoding lacks.
fn fit(text: &mut String, lines: &Lines) -> Result<(), String> {
    let lacks = |c: &char| !lines.encoding.has(*c);
    if text.is_ascii() || lines.encoding == Encoding::Utf8 || !text.chars().any(|c| lacks(&c)) {
        return Ok(());
    }
    let Some(replacement) = &lines.replacement else {
        let c = text.chars().find(lacks).unwrap_or_default();
        return Err(format!("the encoding {} lacks `{c}` (U+{:04X}); set `replacement`", lines.encoding, u32::from(c)));
    };
    let fitting = text.chars().map(|c| if lacks(&c) { replacement.clone() } else { c.to_string() }).collect();
    *text = fitting;
    Ok(())
}

/// OWASP, "CSV Injection": the characters that begin a formula.
fn defuse(cell: &mut Cell, formulas: Formulas) -> Result<(), String> {
    if formulas == Formulas::Keep || !cell.value.is_text() || !cell.text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return Ok(());
    }
    if formulas == Formulas::Refuse {
        return Err("the text begins like a formula".into());
    }
    cell.text.insert(0, '\'');
    Ok(())
}

/// RFC 4180, section 2, rules 5 to 7.
fn quote(text: &str, csv: &Csv, always: bool, out: &mut String) {
    let special = |c: char| c == csv.quote || c == '\r' || c == '\n';
    let outer = text.starts_with(' ') || text.ends_with(' ');
    if !(always || csv.quote_all || outer || text.contains(&csv.separator) || text.contains(special)) {
        out.push_str(text);
        return;
    }
    out.push(csv.quote);
    for c in text.chars() {
        if c == csv.quote {
            out.push(c);
        }
        out.push(c);
    }
    out.push(csv.quote);
}

fn pad(cell: &Cell, field: &Field, width: usize) -> Result<String, String> {
    let long = length(&cell.text);
    if long > width {
        if field.cut && !cell.value.is_number() {
            return Ok(cell.text.chars().take(width).collect());
        }
        return Err(format!("`{}` has {long} characters, the column is {width} wide", cell.text));
    }
    let fill: String = std::iter::repeat_n(field.pad, width - long).collect();
    let right = field.align_right.unwrap_or(cell.value.is_number());
    Ok(match cell.text.strip_prefix('-') {
        // The sign stands before the zeros.
        Some(rest) if right && field.pad == '0' && cell.value.is_number() => format!("-{fill}{rest}"),
        _ if right => format!("{fill}{}", cell.text),
        _ => format!("{}{fill}", cell.text),
    })
}

fn length(text: &str) -> usize {
    text.chars().count()
}

const WIDER: &str = "set a larger `width`, or `overflow = \"cut\"` for a text";
