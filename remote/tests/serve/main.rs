//! A till as a server and its clients, over memory and over real sockets, with simulated devices.

mod calls;
mod cuts;
mod ends;
mod events;
mod frames;
mod hostile;
mod http;
mod idle;
mod shop;
