//! Bluetooth without a radio: BlueZ over two virtual controllers that hear each other, a till's and a
//! printer's, and simulators behind the printer's GATT service and serial port.
//!
//! Both ends live under one bluetoothd. The scan, connections, attributes, pairing and RFCOMM channels are the
//! kernel's and BlueZ's own; only the air is btvirt's. It has no supervision timeout: a controller that loses
//! its power is never missed. [`hci::TIMEOUT`] is what the till's would report.

pub mod hci;

use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bluer::adv::{Advertisement, AdvertisementHandle};
use bluer::agent::{Agent, AgentHandle, ReqError};
use bluer::gatt::local::{
    Application, ApplicationHandle, Characteristic, CharacteristicNotifier, CharacteristicNotify,
    CharacteristicNotifyMethod, CharacteristicWrite, CharacteristicWriteMethod, Service,
};
use bluer::rfcomm::{Listener, Profile, Role, SocketAddr};
use bluer::{Adapter, AdapterEvent, DiscoveryFilter, DiscoveryTransport, Session, Uuid};
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio::task::JoinHandle;
use tresen_hal::link::spp::Spp;
use tresen_hal::sim::{self, Device, Shared};
use tresen_hal::{BoxFuture, Error, Kind, Link, Result};

/// The till's controller.
pub const TILL: &str = "hci0";
/// The printer's.
pub const PRINTER: &str = "hci1";
/// The till's other one, with [`Radio::start_with_two_printers`].
pub const TILLS_SECOND: &str = "hci2";
/// That of another printer, which hears that one only.
pub const SECOND: &str = "hci3";
/// Service, write and notify characteristic, as WebBluetoothReceiptPrinter's table has them.
const SERVICE: Uuid = Uuid::from_u128(0x000018f0_0000_1000_8000_00805f9b34fb);
const WRITE: Uuid = Uuid::from_u128(0x00002af1_0000_1000_8000_00805f9b34fb);
const NOTIFY: Uuid = Uuid::from_u128(0x00002af0_0000_1000_8000_00805f9b34fb);
/// Serial Port Profile.
const SERIAL_PORT: Uuid = Uuid::from_u128(0x00001101_0000_1000_8000_00805f9b34fb);

/// BlueZ and the two controllers. One test has it at a time; it starts anew for each.
pub struct Radio {
    btvirts: Vec<Child>,
    bluetoothd: Option<Child>,
    session: Option<Session>,
    controllers: Vec<&'static str>,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::const_new(());

impl Radio {
    /// Starts the system bus, bluetoothd and the controllers, and switches both on.
    ///
    /// # Panics
    /// Something of it does not start.
    pub async fn start() -> Self {
        Self::start_with(&["-l2"], &[[TILL, PRINTER]]).await
    }

    /// The same with controllers for LE only. Those that have both make a key for both when they pair, and
    /// BlueZ goes on over the other one.
    ///
    /// # Panics
    /// As [`Radio::start`].
    pub async fn start_le() -> Self {
        Self::start_with(&["-L", "-l2"], &[[TILL, PRINTER]]).await
    }

    /// The same with another printer, out of reach of the first, and another adapter of the till's for it: the
    /// controllers of one btvirt give each connection the same number.
    ///
    /// # Panics
    /// As [`Radio::start`].
    pub async fn start_with_two_printers() -> Self {
        Self::start_with(&["-l2"], &[[TILL, PRINTER], [TILLS_SECOND, SECOND]]).await
    }

    async fn start_with(arguments: &[&str], pairs: &[[&'static str; 2]]) -> Self {
        let alone = ALONE.lock().await;
        for module in ["hci_vhci", "rfcomm", "algif_hash", "algif_skcipher", "ecb", "cmac"] {
            crate::modprobe(module);
        }
        if !std::path::Path::new("/run/dbus/system_bus_socket").exists() {
            crate::run("mkdir -p /run/dbus /var/lib/bluetooth && dbus-daemon --system --fork");
        }
        crate::until_exists("/run/dbus/system_bus_socket");
        // What BlueZ remembers of the last test's printer.
        crate::run("rm -rf /var/lib/bluetooth/*");
        let btvirts = pairs.iter().map(|pair| btvirt(arguments, pair)).collect();
        let mut radio = Self { btvirts, bluetoothd: None, session: None, controllers: pairs.concat(), _alone: alone };
        radio.start_bluetoothd().await;
        radio
    }

    /// Starts bluetoothd, if it was killed, and switches both controllers on.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn start_bluetoothd(&mut self) {
        let log = std::fs::File::create("/run/out/bluetoothd.log").map_or(Stdio::null(), Stdio::from);
        let daemon =
            Command::new("/usr/libexec/bluetooth/bluetoothd").arg("-n").stderr(log).stdout(Stdio::null()).spawn();
        self.bluetoothd = Some(daemon.expect("bluetoothd"));
        let end = tokio::time::Instant::now() + crate::PATIENCE * 2;
        let session = loop {
            if let Ok(session) = Session::new().await
                && session.adapter_names().await.is_ok_and(|names| names.len() >= self.controllers.len())
            {
                break session;
            }
            assert!(tokio::time::Instant::now() < end, "bluetoothd has not seen the controllers");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        for name in &self.controllers {
            let adapter = session.adapter(name).expect("an adapter");
            adapter.set_powered(true).await.expect("switched on");
        }
        self.session = Some(session);
    }

    /// Kills bluetoothd without a goodbye.
    pub fn kill_bluetoothd(&mut self) {
        self.session = None;
        if let Some(mut daemon) = self.bluetoothd.take() {
            daemon.kill().ok();
            daemon.wait().ok();
        }
    }

    fn session(&self) -> &Session {
        self.session.as_ref().expect("bluetoothd runs")
    }

    /// A controller.
    pub fn adapter(&self, name: &str) -> Adapter {
        self.session().adapter(name).expect("an adapter")
    }

    /// The printer's address: `00:AA:01:01:00:24`.
    pub async fn printer(&self) -> String {
        self.address(PRINTER).await
    }

    /// The address of a controller.
    ///
    /// # Panics
    /// There is none of this name.
    pub async fn address(&self, controller: &str) -> String {
        self.adapter(controller).address().await.expect("an address").to_string()
    }

    /// Ends the connection between printer and till at once, by the printer's controller. The till's reports
    /// `reason`: [`hci::GOODBYE`], or [`hci::TIMEOUT`] as for a printer that is no longer heard. Says when the
    /// till's kernel has seen it.
    ///
    /// # Panics
    /// There is none.
    pub async fn drop_link(&self, reason: u8) -> Instant {
        tokio::task::spawn_blocking(move || hci::disconnect(PRINTER, TILL, reason)).await.expect("disconnected")
    }

    /// The same for the other printer.
    ///
    /// # Panics
    /// As [`Radio::drop_link`].
    pub async fn drop_seconds_link(&self, reason: u8) -> Instant {
        tokio::task::spawn_blocking(move || hci::disconnect(SECOND, TILLS_SECOND, reason)).await.expect("disconnected")
    }

    /// Pulls all controllers out, and with them the till's adapter. Says when.
    pub fn unplug(&mut self) -> Instant {
        let end = Instant::now();
        self.end_controllers();
        end
    }

    fn end_controllers(&mut self) {
        for btvirt in &mut self.btvirts {
            btvirt.kill().ok();
            btvirt.wait().ok();
        }
    }
}

impl Radio {
    /// Has the printer take part in pairing as one that has neither keys nor display, and agree each time.
    /// Without an agent BlueZ, which is the printer here, refuses.
    ///
    /// # Panics
    /// BlueZ refuses.
    pub async fn agree_to_pair(&self) -> Agreement {
        let asked: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let agree = |asked: &Arc<std::sync::Mutex<Vec<String>>>, adapter: String| -> ReqFuture {
            asked.lock().expect("no holder of this lock panics").push(adapter);
            Box::pin(async { Ok(()) })
        };
        let (authorizing, confirming) = (asked.clone(), asked.clone());
        let agent = Agent {
            request_default: true,
            request_authorization: Some(Box::new(move |request| agree(&authorizing, request.adapter))),
            request_confirmation: Some(Box::new(move |request| agree(&confirming, request.adapter))),
            ..Agent::default()
        };
        let agent = self.session().register_agent(agent).await.expect("an agent");
        // What the agent's abilities have made it, which are for all controllers: 3 is NoInputNoOutput.
        for printer in self.controllers.iter().filter(|name| [PRINTER, SECOND].contains(name)) {
            let index = printer.trim_start_matches("hci");
            let btmgmt = Command::new("btmgmt").args(["--index", index, "io-cap", "3"]).stdin(Stdio::piped()).output();
            let said = String::from_utf8_lossy(&btmgmt.expect("btmgmt, of BlueZ").stdout).into_owned();
            assert!(said.contains("success"), "btmgmt: {said}");
        }
        Agreement { asked, _agent: agent }
    }

    /// Pairs the till with the printer over Bluetooth classic, as a person does with `bluetoothctl`.
    ///
    /// # Panics
    /// The printer is not found, or refuses.
    pub async fn pair(&self) {
        self.pair_with(TILL, PRINTER).await;
    }

    /// The same with the other printer.
    ///
    /// # Panics
    /// As [`Radio::pair`].
    pub async fn pair_second(&self) {
        self.pair_with(TILLS_SECOND, SECOND).await;
    }

    async fn pair_with(&self, till: &str, printer: &str) {
        let (till, printer) = (self.adapter(till), self.adapter(printer).address().await.expect("an address"));
        let classic = DiscoveryFilter { transport: DiscoveryTransport::BrEdr, ..DiscoveryFilter::default() };
        till.set_discovery_filter(classic).await.expect("set");
        let mut found = std::pin::pin!(till.discover_devices().await.expect("discovering"));
        let finding = async {
            while !matches!(next(&mut found).await, Some(AdapterEvent::DeviceAdded(device)) if device == printer) {}
        };
        crate::within("finding the printer", finding).await;
        let pairing = async { till.device(printer).expect("found").pair().await };
        crate::within("pairing", pairing).await.expect("paired");
    }

    /// Has `controller` lose its pairing with the other, and waits for the end of their connection.
    ///
    /// # Panics
    /// It has none.
    pub async fn lose_pairing(&self, controller: &str) {
        let other = if controller == TILL { PRINTER } else { TILL };
        let other = self.adapter(other).address().await.expect("an address");
        self.adapter(controller).remove_device(other).await.expect("it was known");
        let ended = || crate::until("the end of the connection", || hci::connections(TILL).is_empty());
        tokio::task::spawn_blocking(ended).await.expect("it ends");
    }

    /// Whether the till has a pairing with the printer.
    pub async fn is_paired(&self) -> bool {
        let printer = self.adapter(PRINTER).address().await.expect("an address");
        let Ok(printer) = self.adapter(TILL).device(printer) else { return false };
        printer.is_paired().await.unwrap_or(false)
    }

    /// Has the controllers forget each other, with the keys that they made for the connection. Without
    /// pairing one of them may keep its key longer than the other, and refuses to connect then.
    pub async fn forget(&self) {
        for name in &self.controllers {
            let adapter = self.adapter(name);
            for device in adapter.device_addresses().await.unwrap_or_default() {
                adapter.remove_device(device).await.ok();
            }
        }
    }
}

type ReqFuture = Pin<Box<dyn Future<Output = std::result::Result<(), ReqError>> + Send>>;

/// The printer agrees to pair as long as this is held.
#[derive(Debug)]
pub struct Agreement {
    asked: Arc<std::sync::Mutex<Vec<String>>>,
    _agent: AgentHandle,
}

impl Agreement {
    /// The controllers on whose side somebody was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no holder of this lock panics"))
    }
}

impl Drop for Radio {
    fn drop(&mut self) {
        self.kill_bluetoothd();
        self.end_controllers();
        crate::until("the controllers to go", || {
            std::fs::read_dir("/sys/class/bluetooth").is_ok_and(|mut all| all.next().is_none())
        });
    }
}

/// Two controllers that hear each other.
fn btvirt(arguments: &[&str], pair: &[&str; 2]) -> Child {
    let program = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .map(|folder| folder.join("btvirt"))
        .find(|program| program.exists())
        .or_else(|| crate::fetched(Path::new("bluetooth/usr/bin/btvirt")))
        .expect("btvirt, from Debian's bluez-test-tools; tests/lab/vm/setup-bluetooth fetches it");
    let btvirt =
        Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("btvirt");
    for name in pair {
        crate::until_exists(format!("/sys/class/bluetooth/{name}"));
    }
    btvirt
}

/// A simulator behind a GATT service.
pub struct BlePrinter {
    task: JoinHandle<()>,
    _service: ApplicationHandle,
    _advertisement: AdvertisementHandle,
}

impl BlePrinter {
    /// Offers the service and advertises it.
    ///
    /// # Panics
    /// BlueZ refuses.
    pub async fn serve<D: Device + 'static>(radio: &Radio, device: Shared<D>) -> Self {
        Self::offer(radio, device, false).await
    }

    /// The same, for those who have paired: it refuses writes over a link that is not encrypted.
    ///
    /// # Panics
    /// As [`BlePrinter::serve`].
    pub async fn serve_paired<D: Device + 'static>(radio: &Radio, device: Shared<D>) -> Self {
        Self::offer(radio, device, true).await
    }

    async fn offer<D: Device + 'static>(radio: &Radio, device: Shared<D>, encrypt_write: bool) -> Self {
        let (to_sim, written) = mpsc::unbounded_channel();
        let notifier: Arc<Mutex<Option<CharacteristicNotifier>>> = Arc::default();
        let subscribed = notifier.clone();
        let write = Characteristic {
            uuid: WRITE,
            write: Some(CharacteristicWrite {
                write: true,
                write_without_response: true,
                encrypt_write,
                method: CharacteristicWriteMethod::Fun(Box::new(move |value, _| {
                    to_sim.send(value).ok();
                    Box::pin(async { Ok(()) })
                })),
                ..CharacteristicWrite::default()
            }),
            ..Characteristic::default()
        };
        let notify = Characteristic {
            uuid: NOTIFY,
            notify: Some(CharacteristicNotify {
                notify: true,
                method: CharacteristicNotifyMethod::Fun(Box::new(move |notifier| {
                    let subscribed = subscribed.clone();
                    Box::pin(async move {
                        *subscribed.lock().await = Some(notifier);
                    })
                })),
                ..CharacteristicNotify::default()
            }),
            ..Characteristic::default()
        };
        let service =
            Service { uuid: SERVICE, primary: true, characteristics: vec![write, notify], ..Service::default() };
        let application = Application { services: vec![service], ..Application::default() };
        let adapter = radio.adapter(PRINTER);
        let service = adapter.serve_gatt_application(application).await.expect("a service");
        let advertisement = Advertisement {
            service_uuids: [SERVICE].into_iter().collect(),
            discoverable: Some(true),
            local_name: Some("SimPrinter".to_owned()),
            ..Advertisement::default()
        };
        let advertisement = adapter.advertise(advertisement).await.expect("advertised");
        let link = Characteristics { written: Mutex::new(written), notifier };
        let task = tokio::spawn(async move { sim::link(&link, &device).await });
        Self { task, _service: service, _advertisement: advertisement }
    }
}

impl Drop for BlePrinter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The device's side of a GATT connection.
struct Characteristics {
    written: Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
    notifier: Arc<Mutex<Option<CharacteristicNotifier>>>,
}

impl std::fmt::Debug for Characteristics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Characteristics")
    }
}

impl Link for Characteristics {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            // A printer's words to nobody are lost.
            if let Some(notifier) = &mut *self.notifier.lock().await {
                for chunk in bytes.chunks(20) {
                    notifier.notify(chunk.to_vec()).await.ok();
                }
            }
            Ok(())
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let value = self.written.lock().await.recv().await;
            let value = value.ok_or_else(|| Error::new(Kind::Closed, "the service has ended"))?;
            into.extend_from_slice(&value);
            Ok(value.len())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A simulator behind a serial port, announced by SDP.
pub struct SppPrinter {
    task: JoinHandle<()>,
}

impl SppPrinter {
    /// Listens on `channel` without announcing it, to one host after the other: the kernel's own socket,
    /// which BlueZ knows nothing of.
    ///
    /// # Panics
    /// The kernel refuses.
    pub async fn listen<D: Device + 'static>(radio: &Radio, channel: u8, device: Shared<D>) -> Self {
        Self::listen_at(radio, PRINTER, channel, device).await
    }

    /// The same at one of several controllers.
    ///
    /// # Panics
    /// As [`SppPrinter::listen`].
    pub async fn listen_at<D: Device + 'static>(
        radio: &Radio,
        controller: &str,
        channel: u8,
        device: Shared<D>,
    ) -> Self {
        let adapter = reachable(radio, controller).await;
        let at = SocketAddr::new(adapter.address().await.expect("an address"), channel);
        let listener = Listener::bind(at).await.expect("a channel");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                sim::link(&Spp::new(stream), &device).await;
            }
        });
        Self { task }
    }

    /// Offers the port on `channel` and announces it, to one host after the other.
    ///
    /// # Panics
    /// BlueZ refuses.
    pub async fn serve<D: Device + 'static>(radio: &Radio, channel: u16, device: Shared<D>) -> Self {
        Self::offer(radio, channel, device, false).await
    }

    /// The same, for those who have paired.
    ///
    /// # Panics
    /// As [`SppPrinter::serve`].
    pub async fn serve_paired<D: Device + 'static>(radio: &Radio, channel: u16, device: Shared<D>) -> Self {
        Self::offer(radio, channel, device, true).await
    }

    async fn offer<D: Device + 'static>(radio: &Radio, channel: u16, device: Shared<D>, paired: bool) -> Self {
        reachable(radio, PRINTER).await;
        let profile = Profile {
            uuid: SERIAL_PORT,
            name: Some("SimPrinter".to_owned()),
            role: Some(Role::Server),
            channel: Some(channel),
            require_authentication: Some(paired),
            require_authorization: Some(false),
            ..Profile::default()
        };
        let mut hosts = radio.session().register_profile(profile).await.expect("a profile");
        let task = tokio::spawn(async move {
            while let Some(host) = next(&mut hosts).await {
                if let Ok(stream) = host.accept() {
                    let link = Spp::new(stream);
                    sim::link(&link, &device).await;
                    // bluetoothd keeps the socket, too: dropping ours would not end the connection.
                    link.close().await;
                }
            }
        });
        Self { task }
    }
}

/// A controller answers classic connections only while it can be discovered, or knows somebody.
async fn reachable(radio: &Radio, controller: &str) -> Adapter {
    let adapter = radio.adapter(controller);
    adapter.set_discoverable_timeout(0).await.expect("set");
    adapter.set_discoverable(true).await.expect("set");
    adapter
}

impl Drop for SppPrinter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_next(cx)).await
}
