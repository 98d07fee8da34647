//! Binds a session to a link and a journal: the [`Terminal`](class::Terminal) of ZVT.
//!
//! [`open`] registers; call `recover` next. Open payments that the terminal has not been asked about are
//! looked up before the next payment at the latest.

mod admin;
mod asking;
mod dialog;
mod input;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tresen_hal::{Amount, BoxFuture, Clock, Driver, Error, Kind, Known, Language, Link, Result};

use super::commands::completion::Registered;
use super::commands::display;
use super::commands::intermediate::Intermediate;
use super::commands::print::{Block, Line};
use super::commands::registration::{self, Registration};
use super::commands::status_info::StatusInfo;
use super::options::Options;
use super::recovery::{Last, Reading};
use super::redact::Frames;
use super::reference;
use super::session::{Event, Flow, Session};
use super::text::Charset;
use super::transport::Transport;
use crate::host::Host;
use crate::journal::Journal;
use crate::operation::{Operation, OperationKind, Outcome};
use crate::outcome::{Charge, IntentId};
use crate::pan;
use crate::terminal::{self as class, Capabilities, Notice, Operations, Settled, TerminalStatus};
use dialog::{End, Task, failed, refused};
use transaction::not_of_here;

/// A ZVT terminal over an open link.
#[derive(Debug)]
pub struct Terminal {
    link: Box<dyn Link>,
    options: Options,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    transport: Transport,
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
    frames: Frames,
    /// The last enquiry was not answered.
    silent: bool,
    /// It answers 06 20 with busy and did so for the whole of [`Options::patience`].
    refuses_last: bool,
    /// A dialogue was left in its middle, or the link is lost.
    spent: bool,
}

/// How often a busy terminal is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The command of each operation: the terminal's list of commands says which it takes (chapter "Registration", tag 26).
const COMMANDS: &[(OperationKind, [u8; 2])] = &[
    (OperationKind::Pay, [0x06, 0x01]),
    (OperationKind::Refund, [0x06, 0x31]),
    (OperationKind::Reversal, [0x06, 0x30]),
    (OperationKind::PreAuthorisation, [0x06, 0x22]),
    (OperationKind::Booking, [0x06, 0x23]),
    (OperationKind::Release, [0x06, 0x25]),
    (OperationKind::Tip, [0x06, 0x0c]),
    (OperationKind::TopUp, [0x06, 0x09]),
    (OperationKind::ReadCard, [0x06, 0xc0]),
    (OperationKind::Display, [0x06, 0xe0]),
    (OperationKind::Input, [0x06, 0xe2]),
    (OperationKind::Reprint, [0x06, 0x20]),
    (OperationKind::Totals, [0x06, 0x10]),
    (OperationKind::EndOfDay, [0x06, 0x50]),
    (OperationKind::Diagnosis, [0x06, 0x70]),
    (OperationKind::Initialisation, [0x06, 0x93]),
];

/// Registers at the terminal on `link`. Nothing that moves money is sent.
///
/// Call [`recover`](class::Terminal::recover) next. `clock` is what deadlines are counted by; tokio's timers wait
/// for them, so its [`Clock::now`] has to go on as theirs does.
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
        transport: Transport::new(options.framing),
        session: Session::new(options.timeouts).with_delivery(options.framing.delivery()),
        charset: Charset::default(),
        terminal_id: None,
        capabilities: Capabilities {
            operations: Operations::only(COMMANDS.iter().map(|(kind, _)| (*kind, Known::Unknown))),
            partial: options.partial.into(),
            receipt_text: options.hands_over_receipts().into(),
            ..Capabilities::default()
        },
        last: None,
        due: 0,
        notices: VecDeque::new(),
        frames: Frames::new(options.framing),
        silent: false,
        refuses_last: false,
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
        let until = self.now() + self.options.patience;
        loop {
            match self.exchange(command.clone(), Flow::Enquiry, &mut Task::default()).await? {
                End::Completed(data) => {
                    let registered = Registered::parse(&data);
                    for (kind, command) in COMMANDS {
                        self.capabilities.operations.set(*kind, registered.takes(*command));
                    }
                    self.capabilities.abort = registered.takes([0x06, 0xb0]);
                    self.terminal_id = registered.terminal_id;
                    self.due = registered.status.unwrap_or(0);
                    self.charset = registered.charset.or(self.options.charset).unwrap_or_default();
                    return Ok(());
                }
                End::Refused(0x9c) | End::Aborted { code: Some(0x9c), .. } if self.now() < until => {
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
            permitted: self.options.permitted(),
            charset: self.options.charset,
        };
        let mut command = Vec::new();
        registration.encode(&mut command);
        command
    }

    /// Of texts for the cashier.
    fn language(&self) -> Language {
        self.options.language.unwrap_or_default()
    }

    fn reading(&self) -> Reading {
        let now = self.clock.wall().to_zoned(TimeZone::system()).datetime();
        Reading { charset: self.charset, now, language: self.language() }
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

    async fn operate(&mut self, operation: Operation, host: Host) -> Result<Outcome> {
        let (transaction, request) = match operation.into_transaction() {
            Ok(transaction) => transaction,
            Err(Operation::Reprint) => return self.receipt_again(host).await.map(Outcome::Receipt),
            Err(Operation::Display { text, within }) => {
                return self.show(&text, within, host).await.map(Outcome::Done);
            }
            Err(Operation::Input { question }) => return self.ask_there(question, host).await.map(Outcome::Answer),
            Err(Operation::ReadCard { within }) => return self.read_card(within, host).await.map(Outcome::Card),
            Err(Operation::EndOfDay) => return self.close_day(host).await.map(Outcome::Day),
            Err(Operation::Totals) => return self.tell_totals(host).await.map(Outcome::Totals),
            Err(operation @ (Operation::Diagnosis | Operation::Initialise)) => {
                return self.administer(&operation, host).await.map(Outcome::Done);
            }
            Err(other) => return Err(other.kind().unsupported().at(&self.options.name)),
        };
        if !COMMANDS.iter().any(|(kind, _)| *kind == transaction.kind()) {
            return Err(transaction.kind().unsupported().at(&self.options.name));
        }
        if let Some(error) = transaction.of().and_then(|of| not_of_here(of, self.terminal_id.as_deref())) {
            return Err(error.at(&self.options.name));
        }
        let transaction = self.with_held(transaction, &request).await.map_err(|e| e.at(&self.options.name))?;
        self.pay(transaction, request, host).await.map(Outcome::Payment)
    }

    async fn next_notice(&mut self) -> Result<Notice> {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Ok(notice);
            }
            self.usable()?;
            self.receive().await?;
            // Dropped while sending, the driver stays spent.
            self.spent = true;
            while let Some(event) = self.session.poll_event() {
                let (charset, language) = (self.charset, self.language());
                let texts = match event {
                    Event::PrintLine(data) => Line::parse(&data.0).lines(charset),
                    Event::PrintBlock(data) => Block::parse(&data.0).lines(charset).collect(),
                    Event::Intermediate(data) => vec![Intermediate::parse(&data.0).text(charset, language)],
                    Event::Other { code, data, .. } => display::text(code, &data.0, charset).into_iter().collect(),
                    Event::Failed(failure) => return Err(failed(failure).at(&self.options.name)),
                    _ => Vec::new(),
                };
                self.notices.extend(texts.into_iter().map(|text| Notice::Text(pan::mask_line(&text, &[]))));
                self.confirm();
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

    fn login(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.register())
    }

    fn transact<'a>(&'a mut self, operation: Operation, host: Host) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(self.operate(operation, host))
    }

    fn recover(&mut self) -> BoxFuture<'_, Result<Vec<Settled>>> {
        Box::pin(self.settle())
    }

    fn status(&mut self) -> BoxFuture<'_, Result<TerminalStatus>> {
        Box::pin(self.how_it_is())
    }
}
