//! Converts SQLite and file errors.

use std::path::Path;

use rusqlite::ErrorCode as Code;
use tresen_hal::{Error, Kind, Retry};

/// Why work on the database failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// SQLite returned an error.
    Sql(rusqlite::Error),
    /// A row has content that this version cannot read.
    Row(String),
    /// The request does not fit the stored state.
    Refused(Error),
}

impl Failure {
    pub(super) fn row(why: impl Into<String>) -> Self {
        Self::Row(why.into())
    }

    /// The error returned to the caller.
    pub(super) fn into_error(self, path: &Path) -> Error {
        match self {
            Self::Sql(error) => sql_error(error, path),
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

/// The error for an SQLite error with the file at `path`.
pub(super) fn sql_error(error: rusqlite::Error, path: &Path) -> Error {
    let (what, hint, retry) = match &error {
        rusqlite::Error::SqliteFailure(failure, _) => classify(failure.code),
        _ => ("a row cannot be read or written", Some("was it written by another version?"), Retry::Never),
    };
    let error = Error::new(Kind::Storage, what).at(path.display()).with_retry(retry).because(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// A copy of the error, for every request lost with the same commit.
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

/// The error for a file that cannot be created, opened or written.
pub(crate) fn file(error: std::io::Error, path: &Path) -> Error {
    use std::io::ErrorKind as K;
    let (what, hint) = match error.kind() {
        K::NotFound => ("no such file or folder", "create the folder, or choose another file"),
        K::PermissionDenied => ("permission denied", "give the user of the till write permission"),
        K::StorageFull | K::QuotaExceeded => ("the disk is full", "free some space"),
        K::ReadOnlyFilesystem => ("the medium is read-only", "choose a file on another medium"),
        K::IsADirectory => ("is a folder", "choose a file"),
        _ => ("cannot be used", "check the medium"),
    };
    Error::new(Kind::Storage, what).at(path.display()).because(error).hint(hint)
}

fn classify(code: Code) -> (&'static str, Option<&'static str>, Retry) {
    match code {
        Code::DiskFull => ("the disk is full", Some("free some space; nothing was written"), Retry::AfterOperator),
        Code::ReadOnly => {
            ("the database or its medium is read-only", Some("give the till write permission"), Retry::AfterOperator)
        }
        Code::PermissionDenied | Code::CannotOpen => (
            "the database cannot be opened",
            Some("does the folder exist, and can the till write to it?"),
            Retry::AfterOperator,
        ),
        Code::DatabaseBusy | Code::DatabaseLocked => {
            ("another program keeps the database locked", Some("close that program"), Retry::Now)
        }
        Code::DatabaseCorrupt | Code::NotADatabase => {
            ("the database is damaged", Some("keep the file and restore a backup"), Retry::AfterOperator)
        }
        Code::SystemIoFailure => {
            ("the medium failed", Some("check the medium and its free space"), Retry::AfterOperator)
        }
        Code::ConstraintViolation => ("conflicts with stored data", None, Retry::Never),
        _ => ("the database reported an error", None, Retry::Never),
    }
}
