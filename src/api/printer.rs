//! Printers and routes; `printer` names either.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tresen_hal::{Effect, Error, Result};
use tresen_printers::{self as printers, Content, DrawerPin};

use super::millis::{self, patience};
use super::{Command, Need, Right};
use crate::manager::{self, Printer};
use crate::spool::{self, PrintJob};
use crate::store::{SpooledJob, no_job};
use crate::tresen::Tresen;

/// Prints, and waits until the job is on paper: [`Printer::print_as`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Print {
    /// The printer or route.
    pub printer: String,
    /// The content.
    pub content: Content,
    /// The job's id, chosen by the caller: the same id is never printed twice. Generated if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// How long to wait for the result; default the till's `patience`. The job is printed anyway, however long that takes.
    #[serde(rename = "within_ms", with = "millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for Print {
    const NAME: &'static str = "printer.print";
    const RIGHT: Right = Right::Print;
    const CHANGES: bool = true;
    type Reply = spool::Print;

    fn device(&self) -> Option<&str> {
        Some(&self.printer)
    }

    async fn needs(&mut self, _: &Tresen) -> Result<Vec<Need>> {
        Ok(to_print(&self.content, &self.printer))
    }

    fn key_slot(&mut self) -> Option<&mut Option<String>> {
        Some(&mut self.id)
    }

    async fn run(self, till: &Tresen) -> Result<spool::Print> {
        let within = patience(self.within, till.config().till.patience);
        let id = self.id.unwrap_or_else(|| till.new_id());
        submit(till, &self.printer, &id, self.content).await?.outcome(within).await
    }
}

/// Queues a job and returns at once: [`Printer::submit_content_as`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// The printer or route.
    pub printer: String,
    /// The content.
    pub content: Content,
    /// The job's id, as in `printer.print`.
    #[serde(default)]
    pub id: Option<String>,
}

/// A job in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Queued {
    /// Its id.
    pub job: String,
}

impl Command for Submit {
    const NAME: &'static str = "printer.submit";
    const RIGHT: Right = Right::Print;
    const CHANGES: bool = true;
    type Reply = Queued;

    fn device(&self) -> Option<&str> {
        Some(&self.printer)
    }

    async fn needs(&mut self, _: &Tresen) -> Result<Vec<Need>> {
        Ok(to_print(&self.content, &self.printer))
    }

    fn key_slot(&mut self) -> Option<&mut Option<String>> {
        Some(&mut self.id)
    }

    async fn run(self, till: &Tresen) -> Result<Queued> {
        let id = self.id.unwrap_or_else(|| till.new_id());
        let job = submit(till, &self.printer, &id, self.content).await?;
        Ok(Queued { job: job.id().to_owned() })
    }
}

/// Waits until a job is printed, parked or cancelled, and returns its state:
/// [`PrintJob::outcome`](crate::PrintJob::outcome).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The job's id.
    pub job: String,
    /// How long to wait; default the till's `patience`, 0 returns the current state.
    #[serde(rename = "within_ms", with = "millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for Outcome {
    const NAME: &'static str = "printer.outcome";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    const WAITS: bool = true;
    type Reply = spool::Print;

    async fn needs(&mut self, till: &Tresen) -> Result<Vec<Need>> {
        Ok(vec![of_job(till, Self::RIGHT, &self.job).await?])
    }

    async fn run(self, till: &Tresen) -> Result<spool::Print> {
        till.0.spool.follow(&self.job).outcome(patience(self.within, till.config().till.patience)).await
    }
}

/// A stored job, without its content: [`Store::job`](crate::Store::job).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// The job's id.
    pub job: String,
}

impl Command for Find {
    const NAME: &'static str = "printer.find";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Option<SpooledJob>;

    async fn needs(&mut self, till: &Tresen) -> Result<Vec<Need>> {
        Ok(vec![of_job(till, Self::RIGHT, &self.job).await?])
    }

    async fn run(self, till: &Tresen) -> Result<Option<SpooledJob>> {
        till.store().job(&self.job).await
    }
}

/// Reprints a parked job, marked as a copy: [`Printer::reprint`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reprint {
    /// The job's id.
    pub job: String,
    /// How long to wait for the result; default the till's `patience`.
    #[serde(rename = "within_ms", with = "millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for Reprint {
    const NAME: &'static str = "printer.reprint";
    const RIGHT: Right = Right::Print;
    const CHANGES: bool = true;
    type Reply = spool::Print;

    async fn needs(&mut self, till: &Tresen) -> Result<Vec<Need>> {
        to_send_again(till, &self.job, None).await
    }

    async fn run(self, till: &Tresen) -> Result<spool::Print> {
        let job = till.0.spool.reprint(&self.job).await?;
        job.outcome(patience(self.within, till.config().till.patience)).await
    }
}

/// Moves a waiting or parked job to another printer or route: [`Printer::adopt`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Adopt {
    /// The printer or route to move it to.
    pub printer: String,
    /// The job's id.
    pub job: String,
}

impl Command for Adopt {
    const NAME: &'static str = "printer.adopt";
    const RIGHT: Right = Right::Print;
    const CHANGES: bool = true;
    type Reply = Queued;

    fn device(&self) -> Option<&str> {
        Some(&self.printer)
    }

    async fn needs(&mut self, till: &Tresen) -> Result<Vec<Need>> {
        let mut needs = vec![Need::new(Self::RIGHT, Some(&self.printer))];
        needs.extend(to_send_again(till, &self.job, Some(&self.printer)).await?);
        // What was never on paper is no copy when it is moved, and opens the drawer there.
        let queued = till.store().job(&self.job).await?.is_some_and(|job| !job.copy);
        if queued && till.store().job_content(&self.job).await?.is_some_and(|content| content.may_open_drawer()) {
            needs.push(Need::new(Right::Drawer, Some(&self.printer)));
        }
        Ok(needs)
    }

    async fn run(self, till: &Tresen) -> Result<Queued> {
        let job = till.printer(&self.printer)?.adopt(&self.job).await?;
        Ok(Queued { job: job.id().to_owned() })
    }
}

/// Cancels a waiting or parked job: [`Printer::cancel`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// The job's id.
    pub job: String,
}

impl Command for Cancel {
    const NAME: &'static str = "printer.cancel";
    const RIGHT: Right = Right::Print;
    const CHANGES: bool = true;
    type Reply = ();

    async fn needs(&mut self, till: &Tresen) -> Result<Vec<Need>> {
        Ok(vec![of_job(till, Self::RIGHT, &self.job).await?])
    }

    async fn run(self, till: &Tresen) -> Result<()> {
        till.0.spool.cancel(&self.job).await
    }
}

/// What a job would look like on paper, as a picture: [`Printer::preview`]. Nothing is printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// The printer or route.
    pub printer: String,
    /// The content.
    pub content: Content,
}

impl Command for Preview {
    const NAME: &'static str = "printer.preview";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = printers::Preview;

    fn device(&self) -> Option<&str> {
        Some(&self.printer)
    }

    async fn run(self, till: &Tresen) -> Result<printers::Preview> {
        till.printer(&self.printer)?.preview(self.content).await
    }
}

/// What a stored job looks like on paper, as a picture: [`Printer::picture`]. The mark of a copy is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// The job's id.
    pub job: String,
    /// The printer or route on which to show it; default its own.
    #[serde(default)]
    pub printer: Option<String>,
}

impl Command for Picture {
    const NAME: &'static str = "printer.picture";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = printers::Preview;

    fn device(&self) -> Option<&str> {
        self.printer.as_deref()
    }

    async fn needs(&mut self, till: &Tresen) -> Result<Vec<Need>> {
        Ok(vec![of_job(till, Self::RIGHT, &self.job).await?])
    }

    async fn run(self, till: &Tresen) -> Result<printers::Preview> {
        let printer = match self.printer {
            Some(printer) => printer,
            None => till.store().job(&self.job).await?.ok_or_else(|| no_job(&self.job))?.route,
        };
        till.printer(&printer)?.picture(&self.job).await
    }
}

/// Opens the drawer: [`Printer::kick_drawer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KickDrawer {
    /// The printer.
    pub printer: String,
    /// The drawer pin; default 2.
    #[serde(default)]
    pub pin: DrawerPin,
}

impl Command for KickDrawer {
    const NAME: &'static str = "printer.kick-drawer";
    const RIGHT: Right = Right::Drawer;
    const CHANGES: bool = true;
    type Reply = ();

    fn device(&self) -> Option<&str> {
        Some(&self.printer)
    }

    async fn run(self, till: &Tresen) -> Result<()> {
        till.printer(&self.printer)?.kick_drawer(self.pin).await
    }
}

/// Commands with no argument but the printer's name.
macro_rules! asks {
    ($($(#[$doc:meta])* $command:ident $name:literal $right:ident $changes:literal $reply:ty, $run:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// The printer or route.
            pub printer: String,
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            const RIGHT: Right = Right::$right;
            const CHANGES: bool = $changes;
            type Reply = $reply;

            fn device(&self) -> Option<&str> {
                Some(&self.printer)
            }

            async fn run(self, till: &Tresen) -> Result<$reply> {
                let printer = till.printer(&self.printer)?;
                let run: fn(Printer) -> _ = $run;
                run(printer).await
            }
        }
    )*};
}

asks! {
    /// Queries its status: [`Printer::status`].
    Status "printer.status" Watch false printers::Status, |printer| async move { printer.status().await };
    /// Queries its identity: [`Printer::identity`].
    Identity "printer.identity" Watch false printers::Identity, |printer| async move { printer.identity().await };
    /// Its capabilities: [`Printer::capabilities`].
    Capabilities "printer.capabilities" Watch false Option<printers::Capabilities>,
        |printer| async move { Ok(printer.capabilities()) };
    /// Its state: [`Printer::phase`].
    Phase "printer.phase" Watch false manager::Phase, |printer| async move { Ok(printer.phase().borrow().clone()) };
    /// Reopens it: [`Printer::reset`].
    Reset "printer.reset" Configure true (), |printer| async move { printer.reset().await };
}

/// Queues a job; one that was queued before under this id is the same job, even where the printer is not there any more.
async fn submit(till: &Tresen, printer: &str, id: &str, content: Content) -> Result<PrintJob> {
    let gone = match till.printer(printer) {
        Ok(printer) => return printer.submit_content_as(id, content).await,
        Err(gone) => gone,
    };
    let before = async { Ok::<_, Error>((till.store().job(id).await?, till.store().job_content(id).await?)) };
    match before.await {
        Ok((Some(job), Some(queued))) if job.route == printer && queued == content => Ok(till.0.spool.follow(id)),
        Ok(_) => Err(gone),
        Err(unreadable) => Err(unreadable.with_effect(Effect::Unknown)),
    }
}

/// To print `content` on `printer`: also the drawer's right, if it may open one.
fn to_print(content: &Content, printer: &str) -> Vec<Need> {
    let drawer = content.may_open_drawer().then(|| Need::new(Right::Drawer, Some(printer)));
    [Need::new(Right::Print, Some(printer))].into_iter().chain(drawer).collect()
}

/// To have a stored job printed again, on `printer` if it is another. A copy opens no drawer, but raw bytes are sent as they
/// are.
async fn to_send_again(till: &Tresen, job: &str, printer: Option<&str>) -> Result<Vec<Need>> {
    let mut needs = vec![of_job(till, Right::Print, job).await?];
    if let Some(Content::Raw(_)) = till.store().job_content(job).await? {
        let printer = printer.map(str::to_owned).or_else(|| needs[0].device.clone());
        needs.push(Need { right: Right::Drawer, device: printer });
    }
    Ok(needs)
}

/// The right for what prints a job; for all printers if there is no such job.
async fn of_job(till: &Tresen, right: Right, job: &str) -> Result<Need> {
    let job = till.store().job(job).await?;
    Ok(Need::new(right, job.as_ref().map(|job| job.route.as_str())))
}
