//! Text in several styles.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Style;

/// Text in one or several styles. Most text is a plain string, from which `From` makes it.
///
/// ```
/// use tresen_printers::document::{Span, Spans, Style};
///
/// let plain = Spans::from("Total");
/// let mixed = Spans::from([Span::from("Total "), Span::new("12,00 €", Style::new().bold())]);
/// assert_eq!((plain.as_plain(), mixed.as_plain()), (Some("Total"), None));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "Raw", into = "Raw")]
pub struct Spans(Vec<Span>);

/// A run of text within a line or cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "RawSpan", into = "RawSpan")]
pub struct Span {
    /// Its text. `\n` ends a line.
    pub text: String,
    /// Its style; `None` means that of the line or cell around it. Its alignment is ignored.
    pub style: Option<Style>,
}

impl Span {
    /// Text in a style of its own.
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style: Some(style) }
    }
}

impl Spans {
    /// The spans, from left to right.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// The text, if all of it is in the style of the line or cell around it.
    pub fn as_plain(&self) -> Option<&str> {
        match &self.0[..] {
            [] => Some(""),
            [Span { text, style: None }] => Some(text),
            _ => None,
        }
    }
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Span {
    fn from(text: String) -> Self {
        Self { text, style: None }
    }
}

impl From<Span> for Spans {
    fn from(span: Span) -> Self {
        Self(vec![span])
    }
}

impl<const N: usize> From<[Span; N]> for Spans {
    fn from(spans: [Span; N]) -> Self {
        Self(spans.into())
    }
}

impl From<Vec<Span>> for Spans {
    fn from(spans: Vec<Span>) -> Self {
        Self(spans)
    }
}

impl From<&str> for Spans {
    fn from(text: &str) -> Self {
        Span::from(text).into()
    }
}

impl From<String> for Spans {
    fn from(text: String) -> Self {
        Span::from(text).into()
    }
}

impl From<&String> for Spans {
    fn from(text: &String) -> Self {
        Span::from(text.as_str()).into()
    }
}

impl From<Cow<'_, str>> for Spans {
    fn from(text: Cow<'_, str>) -> Self {
        text.into_owned().into()
    }
}

/// A plain span may be written as a string.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "text must be a string or a list of spans")]
enum Raw {
    Plain(String),
    Many(Vec<Span>),
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "a span must be a string, or an object with `text` and `style`")]
enum RawSpan {
    Plain(String),
    Styled {
        /// Its text; `\n` ends a line.
        text: String,
        /// Its style; default that of the line.
        style: Option<Style>,
    },
}

impl From<Raw> for Spans {
    fn from(raw: Raw) -> Self {
        match raw {
            Raw::Plain(text) => text.into(),
            Raw::Many(spans) => spans.into(),
        }
    }
}

impl From<Spans> for Raw {
    fn from(spans: Spans) -> Self {
        match spans.as_plain() {
            Some(text) => Self::Plain(text.to_owned()),
            None => Self::Many(spans.0),
        }
    }
}

impl From<RawSpan> for Span {
    fn from(raw: RawSpan) -> Self {
        match raw {
            RawSpan::Plain(text) => Self { text, style: None },
            RawSpan::Styled { text, style } => Self { text, style },
        }
    }
}

impl From<Span> for RawSpan {
    fn from(span: Span) -> Self {
        match span {
            Span { text, style: None } => Self::Plain(text),
            Span { text, style } => Self::Styled { text, style },
        }
    }
}
