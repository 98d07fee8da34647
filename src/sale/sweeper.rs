//! Looks after payments whose outcome is not known, as long as the till runs.
//!
//! The owner of each terminal asks it again ([`crate::Terminal::recover`]); this task records what comes of that with
//! the sale, also for payments that an earlier run of the till left, and tells a person after
//! [`tell_after`](crate::config::Till::tell_after). It sends nothing that moves money, and closes no sale.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use std::time::Duration;

use tokio::time::Instant;
use tresen_hal::Result;
use tresen_payment::{Intent, IntentId};

use super::tender::TenderState;
use crate::class::{Class, DeviceId};
use crate::event::{EventKind, Events, Source};
use crate::health::Alert;
use crate::manager::{Phase, Terminals};
use crate::store::{OpenPayment, SaleState};
use crate::tresen::{Caller, Inner, Tresen};

/// Records what is known of the payments that an earlier run of the till had begun, before anybody reads its sales.
pub(crate) async fn first_look(till: &Tresen) -> Doubts {
    let mut doubts = Doubts::default();
    if let Err(error) = settle_sales(till, &mut doubts.sales).await {
        tracing::warn!(%error, "the payments of an earlier run could not be looked after");
    }
    doubts
}

/// Runs until the till is gone or closed.
pub(crate) async fn run(till: Weak<Inner>, mut events: Events, mut doubts: Doubts) {
    let mut failed = false;
    loop {
        let next = {
            let Some(inner) = till.upgrade() else { return };
            let till = Tresen(inner, Caller::default());
            // Held while the till is being closed.
            if till.0.closed.try_lock().map_or(true, |closed| *closed) {
                return;
            }
            let next = sweep(&till, &mut doubts).await;
            if let Err(error) = &next
                && !failed
            {
                tracing::warn!(%error, "open payments could not be looked after");
            }
            failed = next.is_err();
            next.unwrap_or(LOOK_AGAIN)
        };
        let due = Instant::now() + next;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => break,
                event = events.next() => match event.map(|event| event.kind) {
                    Some(
                        EventKind::Settled(_) | EventKind::Unsettled { .. } | EventKind::RestoreFound { .. }
                    ) => break,
                    Some(_) => {}
                    None => return,
                },
            }
        }
    }
}

/// Looks once; returns when to look again.
async fn sweep(till: &Tresen, doubts: &mut Doubts) -> Result<Duration> {
    settle_sales(till, &mut doubts.sales).await?;
    let open = till.store().all_open_payments().await?;
    Ok(doubts.look(till, open))
}

/// Records with each sale how its payments ended, and reports the sales of `in_doubt` that are settled, whoever recorded
/// that.
async fn settle_sales(till: &Tresen, in_doubt: &mut BTreeSet<String>) -> Result<()> {
    let store = till.store();
    let pending = store.pending_sales().await?;
    for id in &pending {
        let sale = match store.sale(id).await {
            Ok(Some(sale)) => sale,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(sale = %id, %error, "a sale in doubt cannot be read");
                continue;
            }
        };
        // Whoever runs the payment records its end.
        let mut undecided =
            sale.tenders.iter().filter(|t| matches!(t.state, TenderState::Begun | TenderState::Unknown));
        if undecided.any(|tender| tender.intent.as_ref().is_some_and(|intent| runs(till, intent))) {
            continue;
        }
        in_doubt.insert(id.clone());
        store.follow_tenders(id).await?;
    }
    for id in in_doubt.clone() {
        let Ok(found) = store.sale(&id).await else { continue };
        match found {
            Some(sale) if sale.pending && sale.state == SaleState::Open => continue,
            Some(sale) if sale.state == SaleState::Open => {
                tracing::info!(sale = %id, due = %sale.due, "a sale in doubt is settled");
                till.0.bus.publish(Source::Till, EventKind::SaleSettled { sale: id.clone(), due: sale.due });
            }
            _ => {}
        }
        in_doubt.remove(&id);
    }
    Ok(())
}

/// Whether a terminal of this till is at it.
fn runs(till: &Tresen, intent: &IntentId) -> bool {
    let terminals = till.0.registry.names(Class::Terminal);
    terminals.iter().filter_map(|name| till.0.registry.find::<Terminals>(name)).any(|terminal| terminal.runs(intent))
}

/// Has a terminal that is connected asked about a payment that it does not know to be open: a restored journal brought
/// it. One that is not connected is asked as soon as it is.
fn ask_about(till: &Tresen, intent: &Intent) {
    let Some(terminal) = till.0.registry.find::<Terminals>(&intent.terminal) else { return };
    if *terminal.phase().borrow() == Phase::Ready && !terminal.knows_open(&intent.id) {
        tokio::spawn(async move { terminal.ask_again().await });
    }
}

/// What is in doubt.
#[derive(Default)]
pub(crate) struct Doubts {
    /// Sales whose payments are undecided.
    sales: BTreeSet<String>,
    /// The undecided payments and when a person is told about each.
    payments: BTreeMap<IntentId, Doubt>,
}

struct Doubt {
    tell_at: Instant,
    told: bool,
}

impl Doubts {
    /// Tells about those that are due; returns when to look again.
    fn look(&mut self, till: &Tresen, open: Vec<OpenPayment>) -> Duration {
        let (now, wall, tell_after) = (Instant::now(), till.0.runtime.wall(), till.config().till.tell_after);
        let open: Vec<_> = open.into_iter().filter(|payment| !runs(till, &payment.intent.id)).collect();
        self.payments.retain(|id, _| open.iter().any(|payment| payment.intent.id == *id));
        let mut shown: BTreeMap<String, Vec<OpenPayment>> = BTreeMap::new();
        let mut next = LOOK_AGAIN;
        for payment in open {
            let intent = &payment.intent;
            if !self.payments.contains_key(&intent.id) {
                ask_about(till, intent);
            }
            let doubt = self.payments.entry(intent.id.clone()).or_insert_with(|| {
                // The wall clock may have been set meanwhile: from here on the monotonic one counts. After a restart the
                // terminal gets a moment to say what it knows.
                let age = Duration::try_from(wall.duration_since(intent.at)).unwrap_or_default();
                let wait = tell_after.saturating_sub(age).max(tell_after.min(FIRST_LOOK));
                Doubt { tell_at: now + wait, told: false }
            });
            if now < doubt.tell_at {
                next = next.min(doubt.tell_at - now);
                continue;
            }
            if !std::mem::replace(&mut doubt.told, true) {
                tell(till, &payment);
            }
            shown.entry(intent.terminal.clone()).or_default().push(payment);
        }
        alert(till, &shown);
        for name in till.0.registry.names(Class::Terminal) {
            if let Some(terminal) = till.0.registry.find::<Terminals>(&name) {
                let shown = shown.get(&name).into_iter().flatten();
                terminal.doubt(shown.map(|payment| payment.intent.id.clone()).collect());
            }
        }
        next
    }
}

/// Tells a person about one.
fn tell(till: &Tresen, payment: &OpenPayment) {
    let OpenPayment { intent, sale, why } = payment.clone();
    let source = match till.0.registry.find::<Terminals>(&intent.terminal) {
        Some(_) => Source::Device(DeviceId::new(Class::Terminal, intent.terminal)),
        None => Source::Till,
    };
    let (amount, since) = (intent.amount, intent.at);
    till.0.bus.publish(source, EventKind::PaymentInDoubt { intent: intent.id, sale, amount, since, why });
}

/// Raises an alert for each terminal with payments in doubt, and clears those of the others.
fn alert(till: &Tresen, doubtful: &BTreeMap<String, Vec<OpenPayment>>) {
    let (alerts, now) = (&till.0.vitals.alerts, till.0.runtime.wall());
    let mut concerned = Vec::new();
    for (terminal, payments) in doubtful {
        let Some(oldest) = payments.iter().min_by_key(|payment| payment.intent.at) else { continue };
        let source = Source::Device(DeviceId::new(Class::Terminal, terminal));
        let count = payments.len();
        let count = if count == 1 { "1 payment is".to_owned() } else { format!("{count} payments are") };
        let (id, at) = (&oldest.intent.id.0, oldest.intent.at);
        let why = format!("{count} undecided, the oldest, {id}, since {at:.0}: {}", oldest.why);
        alerts.set(&source, Alert::PaymentInDoubt, Some(why), now);
        concerned.push(source);
    }
    alerts.keep(Alert::PaymentInDoubt, &concerned, now);
}

/// How often the till looks by itself; two lookups by an index.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// After a restart a person is told about an old payment no earlier than this.
const FIRST_LOOK: Duration = Duration::from_secs(30);
