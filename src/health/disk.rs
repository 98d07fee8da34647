//! The space left on a disk.

use std::io;
use std::path::Path;

/// The size of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// What a program without special rights can still write.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

impl Space {
    /// The space of the file system that holds `path`, or that would hold it if it existed. Blocks on the disk for a
    /// moment.
    ///
    /// # Errors
    /// That of the system. [`io::ErrorKind::Unsupported`] on other platforms than Unix.
    pub fn of(path: &Path) -> io::Result<Self> {
        match of(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
                Some(folder) if folder.as_os_str().is_empty() => of(Path::new(".")),
                Some(folder) => Self::of(folder),
                None => Err(error),
            },
            known => known,
        }
    }
}

#[cfg(unix)]
fn of(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    // POSIX counts blocks in units of f_frsize.
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Space { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
}

#[cfg(not(unix))]
fn of(_: &Path) -> io::Result<Space> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this platform is not asked for its free space"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_exist_yet_is_on_the_disk_of_its_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let here = Space::of(dir.path()).expect("known");
        assert!(here.total > 0 && here.free <= here.total, "{here:?}");
        let there = Space::of(&dir.path().join("later/till.db")).expect("known");
        assert_eq!(there.total, here.total);
        assert!(Space::of(Path::new("till.db")).is_ok(), "a bare name is in the current folder");
    }
}
