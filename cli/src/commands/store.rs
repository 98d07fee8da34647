//! The database that a command works on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tresen::{Config, Drivers, Result, Store, SystemRuntime};

/// The database itself, or that of a till's configuration: `till.toml`.
pub(super) fn path(file: &Path) -> Result<PathBuf> {
    if file.extension().is_none_or(|end| end != "toml") {
        return Ok(file.to_owned());
    }
    Ok(Config::load(file, &Drivers::standard())?.till.store)
}

/// Opens it read-only, also beside a running till.
pub(super) async fn open(file: &Path) -> Result<Store> {
    Store::open_read_only(&path(file)?, Arc::new(SystemRuntime::new())).await
}
