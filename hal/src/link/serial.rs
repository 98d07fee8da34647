//! Serial ports: RS-232, USB adapters, CDC devices and, on Unix, pseudo-terminals.
//!
//! Options in an address: `baud` (9600), `data` (8; 5 to 8), `parity` (`none`, `even`, `odd`), `stop` (1; 1 or
//! 2), `flow` (`none`, `hardware`, `software`), `dtr` and `rts` (`on`, `off`; as the system sets them).
//!
//! Unplugging an adapter ends both directions with [`Kind::Closed`]. [`Link::close`] waits until the kernel has passed
//! on all output, as long as there is progress; the kernel waits for the adapter's own buffer when the link is dropped.
//! Dropping without closing discards pending output. A port whose peer accepts nothing is closed in the background and
//! stays busy meanwhile: Linux waits up to 30 s.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio_serial::{
    ClearBuffer, DataBits, FlowControl, Parity, SerialPort, SerialPortBuilderExt, SerialStream, StopBits,
};

use super::duplex::Duplex;
use crate::{Address, BoxFuture, Effect, Error, Kind, Link, Result};

/// The options that [`Settings::from_address`] reads.
pub const OPTIONS: [&str; 7] = super::options::SERIAL;

/// The deadline for opening.
const OPEN: Duration = Duration::from_secs(5);
/// Closing gives up when no byte has left the port for this long…
const DRAIN_STALLED: Duration = Duration::from_secs(1);
/// …or after this long in total. A full kernel buffer of 4 KiB takes 4.3 s at 9600 baud.
const DRAIN_MOST: Duration = Duration::from_secs(5);
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// Line settings, which both ends must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bits per second.
    pub baud: u32,
    /// Data bits per character.
    pub data: DataBits,
    /// Parity bit.
    pub parity: Parity,
    /// Stop bits.
    pub stop: StopBits,
    /// Flow control.
    pub flow: FlowControl,
    /// Data Terminal Ready after opening; `None` leaves it to the system, which usually sets it.
    pub dtr: Option<bool>,
    /// Request To Send after opening; `None` leaves it to the system. Has no effect with hardware flow control.
    pub rts: Option<bool>,
}

impl Default for Settings {
    /// 9600 8N1 without flow control.
    fn default() -> Self {
        Self {
            baud: 9600,
            data: DataBits::Eight,
            parity: Parity::None,
            stop: StopBits::One,
            flow: FlowControl::None,
            dtr: None,
            rts: None,
        }
    }
}

impl Settings {
    /// Reads the options of a serial address; those that it omits are as in [`Settings::default`].
    ///
    /// # Errors
    /// [`Kind::Address`] names the option, its value and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let bad = |name: &str, allowed: &str| address.refuse(name, format_args!("expected {allowed}"));
        let line = |name| match address.option(name) {
            None => Ok(None),
            Some("on") => Ok(Some(true)),
            Some("off") => Ok(Some(false)),
            Some(_) => Err(bad(name, "on, off")),
        };
        Ok(Self {
            baud: match address.option_as("baud") {
                Ok(None) => 9600,
                Ok(Some(baud)) if (50..=4_000_000).contains(&baud) => baud,
                _ => return Err(bad("baud", "50 to 4000000")),
            },
            data: match address.option("data") {
                None | Some("8") => DataBits::Eight,
                Some("7") => DataBits::Seven,
                Some("6") => DataBits::Six,
                Some("5") => DataBits::Five,
                Some(_) => return Err(bad("data", "5, 6, 7, 8")),
            },
            parity: match address.option("parity") {
                None | Some("none") => Parity::None,
                Some("even") => Parity::Even,
                Some("odd") => Parity::Odd,
                Some(_) => return Err(bad("parity", "none, even or odd")),
            },
            stop: match address.option("stop") {
                None | Some("1") => StopBits::One,
                Some("2") => StopBits::Two,
                Some(_) => return Err(bad("stop", "1, 2")),
            },
            flow: match address.option("flow") {
                None | Some("none") => FlowControl::None,
                Some("hardware") => FlowControl::Hardware,
                Some("software") => FlowControl::Software,
                Some(_) => return Err(bad("flow", "none, hardware or software")),
            },
            dtr: line("dtr")?,
            rts: line("rts")?,
        })
    }
}

/// An open serial port, held exclusively.
#[derive(Debug)]
pub struct Serial {
    /// Locked for one system call at a time, which never blocks.
    stream: Arc<Mutex<SerialStream>>,
}

/// The input lines of a port, which its peer drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    /// Clear To Send.
    pub cts: bool,
    /// Data Set Ready: many printers set it when switched on and ready.
    pub dsr: bool,
    /// Data Carrier Detect.
    pub dcd: bool,
    /// Ring Indicator.
    pub ri: bool,
}

/// Opens the port at `path`.
///
/// # Errors
/// Not found, no permission (with the group to join), held by another program, or settings that the
/// port refuses.
pub fn open(path: &str, settings: &Settings) -> Result<Serial> {
    let mut builder = tokio_serial::new(path, settings.baud)
        .data_bits(settings.data)
        .parity(settings.parity)
        .stop_bits(settings.stop)
        .flow_control(settings.flow);
    if let Some(dtr) = settings.dtr {
        builder = builder.dtr_on_open(dtr);
    }
    let serial = builder.open_native_async().map(Serial::new).map_err(|e| explain(e, path))?;
    if let Some(rts) = settings.rts {
        serial.set_rts(rts)?;
    }
    Ok(serial)
}

/// Opens the port on a thread outside the runtime: Linux blocks for up to 30 s while a stuck port is being closed.
///
/// # Errors
/// As [`open`]; [`Kind::Busy`] if it blocks for too long.
pub(super) async fn open_in_time(path: &str, settings: Settings) -> Result<Serial> {
    let owned = path.to_owned();
    let opening = tokio::task::spawn_blocking(move || open(&owned, &settings));
    match tokio::time::timeout(OPEN, opening).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(e)) => Err(Error::new(Kind::Io, "opening the port failed").because(e).with_effect(Effect::None)),
        Err(_) => {
            let what = format!("the port did not open within {} s", OPEN.as_secs());
            Err(Error::new(Kind::Busy, what)
                .hint("it may still be closing, because its device accepted no data; try again"))
        }
    }
}

impl Serial {
    /// Takes over an open stream, such as the near end of a pseudo-terminal.
    pub fn new(stream: SerialStream) -> Self {
        Self { stream: Arc::new(Mutex::new(stream)) }
    }

    /// Sets Data Terminal Ready.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if the port has no such line, as a pseudo-terminal; [`Kind::Closed`] if it is gone.
    pub fn set_dtr(&self, on: bool) -> Result<()> {
        self.port().write_data_terminal_ready(on).map_err(no_line)
    }

    /// Sets Request To Send.
    ///
    /// # Errors
    /// As [`Serial::set_dtr`].
    pub fn set_rts(&self, on: bool) -> Result<()> {
        self.port().write_request_to_send(on).map_err(no_line)
    }

    /// Reads the input lines.
    ///
    /// # Errors
    /// As [`Serial::set_dtr`].
    pub fn lines(&self) -> Result<Lines> {
        let mut port = self.port();
        Ok(Lines {
            cts: port.read_clear_to_send().map_err(no_line)?,
            dsr: port.read_data_set_ready().map_err(no_line)?,
            dcd: port.read_carrier_detect().map_err(no_line)?,
            ri: port.read_ring_indicator().map_err(no_line)?,
        })
    }

    fn port(&self) -> MutexGuard<'_, SerialStream> {
        self.stream.lock().expect("no holder of this lock panics")
    }

    /// Bytes in the kernel's output buffer.
    fn unsent(&self) -> u32 {
        self.port().bytes_to_write().unwrap_or_default()
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        if self.unsent() == 0 {
            return;
        }
        self.port().clear(ClearBuffer::Output).ok();
        if self.unsent() == 0 {
            return;
        }
        // Some drivers (cdc_acm) wait up to 30 s for pending output when closing (closing_wait), so close on a thread.
        let stream = self.stream.clone();
        let closing = std::thread::Builder::new().name("serial closing".into()).spawn(move || {
            while Arc::strong_count(&stream) > 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(stream);
        });
        if let Err(error) = closing {
            tracing::debug!(%error, "cannot start a thread to close the port");
        }
    }
}

impl Link for Serial {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Duplex(&self.stream).write_all(bytes).await.map_err(lost) })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(Duplex(&self.stream).recv(into, unplugged, lost))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Not tcdrain: it has no deadline, and meanwhile the port cannot be opened again. In real time, even if a
            // test has paused tokio's clock.
            let begun = std::time::Instant::now();
            let (mut left, mut moved) = (self.unsent(), begun);
            while left > 0 {
                tokio::time::sleep(DRAIN_LOOK).await;
                let (unsent, now) = (self.unsent(), std::time::Instant::now());
                if unsent < left {
                    (left, moved) = (unsent, now);
                }
                if now - moved >= DRAIN_STALLED || now - begun >= DRAIN_MOST {
                    tracing::debug!(unsent, "the port accepts no more data; discarded the rest");
                    self.port().clear(ClearBuffer::Output).ok();
                    return;
                }
            }
        })
    }
}

fn unplugged() -> Error {
    Error::new(Kind::Closed, "the port was unplugged")
}

/// The errors of Linux when the adapter, or a pseudo-terminal's other end, is gone: EIO and ENXIO from the
/// terminal layer, ENODEV, EPROTO and ESHUTDOWN from USB adapters being unplugged.
fn lost(error: io::Error) -> Error {
    #[cfg(unix)]
    const GONE: [i32; 5] = [libc::EIO, libc::ENXIO, libc::ENODEV, libc::EPROTO, libc::ESHUTDOWN];
    // ERROR_ACCESS_DENIED, ERROR_BAD_COMMAND, ERROR_OPERATION_ABORTED, ERROR_DEVICE_REMOVED.
    #[cfg(not(unix))]
    const GONE: [i32; 4] = [5, 22, 995, 1617];
    match error.raw_os_error() {
        Some(code) if GONE.contains(&code) => unplugged().because(error),
        _ => error.into(),
    }
}

fn no_line(error: tokio_serial::Error) -> Error {
    match error.kind() {
        tokio_serial::ErrorKind::NoDevice => unplugged(),
        _ => Error::new(Kind::Unsupported, "the port has no such control line, or is gone").because(error),
    }
}

fn explain(error: tokio_serial::Error, path: &str) -> Error {
    let error = match error.kind() {
        tokio_serial::ErrorKind::Io(kind) => Error::from(io::Error::new(kind, error)),
        // How the crate reports EBUSY and a port that another program has locked.
        tokio_serial::ErrorKind::NoDevice if std::path::Path::new(path).exists() => {
            Error::new(Kind::Busy, "in use").because(error)
        }
        tokio_serial::ErrorKind::NoDevice => Error::new(Kind::NotFound, "no such serial port").because(error),
        _ => Error::new(Kind::Io, "cannot be set up as a serial port").because(error),
    };
    let hint = match error.kind() {
        Kind::Permission => format!(
            "add the user to the group that owns {path} (on Debian: `sudo usermod -aG dialout $USER`), then log in again"
        ),
        Kind::Busy => format!("another program holds it; `fuser -v {path}` names it"),
        Kind::NotFound => "is it plugged in? `tresen list` shows the ports".to_owned(),
        _ => "is it a serial port, and does it support these line settings?".to_owned(),
    };
    error.with_effect(Effect::None).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_line_settings() {
        let address: Address =
            "escpos+serial:///dev/x?baud=38400&data=7&parity=even&stop=2&flow=hardware&dtr=off&rts=on"
                .parse()
                .expect("address");
        let settings = Settings::from_address(&address).expect("settings");
        assert_eq!(
            settings,
            Settings {
                baud: 38400,
                data: DataBits::Seven,
                parity: Parity::Even,
                stop: StopBits::Two,
                flow: FlowControl::Hardware,
                dtr: Some(false),
                rts: Some(true)
            }
        );
        for query in ["baud=fast", "baud=0", "data=9", "parity=mark", "stop=3", "flow=xon", "dtr=1", "rts=yes"] {
            let address: Address = format!("escpos+serial:///dev/x?{query}").parse().expect("address");
            let error = Settings::from_address(&address).expect_err(query).to_string();
            assert!(error.contains(query) && error.contains("expected"), "{error}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn carries_bytes_over_a_pty_and_sees_it_go() {
        let (far, near) = SerialStream::pair().expect("a pseudo-terminal");
        let (far, near) = (Serial::new(far), Serial::new(near));
        far.send(b"4006381333931\r").await.expect("open");
        let mut got = Vec::new();
        while got.len() < 14 {
            near.recv(&mut got).await.expect("open");
        }
        assert_eq!(got, b"4006381333931\r");
        drop(far);
        assert_eq!(near.recv(&mut got).await.expect_err("unplugged").kind(), Kind::Closed);
        assert_eq!(near.send(b"x").await.expect_err("unplugged").kind(), Kind::Closed);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_waiting_receiver_and_a_waiting_sender_see_it_go() {
        let (far, near) = SerialStream::pair().expect("a pseudo-terminal");
        let near = Serial::new(near);
        let flood = vec![b'x'; 1 << 20];
        let mut got = Vec::new();
        let both = async { tokio::join!(near.send(&flood), near.recv(&mut got)) };
        let mut both = std::pin::pin!(both);
        // Let both block: the far end's buffer holds a few kilobytes.
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut both).await.is_err(), "both wait");
        drop(far);
        let (sent, received) = tokio::time::timeout(Duration::from_secs(5), both).await.expect("both end");
        assert_eq!(sent.expect_err("unplugged").kind(), Kind::Closed);
        assert_eq!(received.expect_err("unplugged").kind(), Kind::Closed);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn close_keeps_what_was_sent() {
        let (far, near) = SerialStream::pair().expect("a pseudo-terminal");
        let (far, near) = (Serial::new(far), Serial::new(near));
        near.send(b"the tail").await.expect("open");
        near.close().await;
        drop(near);
        let mut got = Vec::new();
        while got.len() < 8 {
            far.recv(&mut got).await.expect("what was sent before the end");
        }
        assert_eq!(got, b"the tail");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn says_that_a_pseudo_terminal_has_no_control_lines() {
        let (_far, near) = SerialStream::pair().expect("a pseudo-terminal");
        let near = Serial::new(near);
        assert_eq!(near.lines().expect_err("none").kind(), Kind::Unsupported);
        assert_eq!(near.set_rts(true).expect_err("none").kind(), Kind::Unsupported);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_second_opener_learns_that_it_is_in_use() {
        let (_far, near) = SerialStream::pair().expect("a pseudo-terminal");
        let path = near.name().expect("a name");
        drop(near);
        let _held = open(&path, &Settings::default()).expect("opens");
        let error = open(&path, &Settings::default()).expect_err("held");
        assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None));
        assert!(error.to_string().contains(&path), "{error}");
    }

    #[tokio::test]
    async fn names_the_missing_port() {
        let error = open("/dev/tty-no-such-port", &Settings::default()).expect_err("missing");
        assert_eq!((error.kind(), error.effect()), (Kind::NotFound, Effect::None));
        assert!(error.to_string().contains("plugged in"), "{error}");
    }
}
