//! scanners
