//! JSON schemas of the types that serialise themselves.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Amount;
use crate::barcode::AimId;
use crate::error::{Effect, Error, Kind, Retry};

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An amount of money and its currency (ISO 4217), with as many decimals as the currency has.",
            "pattern": r"^-?[0-9]+(\.[0-9]{1,3})? [A-Z]{3}$",
            "examples": ["12.50 EUR"],
        })
    }
}

impl JsonSchema for AimId {
    fn schema_name() -> Cow<'static, str> {
        "AimId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An AIM symbology identifier (ISO/IEC 15424).",
            "pattern": "^\\][A-Za-z][0-9A-Za-z]$",
            "examples": ["]E0"],
        })
    }
}

/// The fields of an [`Error`] in JSON.
#[derive(JsonSchema)]
#[schemars(rename = "Error")]
#[allow(dead_code, reason = "only described")]
struct Fields {
    /// What kind of error it is.
    kind: Kind,
    /// What has happened outside, as far as it is known.
    effect: Effect,
    /// Whether to try again, and when.
    retry: Retry,
    /// The device that it is about.
    device: Option<String>,
    /// The option of an address or key of a configuration that it is about.
    option: Option<String>,
    /// What went wrong.
    what: String,
    /// The next step for a person.
    hint: Option<String>,
    /// The causes, the nearest first.
    causes: Vec<String>,
    /// All of it as one sentence.
    message: String,
}

impl JsonSchema for Error {
    fn schema_name() -> Cow<'static, str> {
        "Error".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Fields::json_schema(generator);
        schema.insert("description".into(), "What went wrong, what it has changed, and what to do.".into());
        schema
    }
}
