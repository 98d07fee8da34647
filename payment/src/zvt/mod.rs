//! ZVT over TCP, TLS and serial lines, the protocol of card terminals in Germany, Austria and around (specification
//! PA00P015, 13.08 and 13.11).
//!
//! | module | is |
//! |---|---|
//! | [`wire`], [`bmp`], [`tlv`], [`text`], [`codes`] | bytes to values and back |
//! | [`tables`] | bitmaps, tags and kinds of card as data |
//! | [`commands`] | one family of commands per file |
//! | [`transport`] | bytes of a link to APDUs and back: [`framing`] of a stream, or [`serial`] frames with their timers |
//! | [`session`] | the dialogue, sans-IO |
//! | [`open`] and [`Terminal`] | the driver |
//! | [`sim`] | the terminal's side |
//!
//! # When the till does not hear the end
//! The terminal stores a payment once the till has acknowledged its result (04 0F) and every receipt.
//! Without that some terminals take it back, others keep it. So the driver journals before it
//! acknowledges, never sends a payment twice, and afterwards asks the terminal for its last
//! transaction and compares: see [`Terminal`](crate::Terminal::recover).
//!
//! # Reservations
//! A pre-authorisation is 06 22, its booking 06 23 with what is *released* of it, its release 06 25. What is held stands in
//! the reference of the charge, so a till that was restarted books by it. 06 0C (tip), 06 09 (prepaid) and 06 24 (book total,
//! option `booking=total`) are laid out after the specification's tables; no terminal has proven them here. There is no
//! increment: nothing known here says how a terminal would take one.
//!
//! # What is proven
//! [`tables`] and [`commands::display`] say what rests on captures, what on lists of the specification and what on
//! neither: how an input is answered is unproven. No public source tells what the till answers to a
//! receipt with a signature (the slip is acknowledged; [`Charge::cvm`](crate::Charge::cvm) says that it has to be signed)
//! or what tag 1F6B asks with (an age check's answer, 1F6C, is read).
//!
//! A terminal that has nothing stored proves that nothing was charged for half an hour after an attempt only: later its day may
//! have been closed.
//!
//! Left out: menus, file transfer, tag 1F73.

pub mod bmp;
pub mod codes;
pub mod commands;
mod driver;
pub mod framing;
mod options;
mod recovery;
mod redact;
mod reference;
pub mod serial;
pub mod session;
pub mod sim;
pub mod tables;
pub mod text;
pub mod tlv;
pub mod transport;
pub mod wire;

pub use commands::Password;
pub use commands::registration::Config;
pub use driver::{Terminal, open};
pub use options::{Booking, Options};
pub use recovery::Commit;
pub use redact::{Redactor, redactor};
pub use reference::{held, reference};
pub use session::Timeouts;
pub use text::Charset;
pub use transport::Framed;
