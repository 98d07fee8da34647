//! What a terminal is asked for only if it can be possible: nothing is sent, and nothing is journalled, for what the
//! terminal or the configuration excludes.

use tresen_hal::{Effect, Error, Kind, Known, Result, Retry};
use tresen_payment::{IntentId, Journal, OperationKind, Reference};

use super::Terminal;
use crate::config::Can;

/// What to do about an operation that is not possible.
fn hint(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Pay => "offer another tender",
        OperationKind::Refund | OperationKind::Reversal => "give the money back by another tender, or ask the provider",
        OperationKind::PreAuthorisation | OperationKind::Increment | OperationKind::Tip => "take a payment instead",
        _ => "do it at the terminal, or ask the provider",
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
    /// Checks that neither configuration nor terminal exclude an operation. A transaction that the journal knows already is
    /// answered from there as ever.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: it is excluded; nothing was sent.
    pub(super) async fn check_possible(
        &self,
        intent: Option<&IntentId>,
        kind: OperationKind,
        of: Option<&Reference>,
    ) -> Result<()> {
        let Some(why) = self.impossible(kind, of).await? else { return Ok(()) };
        if let Some(intent) = intent
            && self.till.store.find(intent).await?.is_some()
        {
            return Ok(());
        }
        let error = Error::new(Kind::Unsupported, why).with_effect(Effect::None).with_retry(Retry::Never);
        Err(error.at(self.name()).hint(hint(kind)))
    }

    /// Why an operation is excluded.
    async fn impossible(&self, kind: OperationKind, of: Option<&Reference>) -> Result<Option<String>> {
        let declared = self.till.declared.of(self.name());
        let by_configuration = |who: &str, can: &Can| {
            let source = source(can);
            format!("declared by configuration: {who}{source} cannot {}", kind.verb())
        };
        match declared.can.of(kind) {
            Some(Known::No) => return Ok(Some(by_configuration("it", &declared.can))),
            None if self.told(kind).is_no() => {
                return Ok(Some(format!("it told at its login that it cannot {}", kind.verb())));
            }
            _ => {}
        }
        let excluded = |method: &crate::config::Method| method.can.of(kind) == Some(Known::No);
        let Some(reference) = of.filter(|_| declared.methods.iter().any(excluded)) else { return Ok(None) };
        let Some(paid) = self.till.store.holder(self.name(), reference).await? else { return Ok(None) };
        let charge = self.till.store.find(&paid).await?.and_then(|entry| entry.outcome()?.into_charge());
        let method = charge.and_then(|charge| charge.card_name).and_then(|name| declared.method(&name).cloned());
        Ok(method.filter(excluded).map(|method| {
            let (name, source) = (&method.name, source(&method.can));
            match kind {
                OperationKind::Reversal => format!("declared by configuration: {name}{source} cannot be reversed"),
                _ => format!("declared by configuration: with {name}{source} it cannot {}", kind.verb()),
            }
        }))
    }

    /// What the terminal told about an operation when it was last connected.
    fn told(&self, kind: OperationKind) -> Known {
        match kind {
            OperationKind::Pay => Known::Yes,
            _ => self.capabilities().unwrap_or_default().of(kind),
        }
    }
}
