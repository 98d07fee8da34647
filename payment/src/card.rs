//! A card that was read without a payment.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a terminal tells of a card: [`Operation::ReadCard`](crate::Operation::ReadCard).
///
/// Nothing that a payment could be made with: no full number, no track, no expiry date. `Debug` shows its type only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Card {
    /// The type of the card, as the terminal names it: `girocard`, `VISA`.
    pub name: Option<String>,
    /// The card number, masked.
    pub masked_pan: Option<String>,
    /// What stands for the card at the provider, if the protocol has such a thing. The same card has the same token.
    pub token: Option<String>,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Card").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_type_only() {
        let card = Card {
            name: Some("girocard".into()),
            masked_pan: Some("672676******2002".into()),
            token: Some("8ae7e8c1".into()),
        };
        assert_eq!(format!("{card:?}"), r#"Card { name: Some("girocard"), .. }"#);
    }
}
