//! The pages in a headless Chromium, against a till that serves, with simulated devices: `cargo test --features chromium`.
//!
//! `SCREENSHOTS=docs/pictures` writes pictures of them.

mod dashboard;
mod devtools;
mod kiosk;
mod shop;
