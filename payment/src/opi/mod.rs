//! OPI, the Open Payment Initiative's XML over TCP: German terminals (O.P.I.), Swiss ones (ep2), and IFSF's
//! interface between POS and EPS.
//!
//! | module | is |
//! |---|---|
//! | [`wire`], [`xml`], [`results`] | messages to values and back |
//! | [`framing`] | bytes of a stream to messages |
//! | [`dialect`] | how families of terminals differ, as data |
//! | [`session`] | one request and its answer, sans-IO |
//! | [`Listener`] | what terminals ask of the till, for all terminals of a port |
//! | [`open`] and [`Terminal`] | the driver |
//! | [`sim`] | the terminal's side |
//!
//! # Two channels
//! The till connects to the terminal for each request (channel 0). The terminal connects to the till to print, show and
//! ask (channel 1): `opi+tcp://10.0.0.9?listen=usual`. Receipts become the slips of the charge, texts progress;
//! questions with yes and no are answered as the options declare, by default no, until an application can answer.
//!
//! # When the till does not hear the answer
//! OPI has no acknowledgement: a transaction stands once the terminal has done it. The id of a request follows from its
//! intent alone, so after a crash the driver asks for the terminal's last message (`RepeatLastMessage`) and compares the
//! header that it repeats, then amount, currency, trace number, terminal and time: see
//! [`Terminal::recover`](crate::Terminal::recover). Nothing that moves money is sent twice.
//!
//! # What is unproven
//! No specification is public. Proven by public examples, which the tests name: framing, `Login`, `CardPayment` and
//! its response, `PaymentReversal` by STAN, `PaymentRefund`, `ReconciliationWithClosure` and its totals,
//! `TicketReprint`, output to `CashierDisplay`, and the response to it. Taken from field facts without a capture:
//! `RepeatLastMessage` with `OriginalHeader`, `AbortRequest` (which service it belongs to is not known), `Diagnosis`,
//! `Input` with `Command` and `InBoolean`, the targets of printers, `PaperCut`, `TerminalBatch` and
//! `TimeStamp` of IFSF's reversals, and the names of all Swiss services.
//!
//! `CardPreAuthorisation`, `CardFinancialAdvice` (a booking: what is charged, and the pre-authorisation by `OriginalTransaction`)
//! and `PreAuthReversal` are known by name only; they are laid out as `CardPayment` and `PaymentReversal`.
//!
//! Left out: increments, tips, loyalty, stored value, fuel, card reading, and answers typed by a person.

pub mod dialect;
mod driver;
pub mod framing;
mod host;
mod listener;
mod options;
mod recovery;
mod redact;
mod reference;
pub mod results;
pub mod session;
pub mod sim;
pub mod wire;
pub mod xml;

pub use dialect::Dialect;
pub use driver::{Terminal, open};
pub use listener::{Listener, Listeners};
pub use options::Options;
pub use redact::Redactor;
pub use reference::reference;
