//! The database of a till: file, lock, version, disk.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tresen::config::Config;
use tresen::health::{Limits, Space};
use tresen::{Error, Store, SystemRuntime};

use super::finding::Finding;
use super::holder;
use crate::commands::status::bytes;

const SUBJECT: &str = "store";

/// Checks the database without writing to it. `running`: a till has it open and says so itself.
pub(super) async fn check(file: &Path, running: bool) -> Vec<Finding> {
    let mut findings = vec![open(file, running).await];
    findings.extend(disk(file, &Config::default().health));
    findings
}

async fn open(file: &Path, running: bool) -> Finding {
    let data = match std::fs::metadata(file) {
        Ok(data) => data,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Finding::ok(SUBJECT, format!("{} will be created at the first start", file.display()));
        }
        Err(error) => return Finding::of(SUBJECT, &Error::file(file, error)),
    };
    let mut head = [0; 16];
    let read = File::open(file).and_then(|file| file.take(16).read(&mut head));
    if let Err(error) = read {
        return Finding::of(SUBJECT, &Error::file(file, error));
    }
    if data.len() > 0 && head != *b"SQLite format 3\0" {
        return Finding::failed(SUBJECT, format!("{} is not a database", file.display()))
            .hint("set another file in `store`, or restore a backup");
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o077 != 0 {
        return Finding::warning(SUBJECT, format!("{} can be read by others", file.display()))
            .hint(format!("chmod 600 {0}*", file.display()));
    }
    if data.permissions().readonly() {
        return Finding::failed(SUBJECT, format!("{} cannot be written", file.display()))
            .hint("give the user of the till write permission");
    }
    if !running && let Some(by) = locked(file) {
        return Finding::failed(SUBJECT, format!("{} is open in another program", file.display()))
            .seen(format!("{by} holds its lock, and does not answer on its socket"))
            .hint("use that till, or end it; is it of another user, or is `socket = false` set?");
    }
    let size = bytes(data.len());
    if data.len() > 0
        && let Err(error) = Store::open_read_only(file, Arc::new(SystemRuntime::new())).await
    {
        return Finding::of(SUBJECT, &error);
    }
    Finding::ok(SUBJECT, format!("{}, {size}", file.display()))
}

/// Who holds the lock of the database, as the lock file says.
fn locked(file: &Path) -> Option<String> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let mut lock = File::open(&beside).ok()?;
    match lock.try_lock_shared() {
        // Released at once, with the file.
        Ok(()) => None,
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            lock.read_to_string(&mut text).ok();
            let pid = text.lines().find_map(|line| line.strip_prefix("pid = "));
            Some(pid.map_or_else(|| "another program".to_owned(), holder::named))
        }
        Err(TryLockError::Error(_)) => None,
    }
}

/// Warns of a disk that is full or nearly so.
fn disk(file: &Path, limits: &Limits) -> Option<Finding> {
    let space = Space::of(file).ok()?;
    let what = format!("{} free of {}", bytes(space.free), bytes(space.total));
    let hint = "free some space: nothing can be sold when the journal cannot be written";
    match space.free {
        0..FULL => Some(Finding::failed("disk", format!("full: {what}")).hint(hint)),
        free if free < limits.disk_low => Some(Finding::warning("disk", format!("nearly full: {what}")).hint(hint)),
        _ => Some(Finding::ok("disk", what)),
    }
}

/// Less than this is full: the log of the database alone may take it.
const FULL: u64 = 8_000_000;
