//! Bluetooth without a radio: BlueZ over two virtual controllers that hear each other, a till's and a
//! printer's, and simulators behind the printer's GATT service and serial port.
//!
//! Both ends live under one bluetoothd. The scan, connections, attributes, pairing and RFCOMM channels are the
//! kernel's and BlueZ's own; only the air is btvirt's. It has no supervision timeout: a controller that loses
//! its power is never missed. [`hci::TIMEOUT`] is what the till's would report.

mod classic;
pub mod hci;
mod le;
mod pairing;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bluer::{Adapter, Session};
use tokio::sync::{Mutex, MutexGuard};

pub use classic::SppPrinter;
pub use le::BlePrinter;
pub use pairing::Agreement;

/// The till's controller.
pub const TILL: &str = "hci0";
/// The printer's.
pub const PRINTER: &str = "hci1";
/// The till's other one, with [`Radio::start_with_two_printers`].
pub const TILLS_SECOND: &str = "hci2";
/// That of another printer, which hears that one only.
pub const SECOND: &str = "hci3";

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
            // Busy for a moment after it has come.
            while let Err(error) = adapter.set_powered(true).await {
                assert!(tokio::time::Instant::now() < end, "{name} cannot be switched on: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
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

    /// Waits until bluetoothd has ended by itself.
    pub async fn died(&mut self) {
        while !matches!(self.bluetoothd.as_mut().map(Child::try_wait), Some(Ok(Some(_)))) {
            tokio::time::sleep(Duration::from_millis(100)).await;
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

async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_next(cx)).await
}
