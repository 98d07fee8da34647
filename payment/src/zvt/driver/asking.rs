//! Asking the terminal what it has stored and how it is. Nothing here moves money.

use tresen_hal::{Amount, Error, Kind, Result};

use super::super::codes::{self, Activity};
use super::super::commands::admin;
use super::super::commands::enquiry::{self, State};
use super::super::commands::status_info::StatusInfo;
use super::super::options::Options;
use super::super::recovery::{self, Case, Last};
use super::super::session::{Data, Flow};
use super::dialog::{End, Task};
use super::{ASK_AGAIN, Terminal};
use crate::books::{self, LOOKS};
use crate::host::Host;
use crate::journal::{Entry, Intent, Reference};
use crate::outcome::{Charge, IntentId, Payment};
use crate::terminal::{Due, Settled, TerminalStatus};
use crate::waiting::abort_wanted;

/// What the terminal answers to 06 20.
enum Answer {
    Last(Last),
    Busy,
}

/// Whether the terminal is idle.
enum Rest {
    Idle,
    /// It says something else, with this code.
    Busy(u8),
}

impl Terminal {
    /// Settles what is open. What stays unknown is concluded so.
    pub(super) async fn settle(&mut self) -> Result<Vec<Settled>> {
        let open = books::open(&*self.journal, &self.options.name).await?;
        if open.is_empty() {
            return Ok(Vec::new());
        }
        if open.iter().all(|entry| books::unanswered(entry) >= LOOKS) {
            return Ok(open.into_iter().filter_map(books::left_alone).collect());
        }
        // Wait for a busy terminal the first time only. Whether it is idle matters only before a payment is
        // concluded as not charged, and some terminals never answer that question.
        let first_time = open.iter().any(Entry::is_unasked);
        let mut last = if first_time { self.ask_at_rest(true).await? } else { self.ask_once().await? };
        let mut verdicts = self.verdicts(&open, &last);
        if verdicts.iter().any(|(payment, _)| matches!(payment, Payment::NotCharged(_))) {
            tokio::time::sleep(self.options.grace).await;
            last = self.ask_at_rest(first_time).await?;
            verdicts = self.verdicts(&open, &last);
        }
        let mut settled = Vec::new();
        for (entry, (mut payment, evidence)) in open.into_iter().zip(verdicts) {
            if let (Payment::Unknown(unknown), Last::Silent) = (&mut payment, &last) {
                unknown.unanswered = books::unanswered(&entry).saturating_add(1);
            }
            let payment = match self.journal.conclude(&entry.intent.id, &payment).await {
                Ok(()) => payment,
                Err(error) if error.kind() == Kind::Input => books::conclude(&*self.journal, payment).await?,
                Err(error) => return Err(error),
            };
            tracing::info!(intent = entry.intent.id.0, evidence, ?payment, "settled");
            settled.push(Settled::new(entry.intent, payment, evidence));
        }
        self.leave_if_doubtful();
        Ok(settled)
    }

    fn verdicts(&self, open: &[Entry], last: &Last) -> Vec<(Payment, String)> {
        let mut verdicts = Vec::new();
        for entry in open {
            let intent = &entry.intent;
            // Any other intent with the same predecessor, or an unknown one.
            let rival = |other: &&Entry| {
                other.intent.id != intent.id
                    && (other.intent.last_before.is_none() || other.intent.last_before == intent.last_before)
            };
            let only = !open.iter().any(|other| rival(&other));
            let case = self.case(intent, entry.approved.as_ref(), only);
            verdicts.push(recovery::decide(case, last, self.reading()));
        }
        verdicts
    }

    fn case<'a>(&self, intent: &'a Intent, approved: Option<&'a Charge>, only: bool) -> Case<'a> {
        let Options { commit, exclusive, partial, .. } = self.options;
        Case { intent, approved, only, commit, exclusive, partial }
    }

    /// Settles one payment at once, over the connection on which it ran. "Not charged" is looked for twice.
    pub(super) async fn look_up(&mut self, intent: &Intent, approved: Option<&Charge>) -> Result<(Payment, String)> {
        let case = self.case(intent, approved, true);
        let last = self.ask_at_rest(true).await?;
        let verdict = recovery::decide(case, &last, self.reading());
        if !matches!(verdict.0, Payment::NotCharged(_)) {
            return Ok(verdict);
        }
        tokio::time::sleep(self.options.grace).await;
        let last = self.ask_at_rest(true).await?;
        Ok(recovery::decide(case, &last, self.reading()))
    }

    /// After an abort without a result: `None` if the terminal shows nothing newer than before the payment.
    pub(super) async fn still_runs(&mut self, intent: &Intent) -> Result<Option<Payment>> {
        if !self.options.ask_before {
            return Ok(None);
        }
        let last = self.ask_at_rest(true).await?;
        let Last::Shown(data) = &last else { return Ok(None) };
        let info = StatusInfo::parse(&data.0);
        let shown = recovery::as_meant(intent, &info, self.charge(&intent.id, intent.amount, &info));
        let (Some(before), Some(now)) = (&intent.last_before, &shown.reference) else { return Ok(None) };
        if recovery::same(before, now) || info.result != Some(0) {
            return Ok(None);
        }
        let case = self.case(intent, None, true);
        Ok(Some(recovery::decide(case, &last, self.reading()).0))
    }

    /// The last transaction before a new one: what the terminal shows, else what the journal has.
    pub(super) async fn last_before(&mut self, host: &mut Option<Host>) -> Result<Option<Reference>> {
        self.last = None;
        if !self.options.ask_before || self.leaves_alone().await? {
            return self.journal.last(&self.options.name).await;
        }
        let until = self.now() + self.options.patience;
        let mut again = true;
        let last = loop {
            match self.confirmed_last().await? {
                // An answer that got lost is asked for once more, after the registration was answered.
                Answer::Last(Last::Silent) if again => {
                    again = false;
                    self.owe_nothing().await?;
                }
                Answer::Last(last) => break last,
                Answer::Busy => {
                    let late = self.now() >= until;
                    // A terminal that says it is idle and refuses only this question can take a payment.
                    if (late || self.refuses_last)
                        && let Rest::Idle = self.wait_until_idle(false).await?
                    {
                        self.refuses_last = true;
                        break Last::Untold("it answers busy, although it says that it is idle".into());
                    }
                    if late {
                        return Err(self.stays_busy(0x9c));
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
        };
        let reference = match &last {
            Last::Shown(data) => {
                let (nobody, zero) = (IntentId(String::new()), Amount::zero(self.options.currency));
                self.charge(&nobody, zero, &StatusInfo::parse(&data.0)).reference
            }
            Last::Nothing => None,
            Last::Untold(_) | Last::Silent => {
                tracing::warn!(?last, "the terminal does not tell its last transaction");
                self.journal.last(&self.options.name).await?
            }
        };
        self.last = Some(last);
        Ok(reference)
    }

    /// What the terminal has stored last, once it is idle.
    async fn ask_at_rest(&mut self, patient: bool) -> Result<Last> {
        let until = self.now() + self.options.patience;
        loop {
            let busy = match self.wait_until_idle(patient).await? {
                Rest::Idle => match self.confirmed_last().await? {
                    Answer::Last(last) => return Ok(last),
                    Answer::Busy => {
                        self.refuses_last |= self.now() >= until;
                        0x9c
                    }
                },
                Rest::Busy(code) => code,
            };
            if !patient || self.now() >= until {
                return Ok(Last::Untold(codes::result(busy).into_owned()));
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// What the terminal has stored last, as it tells it now.
    async fn ask_once(&mut self) -> Result<Last> {
        Ok(match self.confirmed_last().await? {
            Answer::Last(last) => last,
            Answer::Busy => Last::Untold(codes::result(0x9c).into_owned()),
        })
    }

    /// It has left questions about an open payment unanswered so often that it is not asked again.
    async fn leaves_alone(&self) -> Result<bool> {
        for intent in self.journal.open(&self.options.name).await? {
            if self.journal.find(&intent.id).await?.is_some_and(|entry| books::unanswered(&entry) >= LOOKS) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The last transaction that the terminal has stored. Where answers have come late or twice on this connection, what came
    /// may be an earlier result, such as an approval that the terminal has taken back since: then two answers in a row have to
    /// agree.
    async fn confirmed_last(&mut self) -> Result<Answer> {
        let mut answer = self.ask_last().await?;
        for _ in 0..REPEATS {
            let before = match answer {
                Answer::Last(last) if self.session.is_doubtful() && last != Last::Silent => last,
                answer => return Ok(answer),
            };
            answer = self.ask_last().await?;
            if let Answer::Last(again) = &answer
                && self.is_same(&before, again)
            {
                return Ok(answer);
            }
        }
        let why = "its answers came late or twice, and contradict each other";
        Ok(Answer::Last(Last::Untold(why.into())))
    }

    /// Whether two answers are about the same transaction with the same result. Details such as the time may differ.
    fn is_same(&self, one: &Last, other: &Last) -> bool {
        let (Last::Shown(one), Last::Shown(other)) = (one, other) else { return one == other };
        let (nobody, zero) = (IntentId(String::new()), Amount::zero(self.options.currency));
        let [one, other] = [one, other].map(|data| {
            let info = StatusInfo::parse(&data.0);
            let charge = self.charge(&nobody, zero, &info);
            (info.result, charge.reference, charge.amount)
        });
        one == other
    }

    async fn ask_last(&mut self) -> Result<Answer> {
        let mut command = Vec::new();
        admin::repeat_receipt(&mut command, self.options.password, admin::WITH_STATUS | admin::WITHOUT_PRINT);
        let mut task = Task::default();
        let end = self.exchange(command, Flow::Enquiry, &mut task).await?;
        let code = match (end, task.result) {
            (End::Completed(_), Some(data)) => {
                self.refuses_last = false;
                return Ok(Answer::Last(Last::Shown(Data(data))));
            }
            (End::Completed(_) | End::Acknowledged, None) | (End::Acknowledged, _) => {
                return Ok(Answer::Last(Last::Untold("it sent no status information".into())));
            }
            (End::Unanswered, _) => return Ok(Answer::Last(Last::Silent)),
            (End::Refused(0x9c) | End::Aborted { code: Some(0x9c), .. }, _) => return Ok(Answer::Busy),
            (End::Aborted { code, .. }, _) => code.unwrap_or(0xff),
            (End::Refused(code), _) => code,
        };
        Ok(Answer::Last(if self.options.nothing_stored.contains(&code) {
            Last::Nothing
        } else {
            Last::Untold(codes::result(code).into_owned())
        }))
    }

    /// 05 01 until no transaction can be running any more. One that is not answered says nothing.
    async fn wait_until_idle(&mut self, patient: bool) -> Result<Rest> {
        let until = self.now() + self.options.patience;
        loop {
            match self.ask_state().await?.status {
                Some(code) if codes::activity(code) == Activity::Busy => {
                    if !patient || self.now() >= until {
                        return Ok(Rest::Busy(code));
                    }
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                _ => return Ok(Rest::Idle),
            }
        }
    }

    async fn ask_state(&mut self) -> Result<State> {
        let mut command = Vec::new();
        enquiry::status_enquiry(&mut command, self.options.password);
        Ok(match self.exchange(command, Flow::Enquiry, &mut Task::default()).await? {
            End::Completed(data) => State::parse(&data),
            // It does not know this command; if it were busy it would have said so.
            End::Refused(0x83) | End::Acknowledged | End::Unanswered => State::default(),
            End::Refused(code) => State { status: Some(code), ..State::default() },
            End::Aborted { code, .. } => State { status: code, ..State::default() },
        })
    }

    pub(super) async fn how_it_is(&mut self) -> Result<TerminalStatus> {
        self.usable()?;
        let state = self.ask_state().await?;
        // A terminal that does not know 05 01 answers a registration.
        self.owe_nothing().await?;
        self.leave_if_doubtful();
        let code = state.status.unwrap_or(0);
        let bits = [(1, Due::Initialisation), (2, Due::Diagnosis), (4, Due::EndOfDay)];
        let mut due: Vec<Due> = bits.into_iter().filter(|(bit, _)| self.due & bit != 0).map(|(_, due)| due).collect();
        let told = match code {
            0xc2 => Some(Due::Diagnosis),
            0x6a | 0xf0 => Some(Due::EndOfDay),
            _ => None,
        };
        due.extend(told.filter(|told| !due.contains(told)));
        let language = self.language();
        let ready = || language.pick("ready", "bereit").to_owned();
        let mut text = if code == 0 { ready() } else { codes::words(code, language).into_owned() };
        for (needs, words) in [
            (Due::Initialisation, language.pick("it has to be initialised", "es muss initialisiert werden")),
            (Due::Diagnosis, language.pick("a diagnosis is due", "eine Diagnose ist fällig")),
            (Due::EndOfDay, language.pick("its day has to be closed", "der Kassenschnitt ist fällig")),
        ] {
            if code == 0 && due.contains(&needs) {
                text = format!("{text}; {words}");
            }
        }
        Ok(TerminalStatus {
            ready: code == 0 && !due.contains(&Due::Initialisation),
            text,
            terminal_id: state.terminal_id.or_else(|| self.terminal_id.clone()),
            software: state.software,
            device: state.device,
            serial_number: state.serial_number,
            at: state.at,
            due,
        })
    }

    fn stays_busy(&self, code: u8) -> Error {
        let what = format!("the terminal stays busy: {}", codes::result(code));
        Error::new(Kind::Busy, what).at(&self.options.name)
    }
}

/// How often the last transaction is asked for again until two answers in a row agree.
const REPEATS: usize = 3;
