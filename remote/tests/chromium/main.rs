//! The pages in a headless Chromium, against a till that serves, with simulated devices: `cargo test --features chromium`.
//!
//! `SCREENSHOTS=docs/pictures` writes pictures of them.

mod dashboard;
// The tests of the command `tresen` use the rest of it.
#[allow(dead_code)]
mod devtools;
mod kiosk;
mod origins;
mod part;
mod shop;
