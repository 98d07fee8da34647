//! TCP: network printers, terminals, simulators.
//!
//! Options in an address: `connect-timeout` (seconds, 5; 0.1 to 60) and, with feature `tls`, those of
//! `tls`: `tls` (`true`, `false`), `ca`, `fingerprint`, `certificate`. A `tls` or `https` address has TLS always.
//!
//! **Stalls.** A printer without paper keeps the connection open and accepts no bytes: `send` then waits for as long as
//! that lasts. Callers that do not want to wait use `tokio::time::timeout`. A device that vanishes silently is detected
//! after [`ALIVE_IDLE`] + 3 × [`ALIVE_PROBE`] if the connection is idle; with unacknowledged bytes, only when the
//! kernel gives up retransmitting (Linux: about 15 minutes). `TCP_USER_TIMEOUT` would shorten that, but would also cut
//! off the printer without paper, so it is not set: a driver asks the device for its status instead, with a deadline.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

use super::connect::{Incoming, Listen};
use crate::address::LinkKind;
use crate::{Address, BoxFuture, Effect, Error, Kind, Link, Result};

/// The default deadline for connecting.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The idle time after which the kernel probes the peer.
pub const ALIVE_IDLE: Duration = Duration::from_secs(10);
/// The time between two probes; the third without answer ends the link.
pub const ALIVE_PROBE: Duration = Duration::from_secs(5);
/// How long [`Link::close`] waits for the peer to read the rest.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const CHUNK: usize = 16 * 1024;

/// The options that a TCP address may have, on any protocol.
pub const OPTIONS: [&str; 5] = super::options::TCP;

/// An open TCP connection.
#[derive(Debug)]
pub struct Tcp {
    stream: TcpStream,
}

/// The options of an address.
struct Settings {
    within: Duration,
    #[cfg(feature = "tls")]
    tls: Option<super::tls::Source>,
}

impl Settings {
    fn from_address(address: &Address) -> Result<Self> {
        let within = match address.option_as::<f64>("connect-timeout")? {
            None => CONNECT_TIMEOUT,
            Some(seconds) if (0.1..=60.0).contains(&seconds) => Duration::from_secs_f64(seconds),
            Some(_) => return Err(address.refuse("connect-timeout", "expected 0.1 to 60 seconds")),
        };
        let tls = match address.option("tls") {
            _ if matches!(address.link(), LinkKind::Https { .. } | LinkKind::Tls { .. }) => true,
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(address.refuse("tls", "expected true or false")),
        };
        if tls && cfg!(not(feature = "tls")) {
            return Err(super::missing("tls").with_option("tls").at(address.label()));
        }
        if !tls
            && let Some(name) =
                ["ca", "fingerprint", "certificate"].into_iter().find(|name| address.option(name).is_some())
        {
            let what = format!("option `{name}` has no effect without `tls=true`");
            return Err(Error::new(Kind::Address, what).with_option(name).at(address.label()).hint("add `tls=true`"));
        }
        Ok(Self {
            within,
            #[cfg(feature = "tls")]
            tls: tls.then(|| super::tls::Source::from_address(address)).transpose()?,
        })
    }
}

/// Checks the options of a TCP address, and the certificate file that they may name.
pub(super) fn check(address: &Address) -> Result<()> {
    let settings = Settings::from_address(address)?;
    #[cfg(feature = "tls")]
    if let Some(tls) = settings.tls {
        tls.read().map_err(|e| e.at(address.label()))?;
    }
    #[cfg(not(feature = "tls"))]
    let _ = settings;
    Ok(())
}

/// The address has no port, and nobody filled in the default of its protocol.
pub(super) fn no_port(address: &Address) -> Error {
    let what = format!("the port is missing; `{}` has no default", address.protocol());
    Error::new(Kind::Address, what).hint("write HOST:PORT")
}

/// Connects with the options of `address`, including TLS.
///
/// # Errors
/// As [`connect`]; [`Kind::Address`] for an invalid option; [`Kind::Unsupported`] for TLS
/// in a build without it; [`Kind::Refused`] for a certificate that is not trusted.
pub(super) async fn open(address: &Address, host: &str, port: u16) -> Result<Box<dyn Link>> {
    let settings = Settings::from_address(address)?;
    #[cfg(feature = "tls")]
    if let Some(source) = settings.tls {
        // The certificate file is read for each connection, so that it can be replaced.
        let trust = super::blocking(move || source.read()).await?;
        return Ok(Box::new(super::tls::connect(host, port, settings.within, trust).await?));
    }
    Ok(Box::new(connect_within(host, port, settings.within).await?))
}

/// Connects within [`CONNECT_TIMEOUT`].
///
/// # Errors
/// Refused, unreachable, not resolved or timed out; each with the next step.
pub async fn connect(host: &str, port: u16) -> Result<Tcp> {
    connect_within(host, port, CONNECT_TIMEOUT).await
}

/// Connects within `limit`, which includes resolving the name.
///
/// # Errors
/// As [`connect`].
pub async fn connect_within(host: &str, port: u16, limit: Duration) -> Result<Tcp> {
    Tcp::new(stream(host, port, limit).await?)
}

pub(super) async fn stream(host: &str, port: u16, limit: Duration) -> Result<TcpStream> {
    tokio::time::timeout(limit, TcpStream::connect((host, port)))
        .await
        .map_err(|_| {
            Error::new(Kind::NotFound, format!("no answer within {} s", limit.as_secs_f32()))
                .hint("is it switched on and on this network?")
        })?
        .map_err(|e| {
            let refused = e.kind() == io::ErrorKind::ConnectionRefused;
            Error::from(e).with_effect(Effect::None).hint(if refused {
                "the host is up, but nothing listens on that port: check the port and the device's network settings"
            } else {
                "check the host name, the cable and that it is switched on"
            })
        })
}

/// No delay, and keep-alive after [`ALIVE_IDLE`] of silence.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let alive = TcpKeepalive::new().with_time(ALIVE_IDLE).with_interval(ALIVE_PROBE);
    #[cfg(any(target_os = "linux", target_os = "macos", target_os = "windows"))]
    let alive = alive.with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&alive)
}

/// A fault of an open connection. Those that the network or keep-alive report have ended it.
pub(super) fn lost(error: io::Error) -> Error {
    use io::ErrorKind as K;
    match error.kind() {
        K::TimedOut | K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown => {
            Error::new(Kind::Closed, "the device no longer answers").because(error)
        }
        _ => error.into(),
    }
}

impl Tcp {
    /// Takes over a connected stream: no delay, keep-alive after [`ALIVE_IDLE`] of silence.
    ///
    /// # Errors
    /// The socket is already dead.
    pub fn new(stream: TcpStream) -> Result<Self> {
        prepare(&stream)?;
        Ok(Self { stream })
    }
}

/// Listens at `HOST:PORT`, for devices that connect to the host. Port 0 takes a free one.
///
/// # Errors
/// [`Kind::Busy`]: another program listens there. Each error names the place and the next step.
pub async fn listen(at: &str) -> Result<TcpListener> {
    TcpListener::bind(at).await.map_err(|e| {
        let taken = e.kind() == io::ErrorKind::AddrInUse;
        Error::from(e).with_effect(Effect::None).at(at).hint(if taken {
            "another program listens there: choose another port, also at the device"
        } else {
            "write HOST:PORT with an address of this computer, such as 0.0.0.0:20007"
        })
    })
}

impl Listen for TcpListener {
    fn accept(&self) -> BoxFuture<'_, Result<Incoming>> {
        Box::pin(async move {
            let (stream, from) = TcpListener::accept(self).await?;
            Ok(Incoming { link: Box::new(Tcp::new(stream)?), from: Some(from.ip()) })
        })
    }
}

impl Link for Tcp {
    fn send<'a>(&'a self, mut bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while !bytes.is_empty() {
                match self.stream.try_write(bytes) {
                    Ok(n) => bytes = &bytes[n..],
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await.map_err(lost)?,
                    Err(e) => return Err(lost(e)),
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
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.stream.readable().await.map_err(lost)?,
                    Err(e) => return Err(lost(e)),
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
            // what the device has not read yet. So read until it closes its side.
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn open(query: &str) -> Result<Box<dyn Link>> {
        // Port 1 of this host: nothing listens there.
        let address: Address = format!("escpos+tcp://127.0.0.1:1?{query}").parse().expect("address");
        crate::link::open(&address).await
    }

    #[tokio::test]
    async fn reads_its_options() {
        for (query, kind, says) in [
            ("connect-timeout=2.5", Kind::Refused, "nothing listens"),
            ("tls=false", Kind::Refused, "nothing listens"),
            ("connect-timeout=0", Kind::Address, "0.1 to 60"),
            ("connect-timeout=NaN", Kind::Address, "0.1 to 60"),
            ("connect-timeout=soon", Kind::Address, "connect-timeout=soon"),
            ("tls=yes", Kind::Address, "tls=yes"),
            ("tls=1", Kind::Address, "expected true or false"),
            ("fingerprint=aa", Kind::Address, "add `tls=true`"),
            #[cfg(not(feature = "tls"))]
            ("tls=true", Kind::Unsupported, "feature `tls`"),
        ] {
            let error = open(query).await.expect_err(query);
            assert_eq!(error.kind(), kind, "{query}: {error}");
            assert!(error.to_string().contains(says), "{query}: {error}");
            assert_eq!(error.effect(), Effect::None, "{query}");
        }
    }

    #[tokio::test]
    async fn gives_up_connecting_at_its_deadline() {
        // A listener with a full queue does not answer connection attempts (Linux drops the SYN).
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener = socket.listen(0).expect("listens");
        let port = listener.local_addr().expect("an address").port();
        let mut held = Vec::new();
        let error = loop {
            match connect_within("127.0.0.1", port, Duration::from_millis(200)).await {
                Ok(link) => held.push(link),
                Err(error) => break error,
            }
            assert!(held.len() < 1000, "the queue never fills");
        };
        assert_eq!((error.kind(), error.effect()), (Kind::NotFound, Effect::None));
        assert!(error.to_string().contains("no answer within 0.2 s"), "{error}");
    }

    #[tokio::test]
    async fn close_lets_everything_arrive() {
        use tokio::io::AsyncReadExt;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (link, peer) = tokio::join!(connect("127.0.0.1", port), listener.accept());
        let (link, (mut peer, _)) = (link.expect("connects"), peer.expect("accepted"));
        // The peer's status, left unread: closing at once would reset the connection.
        peer.try_write(b"status").expect("room");
        let job = vec![0x55; 200_000];
        let sender = async {
            link.send(&job).await.expect("open");
            link.close().await;
            drop(link);
        };
        let receiver = async {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).await.expect("no reset");
            drop(peer);
            got.len()
        };
        let ((), got) = tokio::join!(sender, receiver);
        assert_eq!(got, 200_000);
    }

    #[test]
    fn a_silent_peer_is_a_closed_link() {
        assert_eq!(lost(io::ErrorKind::TimedOut.into()).kind(), Kind::Closed);
        assert_eq!(lost(io::ErrorKind::ConnectionReset.into()).kind(), Kind::Closed);
        assert_eq!(lost(io::ErrorKind::OutOfMemory.into()).kind(), Kind::Io);
    }
}
