//! The chain of hashes over the journal.
//!
//! Each line's hash covers the line and the hash before it, so equal hashes at one place mean equal journals up to
//! there. That is how a till and its server find the place where a restored backup left the common history. The epoch is
//! not covered: it is assigned anew when that happens.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use tresen_hal::{Error, Kind};

use super::{Origin, meta};

/// SHA-256 of a journal up to and including one line. Displayed and serialised as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash before the first line of a till's journal.
    pub(super) fn origin(till: &str) -> Self {
        Self(Sha256::digest(till.as_bytes()).into())
    }

    /// The hash after one more line.
    pub(super) fn then(self, at: &str, kind: &str, key: &str, body: &str, origin: &Origin) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        let callers = [&origin.station, &origin.source, &origin.operator].map(Option::as_deref);
        for field in [Some(at), Some(kind), Some(key), Some(body)].into_iter().chain(callers) {
            // Each field's length precedes it, so that no two lines have the same bytes; no field is that long.
            hash.update(field.map_or(u64::MAX, |field| field.len() as u64).to_be_bytes());
            hash.update(field.unwrap_or_default());
        }
        Self(hash.finalize().into())
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the column of a row.
    pub(super) fn read(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Self> {
        row.get(at).map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::new(Kind::Input, "a hash has 64 hexadecimal digits");
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Hash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hash".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A SHA-256 hash in hexadecimal digits.",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The current epoch, and the hash of the journal so far.
pub(super) fn end(db: &Connection) -> rusqlite::Result<(i64, Hash)> {
    let epoch = meta::get(db, "epoch")?.and_then(|epoch| epoch.parse().ok()).unwrap_or(1);
    let mut last = db.prepare_cached("SELECT hash FROM journal ORDER BY seq DESC LIMIT 1")?;
    let hash = match last.query_row([], |row| Hash::read(row, 0)).optional()? {
        Some(hash) => hash,
        None => Hash::origin(&meta::get(db, "till")?.unwrap_or_default()),
    };
    Ok((epoch, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_and_every_boundary_between_fields_counts() {
        let first = Hash::origin("till");
        let hash = |kind: &str, key: &str, origin: &Origin| first.then("2026-01-02", kind, key, "{}", origin);
        let plain = hash("closed", "a", &Origin::new());
        let others = [
            hash("close", "da", &Origin::new()),
            hash("closed", "b", &Origin::new()),
            hash("closed", "a", &Origin::new().station("")),
            hash("closed", "a", &Origin::new().source("")),
            Hash::origin("tilt").then("2026-01-02", "closed", "a", "{}", &Origin::new()),
        ];
        assert!(others.iter().all(|other| *other != plain), "{others:?}");
        assert_eq!(plain, hash("closed", "a", &Origin::new()));
        assert_eq!(plain.to_string().parse::<Hash>().expect("its own text"), plain);
        assert!("00".parse::<Hash>().is_err() && "zz".repeat(32).parse::<Hash>().is_err());
    }

    /// FIPS 180-4's example: the digest of `abc`.
    #[test]
    fn the_first_hash_is_sha_256_of_the_tills_id() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Hash::origin("abc").to_string(), abc);
    }
}
