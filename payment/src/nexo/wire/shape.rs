//! Objects stand where objects belong.
//!
//! A list would be taken for the fields of an object in their order. No terminal writes one, and what it means is not
//! known, so nothing in such a message counts.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Checks a whole message.
///
/// # Errors
/// It is no JSON, or a list stands in the place of an object.
pub(super) fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Shape::default().deserialize(&mut json)?;
    json.end()
}

/// A value that may be a list of objects or texts, or may not.
#[derive(Default)]
struct Shape {
    list: bool,
    /// It is an input, which has one output.
    input: bool,
}

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.list { "a value or a list" } else { "no list" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::Object => map.next_value_seed(Shape::default())?,
                Name::Input => map.next_value_seed(Shape { list: false, input: true })?,
                Name::List => map.next_value_seed(Shape { list: true, input: false })?,
                Name::Output => map.next_value_seed(Shape { list: !self.input, input: false })?,
                Name::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if !self.list {
            return Err(serde::de::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        while items.next_element_seed(Shape::default())?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// What the value of a key is. Those that are not read may be anything.
enum Name {
    Object,
    /// A request or response with one output.
    Input,
    List,
    /// A list, but of an input.
    Output,
    Other,
}

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;
        impl Visitor<'_> for Key {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "InputRequest" | "InputResponse" => Name::Input,
                    "DisplayOutput" | "OutputResult" => Name::Output,
                    _ if OBJECTS.binary_search(&name).is_ok() => Name::Object,
                    _ if LISTS.binary_search(&name).is_ok() => Name::List,
                    _ => Name::Other,
                })
            }
        }
        deserializer.deserialize_identifier(Key)
    }
}

/// The names whose values are objects, in their order.
const OBJECTS: &[&str] = &[
    "AbortRequest",
    "AcquirerTransactionID",
    "AmountsReq",
    "AmountsResp",
    "CardData",
    "DiagnosisRequest",
    "DiagnosisResponse",
    "DisplayRequest",
    "DisplayResponse",
    "EventNotification",
    "Input",
    "InputData",
    "InputResult",
    "MessageHeader",
    "MessageReference",
    "OriginalPOITransaction",
    "OutputContent",
    "POIData",
    "POIStatus",
    "POITransactionID",
    "PaymentAcquirerData",
    "PaymentData",
    "PaymentInstrumentData",
    "PaymentRequest",
    "PaymentResponse",
    "PaymentResult",
    "PaymentTransaction",
    "PredefinedContent",
    "PrintOutput",
    "PrintRequest",
    "PrintResponse",
    "RepeatedMessageResponse",
    "RepeatedResponseMessageBody",
    "Response",
    "ReversalRequest",
    "ReversalResponse",
    "SaleData",
    "SaleToPOIRequest",
    "SaleToPOIResponse",
    "SaleTransactionID",
    "SecurityTrailer",
    "TransactionStatusRequest",
    "TransactionStatusResponse",
];

/// The names whose values may be lists of objects, in their order.
const LISTS: &[&str] = &["MenuEntry", "OutputText", "PaymentReceipt"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        for names in [OBJECTS, LISTS] {
            assert!(names.is_sorted());
        }
    }
}
