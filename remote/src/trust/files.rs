//! Files that hold keys: accessible to their owner only, replaced as a whole, on disk when written.

#[cfg(unix)]
use std::fs::File;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use tresen_hal::{Error, Kind, Result};

/// Makes the folder, if there is none, and makes sure that only its owner may enter.
pub(super) fn folder(path: &Path) -> Result<()> {
    let mut new = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut new, 0o700);
    match new.create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(Error::file(path, error)),
        _ => {}
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map_err(|e| Error::file(path, e))?.permissions().mode();
        if mode & 0o077 != 0 {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).map_err(|e| Error::file(path, e))?;
        }
    }
    Ok(())
}

/// Replaces a file by `content`. A program killed at any moment leaves the old file or the new one.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |e| Error::file(path, e);
    let part = path.with_extension("part");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    drop(file);
    std::fs::rename(&part, path).map_err(failed)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// Reads a file as text; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Error::new(Kind::Storage, "is damaged").at(path.display())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(path, error)),
    }
}
