//! Attacks on a served till, over real TLS on loopback: none gets in, none stops the till.

mod certificates;
#[path = "../described/parts.rs"]
mod described;
mod enrolment;
mod https;
#[cfg(target_os = "linux")]
mod limits;
mod record;
mod routes;
mod secrets;
mod served;
mod tokens;
