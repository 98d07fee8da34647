//! One connection to the till: its messages.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tresen::Kind;

use super::{ASKS, Port, Standing, nothing};
use crate::attach::wire::{Answered, Ask, Attached, FromHandheld, FromTill, Taken};
use crate::server::lock;
use crate::wire::text;

impl Port {
    /// The next message to the till. Cancel-safe.
    pub async fn next(&mut self) -> Option<String> {
        self.messages.recv().await
    }

    /// Takes in a message of the till. Returns at once: what takes time goes on by itself, also when the connection is
    /// lost.
    pub fn take(&self, message: FromTill) {
        let _turn = lock(&self.shared.turn);
        if lock(&self.shared.state).port.as_ref().is_none_or(|port| port.number != self.number) {
            tracing::debug!("a message came over a connection that was replaced");
            return;
        }
        match message {
            FromTill::Ask(ask) => self.asked(ask),
            FromTill::Taken(scan) => self.scan_over(&scan),
            FromTill::Lost(scan) => {
                tracing::warn!(scanner = scan.device.name, "the till had no place for a scan");
                self.scan_over(&scan);
            }
            FromTill::Attached { devices } => self.attached(devices),
            FromTill::Replaced { by } => {
                tracing::warn!(by, "another run of this handheld has taken over at the till");
                self.shared.standing.send_replace(Standing::Replaced { by });
            }
        }
    }

    fn scan_over(&self, scan: &Taken) {
        if let Some(scans) = lock(&self.shared.state).scans.get_mut(&scan.device.name) {
            scans.over(scan.number);
        }
        self.shared.send_scans(false);
    }

    fn attached(&self, devices: Vec<Attached>) {
        let busy = |attached: &Attached| attached.refused.as_ref().is_some_and(|why| why.kind() == Kind::Busy);
        if devices.iter().any(busy) {
            let (shared, number) = (Arc::downgrade(&self.shared), self.number);
            tokio::spawn(async move {
                sleep(AGAIN).await;
                let Some(shared) = shared.upgrade() else { return };
                let here = lock(&shared.state).port.as_ref().is_some_and(|port| port.number == number);
                if here {
                    shared.offer();
                }
            });
        }
        self.shared.standing.send_replace(Standing::Attached { devices });
    }

    fn asked(&self, Ask { id, device, call, with }: Ask) {
        let out = self.out.clone();
        let done = match self.shared.places.clone().try_acquire_owned() {
            // What has to be known before the next message is read is done here, the rest in a task of its own.
            Ok(place) => self.shared.begin(&self.till, device, &call, with).map(|work| (work, place)),
            Err(_) => Err(nothing(Kind::Busy, format!("{ASKS} calls of the till are pending"))),
        };
        tokio::spawn(async move {
            let done = match done {
                Ok((work, place)) => {
                    let done = work.await;
                    drop(place);
                    done
                }
                Err(error) => Err(error),
            };
            let answered = match done {
                Ok(reply) => Answered { id, reply: Some(reply), error: None },
                Err(error) => Answered { id, reply: None, error: Some(error) },
            };
            out.send(text(&FromHandheld::Answer(answered))).await.ok();
        });
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        if state.port.as_ref().is_some_and(|port| port.number == self.number) {
            state.port = None;
            self.shared.standing.send_if_modified(|standing| match standing {
                Standing::Attached { .. } => {
                    *standing = Standing::Away;
                    true
                }
                _ => false,
            });
        }
    }
}

/// How long after a refusal as busy everything is offered again.
const AGAIN: Duration = Duration::from_secs(15);
