//! Texts of JSON, damaged.

use proptest::prelude::*;

/// The text, damaged in up to five places.
pub(crate) fn damaged(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec((0..text.len(), any::<u8>(), 0u8..4), 0..6).prop_map(move |damages| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, byte, how) in damages {
            let at = at.min(bytes.len() - 1);
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => bytes[at] = b"{}[]\",:0"[usize::from(byte % 8)],
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    })
}
