//! The socket on Unix.

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

/// The socket of a running till. Dropped, it takes no more clients, lets those that it has go, and its file is gone.
pub(crate) struct Socket {
    path: PathBuf,
    /// The file as it was made: another till's may stand in its place by now.
    file: (u64, u64),
    listening: Mutex<Option<JoinHandle<()>>>,
    ended: watch::Sender<bool>,
}

impl Socket {
    /// Begins to answer; none if that cannot be, which is told. The caller holds the lock of the database: whatever
    /// socket stands there is a dead till's.
    pub(crate) async fn open(till: &Tresen) -> Option<Arc<Self>> {
        let path = super::path(till.store().path());
        match Self::listen(&path, Arc::downgrade(&till.0)) {
            Ok(socket) => Some(Arc::new(socket)),
            Err(error) => {
                let error = error.at(path.display());
                tracing::warn!(%error, "the till's socket cannot be opened");
                till.0.bus.tell(Source::Till, EventKind::SocketFailed { why: error.to_string() });
                None
            }
        }
    }

    fn listen(path: &Path, till: Weak<Inner>) -> Result<Self> {
        // Who may ask: the user that this process runs as.
        let owner = UnixStream::pair().and_then(|(one, _)| one.peer_cred()).map_err(failed)?.uid();
        let (listener, file) = bind(path)?;
        let (ended, told) = watch::channel(false);
        let listening = tokio::spawn(accept(listener, owner, till, told));
        let file = (file.dev(), file.ino());
        Ok(Self { path: path.to_owned(), file, listening: Mutex::new(Some(listening)), ended })
    }

    /// Takes no more clients, and the file is gone.
    pub(crate) fn refuse(&self) {
        let Some(listening) = lock(&self.listening).take() else { return };
        listening.abort();
        let ours = |file: Metadata| (file.dev(), file.ino()) == self.file;
        if self.path.symlink_metadata().is_ok_and(ours) {
            std::fs::remove_file(&self.path).ok();
        }
    }

    /// Lets the clients go, with the answers that they still get.
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

/// Makes the socket in a folder that only its owner may enter, and moves it to its place when it is its owner's alone.
fn bind(path: &Path) -> Result<(UnixListener, Metadata)> {
    match path.symlink_metadata() {
        Ok(file) if !file.file_type().is_socket() => {
            return Err(
                Error::new(Kind::Storage, "a file that is no socket is in the way").with_retry(Retry::AfterOperator)
            );
        }
        _ => {}
    }
    let folder = beside(path, ".new");
    let made = folder.join("s");
    // Left by a till that was killed right here.
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
                // Out of file handles, most likely: the system says so at once, and again.
                tracing::warn!(%error, "a client of the till's socket cannot be taken");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == owner || peer.uid() == ROOT => {}
            _ => {
                tracing::warn!("another user's program was kept from the till's socket");
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
                let error = Error::new(Kind::Busy, format!("{CLIENTS} clients are connected already"));
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
        // The kernel takes paths of about 100 bytes.
        ErrorKind::InvalidInput => Error::new(Kind::Config, "the path is too long for a socket")
            .hint("keep the database in a folder with a shorter path, or set `till.socket = false`")
            .because(error),
        _ => Error::new(Kind::Storage, "the socket cannot be made").because(error),
    }
}

const ROOT: u32 = 0;
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);
