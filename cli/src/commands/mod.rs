//! One file per command.

pub(crate) mod backup;
pub(crate) mod cancel;
pub(crate) mod check_config;
pub(crate) mod completions;
mod console;
pub(crate) mod decode;
mod diagnose;
pub(crate) mod diagnosis;
pub(crate) mod doctor;
pub(crate) mod drawer;
pub(crate) mod end_of_day;
pub(crate) mod export;
pub(crate) mod info;
pub(crate) mod initialise;
pub(crate) mod jobs;
pub(crate) mod journal;
pub(crate) mod lease;
pub(crate) mod list;
mod listed;
pub(crate) mod manual;
pub(crate) mod pay;
pub(crate) mod payments;
pub(crate) mod print;
pub(crate) mod probe;
pub(crate) mod record;
pub(crate) mod refund;
pub(crate) mod render;
pub(crate) mod repeat_receipt;
pub(crate) mod replay;
pub(crate) mod reprint;
pub(crate) mod restore;
pub(crate) mod reverse;
mod running;
pub(crate) mod scan;
#[cfg_attr(not(feature = "postgres"), path = "server/missing.rs")]
pub(crate) mod server;
pub(crate) mod settle;
pub(crate) mod sim;
pub(crate) mod status;
pub(crate) mod support_bundle;
mod terminal;
pub(crate) mod test_page;
pub(crate) mod totals;
pub(crate) mod trace;

pub(crate) mod watch;
mod when;
