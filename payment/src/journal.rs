//! The journal: intents, written before anything is sent, and results, written before they are
//! acknowledged.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, BoxFuture, Error, Kind, Result};

use crate::outcome::{Charge, IntentId, NotCharged, Payment, Reason};
pub use crate::transaction::Transaction;

/// What is about to be asked of a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Intent {
    /// Its key.
    pub id: IntentId,
    /// The terminal, by its logical name.
    pub terminal: String,
    /// What kind of transaction.
    pub operation: Transaction,
    /// How much.
    pub amount: Amount,
    /// When it was written.
    pub at: Timestamp,
    /// The last transaction that the terminal had stored before this one, as evidence for recovery.
    pub last_before: Option<Reference>,
    /// A backup of the journal was restored since: other transactions may have followed that it does not know of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
}

impl Intent {
    /// A new intent.
    pub fn new(
        id: IntentId,
        terminal: impl Into<String>,
        operation: Transaction,
        amount: Amount,
        at: Timestamp,
        last_before: Option<Reference>,
    ) -> Self {
        Self { id, terminal: terminal.into(), operation, amount, at, last_before, restored: false }
    }

    /// Whether the amount was asked for, or is a part of it where parts are allowed. Nobody asks for a part of a refund or
    /// reversal.
    pub fn allows(&self, amount: Amount, partial: bool) -> bool {
        let asked = self.amount;
        let part = amount.currency() == asked.currency() && (1..asked.minor()).contains(&amount.minor());
        amount == asked || partial && self.operation == Transaction::Payment && part
    }
}

/// How a protocol names one transaction of one terminal. Opaque: the protocol defines the fields; they are
/// stored and returned unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PaymentReference"))]
pub struct Reference {
    /// The protocol, such as `zvt`.
    protocol: String,
    /// The protocol's own fields.
    fields: BTreeMap<String, String>,
    /// What is known of the transaction besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<String, String>,
    /// It names one transaction only, for as long as the terminal exists.
    #[serde(default)]
    unique: bool,
}

impl Reference {
    /// An empty reference of `protocol`: `zvt`.
    pub fn new(protocol: impl Into<String>) -> Self {
        Self { protocol: protocol.into(), fields: BTreeMap::new(), facts: BTreeMap::new(), unique: false }
    }

    /// With one field more: `with("receipt", "0417")`.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// With a fact about the transaction that does not name it, and is no part of its [key](Self::key): the amount of
    /// a reservation.
    #[must_use]
    pub fn with_fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.insert(name.into(), value.into());
        self
    }

    /// Declares that these fields together name one transaction and no other, ever.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// The protocol that can read the fields.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// One field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// One fact.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.get(name).map(String::as_str)
    }

    /// All fields by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The text under which a journal books this transaction once only:
    /// `zvt receipt=0417 terminal=60000001 trace=000417`. `None` if the terminal did not say enough to
    /// tell two transactions apart; such a reference cannot be [held](Entry::holds).
    pub fn key(&self) -> Option<String> {
        self.unique.then(|| self.to_string())
    }

    /// Whether a transaction that is [written](fmt::Display) so has all of these fields. A slip tells fewer of them than the
    /// terminal did, and then several transactions of a terminal may fit.
    pub fn fits(&self, written: &str) -> bool {
        let rest = written.strip_prefix(self.protocol.as_str()).filter(|rest| rest.starts_with(' '));
        let Some(rest) = rest.map(|rest| format!("{rest} ")) else { return false };
        !self.fields.is_empty() && self.fields().all(|(name, value)| rest.contains(&format!(" {name}={value} ")))
    }

    /// How the terminal names this charge, if it named it.
    pub fn of(charge: &Charge) -> Option<Self> {
        charge.reference.clone()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// A person's decision on an intent that could not be settled otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Decision {
    /// What was charged, or paid back by a refund or reversal; `None` if no money moved.
    pub charged: Option<Amount>,
    /// The terminal's name for it, from the slip for instance.
    pub reference: Option<Reference>,
    /// Who decided.
    pub by: String,
    /// On what grounds.
    pub reason: String,
}

impl Decision {
    /// `amount` has moved, says `by`, because of `reason`.
    pub fn charged(amount: Amount, by: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { charged: Some(amount), reference: None, by: by.into(), reason: reason.into() }
    }

    /// No money has moved, says `by`, because of `reason`.
    pub fn not_charged(by: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { charged: None, reference: None, by: by.into(), reason: reason.into() }
    }

    /// The same, with the terminal's name for the transaction.
    #[must_use]
    pub fn with_reference(mut self, reference: Reference) -> Self {
        self.reference = Some(reference);
        self
    }
}

/// All that a journal knows of one intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PaymentEntry"))]
#[non_exhaustive]
pub struct Entry {
    /// What was meant.
    pub intent: Intent,
    /// What the terminal approved, as far as it was written: [`Journal::approve`].
    pub approved: Option<Charge>,
    /// How it ended: [`Journal::conclude`]. `None` while nothing is known.
    pub payment: Option<Payment>,
    /// What a person decided about it: [`Journal::settle`]. It outranks `payment`.
    #[serde(default)]
    pub decision: Option<Decision>,
}

impl Entry {
    /// An entry as a journal has read it, without a decision.
    pub fn new(intent: Intent, approved: Option<Charge>, payment: Option<Payment>) -> Self {
        Self { intent, approved, payment, decision: None }
    }

    /// The same with a person's decision.
    #[must_use]
    pub fn with_decision(mut self, decision: Option<Decision>) -> Self {
        self.decision = decision;
        self
    }

    /// It is not known yet how it ended, and nobody has decided.
    pub fn is_open(&self) -> bool {
        self.decision.is_none() && !self.payment.as_ref().is_some_and(Payment::is_decided)
    }

    /// Open, and the terminal has not been asked about it yet.
    pub fn is_unasked(&self) -> bool {
        self.is_open() && !matches!(&self.payment, Some(Payment::Unknown(unknown)) if unknown.asked)
    }

    /// How it stands: a person's decision if there is one, else how it ended. A person who decides that
    /// less was charged than was asked for makes it [`Payment::Partial`]. `None` while nothing is known.
    pub fn outcome(&self) -> Option<Payment> {
        let Some(decision) = &self.decision else { return self.payment.clone() };
        let id = self.intent.id.clone();
        let Some(amount) = decision.charged else {
            let text = format!("settled by {}: {}", decision.by, decision.reason);
            return Some(Payment::NotCharged(NotCharged::new(id, Reason::Settled, None, text)));
        };
        // What was approved is this charge, unless the person names another one.
        let same = |c: &&Charge| {
            c.amount == amount && decision.reference.as_ref().is_none_or(|r| Some(r) == c.reference.as_ref())
        };
        let mut charge = self.approved.as_ref().filter(same).cloned().unwrap_or_else(|| Charge::new(id, amount));
        charge.reference = decision.reference.clone().or(charge.reference);
        Some(Payment::charged(charge, self.intent.amount))
    }

    /// The reference that this intent holds: of what stands as charged, or is approved and open.
    /// No other intent may be charged under it.
    pub fn holds(&self) -> Option<Reference> {
        match self.outcome() {
            Some(Payment::Charged(charge) | Payment::Partial(charge)) => charge.reference,
            Some(Payment::NotCharged(_)) => None,
            Some(Payment::Unknown(_)) | None => self.approved.as_ref().and_then(Reference::of),
        }
    }

    /// Whether [`Journal::approve`] is allowed now.
    ///
    /// # Errors
    /// [`Kind::Input`]: the intent is concluded or settled, and how.
    pub fn may_be_approved(&self) -> Result<()> {
        if self.is_open() { Ok(()) } else { Err(self.has_ended()) }
    }

    /// Whether `payment` may be written as the end of this intent now, as [`Journal::conclude`] says.
    /// Journals ask this and [`Journal::holder`] in the same transaction as the write.
    ///
    /// # Errors
    /// [`Kind::Input`]: it has ended otherwise, and how; or less was charged than was asked for and it is not
    /// called partial, or the other way round.
    pub fn may_conclude(&self, payment: &Payment) -> Result<()> {
        if let Some(charge) = payment.charge()
            && charge.is_part_of(self.intent.amount) != matches!(payment, Payment::Partial(_))
        {
            let (id, charged, asked) = (&self.intent.id.0, charge.amount, self.intent.amount);
            let called = if matches!(payment, Payment::Partial(_)) { "a part" } else { "all" };
            return Err(Error::new(Kind::Input, format!("`{id}`: {charged} is not {called} of {asked}")));
        }
        let reversed = |p: &Payment| matches!(p, Payment::NotCharged(not) if not.reason == Reason::Reversed);
        let allowed = match (&self.decision, &self.payment) {
            (Some(_), _) => false,
            (None, None | Some(Payment::Unknown(_))) => true,
            (None, Some(Payment::Charged(was) | Payment::Partial(was))) => match payment.charge() {
                Some(now) => was.reference == now.reference && was.amount == now.amount,
                None => reversed(payment),
            },
            (None, Some(was @ Payment::NotCharged(_))) => was == payment || (reversed(was) && reversed(payment)),
        };
        if allowed { Ok(()) } else { Err(self.has_ended()) }
    }

    /// Whether `decision` may be written now, as [`Journal::settle`] says.
    ///
    /// # Errors
    /// [`Kind::Input`]: the intent is not open, and how it ended; or `by` or `reason` is empty.
    pub fn may_settle(&self, decision: &Decision) -> Result<()> {
        if decision.by.trim().is_empty() || decision.reason.trim().is_empty() {
            let what = format!("`{}` cannot be settled without a name and a reason", self.intent.id.0);
            return Err(Error::new(Kind::Input, what).hint("who decides, and on what grounds?"));
        }
        if self.is_open() { Ok(()) } else { Err(self.has_ended()) }
    }

    fn has_ended(&self) -> Error {
        let id = &self.intent.id.0;
        let how = match (&self.decision, &self.payment) {
            (Some(decision), _) => {
                let what = decision.charged.map_or("not charged".to_owned(), |amount| format!("charged {amount}"));
                format!("{what}, as settled by {}: {}", decision.by, decision.reason)
            }
            (None, Some(Payment::Charged(charge) | Payment::Partial(charge))) => match &charge.reference {
                Some(reference) => format!("charged {} under {reference}", charge.amount),
                None => format!("charged {}", charge.amount),
            },
            (None, Some(Payment::NotCharged(not))) => format!("not charged: {}", not.text),
            (None, Some(Payment::Unknown(_)) | None) => "open".to_owned(),
        };
        Error::new(Kind::Input, format!("`{id}` has ended already: {how}"))
    }
}

/// The error of charging under a reference that `holder` holds.
pub fn held(reference: &Reference, holder: &IntentId) -> Error {
    let what = format!("{reference} is already the transaction of `{}`", holder.0);
    Error::new(Kind::Input, what).hint("one receipt stands for one payment")
}

/// Where intents and results are kept. Each call returns when the entry is durable: on disk, not in
/// a cache. Every change is a compare-and-set: it looks at what stands and writes in one step, so
/// that of two writers one is refused.
///
/// [`crate::testing::journal`] checks an implementation.
///
/// # Errors
/// All methods: [`tresen_hal::Kind::Storage`]. A driver that cannot write the intent sends nothing;
/// one that cannot write the result does not acknowledge it. [`tresen_hal::Kind::Input`] says that
/// the write is not allowed, nothing is changed, and what stands.
pub trait Journal: Send + Sync + std::fmt::Debug {
    /// Writes an intent, before anything is sent for it. An id that is already there is refused
    /// with [`tresen_hal::Kind::Input`]: the same id is the same payment.
    fn intend<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<()>>;

    /// Writes what the terminal has approved, before that is acknowledged to it. The intent stays
    /// open: a terminal that misses the acknowledgement takes the approval back. Called again for
    /// the same intent when a slip has come; the last call counts.
    ///
    /// Refused once the intent is concluded as charged or not charged, or settled, and if another
    /// intent holds the charge's reference.
    fn approve<'a>(&'a self, id: &'a IntentId, charge: &'a Charge) -> BoxFuture<'a, Result<()>>;

    /// Writes how an intent ended, if [`Entry::may_conclude`] allows it:
    ///
    /// | stands | may follow |
    /// |---|---|
    /// | nothing, or unknown | charged or partial by its amount, not charged, unknown |
    /// | charged, partial | the same charge again (same amount and reference; its slips may be new), and not charged because the terminal reversed it |
    /// | not charged | the same again |
    /// | a person's decision | nothing |
    ///
    /// Charging under a reference that another intent holds ([`Entry::holds`]) is refused.
    fn conclude<'a>(&'a self, id: &'a IntentId, payment: &'a Payment) -> BoxFuture<'a, Result<()>>;

    /// Writes a person's decision beside the intent: who, why, what. Only an open intent can be
    /// settled; it then counts as concluded, and [`Entry::outcome`] tells how. What the journal knew
    /// before stays readable in the entry, which is returned.
    ///
    /// Refused without a name or a reason, for an intent that is not open, and as charged under a
    /// reference that another intent holds.
    fn settle<'a>(&'a self, id: &'a IntentId, decision: &'a Decision) -> BoxFuture<'a, Result<Entry>>;

    /// Which intent holds this reference: stands as charged under it, or is open and approved under
    /// it. `None` for a reference without a [key](Reference::key).
    /// References are compared among those of one terminal, by its logical name: two terminals may have one terminal id,
    /// and then their numbers mean different transactions.
    fn holder<'a>(&'a self, terminal: &'a str, reference: &'a Reference) -> BoxFuture<'a, Result<Option<IntentId>>>;

    /// The reversals, bookings and releases of what `operation` names, as [`Transaction::of`] tells it, oldest first; also those
    /// that failed or are open.
    ///
    /// A reference that nobody [holds](Self::holder) means the newest transaction of this terminal that it
    /// [fits](Reference::fits) and that `operation` [can name](Transaction::can_name). If the journal has none, the same
    /// fields mean the same transaction.
    fn ends<'a>(&'a self, terminal: &'a str, operation: &'a Transaction) -> BoxFuture<'a, Result<Vec<Entry>>>;

    /// What is known of one intent.
    fn find<'a>(&'a self, id: &'a IntentId) -> BoxFuture<'a, Result<Option<Entry>>>;

    /// All intents of a terminal that are open ([`Entry::is_open`]), oldest first.
    fn open<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Vec<Intent>>>;

    /// The reference of the newest intent of this terminal that stands as charged or partial; `None` if there
    /// is none, or if the newest has no reference.
    fn last<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Option<Reference>>>;
}
