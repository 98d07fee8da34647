//! Links move bytes; they know nothing of what the bytes mean.
//!
//! | module | moves bytes over | needs |
//! |---|---|---|
//! | [`tcp`] | a TCP connection | – |
//! | [`serial`] | a serial port or pseudo-terminal | feature `serial` |
//! | [`memory`] | a pair of queues in this process | – |
//! | [`record`] | another link, and writes down what passes | – |
//! | [`replay`] | a recording, which stands in for the device | – |
//! | [`fault`] | another link, and breaks it as a plan or a seed says | – |

use std::fmt;

use crate::address::LinkKind;
use crate::{Address, BoxFuture, Error, Kind, Result};

pub mod fault;
pub mod memory;
pub mod record;
pub mod replay;
#[cfg(feature = "serial")]
pub mod serial;
pub mod tcp;

/// A two-way connection to one device.
///
/// Both directions work at the same time: `send` may wait for a printer without paper while `recv`
/// hears it say so. Call each from one place at a time.
///
/// **Short.** `send` sends all of `bytes` or fails. `recv` returns as soon as one chunk is there: a
/// socket read, a USB transfer, an HID report, a notification. On stream links a chunk begins and
/// ends anywhere.
/// **Empty.** `recv` never returns an empty chunk; the end of the stream is an error of
/// [`Kind::Closed`]. `send` of nothing does nothing.
/// **Late.** Links have no deadline of their own except for opening and closing; callers wrap calls
/// in `tokio::time::timeout`.
/// **Cancelled.** A dropped `recv` loses nothing. A dropped `send` may have sent any prefix: close
/// the link, unless the protocol can tell how far it came.
pub trait Link: Send + Sync + fmt::Debug {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// [`Kind::Closed`] if the link has ended, [`Kind::Io`] otherwise; any prefix may have arrived.
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>>;

    /// Appends the next chunk to `into` and returns its length, which is never 0.
    ///
    /// # Errors
    /// [`Kind::Closed`] at the end of the stream, [`Kind::Io`] otherwise.
    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>>;

    /// Lets what was sent arrive, then ends the link. Takes at most a few seconds.
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl<L: Link + ?Sized> Link for Box<L> {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        (**self).send(bytes)
    }
    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        (**self).recv(into)
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        (**self).close()
    }
}

/// Opens the link that `address` names.
///
/// # Errors
/// Each names the address and the next step; [`Kind::Unsupported`] says which feature is missing.
pub async fn open(address: &Address) -> Result<Box<dyn Link>> {
    let link: Result<Box<dyn Link>> = match address.link() {
        LinkKind::Tcp { host, port } => tcp::connect(host, *port).await.map(|l| Box::new(l) as _),
        #[cfg(feature = "serial")]
        LinkKind::Serial { path } => {
            serial::Settings::from_address(address).and_then(|s| serial::open(path, &s)).map(|l| Box::new(l) as _)
        }
        #[cfg(not(feature = "serial"))]
        LinkKind::Serial { .. } => Err(missing("serial")),
        other => Err(Error::new(Kind::Unsupported, format!("`{}` is not a link that carries bytes", other.scheme()))),
    };
    link.map_err(|e| e.at(address.label()))
}

#[cfg(not(feature = "serial"))]
fn missing(feature: &str) -> Error {
    Error::new(Kind::Unsupported, format!("this build has no {feature} links"))
        .hint(format!("build with feature `{feature}`"))
}
