//! The till as a server, and who may call it.

pub(crate) mod serve;
