//! What a job prints, and its stored form: tagged and versioned, so that a later tresen can read a spool and an
//! earlier one refuses it.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

use crate::document::{Item, Receipt};

/// What a job prints, as it is stored: `{"v":1,"receipt":{"items":[…]}}` or
/// `{"v":1,"raw":{"language":"escpos","bytes":"…"}}`.
///
/// ```
/// use tresen_printers::{Content, Receipt};
///
/// let content = Content::Receipt(Receipt::new().text("Hello"));
/// let json = serde_json::to_string(&content)?;
/// assert!(json.starts_with(r#"{"v":1,"receipt":"#));
/// assert_eq!(serde_json::from_str::<Content>(&json)?, content);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Stored", into = "Stored")]
#[non_exhaustive]
pub enum Content {
    /// A document, laid out for whichever printer prints it.
    Receipt(Receipt),
    /// Bytes in the printer's own language.
    Raw(Raw),
}

/// Bytes that are sent unchanged, and the language they are in. A printer of another language refuses the job before
/// anything is sent.
///
/// - The printer is initialised first; only the request that proves the job is added after them.
/// - They are always sent whole. If they contain a drawer pulse, a copy, or a job that moves to another printer of
///   the route, opens the drawer again; a receipt does not.
/// - A copy is marked in a line above them. That line is printed unless the bytes begin in the middle of a command.
/// - The printer executes real-time commands (`DLE EOT`, `DLE ENQ`, `DLE DC4`) among them as they arrive, even inside
///   an image. One that clears the buffers discards what precedes it, and the job is confirmed nevertheless.
/// - If they may contain a request, only the job's own number proves the job; on a printer without job numbers it
///   ends as accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw {
    /// The language, named as in addresses: `escpos`.
    pub language: String,
    /// The bytes. Clones share them.
    pub bytes: Bytes,
}

impl Content {
    /// The version of the stored form that is written; no other is read.
    pub const VERSION: u32 = 1;

    /// ESC/POS bytes, sent unchanged: see [`Raw`].
    pub fn escpos(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Raw(Raw { language: "escpos".into(), bytes: Bytes::from(bytes.into()) })
    }

    /// Whether printing it may open the cash drawer: a receipt says so, raw bytes may always.
    pub fn may_open_drawer(&self) -> bool {
        match self {
            Self::Receipt(receipt) => receipt.items().iter().any(|item| matches!(item, Item::Drawer(_))),
            Self::Raw(_) => true,
        }
    }
}

impl From<&Receipt> for Content {
    fn from(receipt: &Receipt) -> Self {
        Self::Receipt(receipt.clone())
    }
}

impl From<Raw> for Content {
    fn from(raw: Raw) -> Self {
        Self::Raw(raw)
    }
}

impl From<Receipt> for Content {
    fn from(receipt: Receipt) -> Self {
        Self::Receipt(receipt)
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raw({}, {} bytes)", self.language, self.bytes.len())
    }
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Stored {
    /// The version of this form: 1.
    v: u32,
    #[serde(flatten)]
    tagged: Tagged,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Tagged {
    /// A document, laid out for whichever printer prints it.
    Receipt(Receipt),
    /// Bytes in the printer's own language.
    Raw {
        /// The language, named as in addresses: `escpos`.
        language: String,
        /// The bytes in base64.
        bytes: String,
    },
}

impl TryFrom<Stored> for Content {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        if stored.v != Self::VERSION {
            let (v, reads) = (stored.v, Self::VERSION);
            let what = format!("unsupported content version {v}; this tresen reads version {reads}");
            return Err(Error::new(Kind::Unsupported, what));
        }
        Ok(match stored.tagged {
            Tagged::Receipt(receipt) => Self::Receipt(receipt),
            Tagged::Raw { language, bytes } => {
                let bad = |e| Error::new(Kind::Input, "the raw bytes are not valid base64").because(e);
                Self::Raw(Raw { language, bytes: STANDARD.decode(bytes).map_err(bad)?.into() })
            }
        })
    }
}

impl From<Content> for Stored {
    fn from(content: Content) -> Self {
        let tagged = match content {
            Content::Receipt(receipt) => Tagged::Receipt(receipt),
            Content::Raw(Raw { language, bytes }) => Tagged::Raw { language, bytes: STANDARD.encode(bytes) },
        };
        Self { v: Content::VERSION, tagged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648: `1b 40` is `G0A=`.
    #[test]
    fn its_stored_form_lasts() {
        let receipt = Content::from(Receipt::new().text("a"));
        let raw = Content::Raw(Raw { language: "escpos".into(), bytes: Bytes::from_static(b"\x1b@") });
        for (content, json) in [
            (&receipt, r#"{"v":1,"receipt":{"items":[{"type":"text","text":"a"}]}}"#),
            (&raw, r#"{"v":1,"raw":{"language":"escpos","bytes":"G0A="}}"#),
        ] {
            assert_eq!(&serde_json::from_str::<Content>(json).expect("version 1"), content);
            let again = serde_json::to_string(content).expect("serialises");
            assert_eq!(&serde_json::from_str::<Content>(&again).expect("reads back"), content);
        }
        assert_eq!(
            serde_json::to_string(&raw).expect("serialises"),
            r#"{"v":1,"raw":{"language":"escpos","bytes":"G0A="}}"#
        );
    }

    #[test]
    fn what_a_later_version_wrote_is_refused() {
        let error = serde_json::from_str::<Content>(r#"{"v":2,"receipt":{"items":[]}}"#).expect_err("version 2");
        assert!(error.to_string().contains("version 2"), "{error}");
        for bad in
            [r#"{"receipt":{"items":[]}}"#, r#"{"v":1,"poem":{}}"#, r#"{"v":1,"raw":{"language":"x","bytes":"!"}}"#]
        {
            serde_json::from_str::<Content>(bad).expect_err(bad);
        }
    }
}
