//! Serial ports: RS-232, USB adapters, CDC devices and, on Unix, pseudo-terminals.
//!
//! Options in an address: `baud` (9600), `data` (8; 5 to 8), `parity` (`none`, `even`, `odd`), `stop` (1; 1 or
//! 2), `flow` (`none`, `hardware`, `software`).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Mutex;
use tokio_serial::{DataBits, FlowControl, Parity, SerialPortBuilderExt, SerialStream, StopBits};

use crate::{Address, BoxFuture, Effect, Error, Kind, Link, Result};

/// The options that [`Settings::from_address`] reads.
pub const OPTIONS: [&str; 5] = ["baud", "data", "parity", "stop", "flow"];

/// Line settings, as both ends must have them.
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
}

impl Default for Settings {
    /// 9600 8N1 without flow control.
    fn default() -> Self {
        Self { baud: 9600, data: DataBits::Eight, parity: Parity::None, stop: StopBits::One, flow: FlowControl::None }
    }
}

impl Settings {
    /// Reads the options of a serial address; what it does not say is as in [`Settings::default`].
    ///
    /// # Errors
    /// [`Kind::Address`] names the option, its value and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let bad = |name: &str, allowed: &str| {
            let value = address.option(name).unwrap_or_default();
            Error::new(Kind::Address, format!("option `{name}={value}`: allowed are {allowed}")).at(address.label())
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
                Some(_) => return Err(bad("parity", "none, even, odd")),
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
                Some(_) => return Err(bad("flow", "none, hardware, software")),
            },
        })
    }
}

/// An open serial port, held exclusively.
#[derive(Debug)]
pub struct Serial {
    rx: Mutex<ReadHalf<SerialStream>>,
    tx: Mutex<WriteHalf<SerialStream>>,
}

/// Opens the port at `path`.
///
/// # Errors
/// Not found, no permission (with the group to join), held by another program, or settings that the
/// port refuses.
pub fn open(path: &str, settings: &Settings) -> Result<Serial> {
    let opened = tokio_serial::new(path, settings.baud)
        .data_bits(settings.data)
        .parity(settings.parity)
        .stop_bits(settings.stop)
        .flow_control(settings.flow)
        .open_native_async();
    match opened {
        Ok(stream) => Ok(Serial::new(stream)),
        Err(e) => Err(explain(e, path)),
    }
}

impl Serial {
    /// Takes over an open stream, such as the near end of a pseudo-terminal.
    pub fn new(stream: SerialStream) -> Self {
        let (rx, tx) = tokio::io::split(stream);
        Self { rx: Mutex::new(rx), tx: Mutex::new(tx) }
    }
}

impl Link for Serial {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(self.tx.lock().await.write_all(bytes).await?) })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            into.reserve(4096);
            match self.rx.lock().await.read_buf(into).await {
                Ok(0) => Err(Error::new(Kind::Closed, "the port was unplugged")),
                Ok(n) => Ok(n),
                // What Linux answers when the adapter or the pseudo-terminal's other end is gone.
                Err(e) if e.raw_os_error() == Some(5) => {
                    Err(Error::new(Kind::Closed, "the port was unplugged").because(e))
                }
                Err(e) => Err(e.into()),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // tcdrain can wait for ever on a port whose peer holds flow control.
            let drain = async { self.tx.lock().await.flush().await.ok() };
            tokio::time::timeout(std::time::Duration::from_secs(2), drain).await.ok();
        })
    }
}

fn explain(error: tokio_serial::Error, path: &str) -> Error {
    let error = match error.kind() {
        tokio_serial::ErrorKind::Io(kind) => Error::from(io::Error::new(kind, error)),
        tokio_serial::ErrorKind::NoDevice => {
            Error::new(Kind::NotFound, "no such serial port, or in use").because(error)
        }
        _ => Error::new(Kind::Io, "cannot be set up as a serial port").because(error),
    };
    let hint = match error.kind() {
        Kind::Permission => format!(
            "add the user to the group that owns {path} (on Debian: `sudo usermod -aG dialout $USER`), then log in again"
        ),
        Kind::Busy => "another program holds it".to_owned(),
        Kind::NotFound => "is it plugged in? `tresen list` shows the ports".to_owned(),
        _ => "is it a serial port, and does it take these line settings?".to_owned(),
    };
    error.with_effect(Effect::None).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_line_settings() {
        let address: Address =
            "escpos+serial:///dev/x?baud=38400&data=7&parity=even&stop=2&flow=hardware".parse().expect("address");
        let settings = Settings::from_address(&address).expect("settings");
        assert_eq!(
            settings,
            Settings {
                baud: 38400,
                data: DataBits::Seven,
                parity: Parity::Even,
                stop: StopBits::Two,
                flow: FlowControl::Hardware
            }
        );
        for query in ["baud=fast", "baud=0", "data=9", "parity=mark", "stop=3", "flow=xon"] {
            let address: Address = format!("escpos+serial:///dev/x?{query}").parse().expect("address");
            let error = Settings::from_address(&address).expect_err(query).to_string();
            assert!(error.contains(query) && error.contains("allowed are"), "{error}");
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
    }

    #[tokio::test]
    async fn names_the_missing_port() {
        let error = open("/dev/tty-no-such-port", &Settings::default()).expect_err("missing");
        assert_eq!((error.kind(), error.effect()), (Kind::NotFound, Effect::None));
        assert!(error.to_string().contains("plugged in"), "{error}");
    }
}
