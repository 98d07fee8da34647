//! nexo retailer over HTTPS, as Adyen's terminals speak it on the local network.
//!
//! | module | is |
//! |---|---|
//! | [`crypto`] | what protects a message on its way |
//! | [`wire`] | messages to values and back |
//! | [`results`] | what a terminal's result says about money |
//! | [`http`] | HTTP messages of a stream |
//! | [`session`] | one request and its answer, sans-IO |
//! | [`open`] and [`Terminal`] | the driver |
//! | [`sim`] | the terminal's side |
//!
//! The address is `nexo+https://10.0.0.31?poi=V400m-123456789&key=shop&passphrase=…&ca=FILE`, port 8443; `FILE` holds the
//! root certificate of Adyen's terminal fleet, which the till's integrator gets from Adyen. The certificate's name is
//! compared with those that such terminals have ([`Options::named_by`]). Messages are encrypted besides, with a key that
//! till and terminal share. `nexo+tcp://…` is the same without TLS, for simulators.
//!
//! The terminal shows a text, asks the customer and prints for the till. What it tells while a transaction runs reaches the
//! till with `listen=HOST:PORT`, the place that the terminal's settings name under "Display URLs", in clear or sealed.
//!
//! # When the till does not hear the answer
//! A transaction stands once the terminal has done it. `SaleID`, `POIID` and time of an intent are journalled before
//! anything is sent, and its `ServiceID` follows from them, so after a crash the driver asks what became of it
//! (`TransactionStatus`) and compares what the terminal repeats: see [`Terminal::recover`](crate::Terminal::recover).
//! Nothing that moves money is sent twice.
//!
//! A reversal is charged when the terminal has taken it on; the acquirer carries it out later, and may still refuse.
//!
//! # What is unproven
//! Nothing was tried with a terminal. Names and shapes are those of Adyen's documentation; encryption and key derivation
//! are proven both ways with the vendor's npm library (`tests/foreign`). How long a terminal remembers a transaction is
//! not documented: a missing one counts for a day. So does one at a terminal that was reset to how it left the factory, or had
//! its storage cleared, on that day: nothing in its answer tells this from a request that never arrived.
//! `tenderOption=AllowPartialAuthorisation` and several options at once are taken from descriptions without an example. That
//! a plain text is shown is the protocol's; Adyen's pages show codes, receipts and pictures. How terminals answer a question whose time is over is not documented: what says `Cancel` or
//! `Aborted` is no answer, and whatever else an error.
//!
//! # Left out
//! Pre-authorisation: Adyen's terminals hold an amount (`authorisationType=PreAuth` in `SaleToAcquirerData`), but it is
//! adjusted, captured and released by Adyen's web interface, not by the terminal, so a till could not end what it began.
//! Of `Display` requests to the terminal all but plain text, of `Input` requests signatures, telephone numbers and several
//! choices, of `Print` requests codes and pictures; card acquisition, stored value, loyalty, referenced refunds of a part, and the
//! cloud.

pub mod crypto;
mod driver;
mod form;
pub mod http;
mod listener;
mod options;
mod receipt;
mod recovery;
mod redact;
mod reference;
pub mod results;
pub mod session;
pub mod sim;
pub mod wire;

pub use driver::{Terminal, open};
pub use listener::{Listener, Listeners};
pub use options::Options;
pub use redact::Redactor;
pub use reference::reference;
