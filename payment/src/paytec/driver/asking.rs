//! Asking the terminal how it is and how far it has counted. Nothing here moves money.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tresen_hal::{Error, Kind, Result};

use super::super::codes::{self, status};
use super::super::recovery::{self, Case};
use super::super::reference::Counters;
use super::super::wire::{ActivationRequest, Message};
use super::exchange::{End, Task, refused};
use super::{ASK_AGAIN, Terminal};
use crate::books;
use crate::host::Host;
use crate::journal::{Entry, Intent};
use crate::outcome::{Charge, Payment, Reason};
use crate::terminal::{Due, Settled, TerminalStatus};
use crate::waiting::abort_wanted;

impl Terminal {
    /// Where the counters stand, once the terminal is not busy. `None` if it stays so.
    ///
    /// # Errors
    /// The link is lost, the terminal does not answer, or the caller has aborted.
    pub(super) async fn counters(&mut self, patient: bool, host: &mut Option<Host>) -> Result<Option<Counters>> {
        let until = self.now() + self.options.patience;
        loop {
            self.ask_status().await?;
            if self.status.trm_status.unwrap_or(0) & status::BUSY == 0 {
                let request = Message::ActivationRequest(ActivationRequest::default());
                match self.exchange(request, self.options.answer, &mut Task::enquiry()).await? {
                    End::Answered(Message::ActivationResponse(activation)) => {
                        return Ok(Some(self.activated(activation)));
                    }
                    // It is busy after all.
                    End::Refused(words) => tracing::info!(words, "no shift was opened"),
                    end => return Err(refused("the opening of its shift", &end).at(&self.options.name)),
                }
            }
            if !patient || self.now() >= until {
                return Ok(None);
            }
            tokio::select! {
                biased;
                () = abort_wanted(host, 0) => {
                    let what = "the terminal was busy, and the payment was not begun";
                    return Err(Error::new(Kind::Cancelled, what).at(&self.options.name));
                }
                () = tokio::time::sleep(ASK_AGAIN) => {}
            }
        }
    }

    async fn ask_status(&mut self) -> Result<()> {
        match self.exchange(Message::StatusRequest {}, self.options.answer, &mut Task::enquiry()).await? {
            End::Answered(Message::StatusResponse(status)) => {
                self.status = status;
                Ok(())
            }
            end => Err(refused("the question for its status", &end).at(&self.options.name)),
        }
    }

    /// Settles what is open. What stays unknown is concluded so.
    pub(super) async fn settle(&mut self) -> Result<Vec<Settled>> {
        let open = books::open(&*self.journal, &self.options.name).await?;
        if open.is_empty() {
            return Ok(Vec::new());
        }
        self.usable()?;
        // Wait for a busy terminal the first time only.
        let patient = open.iter().any(Entry::is_unasked);
        let mut verdicts = self.verdicts(&open, patient).await?;
        if verdicts.iter().any(|(payment, _)| is_missing(payment)) {
            tokio::time::sleep(self.options.grace).await;
            verdicts = self.verdicts(&open, patient).await?;
        }
        let mut settled = Vec::new();
        for (entry, (payment, evidence)) in open.into_iter().zip(verdicts) {
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

    /// One look at the terminal, and what it says of each.
    async fn verdicts(&mut self, open: &[Entry], patient: bool) -> Result<Vec<(Payment, String)>> {
        let counters = self.counters(patient, &mut None).await?;
        self.usable()?;
        let decide =
            |entry: &Entry| recovery::decide(self.case(&entry.intent, entry.approved.as_ref()), counters.as_ref());
        let mut verdicts: Vec<_> = open.iter().map(decide).collect();
        if self.reverses_soon() {
            let more = "; the terminal is about to reverse a transaction by itself";
            verdicts.iter_mut().for_each(|(_, evidence)| *evidence += more);
        }
        Ok(verdicts)
    }

    fn case<'a>(&self, intent: &'a Intent, approved: Option<&'a Charge>) -> Case<'a> {
        Case { intent, approved, reverses: self.options.reverses, partial: self.options.partial }
    }

    /// Settles a payment without an answer at once, over the connection on which it ran. "Not charged" needs two looks,
    /// and that no answer comes meanwhile.
    pub(super) async fn look_up(&mut self, intent: &Intent, task: &mut Task) -> Payment {
        let why = match (&task.error, task.aborted) {
            (Some(words), _) => format!("the terminal told of an error: {words}"),
            (None, true) => "it was aborted, and the terminal told no result".to_owned(),
            (None, false) => "the terminal told no result".to_owned(),
        };
        let mut looked = self.look(intent).await;
        if matches!(&looked, Ok(payment) if is_missing(payment)) {
            tokio::time::sleep(self.options.grace).await;
            looked = self.look(intent).await;
        }
        let strayed = self.session.has_strayed();
        match looked {
            Ok(Payment::NotCharged(_)) if strayed => Payment::unknown(&intent.id, format!("{why}; one came too late")),
            Ok(Payment::NotCharged(mut not)) => {
                if not.reason == Reason::NotFound {
                    let aborted = task.aborted && task.error.is_none();
                    not.reason = if aborted { Reason::Aborted } else { Reason::Unavailable };
                    not.text = why;
                }
                Payment::NotCharged(not)
            }
            Ok(Payment::Unknown(mut unknown)) => {
                unknown.why = format!("{why}; {}", unknown.why);
                Payment::Unknown(unknown)
            }
            Ok(other) => other,
            Err(error) => Payment::unknown(&intent.id, format!("{why}, and could not be asked: {error}")),
        }
    }

    async fn look(&mut self, intent: &Intent) -> Result<Payment> {
        let counters = self.counters(true, &mut None).await?;
        Ok(recovery::decide(self.case(intent, None), counters.as_ref()).0)
    }

    fn reverses_soon(&self) -> bool {
        let task = self.status.next_scheduled_task.as_ref().and_then(|task| task.task_name.as_deref());
        task == Some("AUTO_REVERSAL")
    }

    pub(super) async fn how_it_is(&mut self) -> Result<TerminalStatus> {
        self.usable()?;
        self.ask_status().await?;
        let bits = self.status.trm_status.unwrap_or(0);
        let due: Vec<Due> = self.overdue().into_iter().collect();
        let mut text = codes::status_text(bits).into_owned();
        match due.first() {
            Some(Due::EndOfDay) => text += "; its day has to be closed",
            Some(_) => text += "; it has to be initialised",
            None => {}
        }
        let software = self.about.software_version;
        Ok(TerminalStatus {
            ready: codes::is_ready(bits),
            text,
            terminal_id: self.terminal_id().map(str::to_owned),
            software: software.map(|n| format!("{:02}.{:02}.{:02}", n / 10_000, n / 100 % 100, n % 100)),
            serial_number: self.about.ifd_serial_num.as_deref().map(recovery::clean),
            due,
            ..TerminalStatus::default()
        })
    }

    /// What it should have done by itself by now.
    fn overdue(&self) -> Option<Due> {
        let task = self.status.next_scheduled_task.as_ref()?;
        let at = DateTime::strptime("%Y-%m-%d %H:%M:%S", task.next_run.as_deref()?).ok()?;
        let due = match task.task_name.as_deref()? {
            "CONFIG" | "CONFIG_FORCED" | "INIT" | "INIT_FORCED" => Due::Initialisation,
            "FINAL_BALANCE" => Due::EndOfDay,
            _ => return None,
        };
        (at <= self.clock.wall().to_zoned(TimeZone::system()).datetime()).then_some(due)
    }
}

/// "Not charged" because the terminal has no such transaction: it needs a second look.
fn is_missing(payment: &Payment) -> bool {
    matches!(payment, Payment::NotCharged(not) if not.reason == Reason::NotFound)
}
