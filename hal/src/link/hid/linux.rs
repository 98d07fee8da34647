//! hidraw: <https://docs.kernel.org/hid/hidraw.html>.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::node::{self, Node};
use super::{Description, Settings};
use crate::address::UsbId;
use crate::link::blocking;
use crate::link::choose::choose_among;
use crate::link::hex::hex;
use crate::link::permission;
use crate::{BoxFuture, Effect, Error, Kind, Link, Result, sys};

/// The longest report: HID_MAX_BUFFER_SIZE of linux/hid.h.
const REPORT_MAX: usize = 16 * 1024;
/// The kernel waits 5 s for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// An open HID device.
#[derive(Debug)]
pub struct Hid {
    file: AsyncFd<Arc<File>>,
    node: Node,
    closed: watch::Sender<bool>,
}

/// Opens the device that `id` and `settings` name.
///
/// # Errors
/// Not found; several matches, which are listed; or no permission, with the udev rule.
pub async fn open(id: &UsbId, settings: &Settings) -> Result<Hid> {
    let node = look(id, settings).await?;
    let (node, file) = blocking(move || open_node(&node).map(|file| (node, file))).await?;
    let hid = Hid { file: sys::readable(Arc::new(file))?, node, closed: watch::Sender::new(false) };
    for report in &settings.feature {
        hid.set_feature(report).await.map_err(|e| {
            Error::new(e.kind(), format!("feature report {}: {}", hex(report), e.what()))
                .because(e)
                .hint("is that report in the device's manual? if not, remove the option `feature`")
        })?;
    }
    Ok(hid)
}

/// Describes the device that `id` and `settings` name, without opening it.
///
/// # Errors
/// Not found; or several matches, which are listed.
pub async fn describe(id: &UsbId, settings: &Settings) -> Result<Description> {
    let node = look(id, settings).await?;
    Ok(Description { descriptor: node.descriptor, usages: node.usages, name: node.device.name })
}

/// The node of the device, as /sys currently has it.
async fn look(id: &UsbId, settings: &Settings) -> Result<Node> {
    let (id, settings) = (id.clone(), settings.clone());
    blocking(move || find(node::list(Path::new("/")), &id, &settings)).await
}

fn open_node(node: &Node) -> Result<File> {
    let open = |write| OpenOptions::new().read(true).write(write).custom_flags(libc::O_NONBLOCK).open(&node.path);
    // Read access is enough for most devices.
    open(true).or_else(|_| open(false)).map_err(|e| {
        let error = Error::from(e).with_effect(Effect::None);
        match error.kind() {
            Kind::Permission => {
                error.hint(permission::step(&permission::hid_rule(node.device.vendor, node.device.product)))
            }
            _ => error.hint(format!("was it unplugged just now? its node is {}", node.path.display())),
        }
    })
}

impl Hid {
    /// The report descriptor, as the device sent it: HID 1.11, section 6.2.2.
    pub fn descriptor(&self) -> &[u8] {
        &self.node.descriptor
    }

    /// Usage page and usage of the device's top-level collections: `(0x8c, 2)` is a scanner.
    pub fn usages(&self) -> &[(u16, u16)] {
        &self.node.usages
    }

    /// Its own name; may be empty.
    pub fn name(&self) -> &str {
        &self.node.device.name
    }

    /// The device's node: `/dev/hidraw0`.
    pub fn path(&self) -> &Path {
        &self.node.path
    }

    /// Reads the feature report with this number, 0 if the device has no numbers. The answer begins with
    /// the number.
    ///
    /// # Errors
    /// The device refuses, gives no answer within 5 s ([`Kind::Timeout`]) or is gone.
    pub async fn feature(&self, number: u8) -> Result<Vec<u8>> {
        self.control(move |file| {
            let mut report = vec![0; 4096];
            report[0] = number;
            let length = sys::feature(file, &mut report)?;
            report.truncate(length);
            Ok(report)
        })
        .await
    }

    /// Sends a feature report, which begins with its number, 0 if the device has no numbers.
    ///
    /// # Errors
    /// As [`Hid::feature`].
    pub async fn set_feature(&self, report: &[u8]) -> Result<()> {
        let mut report = report.to_vec();
        self.control(move |file| sys::set_feature(file, &mut report).map(drop)).await
    }

    /// These calls block for up to 5 s, even on a non-blocking descriptor.
    async fn control<T: Send + 'static>(
        &self,
        call: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let file = self.file.get_ref().clone();
        let asked = Instant::now();
        let done = spawn_blocking(move || call(&file)).await;
        done.map_err(|e| Error::new(Kind::Cancelled, "the runtime is shutting down").because(e))?
            .map_err(|e| refused(e, asked.elapsed(), self.node.path.exists()))
    }
}

impl Link for Hid {
    /// Sends one report, which begins with its number, 0 if the device has no numbers.
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if bytes.is_empty() {
                return Ok(());
            }
            let report = bytes.to_vec();
            let sent = self.control(move |mut file| file.write(&report)).await?;
            if sent == bytes.len() {
                return Ok(());
            }
            Err(Error::new(Kind::Io, format!("the device accepted {sent} of {} bytes of the report", bytes.len()))
                .with_effect(Effect::Partial))
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let before = into.len();
            let mut closing = self.closed.subscribe();
            loop {
                let mut ready = tokio::select! {
                    biased;
                    _ = closing.wait_for(|closed| *closed) => {
                        return Err(Error::new(Kind::Closed, "the link was closed"));
                    }
                    ready = self.file.readable() => ready?,
                };
                into.resize(before + REPORT_MAX, 0);
                let read = ready.try_io(|file| (&**file.get_ref()).read(&mut into[before..]));
                into.truncate(before + read.as_ref().map_or(0, |r| *r.as_ref().unwrap_or(&0)));
                match read {
                    Err(_not_ready) => {}
                    Ok(Ok(0)) => return Err(Error::new(Kind::Closed, "the device was unplugged")),
                    Ok(Ok(n)) => return Ok(n),
                    Ok(Err(e)) => return Err(explain(e)),
                }
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.closed.send_replace(true);
        })
    }
}

/// The error of a call that needs the device's answer. A device that is not on USB fails with EIO, too, if it answers
/// with an error, or not at all: `uhid_hid_get_report` in drivers/hid/uhid.c.
fn refused(error: io::Error, waited: Duration, there: bool) -> Error {
    match error.raw_os_error() {
        Some(libc::EIO) if there && waited >= ANSWER_WITHIN => {
            Error::new(Kind::Timeout, format!("the device did not answer within {} s", waited.as_secs()))
                .because(error)
                .hint("is it awake and within reach? try again")
        }
        Some(libc::EIO) if there => Error::new(Kind::Unsupported, "the device refuses the report").because(error),
        _ => explain(error),
    }
}

/// hidraw answers EIO or ENODEV once the device is gone.
fn explain(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EIO | libc::ENODEV | libc::ESHUTDOWN) => {
            Error::new(Kind::Closed, "the device was unplugged").because(error)
        }
        Some(libc::EPIPE) => Error::new(Kind::Unsupported, "the device refuses the report").because(error),
        Some(libc::EBADF) => Error::new(Kind::Permission, "the device is open for reading only").because(error),
        _ => error.into(),
    }
}

/// Chooses the node.
fn find(nodes: Vec<Node>, id: &UsbId, settings: &Settings) -> Result<Node> {
    let device = choose_among(nodes.iter().map(|node| &node.device), id, settings.port.as_deref())?;
    let fits = |node: &Node| {
        node.device.is(&device)
            && settings.interface.is_none_or(|number| node.interface == Some(number))
            && settings.usage.is_none_or(|page| node.usages.iter().any(|(p, _)| *p == page))
    };
    let mut fitting: Vec<Node> = nodes.into_iter().filter(fits).collect();
    fitting.sort_by_key(rank);
    match &fitting[..] {
        [] => Err(Error::new(Kind::NotFound, "the device has no such HID interface")
            .hint("remove `usage` and `interface` from the address, or see `tresen list`")),
        [first, second, ..] if rank(first) == rank(second) => {
            let list: Vec<String> = fitting
                .iter()
                .map(|n| format!("interface {} with usage page {:x?}", n.interface.unwrap_or(0), pages(n)))
                .collect();
            Err(Error::new(Kind::Address, format!("the address matches {}", list.join(" and ")))
                .hint("name one in the address: ?interface=N"))
        }
        _ => Ok(fitting.swap_remove(0)),
    }
}

fn pages(node: &Node) -> Vec<u16> {
    node.usages.iter().map(|(page, _)| *page).collect()
}

/// Point-of-sale pages (0x8c to 0x8e) first, keyboard and mouse (page 1) and their media keys (0x0c) last.
fn rank(node: &Node) -> u8 {
    let pages = pages(node);
    if pages.iter().any(|page| (0x8c..=0x8e).contains(page)) {
        0
    } else if pages.iter().any(|page| ![0x01, 0x0c].contains(page)) {
        1
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::choose::Candidate;

    fn node(number: u8, port: &str, usages: &[(u16, u16)]) -> Node {
        Node {
            path: format!("/dev/hidraw{number}").into(),
            device: Candidate {
                vendor: 0x0c2e,
                product: 0x0b6a,
                serial: None,
                port: port.into(),
                name: "scanner".into(),
            },
            interface: Some(number),
            alone: false,
            descriptor: vec![],
            usages: usages.to_vec(),
        }
    }

    const ID: UsbId = UsbId { vendor: 0x0c2e, product: 0x0b6a, serial: None };

    #[test]
    fn takes_the_point_of_sale_interface() {
        let nodes = || vec![node(0, "1-1", &[(1, 6)]), node(1, "1-1", &[(0x8c, 2)]), node(2, "1-1", &[(0xff45, 1)])];
        let by = |settings: Settings| find(nodes(), &ID, &settings).map(|n| n.path.display().to_string());
        assert_eq!(by(Settings::default()).expect("one"), "/dev/hidraw1");
        assert_eq!(by(Settings { usage: Some(1), ..Settings::default() }).expect("one"), "/dev/hidraw0");
        assert_eq!(by(Settings { interface: Some(2), ..Settings::default() }).expect("one"), "/dev/hidraw2");
        let none = by(Settings { usage: Some(0x8e), ..Settings::default() }).expect_err("none");
        assert_eq!(none.kind(), Kind::NotFound);
    }

    #[test]
    fn two_that_are_alike_are_an_error() {
        let twins = vec![node(0, "1-1", &[(0x8c, 2)]), node(1, "1-2", &[(0x8c, 2)])];
        let error = find(twins.clone(), &ID, &Settings::default()).expect_err("two devices");
        assert!(error.to_string().contains("?port=1-1"), "{error}");
        let by_port = Settings { port: Some("1-2".into()), ..Settings::default() };
        assert_eq!(find(twins, &ID, &by_port).expect("one").interface, Some(1));
        let keyboards = vec![node(0, "1-1", &[(1, 6)]), node(1, "1-1", &[(1, 6)])];
        let error = find(keyboards, &ID, &Settings::default()).expect_err("two interfaces");
        assert!(error.to_string().contains("interface 0") && error.to_string().contains("interface=N"), "{error}");
    }

    #[test]
    fn no_answer_is_neither_refused_nor_unplugged() {
        let told = |code, waited, there| {
            let error = refused(io::Error::from_raw_os_error(code), Duration::from_millis(waited), there);
            (error.kind(), error.what().to_owned())
        };
        let unplugged = (Kind::Closed, "the device was unplugged".to_owned());
        assert_eq!(told(libc::EIO, 5012, true), (Kind::Timeout, "the device did not answer within 5 s".to_owned()));
        assert_eq!(told(libc::EIO, 3, true), (Kind::Unsupported, "the device refuses the report".to_owned()));
        assert_eq!(told(libc::EPIPE, 3, true), (Kind::Unsupported, "the device refuses the report".to_owned()));
        assert_eq!(told(libc::EIO, 5012, false), unplugged);
        assert_eq!(told(libc::ENODEV, 3, true), unplugged);
    }

    #[tokio::test]
    async fn a_device_that_is_not_there_is_not_found() {
        let id = UsbId { vendor: 0xfffe, product: 0xfffe, serial: None };
        let error = open(&id, &Settings::default()).await.expect_err("not there");
        assert_eq!(error.kind(), Kind::NotFound);
    }
}
