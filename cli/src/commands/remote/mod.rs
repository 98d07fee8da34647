//! The till as a server, and who may call it.

pub(crate) mod attach;
pub(crate) mod audit;
pub(crate) mod clients;
mod code;
pub(crate) mod enrol;
pub(crate) mod join;
pub(crate) mod revoke;
pub(crate) mod serve;
pub(crate) mod token;
