//! What can happen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::Amount;
use tresen_payment::{IntentId, Progress, Settled};
use tresen_printers::Status;
use tresen_scanners::Scan;

use crate::health::Alert;
use crate::lease::{End, Target};
use crate::manager::OpenQuestion;
use crate::sync::SyncState;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The device was added while the till was running.
    Attached,
    /// The device was removed while the till was running.
    Detached,
    /// The device is connected and ready.
    Connected {
        /// The address at which it was found, without options.
        address: String,
    },
    /// The device cannot be reached, or was lost; it is retried. Reported once per reason, not per attempt.
    Disconnected {
        /// Why.
        why: String,
    },
    /// A recording that stands in for the device was played to its end.
    Ended {
        /// How it ended.
        why: String,
    },
    /// The driver failed too often; it is not retried until its handle's `reset`.
    Faulted {
        /// Why.
        why: String,
    },
    /// The printer's status: on connecting, and whenever it changes.
    Printer(Status),
    /// A code was scanned. Every listener receives every scan, whether or not it is taken with `next`.
    Scanned(Box<Scan>),
    /// A scan queued for `next` was dropped: it was too old, or too many followed it.
    ScanLost(Box<Scan>),
    /// A transaction made progress.
    Payment(Progress),
    /// The terminal asks something, and a customer waits:
    /// [`Terminal::answer`](crate::Terminal::answer).
    Question(Box<OpenQuestion>),
    /// A question is not open any more: it was answered, its time is over, or the terminal withdrew it.
    QuestionClosed {
        /// Its id.
        id: String,
    },
    /// A transaction is waiting for the terminal, which is serving another one or is being opened.
    PaymentWaits {
        /// The waiting transaction.
        intent: IntentId,
        /// The transaction being served; `None` while the terminal is opened and asked about open payments.
        behind: Option<IntentId>,
    },
    /// A message for the cashier.
    Notice(String),
    /// An open payment was settled: as charged or as not charged.
    Settled(Box<Settled>),
    /// Payments stay open: recovery failed and is retried, or the terminal cannot tell the outcome of a payment and a
    /// person has to settle it.
    Unsettled {
        /// The payment, if it concerns a single one.
        intent: Option<IntentId>,
        /// Why.
        why: String,
    },
    /// A payment has been undecided for longer than the configured time ([`Till::tell_after`](crate::config::Till::tell_after)):
    /// a person has to look at the terminal and [settle](crate::Tresen::settle) it. Reported once per payment, and again
    /// after a restart. The terminal is asked on.
    PaymentInDoubt {
        /// The payment.
        intent: IntentId,
        /// The sale it belongs to, if any.
        sale: Option<String>,
        /// The amount.
        amount: Amount,
        /// When it began.
        since: Timestamp,
        /// What is known.
        why: String,
    },
    /// The payments of an open sale that were undecided are decided now. If nothing is due, it can be
    /// [closed](crate::sale::Checkout::close).
    SaleSettled {
        /// The sale.
        sale: String,
        /// The amount still to be paid; negative where the customer gets money back.
        due: Amount,
    },
    /// What the till can do now has changed: [`Tresen::capabilities`](crate::Tresen::capabilities).
    CapabilitiesChanged,
    /// A print job is on paper, or was accepted by the printer.
    Printed {
        /// The job.
        job: String,
        /// The intended printer, if another one took over.
        instead_of: Option<String>,
    },
    /// A print job is waiting for a printer. Reported once per reason.
    PrintWaits {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// Paper has waited for longer than its route's `warn-after`. Reported once per job.
    PaperOverdue {
        /// The job.
        job: String,
        /// When it was queued.
        since: Timestamp,
        /// Why it is not on paper yet.
        why: String,
    },
    /// A print job may or may not be on paper; a person decides.
    PrintUnknown {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// A print job cannot be read, because another version of the library wrote it; it is skipped.
    PrintUnreadable {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// A print job belongs to a route that is not configured (any more): it is not printed until it is moved to another
    /// route or cancelled.
    PrintStranded {
        /// The job.
        job: String,
    },
    /// A device or an open sale was leased by name.
    Leased {
        /// The target.
        target: Target,
        /// Who has it now.
        holder: String,
    },
    /// A lease was passed on to the first who waited for it.
    LeaseGranted {
        /// The target.
        target: Target,
        /// Who has it now.
        holder: String,
    },
    /// A lease ended.
    LeaseEnded {
        /// The target.
        target: Target,
        /// Who had it.
        holder: String,
        /// How it ended.
        why: End,
    },
    /// A lease ends as soon as the running transaction has.
    LeaseEnding {
        /// The target.
        target: Target,
        /// Who has it until then.
        holder: String,
        /// Why it ends.
        why: End,
    },
    /// Somebody asks the holder of a lease to let go.
    LeaseWanted {
        /// The target.
        target: Target,
        /// Who has it.
        holder: String,
        /// Who asks.
        by: String,
        /// The reason given.
        why: String,
    },
    /// The till connected to its server or lost it: connected and local mode.
    Server(SyncState),
    /// The server has another journal line under the key of this till's: this one is in quarantine there, and a person
    /// has to find out whose is right.
    Quarantined {
        /// The epoch.
        epoch: i64,
        /// The line's sequence number.
        seq: i64,
    },
    /// The server has lines of this till that this database does not have: a backup was restored without saying so, or
    /// the database was copied. What was written here since has a new epoch.
    RestoreFound {
        /// The new epoch.
        epoch: i64,
        /// The last line that both have.
        after: i64,
    },
    /// The server was set back and lacks lines that this till has removed since: a newer backup of the server supplies
    /// them, or a person [accepts the gap](crate::Tresen::accept_gap).
    ServerLacks {
        /// The last line that the server has.
        after: i64,
        /// The first line that this till has.
        before: i64,
    },
    /// A tender was taken from an account in local mode, and the balance did not suffice: `Tresen::unbooked`.
    AccountUnbooked {
        /// The account.
        account: String,
        /// The amount.
        amount: Amount,
        /// Why.
        why: String,
    },
    /// The till's socket could not be opened: other programs cannot send commands. Everything else works.
    SocketFailed {
        /// Why.
        why: String,
    },
    /// The database cannot be used; pending writes are kept and retried.
    StorageFailed {
        /// Why.
        why: String,
    },
    /// A condition that a person should know of has come up; reported once, until it is cleared. Of overdue paper and of
    /// payments in doubt [`EventKind::PaperOverdue`] and [`EventKind::PaymentInDoubt`] tell instead, one by one.
    AlertRaised {
        /// Which one.
        alert: Alert,
        /// The reason.
        why: String,
    },
    /// The condition is gone, for all jobs of the route, or all payments of the terminal, that it concerned.
    AlertCleared {
        /// Which one.
        alert: Alert,
    },
}

impl EventKind {
    /// Its name, as serialised: `print-waits`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Detached => "detached",
            Self::Connected { .. } => "connected",
            Self::Disconnected { .. } => "disconnected",
            Self::Ended { .. } => "ended",
            Self::Faulted { .. } => "faulted",
            Self::Printer(_) => "printer",
            Self::Scanned(_) => "scanned",
            Self::ScanLost(_) => "scan-lost",
            Self::Payment(_) => "payment",
            Self::Question(_) => "question",
            Self::QuestionClosed { .. } => "question-closed",
            Self::PaymentWaits { .. } => "payment-waits",
            Self::Notice(_) => "notice",
            Self::Settled(_) => "settled",
            Self::Unsettled { .. } => "unsettled",
            Self::PaymentInDoubt { .. } => "payment-in-doubt",
            Self::SaleSettled { .. } => "sale-settled",
            Self::CapabilitiesChanged => "capabilities-changed",
            Self::Printed { .. } => "printed",
            Self::PrintWaits { .. } => "print-waits",
            Self::PaperOverdue { .. } => "paper-overdue",
            Self::PrintUnknown { .. } => "print-unknown",
            Self::PrintUnreadable { .. } => "print-unreadable",
            Self::PrintStranded { .. } => "print-stranded",
            Self::Leased { .. } => "leased",
            Self::LeaseGranted { .. } => "lease-granted",
            Self::LeaseEnded { .. } => "lease-ended",
            Self::LeaseEnding { .. } => "lease-ending",
            Self::LeaseWanted { .. } => "lease-wanted",
            Self::Server(_) => "server",
            Self::Quarantined { .. } => "quarantined",
            Self::RestoreFound { .. } => "restore-found",
            Self::ServerLacks { .. } => "server-lacks",
            Self::AccountUnbooked { .. } => "account-unbooked",
            Self::SocketFailed { .. } => "socket-failed",
            Self::StorageFailed { .. } => "storage-failed",
            Self::AlertRaised { .. } => "alert-raised",
            Self::AlertCleared { .. } => "alert-cleared",
        }
    }

    /// Whether it requires a person's attention.
    pub(super) fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::PrintUnknown { .. }
                | Self::PaperOverdue { .. }
                | Self::PrintUnreadable { .. }
                | Self::PrintStranded { .. }
                | Self::Unsettled { .. }
                | Self::PaymentInDoubt { .. }
                | Self::Faulted { .. }
                | Self::AlertRaised { .. }
                | Self::Quarantined { .. }
                | Self::RestoreFound { .. }
                | Self::ServerLacks { .. }
                | Self::AccountUnbooked { .. }
        )
    }

    /// The reason, if there is one. Never contains scanned data or the content of a slip.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Disconnected { why }
            | Self::Ended { why }
            | Self::Faulted { why }
            | Self::Unsettled { why, .. }
            | Self::PaymentInDoubt { why, .. }
            | Self::PrintWaits { why, .. }
            | Self::PaperOverdue { why, .. }
            | Self::PrintUnknown { why, .. }
            | Self::PrintUnreadable { why, .. }
            | Self::LeaseWanted { why, .. }
            | Self::Server(SyncState::Local { why, .. })
            | Self::AccountUnbooked { why, .. }
            | Self::SocketFailed { why }
            | Self::StorageFailed { why }
            | Self::AlertRaised { why, .. } => Some(why),
            _ => None,
        }
    }
}
