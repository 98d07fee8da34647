//! What SQLite reports, in words that fit it.

use std::path::Path;

use rusqlite::ErrorCode as Code;
use tresen_hal::{Error, Kind, Retry};

/// Why a piece of work on the database failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite refused or could not.
    Sql(rusqlite::Error),
    /// A row holds what this version cannot read.
    Row(String),
    /// What was asked for does not fit what is stored.
    Refused(Error),
}

impl Failure {
    pub(super) fn row(why: impl Into<String>) -> Self {
        Self::Row(why.into())
    }

    /// In words for those who wait for it.
    pub(super) fn told(self, path: &Path) -> Error {
        match self {
            Self::Sql(error) => told(error, path),
            Self::Row(why) => Error::new(Kind::Storage, format!("a row cannot be read: {why}"))
                .at(path.display())
                .with_retry(Retry::Never)
                .hint("it was written by another version, or the file is damaged"),
            Self::Refused(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sql(error) => error.fmt(f),
            Self::Row(why) => f.write_str(why),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

/// An SQLite error in words, about the file at `path`.
pub(super) fn told(error: rusqlite::Error, path: &Path) -> Error {
    let (what, hint, retry) = match &error {
        rusqlite::Error::SqliteFailure(failure, _) => words(failure.code),
        _ => ("a row cannot be read or written", Some("was it written by another version?"), Retry::Never),
    };
    let told = Error::new(Kind::Storage, what).at(path.display()).with_retry(retry).because(error);
    match hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// The same words for everyone whose work went down with one commit.
pub(super) fn again(error: &Error) -> Error {
    let same = Error::new(error.kind(), error.what()).with_effect(error.effect()).with_retry(error.retry());
    let same = match error.device() {
        Some(device) => same.at(device),
        None => same,
    };
    match error.next_step() {
        Some(hint) => same.hint(hint),
        None => same,
    }
}

/// A file that cannot be made, opened or written.
pub(crate) fn file(error: std::io::Error, path: &Path) -> Error {
    use std::io::ErrorKind as K;
    let (what, hint) = match error.kind() {
        K::NotFound => ("there is no such file or folder", "make the folder, or name another file in `store`"),
        K::PermissionDenied => ("may not be opened", "give its owner, the user of the till, the right to write"),
        K::StorageFull | K::QuotaExceeded => ("the disk is full", "free some space"),
        K::ReadOnlyFilesystem => ("the medium is read-only", "name a file on another medium in `store`"),
        K::IsADirectory => ("is a folder", "name a file in `store`"),
        _ => ("cannot be used", "check the medium"),
    };
    Error::new(Kind::Storage, what).at(path.display()).because(error).hint(hint)
}

fn words(code: Code) -> (&'static str, Option<&'static str>, Retry) {
    match code {
        Code::DiskFull => ("the disk is full", Some("free some space; nothing was written"), Retry::AfterOperator),
        Code::ReadOnly => {
            ("the database or its medium is read-only", Some("give the till the right to write"), Retry::AfterOperator)
        }
        Code::PermissionDenied | Code::CannotOpen => (
            "the database cannot be opened",
            Some("is the folder there, and may the till write to it?"),
            Retry::AfterOperator,
        ),
        Code::DatabaseBusy | Code::DatabaseLocked => {
            ("another program keeps the database locked", Some("end it"), Retry::Now)
        }
        Code::DatabaseCorrupt | Code::NotADatabase => {
            ("the database is damaged", Some("keep the file and restore a backup"), Retry::AfterOperator)
        }
        Code::SystemIoFailure => {
            ("the medium failed", Some("check the medium and its free space"), Retry::AfterOperator)
        }
        Code::ConstraintViolation => ("does not fit what is stored", None, Retry::Never),
        _ => ("the database refused", None, Retry::Never),
    }
}
