//! The lock of the database: an OS lock on a file beside it, whose text identifies the holder.
//!
//! The kernel ties the lock to the open file; it ends with the process, however that ends. The text is for people, and
//! to detect a restored backup: see [`super::Store::epoch`].

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tresen_hal::{Error, Kind, Result, Retry};

use super::failure;

/// The lock on a database; released on drop.
pub(super) struct Lock {
    file: File,
    holder: String,
    before: Witness,
    witness: Witness,
}

/// The last known state of the database beside the lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Witness {
    /// The till's id; empty if unknown.
    pub(super) till: String,
    /// Its epoch; 0 if unknown.
    pub(super) epoch: i64,
    /// Ids of the last openings; more than one while an opening is in progress.
    pub(super) openings: Vec<String>,
    /// The number of the journal's last line.
    pub(super) reached: i64,
}

impl Lock {
    /// Takes the lock of the database at `path`, waiting a moment for a till that is just closing.
    #[cfg(test)]
    pub(super) fn take(path: &Path, at: &str) -> Result<Self> {
        let mut wait = Wait::begin(path)?;
        while !wait.try_lock()? {}
        Self::taken(wait, at)
    }

    /// The lock, once [`Wait::try_lock`] has it.
    pub(super) fn taken(wait: Wait, at: &str) -> Result<Self> {
        let Wait { path, mut file, .. } = wait;
        let beside = beside(&path, ".lock");
        let fault = |e| failure::file(e, &beside);
        let mut text = String::new();
        file.rewind().map_err(fault)?;
        // An unreadable text is ignored; the lock itself is still valid.
        file.read_to_string(&mut text).ok();
        let before = Witness::read(&text);
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(Path::file_name).map(|p| p.to_string_lossy().into_owned());
        let holder = format!(
            "pid = {}\nhost = {}\nprogram = {}\nsince = {at}\n",
            std::process::id(),
            host(),
            program.unwrap_or_default()
        );
        let mut lock = Self { file, holder, witness: before.clone(), before };
        lock.write().map_err(fault)?;
        Ok(lock)
    }

    /// The state recorded by the last holder.
    pub(super) fn before(&self) -> &Witness {
        &self.before
    }

    /// Records which database this is and its state.
    pub(super) fn note(&mut self, witness: Witness) -> std::io::Result<()> {
        self.witness = witness;
        self.write()
    }

    /// Records the end of the journal, and the epoch, which changes only with a line of the journal. Not synced: lagging
    /// behind is harmless, and a kill loses nothing.
    pub(super) fn reached(&mut self, seq: i64, epoch: impl FnOnce() -> rusqlite::Result<i64>) {
        if seq != self.witness.reached {
            self.witness.reached = seq;
            self.witness.epoch = epoch().unwrap_or(self.witness.epoch);
            if let Err(error) = self.write() {
                tracing::warn!(%error, "the lock file cannot be written");
            }
        }
    }

    /// Overwrites in place and truncates afterwards: a reader never finds it empty.
    fn write(&mut self) -> std::io::Result<()> {
        let text = format!(
            "{}till = {}\nepoch = {}\nopenings = {}\nreached = {}\n",
            self.holder,
            self.witness.till,
            self.witness.epoch,
            self.witness.openings.join(" "),
            self.witness.reached
        );
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)
    }
}

/// Waits for the lock.
pub(super) struct Wait {
    path: PathBuf,
    file: File,
    started: Instant,
}

impl Wait {
    /// Waits for the lock of the database at `path`.
    pub(super) fn begin(path: &Path) -> Result<Self> {
        let beside = beside(path, ".lock");
        let fault = |e| failure::file(e, &beside);
        // Nothing is put beside a file that is not ours.
        super::schema::look(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, OWNER_ONLY);
        let file = options.open(&beside).map_err(fault)?;
        own(&beside).map_err(fault)?;
        Ok(Self { path: path.to_owned(), file, started: Instant::now() })
    }

    /// Takes the lock; false after a moment, if a till has it that may be just closing.
    ///
    /// # Errors
    /// [`Kind::Busy`]: a till has had it for too long.
    pub(super) fn try_lock(&mut self) -> Result<bool> {
        match self.file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(failure::file(error, &beside(&self.path, ".lock"))),
            Err(TryLockError::WouldBlock) => {}
        }
        let patience = if is_ours(&mut self.file) { OWN_PATIENCE } else { PATIENCE };
        if self.started.elapsed() > patience {
            return Err(held(&self.path, &mut self.file));
        }
        std::thread::sleep(LOOK);
        Ok(false)
    }
}

impl Witness {
    fn read(text: &str) -> Self {
        Self {
            till: value(text, "till").unwrap_or_default().to_owned(),
            epoch: value(text, "epoch").and_then(|n| n.parse().ok()).unwrap_or_default(),
            openings: value(text, "openings").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            reached: value(text, "reached").and_then(|n| n.parse().ok()).unwrap_or_default(),
        }
    }
}

/// The file behind a symbolic link, which may not be there yet: its companions stand beside it, so that a till finds its
/// database locked whatever name another one has opened it by.
pub(crate) fn real(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        let Ok(to) = std::fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(to);
    }
    path
}

/// A file beside the database.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Makes a file accessible to its owner only, regardless of the umask.
pub(super) fn own(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & 0o777 != OWNER_ONLY {
            std::fs::set_permissions(path, PermissionsExt::from_mode(OWNER_ONLY))?;
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Whether the holder is this process.
fn is_ours(file: &mut File) -> bool {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok();
    value(&text, "pid") == Some(std::process::id().to_string().as_str())
}

fn held(path: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let known = file.rewind().and_then(|()| file.read_to_string(&mut text)).is_ok();
    let by = |key| value(&text, key).filter(|v| !v.is_empty());
    let what = match (by("program"), by("pid")) {
        (program, Some(pid)) if known => format!(
            "is open in another till: {} (process {pid} on {}, since {})",
            program.unwrap_or("a program"),
            by("host").unwrap_or("this machine"),
            by("since").unwrap_or("some time ago")
        ),
        _ => "is open in another till".to_owned(),
    };
    Error::new(Kind::Busy, what)
        .at(path.display())
        .with_retry(Retry::AfterOperator)
        .hint("use that till, close it, or set another file in `store`")
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
}

fn host() -> String {
    let named = std::env::var("COMPUTERNAME").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    named.map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// How long to wait for a till that is just closing, in another process and in this one, and how often to retry.
const PATIENCE: Duration = Duration::from_secs(2);
const OWN_PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);
#[cfg(unix)]
pub(super) const OWNER_ONLY: u32 = 0o600;
