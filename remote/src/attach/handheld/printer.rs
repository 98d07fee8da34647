//! Printing for the till: each attempt once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;
use tresen::{Effect, Error, Kind, Result, Tresen};

use super::{Peer, Shared, Work, nothing, reply};
use crate::attach::REMEMBERED;
use crate::attach::wire::{Kick, Print, Printed};
use crate::server::lock;
use crate::wire::required;

/// The last attempts to print, by till and key: `None` while they run.
#[derive(Default)]
pub(super) struct Attempts {
    known: BTreeMap<String, watch::Receiver<Option<Printed>>>,
    order: VecDeque<String>,
}

impl Attempts {
    /// What is known of an attempt; or where to write how a new one ends.
    fn begin(&mut self, key: &str) -> Result<watch::Receiver<Option<Printed>>, watch::Sender<Option<Printed>>> {
        if let Some(known) = self.known.get(key) {
            return Ok(known.clone());
        }
        let (told, outcome) = watch::channel(None);
        self.known.insert(key.to_owned(), outcome);
        self.order.push_back(key.to_owned());
        while self.order.len() > REMEMBERED {
            let Some(oldest) = self.order.pop_front() else { break };
            self.known.remove(&oldest);
        }
        Err(told)
    }
}

impl Shared {
    pub(super) fn print(
        self: &Arc<Self>,
        here: &Tresen,
        till: &Peer,
        name: &str,
        Print { key, job }: Print,
    ) -> Result<Work> {
        if key.is_empty() || key.len() > KEY {
            return Err(nothing(Kind::Input, format!("`key` has {} bytes; expected 1 to {KEY}", key.len())));
        }
        let printer = here.printer(name).map_err(|e| e.with_effect(Effect::None))?;
        let begun = lock(&self.state).attempts.begin(&till.ours(&key));
        let mut outcome = match begun {
            Ok(known) => known,
            Err(told) => {
                let outcome = told.subscribe();
                // Whoever asks may leave; the paper does not.
                tokio::spawn(async move {
                    let printed = printer.print_job(job).await;
                    told.send_replace(Some(printed.into()));
                });
                outcome
            }
        };
        Ok(Box::pin(async move {
            let ended = outcome.wait_for(Option::is_some).await.ok().and_then(|printed| printed.clone());
            let ended = ended.unwrap_or_else(|| Printed::Unknown(Error::new(Kind::Cancelled, "the handheld stops")));
            reply(&ended)
        }))
    }
}

/// Begins a call other than `print`.
pub(super) fn begin(till: &Tresen, name: &str, call: &str, with: Value) -> Result<Work> {
    let none = |error: Error| error.with_effect(Effect::None);
    let printer = till.printer(name).map_err(none)?;
    match call {
        "status" => Ok(Box::pin(async move { reply(&printer.status().await?) })),
        "identity" => Ok(Box::pin(async move { reply(&printer.identity().await?) })),
        "kick-drawer" => {
            let Kick { pin } = required(call, with).map_err(none)?;
            Ok(Box::pin(async move { reply(&printer.kick_drawer(pin).await?) }))
        }
        _ => Err(nothing(Kind::Unsupported, format!("a printer cannot `{call}`"))),
    }
}

/// Maximum length of an attempt's key, in bytes.
const KEY: usize = 128;
