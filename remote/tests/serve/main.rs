//! A till as a server and its clients, over memory and over real sockets, with simulated devices.

mod audit;
mod calls;
mod cuts;
#[path = "../described/mod.rs"]
mod described;
mod documents;
mod ends;
mod events;
mod frames;
mod handheld;
mod handshake;
mod hostile;
mod http;
mod idle;
mod input;
mod keys;
mod limits;
mod minimal;
mod mutated;
mod rights;
mod schema;
mod shop;
