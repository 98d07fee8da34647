//! A scanner at a handheld.

use std::sync::Arc;

use tresen::hal::{BoxFuture, Driver};
use tresen::scanners::{Capabilities, Scanner};
use tresen::{Context, Error, Kind, Result, Scan};

use super::slot::{Here, SHORT, Slot};
use crate::attach::wire::{Device, Switch};

/// A scanner at a handheld, during one visit.
struct RemoteScanner {
    slot: Arc<Slot>,
    here: Arc<Here>,
    capabilities: Capabilities,
}

pub(super) fn open(slot: Arc<Slot>, here: Arc<Here>, _context: Context) -> Result<Box<dyn Scanner>> {
    let Device::Scanner { capabilities, .. } = &here.device else {
        return Err(Error::new(Kind::Protocol, "it is not offered as a scanner"));
    };
    let capabilities = capabilities.clone();
    Ok(Box::new(RemoteScanner { slot, here, capabilities }))
}

impl RemoteScanner {
    fn switch<'a>(&'a self, call: &'static str, on: bool) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.slot.ask(&self.here, call, &Switch { on }, SHORT).await })
    }
}

impl Driver for RemoteScanner {
    type Event = Scan;

    fn event(&mut self) -> BoxFuture<'_, Result<Scan>> {
        Box::pin(async move {
            loop {
                // Made before looking, so that no scan is missed.
                let arrived = self.slot.arrived.notified();
                if let Some(scan) = self.slot.take_scan() {
                    return Ok(scan);
                }
                tokio::select! {
                    biased;
                    () = arrived => {}
                    why = self.slot.left(self.here.visit) => return Err(why),
                }
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Scanner for RemoteScanner {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn set_enabled(&mut self, enabled: bool) -> BoxFuture<'_, Result<()>> {
        self.switch("set-enabled", enabled)
    }

    fn beep(&mut self, good: bool) -> BoxFuture<'_, Result<()>> {
        self.switch("beep", good)
    }

    fn trigger(&mut self, on: bool) -> BoxFuture<'_, Result<()>> {
        self.switch("trigger", on)
    }
}
