//! Binds a session to a link and a journal: the [`Terminal`](class::Terminal) of ZVT.
//!
//! [`open`] registers. Whoever opens calls `recover` next; what nobody has asked about yet is asked
//! about before the next payment in any case.

mod asking;
mod dialog;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tresen_hal::{Amount, BoxFuture, Clock, Driver, Effect, Error, Kind, Link, Result};

use super::codes;
use super::commands::admin;
use super::commands::completion::Registered;
use super::commands::display;
use super::commands::intermediate::Intermediate;
use super::commands::print::{Block, Line};
use super::commands::registration::{self, Config, Registration};
use super::commands::status_info::StatusInfo;
use super::commands::transaction::{self, Mirror};
use super::framing::Framing;
use super::options::Options;
use super::pan;
use super::recovery::{self, Last, Reading};
use super::redact::Redactor;
use super::reference::{self, name};
use super::session::{Event, Flow, Session};
use super::slips::Slips;
use super::text::Charset;
use crate::journal::{Intent, Journal, Operation, Reference};
use crate::outcome::{Charge, IntentId, NotCharged, Payment, Reason};
use crate::terminal::{self as class, Capabilities, EndOfDay, Notice, Request, Settled, TerminalStatus, Watch};
use dialog::{End, Task, failed, now, refused};

/// A ZVT terminal over an open link.
#[derive(Debug)]
pub struct Terminal {
    link: Box<dyn Link>,
    options: Options,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    framing: Framing,
    session: Session,
    charset: Charset,
    terminal_id: Option<String>,
    capabilities: Capabilities,
    /// What it showed right before the payment that runs.
    last: Option<Last>,
    /// BMP 19 of the registration: what somebody should do.
    due: u8,
    notices: VecDeque<Notice>,
    /// Masks what is traced.
    frames: Redactor,
    /// An enquiry was not answered, and nothing since.
    silent: bool,
    /// It refuses 06 20 as busy, and went on doing so for as long as anybody can wait.
    shy: bool,
    /// A dialogue was left in its middle, or the link is lost.
    spent: bool,
}

/// How often a busy terminal is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The largest amount that six bytes BCD hold.
const MOST: i64 = 999_999_999_999;

/// Registers at the terminal on `link`. Nothing that moves money is sent.
///
/// Call [`recover`](class::Terminal::recover) next.
///
/// # Errors
/// The link is lost, what answers is no ZVT terminal, it refuses the registration, or stays busy for
/// longer than [`Options::patience`].
pub async fn open(
    link: Box<dyn Link>,
    options: Options,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
) -> Result<Terminal> {
    let mut terminal = Terminal {
        framing: Framing::tcp(),
        session: Session::new(options.timeouts),
        charset: Charset::default(),
        terminal_id: None,
        capabilities: Capabilities {
            reversal: true,
            refund: true,
            abort: true,
            receipt_text: options.config.has(Config::PAYMENT_RECEIPTS | Config::PRINT_LINES),
        },
        last: None,
        due: 0,
        notices: VecDeque::new(),
        frames: Redactor::default(),
        silent: false,
        shy: false,
        spent: false,
        link,
        options,
        journal,
        clock,
    };
    match terminal.register().await {
        Ok(()) => Ok(terminal),
        Err(error) => Err(error.at(&terminal.options.name)),
    }
}

impl Terminal {
    /// The id that the terminal gave at registration.
    pub fn terminal_id(&self) -> Option<&str> {
        self.terminal_id.as_deref()
    }

    async fn register(&mut self) -> Result<()> {
        let command = self.registration();
        let until = now() + self.options.patience;
        loop {
            match self.exchange(command.clone(), Flow::Enquiry, &mut Task::default()).await? {
                End::Completed(data) => {
                    let registered = Registered::parse(&data);
                    self.terminal_id = registered.terminal_id;
                    self.due = registered.status.unwrap_or(0);
                    self.charset = registered.charset.or(self.options.charset).unwrap_or_default();
                    return Ok(());
                }
                End::Refused(0x9c) | End::Aborted { code: Some(0x9c), .. } if now() < until => {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                End::Unanswered => {
                    return Err(Error::new(Kind::Timeout, "the terminal did not answer the registration")
                        .hint("is the terminal switched on and idle?"));
                }
                end => return Err(refused("the registration", &end).hint("are password and currency right?")),
            }
        }
    }

    fn registration(&self) -> Vec<u8> {
        let registration = Registration {
            password: self.options.password,
            config: self.options.config,
            currency: Some(self.options.currency),
            service: Some(self.options.service),
            permitted: self.options.text_blocks.then(|| vec![[0x06, 0xd3]]),
            charset: self.options.charset,
        };
        let mut command = Vec::new();
        registration.encode(&mut command);
        command
    }

    fn reading(&self) -> Reading {
        Reading { charset: self.charset, now: self.clock.wall().to_zoned(TimeZone::system()).datetime() }
    }

    /// A charge as the terminal tells it. A terminal that leaves out its id means the one of the registration.
    fn charge(&self, intent: &IntentId, asked: Amount, info: &StatusInfo<'_>) -> Charge {
        let mut charge = self.reading().charge(intent, asked, info);
        if charge.terminal_id.is_none() {
            charge.terminal_id.clone_from(&self.terminal_id);
            let receipt = charge.receipt_number.as_deref();
            charge.reference =
                receipt.map(|r| reference::reference(charge.terminal_id.as_deref(), r, charge.trace.as_deref()));
        }
        charge
    }

    async fn transact(&mut self, operation: Operation, request: Request, watch: Watch) -> Result<Payment> {
        let name = self.options.name.clone();
        let Request { intent: id, amount } = request;
        if let Some(error) = unpayable(amount) {
            return Err(error.at(name));
        }
        if let Some(entry) = self.journal.find(&id).await? {
            if entry.intent.amount != amount || entry.intent.operation != operation || entry.intent.terminal != name {
                let what = format!("`{}` is already the key of another transaction: {}", id.0, entry.intent.amount);
                return Err(Error::new(Kind::Input, what).at(name).hint("use a new key"));
            }
            let begun = || Payment::unknown(&id, "it was begun, and nobody has asked the terminal yet");
            return Ok(entry.outcome().unwrap_or_else(begun));
        }
        self.usable()?;
        let mut watch = Some(watch);
        if self.unasked().await? {
            self.settle().await.map_err(|e| e.with_effect(Effect::None))?;
        }
        let last_before = self.last_before(&mut watch).await.map_err(|e| e.with_effect(Effect::None))?;
        // What the journal has is not the last one if something is open.
        let certain_before = matches!(self.last, Some(Last::Shown(_))) || self.journal.open(&name).await?.is_empty();
        // From here on every answer has to be the one to this command.
        self.owe_nothing().await?;
        let command = self.command(&operation, amount, last_before.as_ref());
        let intent = Intent::new(id, name, operation, amount, self.clock.wall(), last_before);
        self.journal.intend(&intent).await?;
        let mut task = Task { intent: Some(intent.clone()), watch, certain_before, ..Task::default() };
        let payment = match self.exchange(command, Flow::Completed, &mut task).await {
            Ok(end) => self.outcome(&intent, end, &mut task).await,
            Err(error) => {
                tracing::warn!(%error, intent = intent.id.0, "the end of a payment was not heard");
                Payment::unknown(&intent.id, format!("the end of the dialogue was not heard: {error}"))
            }
        };
        self.last = None;
        let payment = self.conclude(payment).await;
        self.leave_if_doubtful();
        payment
    }

    /// Writes how it ended. If it has ended otherwise meanwhile, that is what stands.
    async fn conclude(&mut self, payment: Payment) -> Result<Payment> {
        let id = payment.intent().clone();
        let Err(error) = self.journal.conclude(&id, &payment).await else { return Ok(payment) };
        tracing::error!(%error, intent = id.0, "the outcome could not be written");
        if error.kind() == Kind::Input
            && let Ok(Some(entry)) = self.journal.find(&id).await
        {
            if !entry.is_open() {
                return Ok(entry.outcome().expect("what is not open has an outcome"));
            }
            let payment = Payment::unknown(&id, error.to_string());
            if self.journal.conclude(&id, &payment).await.is_ok() {
                return Ok(payment);
            }
        }
        // The journal still has it open, so that is what it is.
        Ok(Payment::unknown(&id, format!("the outcome could not be written: {error}")))
    }

    fn command(&self, operation: &Operation, amount: Amount, last: Option<&Reference>) -> Vec<u8> {
        let mirror = self.options.mirror.then(|| match last {
            Some(last) => Mirror::Last(reference::receipt(last).unwrap_or_default()),
            None => Mirror::Unknown,
        });
        let password = self.options.password;
        let mut out = Vec::new();
        match operation {
            Operation::Payment => transaction::authorisation(&mut out, amount, mirror),
            Operation::Reversal { reference } => {
                let receipt = reference::receipt(reference).unwrap_or_default();
                transaction::reversal(&mut out, password, receipt, amount, mirror);
            }
            Operation::Refund => transaction::refund(&mut out, password, amount, mirror),
        }
        out
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
                Payment::Charged(Box::new(charge))
            }
            (End::Completed(_), None, Some((code, text)), None) => not_charged(intent, Some(code), text, slips),
            (End::Aborted { code, text }, None, Some((declined, words)), None) => {
                not_charged(intent, Some(declined).or(code), words.or(text), slips)
            }
            (End::Refused(code), None, None, None) => not_charged(intent, Some(code), None, slips),
            // An abort without any result: a stray one would leave the payment running.
            (End::Aborted { code, text }, None, None, None) => match self.still_runs(intent).await {
                Ok(None) => not_charged(intent, code, text, slips),
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

    /// On a connection with answers too late or too many only an approval that is new beyond doubt counts.
    fn beyond_telling(&self, intent: &Intent, approved: Option<&Charge>, end: &End, task: &Task) -> Option<String> {
        if !self.session.is_doubtful() {
            return None;
        }
        // The end may be that of an enquiry before. Where an acknowledged approval stands in any case, that does
        // not matter.
        let ended = !self.session.misses_end() || self.options.commit == Some(recovery::Commit::Keeps);
        match (approved, end) {
            (Some(charge), End::Completed(_))
                if ended && recovery::is_new(intent, charge, self.reading(), task.certain_before) =>
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

    /// Ends a connection on which answers are missing or came too late: the next one has none of them, so
    /// that nobody's payment suffers.
    fn leave_if_doubtful(&mut self) {
        if self.session.owes() || self.session.is_doubtful() {
            tracing::info!("answers stayed away or came late; the connection is left");
            self.spent = true;
        }
    }

    async fn close_day(&mut self, watch: Watch) -> Result<EndOfDay> {
        self.usable()?;
        // What nobody has asked about could not be found again after the turnover has been handed in.
        if self.unasked().await? {
            self.settle().await?;
        }
        self.owe_nothing().await?;
        let mut command = Vec::new();
        admin::end_of_day(&mut command, self.options.password);
        let mut task = Task { watch: Some(watch), ..Task::default() };
        let end = self.exchange(command, Flow::Completed, &mut task).await?;
        let End::Completed(_) = end else { return Err(refused("the end of day", &end).at(&self.options.name)) };
        let data = task.result.unwrap_or_default();
        let info = StatusInfo::parse(&data);
        if let Some(code) = info.result.filter(|code| *code != 0) {
            return Err(refused("the end of day", &End::Refused(code)).at(&self.options.name));
        }
        let currency = info.currency().unwrap_or(self.options.currency);
        Ok(EndOfDay { total: info.minor().map(|m| Amount::new(m, currency)), receipt: task.slips.all() })
    }

    async fn receipt_again(&mut self) -> Result<Vec<String>> {
        let mut command = Vec::new();
        admin::repeat_receipt(&mut command, self.options.password, 0x00);
        let mut task = Task::default();
        self.owe_nothing().await?;
        let end = self.exchange(command, Flow::Completed, &mut task).await?;
        let lines = task.slips.all();
        match end {
            End::Completed(_) if !lines.is_empty() => Ok(lines),
            End::Completed(_) => {
                let what = "the terminal handed over no receipt";
                Err(Error::new(Kind::NotFound, what).at(&self.options.name).hint("does it print by itself?"))
            }
            end => Err(refused("the receipt", &end).at(&self.options.name)),
        }
    }

    async fn next_notice(&mut self) -> Result<Notice> {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Ok(notice);
            }
            self.usable()?;
            self.receive().await?;
            // Whoever drops this while it sends leaves a driver that says so.
            self.spent = true;
            while let Some(event) = self.session.poll_event() {
                let charset = self.charset;
                let texts = match event {
                    Event::PrintLine(data) => Line::parse(&data.0).lines(charset),
                    Event::PrintBlock(data) => Block::parse(&data.0).lines(charset).collect(),
                    Event::Intermediate(data) => vec![Intermediate::parse(&data.0).text(charset)],
                    Event::Other { code, data, .. } => display::text(code, &data.0, charset).into_iter().collect(),
                    Event::Failed(failure) => return Err(failed(failure).at(&self.options.name)),
                    _ => Vec::new(),
                };
                self.notices.extend(texts.into_iter().map(|text| Notice::Text(pan::mask_line(&text, &[]))));
                self.session.confirm(now());
            }
            self.flush().await?;
            self.spent = false;
        }
    }
}

impl Driver for Terminal {
    type Event = Notice;

    fn event(&mut self) -> BoxFuture<'_, Result<Notice>> {
        Box::pin(self.next_notice())
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut command = Vec::new();
            registration::log_off(&mut command);
            if let Err(error) = self.exchange(command, Flow::Acknowledged, &mut Task::default()).await {
                tracing::debug!(%error, "the terminal was not logged off");
            }
            self.spent = true;
            self.link.close().await;
        })
    }
}

impl class::Terminal for Terminal {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn pay<'a>(&'a mut self, request: Request, watch: Watch) -> BoxFuture<'a, Result<Payment>> {
        Box::pin(self.transact(Operation::Payment, request, watch))
    }

    fn reverse<'a>(
        &'a mut self,
        reference: Reference,
        request: Request,
        watch: Watch,
    ) -> BoxFuture<'a, Result<Payment>> {
        Box::pin(async move {
            if let Some(error) = irreversible(&reference, self.terminal_id.as_deref()) {
                return Err(error.at(&self.options.name));
            }
            self.transact(Operation::Reversal { reference }, request, watch).await
        })
    }

    fn refund<'a>(&'a mut self, request: Request, watch: Watch) -> BoxFuture<'a, Result<Payment>> {
        Box::pin(self.transact(Operation::Refund, request, watch))
    }

    fn recover(&mut self) -> BoxFuture<'_, Result<Vec<Settled>>> {
        Box::pin(self.settle())
    }

    fn end_of_day<'a>(&'a mut self, watch: Watch) -> BoxFuture<'a, Result<EndOfDay>> {
        Box::pin(self.close_day(watch))
    }

    fn repeat_receipt(&mut self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(self.receipt_again())
    }

    fn status(&mut self) -> BoxFuture<'_, Result<TerminalStatus>> {
        Box::pin(self.how_it_is())
    }
}

/// Why an amount cannot be asked of a terminal.
fn unpayable(amount: Amount) -> Option<Error> {
    let hint = match amount.minor() {
        1..=MOST => return None,
        ..1 => "it takes amounts above zero".to_owned(),
        _ => format!("it takes at most {}", Amount::new(MOST, amount.currency())),
    };
    Some(Error::new(Kind::Input, format!("{amount} cannot be paid at a terminal")).hint(hint))
}

/// Why this terminal cannot take back what `reference` names.
fn irreversible(reference: &Reference, terminal: Option<&str>) -> Option<Error> {
    let receipt = reference::receipt(reference).unwrap_or_default();
    if receipt.len() != 4 || !receipt.bytes().all(|b| b.is_ascii_digit()) {
        let what = format!("`{reference}` names no receipt of a ZVT terminal");
        return Some(Error::new(Kind::Input, what).hint("its number has one to four digits"));
    }
    let (theirs, ours) = (reference::terminal(reference)?, terminal?);
    if theirs.trim_start_matches('0') == ours.trim_start_matches('0') {
        return None;
    }
    let what = format!("{} cannot be taken back here: this is terminal {ours}", name(reference));
    Some(Error::new(Kind::Input, what).hint("take it back where it was paid"))
}

fn not_charged(intent: &Intent, code: Option<u8>, words: Option<String>, slips: Slips) -> Payment {
    let code = code.filter(|c| *c != 0);
    let reason = code.map_or(Reason::Declined, codes::reason);
    let text = words.or_else(|| Some(codes::result(code?).into_owned()));
    let text = text.unwrap_or_else(|| "the terminal ended the payment without a reason".into());
    let mut not = NotCharged::new(intent.id.clone(), reason, code, text);
    not.slip = slips.all();
    Payment::NotCharged(not)
}
