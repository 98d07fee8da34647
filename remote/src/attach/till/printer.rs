//! A printer at a handheld.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tresen::hal::{BoxFuture, Driver};
use tresen::printers::panel::{PanelSide, Urgent, panel};
use tresen::printers::{Capabilities, DrawerPin, Identity, Job, Outcome, Panel, Printer, Status};
use tresen::{Context, Effect, Error, Kind, Result, Runtime};

use super::slot::{Here, SHORT, Slot, Unanswered, gone, read};
use crate::attach::PATIENCE;
use crate::attach::wire::{Device, Kick, Print, Printed};

/// A printer at a handheld, during one visit.
struct RemotePrinter {
    slot: Arc<Slot>,
    here: Arc<Here>,
    capabilities: Capabilities,
    runtime: Arc<dyn Runtime>,
    status: watch::Receiver<Option<Status>>,
    panel: Panel,
    serving: JoinHandle<()>,
}

pub(super) fn open(slot: Arc<Slot>, here: Arc<Here>, context: Context) -> Result<Box<dyn Printer>> {
    let Device::Printer { capabilities, .. } = &here.device else {
        return Err(Error::new(Kind::Protocol, "it is not offered as a printer"));
    };
    let capabilities = capabilities.clone();
    let (panel, side) = panel();
    let serving = tokio::spawn(serve(slot.clone(), here.clone(), side));
    let status = slot.status.subscribe();
    Ok(Box::new(RemotePrinter { slot, here, capabilities, runtime: context.runtime, status, panel, serving }))
}

/// Serves what is asked while a call is running.
async fn serve(slot: Arc<Slot>, here: Arc<Here>, mut side: PanelSide) {
    let mut told = slot.status.subscribe();
    loop {
        let now = *told.borrow_and_update();
        side.status.send_replace(now.unwrap_or_default());
        tokio::select! {
            biased;
            urgent = side.urgent.recv() => match urgent {
                Some(Urgent::Kick(pin, answer)) => _ = answer.send(kick(&slot, &here, pin).await),
                Some(_) => {}
                None => return,
            },
            changed = told.changed() => if changed.is_err() { return },
        }
    }
}

async fn kick(slot: &Slot, here: &Here, pin: DrawerPin) -> Result<()> {
    slot.ask(here, "kick-drawer", &Kick { pin }, SHORT).await
}

impl Driver for RemotePrinter {
    type Event = Status;

    fn event(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(async move {
            loop {
                tokio::select! {
                    biased;
                    why = self.slot.left(self.here.visit) => return Err(why),
                    changed = self.status.changed() => {
                        if changed.is_err() {
                            return Err(gone("the handheld is away"));
                        }
                        let status = *self.status.borrow_and_update();
                        if let Some(status) = status {
                            return Ok(status);
                        }
                    }
                }
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.serving.abort();
        Box::pin(std::future::ready(()))
    }
}

impl Drop for RemotePrinter {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Printer for RemotePrinter {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn status(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(async move { self.slot.ask(&self.here, "status", &Value::Null, SHORT).await })
    }

    fn identity(&mut self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async move { self.slot.ask(&self.here, "identity", &Value::Null, SHORT).await })
    }

    fn panel(&self) -> Panel {
        self.panel.clone()
    }

    fn print<'a>(&'a mut self, job: &'a Job) -> BoxFuture<'a, Outcome> {
        Box::pin(self.printed(job))
    }

    fn kick_drawer(&mut self, pin: DrawerPin) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { kick(&self.slot, &self.here, pin).await })
    }
}

impl RemotePrinter {
    async fn printed(&self, job: &Job) -> Outcome {
        let with = Print { key: self.runtime.new_id(), job: job.clone() };
        let with = match serde_json::to_value(with) {
            Ok(with) => with,
            Err(error) => {
                let error = Error::new(Kind::Input, "the job cannot be written as JSON").because(error);
                return Outcome::Failed { error, safe_to_retry: true };
            }
        };
        let deadline = Instant::now() + PRINT;
        let (mut here, mut sent) = (self.here.clone(), false);
        loop {
            let asked = timeout_at(deadline, here.wire.ask(&self.slot.id, "print", with.clone())).await;
            let lost = match asked {
                Ok(Ok(reply)) => return read::<Printed>("print", reply).map_or_else(Outcome::Unknown, Outcome::from),
                Ok(Err(Unanswered::NotSent)) if !sent => {
                    let error = gone("the handheld was lost before the job was sent").with_effect(Effect::None);
                    return Outcome::Failed { error, safe_to_retry: true };
                }
                Ok(Err(Unanswered::Refused(error))) if !sent && error.effect() == Effect::None => {
                    return Outcome::Failed { error, safe_to_retry: true };
                }
                Ok(Err(Unanswered::Refused(error))) => return Outcome::Unknown(error),
                Ok(Err(lost @ (Unanswered::Lost | Unanswered::NotSent))) => Error::from(lost),
                Err(_) => {
                    let what = format!("the handheld did not say within {} s how the job ended", PRINT.as_secs());
                    return Outcome::Unknown(Error::new(Kind::Timeout, what).with_effect(Effect::Unknown));
                }
            };
            sent = true;
            match timeout(PATIENCE, self.slot.back(&here)).await {
                Ok(Some(back)) => here = back,
                // Another run, which does not know of it; or nobody.
                Ok(None) | Err(_) => return Outcome::Unknown(lost.with_effect(Effect::Unknown)),
            }
        }
    }
}

/// Time limit of a print job, below that of the till's spool.
const PRINT: Duration = Duration::from_secs(600);
