//! Serves a simulator on a serial line: a new pseudo-terminal, or one end of a null-modem cable.

#[cfg(feature = "serial")]
use tokio::task::JoinHandle;
use tresen::Result;
use tresen::hal::sim::{self, Device};
#[cfg(not(feature = "serial"))]
use tresen::hal::{Error, Kind};

/// Keeps the simulator on its line.
pub(super) enum Served {
    #[cfg(all(unix, feature = "serial"))]
    Pty { _pty: sim::Pty },
    #[cfg(feature = "serial")]
    Port(JoinHandle<()>),
}

#[cfg(feature = "serial")]
impl Drop for Served {
    fn drop(&mut self) {
        if let Self::Port(task) = self {
            task.abort();
        }
    }
}

/// `pty`, or `serial:///dev/ttyUSB0`.
pub(super) fn is_one(listen: &str) -> bool {
    listen == "pty" || listen.starts_with("serial://")
}

/// Serves `device` at `listen`, and says by which address it is reached; of a null-modem cable it is that of this end.
/// `usual` is the option of the line in which the protocol differs from others.
#[cfg(feature = "serial")]
pub(super) async fn open<D: Device + 'static>(
    protocol: &str,
    usual: (&str, &str),
    listen: &str,
    device: &sim::Shared<D>,
) -> Result<(Served, String)> {
    use tresen::Address;
    use tresen::hal::address::LinkKind;
    use tresen::hal::{Error, Kind, link};

    #[cfg(unix)]
    if listen == "pty" {
        let pty = sim::pty(device.clone())?;
        let address = format!("{protocol}+serial://{}", pty.path);
        return Ok((Served::Pty { _pty: pty }, address));
    }
    let address: Address = format!("{protocol}+{listen}").parse()?;
    let LinkKind::Serial { .. } = address.link() else {
        return Err(
            Error::new(Kind::Address, format!("cannot listen at `{listen}`")).hint("write serial:///dev/ttyUSB0")
        );
    };
    address.check_options(&link::options(address.link()).collect::<Vec<_>>())?;
    let (name, value) = usual;
    let as_usual = if address.option(name).is_none() { address.clone().with(name, value) } else { address.clone() };
    let (port, device) = (link::open(&as_usual).await?, device.clone());
    let task = tokio::spawn(async move {
        sim::link(&*port, &device).await;
        tracing::warn!("the serial port is gone");
    });
    Ok((Served::Port(task), address.to_string()))
}

#[cfg(not(feature = "serial"))]
pub(super) async fn open<D: Device + 'static>(
    _: &str,
    _: (&str, &str),
    _: &str,
    _: &sim::Shared<D>,
) -> Result<(Served, String)> {
    Err(Error::new(Kind::Unsupported, "this build has no serial links").hint("build with feature `serial`"))
}
