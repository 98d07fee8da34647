//! The pages in a headless Chromium, against a till that serves, with simulated devices: `cargo test --features chromium`.
//!
//! `SCREENSHOTS=docs/pictures` writes pictures of them.

mod dashboard;
#[allow(dead_code, reason = "the tests of the command `tresen` use the rest of it")]
mod devtools;
mod kiosk;
mod origins;
mod part;
mod shop;
