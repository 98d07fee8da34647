//! One file per command: its arguments with their help, and what it does.

pub(crate) mod check_config;
pub(crate) mod decode;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod pay;
pub(crate) mod print;
pub(crate) mod record;
pub(crate) mod render;
pub(crate) mod replay;
pub(crate) mod scan;
pub(crate) mod sim;
