//! How payment terminals are recognised, without moving money and without leaving them in another state.
//!
//! | protocol | question | why it is harmless |
//! |---|---|---|
//! | ZVT | 05 01, status enquiry, without a password | it needs no registration and starts nothing; no password can be wrong. What the terminal answers is acknowledged, so that its dialogue ends |
//! | OPI | `RepeatLastMessage` of the service channel | it is the one request that replaces no last message, which a recovery may need; unknown services are refused |
//! | nexo | `GET /nexo` | transactions are posted (RFC 9110, section 9.2.1: GET is safe) |
//! | PayTec | `HeartbeatRequest` | terminals send it themselves every 10 s; a connection is not set up |
//!
//! Registration (06 00) is never sent: it takes the terminal from another till, sets who prints, and a wrong password may
//! lock it. A terminal that serves a customer over one connection may take a second one ill: probe idle ones.

mod nexo;
mod opi;
mod paytec;
mod zvt;

pub use nexo::Nexo;
pub use opi::Opi;
pub use paytec::PayTec;
pub use zvt::Zvt;
