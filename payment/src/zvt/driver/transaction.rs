//! One transaction: the intent is journalled, the command sent, and what comes of it concluded.

use std::time::Duration;

use tresen_hal::{Amount, Effect, Error, Kind, Result};

use super::super::codes;
use super::super::commands::reservation;
use super::super::commands::transaction::{self, Mirror, Product};
use super::super::options::Booking;
use super::super::recovery::{self, Last};
use super::super::reference::{self, name};
use super::super::session::Flow;
use super::Terminal;
use super::dialog::{End, Task};
use crate::books;
use crate::host::Host;
use crate::journal::{Intent, Reference, Transaction};
use crate::operation::Request;
use crate::outcome::{Charge, NotCharged, Payment, Reason};
use crate::slips::Slips;

impl Terminal {
    pub(super) async fn pay(&mut self, operation: Transaction, request: Request, host: Host) -> Result<Payment> {
        let name = self.options.name.clone();
        let amount = request.amount;
        if let Some(error) = books::unpayable(amount) {
            return Err(error.at(name));
        }
        if let Some(payment) = books::already(&*self.journal, &name, &request, &operation).await? {
            return Ok(payment);
        }
        self.usable()?;
        let mut host = Some(host);
        if books::unasked(&*self.journal, &name).await? {
            self.settle().await.map_err(|e| e.with_effect(Effect::None))?;
        }
        books::unended(&*self.journal, &name, &request, &operation).await?;
        let last_before = self.last_before(&mut host).await.map_err(|e| e.with_effect(Effect::None))?;
        // With something open the journal's last charge may not be the terminal's last transaction.
        let certain_before = matches!(self.last, Some(Last::Shown(_))) || self.journal.open(&name).await?.is_empty();
        // From here on every answer must belong to this command.
        self.owe_nothing().await?;
        let command = self.command(&operation, amount, last_before.as_ref())?;
        let intent = Intent::new(request.intent, name, operation, amount, self.clock.wall(), last_before);
        self.journal.intend(&intent).await?;
        let begun = Some(self.now());
        let mut task = Task { intent: Some(intent.clone()), begun, host, certain_before, ..Task::default() };
        let payment = match self.exchange(command, Flow::Completed, &mut task).await {
            Ok(end) => self.outcome(&intent, end, &mut task).await,
            Err(error) => {
                tracing::warn!(%error, intent = intent.id.0, "the end of a payment was not heard");
                Payment::unknown(&intent.id, format!("the end of the dialogue was not heard: {error}"))
            }
        };
        self.last = None;
        let payment = books::conclude(&*self.journal, payment).await;
        self.leave_if_doubtful();
        payment
    }

    /// A booking or release with what its pre-authorisation holds, so that the intent in the journal knows it. A booking
    /// of the total (06 24) does not name it: what the terminal tells then is what was booked, never what was released.
    ///
    /// # Errors
    /// [`Kind::Input`]: what is held is not known, or is another amount.
    pub(super) async fn with_held(&self, operation: Transaction, request: &Request) -> Result<Transaction> {
        let (Transaction::Booking { reference } | Transaction::Release { reference }) = &operation else {
            return Ok(operation);
        };
        let held = match reference::amount_held(reference) {
            Some(held) => Some(held),
            None => books::held(&*self.journal, &self.options.name, reference).await?,
        };
        let books = matches!(operation, Transaction::Booking { .. });
        let Some(held) = held else {
            // The terminal releases what it holds, and is not told how much that is.
            if !books {
                return Ok(operation);
            }
            let what = format!("what {} holds is not known", name(reference));
            return Err(Error::new(Kind::Input, what).hint("book by the reference of the pre-authorisation's charge"));
        };
        books::fits_held(&operation, &name(reference), held, request.amount)?;
        let reference = match self.options.booking {
            Booking::Total if books => reference::without_held(reference),
            _ => reference::with_held(reference.clone(), held),
        };
        Ok(if books { Transaction::Booking { reference } } else { Transaction::Release { reference } })
    }

    fn command(&self, operation: &Transaction, amount: Amount, last: Option<&Reference>) -> Result<Vec<u8>> {
        let mirror = self.options.mirror.then(|| match last {
            Some(last) => Mirror::Last(reference::receipt(last).unwrap_or_default()),
            None => Mirror::Unknown,
        });
        let password = self.options.password;
        let mut out = Vec::new();
        match operation {
            Transaction::Payment => transaction::authorisation(&mut out, amount, mirror),
            Transaction::Reversal { reference } => {
                let receipt = reference::receipt(reference).unwrap_or_default();
                transaction::reversal(&mut out, password, receipt, amount, mirror);
            }
            Transaction::Refund => transaction::refund(&mut out, password, amount, mirror),
            Transaction::PreAuthorisation => reservation::reservation(&mut out, amount, mirror),
            Transaction::Booking { reference } => {
                let receipt = reference::receipt(reference).unwrap_or_default();
                let held = reference::amount_held(reference).unwrap_or(amount);
                match self.options.booking {
                    Booking::PartialReversal => {
                        let released = Amount::new(held.minor() - amount.minor(), amount.currency());
                        reservation::partial_reversal(&mut out, receipt, released, mirror);
                    }
                    Booking::Total => reservation::book_total(&mut out, receipt, amount, mirror),
                }
            }
            Transaction::Release { reference } => {
                let receipt = reference::receipt(reference).unwrap_or_default();
                reservation::release(&mut out, receipt, amount.currency());
            }
            Transaction::Tip { reference } => {
                let receipt = reference::receipt(reference).unwrap_or_default();
                transaction::tip(&mut out, password, receipt, amount);
            }
            Transaction::TopUp { product } => {
                let product = product.as_deref().unwrap_or_default().parse::<Product>();
                transaction::top_up(&mut out, product.map_err(|e| e.at(&self.options.name))?, amount);
            }
            Transaction::Increment { .. } => return Err(operation.kind().unsupported().at(&self.options.name)),
        }
        Ok(out)
    }

    async fn outcome(&mut self, intent: &Intent, end: End, task: &mut Task) -> Payment {
        let slips = std::mem::take(&mut task.slips);
        let approved = task.approved.take();
        if let Some(why) = self.beyond_telling(intent, approved.as_ref(), &end, task) {
            return Payment::unknown(&intent.id, why);
        }
        match (end, approved, task.declined.take(), task.unclear.take()) {
            (End::Completed(_), Some(mut charge), None, None) => {
                slips.fill(&mut charge);
                Payment::charged(charge, intent.amount)
            }
            (End::Completed(_), None, Some((code, text)), None) => self.not_charged(intent, Some(code), text, slips),
            (End::Aborted { code, text, .. }, None, Some((declined, words)), None) => {
                self.not_charged(intent, Some(declined).or(code), words.or(text), slips)
            }
            (End::Refused(code), None, None, None) => self.not_charged(intent, Some(code), None, slips),
            // An abort without any result: a stray one would leave the payment running.
            (End::Aborted { code, text, .. }, None, None, None) => match self.still_runs(intent).await {
                Ok(None) => self.not_charged(intent, code, text, slips),
                Ok(Some(payment)) => payment,
                Err(error) => {
                    Payment::unknown(&intent.id, format!("after its abort the terminal could not be asked: {error}"))
                }
            },
            // Completed without a result that could be read, or approved and then not completed: the terminal
            // is there, so it can be asked.
            (_, approved, _, unclear) => match self.look_up(intent, approved.as_ref()).await {
                Ok((payment, evidence)) => {
                    tracing::info!(intent = intent.id.0, evidence, "settled by asking the terminal");
                    match (payment, unclear) {
                        (Payment::Unknown(mut unknown), Some(why)) => {
                            unknown.why = format!("{why}; {}", unknown.why);
                            Payment::Unknown(unknown)
                        }
                        (payment, _) => payment,
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, intent = intent.id.0, "the terminal could not be asked");
                    let why = unclear.map_or(String::new(), |why| format!("{why}; "));
                    Payment::unknown(&intent.id, format!("{why}the terminal could not be asked: {error}"))
                }
            },
        }
    }

    /// Why nothing is concluded on a connection on which answers came late or twice. `None` if an approval is
    /// certainly this payment's, or nothing came late.
    fn beyond_telling(&self, intent: &Intent, approved: Option<&Charge>, end: &End, task: &Task) -> Option<String> {
        if !self.session.is_doubtful() {
            return None;
        }
        // The completion may belong to an earlier enquiry. That does not matter where the terminal keeps what was
        // acknowledged.
        let ended = !self.session.misses_end() || self.options.commit == Some(recovery::Commit::Keeps);
        let elapsed = task.begun.map_or(Duration::ZERO, |begun| self.now().saturating_duration_since(begun));
        match (approved, end) {
            (Some(charge), End::Completed(_))
                if ended && recovery::is_new(intent, charge, elapsed, task.certain_before) =>
            {
                None
            }
            (Some(charge), _) => {
                let told = recovery::evidence(charge);
                Some(format!(
                    "{told} was approved, but the terminal's answers came late or twice and cannot be told apart"
                ))
            }
            _ => Some("the terminal's answers came late or twice and cannot be told apart".into()),
        }
    }

    /// Gives up a connection on which answers are missing or came late, so that they cannot be taken for those
    /// of the next payment.
    pub(super) fn leave_if_doubtful(&mut self) {
        if self.session.owes() || self.session.is_doubtful() {
            tracing::info!("answers stayed away or came late; the connection is left");
            self.spent = true;
        }
    }

    fn not_charged(&self, intent: &Intent, code: Option<u8>, words: Option<String>, slips: Slips) -> Payment {
        let language = self.language();
        let code = code.filter(|c| *c != 0);
        let reason = code.map_or(Reason::Declined, codes::reason);
        let text = words.or_else(|| Some(codes::words(code?, language).into_owned()));
        let text = text.unwrap_or_else(|| "the terminal ended the payment without a reason".into());
        let mut not = NotCharged::new(intent.id.clone(), reason, code, text);
        not.advice = code.and_then(|code| codes::advice(code, language)).map(str::to_owned);
        not.slip = slips.all();
        Payment::NotCharged(not)
    }
}

/// Why `reference` names no transaction of this terminal.
pub(super) fn not_of_here(reference: &Reference, terminal: Option<&str>) -> Option<Error> {
    let receipt = reference::receipt(reference).unwrap_or_default();
    if receipt.len() != 4 || !receipt.bytes().all(|b| b.is_ascii_digit()) {
        let what = format!("`{reference}` names no receipt of a ZVT terminal");
        return Some(Error::new(Kind::Input, what).hint("its number has one to four digits"));
    }
    let (theirs, ours) = (reference::terminal(reference)?, terminal?);
    if theirs.trim_start_matches('0') == ours.trim_start_matches('0') {
        return None;
    }
    let what = format!("{} is of another terminal: this is terminal {ours}", name(reference));
    Some(Error::new(Kind::Input, what).hint("do it at the terminal where it was paid"))
}
