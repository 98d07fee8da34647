//! The driver against the simulated printer over memory links: every outcome, every fault.

#[path = "../common/mod.rs"]
mod common;
mod drawer;
mod link;
mod opening;
mod paper;
mod proof;
mod status;
