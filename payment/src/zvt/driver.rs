//! Binds a session to a link and a journal: the [`Terminal`](class::Terminal) of ZVT.
//!
//! [`open`] registers. Whoever opens calls `recover` next; until the journal has nothing open for
//! this terminal, no payment is taken.

mod dialog;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tresen_hal::link::record::Direction;
use tresen_hal::{Amount, BoxFuture, Clock, Driver, Error, Kind, Link, Result, Retry};

use super::codes::{self, Activity};
use super::commands::admin;
use super::commands::completion::Registered;
use super::commands::enquiry::{self, State};
use super::commands::intermediate::Intermediate;
use super::commands::print::{Block, Line};
use super::commands::registration::{self, Config, Registration};
use super::commands::status_info::StatusInfo;
use super::commands::transaction::{self, Mirror};
use super::recovery::{self, Case, Last, Reading};
use super::session::{Event, Flow, Session};
use super::settings::Settings;
use super::slips::Slips;
use super::text::Charset;
use crate::journal::{Intent, Journal, Operation, Reference};
use crate::outcome::{Charge, IntentId, NotCharged, Payment};
use crate::terminal::{self as class, Capabilities, EndOfDay, Notice, Request, Settled, TerminalStatus, Watch};
use dialog::{End, Task, failed, now, refused, trace};

/// A ZVT terminal over an open link.
#[derive(Debug)]
pub struct Terminal {
    link: Box<dyn Link>,
    settings: Settings,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    session: Session,
    charset: Charset,
    terminal_id: Option<String>,
    capabilities: Capabilities,
    /// What it showed last as its last transaction; `None` when that may have changed.
    last: Option<Last>,
    notices: VecDeque<Notice>,
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
/// longer than [`Settings::patience`].
pub async fn open(
    link: Box<dyn Link>,
    settings: Settings,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
) -> Result<Terminal> {
    let mut terminal = Terminal {
        session: Session::new(settings.timeouts),
        charset: Charset::default(),
        terminal_id: None,
        capabilities: Capabilities {
            reversal: true,
            refund: true,
            abort: true,
            receipt_text: settings.config.has(Config::PAYMENT_RECEIPTS | Config::PRINT_LINES),
        },
        last: None,
        notices: VecDeque::new(),
        spent: false,
        link,
        settings,
        journal,
        clock,
    };
    match terminal.register().await {
        Ok(()) => Ok(terminal),
        Err(error) => Err(error.at(&terminal.settings.name)),
    }
}

impl Terminal {
    /// The id that the terminal gave at registration.
    pub fn terminal_id(&self) -> Option<&str> {
        self.terminal_id.as_deref()
    }

    async fn register(&mut self) -> Result<()> {
        let registration = Registration {
            password: self.settings.password,
            config: self.settings.config,
            currency: Some(self.settings.currency),
            service: Some(self.settings.service),
            permitted: self.settings.text_blocks.then(|| vec![[0x06, 0xd3]]),
            charset: self.settings.charset,
        };
        let mut command = Vec::new();
        registration.encode(&mut command);
        let until = now() + self.settings.patience;
        loop {
            match self.exchange(command.clone(), Flow::Completed, &mut Task::default()).await? {
                End::Completed(data) => {
                    let registered = Registered::parse(&data);
                    self.terminal_id = registered.terminal_id;
                    self.charset = registered.charset.filter(|c| Some(*c) == self.settings.charset).unwrap_or_default();
                    return Ok(());
                }
                End::Refused(0x9c) | End::Aborted { code: Some(0x9c), .. } if now() < until => {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                end => return Err(refused("the registration", &end).hint("are password and currency right?")),
            }
        }
    }

    fn reading(&self) -> Reading {
        Reading { charset: self.charset, today: self.clock.wall().to_zoned(TimeZone::system()).date() }
    }

    async fn transact(&mut self, operation: Operation, request: Request, watch: Watch) -> Result<Payment> {
        let name = self.settings.name.clone();
        let Request { intent: id, amount } = request;
        if !(1..=MOST).contains(&amount.minor()) {
            let what = format!("{amount} cannot be paid at a terminal");
            return Err(Error::new(Kind::Input, what).at(name).hint("it takes amounts above zero"));
        }
        if let Some(entry) = self.journal.find(&id).await? {
            if entry.intent.amount != amount || entry.intent.operation != operation || entry.intent.terminal != name {
                let what = format!("`{}` is already the key of another transaction: {}", id.0, entry.intent.amount);
                return Err(Error::new(Kind::Input, what).at(name).hint("use a new key"));
            }
            return Ok(entry.payment.unwrap_or(Payment::Unknown(id)));
        }
        self.nothing_open().await?;
        self.usable()?;
        let last_before = self.last_before().await?;
        let command = self.command(&operation, amount, last_before.as_ref());
        let intent = Intent::new(id, name, operation, amount, self.clock.wall(), last_before);
        self.journal.intend(&intent).await?;
        let mut task = Task { intent: Some(intent.clone()), watch: Some(watch), ..Task::default() };
        self.last = None;
        let payment = match self.exchange(command, Flow::Completed, &mut task).await {
            Ok(end) => self.outcome(&intent, end, &mut task).await,
            Err(error) => {
                tracing::warn!(%error, intent = intent.id.0, "the end of a payment was not heard");
                Payment::Unknown(intent.id.clone())
            }
        };
        if let Err(error) = self.journal.conclude(&intent.id, &payment).await {
            // The journal still has it open, so that is what it is.
            tracing::error!(%error, intent = intent.id.0, "the outcome could not be written");
            return Ok(Payment::Unknown(intent.id));
        }
        Ok(payment)
    }

    fn command(&self, operation: &Operation, amount: Amount, last: Option<&Reference>) -> Vec<u8> {
        let mirror = self.settings.mirror.then(|| match last {
            Some(last) => Mirror::Last(&last.receipt_number),
            None => Mirror::Unknown,
        });
        let password = self.settings.password;
        let mut out = Vec::new();
        match operation {
            Operation::Payment => transaction::authorisation(&mut out, amount, mirror),
            Operation::Reversal { receipt_number } => {
                transaction::reversal(&mut out, password, receipt_number, amount, mirror);
            }
            Operation::Refund => transaction::refund(&mut out, password, amount, mirror),
        }
        out
    }

    async fn outcome(&mut self, intent: &Intent, end: End, task: &mut Task) -> Payment {
        let slips = std::mem::take(&mut task.slips);
        // Whatever follows a result that could not be read, the terminal has to be asked.
        let end = if task.unclear { End::Acknowledged } else { end };
        match (end, task.approved.take(), task.declined.take()) {
            (End::Completed(_), Some(mut charge), None) => {
                slips.fill(&mut charge);
                Payment::Charged(Box::new(charge))
            }
            (End::Completed(_), None, Some((code, text))) => not_charged(intent, Some(code), text, slips),
            (End::Aborted { code, text }, None, declined) => {
                let (code, words) = declined.map_or((code, None), |(code, words)| (Some(code), words));
                not_charged(intent, code, words.or(text), slips)
            }
            (End::Refused(code), None, None) => not_charged(intent, Some(code), None, slips),
            // Completed without a result that could be read, or approved and then not completed: the terminal
            // is there, so it can be asked.
            (_, approved, _) => match self.look_up(intent, approved.as_ref()).await {
                Ok((payment, evidence)) => {
                    tracing::info!(intent = intent.id.0, evidence, "settled by asking the terminal");
                    payment
                }
                Err(error) => {
                    tracing::warn!(%error, intent = intent.id.0, "the terminal could not be asked");
                    Payment::Unknown(intent.id.clone())
                }
            },
        }
    }

    async fn look_up(&mut self, intent: &Intent, approved: Option<&Charge>) -> Result<(Payment, String)> {
        self.wait_until_idle().await?;
        let last = self.ask_last().await?;
        let case = Case { intent, approved, only: true, commit: self.settings.commit };
        Ok(recovery::decide(case, &last, self.reading()))
    }

    async fn nothing_open(&self) -> Result<()> {
        let open = self.journal.open(&self.settings.name).await?;
        let Some(first) = open.first() else { return Ok(()) };
        let what = format!("an earlier transaction is not settled: {} of {}", first.amount, first.at);
        Err(Error::new(Kind::Busy, what)
            .with_retry(Retry::AfterReconnect)
            .at(&self.settings.name)
            .hint("recover the terminal first"))
    }

    /// The last transaction before a new one: what the terminal shows, else what the journal has.
    async fn last_before(&mut self) -> Result<Option<Reference>> {
        let last = match self.last.take() {
            Some(last) => last,
            None => self.ask_last().await?,
        };
        let reference = match &last {
            Last::Shown(data) => {
                let none = IntentId(String::new());
                let zero = Amount::zero(self.settings.currency);
                Reference::of(&self.reading().charge(&none, zero, &StatusInfo::parse(data)))
            }
            Last::Nothing => None,
            Last::Untold(why) => {
                tracing::warn!(
                    why,
                    "the terminal does not tell its last transaction: a lost payment cannot be settled"
                );
                self.journal.last(&self.settings.name).await?
            }
        };
        self.last = Some(last);
        Ok(reference)
    }

    async fn ask_last(&mut self) -> Result<Last> {
        let mut command = Vec::new();
        admin::repeat_receipt(&mut command, self.settings.password, admin::WITH_STATUS | admin::WITHOUT_PRINT);
        let mut task = Task::default();
        let end = self.exchange(command, Flow::Completed, &mut task).await?;
        let code = match (end, task.result) {
            (End::Completed(_), Some(data)) => return Ok(Last::Shown(data)),
            (End::Completed(_) | End::Acknowledged, _) => {
                return Ok(Last::Untold("it sent no status information".into()));
            }
            (End::Aborted { code, .. }, _) => code.unwrap_or(0xff),
            (End::Refused(0x9c), _) => {
                return Err(Error::new(Kind::Busy, "the terminal is busy").at(&self.settings.name));
            }
            (End::Refused(code), _) => code,
        };
        Ok(if self.settings.nothing_stored.contains(&code) {
            Last::Nothing
        } else {
            Last::Untold(codes::result(code).into_owned())
        })
    }

    /// 05 01 until no transaction can be running any more.
    async fn wait_until_idle(&mut self) -> Result<State> {
        let until = now() + self.settings.patience;
        loop {
            let mut command = Vec::new();
            enquiry::status_enquiry(&mut command, self.settings.password);
            let state = match self.exchange(command, Flow::Completed, &mut Task::default()).await? {
                End::Completed(data) => State::parse(&data),
                // It does not know this command, and a busy one would have said so.
                End::Refused(0x83) => State::default(),
                End::Refused(code) => State { software: None, status: Some(code) },
                End::Aborted { code, .. } => State { software: None, status: code },
                End::Acknowledged => State::default(),
            };
            match state.status {
                Some(code) if codes::activity(code) == Activity::Busy => {
                    if now() >= until {
                        let what = format!("the terminal does not come to rest: {}", codes::result(code));
                        return Err(Error::new(Kind::Busy, what).at(&self.settings.name));
                    }
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                _ => return Ok(state),
            }
        }
    }

    async fn settle(&mut self) -> Result<Vec<Settled>> {
        let open = self.journal.open(&self.settings.name).await?;
        if open.is_empty() {
            return Ok(Vec::new());
        }
        self.wait_until_idle().await?;
        let last = self.ask_last().await?;
        let only = open.len() == 1;
        let mut settled = Vec::new();
        for intent in open {
            let approved = self.journal.find(&intent.id).await?.and_then(|e| e.approved);
            let case = Case { intent: &intent, approved: approved.as_ref(), only, commit: self.settings.commit };
            let (payment, evidence) = recovery::decide(case, &last, self.reading());
            self.journal.conclude(&intent.id, &payment).await?;
            tracing::info!(intent = intent.id.0, evidence, ?payment, "settled");
            settled.push(Settled::new(intent, payment, evidence));
        }
        self.last = Some(last);
        Ok(settled)
    }

    async fn close_day(&mut self, watch: Watch) -> Result<EndOfDay> {
        // What is open could not be found again after the turnover has been handed in.
        self.nothing_open().await?;
        let mut command = Vec::new();
        admin::end_of_day(&mut command, self.settings.password);
        let mut task = Task { watch: Some(watch), ..Task::default() };
        self.last = None;
        let end = self.exchange(command, Flow::Completed, &mut task).await?;
        let End::Completed(_) = end else { return Err(refused("the end of day", &end).at(&self.settings.name)) };
        let data = task.result.unwrap_or_default();
        let info = StatusInfo::parse(&data);
        if let Some(code) = info.result.filter(|code| *code != 0) {
            return Err(refused("the end of day", &End::Refused(code)).at(&self.settings.name));
        }
        let currency = info.currency().unwrap_or(self.settings.currency);
        Ok(EndOfDay { total: info.minor().map(|m| Amount::new(m, currency)), receipt: task.slips.all() })
    }

    async fn receipt_again(&mut self) -> Result<Vec<String>> {
        let mut command = Vec::new();
        admin::repeat_receipt(&mut command, self.settings.password, 0x00);
        let mut task = Task::default();
        let end = self.exchange(command, Flow::Completed, &mut task).await?;
        let lines = task.slips.all();
        match end {
            End::Completed(_) if !lines.is_empty() => Ok(lines),
            End::Completed(_) => {
                let what = "the terminal handed over no receipt";
                Err(Error::new(Kind::NotFound, what).at(&self.settings.name).hint("does it print by itself?"))
            }
            end => Err(refused("the receipt", &end).at(&self.settings.name)),
        }
    }

    async fn next_notice(&mut self) -> Result<Notice> {
        let mut input = Vec::new();
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Ok(notice);
            }
            self.usable()?;
            self.link.recv(&mut input).await.map_err(|e| e.at(&self.settings.name))?;
            trace(Direction::Received, &input);
            self.session.handle_input(&input, now());
            input.clear();
            // Whoever drops this while it sends leaves a driver that says so.
            self.spent = true;
            while let Some(event) = self.session.poll_event() {
                let charset = self.charset;
                let texts = match event {
                    Event::PrintLine(data) => Line::parse(&data.0).lines(charset),
                    Event::PrintBlock(data) => Block::parse(&data.0).lines(charset).collect(),
                    Event::Intermediate(data) => vec![Intermediate::parse(&data.0).text(charset)],
                    Event::Failed(failure) => return Err(failed(failure).at(&self.settings.name)),
                    _ => Vec::new(),
                };
                self.notices.extend(texts.into_iter().map(Notice::Text));
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
        receipt_number: String,
        request: Request,
        watch: Watch,
    ) -> BoxFuture<'a, Result<Payment>> {
        Box::pin(async move {
            if !(1..=4).contains(&receipt_number.len()) || !receipt_number.bytes().all(|b| b.is_ascii_digit()) {
                let what = format!("`{receipt_number}` is no receipt number of a ZVT terminal");
                return Err(Error::new(Kind::Input, what).at(&self.settings.name).hint("it has one to four digits"));
            }
            self.transact(Operation::Reversal { receipt_number }, request, watch).await
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
        Box::pin(async move {
            let mut command = Vec::new();
            enquiry::status_enquiry(&mut command, self.settings.password);
            let state = match self.exchange(command, Flow::Completed, &mut Task::default()).await? {
                End::Completed(data) => State::parse(&data),
                End::Refused(code) | End::Aborted { code: Some(code), .. } => {
                    State { software: None, status: Some(code) }
                }
                _ => State::default(),
            };
            let code = state.status.unwrap_or(0);
            let text = if code == 0 { "ready".into() } else { codes::result(code).into_owned() };
            Ok(TerminalStatus {
                ready: code == 0,
                text,
                terminal_id: self.terminal_id.clone(),
                software: state.software,
            })
        })
    }
}

fn not_charged(intent: &Intent, code: Option<u8>, words: Option<String>, slips: Slips) -> Payment {
    let code = code.filter(|c| *c != 0);
    let reason = code.map_or(crate::outcome::Reason::Declined, codes::reason);
    let text = words.or_else(|| Some(codes::result(code?).into_owned()));
    let text = text.unwrap_or_else(|| "the terminal ended the payment without a reason".into());
    let mut not = NotCharged::new(intent.id.clone(), reason, code, text);
    not.slip = slips.all();
    Payment::NotCharged(not)
}
