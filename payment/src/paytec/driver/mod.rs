//! Binds a session to a link and a journal: the [`Terminal`](class::Terminal) of PayTec.
//!
//! [`open`] connects and opens the shift; call `recover` next. Open payments that the terminal has not been asked about
//! are looked up before the next payment at the latest.

mod admin;
mod asking;
mod exchange;
mod receipts;
mod transaction;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tresen_hal::{BoxFuture, Clock, Driver, Error, Kind, Known, Link, Result};

use super::codes;
use super::framing::Framing;
use super::options::Options;
use super::redact::Redactor;
use super::reference::Counters;
use super::serial::{End as Side, Frames};
use super::session::{Event, Session};
use super::wire::{Activation, ConnectRequest, Connected, Message, Status};
use crate::host::{Host, Progress};
use crate::journal::Journal;
use crate::operation::{Operation, OperationKind, Outcome};
use crate::terminal::{self as class, Capabilities, Notice, Operations, Settled, TerminalStatus};
use exchange::{End, Task, failed};

/// A PayTec terminal over an open link. `Debug` does not show what the terminal has said.
pub struct Terminal {
    link: Box<dyn Link>,
    options: Options,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    framing: Framing,
    session: Session,
    about: Connected,
    /// The shift that is open, and what the terminal can do.
    activation: Activation,
    /// How it was when it told that last.
    status: Status,
    capabilities: Capabilities,
    notices: VecDeque<Notice>,
    /// Masks what is traced.
    frames: Redactor,
    /// A request was left in its middle, or the link is lost.
    spent: bool,
    /// A transaction runs; if its caller has left, the terminal may wait for a confirmation.
    engaged: bool,
}

/// How often a busy terminal is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What the protocol can do, as far as this driver goes; the terminal's mask says more about what moves money.
const OPERATIONS: &[(OperationKind, Known)] = &[
    (OperationKind::Pay, Known::Unknown),
    (OperationKind::Refund, Known::Unknown),
    (OperationKind::Reversal, Known::Unknown),
    (OperationKind::PreAuthorisation, Known::Unknown),
    (OperationKind::Booking, Known::Unknown),
    (OperationKind::Release, Known::Unknown),
    (OperationKind::Reprint, Known::Yes),
    (OperationKind::Totals, Known::Unknown),
    (OperationKind::EndOfDay, Known::Yes),
    (OperationKind::Initialisation, Known::Yes),
];

/// Connects to the terminal on `link` and opens its shift. Nothing that moves money is sent.
///
/// Call [`recover`](class::Terminal::recover) next. `clock` is what deadlines are counted by; tokio's timers wait
/// for them, so its [`Clock::now`] has to go on as theirs does.
///
/// # Errors
/// The link is lost, what answers is no PayTec terminal, it does not answer, or it stays busy for longer than
/// [`Options::patience`].
pub async fn open(
    link: Box<dyn Link>,
    options: Options,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
) -> Result<Terminal> {
    let framing = match options.serial {
        true => Framing::serial(Frames::new(Side::Till, options.baud)),
        false => Framing::lines(),
    };
    let mut terminal = Terminal {
        framing,
        session: Session::new(clock.now()),
        about: Connected::default(),
        activation: Activation::default(),
        status: Status::default(),
        capabilities: Capabilities {
            operations: Operations::only(OPERATIONS.iter().copied()),
            abort: Known::Yes,
            partial: options.partial.into(),
            receipt_text: Known::Yes,
            ..Capabilities::default()
        },
        notices: VecDeque::new(),
        frames: Redactor::default(),
        spent: false,
        engaged: false,
        link,
        options,
        journal,
        clock,
    };
    match terminal.connect().await {
        Ok(()) => Ok(terminal),
        Err(error) => Err(error.at(&terminal.options.name)),
    }
}

impl Terminal {
    /// The id that the terminal gave.
    pub fn terminal_id(&self) -> Option<&str> {
        self.activation.trm_id.as_deref().or(self.about.trm_id.as_deref())
    }

    async fn connect(&mut self) -> Result<()> {
        let request = Message::ConnectRequest(ConnectRequest {
            trm_lng: self.options.language.clone(),
            printer_width: Some(self.options.width.into()),
            unsolicited_receipts: Some(1),
            use_external_display: self.options.display.then_some(1),
            pos_id: Some(self.options.pos.clone()),
        });
        match self.exchange(request, self.options.answer, &mut Task::enquiry()).await? {
            End::Answered(Message::ConnectResponse(about)) => self.about = about,
            End::Unanswered => {
                return Err(Error::new(Kind::Timeout, "the terminal did not answer")
                    .hint("is its till integration set to KIT, and is no other till connected?"));
            }
            end => return Err(exchange::refused("the connection", &end)),
        }
        match self.counters(true, &mut None).await? {
            Some(_) => Ok(()),
            None => Err(self.stays_busy()),
        }
    }

    /// Takes in what the terminal says of its shift and its abilities.
    fn activated(&mut self, activation: Activation) -> Counters {
        for (kind, _) in OPERATIONS {
            if let (Some(function), Some(mask)) = (codes::function_of(*kind), activation.trx_functions) {
                self.capabilities.operations.set(*kind, (mask & function != 0).into());
            }
        }
        let counters = Counters::of(&activation);
        self.activation = activation;
        counters
    }

    async fn operate(&mut self, operation: Operation, host: Host) -> Result<Outcome> {
        if self.capabilities.of(operation.kind()).is_no() {
            return Err(operation.kind().unsupported().at(&self.options.name));
        }
        match operation.into_transaction() {
            Ok((transaction, request)) => self.pay(transaction, request, host).await.map(Outcome::Payment),
            Err(Operation::Reprint) => self.receipt_again(host).await.map(Outcome::Receipt),
            Err(Operation::EndOfDay) => self.close_day(host).await.map(Outcome::Day),
            Err(Operation::Totals) => self.tell_totals(host).await.map(Outcome::Totals),
            Err(Operation::Initialise) => self.initialise(host).await.map(Outcome::Done),
            Err(other) => Err(other.kind().unsupported().at(&self.options.name)),
        }
    }

    async fn next_notice(&mut self) -> Result<Notice> {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Ok(notice);
            }
            self.usable()?;
            self.receive(None).await?;
            // Dropped while sending, the driver stays spent.
            self.spent = true;
            let mut task = Task::default();
            let (host, mut told) = Host::new(tokio::sync::watch::channel(false).1);
            task.host = Some(host);
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Told(message) => drop(self.told(message, &mut task)),
                    Event::Failed(failure) => return Err(failed(&failure).at(&self.options.name)),
                    other => tracing::warn!(?other, "an answer to nothing"),
                }
            }
            while let Ok(progress) = told.try_recv() {
                if let Progress::Status { text, .. } | Progress::Display(text) = progress {
                    self.notices.push_back(Notice::Text(text));
                }
            }
            self.flush().await?;
            self.spent = false;
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn stays_busy(&self) -> Error {
        let what = format!("the terminal stays busy: {}", codes::status_text(self.status.trm_status.unwrap_or(0)));
        Error::new(Kind::Busy, what).at(&self.options.name)
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("options", &self.options)
            .field("link", &self.link)
            .field("spent", &self.spent)
            .finish_non_exhaustive()
    }
}

impl Driver for Terminal {
    type Event = Notice;

    fn event(&mut self) -> BoxFuture<'_, Result<Notice>> {
        Box::pin(self.next_notice())
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
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
        Box::pin(async move {
            self.usable()?;
            self.connect().await.map_err(|e| e.at(&self.options.name))
        })
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
