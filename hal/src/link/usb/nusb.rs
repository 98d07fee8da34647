//! The nusb backend: asynchronous transfers, several in flight.

use nusb::descriptors::TransferType;
use nusb::transfer::{Buffer, Bulk, ControlIn, ControlOut, ControlType, Direction, In, Out, Recipient, TransferError};
use nusb::{Device, DeviceInfo, Endpoint, ErrorKind, Interface};
use tokio::sync::{Mutex, watch};

use super::{Alternate, CLOSE_TIMEOUT, CONTROL_TIMEOUT, Fault, Identity, STALLS_MAX, Settings, TRANSFER, closed};
use crate::address::UsbId;
use crate::link::choose::{Candidate, choose};
use crate::{Effect, Error, Kind, Result};

/// Transfers in flight in each direction: enough to keep the bus busy while one is refilled.
const OUT_IN_FLIGHT: usize = 8;
const IN_IN_FLIGHT: usize = 2;

pub(super) struct Port {
    device: Candidate,
    alternate: u8,
    interface: std::sync::Mutex<Option<Interface>>,
    out: Mutex<Option<Endpoint<Bulk, Out>>>,
    input: Mutex<Option<Endpoint<Bulk, In>>>,
    closed: watch::Sender<bool>,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("device", &self.device).finish_non_exhaustive()
    }
}

pub(super) async fn open(id: &UsbId, settings: &Settings) -> Result<(Port, Identity)> {
    let devices: Vec<DeviceInfo> = nusb::list_devices()
        .await
        .map_err(|e| {
            Error::new(Kind::NotFound, "this system has no USB bus")
                .because(e)
                .hint("does this computer have USB ports?")
        })?
        .collect();
    let candidates: Vec<Candidate> = devices.iter().map(candidate).collect();
    let chosen = choose(&candidates, id, settings.port.as_deref())?;
    let (info, candidate) = (&devices[chosen], candidates[chosen].clone());
    let device = info.open().await.map_err(|e| explain(e, &candidate))?;
    let found = super::find_interface(&alternates(&device, &candidate)?, settings.interface)?;
    let interface = device.detach_and_claim_interface(found.interface).await.map_err(|e| explain(e, &candidate))?;
    if found.alternate != 0 {
        interface.set_alt_setting(found.alternate).await.map_err(|e| explain(e, &candidate))?;
    }
    let out = found.bulk_out.map(|address| interface.endpoint(address)).transpose();
    let input = found.bulk_in.map(|address| interface.endpoint(address)).transpose();
    let identity = Identity {
        id: UsbId { vendor: candidate.vendor, product: candidate.product, serial: candidate.serial.clone() },
        port: candidate.port.clone(),
        name: candidate.name.clone(),
        interface: found.interface,
    };
    let port = Port {
        out: Mutex::new(out.map_err(|e| explain(e, &candidate))?),
        input: Mutex::new(input.map_err(|e| explain(e, &candidate))?),
        interface: std::sync::Mutex::new(Some(interface)),
        alternate: found.alternate,
        device: candidate,
        closed: watch::Sender::new(false),
    };
    Ok((port, identity))
}

impl Port {
    pub(super) fn alternate(&self) -> u8 {
        self.alternate
    }

    pub(super) async fn send(&self, bytes: &[u8]) -> Result<()> {
        let mut closing = self.closed.subscribe();
        let mut out = self.out.lock().await;
        let out = out.as_mut().ok_or_else(closed)?;
        tokio::select! {
            biased;
            _ = closing.wait_for(|closed| *closed) => Err(closed()),
            sent = self.send_all(out, bytes) => sent,
        }
    }

    async fn send_all(&self, out: &mut Endpoint<Bulk, Out>, bytes: &[u8]) -> Result<()> {
        while out.pending() > 0 {
            // Left over from a dropped send.
            out.next_complete().await;
        }
        let (mut done, mut stalls) = (0, 0);
        while done < bytes.len() {
            let pass = transfer(out, &bytes[done..]).await;
            done += pass.accepted;
            match pass.fault {
                None => {}
                Some(TransferError::Stall) if pass.accepted > 0 || stalls < STALLS_MAX => {
                    stalls = if pass.accepted > 0 { 0 } else { stalls + 1 };
                    tracing::debug!(device = %self.device, done, "stalled, clearing");
                    out.clear_halt().await.map_err(|e| explain(e, &self.device))?;
                }
                Some(fault) => {
                    let short = done > 0 && done - pass.accepted + pass.began < bytes.len();
                    let error = match fault {
                        TransferError::Stall => {
                            Error::new(Kind::Io, "the device stalls and accepts no more data").because(fault)
                        }
                        fault => refused(fault, &self.device),
                    };
                    return Err(if short { error.with_effect(Effect::Partial) } else { error });
                }
            }
        }
        Ok(())
    }

    pub(super) async fn recv(&self, into: &mut Vec<u8>) -> Result<usize> {
        let mut closing = self.closed.subscribe();
        let mut input = self.input.lock().await;
        if *closing.borrow() {
            return Err(closed());
        }
        let Some(input) = input.as_mut() else {
            // A unidirectional printer sends nothing, until the link is closed.
            closing.wait_for(|closed| *closed).await.ok();
            return Err(closed());
        };
        let mut stalls = 0;
        loop {
            while input.pending() < IN_IN_FLIGHT {
                let packet = input.max_packet_size();
                input.submit(Buffer::new(TRANSFER.div_ceil(packet) * packet));
            }
            let done = tokio::select! {
                biased;
                done = input.next_complete() => done,
                _ = closing.wait_for(|closed| *closed) => return Err(closed()),
            };
            let bytes = &done.buffer[..done.actual_len];
            if !bytes.is_empty() {
                // If a fault ended the transfer, the next one reports it again.
                into.extend_from_slice(bytes);
                return Ok(bytes.len());
            }
            match done.status {
                Ok(()) => {} // A zero-length packet.
                Err(TransferError::Stall) if stalls < STALLS_MAX => {
                    stalls += 1;
                    cancel(input).await;
                    input.clear_halt().await.map_err(|e| explain(e, &self.device))?;
                }
                Err(TransferError::Stall) => {
                    return Err(Error::new(Kind::Io, "the device stalls on every read"));
                }
                Err(fault) => return Err(refused(fault, &self.device)),
            }
        }
    }

    pub(super) async fn control_in(&self, request: u8, index: u16, length: u16) -> Result<Vec<u8>> {
        let interface = self.interface()?;
        let (control_type, recipient) = (ControlType::Class, Recipient::Interface);
        let setup = ControlIn { control_type, recipient, request, value: 0, index, length };
        interface.control_in(setup, CONTROL_TIMEOUT).await.map_err(|e| explain_control(e, &self.device))
    }

    pub(super) async fn control_out(&self, request: u8, index: u16) -> Result<()> {
        let interface = self.interface()?;
        let (control_type, recipient) = (ControlType::Class, Recipient::Interface);
        let setup = ControlOut { control_type, recipient, request, value: 0, index, data: &[] };
        interface.control_out(setup, CONTROL_TIMEOUT).await.map_err(|e| explain_control(e, &self.device))
    }

    pub(super) async fn close(&self) {
        self.closed.send_replace(true);
        let cancelled = async {
            let mut input = self.input.lock().await;
            if let Some(mut input) = input.take() {
                cancel(&mut input).await;
            }
            let mut out = self.out.lock().await;
            if let Some(mut out) = out.take() {
                cancel(&mut out).await;
            }
        };
        tokio::time::timeout(CLOSE_TIMEOUT, cancelled).await.ok();
        // Releases the interface and gives it back to the kernel's driver, if it had one.
        let interface = self.interface.lock().expect("no holder of this lock panics").take();
        if let Some(interface) = interface {
            tokio::task::spawn_blocking(move || drop(interface)).await.ok();
        }
    }

    fn interface(&self) -> Result<Interface> {
        self.interface.lock().expect("no holder of this lock panics").clone().ok_or_else(closed)
    }
}

/// One pass over `bytes`, up to the first fault.
struct Pass {
    /// How many bytes the device has certainly accepted.
    accepted: usize,
    /// How many bytes it was offered.
    began: usize,
    fault: Option<TransferError>,
}

async fn transfer(out: &mut Endpoint<Bulk, Out>, bytes: &[u8]) -> Pass {
    let mut pass = Pass { accepted: 0, began: 0, fault: None };
    let mut whole = true;
    loop {
        while whole && pass.began < bytes.len() && out.pending() < OUT_IN_FLIGHT {
            let end = bytes.len().min(pass.began + TRANSFER);
            out.submit(bytes[pass.began..end].to_vec().into());
            pass.began = end;
        }
        if out.pending() == 0 {
            return pass;
        }
        let done = out.next_complete().await;
        // After a fault or a short transfer nothing more is submitted, and transfers in flight are
        // cancelled. If the device accepted some of those, it does not have a prefix of `bytes`.
        if whole {
            pass.accepted += done.actual_len;
            pass.fault = done.status.err();
            whole = pass.fault.is_none() && done.actual_len == done.buffer.len();
            if !whole {
                out.cancel_all();
            }
        } else if done.actual_len > 0 {
            pass.fault = Some(TransferError::Unknown(0));
        }
    }
}

async fn cancel<D: nusb::transfer::EndpointDirection>(endpoint: &mut Endpoint<Bulk, D>) {
    endpoint.cancel_all();
    while endpoint.pending() > 0 {
        endpoint.next_complete().await;
    }
}

pub(crate) fn candidate(info: &DeviceInfo) -> Candidate {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let bus = info.busnum().to_string();
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let bus = info.bus_id().to_owned();
    let ports: Vec<String> = info.port_chain().iter().map(u8::to_string).collect();
    let names: Vec<&str> = [info.manufacturer_string(), info.product_string()].into_iter().flatten().collect();
    Candidate {
        vendor: info.vendor_id(),
        product: info.product_id(),
        serial: info.serial_number().filter(|s| !s.is_empty()).map(str::to_owned),
        port: format!("{bus}-{}", ports.join(".")),
        name: names.join(" "),
    }
}

fn alternates(device: &Device, candidate: &Candidate) -> Result<Vec<Alternate>> {
    let configuration = device.active_configuration().map_err(|e| explain(e.into(), candidate))?;
    let bulk = |setting: &nusb::descriptors::InterfaceDescriptor<'_>, direction| {
        let mut endpoints = setting.endpoints();
        let found = endpoints.find(|e| e.transfer_type() == TransferType::Bulk && e.direction() == direction);
        found.map(|e| e.address())
    };
    Ok(configuration
        .interface_alt_settings()
        .map(|setting| Alternate {
            interface: setting.interface_number(),
            alternate: setting.alternate_setting(),
            class: setting.class(),
            protocol: setting.protocol(),
            bulk_out: bulk(&setting, Direction::Out),
            bulk_in: bulk(&setting, Direction::In),
        })
        .collect())
}

fn explain(error: nusb::Error, device: &Candidate) -> Error {
    let fault = match error.kind() {
        ErrorKind::Disconnected => Fault::Gone,
        ErrorKind::Busy => Fault::Busy,
        ErrorKind::PermissionDenied => Fault::Permission,
        // The device was unplugged between listing and opening.
        ErrorKind::NotFound => Fault::Gone,
        _ => Fault::Other,
    };
    super::explain(fault, error, device).with_effect(Effect::None)
}

/// A bulk transfer failed. Any such fault ends the link, since the bus cannot distinguish an unplugged cable.
fn refused(error: TransferError, device: &Candidate) -> Error {
    let fault = match error {
        // Cancelled by the system, since not by us.
        TransferError::Disconnected | TransferError::Fault | TransferError::Cancelled => Fault::Gone,
        _ => Fault::Other,
    };
    super::explain(fault, error, device)
}

fn explain_control(error: TransferError, device: &Candidate) -> Error {
    match error {
        TransferError::Stall => super::explain(Fault::Stall, error, device),
        TransferError::Cancelled => super::explain(Fault::Timeout, error, device),
        _ => refused(error, device),
    }
}
