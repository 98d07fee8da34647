//! Bluetooth serial port (SPP): an RFCOMM connection over the kernel's sockets. A device that is paired, or needs no
//! pairing, does not need bluetoothd.
//!
//! Options in an address: `channel` (1 to 30; by default found by SDP), `adapter` (the
//! Bluetooth address of the local adapter to use, as `bluetoothctl list` shows it).
//!
//! **Permissions.** None. A container or sandbox may forbid Bluetooth
//! sockets.
//!
//! **Closing.** Bytes that are still queued when the socket is closed are lost: [`Link::close`] waits for the kernel's
//! queue to drain, as long as there is progress.
//!
//! **Pairing.** The kernel pairs with a device that needs no code when it requests that. For a device that needs a
//! code, run `bluetoothctl pair AA:BB:CC:DD:EE:FF` once.
//!
//! **Disconnection.** When the device disconnects, `recv` and a pending `send` fail with [`Kind::Closed`] within
//! milliseconds. Loss of power is detected after the supervision timeout, 20 s unless the system sets another (Core
//! 5.4, Vol 4, Part E, 6.21).
//!
//! **Kernels to avoid.** Debian's 6.1.0-56 (6.1.192-2) panics in `hci_chan_del` whenever a connection attempt
//! fails, also with BlueZ's own `l2ping`. 6.1.0-50 (6.1.176-1) and 6.12 do not. Observed with virtual controllers
//! (btvirt); not tested with real ones.
//!
//! Left out: pairing with a code.

mod sdp;

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use bluer::rfcomm::{self, Stream};
use bluer::{AddressType, l2cap};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::duplex::Duplex;
use crate::{Address, BoxFuture, Effect, Error, Kind, Link, Result, Retry};

/// The options that [`open`] reads.
pub const OPTIONS: [&str; 2] = super::options::SPP;

/// The deadline for connecting, and for finding the channel. Paging a device takes up to 5.12 s, and as long again for
/// the retry.
const CONNECT: Duration = Duration::from_secs(12);
/// Closing gives up when no byte has left the queue for this long…
const DRAIN_STALLED: Duration = Duration::from_secs(2);
/// …or after this long in total.
const DRAIN_MOST: Duration = Duration::from_secs(10);
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// Time for bytes that have left RFCOMM's queue for L2CAP's, whose state is unknown.
const SETTLE: Duration = Duration::from_millis(200);
/// The deadline for the device to close its side.
const GOODBYE: Duration = Duration::from_secs(2);

/// An open RFCOMM connection.
#[derive(Debug)]
pub struct Spp {
    /// Locked for one system call at a time, which never blocks.
    stream: Mutex<Stream>,
    /// The kernel's value for an empty queue. Some kernels report the queued bytes, others the free space.
    idle: Option<u32>,
    /// Set by the direction that sees the end first. The kernel reports EOF to only one direction; the other
    /// gets EAGAIN.
    gone: watch::Sender<bool>,
}

/// The options of an address.
struct Settings {
    adapter: bluer::Address,
    channel: Option<u8>,
}

impl Settings {
    fn from_address(address: &Address) -> Result<Self> {
        let adapter = match address.option("adapter") {
            None => bluer::Address::any(),
            Some(text) => text.parse().map_err(|_| address.refuse("adapter", "expected AA:BB:CC:DD:EE:FF"))?,
        };
        let channel = match address.option_as("channel")? {
            Some(channel) if !(1..=30).contains(&channel) => {
                return Err(address.refuse("channel", "expected 1 to 30"));
            }
            channel => channel,
        };
        Ok(Self { adapter, channel })
    }
}

/// Checks the options of an address.
pub(super) fn check(address: &Address) -> Result<()> {
    Settings::from_address(address).map(drop)
}

/// Connects to the serial port of `device` with the options of `address`.
///
/// # Errors
/// [`Kind::NotFound`] without adapter or device; [`Kind::Permission`] if it requires pairing;
/// [`Kind::Refused`] or [`Kind::Unsupported`] if it has no serial port. Each with the next step.
pub async fn open(address: &Address, device: &str) -> Result<Spp> {
    let peer: bluer::Address =
        device.parse().map_err(|_| Error::new(Kind::Address, format!("invalid Bluetooth address `{device}`")))?;
    let Settings { adapter, channel } = Settings::from_address(address)?;
    let channel = match channel {
        Some(channel) => channel,
        None => lookup(adapter, peer).await.map_err(|e| e.with_effect(Effect::None))?,
    };
    tracing::debug!(%peer, channel, "connecting");
    let connecting = async {
        let socket = rfcomm::Socket::new()?;
        socket.bind(rfcomm::SocketAddr::new(adapter, 0))?;
        socket.connect(rfcomm::SocketAddr::new(peer, channel)).await
    };
    within(peer, connecting).await.map(Spp::new).map_err(|e| e.with_effect(Effect::None))
}

/// Asks the device for the channel of its first serial port service.
async fn lookup(adapter: bluer::Address, peer: bluer::Address) -> Result<u8> {
    let at = |address, psm| l2cap::SocketAddr::new(address, AddressType::BrEdr, psm);
    let socket = within(peer, async {
        let socket = l2cap::Socket::new_seq_packet()?;
        socket.bind(at(adapter, 0))?;
        socket.connect(at(peer, sdp::PSM)).await
    })
    .await?;
    let mut lookup = sdp::Lookup::default();
    let channels = tokio::time::timeout(CONNECT, async {
        // The default MTU of L2CAP is 672 bytes; we allow attributes of 512 per packet.
        let mut packet = [0; 1024];
        loop {
            socket.send(&lookup.request()).await.map_err(|e| explain(e, peer))?;
            let n = socket.recv(&mut packet).await.map_err(|e| explain(e, peer))?;
            if let Some(channels) = lookup.answer(&packet[..n])? {
                return Ok::<_, Error>(channels);
            }
        }
    });
    let channels = channels.await.map_err(|_| late())?.map_err(|e| e.hint(TRY_CHANNEL))?;
    channels
        .first()
        .copied()
        .ok_or_else(|| Error::new(Kind::Unsupported, "the device offers no serial port").hint(TRY_CHANNEL))
}

const TRY_CHANNEL: &str = "if it has one nevertheless, try the option `channel=1`";

async fn within<T>(peer: bluer::Address, connecting: impl Future<Output = io::Result<T>>) -> Result<T> {
    tokio::time::timeout(CONNECT, connecting).await.map_err(|_| late())?.map_err(|e| explain(e, peer))
}

fn late() -> Error {
    Error::new(Kind::NotFound, format!("no answer within {} s", CONNECT.as_secs())).hint(NEAR)
}

const NEAR: &str = "is it switched on, near, and not connected to a phone or another till?";

/// Converts the kernel's error of a connection attempt (Linux, `net/bluetooth`).
fn explain(error: io::Error, peer: bluer::Address) -> Error {
    let new = |kind, what: &str, step: &str| Error::new(kind, what).hint(step);
    let explained = match error.raw_os_error() {
        Some(libc::EHOSTDOWN | libc::ETIMEDOUT) => new(Kind::NotFound, "the device does not answer", NEAR),
        Some(libc::EHOSTUNREACH | libc::ENETDOWN | libc::ENODEV | libc::EADDRNOTAVAIL) => new(
            Kind::NotFound,
            "there is no such Bluetooth adapter, or it is switched off",
            "`rfkill unblock bluetooth`, then `bluetoothctl power on`; `bluetoothctl list` shows the adapters",
        )
        .with_retry(Retry::AfterOperator),
        Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT) => new(
            Kind::Unsupported,
            "this system has no Bluetooth sockets",
            "`sudo modprobe rfcomm`; in a container they must be allowed",
        ),
        Some(libc::ECONNREFUSED) => new(
            Kind::Refused,
            "the device has no service on that channel",
            "remove the option `channel`, or try another",
        ),
        Some(libc::ECONNRESET | libc::ECONNABORTED | libc::ENOTCONN | libc::EPIPE) => {
            new(Kind::Refused, "the device aborted the connection attempt", NEAR)
        }
        Some(libc::EACCES | libc::EPERM | libc::EKEYREJECTED | libc::EBADE) => {
            let step = format!(
                "pair it: `bluetoothctl pair {peer}`; if it was paired: `bluetoothctl remove {peer}`, and have the \
                 device forget its pairings, too"
            );
            new(Kind::Permission, "the device requires pairing", &step)
        }
        Some(libc::EBUSY) => new(Kind::Busy, "another program is connected to it", "close that one first"),
        _ => return Error::from(error).hint(NEAR),
    };
    explained.because(error)
}

/// Converts an error of an open connection.
fn lost(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(
            libc::ECONNRESET
            | libc::ECONNABORTED
            | libc::ETIMEDOUT
            | libc::EHOSTDOWN
            | libc::EHOSTUNREACH
            | libc::ENETDOWN
            | libc::ENOTCONN
            | libc::EPIPE
            | libc::EBADFD
            | libc::EIO,
        ) => closed().because(error),
        _ => error.into(),
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the device disconnected").hint("is it switched on and near?")
}

impl Spp {
    /// Takes over a connection to which nothing has been written yet.
    pub fn new(stream: Stream) -> Self {
        let idle = stream.as_ref().output_buffer().ok();
        Self { stream: Mutex::new(stream), idle, gone: watch::Sender::new(false) }
    }

    fn queue(&self) -> Option<u32> {
        self.stream.lock().expect("no holder of this lock panics").as_ref().output_buffer().ok()
    }

    /// Converts an error, and ends both directions if the connection is lost.
    fn ended(&self, error: io::Error) -> Error {
        let error = lost(error);
        if error.kind() == Kind::Closed {
            self.gone.send_replace(true);
        }
        error
    }

    /// Outside tokio's cooperative budget, which the wait that this interrupts would use up.
    async fn until_gone(&self) {
        let mut gone = self.gone.subscribe();
        tokio::task::unconstrained(gone.wait_for(|gone| *gone)).await.ok();
    }

    /// Waits for the kernel's queue to drain.
    async fn drain(&self) {
        let begun = tokio::time::Instant::now();
        let (mut last, mut moved) = (self.queue(), begun);
        while last.is_some() && last != self.idle {
            tokio::time::sleep(DRAIN_LOOK).await;
            let (now, queue) = (tokio::time::Instant::now(), self.queue());
            if queue != last {
                (last, moved) = (queue, now);
            }
            if now - moved >= DRAIN_STALLED || now - begun >= DRAIN_MOST {
                tracing::debug!("the device accepts no more data; discarded the rest");
                return;
            }
        }
        tokio::time::sleep(SETTLE).await;
    }
}

impl Link for Spp {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut stream = Duplex(&self.stream);
            tokio::select! {
                biased;
                sent = stream.write_all(bytes) => sent.map_err(|e| self.ended(e)),
                () = self.until_gone() => Err(closed()),
            }
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                // Data from before the end can still be received.
                received = Duplex(&self.stream).recv(into, closed, |e| self.ended(e)) => received,
                () = self.until_gone() => Err(closed()),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if *self.gone.borrow() {
                return;
            }
            self.drain().await;
            let goodbye = async {
                let mut rest = Vec::new();
                if Duplex(&self.stream).shutdown().await.is_ok() {
                    while self.recv(&mut rest).await.is_ok() {
                        rest.clear();
                    }
                }
            };
            tokio::time::timeout(GOODBYE, goodbye).await.ok();
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(query: &str) -> Error {
        let address: Address = format!("star+spp://02:00:00:00:00:01?{query}").parse().expect("address");
        crate::link::open(&address).await.expect_err("no such device")
    }

    #[tokio::test]
    async fn reads_its_options() {
        for query in ["channel=0", "channel=31", "channel=x", "adapter=hci0"] {
            let error = open(query).await;
            assert!(error.kind() == Kind::Address && error.to_string().contains(query), "{error}");
        }
    }

    #[tokio::test]
    async fn without_bluetooth_it_says_what_to_do() {
        for query in ["", "channel=1"] {
            let error = open(query).await;
            assert_eq!(error.effect(), Effect::None);
            assert!(error.next_step().is_some() && error.to_string().contains("02:00:00:00:00:01"), "{error}");
        }
    }

    #[test]
    fn names_the_next_step_for_what_the_kernel_says() {
        let peer = "02:00:00:00:00:01".parse().expect("an address");
        for (code, kind, step) in [
            (libc::EHOSTDOWN, Kind::NotFound, "switched on"),
            (libc::ETIMEDOUT, Kind::NotFound, "switched on"),
            (libc::EHOSTUNREACH, Kind::NotFound, "power on"),
            (libc::EAFNOSUPPORT, Kind::Unsupported, "modprobe rfcomm"),
            (libc::ECONNREFUSED, Kind::Refused, "channel"),
            (libc::ENOTCONN, Kind::Refused, "another till"),
            (libc::EACCES, Kind::Permission, "bluetoothctl pair 02:00:00:00:00:01"),
            (libc::EBUSY, Kind::Busy, "close"),
        ] {
            let error = explain(io::Error::from_raw_os_error(code), peer);
            assert_eq!(error.kind(), kind);
            assert!(error.next_step().expect("a step").contains(step), "{error}");
        }
        for code in [libc::ECONNRESET, libc::ETIMEDOUT, libc::EPIPE, libc::ENOTCONN] {
            assert_eq!(lost(io::Error::from_raw_os_error(code)).kind(), Kind::Closed);
        }
    }
}
