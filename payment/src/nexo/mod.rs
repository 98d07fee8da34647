//! nexo retailer over HTTPS, as Adyen's terminals speak it on the local network.
//!
//! | module | is |
//! |---|---|
//! | [`crypto`] | what protects a message on its way |
//! | [`wire`] | messages to values and back |
//! | [`results`] | what a terminal's result says about money |

pub mod crypto;
pub mod results;
pub mod wire;
