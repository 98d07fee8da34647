//! What a terminal is asked for only if it can be possible: nothing is sent, and nothing is journalled, for what the
//! terminal or the configuration excludes.

use tresen_hal::{Effect, Error, Kind, Known, Result, Retry};
use tresen_payment::{IntentId, Journal, Reference};

use super::terminal::Terminal;
use crate::config::Can;

/// What a transaction needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ability {
    Pay,
    Refund,
    Reversal,
}

impl Ability {
    /// In words: `cannot …`.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Pay => "take payments",
            Self::Refund => "give money back without reference to a payment",
            Self::Reversal => "reverse payments",
        }
    }

    /// What is declared about it.
    pub(crate) fn declared(self, can: &Can) -> Option<Known> {
        match self {
            Self::Pay => can.pay,
            Self::Refund => can.refund,
            Self::Reversal => can.reversal,
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Pay => "offer another tender",
            Self::Refund | Self::Reversal => "give the money back by another tender, or ask the provider",
        }
    }
}

/// Why something is declared impossible: ` (provider Bank, integration ZVT)`.
pub(crate) fn source(can: &Can) -> String {
    let part = |what: &str, name: &Option<String>| name.as_ref().map(|name| format!("{what} {name}"));
    let parts: Vec<_> =
        [part("provider", &can.provider), part("integration", &can.integration)].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

impl Terminal {
    /// Checks that neither configuration nor terminal exclude a transaction. One that the journal knows already is
    /// answered from there as ever.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: it is excluded; nothing was sent.
    pub(super) async fn check_possible(
        &self,
        intent: &IntentId,
        ability: Ability,
        of: Option<&Reference>,
    ) -> Result<()> {
        let Some(why) = self.impossible(ability, of).await? else { return Ok(()) };
        if self.till.store.find(intent).await?.is_some() {
            return Ok(());
        }
        let error = Error::new(Kind::Unsupported, why).with_effect(Effect::None).with_retry(Retry::Never);
        Err(error.at(self.name()).hint(ability.hint()))
    }

    /// Why a transaction is excluded.
    async fn impossible(&self, ability: Ability, of: Option<&Reference>) -> Result<Option<String>> {
        let declared = self.till.declared.of(self.name());
        let by_configuration = |who: &str, can: &Can| {
            let source = source(can);
            format!("declared by configuration: {who}{source} cannot {}", ability.verb())
        };
        match ability.declared(&declared.can) {
            Some(Known::No) => return Ok(Some(by_configuration("it", &declared.can))),
            None if self.told(ability).is_no() => {
                return Ok(Some(format!("it told at its login that it cannot {}", ability.verb())));
            }
            _ => {}
        }
        let excluded = |method: &crate::config::Method| ability.declared(&method.can) == Some(Known::No);
        let Some(reference) = of.filter(|_| declared.methods.iter().any(excluded)) else { return Ok(None) };
        let Some(paid) = self.till.store.holder(reference).await? else { return Ok(None) };
        let charge = self.till.store.find(&paid).await?.and_then(|entry| entry.outcome()?.into_charge());
        let method = charge.and_then(|charge| charge.card_name).and_then(|name| declared.method(&name).cloned());
        Ok(method.filter(excluded).map(|method| {
            let source = source(&method.can);
            format!("declared by configuration: {}{source} cannot be reversed", method.name)
        }))
    }

    /// What the terminal told about an ability when it was last connected.
    fn told(&self, ability: Ability) -> Known {
        let told = self.capabilities().unwrap_or_default();
        match ability {
            Ability::Pay => Known::Yes,
            Ability::Refund => told.refund,
            Ability::Reversal => told.reversal,
        }
    }
}
