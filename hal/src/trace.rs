//! Traffic in words: what a person reads of a dialogue.
//!
//! A protocol implements [`Tracer`]. It masks card data itself, before anything else, so a trace never shows any.

use crate::link::hex::hex;
use crate::link::record::Direction;

/// One message, in words. Texts of a device may hold control characters: whoever prints them escapes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// What it is: `06 01 authorisation`.
    pub title: String,
    /// What it holds, a line each; inner ones are indented by blanks.
    pub details: Vec<String>,
}

impl Told {
    /// A message without details.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), details: Vec::new() }
    }
}

/// Makes words of the stream of one link. Each link has its own.
pub trait Tracer: Send {
    /// Takes bytes as they came, split anywhere: the messages that are complete now.
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Told>;

    /// The stream has ended: what was not complete.
    fn finish(&mut self, direction: Direction) -> Vec<Told>;
}

/// For protocols without a tracer: bytes in hex and as text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bytes;

impl Tracer for Bytes {
    fn feed(&mut self, _: Direction, bytes: &[u8]) -> Vec<Told> {
        let shown = |chunk: &[u8]| {
            let text: String =
                chunk.iter().map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '.' }).collect();
            format!("{:<32}  {text}", hex(chunk))
        };
        let details = bytes.chunks(16).map(shown).collect();
        vec![Told { title: format!("{} bytes", bytes.len()), details }]
    }

    fn finish(&mut self, _: Direction) -> Vec<Told> {
        Vec::new()
    }
}
