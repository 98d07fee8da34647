//! A till's own backup and exports.

use std::io::Write;
use std::path::PathBuf;

use tresen_hal::Result;

use super::Tresen;
use crate::export::{Export, Exported, Page};
use crate::store::Backup;

impl Tresen {
    /// Copies the database while the till runs.
    ///
    /// # Errors
    /// As [`crate::Tresen::backup`].
    pub fn backup(&self, to: impl Into<PathBuf>) -> Result<Backup> {
        self.wait(self.inner().backup(to))
    }

    /// Writes an export to `to`, which is returned with the result.
    ///
    /// # Errors
    /// As [`crate::Tresen::export`].
    pub fn export<W: Write + Send + 'static>(&self, export: Export, to: W) -> Result<(W, Exported)> {
        self.wait(self.inner().export(export, to))
    }

    /// Writes an export to a file.
    ///
    /// # Errors
    /// As [`crate::Tresen::export_file`].
    pub fn export_file(&self, export: Export, path: impl Into<PathBuf>) -> Result<Exported> {
        self.wait(self.inner().export_file(export, path))
    }

    /// One page of an export as text.
    ///
    /// # Errors
    /// As [`crate::Tresen::export_page`].
    pub fn export_page(&self, export: Export, after: Option<&str>, limit: u32) -> Result<Page> {
        self.wait(self.inner().export_page(export, after, limit))
    }
}
