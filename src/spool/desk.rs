//! Which job each printer is printing, for all routes that share the printer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::manager::lock;

/// The jobs under way, by printer. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Desks(Arc<Mutex<BTreeMap<String, watch::Sender<Option<Instant>>>>>);

/// A printer's, for one job; released when dropped.
pub(super) struct Claim(watch::Sender<Option<Instant>>);

impl Desks {
    /// Since when a printer has been busy with one job, if it is; changes can be awaited.
    pub(super) fn watch(&self, printer: &str) -> watch::Receiver<Option<Instant>> {
        self.desk(printer).subscribe()
    }

    /// Takes a printer for one job; `None` if it has one.
    pub(super) fn claim(&self, printer: &str) -> Option<Claim> {
        let desk = self.desk(printer);
        let free = desk.send_if_modified(|since| {
            let free = since.is_none();
            since.get_or_insert_with(Instant::now);
            free
        });
        free.then(|| Claim(desk))
    }

    fn desk(&self, printer: &str) -> watch::Sender<Option<Instant>> {
        lock(&self.0).entry(printer.to_owned()).or_default().clone()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}
