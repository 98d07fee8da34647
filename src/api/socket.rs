//! The address of a running till: a Unix socket beside its database.

use std::path::{Path, PathBuf};

/// The socket of the till whose database is at `store`: `till.db.sock` beside `till.db`, also where `store` is a link
/// to it.
pub fn path(store: &Path) -> PathBuf {
    let mut name = crate::store::real(store).into_os_string();
    name.push(".sock");
    name.into()
}

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::Socket;

#[cfg(not(unix))]
mod none;
#[cfg(not(unix))]
pub(crate) use none::Socket;
