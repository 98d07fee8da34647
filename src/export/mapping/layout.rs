//! A mapping applied to the columns of an export.

use tresen_hal::{Error, Kind, Result};

use super::{Mapped, MappedOrigin, Mapping, Place};
use crate::export::What;
use crate::export::columns::{ColumnInfo, columns};

/// The columns of the output, and the rows to keep.
#[derive(Debug, Clone)]
pub(in crate::export) struct Layout {
    pub(in crate::export) fields: Vec<Field>,
    /// A column, and the values of which a row must have one.
    pub(in crate::export) filters: Vec<(usize, Vec<String>)>,
}

/// A column of the output.
#[derive(Debug, Clone)]
pub(in crate::export) struct Field {
    pub(in crate::export) origin: Origin,
    pub(in crate::export) name: String,
    pub(in crate::export) format: Option<String>,
    pub(in crate::export) minor: bool,
    pub(in crate::export) values: Vec<(String, String)>,
    pub(in crate::export) empty: String,
    pub(in crate::export) width: Option<usize>,
    pub(in crate::export) align_right: Option<bool>,
    pub(in crate::export) pad: char,
    pub(in crate::export) cut: bool,
}

/// Where a column's values come from.
#[derive(Debug, Clone)]
pub(in crate::export) enum Origin {
    /// The column of the export with this index.
    Column(usize),
    Constant(String),
}

impl Mapping {
    /// The layout of an export with this mapping.
    ///
    /// # Errors
    /// [`Kind::Config`]: it is for another export, a column does not exist or has a format that does not fit, or a name
    /// occurs twice.
    pub(in crate::export) fn layout(&self, what: What) -> Result<Layout> {
        if let Some(meant) = self.what.filter(|meant| *meant != what) {
            let error = Error::new(Kind::Config, format!("the mapping is for {meant}, not for {what}"));
            return Err(error.hint(format!("export {meant}, or remove `what` from it")));
        }
        let known = columns(what);
        let mut fields: Vec<Field> = Vec::new();
        for mapped in &self.columns {
            let field = field(mapped, &known, what)?;
            if fields.iter().any(|other| other.name == field.name) {
                let error = Error::new(Kind::Config, format!("two columns are named `{}`", field.name));
                return Err(error.at(&mapped.place.0).hint("set `name`"));
            }
            fields.push(field);
        }
        if self.columns.is_empty() {
            fields = known.iter().enumerate().map(|(at, column)| Field::plain(at, column.name)).collect();
        }
        let mut filters = Vec::new();
        for (name, values, place) in &self.filters {
            filters.push((position(name, &known, what, place)?, values.clone()));
        }
        Ok(Layout { fields, filters })
    }
}

impl Field {
    fn plain(column: usize, name: &str) -> Self {
        Self {
            origin: Origin::Column(column),
            name: name.to_owned(),
            format: None,
            minor: false,
            values: Vec::new(),
            empty: String::new(),
            width: None,
            align_right: None,
            pad: ' ',
            cut: false,
        }
    }
}

fn field(mapped: &Mapped, known: &[ColumnInfo], what: What) -> Result<Field> {
    let (origin, own) = match &mapped.origin {
        MappedOrigin::Constant(text) => (Origin::Constant(text.clone()), String::new()),
        MappedOrigin::Field(name) => {
            let at = position(name, known, what, &mapped.place)?;
            if let Some(format) = &mapped.format {
                let checked = known[at].kind.check_format(format);
                checked.map_err(|why| {
                    let what = format!("column `{name}`: the format `{format}` cannot be used: {why}");
                    Error::new(Kind::Config, what).at(&mapped.place.0)
                })?;
            }
            (Origin::Column(at), name.clone())
        }
    };
    Ok(Field {
        origin,
        name: mapped.name.clone().unwrap_or(own),
        format: mapped.format.clone(),
        minor: mapped.minor,
        values: mapped.values.clone(),
        empty: mapped.empty.clone(),
        width: mapped.width,
        align_right: mapped.align_right,
        pad: mapped.pad,
        cut: mapped.cut,
    })
}

fn position(name: &str, known: &[ColumnInfo], what: What, place: &Place) -> Result<usize> {
    known.iter().position(|column| column.name == name).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|column| column.name).collect();
        let text = format!("unknown column `{name}` of {what}; expected one of {}", names.join(", "));
        Error::new(Kind::Config, text).at(&place.0)
    })
}
