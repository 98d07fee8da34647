//! The libusb backend: blocking calls on threads of their own.
//!
//! libusb splits a long write into transfers that are in flight together, so long slices keep the bus busy. Each slice
//! ends after [`SLICE_TIME`] at the latest: a dropped `send` ends its thread then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusb::{DeviceHandle, Direction, GlobalContext, TransferType};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::spawn_blocking;

use super::{Alternate, CLOSE_TIMEOUT, CONTROL_TIMEOUT, Fault, Identity, STALLS_MAX, Settings, TRANSFER, closed};
use crate::address::UsbId;
use crate::link::choose::{Candidate, choose};
use crate::{Effect, Error, Kind, Result};

/// The length of a slice in bytes.
const SLICE: usize = 1024 * 1024;
/// The longest time that a slice may take.
const SLICE_TIME: Duration = Duration::from_millis(250);
/// Class request to an interface, from and to the device.
const REQUEST_IN: u8 = 0xa1;
const REQUEST_OUT: u8 = 0x21;

type Handle = Arc<DeviceHandle<GlobalContext>>;
type Chunk = Result<Vec<u8>, rusb::Error>;

pub(super) struct Port {
    device: Candidate,
    found: Alternate,
    handle: std::sync::Mutex<Option<Handle>>,
    out: Arc<Mutex<()>>,
    input: Mutex<Option<mpsc::Receiver<Chunk>>>,
    reader: OnceLock<()>,
    stop: Arc<AtomicBool>,
    closed: watch::Sender<bool>,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub(super) async fn open(id: &UsbId, settings: &Settings) -> Result<(Port, Identity)> {
    let (id, settings) = (id.clone(), settings.clone());
    blocking(move || open_now(&id, &settings)).await
}

fn open_now(id: &UsbId, settings: &Settings) -> Result<(Port, Identity)> {
    let devices = rusb::devices().map_err(|e| {
        Error::new(Kind::NotFound, "this system has no USB bus").because(e).hint("does this computer have USB ports?")
    })?;
    let mut alike = Vec::new();
    for device in devices.iter() {
        let Ok(about) = device.device_descriptor() else { continue };
        if (about.vendor_id(), about.product_id()) == (id.vendor, id.product) {
            let candidate = candidate(&device, &about);
            alike.push((device, candidate));
        }
    }
    let candidates: Vec<Candidate> = alike.iter().map(|(_, candidate)| candidate.clone()).collect();
    let (device, candidate) = alike.swap_remove(choose(&candidates, id, settings.port.as_deref())?);
    let fail = |e| explain(e, &candidate).with_effect(Effect::None);
    let handle = device.open().map_err(fail)?;
    let found = super::find_interface(&alternates(&device).map_err(fail)?, settings.interface)?;
    match handle.set_auto_detach_kernel_driver(true) {
        Ok(()) | Err(rusb::Error::NotSupported) => {}
        Err(e) => return Err(fail(e)),
    }
    handle.claim_interface(found.interface).map_err(fail)?;
    if found.alternate != 0 {
        handle.set_alternate_setting(found.interface, found.alternate).map_err(fail)?;
    }
    let identity = Identity {
        id: UsbId { vendor: candidate.vendor, product: candidate.product, serial: candidate.serial.clone() },
        port: candidate.port.clone(),
        name: candidate.name.clone(),
        interface: found.interface,
    };
    let port = Port {
        device: candidate,
        found,
        handle: std::sync::Mutex::new(Some(Arc::new(handle))),
        out: Arc::default(),
        input: Mutex::new(None),
        reader: OnceLock::new(),
        stop: Arc::default(),
        closed: watch::Sender::new(false),
    };
    Ok((port, identity))
}

impl Port {
    pub(super) fn alternate(&self) -> u8 {
        self.found.alternate
    }

    pub(super) async fn send(&self, bytes: &[u8]) -> Result<()> {
        // Held by the thread while it writes: the next send has to wait for that, even if this one is dropped.
        let mut turn = self.out.clone().lock_owned().await;
        let endpoint = self.found.bulk_out.expect("only interfaces with one are claimed");
        // Set when this future is dropped, so that the thread ends after its slice.
        let dropped = Raise(Arc::default());
        let mut done = 0;
        while done < bytes.len() {
            let handle = self.handle()?;
            let slice = bytes[done..bytes.len().min(done + SLICE)].to_vec();
            let (stop, gone) = (self.stop.clone(), dropped.0.clone());
            let work = move || {
                let (sent, fault) = write(&handle, endpoint, &slice, || stopped(&stop) || stopped(&gone));
                Ok((turn, sent, fault))
            };
            let (sent, fault);
            (turn, sent, fault) = blocking(work).await?;
            done += sent;
            match fault {
                None if sent == 0 => return Err(closed()),
                None => {}
                Some(rusb::Error::Pipe) => {
                    let handle = self.handle()?;
                    blocking(move || Ok(handle.clear_halt(endpoint))).await?.ok();
                    return Err(Error::new(
                        Kind::Io,
                        "the device stalled, and libusb cannot tell how much it had accepted",
                    )
                    .hint("the backend `nusb` resumes after a stall"));
                }
                Some(fault) => {
                    let error = explain(fault, &self.device);
                    let short = done > 0 && done + SLICE < bytes.len();
                    return Err(if short { error.with_effect(Effect::Partial) } else { error });
                }
            }
        }
        drop(turn);
        Ok(())
    }

    pub(super) async fn recv(&self, into: &mut Vec<u8>) -> Result<usize> {
        let mut closing = self.closed.subscribe();
        let mut input = self.input.lock().await;
        if self.reader.get().is_none() {
            *input = self.start_reader()?;
            self.reader.get_or_init(|| ());
        }
        let next = async {
            match input.as_mut() {
                Some(chunks) => chunks.recv().await,
                // A unidirectional printer.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            chunk = next => {
                let chunk = chunk.ok_or_else(closed)?.map_err(|e| explain(e, &self.device))?;
                into.extend_from_slice(&chunk);
                Ok(chunk.len())
            }
            _ = closing.wait_for(|closed| *closed) => Err(closed()),
        }
    }

    fn start_reader(&self) -> Result<Option<mpsc::Receiver<Chunk>>> {
        let Some(endpoint) = self.found.bulk_in else { return Ok(None) };
        let (handle, stop) = (self.handle()?, self.stop.clone());
        let (to, from) = mpsc::channel(16);
        std::thread::Builder::new().name("tresen-usb".into()).spawn(move || {
            let (mut buffer, mut stalls) = (vec![0; TRANSFER], 0);
            while !stopped(&stop) {
                match handle.read_bulk(endpoint, &mut buffer, SLICE_TIME) {
                    Ok(0) | Err(rusb::Error::Timeout | rusb::Error::Interrupted) => {}
                    Ok(n) => {
                        stalls = 0;
                        if to.blocking_send(Ok(buffer[..n].to_vec())).is_err() {
                            break;
                        }
                    }
                    Err(rusb::Error::Pipe) if stalls < STALLS_MAX => {
                        stalls += 1;
                        handle.clear_halt(endpoint).ok();
                    }
                    Err(e) => {
                        to.blocking_send(Err(e)).ok();
                        break;
                    }
                }
            }
        })?;
        Ok(Some(from))
    }

    pub(super) async fn control_in(&self, request: u8, index: u16, length: u16) -> Result<Vec<u8>> {
        let handle = self.handle()?;
        let answer = blocking(move || {
            let mut buffer = vec![0; length.into()];
            Ok(handle.read_control(REQUEST_IN, request, 0, index, &mut buffer, CONTROL_TIMEOUT).map(|n| {
                buffer.truncate(n);
                buffer
            }))
        });
        answer.await?.map_err(|e| explain(e, &self.device))
    }

    pub(super) async fn control_out(&self, request: u8, index: u16) -> Result<()> {
        let handle = self.handle()?;
        let answer = blocking(move || Ok(handle.write_control(REQUEST_OUT, request, 0, index, &[], CONTROL_TIMEOUT)));
        answer.await?.map(|_| ()).map_err(|e| explain(e, &self.device))
    }

    pub(super) async fn close(&self) {
        self.closed.send_replace(true);
        self.stop.store(true, Ordering::Relaxed);
        let ended = async {
            let _turn = self.out.lock().await;
            // The channel ends when the reader's thread does.
            if let Some(mut chunks) = self.input.lock().await.take() {
                while chunks.recv().await.is_some() {}
            }
        };
        tokio::time::timeout(CLOSE_TIMEOUT, ended).await.ok();
        let handle = self.handle.lock().expect("no holder of this lock panics").take();
        let number = self.found.interface;
        let release = move || {
            if let Some(handle) = handle {
                // Gives the interface back to the kernel's driver, if it had one.
                handle.release_interface(number).ok();
            }
        };
        spawn_blocking(release).await.ok();
    }

    fn handle(&self) -> Result<Handle> {
        self.handle.lock().expect("no holder of this lock panics").clone().ok_or_else(closed)
    }
}

/// Sets its flag when dropped.
struct Raise(Arc<AtomicBool>);

impl Drop for Raise {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn stopped(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

/// Writes until all is accepted, something fails or `stop` is set; returns how much was accepted.
fn write(
    handle: &DeviceHandle<GlobalContext>,
    endpoint: u8,
    bytes: &[u8],
    stop: impl Fn() -> bool,
) -> (usize, Option<rusb::Error>) {
    let mut done = 0;
    while done < bytes.len() && !stop() {
        match handle.write_bulk(endpoint, &bytes[done..], SLICE_TIME) {
            Ok(n) => done += n,
            Err(rusb::Error::Timeout | rusb::Error::Interrupted) => {}
            Err(e) => return (done, Some(e)),
        }
    }
    (done, None)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.map_err(|e| Error::new(Kind::Cancelled, "the runtime is shutting down").because(e))?
}

fn candidate(device: &rusb::Device<GlobalContext>, about: &rusb::DeviceDescriptor) -> Candidate {
    let ports: Vec<String> = device.port_numbers().unwrap_or_default().iter().map(u8::to_string).collect();
    let port = format!("{}-{}", device.bus_number(), ports.join("."));
    // Reading a string from the device needs permission to open it; Linux has read them already.
    let cached = |what: &str| {
        let text = std::fs::read_to_string(format!("/sys/bus/usb/devices/{port}/{what}")).ok()?;
        Some(text.trim_end_matches('\n').to_owned()).filter(|t| !t.is_empty())
    };
    let (serial, name) = if cfg!(target_os = "linux") {
        let names: Vec<String> = [cached("manufacturer"), cached("product")].into_iter().flatten().collect();
        (cached("serial"), names.join(" "))
    } else {
        let open = device.open().ok();
        let serial = open.as_ref().and_then(|h| h.read_serial_number_string_ascii(about).ok());
        let name = open.as_ref().and_then(|h| h.read_product_string_ascii(about).ok());
        (serial.filter(|s| !s.is_empty()), name.unwrap_or_default())
    };
    Candidate { vendor: about.vendor_id(), product: about.product_id(), serial, port, name }
}

fn alternates(device: &rusb::Device<GlobalContext>) -> rusb::Result<Vec<Alternate>> {
    let configuration = device.active_config_descriptor()?;
    let mut all = Vec::new();
    for setting in configuration.interfaces().flat_map(|interface| interface.descriptors()) {
        let bulk = |direction| {
            let mut endpoints = setting.endpoint_descriptors();
            let found = endpoints.find(|e| e.transfer_type() == TransferType::Bulk && e.direction() == direction);
            found.map(|e| e.address())
        };
        all.push(Alternate {
            interface: setting.interface_number(),
            alternate: setting.setting_number(),
            class: setting.class_code(),
            protocol: setting.protocol_code(),
            bulk_out: bulk(Direction::Out),
            bulk_in: bulk(Direction::In),
        });
    }
    Ok(all)
}

fn explain(error: rusb::Error, device: &Candidate) -> Error {
    let fault = match error {
        // An unplugged cable shows as either.
        rusb::Error::NoDevice | rusb::Error::Io | rusb::Error::NotFound => Fault::Gone,
        rusb::Error::Pipe => Fault::Stall,
        rusb::Error::Timeout => Fault::Timeout,
        rusb::Error::Access => Fault::Permission,
        rusb::Error::Busy => Fault::Busy,
        _ => Fault::Other,
    };
    super::explain(fault, error, device)
}
