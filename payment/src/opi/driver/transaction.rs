//! One transaction: the intent is journalled, the request sent, and what comes of it concluded.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tresen_hal::{Amount, Effect, Error, Kind, Result};

use super::super::host::{Decision, Wish};
use super::super::listener::Asked;
use super::super::recovery::{self, Last, clean};
use super::super::reference::{self, name};
use super::super::wire::device::DeviceResponse;
use super::super::wire::{Family, Request as Message};
use super::Terminal;
use super::exchange::{End, Task, leave};
use crate::books;
use crate::host::Host;
use crate::journal::{Intent, Reference, Transaction};
use crate::operation::Request;
use crate::outcome::{Charge, Payment};
use crate::pan;
use crate::slips::Slips;
use crate::terminal::Notice;

/// A charge whose receipts may still come.
#[derive(Debug)]
pub(super) struct Ended {
    charge: Charge,
    asked: Amount,
    slips: Slips,
    until: Instant,
}

/// A late receipt: the charge with it, and the answer to the terminal.
#[derive(Debug)]
pub(super) struct Late {
    payment: Payment,
    response: DeviceResponse,
    answer: oneshot::Sender<DeviceResponse>,
}

impl Terminal {
    pub(super) async fn pay(&mut self, operation: Transaction, request: Request, host: Host) -> Result<Payment> {
        let terminal = self.options.name.clone();
        let Some(request_type) = recovery::request_type(&operation) else {
            return Err(operation.kind().unsupported().at(terminal));
        };
        if let Some(error) = books::unpayable(request.amount) {
            return Err(error.at(terminal));
        }
        if let Some(payment) = books::already(&*self.journal, &terminal, &request, &operation).await? {
            return Ok(payment);
        }
        self.write_late().await;
        self.ended = None;
        let nothing_sent = |e: Error| e.with_effect(Effect::None);
        if books::unasked(&*self.journal, &terminal).await? {
            self.settle().await.map_err(nothing_sent)?;
        }
        books::unended(&*self.journal, &terminal, &request, &operation).await?;
        let mut task = Task::of(host);
        self.log_in().await.map_err(nothing_sent)?;
        let last_before = self.last_before(&mut task).await.map_err(nothing_sent)?;
        let Request { intent: id, amount } = request;
        let intent = Intent::new(id, terminal, operation, amount, self.runtime.wall(), last_before);
        let message = self.request(request_type, &intent);
        let link = self.dial().await?;
        if let Err(error) = self.journal.intend(&intent).await {
            leave(link);
            return Err(error);
        }
        task.enquiry = false;
        let payment = match self.exchange(&*link, &message, self.options.limit, &mut task).await {
            End::Answered(response) => match recovery::answered(&intent, &response, &self.options, &self.usual) {
                Ok(payment) => self.with_slips(payment, &intent, &mut task).await,
                Err(why) => Payment::unknown(&intent.id, why),
            },
            End::Unheard(why, _) => Payment::unknown(&intent.id, format!("the terminal's answer was not heard: {why}")),
        };
        let payment = books::conclude(&*self.journal, payment).await;
        leave(link);
        if let Ok(payment) = &payment
            && let Some(charge) = payment.charge()
        {
            let until = self.now() + LATE;
            self.ended = Some(Ended { charge: charge.clone(), asked: amount, slips: task.slips, until });
        }
        payment
    }

    /// What has come with it on channel 1, and may still come.
    async fn with_slips(&mut self, payment: Payment, intent: &Intent, task: &mut Task) -> Payment {
        match payment {
            Payment::Charged(charge) | Payment::Partial(charge) => {
                let mut charge = *charge;
                task.slips.know(charge.merchant_id.clone());
                if !self.options.linger.is_zero() && self.journal.approve(&intent.id, &charge).await.is_ok() {
                    self.linger(task).await;
                }
                task.slips.fill(&mut charge);
                Payment::charged(charge, intent.amount)
            }
            Payment::NotCharged(mut not) => {
                not.slip = std::mem::take(&mut task.slips).all();
                Payment::NotCharged(not)
            }
            unknown @ Payment::Unknown(_) => unknown,
        }
    }

    fn request(&self, request_type: &str, intent: &Intent) -> Message {
        let mut request = self.addressed(Message::new(Family::Card, request_type, recovery::request_id(intent)));
        match &intent.operation {
            Transaction::Reversal { .. } | Transaction::Release { .. } => {}
            _ => request.amount = Some(intent.amount),
        }
        let of = intent.operation.of();
        request.original = of.and_then(|of| reference::original(of, &self.options.dialect));
        request
    }

    /// The terminal's last message before a transaction: by it a transaction that never arrived is known.
    async fn last_before(&mut self, task: &mut Task) -> Result<Option<Reference>> {
        if !self.options.ask_before || self.repeats_nothing || self.leaves_alone().await? {
            return Ok(None);
        }
        match self.last(true, task).await? {
            Last::Shown(response) => Ok(reference::before(&response)),
            last => {
                tracing::info!(?last, "the terminal does not tell its last message");
                Ok(None)
            }
        }
    }

    /// Why a booking or release does not fit what is held, as far as the journal knows that.
    pub(super) async fn check_held(&self, operation: &Transaction, request: &Request) -> Result<()> {
        let (Transaction::Booking { reference } | Transaction::Release { reference }) = operation else {
            return Ok(());
        };
        let Some(held) = books::held(&*self.journal, &self.options.name, reference).await? else { return Ok(()) };
        books::fits_held(operation, &name(reference), held, request.amount)
    }

    /// Why `reference` names no transaction of this terminal.
    pub(super) fn not_of_here(&self, reference: &Reference) -> Option<Error> {
        if reference::stan(reference).is_none() {
            let what = format!("`{reference}` names no transaction of an OPI terminal");
            return Some(Error::new(Kind::Input, what).hint("it has a trace number, which stands on the slip"));
        }
        let (theirs, ours) = (reference::terminal(reference)?, self.usual.terminal_id.as_deref()?);
        if recovery::same_number(theirs, ours) {
            return None;
        }
        let what = format!("{} is of another terminal: this is terminal {ours}", name(reference));
        Some(Error::new(Kind::Input, what).hint("do it at the terminal where it was paid"))
    }

    /// Does what the terminal asks between transactions: late receipts go to the charge, the rest is told.
    pub(super) fn serve_idle(&mut self, asked: Asked) {
        // Nobody is there for questions: their defaults stand.
        let Decision { response, wishes, .. } = self.decide(&asked.request);
        let now = self.now();
        let mut ended = self.ended.take().filter(|ended| now < ended.until);
        let mut lines = Vec::new();
        let mut printed = false;
        for wish in wishes {
            match (wish, &mut ended) {
                (Wish::Print { slip, text, .. }, Some(ended)) => {
                    ended.slips.line(Some(slip), text);
                    printed = true;
                }
                (Wish::Print { text, .. }, None) => lines.push(text),
                (Wish::Show(text), _) => self.notices.push_back(Notice::Text(clean(&text))),
            }
        }
        self.notices.extend(pan::mask_lines(&lines, &[]).into_iter().map(Notice::Text));
        self.bound_notices();
        match ended.as_mut().filter(|_| printed) {
            Some(ended) => {
                ended.slips.end();
                ended.slips.fill(&mut ended.charge);
                let payment = Payment::charged(ended.charge.clone(), ended.asked);
                self.late.push_back(Late { payment, response, answer: asked.answer });
            }
            // A terminal that has left needs no answer.
            None => _ = asked.answer.send(response),
        }
        self.ended = ended;
    }

    /// Adds late receipts to their charges, then tells the terminal that they are printed. Cancel-safe.
    pub(super) async fn write_late(&mut self) {
        while let Some(Late { payment, .. }) = self.late.front() {
            let id = payment.intent();
            if let Err(error) = self.journal.conclude(id, payment).await {
                tracing::warn!(%error, intent = id.0, "a late receipt could not be added to its charge");
            }
            if let Some(late) = self.late.pop_front() {
                late.answer.send(late.response).ok();
            }
        }
    }

    fn bound_notices(&mut self) {
        let most = self.notices.len().saturating_sub(MOST_NOTICES);
        self.notices.drain(..most);
    }
}

/// Receipts that come later than this after the answer belong to nothing.
const LATE: Duration = Duration::from_secs(10);
/// Notices that wait for somebody to hear them.
const MOST_NOTICES: usize = 1000;
