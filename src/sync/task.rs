//! The task that sends the journal to the server.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tresen_hal::{Backoff, Error, Result};

use super::gap::Gap;
use super::upstream::Upstream;
use super::{Heard, SyncState, Wish, bounded, unpanicked};
use crate::event::{Bus, EventKind, Source};
use crate::manager::lock;
use crate::store::{OutboxEntry, Store};

pub(super) struct Task {
    pub(super) upstream: Arc<dyn Upstream>,
    pub(super) store: Store,
    pub(super) bus: Bus,
    /// The till's name.
    pub(super) name: String,
    /// The reference tables to fetch.
    pub(super) tables: Vec<String>,
    /// Whether to fetch the accounts' balances.
    pub(super) balances: bool,
    pub(super) state: watch::Sender<SyncState>,
    pub(super) heard: Arc<Mutex<Heard>>,
    /// The end of the journal.
    pub(super) end: watch::Receiver<i64>,
    pub(super) wishes: mpsc::Receiver<Wish>,
    /// Wishes that are not answered yet.
    pub(super) waiting: Vec<Wish>,
    /// Whether the till is closing.
    pub(super) closing: watch::Receiver<bool>,
    /// What a person was told about, so that a repeated answer is not reported twice.
    pub(super) told: BTreeSet<(i64, i64)>,
    /// The gap at the server that a person has accepted.
    pub(super) gap: Option<Gap>,
}

/// What ends a wait.
enum Woken {
    Closing,
    Wish,
    Written,
    Time,
}

impl Task {
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(self.store.random());
        loop {
            match unpanicked(self.online(&mut backoff)).await {
                Ok(()) => return,
                Err(error) => self.local(&error),
            }
            self.waiting.clear();
            if let Woken::Closing = self.woken(backoff.next_delay(), false).await {
                return;
            }
        }
    }

    /// Exchanges with the server until the till is closing.
    ///
    /// # Errors
    /// The server cannot be reached or used (any more).
    async fn online(&mut self, backoff: &mut Backoff) -> Result<()> {
        let mut sent = self.agree().await?;
        backoff.reset();
        let behind = *self.end.borrow() - sent;
        if behind > 0 {
            self.show(SyncState::CatchingUp { behind });
        }
        self.refresh().await?;
        loop {
            self.end.borrow_and_update();
            self.settle().await?;
            sent = self.send_all(sent).await?;
            self.show(SyncState::Connected);
            if *self.closing.borrow() && *self.end.borrow() == sent {
                return Ok(());
            }
            match self.woken(HEARTBEAT, true).await {
                Woken::Written | Woken::Closing => {}
                Woken::Wish => self.refresh().await?,
                Woken::Time => sent = self.agree().await?,
            }
        }
    }

    /// Sends every line after `sent`; returns the last.
    async fn send_all(&mut self, mut sent: i64) -> Result<i64> {
        loop {
            let batch = self.store.outbox_entries(sent, ROWS, BYTES).await?;
            let Some(last) = batch.last() else { return Ok(sent) };
            sent = self.send(last.epoch, last.seq, &batch).await?;
        }
    }

    /// Sends a batch that ends with this line; returns the line after which to continue.
    async fn send(&mut self, epoch: i64, seq: i64, batch: &[OutboxEntry]) -> Result<i64> {
        let pushed = bounded(PUSH, self.upstream.push(self.store.till(), batch)).await?;
        let mut disputed = false;
        for key in pushed.quarantined {
            if self.told.insert(key) {
                disputed = true;
                let (epoch, seq) = key;
                tracing::error!(epoch, seq, "the server has another entry under this key");
                let body = serde_json::json!({ "epoch": epoch, "seq": seq });
                self.store.note("quarantined", &format!("{epoch}/{seq}"), body).await?;
                self.bus.publish(Source::Till, EventKind::Quarantined { epoch, seq });
            }
        }
        let through = pushed.acks.iter().find(|ack| ack.epoch == epoch).map_or(0, |ack| ack.through);
        // Beyond an accepted gap the server cannot count; what it has stored is there.
        let beyond = self.gap.is_some_and(|gap| gap.epoch == epoch && gap.after == through && gap.before <= seq);
        let through = if beyond && !disputed { seq } else { through };
        if disputed || through > seq {
            // Somebody else writes under this till's id and epoch.
            return self.agree().await;
        }
        if through == seq {
            self.store.acknowledge(seq).await?;
            lock(&self.heard).acknowledged_at = Some(self.store.time());
        }
        Ok(seq)
    }

    /// Waits until something is to be done.
    async fn woken(&mut self, at_most: Duration, written: bool) -> Woken {
        tokio::select! {
            biased;
            _ = closing(&mut self.closing) => Woken::Closing,
            Some(wish) = self.wishes.recv() => {
                self.waiting.push(wish);
                Woken::Wish
            }
            Ok(()) = self.end.changed(), if written => Woken::Written,
            () = sleep(at_most) => Woken::Time,
        }
    }

    /// Shows that the till is on its own, and why.
    fn local(&self, error: &Error) {
        let why = error.to_string();
        let since = match &*self.state.borrow() {
            SyncState::Local { since, .. } => *since,
            _ => self.store.time(),
        };
        self.show(SyncState::Local { since, why });
    }

    /// Shows the state, and publishes an event if it has changed.
    fn show(&self, state: SyncState) {
        let changed = self.state.send_if_modified(|shown| {
            let changed = *shown != state;
            *shown = state.clone();
            changed
        });
        if changed {
            self.bus.publish(Source::Till, EventKind::Server(state));
        }
    }
}

/// Waits until the till is closing. A till that is dropped aborts the task instead.
async fn closing(signal: &mut watch::Receiver<bool>) {
    if signal.wait_for(|closing| *closing).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// How often an idle connection is checked.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Limits of a batch; an entry larger than that goes alone.
const ROWS: u32 = 512;
const BYTES: usize = 1 << 20;
/// Longest wait for the server to store a batch.
const PUSH: Duration = Duration::from_secs(30);
/// Longest wait for any other answer.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
