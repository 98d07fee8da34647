//! The drivers against terminals that mean harm. They are written by hand from the field's documents, byte by byte, and
//! share no code with the drivers: each says what a test tells it to say, and nothing else.

mod nexo;
mod opi;
mod paytec;
mod serial;
mod stage;
mod zvt;
