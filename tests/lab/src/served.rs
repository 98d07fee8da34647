//! Simulators behind the kernel's gadgets.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tresen_hal::sim::{self, Device, Shared};
use tresen_hal::{BoxFuture, Link, Result};

use crate::Gadget;

/// A simulator that plays a gadget: what the host's driver sends reaches it, and what it says comes back. It
/// takes bytes as long as the simulator does; then the host sees its transfers wait, as with a printer
/// whose buffer is full.
///
/// When a gadget is pulled, drop this before it is plugged in again: the kernel's functions make their nodes
/// anew each time and lose count of one that is still open.
#[derive(Debug)]
pub struct Served {
    task: JoinHandle<()>,
}

impl Served {
    /// Behind a printer gadget that is plugged in.
    ///
    /// # Panics
    /// There is no printer gadget, or something else serves it.
    pub fn printer<D: Device + 'static>(device: Shared<D>) -> Self {
        Self::at("/dev/g_printer0".as_ref(), device)
    }

    /// Behind an HID function of a gadget that is plugged in; each of its chunks is one report.
    ///
    /// # Panics
    /// There is no such function, or something else serves it.
    pub fn hid<D: Device + 'static>(gadget: &Gadget, function: &str, device: Shared<D>) -> Self {
        Self::at(&gadget.hid_node(function), device)
    }

    fn at<D: Device + 'static>(path: &Path, device: Shared<D>) -> Self {
        crate::until_exists(path);
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path);
        let node = Node::new(file.expect("one server at a time"));
        Self { task: tokio::spawn(async move { sim::link(&node, &device).await }) }
    }
}

impl Drop for Served {
    /// Waits until the node is closed; needs a runtime of more than one thread.
    fn drop(&mut self) {
        self.task.abort();
        crate::until("the gadget's node to be closed", || self.task.is_finished());
    }
}

/// The gadget's character device. A printer's asks the host for bytes only while it is read or polled.
#[derive(Debug)]
struct Node {
    file: AsyncFd<File>,
}

impl Node {
    fn new(file: File) -> Self {
        // SAFETY: a File keeps its descriptor until it is dropped, which the AsyncFd does last.
        Self { file: unsafe { AsyncFd::register(file) }.expect("can be polled") }
    }
}

impl Link for Node {
    fn send<'a>(&'a self, mut bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while !bytes.is_empty() {
                let mut ready = self.file.writable().await?;
                match ready.try_io(|file| file.get_ref().write(bytes)) {
                    Ok(written) => bytes = &bytes[written?..],
                    Err(_would_block) => {}
                }
            }
            Ok(())
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let mut ready = self.file.readable().await?;
                match ready.try_io(|file| file.get_ref().read(&mut buffer)) {
                    Ok(Ok(0)) | Err(_) => {}
                    Ok(read) => {
                        let read = read?;
                        into.extend_from_slice(&buffer[..read]);
                        return Ok(read);
                    }
                }
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
