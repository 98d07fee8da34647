//! evdev: event nodes under /dev/input, <https://docs.kernel.org/input/input.html>.
//!
//! It needs only two ioctls and `read`, so no crate is used.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};

use super::Settings;
use super::node::{self, Node};
use super::wire::{KERNELS, Packets};
use crate::address::UsbId;
use crate::link::choose::choose_among;
use crate::link::{blocking, hid, permission};
use crate::{BoxFuture, Effect, Error, Kind, Link, Result, sys};

/// How long to wait for a key to be released before grabbing anyway.
const KEY_DOWN_MAX: Duration = Duration::from_secs(1);
/// How often to check whether it is still down.
const KEY_DOWN_LOOK: Duration = Duration::from_millis(5);
/// Events in one read: more than a scanner types between two of them.
const EVENTS: usize = 64;

/// An open keyboard scanner. It must be opened on a tokio runtime, which reads its keys as they arrive.
#[derive(Debug)]
pub struct Evdev {
    file: Arc<File>,
    node: Node,
    heard: Arc<Heard>,
    listening: JoinHandle<()>,
}

/// Events that have not been received yet.
#[derive(Debug, Default)]
struct Heard {
    state: Mutex<(Packets, Option<End>)>,
    news: Notify,
}

/// Why no more events arrive.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The link was closed here.
    Closed,
    /// An `errno`.
    Failed(i32),
}

/// Opens the scanner that `id` and `settings` name, and hides its keys from all other programs.
///
/// # Errors
/// Not found; several matches, which are listed; grabbed by another program ([`Kind::Busy`]); or no permission, with
/// the udev rule.
pub async fn open(id: &UsbId, settings: &Settings) -> Result<Evdev> {
    let (wanted, options) = (id.clone(), settings.clone());
    let (node, file) = blocking(move || {
        let node = look(&wanted, &options)?;
        open_node(&node).map(|file| (node, file))
    })
    .await?;
    if settings.grab {
        take(&file, &node.path).await?;
    }
    Evdev::listen(file, node)
}

/// The node of the device, as /sys currently has it.
fn look(id: &UsbId, settings: &Settings) -> Result<Node> {
    let nodes = node::list(Path::new("/"));
    if !nodes.iter().any(|node| (node.device.vendor, node.device.product) == (id.vendor, id.product)) {
        without_input(id, &hid::node::list(Path::new("/")))?;
    }
    find(nodes, id, settings)
}

fn open_node(node: &Node) -> Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&node.path).map_err(|e| {
        let error = Error::from(e).with_effect(Effect::None);
        match error.kind() {
            Kind::Permission => error.hint(permission::input_step(node.device.vendor, node.device.product)),
            _ => error.hint(format!(
                "was it unplugged just now? its node is {}; in a container, pass /dev/input into it",
                node.path.display()
            )),
        }
    })
}

/// Grabs the device. The release of a key that is down now would reach only us, and the desktop would go on repeating
/// that key, so wait until no key is down.
async fn take(file: &File, path: &Path) -> Result<()> {
    let end = Instant::now() + KEY_DOWN_MAX;
    while sys::any_key_down(file).map_err(explain)? {
        if Instant::now() >= end {
            tracing::warn!(path = %path.display(), "a key stays down; only this program will see its release");
            break;
        }
        sleep(KEY_DOWN_LOOK).await;
    }
    // Keys typed before the grab have gone to other programs.
    let mut theirs = [0; EVENTS * KERNELS];
    while (&*file).read(&mut theirs).is_ok_and(|read| read > 0) {}
    sys::grab(file, true).map_err(|e| match e.raw_os_error() {
        Some(libc::EBUSY) => Error::new(Kind::Busy, "another program has grabbed the scanner")
            .because(e)
            .hint(format!("end that program; `sudo fuser -v {}` names those that have it open", path.display())),
        _ => explain(e),
    })
}

impl Evdev {
    fn listen(file: File, node: Node) -> Result<Self> {
        let file = Arc::new(file);
        let events = sys::readable(file.clone())?;
        let heard = Arc::new(Heard::default());
        let listening = tokio::spawn(Listener { events, heard: heard.clone() }.run());
        Ok(Self { file, node, heard, listening })
    }

    /// Its own name; may be empty.
    pub fn name(&self) -> &str {
        &self.node.device.name
    }

    /// The device's node: `/dev/input/event5`.
    pub fn path(&self) -> &Path {
        &self.node.path
    }
}

impl Heard {
    fn state(&self) -> MutexGuard<'_, (Packets, Option<End>)> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Keeps the first reason.
    fn end(&self, why: End) {
        self.state().1.get_or_insert(why);
        self.news.notify_one();
    }
}

/// Reads the keys as they are typed: the kernel buffers ten or twenty of them, which is less than a code, and drops all
/// on overflow.
struct Listener {
    events: AsyncFd<Arc<File>>,
    heard: Arc<Heard>,
}

impl Listener {
    async fn run(self) {
        let mut read = [0; EVENTS * KERNELS];
        loop {
            let Ok(mut ready) = self.events.readable().await else { return };
            match ready.try_io(|file| (&**file.get_ref()).read(&mut read)) {
                Err(_not_ready) => {}
                Ok(Ok(0)) => return self.heard.end(End::Failed(libc::ENODEV)),
                Ok(Ok(length)) => {
                    self.heard.state().0.push(&read[..length]);
                    self.heard.news.notify_one();
                }
                Ok(Err(e)) => return self.heard.end(e.raw_os_error().map_or(End::Closed, End::Failed)),
            }
        }
    }
}

impl Drop for Listener {
    /// Also runs when the runtime shuts down.
    fn drop(&mut self) {
        self.heard.end(End::Closed);
    }
}

impl Drop for Evdev {
    /// Releases the grab now, without waiting for the runtime to drop the listener. That may block, so it happens on a
    /// separate thread if possible.
    fn drop(&mut self) {
        self.listening.abort();
        let file = self.file.clone();
        let give_back = move || drop(sys::grab(&file, false));
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(give_back)),
            Err(_) => give_back(),
        }
    }
}

impl Link for Evdev {
    /// # Errors
    /// [`Kind::Unsupported`], unless there is nothing to send: a scanner in keyboard mode takes no commands.
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if bytes.is_empty() {
                return Ok(());
            }
            Err(Error::new(Kind::Unsupported, "a scanner in keyboard mode accepts no commands")
                .hint("set it to HID POS or serial mode by the code in its manual, and use `hid` or `serial`"))
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            loop {
                let (popped, end) = {
                    let (packets, end) = &mut *self.heard.state();
                    let closed = matches!(end, Some(End::Closed));
                    (if closed { None } else { packets.pop(into) }, *end)
                };
                match (popped, end) {
                    (Some(length), _) => return Ok(length),
                    (None, Some(End::Closed)) => return Err(Error::new(Kind::Closed, "the link was closed")),
                    (None, Some(End::Failed(code))) => return Err(explain(io::Error::from_raw_os_error(code))),
                    (None, None) => self.heard.news.notified().await,
                }
            }
        })
    }

    /// Releases the grab.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.heard.end(End::Closed);
            self.listening.abort();
            let file = self.file.clone();
            // Blocks until the kernel no longer uses the old state. Fails if the device is gone or was not grabbed,
            // which is fine.
            spawn_blocking(move || sys::grab(&file, false).ok()).await.ok();
        })
    }
}

/// evdev returns ENODEV once the device is gone.
fn explain(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENODEV) => Error::new(Kind::Closed, "the device was unplugged").because(error),
        _ => error.into(),
    }
}

/// Chooses the node.
fn find(nodes: Vec<Node>, id: &UsbId, settings: &Settings) -> Result<Node> {
    let device = choose_among(nodes.iter().map(|node| &node.device), id, settings.port.as_deref())?;
    let fits =
        |node: &Node| node.device.is(&device) && settings.interface.is_none_or(|number| node.interface == Some(number));
    let fitting: Vec<Node> = nodes.into_iter().filter(fits).collect();
    let all: Vec<String> = fitting.iter().map(described).collect();
    let mut keyboards: Vec<Node> = fitting.into_iter().filter(|node| node.keyboard).collect();
    match keyboards.len() {
        1 => Ok(keyboards.swap_remove(0)),
        0 if all.is_empty() => Err(Error::new(Kind::NotFound, "the device has no such input interface")
            .hint("remove `interface` from the address, or see `tresen list`")),
        0 => Err(Error::new(Kind::NotFound, format!("the device has no keyboard, only {}", all.join(" and ")))
            .hint("set the scanner to keyboard mode by the code in its manual, or use the link `hid`")),
        _ => {
            let list: Vec<String> = keyboards.iter().map(described).collect();
            let distinct =
                keyboards.iter().all(|k| keyboards.iter().filter(|o| o.interface == k.interface).count() == 1);
            Err(Error::new(Kind::Address, format!("the address matches {}", list.join(" and "))).hint(if distinct {
                "name one in the address: ?interface=N"
            } else {
                "no address distinguishes them: use the link `hid`, or the scanner's HID POS mode"
            }))
        }
    }
}

/// `/dev/input/event5 (interface 1, Honeywell 1900 Keyboard)`
fn described(node: &Node) -> String {
    let interface = node.interface.map(|number| format!("interface {number}, ")).unwrap_or_default();
    format!("{} ({interface}{})", node.path.display(), node.device.name)
}

/// If nothing was found: a present HID device without input nodes needs a different next step.
fn without_input(id: &UsbId, nodes: &[hid::node::Node]) -> Result<()> {
    let fits = |node: &&hid::node::Node| {
        let device = &node.device;
        (device.vendor, device.product) == (id.vendor, id.product)
            && (id.serial.is_none() || id.serial == device.serial)
    };
    let there: Vec<_> = nodes.iter().filter(fits).collect();
    if there.is_empty() {
        return Ok(());
    }
    let keyboard = there.iter().any(|node| node.usages.contains(&(1, 6)));
    Err(Error::new(Kind::NotFound, "the device is present, but not as an input device").hint(if keyboard {
        "load the driver: `sudo modprobe evdev`; in a container, pass /sys and /dev/input into it"
    } else {
        "it is not in keyboard mode: use the link `hid`, or set it to keyboard mode by the code in its manual"
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::link::choose::Candidate;

    const ID: UsbId = UsbId { vendor: 0x0c2e, product: 0x0b6a, serial: None };

    fn node(number: u8, port: &str, keyboard: bool) -> Node {
        let (vendor, product, serial) = (ID.vendor, ID.product, None);
        Node {
            path: format!("/dev/input/event{number}").into(),
            device: Candidate { vendor, product, serial, port: port.into(), name: "scanner".into() },
            interface: Some(number),
            keyboard,
            parent: None,
        }
    }

    fn by(nodes: &[Node], settings: Settings) -> Result<String> {
        find(nodes.to_vec(), &ID, &settings).map(|node| node.path.display().to_string())
    }

    #[test]
    fn takes_the_node_with_the_letters() {
        let nodes = [node(3, "1-1", false), node(4, "1-1", true), node(5, "1-1", false)];
        assert_eq!(by(&nodes, Settings::default()).expect("one"), "/dev/input/event4");
        let error = by(&nodes, Settings { interface: Some(3), ..Settings::default() }).expect_err("media keys");
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.to_string().contains("only /dev/input/event3 (interface 3, scanner); set"), "{error}");
        let error = by(&nodes, Settings { interface: Some(9), ..Settings::default() }).expect_err("none");
        assert!(error.to_string().contains("no such input interface"), "{error}");
    }

    #[test]
    fn never_takes_the_first_of_two() {
        let twins = [node(3, "1-1", true), node(4, "1-2", true)];
        let error = by(&twins, Settings::default()).expect_err("two devices");
        assert!(error.to_string().contains("?port=1-1"), "{error}");
        let port = Some("1-2".to_owned());
        assert_eq!(by(&twins, Settings { port, ..Settings::default() }).expect("one"), "/dev/input/event4");

        let keyboards = [node(3, "1-1", true), node(4, "1-1", true)];
        let error = by(&keyboards, Settings::default()).expect_err("two keyboards").to_string();
        assert!(error.contains("event3 (interface 3") && error.contains("?interface=N"), "{error}");
        let interface = Some(4);
        assert_eq!(by(&keyboards, Settings { interface, ..Settings::default() }).expect("one"), "/dev/input/event4");
        let same = [node(3, "1-1", true), Node { path: "/dev/input/event4".into(), ..node(3, "1-1", true) }];
        let error = by(&same, Settings::default()).expect_err("one interface").to_string();
        assert!(error.contains("no address distinguishes them"), "{error}");
    }

    #[test]
    fn a_device_without_input_is_not_said_to_be_unplugged() {
        let raw = |usages: &[(u16, u16)]| hid::node::Node {
            path: "/dev/hidraw0".into(),
            device: node(0, "1-1", false).device,
            interface: Some(0),
            alone: true,
            descriptor: vec![],
            usages: usages.to_vec(),
        };
        let told = |usages: &[(u16, u16)]| without_input(&ID, &[raw(usages)]).expect_err("there").to_string();
        assert!(told(&[(0x8c, 2)]).contains("use the link `hid`"));
        assert!(told(&[(1, 6)]).contains("modprobe evdev"));
        let other = UsbId { serial: Some("S9".into()), ..ID };
        assert!(without_input(&other, &[raw(&[(1, 6)])]).is_ok(), "then it is another one");
    }

    /// A link to a pipe instead of a node.
    fn piped() -> (Evdev, io::PipeWriter) {
        let (reader, writer) = io::pipe().expect("a pipe");
        let file = File::from(OwnedFd::from(reader));
        rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::NONBLOCK).expect("a pipe can be read without waiting");
        (Evdev::listen(file, node(0, "1-1", true)).expect("a link"), writer)
    }

    /// An event as the kernel writes it.
    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        [&[0; KERNELS - 8][..], &kind.to_ne_bytes(), &code.to_ne_bytes(), &value.to_ne_bytes()].concat()
    }

    // linux/input-event-codes.h: EV_KEY is 1, KEY_A 30, KEY_ENTER 28.
    const A_DOWN: [u8; 16] = [1, 0, 30, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const ENTER_UP: [u8; 16] = [1, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[tokio::test(start_paused = true)]
    async fn a_dropped_recv_loses_nothing_and_keys_come_before_the_end() {
        let (link, mut node) = piped();
        let mut chunk = Vec::new();
        let mut dropped = async |what: &str| {
            let waited = tokio::time::timeout(Duration::from_millis(1), link.recv(&mut chunk)).await;
            assert!(waited.is_err() && chunk.is_empty(), "{what}");
        };
        dropped("nothing was typed").await;
        node.write_all(&event(1, 30, 1)).expect("written");
        dropped("without its end it is no chunk").await;
        node.write_all(&[event(0, 0, 0), event(1, 28, 0), event(0, 0, 0)].concat()).expect("written");
        assert_eq!(link.recv(&mut chunk).await.expect("a chunk"), 16);
        assert_eq!(chunk, A_DOWN);
        // Unplugged: keys typed before still arrive.
        drop(node);
        assert_eq!(link.recv(&mut chunk).await.expect("a chunk"), 16);
        assert_eq!(chunk, [A_DOWN, ENTER_UP].concat());
        for _ in 0..2 {
            let end = link.recv(&mut chunk).await.expect_err("unplugged");
            assert_eq!((end.kind(), end.what()), (Kind::Closed, "the device was unplugged"));
        }
    }

    #[tokio::test]
    async fn a_closed_link_ends_a_waiting_recv_and_hands_out_nothing_more() {
        let (link, mut node) = piped();
        let mut chunk = Vec::new();
        let (end, ()) = tokio::join!(link.recv(&mut chunk), link.close());
        assert_eq!(end.expect_err("closed").what(), "the link was closed");
        node.write_all(&[event(1, 30, 1), event(0, 0, 0)].concat()).ok();
        assert_eq!(link.recv(&mut chunk).await.expect_err("closed").what(), "the link was closed");
        assert!(chunk.is_empty());
        let refused = link.send(&[1]).await.expect_err("no way to send");
        assert_eq!((refused.kind(), link.send(&[]).await.is_ok()), (Kind::Unsupported, true));
    }

    #[tokio::test]
    async fn a_device_that_is_not_there_is_not_found() {
        let id = UsbId { vendor: 0xfffe, product: 0xfffe, serial: None };
        let error = open(&id, &Settings::default()).await.expect_err("not there");
        assert_eq!(error.kind(), Kind::NotFound);
    }
}
