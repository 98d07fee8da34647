//! Leases of a till, by the name of its caller.

use jiff::Timestamp;
use tresen_hal::{Error, Kind, Result};

use super::desk::Leases;
use super::handle::{Lease, Place};
use super::refusal::{Refusal, free, nameless};
use super::slot::{Claim, Slot};
use super::words::{Grant, Key, Target, Turn, View, Wish};
use crate::class::Class;
use crate::manager::{Printer, Scanner, Terminal, no_device};
use crate::store::Origin;
use crate::tresen::Tresen;

impl Tresen {
    /// Leases a device or an open sale for this till's caller, who must have a name: [`Tresen::on_behalf_of`]. Leasing
    /// again renews the lease.
    ///
    /// ```no_run
    /// # async fn take(till: tresen::Tresen) -> tresen::Result<()> {
    /// let anna = till.on_behalf_of("handheld 7");
    /// let bar = anna.lease(&anna.terminal("bar")?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Kind::Busy`]: somebody else has it; the error says who, since when, and what to do. [`Kind::Input`]: the caller
    /// has no name, or the sale is not open. [`Kind::Config`]: unknown device. [`Kind::Storage`], for a sale.
    pub async fn lease(&self, target: impl Into<Target>) -> Result<Lease> {
        let (target, name, ttl) = (target.into(), self.holder()?, self.0.leases.ttl());
        let asks = (target.clone(), name.clone());
        let leased = self.at(&target, move |slot, now| {
            slot.acquire(&name, ttl, now)?;
            Ok(slot.grant_of(&asks.0, &asks.1))
        });
        let grant = leased.await?.map_err(|refusal: Refusal| refusal.into_error(&target))?;
        Ok(Lease::new(self, grant.ok_or_else(|| free(&target))?))
    }

    /// Queues for a lease, or gets it at once if it is free.
    ///
    /// # Errors
    /// As [`Tresen::lease`], but for [`Kind::Busy`].
    pub async fn queue(&self, target: impl Into<Target>) -> Result<Place> {
        let target = target.into();
        let turn = self.queue_turn(&target).await?;
        Ok(Place::new(self, target, &self.holder()?, &turn))
    }

    /// As [`Tresen::queue`], without a handle: the place is kept for the time to live, unless this is called again.
    /// With the first call it is taken, with the others renewed.
    ///
    /// # Errors
    /// As [`Tresen::queue`].
    pub async fn queue_turn(&self, target: &Target) -> Result<Turn> {
        let ttl = self.0.leases.ttl();
        self.turn(target, move |slot, name, now| slot.queue(name, ttl, now)).await
    }

    /// Leaves the queue for a lease; false if the caller was not in it.
    ///
    /// # Errors
    /// [`Kind::Input`]: the caller has no name. [`Kind::Storage`], for a sale.
    pub async fn leave_queue(&self, target: &Target) -> Result<bool> {
        let name = self.holder()?;
        over_with_its_sale(target, self.at(target, move |slot, now| slot.leave(&name, now)).await)
    }

    /// Takes a lease from whoever has it, before all who queue for it; `why` is in the journal and in what the former
    /// holder is told. A running transaction ends first: the place waits for that.
    ///
    /// # Errors
    /// As [`Tresen::queue`]; [`Kind::Input`]: no reason is given.
    pub async fn take_over(&self, target: impl Into<Target>, why: &str) -> Result<Place> {
        let target = target.into();
        let turn = self.take_over_turn(&target, why).await?;
        Ok(Place::new(self, target, &self.holder()?, &turn))
    }

    /// As [`Tresen::take_over`], without a handle: see [`Tresen::queue_turn`].
    ///
    /// # Errors
    /// As [`Tresen::take_over`].
    pub async fn take_over_turn(&self, target: &Target, why: &str) -> Result<Turn> {
        let (why, ttl) = (why.trim().to_owned(), self.0.leases.ttl());
        if why.is_empty() {
            return Err(Error::new(Kind::Input, "taking over a lease needs a reason").at(target));
        }
        self.turn(target, move |slot, name, now| slot.take_over(name, &why, ttl, now)).await
    }

    /// Asks the holder of a lease to let go; returns the lease. The holder hears of it by
    /// [`EventKind::LeaseWanted`](crate::EventKind::LeaseWanted) and [`Lease::asked`].
    ///
    /// # Errors
    /// [`Kind::Input`]: nobody has leased it; otherwise as [`Tresen::queue`].
    pub async fn ask_holder(&self, target: impl Into<Target>, why: &str) -> Result<View> {
        let (target, name, why) = (target.into(), self.holder()?, why.to_owned());
        let asks = target.clone();
        let asked = self.at(&target, move |slot, now| {
            slot.ask(&name, &why, now)?;
            Ok::<_, super::refusal::Lost>(slot.view(&asks))
        });
        asked.await?.ok().flatten().ok_or_else(|| free(&target))
    }

    /// Renews the caller's lease, or that of [`Tresen::with_lease`].
    ///
    /// # Errors
    /// [`Kind::Cancelled`]: it has ended; the error says how. [`Kind::Busy`]: somebody else has it. [`Kind::Storage`],
    /// for a sale.
    pub async fn renew_lease(&self, target: &Target) -> Result<Grant> {
        let (asker, holder, asks) = (self.asker(), self.holder()?, target.clone());
        let renewed = self.at(target, move |slot, now| {
            slot.renew(asker.claim(&asks), now)?;
            Ok(slot.grant_of(&asks, &holder))
        });
        let grant = renewed.await?.map_err(|refusal: Refusal| refusal.into_error(target))?;
        grant.ok_or_else(|| free(target))
    }

    /// Ends the caller's lease, or that of [`Tresen::with_lease`]; false if it had ended before. A running transaction
    /// keeps it until its end.
    ///
    /// # Errors
    /// [`Kind::Input`]: the caller has no name. [`Kind::Storage`], for a sale.
    pub async fn release_lease(&self, target: &Target) -> Result<bool> {
        let (asker, asks) = (self.asker(), target.clone());
        self.holder()?;
        over_with_its_sale(target, self.at(target, move |slot, now| slot.release(asker.claim(&asks), now)).await)
    }

    /// All leases: of devices, by class and name, then of sales, oldest sale first.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn leases(&self) -> Result<Vec<View>> {
        let mut leases = self.0.leases.views();
        leases.extend(self.0.leases.sale_views().await?);
        Ok(leases)
    }

    /// The same till for calls that depend on a lease: once it has ended, calls that concern its target are refused
    /// with [`Kind::Cancelled`], whoever has it then.
    #[must_use]
    pub fn with_lease(&self, key: &Key) -> Self {
        self.with_leases(std::slice::from_ref(key))
    }

    /// The payment terminal of the caller's station: `[stations."handheld 7"]`.
    ///
    /// # Errors
    /// [`Kind::Config`]: the caller has no station, it has no terminal, or there is no such terminal.
    pub fn my_terminal(&self) -> Result<Terminal> {
        self.terminal(&self.mine(Class::Terminal)?)
    }

    /// The printer of the caller's station.
    ///
    /// # Errors
    /// [`Kind::Config`]: the caller has no station, it has no printer, or there is no such printer.
    pub fn my_printer(&self) -> Result<Printer> {
        self.printer(&self.mine(Class::Printer)?)
    }

    /// The scanner of the caller's station.
    ///
    /// # Errors
    /// [`Kind::Config`]: the caller has no station, it has no scanner, or there is no such scanner.
    pub fn my_scanner(&self) -> Result<Scanner> {
        self.scanner(&self.mine(Class::Scanner)?)
    }

    /// The name of the device assigned to the caller's station.
    fn mine(&self, class: Class) -> Result<String> {
        let Some(station) = self.origin().and_then(|origin| origin.station) else {
            let what = format!("this caller has no station, and so no {class} of its own");
            return Err(Error::new(Kind::Config, what).hint("name it: `Tresen::on_behalf_of`"));
        };
        let config = self.config();
        let Some(fixed) = config.stations.get(&station) else {
            return Err(no_device("station", &station, config.stations.keys().cloned().collect()));
        };
        fixed.device(class).map(str::to_owned).ok_or_else(|| {
            let what = format!("station `{station}` has no {class}");
            Error::new(Kind::Config, what).hint(format!("set `{class}` under [stations.\"{station}\"]"))
        })
    }

    /// Who asks the caller to let go.
    pub(super) async fn wishes(&self, target: &Target) -> Result<Vec<Wish>> {
        let (asker, asks) = (self.asker(), target.clone());
        let view = self.at(target, move |slot, now| {
            let mut probe = slot.clone();
            probe.renew(asker.claim(&asks), now)?;
            Ok(slot.view(&asks))
        });
        let view = view.await?.map_err(|refusal: Refusal| refusal.into_error(target))?;
        Ok(view.map(|view| view.asked).unwrap_or_default())
    }

    async fn turn(
        &self,
        target: &Target,
        change: impl FnOnce(&mut Slot, &str, Timestamp) + Send + 'static,
    ) -> Result<Turn> {
        let (name, asks) = (self.holder()?, target.clone());
        let turn = self.at(target, move |slot, now| {
            change(slot, &name, now);
            slot.turn(&asks, &name)
        });
        turn.await?.ok_or_else(|| free(target))
    }

    /// Changes the lease of a target that exists. What belongs in the journal is written when this returns.
    async fn at<T: Send + 'static>(
        &self,
        target: &Target,
        change: impl FnOnce(&mut Slot, Timestamp) -> T + Send + 'static,
    ) -> Result<T> {
        self.0.leases.is_open()?;
        let origin = self.origin().unwrap_or_default();
        match target {
            Target::Device(id) => {
                self.0.registry.any(id)?;
                let (changed, written) = self.0.leases.device(id, &origin, change);
                if let Some(written) = written {
                    written.await.ok();
                }
                Ok(changed)
            }
            Target::Sale(sale) => self.0.leases.sale(sale, &origin, change).await,
        }
    }

    /// The name of the caller.
    fn holder(&self) -> Result<String> {
        self.asker().name().map(str::to_owned).ok_or_else(nameless)
    }
}

/// The lease of a sale ends with it, and so does its queue.
fn over_with_its_sale(target: &Target, ended: Result<bool>) -> Result<bool> {
    match ended {
        Err(error) if error.kind() == Kind::Input && matches!(target, Target::Sale(_)) => Ok(false),
        ended => ended,
    }
}

impl Leases {
    /// A holder of a place in the queue has gone: it leaves the queue, or gives back what it has just got.
    pub(super) fn abandon(&self, target: Target, name: String) {
        let leave = move |slot: &mut Slot, now: Timestamp| {
            if !slot.leave(&name, now) {
                slot.release(Claim { name: Some(&name), token: None }, now);
            }
        };
        match target {
            Target::Device(id) => drop(self.device(&id, &Origin::new(), leave)),
            Target::Sale(sale) => {
                let Ok(tasks) = tokio::runtime::Handle::try_current() else { return };
                let leases = self.clone();
                tasks.spawn(async move {
                    if let Err(error) = leases.sale(&sale, &Origin::new(), leave).await {
                        tracing::debug!(%error, "a place in a queue expires instead");
                    }
                });
            }
        }
    }
}
