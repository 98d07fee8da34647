//! Leases of open sales, which are in the database.

use jiff::Timestamp;
use tresen_hal::Result;

use super::desk::Leases;
use super::slot::Slot;
use super::words::{Target, View};
use crate::registry::to_its_end;
use crate::store::Origin;

impl Leases {
    /// Changes the lease of an open sale; the change is on disk when this returns. Dropping the future discards the
    /// answer, not the change.
    pub(super) async fn sale<T: Send + 'static>(
        &self,
        sale: &str,
        origin: &Origin,
        change: impl FnOnce(&mut Slot, Timestamp) -> T + Send + 'static,
    ) -> Result<T> {
        let (leases, sale, origin) = (self.clone(), sale.to_owned(), origin.clone());
        to_its_end(async move {
            let inner = &leases.0;
            let _turn = inner.turn.lock().await;
            let now = inner.clock.now();
            let change = move |slot: &mut Slot| change(slot, now);
            let changed = inner.store.change_lease(&sale, &origin, change).await?;
            if let Some(due) = changed.due {
                inner.store.lease_alarm().set(due);
            }
            leases.tell(sale, &changed.changes);
            Ok(changed.answer)
        })
        .await
    }

    /// Ends what has expired, and what belongs to sales that are no longer open; returns when to look again.
    pub(super) async fn tick_sales(&self) -> Result<Option<Timestamp>> {
        let _turn = self.0.turn.lock().await;
        let ended = self.0.store.end_leases(self.0.clock.now()).await?;
        for (sale, changes) in ended.changes {
            self.tell(sale, &changes);
        }
        Ok(ended.due)
    }

    /// The leases of all open sales, oldest sale first.
    pub(super) async fn sale_views(&self) -> Result<Vec<View>> {
        let now = self.0.clock.now();
        let slots = self.0.store.sale_leases().await?;
        let views = slots.into_iter().filter_map(|(sale, mut slot)| {
            slot.tick(now);
            slot.view(&Target::Sale(sale))
        });
        Ok(views.collect())
    }

    fn tell(&self, sale: String, changes: &[super::Change]) {
        if !changes.is_empty() {
            self.0.publish(&Target::Sale(sale), changes);
            self.0.sales_moved.notify_waiters();
        }
    }
}
