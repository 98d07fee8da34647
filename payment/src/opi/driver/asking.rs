//! Asking the terminal how it is and what its last message was. Nothing here moves money.

use std::time::Duration;

use tresen_hal::{Error, Kind, Result};

use super::super::recovery::{self, Elapsed, Last, Verdict, clean};
use super::super::results::OverallResult;
use super::super::wire::{Family, Response};
use super::exchange::{End, Task, leave};
use super::{ASK_AGAIN, Terminal};
use crate::books::{self, LOOKS};
use crate::journal::Entry;
use crate::outcome::{Payment, Unknown};
use crate::terminal::{Settled, TerminalStatus};
use crate::waiting::abort_wanted;

impl Terminal {
    /// Begins a session, if there is to be one and it has not begun.
    pub(super) async fn log_in(&mut self) -> Result<()> {
        if self.logged_in || !self.options.login {
            return Ok(());
        }
        let until = self.now() + self.options.patience;
        loop {
            let request = self.message(Family::Service, self.options.dialect.login);
            let response = self.ask(&request, self.options.answer, &mut Task::default()).await?;
            match &response.result {
                OverallResult::Success | OverallResult::Activated | OverallResult::AlreadyActivated => {
                    self.logged_in = true;
                    return Ok(());
                }
                busy if busy.is_busy() && self.now() < until => tokio::time::sleep(ASK_AGAIN).await,
                _ => return Err(self.refused("the login", &response)),
            }
        }
    }

    /// Asks within a session; once more if the terminal has forgotten it.
    pub(super) async fn ask_in_session(
        &mut self,
        family: Family,
        request_type: &str,
        within: Duration,
        task: &mut Task,
    ) -> Result<Response> {
        let knew = self.logged_in;
        self.log_in().await?;
        let response = self.ask(&self.message(family, request_type), within, task).await?;
        if response.result != OverallResult::LoggedOut || !knew {
            return Ok(response);
        }
        self.log_in().await?;
        self.ask(&self.message(family, request_type), within, task).await
    }

    /// Settles what is open. What stays unknown is concluded so.
    pub(super) async fn settle(&mut self) -> Result<Vec<Settled>> {
        let open = books::open(&*self.journal, &self.options.name).await?;
        if open.is_empty() {
            return Ok(Vec::new());
        }
        if open.iter().all(|entry| books::unanswered(entry) >= LOOKS) {
            return Ok(open.into_iter().filter_map(books::left_alone).collect());
        }
        // Wait for a busy terminal the first time only.
        let patient = open.iter().any(Entry::is_unasked);
        // What was approved stands without a question.
        let mut last = Last::Silent;
        let mut verdicts = Vec::new();
        let begun = self.now();
        for look in 0.. {
            if open.iter().any(|entry| entry.approved.is_none()) {
                last = self.last(patient, &mut Task::default()).await?;
            }
            let waited = self.now() >= begun + self.options.grace && look > 0;
            let clock = Elapsed { now: self.runtime.wall(), waited };
            verdicts =
                open.iter().map(|e| recovery::decide(e, &last, &self.options, &self.usual, clock)).collect::<Vec<_>>();
            // "Not charged" because it is missing needs two looks, and time for a customer at the terminal.
            let missing = |(verdict, _): &(Verdict, String)| match verdict {
                Verdict::NotYet => true,
                Verdict::Ended(Payment::NotCharged(not)) => not.reason == crate::Reason::NotFound && look == 0,
                _ => false,
            };
            if !verdicts.iter().any(missing) {
                break;
            }
            tokio::time::sleep(LOOK_APART).await;
        }
        let mut settled = Vec::new();
        for (entry, (verdict, evidence)) in open.into_iter().zip(verdicts) {
            let payment = match verdict {
                Verdict::Ended(payment) => payment,
                Verdict::NotYet | Verdict::Unsure => {
                    let mut unknown = Unknown::new(entry.intent.id.clone(), &*evidence);
                    // A terminal that shows the message before may still show the payment.
                    unknown.asked = verdict == Verdict::Unsure;
                    if let Last::Silent = last {
                        unknown.unanswered = books::unanswered(&entry).saturating_add(1);
                    }
                    Payment::Unknown(unknown)
                }
            };
            let payment = match self.journal.conclude(&entry.intent.id, &payment).await {
                Ok(()) => payment,
                Err(error) if error.kind() == Kind::Input => books::conclude(&*self.journal, payment).await?,
                Err(error) => return Err(error),
            };
            tracing::info!(intent = entry.intent.id.0, evidence, ?payment, "settled");
            settled.push(Settled::new(entry.intent, payment, evidence));
        }
        Ok(settled)
    }

    /// It has left questions about an open payment unanswered so often that it is not asked again.
    pub(super) async fn leaves_alone(&self) -> Result<bool> {
        let open = books::open(&*self.journal, &self.options.name).await?;
        Ok(open.iter().any(|entry| books::unanswered(entry) >= LOOKS))
    }

    /// The terminal's last message about a card. A patient question waits for a busy terminal, unless the caller aborts.
    ///
    /// # Errors
    /// The terminal cannot be reached, or the caller has aborted.
    pub(super) async fn last(&mut self, patient: bool, task: &mut Task) -> Result<Last> {
        let until = self.now() + self.options.patience;
        loop {
            self.log_in().await?;
            let request = self.message(Family::Card, "RepeatLastMessage");
            let link = self.dial().await?;
            let mut enquiry = Task::default();
            enquiry.enquiry = true;
            let end = self.exchange(&*link, &request, self.options.answer, &mut enquiry).await;
            leave(link);
            let response = match end {
                End::Answered(response) => response,
                End::Unheard(_, Some(_)) => {
                    return Ok(Last::Untold("it answered without saying which message it repeats".into()));
                }
                End::Unheard(why, None) => {
                    tracing::info!(why, "the terminal was asked for its last message");
                    return Ok(Last::Silent);
                }
            };
            let again = response.original.is_none()
                && (response.result.is_busy() || response.result == OverallResult::LoggedOut)
                && patient
                && self.now() < until;
            if !again {
                self.repeats_nothing |= response.result == OverallResult::NotSupported;
                return Ok(match response.original {
                    Some(_) => Last::Shown(response),
                    None => Last::Untold(response.result.text().into_owned()),
                });
            }
            tokio::select! {
                biased;
                () = abort_wanted(&mut task.host, 0) => {
                    let what = "the terminal was busy, and the payment was not begun";
                    return Err(Error::new(Kind::Cancelled, what).at(&self.options.name));
                }
                () = tokio::time::sleep(ASK_AGAIN) => {}
            }
        }
    }

    pub(super) async fn how_it_is(&mut self) -> Result<TerminalStatus> {
        let (kind, within) = (self.options.dialect.status, self.options.answer);
        let response = self.ask_in_session(Family::Service, kind, within, &mut Task::default()).await?;
        let ready = matches!(
            response.result,
            OverallResult::Success | OverallResult::Activated | OverallResult::AlreadyActivated
        );
        let text = response.error_text.as_deref().filter(|_| !ready).map(clean);
        Ok(TerminalStatus {
            ready,
            text: text.unwrap_or_else(|| if ready { "ready".into() } else { response.result.text().into_owned() }),
            terminal_id: self.usual.terminal_id.clone(),
            ..TerminalStatus::default()
        })
    }

    pub(super) fn refused(&self, what: &str, response: &Response) -> Error {
        let why = response.error_text.as_deref().map_or_else(|| response.result.text().into_owned(), clean);
        let kind = if response.result.is_busy() { Kind::Busy } else { Kind::Refused };
        Error::new(kind, format!("the terminal refused {what}: {why}")).at(&self.options.name)
    }
}

/// How long between two looks for a transaction that is missing.
const LOOK_APART: Duration = Duration::from_secs(5);
