//! tresen
