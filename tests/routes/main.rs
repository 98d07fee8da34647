//! Routes: which paper comes out of which printer, also when printers are away, hang or come back. The whole stack on
//! tokio's paused clock.

mod hanging;
mod order;
mod paper;
mod printing;
mod rules;
#[path = "../common/set_clock.rs"]
mod set_clock;
mod shop;
