//! TCP: network printers, terminals, other people's simulators.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::{BoxFuture, Error, Kind, Link, Result};

/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long [`Link::close`] waits for the peer to take the rest.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const CHUNK: usize = 16 * 1024;

/// An open TCP connection.
#[derive(Debug)]
pub struct Tcp {
    stream: TcpStream,
}

/// Connects within [`CONNECT_TIMEOUT`].
///
/// # Errors
/// Refused, not reachable, not resolved or too late; each with the next step.
pub async fn connect(host: &str, port: u16) -> Result<Tcp> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port)))
        .await
        .map_err(|_| {
            Error::new(Kind::NotFound, format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))
                .hint("is it switched on and on this network?")
        })?
        .map_err(|e| {
            let refused = e.kind() == io::ErrorKind::ConnectionRefused;
            Error::from(e).with_effect(crate::Effect::None).hint(if refused {
                "the host is there, but nothing listens on that port: check the port and the device's network settings"
            } else {
                "check the host name, the cable and that it is switched on"
            })
        })?;
    Tcp::new(stream)
}

impl Tcp {
    /// Takes over a connected stream: no delay, keep-alive after 10 s of silence.
    ///
    /// # Errors
    /// The socket is already dead.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        let alive = TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5));
        SockRef::from(&stream).set_tcp_keepalive(&alive)?;
        Ok(Self { stream })
    }
}

impl Link for Tcp {
    fn send<'a>(&'a self, mut bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while !bytes.is_empty() {
                match self.stream.try_write(bytes) {
                    Ok(n) => bytes = &bytes[n..],
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                    Err(e) => return Err(e.into()),
                }
            }
            Ok(())
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            loop {
                into.reserve(CHUNK);
                match self.stream.try_read_buf(into) {
                    Ok(0) => return Err(Error::new(Kind::Closed, "the device closed the connection")),
                    Ok(n) => return Ok(n),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.stream.readable().await?,
                    Err(e) => return Err(e.into()),
                }
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write).is_err() {
                return;
            }
            // Closing with unread input makes the kernel reset the connection, which can discard
            // what the device has not read yet: so read until it closes its side.
            let mut rest = Vec::new();
            let drained = async {
                while self.recv(&mut rest).await.is_ok() {
                    rest.clear();
                }
            };
            tokio::time::timeout(CLOSE_TIMEOUT, drained).await.ok();
        })
    }
}
