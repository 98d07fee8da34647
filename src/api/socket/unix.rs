//! The till's socket on Unix.

use std::fs::{DirBuilder, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tresen_hal::{Error, Kind, Result, Retry};

use super::super::serve::{CLIENTS, client, refuse};
use crate::event::{EventKind, Source};
use crate::manager::lock;
use crate::tresen::{Inner, Tresen};

/// The socket of a running till. Dropping it stops accepting clients, disconnects the connected ones and removes the
/// file.
pub(crate) struct Socket {
    path: PathBuf,
    /// Device and inode of the file as created: by now another till's socket may be in its place.
    file: (u64, u64),
    listening: Mutex<Option<JoinHandle<()>>>,
    ended: watch::Sender<bool>,
}

impl Socket {
    /// Starts serving; `None` if that fails, which is logged. The caller holds the lock of the database, so an existing
    /// socket belongs to a till that is gone.
    pub(crate) async fn open(till: &Tresen) -> Option<Arc<Self>> {
        let path = super::path(till.store().path());
        match Self::listen(&path, Arc::downgrade(&till.0)) {
            Ok(socket) => Some(Arc::new(socket)),
            Err(error) => {
                let error = error.at(path.display());
                tracing::warn!(%error, "the till's socket cannot be opened");
                till.0.bus.publish(Source::Till, EventKind::SocketFailed { why: error.to_string() });
                None
            }
        }
    }

    fn listen(path: &Path, till: Weak<Inner>) -> Result<Self> {
        // Only the user that this process runs as may connect.
        let owner = UnixStream::pair().and_then(|(one, _)| one.peer_cred()).map_err(failed)?.uid();
        let (listener, file) = bind(path)?;
        let (ended, told) = watch::channel(false);
        let listening = tokio::spawn(accept(listener, owner, till, told));
        let file = (file.dev(), file.ino());
        Ok(Self { path: path.to_owned(), file, listening: Mutex::new(Some(listening)), ended })
    }

    /// Stops accepting clients and removes the file.
    pub(crate) fn refuse(&self) {
        let Some(listening) = lock(&self.listening).take() else { return };
        listening.abort();
        let ours = |file: Metadata| (file.dev(), file.ino()) == self.file;
        if self.path.symlink_metadata().is_ok_and(ours) {
            std::fs::remove_file(&self.path).ok();
        }
    }

    /// Disconnects the clients after sending the replies to running commands.
    pub(crate) fn end(&self) {
        self.refuse();
        self.ended.send_replace(true);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.end();
    }
}

/// Creates the socket in a folder accessible only to its owner, and moves it into place once its permissions are set.
fn bind(path: &Path) -> Result<(UnixListener, Metadata)> {
    match path.symlink_metadata() {
        Ok(file) if !file.file_type().is_socket() => {
            return Err(
                Error::new(Kind::Storage, "a file that is not a socket is in the way").with_retry(Retry::AfterOperator)
            );
        }
        _ => {}
    }
    let folder = beside(path, ".new");
    let made = folder.join("s");
    // Left behind by a till that was killed at this point.
    std::fs::remove_file(&made).ok();
    match std::fs::remove_dir(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
    let bound = (|| {
        let listener = UnixListener::bind(&made)?;
        std::fs::set_permissions(&made, PermissionsExt::from_mode(0o600))?;
        let file = made.symlink_metadata()?;
        std::fs::rename(&made, path)?;
        Ok((listener, file))
    })();
    std::fs::remove_file(&made).ok();
    std::fs::remove_dir(&folder).ok();
    bound.map_err(failed)
}

async fn accept(listener: UnixListener, owner: u32, till: Weak<Inner>, ended: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most likely out of file descriptors: accept would fail again immediately.
                tracing::warn!(%error, "a client of the till's socket cannot be accepted");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == owner || peer.uid() == ROOT => {}
            _ => {
                tracing::warn!("refused a connection from another user");
                continue;
            }
        }
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let served = client(stream, till.clone(), ended.clone());
                tokio::spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(_) => {
                let error = Error::new(Kind::Busy, format!("{CLIENTS} clients are already connected"));
                tokio::spawn(async move { refuse(stream, &error).await });
            }
        }
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn failed(error: std::io::Error) -> Error {
    match error.kind() {
        // The kernel limits socket paths to about 100 bytes.
        ErrorKind::InvalidInput => Error::new(Kind::Config, "the path is too long for a socket")
            .hint("keep the database in a folder with a shorter path, or set `till.socket = false`")
            .because(error),
        _ => Error::new(Kind::Storage, "the socket cannot be created").because(error),
    }
}

const ROOT: u32 = 0;
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);
