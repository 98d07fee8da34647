//! Attacks on a served till, over real TLS on loopback: none gets in, none stops the till.

mod certificates;
mod enrolment;
mod https;
mod routes;
mod secrets;
mod served;
mod tokens;
