//! PayTec, the terminals of Switzerland, as their till integration "KIT" speaks: JSON messages, one a line, over TCP on
//! the local network or over a serial line.
//!
//! | module | is |
//! |---|---|
//! | [`wire`], [`codes`] | messages to values and back; what their numbers mean |
//! | [`framing`], [`serial`] | bytes of a link to lines, and the frames of a serial line |
//! | [`session`] | one connection, sans-IO: requests, answers, heartbeats |
//! | [`open`] and [`Terminal`] | the driver |
//! | [`sim`] | the terminal's side |
//!
//! # The till confirms
//! An approval does not stand until the till confirms it, so the driver journals each step before the next: the intent with
//! the terminal's counter, the approval, the confirmation ([`Confirmation::Sent`](crate::Confirmation::Sent)), and its
//! acknowledgement ([`Confirmation::Acknowledged`](crate::Confirmation::Acknowledged)). What is not what was asked for
//! (amount, currency, terminal, a tip, cash), or cannot be journalled, is rolled back. Nothing that moves money is sent
//! twice; on a serial line it is repeated only if the terminal says that it was damaged.
//!
//! # When the till does not hear the answer
//! The terminal has no message that tells how a transaction ended; only its counter tells whether one has begun. So a
//! payment is charged if the acknowledgement was heard, not charged if nothing has begun since, in two looks, and else
//! unknown: compare the terminal's receipts. `commit=reverses` declares that the terminal undoes what was not confirmed,
//! also when a link is lost; then only a confirmation that was not acknowledged stays unknown.
//!
//! # What is proven, and how surely
//! No specification is public, and nothing was tried with a real terminal.
//!
//! | what | rests on |
//! |---|---|
//! | framing of lines and serial frames, names of messages and fields, functions, results, status bits, heartbeats and times | the vendor's library (PayTecAG/ecritf @05c5394) |
//! | port 8307, integration "KIT", heartbeats of the terminal, receipts by number, that an unconfirmed approval is undone | the vendor's documentation |
//! | numbers as texts, a result outside its ranges | a log of the vendor's simulator |
//! | that a lost link counts as "not confirmed" | a guess: such payments stay unknown, unless `commit=reverses` |
//! | that `TrxSeqCnt` rises with each transaction and not otherwise | a guess on the vendor's field; "not charged" without an answer rests on it, with unchanged terminal, period and shift |
//! | that a confirmation is acknowledged without content, and only a rollback tells of itself | the vendor's library; an acknowledgement with content keeps nothing: unknown |
//! | that an abort is followed by a result, what an error ends, what ends a status without a result | guesses; the counter decides |
//! | that a purchase of a reservation may be for less, and releases the rest | a guess: its answer is compared, the rest is not |
//! | signs and parts of reports, receipt types besides 1 and 2, what follows sequence number 255 | guesses; no money depends on them |
//!
//! # TLS
//! The terminal's own port speaks none. `paytec+tls://HOST:PORT?fingerprint=…` is for a tunnel that ends TLS in front of
//! it, as on a network with guests; the same lines pass. It is proven with the simulator only.
//!
//! Left out: the vendor's cloud broker with its pairing (nothing in it authenticates the terminal, and the broker reads
//! everything), the terminal's own WebSocket port with TLS (18443; its path, its authority and what it answers are not
//! public), increments of reservations (whether their amount is the new sum or what is added is not documented), tips, cashback, phone orders, manually keyed cards, signatures on the screen, and diagnosis, for which there is no message.

pub mod codes;
mod driver;
pub mod framing;
mod options;
mod recovery;
mod redact;
mod reference;
pub mod serial;
pub mod session;
pub mod sim;
pub mod wire;

pub use driver::{Terminal, open};
pub use options::Options;
pub use redact::Redactor;
pub(crate) use redact::is_open;
pub use reference::reference;
