//! The till as a server: its commands and events over WebSocket and HTTP, with rights for each caller, and the client
//! of it.

#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod attach;
pub mod client;
pub mod server;
mod serving;
pub mod session;
pub mod trust;
pub mod web;
pub mod wire;

pub use client::Client;
pub use server::Server;
pub use serving::{Serving, serve};
