//! A till's own backup and exports.

use std::io::Write;
use std::path::PathBuf;

use tresen_hal::Result;

use super::{Export, Exported, Page};
use crate::store::Backup;
use crate::tresen::Tresen;

impl Tresen {
    /// Copies the database while the till runs: [`Store::backup`](crate::Store::backup).
    ///
    /// # Errors
    /// As [`Store::backup`](crate::Store::backup).
    pub async fn backup(&self, to: impl Into<PathBuf>) -> Result<Backup> {
        self.0.store.backup(to).await
    }

    /// Writes an export to `to`, which is returned with the result: [`Store::export`](crate::Store::export).
    ///
    /// # Errors
    /// As [`Store::export`](crate::Store::export).
    pub async fn export<W: Write + Send + 'static>(&self, export: Export, to: W) -> Result<(W, Exported)> {
        self.0.store.export(export, to).await
    }

    /// Writes an export to a file: [`Store::export_file`](crate::Store::export_file).
    ///
    /// # Errors
    /// As [`Store::export_file`](crate::Store::export_file).
    pub async fn export_file(&self, export: Export, path: impl Into<PathBuf>) -> Result<Exported> {
        self.0.store.export_file(export, path).await
    }

    /// One page of an export as text: [`Store::export_page`](crate::Store::export_page).
    ///
    /// # Errors
    /// As [`Store::export_page`](crate::Store::export_page).
    pub async fn export_page(&self, export: Export, after: Option<&str>, limit: u32) -> Result<Page> {
        self.0.store.export_page(export, after, limit).await
    }
}
