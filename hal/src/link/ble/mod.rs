//! Bluetooth LE: bytes written to one characteristic, notifications of another as chunks; btleplug.
//!
//! Options in an address:
//! - `service`, `write`, `notify`: UUIDs, short (`18F0`) or full. Not needed for the services in
//!   [`services::KNOWN`]; within a service the properties decide where only one fits.
//! - `mtu`: at most this many bytes per packet, 3 of them overhead (23 to 517). By default what both ends negotiated.
//! - `response`: with `true` the device confirms each write, which is slow but needs no pacing; with `false` none, so
//!   that bytes which it drops are lost silently. By default every 16th and the last write of a `send` are confirmed if
//!   the device supports both, so that `send` cannot run far ahead of it.
//! - `pace`: milliseconds to wait after each write, for devices that lose bytes (0 to 1000).
//! - `pair=true`: pairs before connecting (Linux), for devices that need no code. Once is enough: the system keeps the
//!   pairing. By default BlueZ tries to pair when the device requests it.
//! - `adapter`: `hci1`; by default the first that is switched on.
//!
//! **Permissions.** Linux: bluetoothd on the system bus; any user at the console, or members of
//! the group `bluetooth`. macOS: the application needs the Bluetooth permission. Windows: none.
//!
//! **Disconnection.** When the device disconnects, `recv` and a pending `send` fail with [`Kind::Closed`] within
//! milliseconds. Loss of power is detected after the supervision timeout: 0.42 s on Linux (`le_supv_timeout` in
//! `net/bluetooth`), unless the device has requested another, of up to 32 s. There is one link per device: the system
//! would let two share it and mix their bytes.
//!
//! Left out: pairing with a code (do that once with `bluetoothctl`), L2CAP channels.

pub(crate) mod central;
pub mod services;

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use btleplug::api::{Central as _, CentralEvent, CharPropFlags, Peripheral as _, ValueNotification, WriteType};
use btleplug::platform::{Adapter, Peripheral};
use futures_core::Stream;
use tokio::sync::{OwnedMutexGuard, mpsc, watch};
use tokio::task::JoinHandle;

use self::central::{
    CALL_TIMEOUT, Session, call, explain, is_given_up, not_connected, not_paired, pairing_lost, within,
};
use self::services::{Chosen, Wanted};
use crate::{Address, BoxFuture, Effect, Error, Kind, Link, Result};

/// The options that [`open`] reads.
pub const OPTIONS: [&str; 8] = super::options::BLE;

/// How long to scan for an unknown device.
const SCAN: Duration = Duration::from_secs(10);
/// How long to scan for a known device that could not be reached.
const RESCAN: Duration = Duration::from_secs(5);
/// The deadline for connecting, and for finding the services. The Bluetooth specification allows several seconds
/// between advertisements.
const CONNECT: Duration = Duration::from_secs(15);
/// An ATT request that is not answered within 30 s ends the connection (Core 5.4, Vol 3, Part F, 3.3.3);
/// this is a fallback.
const WRITE: Duration = Duration::from_secs(35);
/// The time for unconfirmed writes to be transmitted before the link is closed.
const SETTLE: Duration = Duration::from_millis(500);
/// How much later than a failed write the disconnection may be reported.
const NEWS: Duration = Duration::from_millis(700);
/// How often the connection is checked, in case the Bluetooth service has ended silently.
const CHECK: Duration = Duration::from_millis(500);
/// The longest value an attribute may have is 512 bytes (Core 5.4, Vol 3, Part F, 3.2.9); devices built on BlueZ
/// count the handle in (5.66: "Invalid Length").
const LONGEST_VALUE: usize = 510;
/// What every device supports: an MTU of 23, less 3.
const SHORTEST_CHUNK: usize = 20;
/// One in this many writes is confirmed.
const FENCE: usize = 16;
/// The most queued notifications; further ones are lost, with a warning.
const QUEUE: usize = 4096;

/// The options of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Settings {
    wanted: Wanted,
    mtu: Option<usize>,
    response: Option<bool>,
    pace: Duration,
    pair: bool,
    adapter: Option<String>,
}

impl Settings {
    fn from_address(address: &Address) -> Result<Self> {
        let bad = |name: &str, allowed: &str| address.refuse(name, format_args!("expected {allowed}"));
        let uuid = |name| match address.option(name) {
            None => Ok(None),
            Some(text) => services::parse(text).map(Some).ok_or_else(|| bad(name, "18F0 or a full UUID")),
        };
        Ok(Self {
            wanted: Wanted { service: uuid("service")?, write: uuid("write")?, notify: uuid("notify")? },
            mtu: match address.option_as("mtu")? {
                Some(mtu) if !(23..=517).contains(&mtu) => return Err(bad("mtu", "23 to 517")),
                mtu => mtu,
            },
            response: address.option_as("response")?,
            pace: match address.option_as("pace")? {
                None => Duration::ZERO,
                Some(ms @ 0..=1000) => Duration::from_millis(ms),
                Some(_) => return Err(bad("pace", "0 to 1000 milliseconds")),
            },
            pair: address.option_as("pair")?.unwrap_or(false),
            adapter: address.option("adapter").map(str::to_owned),
        })
    }
}

/// Checks the options of an address.
pub(super) fn check(address: &Address) -> Result<()> {
    Settings::from_address(address).map(drop)
}

/// How bytes are split into writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Writes {
    /// Bytes per write.
    chunk: usize,
    confirm: Confirm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confirm {
    Each,
    Never,
    Fenced,
}

impl Writes {
    /// # Errors
    /// The characteristic does not support what the address asks for.
    fn new(properties: CharPropFlags, mtu: usize, settings: &Settings) -> Result<Self> {
        let can =
            (properties.contains(CharPropFlags::WRITE), properties.contains(CharPropFlags::WRITE_WITHOUT_RESPONSE));
        let confirm = match (settings.response, can) {
            (Some(true), (true, _)) | (None, (true, false)) => Confirm::Each,
            (Some(false), (_, true)) | (None, (false, true)) => Confirm::Never,
            (None, (true, true)) => Confirm::Fenced,
            (Some(wanted), _) => {
                let can = if can.0 { "only with" } else { "only without" };
                return Err(Error::new(
                    Kind::Unsupported,
                    format!("option `response={wanted}`: the device supports writes {can} response only"),
                ));
            }
            (None, (false, false)) => {
                return Err(Error::new(Kind::Unsupported, "the characteristic is not writable"));
            }
        };
        let mtu = settings.mtu.map_or(mtu, |most| most.min(mtu));
        Ok(Self { chunk: mtu.saturating_sub(3).clamp(SHORTEST_CHUNK, LONGEST_VALUE), confirm })
    }

    /// The writes that carry `bytes`.
    fn of<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a [u8], WriteType)> + use<'a> {
        let Self { chunk, confirm } = *self;
        let last = bytes.len().div_ceil(chunk).saturating_sub(1);
        bytes.chunks(chunk).enumerate().map(move |(i, chunk)| {
            let confirmed = match confirm {
                Confirm::Each => true,
                Confirm::Never => false,
                Confirm::Fenced => i == last || i % FENCE == FENCE - 1,
            };
            (chunk, if confirmed { WriteType::WithResponse } else { WriteType::WithoutResponse })
        })
    }
}

/// An open connection to a device.
pub struct Ble {
    peripheral: Peripheral,
    chosen: Chosen,
    writes: Writes,
    pace: Duration,
    /// A write has been confirmed.
    confirmed: AtomicBool,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Vec<u8>>>,
    gone: watch::Receiver<bool>,
    pump: JoinHandle<()>,
    /// Disconnects on the Bluetooth thread, which outlives this runtime.
    bus: tokio::runtime::Handle,
    held: Option<OwnedMutexGuard<()>>,
}

impl fmt::Debug for Ble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ble")
            .field("device", &central::name_of(&self.peripheral))
            .field("write", &self.chosen.write.uuid)
            .field("notify", &self.chosen.notify.as_ref().map(|c| c.uuid))
            .field("writes", &self.writes)
            .finish_non_exhaustive()
    }
}

/// Connects to `device` with the options of `address`. Takes at most about a minute, usually less than 3 s; fails after
/// 10 s if the device does not advertise.
///
/// # Errors
/// [`Kind::NotFound`] without a system bus, Bluetooth service, adapter or device; [`Kind::Permission`];
/// [`Kind::Busy`] if another link of this process holds the device; [`Kind::Unsupported`] if its
/// services are unknown, with a list of them. Each with the next step.
pub async fn open(address: &Address, device: &str) -> Result<Ble> {
    let settings = Settings::from_address(address)?;
    let held = within(CALL_TIMEOUT, "", async { Ok(hold(device).lock_owned().await) }).await.map_err(|_| {
        Error::new(Kind::Busy, "another link of this program holds the device").hint("close that one first")
    })?;
    let session = central::session().await.map_err(|e| e.with_effect(Effect::None))?;
    let opening = open_on_bus(session.clone(), settings, device.to_owned(), held);
    session.run(opening).await.map_err(|e| e.with_effect(Effect::None))
}

async fn open_on_bus(session: Session, settings: Settings, device: String, held: OwnedMutexGuard<()>) -> Result<Ble> {
    let adapter = central::adapter(&session, settings.adapter.as_deref()).await?;
    let mut peripheral = central::find(&adapter, &device, SCAN, false).await?;
    let mut leaving = Leaving { peripheral: Some(peripheral.clone()), bus: session.handle.clone() };
    match connect(&session, &peripheral, &settings).await {
        // What the system knows about the device may be outdated: scan for it.
        Err(error) if error.kind() == Kind::NotFound => {
            tracing::debug!(%error, "scanning for the device");
            peripheral = central::find(&adapter, &device, RESCAN, true).await?;
            connect(&session, &peripheral, &settings).await?;
        }
        other => other?,
    }
    let link = set_up(&adapter, peripheral, &settings, session.handle.clone(), held).await?;
    leaving.peripheral.take();
    Ok(link)
}

/// Disconnects a device if opening failed or was cancelled.
struct Leaving {
    peripheral: Option<Peripheral>,
    bus: tokio::runtime::Handle,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(peripheral) = self.peripheral.take() {
            self.bus.spawn(async move { leave(&peripheral).await });
        }
    }
}

async fn leave(peripheral: &Peripheral) {
    tokio::time::timeout(CALL_TIMEOUT, peripheral.disconnect()).await.ok();
}

/// One lock per device and process.
fn hold(device: &str) -> Arc<tokio::sync::Mutex<()>> {
    static HELD: Mutex<Option<HashMap<String, Arc<tokio::sync::Mutex<()>>>>> = Mutex::new(None);
    let mut held = HELD.lock().expect("no holder of this lock panics");
    held.get_or_insert_default().entry(device.to_ascii_uppercase()).or_default().clone()
}

async fn connect(session: &Session, peripheral: &Peripheral, settings: &Settings) -> Result<()> {
    let (id, device) = (peripheral.id().to_string(), central::name_of(peripheral));
    if settings.pair && !central::is_paired(session, &id).await.map_err(not_connected)? {
        central::pair(session, &id).await.map_err(|e| not_paired(e, &device))?;
    }
    let connected = within(CONNECT, "connecting", async { peripheral.connect().await.map_err(|e| explain(&e)) }).await;
    let Err(error) = connected else { return Ok(()) };
    // The system would keep trying.
    leave(peripheral).await;
    if is_given_up(&error) && central::is_paired(session, &id).await.unwrap_or(false) {
        return Err(pairing_lost(error, &device));
    }
    Err(not_connected(error))
}

async fn set_up(
    adapter: &Adapter,
    peripheral: Peripheral,
    settings: &Settings,
    bus: tokio::runtime::Handle,
    held: OwnedMutexGuard<()>,
) -> Result<Ble> {
    // Subscribe to the disconnection first, so that it cannot be missed.
    let events = call("listening to the adapter", adapter.events()).await?;
    within(CONNECT, "finding the services", async { peripheral.discover_services().await.map_err(|e| explain(&e)) })
        .await?;
    let chosen = services::choose(&peripheral.services(), &settings.wanted)?;
    let writes = Writes::new(chosen.write.properties, peripheral.mtu().into(), settings)?;
    let values = call("listening to the device", peripheral.notifications()).await?;
    if let Some(notify) = &chosen.notify {
        call("subscribing", peripheral.subscribe(notify)).await?;
    }
    let (queue, incoming) = mpsc::channel(QUEUE);
    let (end, gone) = watch::channel(false);
    let notify = chosen.notify.as_ref().map(|c| c.uuid);
    let pump = bus.spawn(pump(peripheral.clone(), events, values, notify, queue, end));
    tracing::debug!(device = central::name_of(&peripheral), chunk = writes.chunk, ?writes.confirm, "connected");
    Ok(Ble {
        peripheral,
        chosen,
        writes,
        pace: settings.pace,
        confirmed: AtomicBool::new(false),
        incoming: tokio::sync::Mutex::new(incoming),
        gone,
        pump,
        bus,
        held: Some(held),
    })
}

type Events<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

async fn next<T>(stream: &mut Events<T>) -> Option<T> {
    std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await
}

/// Forwards notifications until the device disconnects.
async fn pump(
    peripheral: Peripheral,
    mut events: Events<CentralEvent>,
    mut values: Events<ValueNotification>,
    notify: Option<uuid::Uuid>,
    queue: mpsc::Sender<Vec<u8>>,
    end: watch::Sender<bool>,
) {
    let id = peripheral.id();
    let mut check = tokio::time::interval(CHECK);
    check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            value = next(&mut values) => match value {
                Some(value) if Some(value.uuid) == notify && !value.value.is_empty() => {
                    if queue.try_send(value.value).is_err() {
                        tracing::warn!("the notification queue is full; a notification is lost");
                    }
                }
                Some(_) => {}
                None => break,
            },
            event = next(&mut events) => match event {
                Some(CentralEvent::DeviceDisconnected(who)) if who == id => break,
                Some(_) => {}
                None => break,
            },
            _ = check.tick() => {
                let connected = tokio::time::timeout(CALL_TIMEOUT, peripheral.is_connected()).await;
                if !matches!(connected, Ok(Ok(true))) {
                    break;
                }
            }
        }
    }
    end.send_replace(true);
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the device disconnected").hint("is it switched on and near?")
}

impl Ble {
    async fn until_gone(&self) {
        self.gone.clone().wait_for(|gone| *gone).await.ok();
    }

    async fn write_all(&self, bytes: &[u8]) -> Result<()> {
        for (i, (chunk, kind)) in self.writes.of(bytes).enumerate() {
            let write = async { self.peripheral.write(&self.chosen.write, chunk, kind).await.map_err(|e| explain(&e)) };
            let written = within(WRITE, "a write", write).await;
            // Whether or not this write arrived, those before it may be on paper.
            written.map_err(|e| if i > 0 { e.with_effect(Effect::Unknown) } else { e })?;
            if kind == WriteType::WithResponse {
                self.confirmed.store(true, Ordering::Relaxed);
            }
            if !self.pace.is_zero() {
                tokio::time::sleep(self.pace).await;
            }
        }
        Ok(())
    }

    /// A disconnection during a write. A device that requires pairing disconnects without saying so.
    fn left(&self) -> Error {
        if self.confirmed.load(Ordering::Relaxed) || self.writes.confirm == Confirm::Never {
            return closed();
        }
        let device = central::name_of(&self.peripheral);
        Error::new(Kind::Closed, "the device disconnected before it confirmed a write").hint(format!(
            "is it switched on and near? If this happens each time, it requires pairing: with the option \
             `pair=true`, or `bluetoothctl pair {device}`"
        ))
    }
}

impl Link for Ble {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let sent = tokio::select! {
                biased;
                () = self.until_gone() => return Err(self.left()),
                sent = self.write_all(bytes) => sent,
            };
            let Err(error) = sent else { return Ok(()) };
            match tokio::time::timeout(NEWS, self.until_gone()).await {
                Ok(()) => Err(self.left().because(error)),
                Err(_) => Err(error),
            }
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            // Ends when the pump has ended, after everything that it forwarded.
            let chunk = self.incoming.lock().await.recv().await.ok_or_else(closed)?;
            into.extend_from_slice(&chunk);
            Ok(chunk.len())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if *self.gone.borrow() {
                return;
            }
            if self.writes.confirm == Confirm::Never {
                tokio::time::sleep(SETTLE).await;
            }
            leave(&self.peripheral).await;
            self.pump.abort();
        })
    }
}

impl Drop for Ble {
    fn drop(&mut self) {
        self.pump.abort();
        let (peripheral, held) = (self.peripheral.clone(), self.held.take());
        // The next link to this device has to wait for this disconnection, or it would be disconnected, too.
        self.bus.spawn(async move {
            if matches!(tokio::time::timeout(CALL_TIMEOUT, peripheral.is_connected()).await, Ok(Ok(true))) {
                leave(&peripheral).await;
            }
            drop(held);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: CharPropFlags = CharPropFlags::WRITE.union(CharPropFlags::WRITE_WITHOUT_RESPONSE);

    fn settings(query: &str) -> Result<Settings> {
        let address: Address = format!("escpos+ble://AA:BB:CC:DD:EE:FF?{query}").parse().expect("address");
        Settings::from_address(&address)
    }

    #[test]
    fn reads_its_options() {
        let all = "service=18F0&write=2AF1&notify=2AF0&mtu=100&response=true&pace=20&pair=true&adapter=hci1";
        let got = settings(all).expect("settings");
        assert_eq!((got.mtu, got.response, got.pace), (Some(100), Some(true), Duration::from_millis(20)));
        assert_eq!(got.wanted.write, services::parse("2af1"));
        assert_eq!((got.pair, got.adapter.as_deref()), (true, Some("hci1")));
        assert_eq!(settings("").expect("settings"), Settings::default());
        for query in ["service=printer", "mtu=22", "mtu=518", "mtu=big", "response=yes", "pace=-1", "pace=1001"] {
            let error = settings(query).expect_err(query);
            assert!(error.kind() == Kind::Address && error.to_string().contains(query), "{error}");
        }
    }

    #[test]
    fn cuts_into_what_the_device_takes() {
        let none = Settings::default();
        let few = Settings { mtu: Some(100), ..Settings::default() };
        for (mtu, settings, chunk) in [(23, &none, 20), (185, &none, 182), (517, &none, 510), (0, &none, 20)] {
            assert_eq!(Writes::new(BOTH, mtu, settings).expect("can").chunk, chunk, "MTU {mtu}");
        }
        assert_eq!(Writes::new(BOTH, 185, &few).expect("can").chunk, 97, "the address asks for less");
        assert_eq!(Writes::new(BOTH, 23, &few).expect("can").chunk, 20, "the device takes less");
        let writes = Writes::new(BOTH, 23, &none).expect("can");
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let joined: Vec<u8> = writes.of(&bytes).flat_map(|(chunk, _)| chunk.to_vec()).collect();
        assert_eq!(joined, bytes);
        assert!(writes.of(&bytes).all(|(chunk, _)| chunk.len() == 20));
        assert_eq!(writes.of(&[]).count(), 0);
    }

    #[test]
    fn confirms_as_the_device_can_and_the_address_says() {
        let confirmed = |properties, response: Option<bool>| -> Result<Vec<usize>> {
            let settings = Settings { response, ..Settings::default() };
            let bytes = [0; 40 * 20 + 1];
            let writes = Writes::new(properties, 23, &settings)?;
            let kinds = writes.of(&bytes).enumerate();
            Ok(kinds.filter(|(_, (_, kind))| *kind == WriteType::WithResponse).map(|(i, _)| i).collect())
        };
        let (w, c) = (CharPropFlags::WRITE, CharPropFlags::WRITE_WITHOUT_RESPONSE);
        assert_eq!(confirmed(BOTH, None).expect("can"), [15, 31, 40], "each 16th and the last of 41");
        assert_eq!(confirmed(BOTH, Some(true)).expect("can").len(), 41);
        assert_eq!(confirmed(BOTH, Some(false)).expect("can").len(), 0);
        assert_eq!(confirmed(w, None).expect("can").len(), 41);
        assert_eq!(confirmed(c, None).expect("can").len(), 0);
        for (properties, response) in [(c, Some(true)), (w, Some(false)), (CharPropFlags::READ, None)] {
            assert_eq!(confirmed(properties, response).expect_err("cannot").kind(), Kind::Unsupported);
        }
    }

    #[test]
    fn one_link_per_device() {
        let first = hold("AA:BB:CC:DD:EE:01").try_lock_owned().expect("free");
        assert!(hold("aa:bb:cc:dd:ee:01").try_lock_owned().is_err(), "the same device");
        assert!(hold("AA:BB:CC:DD:EE:02").try_lock_owned().is_ok(), "another");
        drop(first);
        assert!(hold("AA:BB:CC:DD:EE:01").try_lock_owned().is_ok(), "free again");
    }

    #[tokio::test]
    async fn without_bluetooth_it_says_what_to_do() {
        let started = std::time::Instant::now();
        let address: Address = "escpos+ble://02:00:00:00:00:01?adapter=hci99".parse().expect("address");
        let error = crate::link::open(&address).await.expect_err("no such adapter anywhere");
        assert_eq!(error.effect(), Effect::None);
        assert!(matches!(error.kind(), Kind::NotFound | Kind::Permission), "{error}");
        assert!(error.to_string().contains("02:00:00:00:00:01"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    }
}
