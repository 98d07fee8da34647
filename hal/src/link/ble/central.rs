//! The system's Bluetooth service: bus, adapters and errors, shared by the link and by discovery.

use std::fmt::Display;
use std::time::Duration;

use btleplug::api::{BDAddr, Central as _, CentralState, Manager as _, Peripheral as _, ScanFilter};
use btleplug::platform::{Adapter, Manager, Peripheral};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::{Effect, Error, Kind, Result, Retry};

/// The deadline for one call to the Bluetooth service.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The next step when a device does not answer.
const NEAR: &str = "is it switched on, near, and not connected to a phone or another till?";
/// How often a scan checks for new devices.
const LOOK: Duration = Duration::from_millis(250);

/// The connection to the Bluetooth service: one per process, because its task on the system bus lives as long as the
/// bus. It has its own thread, so that it outlives the runtime that connected first.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    manager: Manager,
    pub(crate) handle: Handle,
}

impl Session {
    /// Runs `work` on the Bluetooth thread, and aborts it when this future is dropped. Signal streams must not be
    /// dropped elsewhere: bluez-async 0.9 cleans up after them in a task that panics if a message arrives in between,
    /// which cannot happen on the thread that dispatches messages.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        struct Leave<T>(tokio::task::JoinHandle<T>);
        impl<T> Drop for Leave<T> {
            fn drop(&mut self) {
                self.0.abort();
            }
        }
        let mut task = Leave(self.handle.spawn(work));
        (&mut task.0).await.unwrap_or_else(|e| Err(Error::new(Kind::Io, "the Bluetooth thread ended").because(e)))
    }
}

static SESSION: Mutex<Option<Session>> = Mutex::const_new(None);

/// The process's session.
///
/// # Errors
/// There is no system bus, or it denies access; with the next step.
pub(crate) async fn session() -> Result<Session> {
    let mut held = SESSION.lock().await;
    if let Some(session) = &*held {
        return Ok(session.clone());
    }
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("bluetooth bus".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(e) => return drop(tell.send(Err(Error::from(e)))),
        };
        runtime.block_on(async {
            match Manager::new().await {
                Ok(manager) => {
                    tell.send(Ok(Session { manager, handle: Handle::current() })).ok();
                    std::future::pending::<()>().await;
                }
                Err(e) => drop(tell.send(Err(explain(&e)))),
            }
        });
    })?;
    let session = within(CALL_TIMEOUT, "connecting to the system bus", async {
        told.await.unwrap_or_else(|_| Err(Error::new(Kind::Io, "the Bluetooth thread ended")))
    })
    .await?;
    *held = Some(session.clone());
    Ok(session)
}

/// An adapter that is switched on: the one with this name (`hci1`), or the first.
///
/// # Errors
/// No bus, Bluetooth service or adapter, or all are switched off; each with the next step.
pub(crate) async fn adapter(session: &Session, name: Option<&str>) -> Result<Adapter> {
    let adapters = match call("listing the adapters", session.manager.adapters()).await {
        Ok(adapters) => adapters,
        Err(error) => {
            // The bus may have been restarted; the next attempt connects again.
            if error.kind() == Kind::Closed {
                SESSION.lock().await.take();
            }
            return Err(error);
        }
    };
    // The system lists them in no particular order.
    let mut named = Vec::new();
    for adapter in adapters {
        let info = call("asking the adapter", adapter.adapter_info()).await?;
        named.push((info.split(' ').next().unwrap_or_default().to_owned(), adapter));
    }
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (mut seen, mut off) = (Vec::new(), None);
    for (id, adapter) in named {
        seen.push(id.clone());
        if name.is_some_and(|name| name != id) {
            continue;
        }
        if call("asking the adapter", adapter.adapter_state()).await? != CentralState::PoweredOff {
            return Ok(adapter);
        }
        off = off.or(Some(id));
    }
    Err(match (off, name) {
        (Some(id), _) => Error::new(Kind::NotFound, format!("the Bluetooth adapter {id} is switched off"))
            .with_retry(Retry::AfterOperator)
            .hint("`rfkill unblock bluetooth`, then `bluetoothctl power on`"),
        (None, Some(name)) => {
            let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(", ") };
            Error::new(Kind::NotFound, format!("no Bluetooth adapter {name}; present are {seen}"))
        }
        (None, None) => Error::new(Kind::NotFound, "this computer has no Bluetooth adapter")
            .hint("plug one in; `bluetoothctl list` shows those that the system has"),
    })
}

/// The device's name in addresses: its Bluetooth address, or the system's identifier if it hides that.
pub(crate) fn name_of(device: &Peripheral) -> String {
    let address = device.address();
    if address == BDAddr::default() { device.id().to_string() } else { address.to_string().to_ascii_uppercase() }
}

/// Finds a device: among those that the system knows, unless `fresh`, or else by scanning for at most `limit`.
///
/// # Errors
/// [`Kind::NotFound`] if it does not advertise.
pub(crate) async fn find(adapter: &Adapter, device: &str, limit: Duration, fresh: bool) -> Result<Peripheral> {
    let look = async || {
        let known = call("listing the devices", adapter.peripherals()).await?;
        Ok::<_, Error>(known.into_iter().find(|p| name_of(p).eq_ignore_ascii_case(device)))
    };
    if !fresh && let Some(found) = look().await? {
        return Ok(found);
    }
    let _scan = Scan::start(adapter).await?;
    let until = tokio::time::Instant::now() + limit;
    let mut remembered = None;
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        match look().await? {
            Some(found) if !fresh || is_near(&found).await => return Ok(found),
            other => remembered = other,
        }
    }
    // Some controllers do not report signal strength; then the attempt to connect decides.
    remembered.ok_or_else(|| {
        Error::new(Kind::NotFound, format!("not seen within {} s of scanning", limit.as_secs())).hint(NEAR)
    })
}

/// Whether its advertisements are being received. A remembered device has no signal strength; after the scan none has.
async fn is_near(device: &Peripheral) -> bool {
    let properties = tokio::time::timeout(CALL_TIMEOUT, device.properties()).await;
    matches!(properties, Ok(Ok(Some(p))) if p.rssi.is_some())
}

/// A scan that ends when it is dropped.
pub(crate) struct Scan {
    adapter: Adapter,
}

impl Scan {
    /// Starts scanning.
    pub(crate) async fn start(adapter: &Adapter) -> Result<Self> {
        call("starting to scan", adapter.start_scan(ScanFilter::default())).await?;
        Ok(Self { adapter: adapter.clone() })
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        if let Ok(runtime) = Handle::try_current() {
            let adapter = self.adapter.clone();
            runtime.spawn(async move { tokio::time::timeout(CALL_TIMEOUT, adapter.stop_scan()).await.ok() });
        }
    }
}

/// One call to the Bluetooth service, with a deadline.
pub(crate) async fn call<T>(what: &str, question: impl Future<Output = btleplug::Result<T>>) -> Result<T> {
    within(CALL_TIMEOUT, what, async { question.await.map_err(|e| explain(&e)) }).await
}

/// Runs `work` for at most `limit`.
pub(crate) async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Error::new(Kind::Timeout, format!("{what} took longer than {} s", limit.as_secs()))))
}

/// Converts an error. D-Bus has named errors; the other systems have kinds.
pub(crate) fn explain(error: &btleplug::Error) -> Error {
    use btleplug::Error as E;
    match error {
        E::PermissionDenied => classify("AccessDenied", error),
        E::DeviceNotFound => classify("UnknownObject", error),
        E::NotConnected => classify("NotConnected", error),
        E::NoAdapterAvailable => Error::new(Kind::NotFound, "this computer has no Bluetooth adapter"),
        E::TimedOut(_) => classify("NoReply", error),
        // `Debug` includes the D-Bus name, unlike `Display`.
        other => classify(&format!("{other} {other:?}"), error),
    }
}

fn classify(text: &str, error: impl Display) -> Error {
    let has = |names: &[&str]| names.iter().any(|name| text.contains(name));
    let because = |kind, what: &str| Error::new(kind, what).because(error.to_string());
    if has(&["DBus.Error.FileNotFound", "DBus.Error.NoServer", "Failed to connect to socket"]) {
        because(Kind::NotFound, "there is no D-Bus system bus, which Bluetooth needs")
            .with_retry(Retry::AfterOperator)
            .hint("install and start D-Bus and BlueZ: `sudo apt install dbus bluez`, `sudo systemctl start bluetooth`")
    } else if has(&["ServiceUnknown", "NameHasNoOwner", "Spawn.", "TimedOut:"]) {
        because(Kind::NotFound, "the Bluetooth service is not running")
            .with_retry(Retry::AfterOperator)
            .hint("`sudo apt install bluez`, `sudo systemctl enable --now bluetooth`")
    } else if has(&["AccessDenied", "NotAuthorized"]) {
        because(Kind::Permission, "this user may not use Bluetooth")
            .hint("add the user to the group: `sudo usermod -aG bluetooth $USER`, then log in again")
    } else if has(&[
        "AuthenticationFailed",
        "AuthenticationRejected",
        "AuthenticationCanceled",
        "AuthenticationTimeout",
        "Insufficient",
        "Paired",
    ]) {
        because(Kind::Permission, "the device requires pairing")
            .hint("pair it once: `bluetoothctl pair ADDRESS`, or the option `pair=true` if it needs no code")
    } else if has(&["NotReady"]) {
        because(Kind::NotFound, "the Bluetooth adapter is switched off")
            .with_retry(Retry::AfterOperator)
            .hint("`rfkill unblock bluetooth`, then `bluetoothctl power on`")
    } else if has(&["DBus.Error.Disconnected", "Connection lost"]) {
        because(Kind::Closed, "the connection to the system bus was lost")
    } else if has(&["NotConnected", "Not connected", "UnknownObject", "UnknownMethod", "UnknownInterface"]) {
        because(Kind::Closed, "the device is no longer connected")
    } else if has(&["NoReply", "ATT error: 0x0e"]) {
        because(Kind::Timeout, "no answer in time")
    } else if has(&["InProgress"]) {
        because(Kind::Busy, "Bluetooth is busy with this device")
    } else {
        because(Kind::Io, "Bluetooth reports a fault")
    }
}

/// Pairing by BlueZ, which btleplug lacks. `device` is btleplug's identifier,
/// `hci0/dev_AA_BB_CC_DD_EE_FF`.
#[cfg(target_os = "linux")]
mod bluez {
    use bluez_async::{BluetoothError, BluetoothSession, DeviceId};

    use super::*;

    /// A person may have to press the device's button.
    const PAIR: Duration = Duration::from_secs(30);
    static BLUEZ: Mutex<Option<BluetoothSession>> = Mutex::const_new(None);

    fn fault(error: BluetoothError) -> Error {
        explain(&error.into())
    }

    async fn bluez(session: &Session) -> Result<BluetoothSession> {
        let mut held = BLUEZ.lock().await;
        if let Some(bluez) = &*held {
            return Ok(bluez.clone());
        }
        // Its task on the bus has to run on the permanent thread.
        let opening = session.handle.spawn(async { BluetoothSession::new().await.map(|(_, bluez)| bluez) });
        let ended = |_| Error::new(Kind::Io, "the Bluetooth thread ended");
        Ok(held.insert(opening.await.map_err(ended)?.map_err(fault)?).clone())
    }

    /// Whether the system is paired with the device.
    pub(crate) async fn is_paired(session: &Session, device: &str) -> Result<bool> {
        let id: DeviceId = device.parse().map_err(fault)?;
        let bluez = bluez(session).await?;
        within(CALL_TIMEOUT, "asking for the pairing", async {
            Ok(bluez.get_device_info(&id).await.map_err(fault)?.paired)
        })
        .await
    }

    /// Pairs with a device that needs no code. This needs no agent: without one, BlueZ reports NoInputNoOutput, which
    /// is correct, and prompts nobody.
    pub(crate) async fn pair(session: &Session, device: &str) -> Result<()> {
        let id: DeviceId = device.parse().map_err(fault)?;
        let bluez = bluez(session).await?;
        within(PAIR, "pairing", async { bluez.pair_with_timeout(&id, PAIR).await.map_err(fault) }).await
    }
}

#[cfg(target_os = "linux")]
pub(crate) use bluez::{is_paired, pair};

/// Systems that pair by themselves do not reveal their pairings.
#[cfg(not(target_os = "linux"))]
pub(crate) async fn is_paired(_: &Session, _: &str) -> Result<bool> {
    Ok(false)
}

#[cfg(not(target_os = "linux"))]
pub(crate) async fn pair(_: &Session, _: &str) -> Result<()> {
    Err(Error::new(Kind::Unsupported, "option `pair`: this system pairs by itself when the device asks"))
}

/// Converts an error of pairing with `device`.
pub(crate) fn not_paired(error: Error, device: &str) -> Error {
    if error.kind() != Kind::Permission {
        return not_connected(error);
    }
    Error::new(Kind::Permission, "pairing failed").because(error.to_string()).hint(format!(
        "have the device ready to be paired, as its manual says; if it knows this computer from before, have it \
         forget its pairings; if it needs a code, `bluetoothctl pair {device}`"
    ))
}

/// Whether the system itself aborted the connection attempt, as it does when the device rejects the key of a pairing:
/// `le-connection-abort-by-local` (seen with BlueZ 5.66), or what ECONNABORTED reads as.
pub(crate) fn is_given_up(error: &Error) -> bool {
    // Including causes, which have the system's text.
    let text = format!("{error:#}");
    ["abort-by-local", "Software caused connection abort"].iter().any(|said| text.contains(said))
}

/// That error, for a `device` that is paired here.
pub(crate) fn pairing_lost(error: Error, device: &str) -> Error {
    Error::new(Kind::Permission, "the device is paired here, but rejects the connection").because(error).hint(format!(
        "if it was reset, or paired with another computer since: `bluetoothctl remove {device}`, then pair it anew \
             (the option `pair=true` does it)"
    ))
}

/// Converts an error of connecting: nothing has been sent yet.
pub(crate) fn not_connected(error: Error) -> Error {
    let error = error.with_effect(Effect::None);
    match error.kind() {
        Kind::Io | Kind::Timeout | Kind::Closed => {
            Error::new(Kind::NotFound, "the device does not accept the connection").because(error).hint(NEAR)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_next_step_for_what_the_bus_says() {
        // Error names from the D-Bus specification and BlueZ's src/error.c and doc/.
        for (text, kind, step) in [
            (
                "Failed to connect to socket /run/dbus/system_bus_socket: No such file or directory \
                 (org.freedesktop.DBus.Error.FileNotFound)",
                Kind::NotFound,
                "systemctl start bluetooth",
            ),
            ("(org.freedesktop.DBus.Error.ServiceUnknown)", Kind::NotFound, "systemctl enable --now bluetooth"),
            ("(org.freedesktop.DBus.Error.AccessDenied)", Kind::Permission, "usermod -aG bluetooth"),
            ("(org.bluez.Error.AuthenticationFailed)", Kind::Permission, "pair=true"),
            ("(org.bluez.Error.NotReady)", Kind::NotFound, "power on"),
            ("(org.bluez.Error.NotConnected)", Kind::Closed, ""),
            ("(org.freedesktop.DBus.Error.NoReply)", Kind::Timeout, ""),
            ("(org.bluez.Error.InProgress)", Kind::Busy, ""),
            ("(org.bluez.Error.Failed)", Kind::Io, ""),
        ] {
            let error = classify(text, "as the bus says");
            assert_eq!(error.kind(), kind, "{text}");
            assert!(format!("{error:#}").contains("as the bus says"), "{error}");
            assert!(error.next_step().unwrap_or_default().contains(step), "{text}: {error}");
        }
    }

    #[test]
    fn names_the_next_step_for_a_pairing_that_fails() {
        let device = "AA:BB:CC:DD:EE:FF";
        let refused = not_paired(classify("(org.bluez.Error.AuthenticationFailed)", "Authentication Failed"), device);
        assert_eq!((refused.kind(), refused.effect()), (Kind::Permission, Effect::None));
        assert!(refused.to_string().contains("bluetoothctl pair AA:BB:CC:DD:EE:FF"), "{refused}");
        let absent = not_paired(classify("(org.bluez.Error.ConnectionAttemptFailed)", "Page Timeout"), device);
        assert_eq!(absent.kind(), Kind::NotFound, "{absent}");

        let given_up = classify("(org.bluez.Error.Failed)", "le-connection-abort-by-local");
        assert!(is_given_up(&given_up) && !is_given_up(&classify("(org.bluez.Error.NoReply)", "no reply")));
        let lost = pairing_lost(given_up, device);
        assert_eq!((lost.kind(), lost.effect()), (Kind::Permission, Effect::None));
        assert!(lost.to_string().contains("bluetoothctl remove AA:BB:CC:DD:EE:FF"), "{lost}");
    }

    #[test]
    fn a_failed_connection_has_done_nothing() {
        let error = not_connected(classify("org.bluez.Error.Failed", "Host is down"));
        assert_eq!((error.kind(), error.effect()), (Kind::NotFound, Effect::None));
        assert!(format!("{error:#}").contains("Host is down"), "{error}");
    }
}
