//! Binds sessions to connections, a listener and a journal: the [`Terminal`](class::Terminal) of OPI.
//!
//! [`open`] logs in; call `recover` next. The driver holds no link: each request has a connection of its own, so it is
//! never spent.

mod asking;
mod exchange;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tresen_hal::link::Connect;
use tresen_hal::{Amount, BoxFuture, Driver, Error, Kind, Known, Result, Runtime};

use super::dialect::Dialect;
use super::host::{self, Decision};
use super::listener::{Attached, Listener, attach};
use super::options::Options;
use super::recovery::{Usual, clean};
use super::results::OverallResult;
use super::wire::device::DeviceRequest;
use super::wire::{Family, Request as Message, Response, Total};
use crate::books;
use crate::host::Host;
use crate::journal::Journal;
use crate::operation::{Operation, OperationKind, Outcome};
use crate::pan;
use crate::terminal::{
    self as class, Capabilities, CardTotal, EndOfDay, Notice, Operations, Settled, TerminalStatus, Totals,
};
use exchange::Task;
use transaction::{Ended, Late};

/// An OPI terminal.
#[derive(Debug)]
pub struct Terminal {
    connect: Arc<dyn Connect>,
    /// Its end of channel 1.
    device: Option<Attached>,
    options: Options,
    journal: Arc<dyn Journal>,
    runtime: Arc<dyn Runtime>,
    capabilities: Capabilities,
    usual: Usual,
    logged_in: bool,
    /// It does not know `RepeatLastMessage`.
    repeats_nothing: bool,
    notices: VecDeque<Notice>,
    /// The last transaction, whose receipts may still come.
    ended: Option<Ended>,
    /// Receipts that came late, until they are written and answered.
    late: VecDeque<Late>,
}

/// How often a busy terminal is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What is known of terminals that speak OPI. None says what it can do.
const OPERATIONS: &[(OperationKind, Known)] = &[
    (OperationKind::Pay, Known::Yes),
    (OperationKind::Refund, Known::Unknown),
    (OperationKind::Reversal, Known::Yes),
    (OperationKind::PreAuthorisation, Known::Unknown),
    (OperationKind::Booking, Known::Unknown),
    (OperationKind::Release, Known::Unknown),
    (OperationKind::Reprint, Known::Unknown),
    (OperationKind::EndOfDay, Known::Unknown),
];

/// Logs in at the terminal that `connect` reaches. What it asks of the till comes over `listener`. Nothing that moves money
/// is sent.
///
/// Call [`recover`](class::Terminal::recover) next.
///
/// # Errors
/// The terminal cannot be reached, speaks something else, refuses the login, or stays busy for longer than
/// [`Options::patience`].
pub async fn open(
    connect: Arc<dyn Connect>,
    listener: Option<Arc<Listener>>,
    options: Options,
    journal: Arc<dyn Journal>,
    runtime: Arc<dyn Runtime>,
) -> Result<Terminal> {
    let mut terminal = Terminal {
        connect,
        device: listener.map(|listener| attach(&listener, &options)),
        capabilities: Capabilities {
            operations: Operations::only(OPERATIONS.iter().copied().chain(services(&options.dialect))),
            partial: options.partial.into(),
            ..Capabilities::default()
        },
        usual: Usual::default(),
        logged_in: false,
        repeats_nothing: false,
        notices: VecDeque::new(),
        ended: None,
        late: VecDeque::new(),
        options,
        journal,
        runtime,
    };
    terminal.capabilities.receipt_text = if terminal.device.is_some() { Known::Unknown } else { Known::No };
    match terminal.log_in().await {
        Ok(()) => Ok(terminal),
        Err(error) => Err(error.at(&terminal.options.name)),
    }
}

impl Terminal {
    /// The id that the terminal has told so far.
    pub fn terminal_id(&self) -> Option<&str> {
        self.usual.terminal_id.as_deref()
    }

    /// A request that moves no money, with an id of its own.
    fn message(&self, family: Family, request_type: &str) -> Message {
        let id = 100_000_000 + self.runtime.random() % 900_000_000;
        self.addressed(Message::new(family, request_type, id.to_string()))
    }

    /// The request with everything that is the same in all of them.
    fn addressed(&self, mut request: Message) -> Message {
        let Options { workstation, pop, sender, language, .. } = &self.options;
        let named = |name: &String| (!name.is_empty()).then(|| name.clone());
        (request.header.workstation, request.header.pop) = (Some(workstation.clone()), named(pop));
        request.header.sender = named(sender);
        (request.at, request.language) = (Some(self.local()), language.clone());
        request
    }

    /// The till's date and time, in whole seconds.
    fn local(&self) -> DateTime {
        let now = self.runtime.wall().to_zoned(TimeZone::system()).datetime();
        now.with().subsec_nanosecond(0).build().expect("a whole second exists")
    }

    /// What becomes of a request of the terminal.
    fn decide(&self, request: &DeviceRequest) -> Decision {
        let mut decision = host::decide(request, &self.options);
        decision.response.header.sender = Some(self.options.sender.clone()).filter(|sender| !sender.is_empty());
        decision
    }

    fn learn(&mut self, response: &Response) {
        if let Some(id) = response.terminal_id.as_ref().filter(|id| pan::is_without(id)) {
            if let Some(device) = &self.device {
                device.is_terminal(id);
            }
            self.usual.terminal_id = Some(id.clone());
        }
        if response.result == OverallResult::LoggedOut {
            self.logged_in = false;
        }
    }

    async fn operate(&mut self, operation: Operation, host: Host) -> Result<Outcome> {
        let (transaction, request) = match operation.into_transaction() {
            Ok(transaction) => transaction,
            Err(Operation::Reprint) => return self.receipt_again(host).await.map(Outcome::Receipt),
            Err(Operation::EndOfDay) => return self.close_day(host).await.map(Outcome::Day),
            Err(operation) if self.service(operation.kind()).is_some() => {
                return self.administer(&operation, host).await;
            }
            Err(other) => return Err(other.kind().unsupported().at(&self.options.name)),
        };
        if let Some(error) = transaction.of().and_then(|of| self.not_of_here(of)) {
            return Err(error.at(&self.options.name));
        }
        self.check_held(&transaction, &request).await.map_err(|e| e.at(&self.options.name))?;
        self.pay(transaction, request, host).await.map(Outcome::Payment)
    }

    async fn close_day(&mut self, host: Host) -> Result<EndOfDay> {
        // What is open cannot be looked up any more once the turnover has been handed in.
        if books::unasked(&*self.journal, &self.options.name).await? {
            self.settle().await?;
        }
        let mut task = Task::of(host);
        let (kind, within) = (self.options.dialect.end_of_day, self.options.limit);
        let response = self.ask_in_session(Family::Service, kind, within, &mut task).await?;
        match response.result {
            OverallResult::Success | OverallResult::DayClosed => {}
            _ => return Err(self.refused("the end of day", &response)),
        }
        Ok(EndOfDay { total: total(&response, &self.options), receipt: task.slips.all(), ..EndOfDay::default() })
    }

    /// The dialect's service for an operation that moves no money.
    fn service(&self, kind: OperationKind) -> Option<&'static str> {
        let dialect = &self.options.dialect;
        match kind {
            OperationKind::Totals => dialect.totals,
            OperationKind::Diagnosis => dialect.diagnosis,
            OperationKind::Initialisation => dialect.initialisation,
            _ => None,
        }
    }

    /// Totals, diagnosis, initialisation.
    async fn administer(&mut self, operation: &Operation, host: Host) -> Result<Outcome> {
        let kind = operation.kind();
        let Some(service) = self.service(kind) else { return Err(kind.unsupported().at(&self.options.name)) };
        let mut task = Task::of(host);
        let response = self.ask_in_session(Family::Service, service, self.options.limit, &mut task).await?;
        match response.result {
            OverallResult::Success => {}
            _ => return Err(self.refused(service, &response)),
        }
        let receipt = task.slips.all();
        if kind != OperationKind::Totals {
            return Ok(Outcome::Done(receipt));
        }
        let card = |told: &Total| {
            let (card, amount) = (told.circuit.as_deref().map(clean)?, told.amount(self.options.currency)?);
            Some(CardTotal::new(card, told.number?, amount)).filter(|card| card.count > 0)
        };
        let cards = response.totals.iter().filter_map(card).collect();
        Ok(Outcome::Totals(Totals { total: total(&response, &self.options), cards, receipt, ..Totals::default() }))
    }

    async fn receipt_again(&mut self, host: Host) -> Result<Vec<String>> {
        let mut task = Task::of(host);
        let response = self.ask_in_session(Family::Card, "TicketReprint", self.options.answer, &mut task).await?;
        if response.result != OverallResult::Success {
            return Err(self.refused("the receipt", &response));
        }
        let lines = task.slips.all();
        if lines.is_empty() {
            let what = "the terminal handed over no receipt";
            let hint = "does it print by itself, and does the address say `listen=`?";
            return Err(Error::new(Kind::NotFound, what).at(&self.options.name).hint(hint));
        }
        Ok(lines)
    }

    async fn next_notice(&mut self) -> Result<Notice> {
        loop {
            self.write_late().await;
            if let Some(notice) = self.notices.pop_front() {
                return Ok(notice);
            }
            match &mut self.device {
                Some(device) => {
                    let asked = device.next().await;
                    self.serve_idle(asked);
                }
                None => std::future::pending().await,
            }
        }
    }
}

/// What the dialect has a service for can be tried.
fn services(dialect: &Dialect) -> impl Iterator<Item = (OperationKind, Known)> {
    let services = [
        (OperationKind::Totals, dialect.totals),
        (OperationKind::Diagnosis, dialect.diagnosis),
        (OperationKind::Initialisation, dialect.initialisation),
    ];
    services.into_iter().filter(|(_, service)| service.is_some()).map(|(kind, _)| (kind, Known::Unknown))
}

/// The turnover, if all of it is payments of one currency.
fn total(response: &Response, options: &Options) -> Option<Amount> {
    let debit = |kind: &Option<String>| kind.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("debit"));
    let mut amounts =
        response.totals.iter().map(|total| total.amount(options.currency).filter(|_| debit(&total.payment_type)));
    let first = amounts.next()??;
    amounts.try_fold(first, |sum, next| sum.checked_add(next?))
}

impl Driver for Terminal {
    type Event = Notice;

    fn event(&mut self) -> BoxFuture<'_, Result<Notice>> {
        Box::pin(self.next_notice())
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.options.login && self.logged_in {
                let request = self.message(Family::Service, self.options.dialect.logoff);
                if let Err(error) = self.ask(&request, LOG_OFF_WITHIN, &mut Task::default()).await {
                    tracing::debug!(%error, "the till was not logged off");
                }
            }
            self.device = None;
        })
    }
}

impl class::Terminal for Terminal {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn login(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.logged_in = false;
            self.log_in().await
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

/// How long logging off may take.
const LOG_OFF_WITHIN: Duration = Duration::from_secs(5);
