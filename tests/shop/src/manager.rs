//! The manager of the shop: settles what is unknown by the terminal's own ledger, prints parked jobs again, changes the
//! configuration, takes devices away and brings them back.

use std::time::Duration;

use tresen::payment::zvt::{self, sim};
use tresen::payment::{Decision, Intent, journal};
use tresen::{Amount, Class, DeviceId, JobState};

use crate::checkout::{AT_ONCE, PRINT, SECONDS_61, note_print};
use crate::counter::{Actor, Counter, Shift};
use crate::dice::Dice;
use crate::disaster::back_up;
use crate::invariants;
use crate::setup::{Setup, configure};

/// The manager.
pub struct Manager {
    dice: Dice,
}

impl Manager {
    /// A manager who looks in now and then.
    pub fn new(dice: Dice) -> Self {
        Self { dice }
    }

    async fn step(&mut self, counter: &Counter) {
        match self.dice.below(14) {
            0..=3 => reprint(counter).await,
            4..=6 => settle(counter).await,
            7 => {
                let setup = [Setup::Whole, Setup::NoStove, Setup::Swapped, Setup::NoBar][self.dice.index(4)];
                reload(counter, setup).await;
            }
            8 => {
                let id = [
                    DeviceId::new(Class::Printer, "stove"),
                    DeviceId::new(Class::Printer, "front"),
                    DeviceId::new(Class::Terminal, "bar"),
                    DeviceId::new(Class::Scanner, "belt"),
                ][self.dice.index(4)]
                .clone();
                counter.world.notebook().detached.insert(id.name.clone());
                let call = counter.till.detach(&id, CHANGE);
                counter.call(WHO, format_args!("detaches {id}"), CHANGED, call).await.ok();
            }
            9 => {
                if let Ok(terminal) = counter.till.terminal("bar") {
                    counter
                        .call(WHO, "closes the bar's day", Duration::from_secs(906), terminal.end_of_day())
                        .await
                        .ok();
                }
            }
            10 => {
                if let Ok(terminal) = counter.till.terminal("counter") {
                    counter.call(WHO, "asks for a recovery", Duration::from_secs(906), terminal.recover()).await.ok();
                }
            }
            11 | 12 => back_up(counter, WHO).await,
            _ => {
                if let Ok(terminal) = counter.till.terminal("counter") {
                    counter.call(WHO, "wants the receipt again", SECONDS_61, terminal.repeat_receipt()).await.ok();
                }
            }
        }
    }
}

impl Actor for Manager {
    fn shift<'a>(&'a mut self, counter: &'a Counter) -> Shift<'a> {
        Box::pin(async move {
            // A dozen times a shift, and at least every ten minutes.
            let gap = (counter.world.plan.length / 12).min(Duration::from_secs(600)).as_millis() as u64;
            loop {
                let pause = self.dice.millis(3_000, 2 * gap);
                counter.pause(pause).await;
                if !counter.world.is_open() {
                    return;
                }
                if self.dice.percent(60) {
                    look_after_printers(counter);
                }
                self.step(counter).await;
            }
        })
    }
}

/// Puts paper in where there is none, and shuts what is open.
fn look_after_printers(counter: &Counter) {
    counter.world.story.tell(WHO, "puts paper into the printers and shuts them");
    for place in &counter.world.printers {
        place.with(|printer| {
            printer.load_paper();
            printer.cover(false);
        });
    }
}

/// Prints every parked job again.
pub async fn reprint(counter: &Counter) {
    let Ok(open) = counter.call(WHO, "looks for parked jobs", AT_ONCE, counter.till.open_jobs()).await else { return };
    for job in open.into_iter().filter(|job| job.state == JobState::Unknown) {
        let Ok(printer) = counter.till.printer(&job.route) else { continue };
        *counter.world.notebook().copies.entry(job.id.clone()).or_default() += 1;
        let what = format!("prints {} again, marked as a copy", job.id);
        if let Ok(print) = counter.call(WHO, what, PRINT, printer.reprint(&job.id)).await {
            note_print(counter, &job.id, &print);
        }
    }
}

/// Settles the payments that have been open for long by what the terminals have stored.
pub async fn settle(counter: &Counter) {
    for (at, place) in counter.world.terminals.iter().enumerate() {
        let open = counter.till.open_payments(place.name());
        let what = format!("looks for open payments at the {}", place.name());
        let Ok(open) = counter.call(WHO, what, AT_ONCE, open).await else { continue };
        for intent in open {
            let age = counter.till.runtime().wall().duration_since(intent.at);
            if Duration::try_from(age).unwrap_or_default() < OLD || !place.is_idle() {
                continue;
            }
            let decision = decide(counter, at, &intent).await;
            let Some(decision) = decision else { continue };
            let what = format!("settles {}: {:?}", intent.id.0, decision.charged);
            counter.world.notebook().count("settled by hand");
            counter.call(WHO, what, AT_ONCE, counter.till.settle(&intent.id, decision)).await.ok();
        }
    }
}

/// What the ledger says of an open payment: the largest transaction that may be this one.
async fn decide(counter: &Counter, at: usize, intent: &Intent) -> Option<Decision> {
    let place = &counter.world.terminals[at];
    let candidates = invariants::money::candidates(counter, at, intent).await.ok()?;
    let fits = |t: &&sim::Transaction| match (&intent.operation, t.kind) {
        (journal::Transaction::Payment, sim::Kind::Payment) => t.amount.minor() <= intent.amount.minor(),
        (journal::Transaction::Reversal { .. }, sim::Kind::Reversal(_)) => t.amount == intent.amount,
        (journal::Transaction::Refund, sim::Kind::Refund) => t.amount == intent.amount,
        _ => false,
    };
    // The whole amount before a part of it.
    let found = candidates.iter().filter(fits).max_by_key(|t| t.amount.minor());
    let terminal = place.with(|device| device.profile_mut().terminal_id.clone());
    Some(match found {
        Some(found) => {
            let (receipt, trace) = (format!("{:04}", found.receipt), format!("{:06}", found.trace));
            let reference = zvt::reference(Some(&terminal), &receipt, Some(&trace));
            let charged = Amount::new(found.amount.minor(), intent.amount.currency());
            Decision::charged(charged, WHO, format!("receipt {receipt} on the terminal")).with_reference(reference)
        }
        None => Decision::not_charged(WHO, "the terminal has no such receipt"),
    })
}

/// Changes the configuration file and has it read.
pub async fn reload(counter: &Counter, setup: Setup) {
    configure(&counter.world, setup);
    counter
        .call(WHO, format_args!("changes the configuration: {setup:?}"), CHANGED, counter.till.reload(CHANGE))
        .await
        .ok();
}

const WHO: &str = "the manager";
/// How long a call under way may take when devices change.
const CHANGE: Duration = Duration::from_secs(5);
/// A change waits for another one, and each takes 5 s longer at most where a device hangs.
const CHANGED: Duration = Duration::from_secs(21);
/// Nobody decides about a payment that may still go on.
pub const OLD: Duration = Duration::from_secs(400);
