//! Devices written by hand, as test peers: payment terminals that speak ZVT, OPI, nexo and PayTec with ledgers of
//! their own, and an ESC/POS printer.
//!
//! They share no code with tresen. Their bytes stand in tables and come from the specifications and
//! from captures, so an error in tresen's encoders cannot cancel out against the same error here.
//!
//! Each device but the terminals of [OPI](opi) and [nexo], which have many connections, is a sans-IO [`Peer`]: bytes in, bytes out, time as an argument. [`Shared`] serves one
//! over TCP or over any other byte [`Channel`], and lets a test look into it while it is served.
#![forbid(unsafe_code)]

pub mod nexo;
pub mod opi;
pub mod paytec;
pub mod printer;
mod serve;
pub mod zvt;

pub use serve::{Channel, Server, Shared};

/// A device without IO. All times are milliseconds since it was made.
pub trait Peer: Send + 'static {
    /// A host has connected.
    fn connected(&mut self, now: u64);
    /// The host has sent these bytes.
    fn received(&mut self, bytes: &[u8], now: u64);
    /// The link is gone.
    fn lost(&mut self, now: u64);
    /// What to do next; to be asked again after each step.
    fn next(&mut self, now: u64) -> Do;
}

/// What a [`Peer`] wants done on its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Do {
    /// Send these bytes in one piece.
    Send(Vec<u8>),
    /// End the link in order (FIN).
    HangUp,
    /// End the link at once (RST where the channel has such a thing).
    Reset,
    /// Nothing until this time, unless the host sends something.
    Wait(u64),
    /// Read nothing until this time: the receive buffer is full.
    Deaf(u64),
    /// Nothing until the host sends something.
    Idle,
}
