//! HID devices played by the test itself, on any bus and with answers of its own: /dev/uhid,
//! <https://docs.kernel.org/hid/uhid.html>, `struct uhid_event` of linux/uhid.h.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::sync::Arc;

use crate::modprobe;

/// `BUS_USB` and `BUS_BLUETOOTH` of linux/input.h.
pub const USB: u16 = 0x03;
/// See [`USB`].
pub const BLUETOOTH: u16 = 0x05;

/// `enum uhid_event_type`.
const DESTROY: u32 = 1;
const STOP: u32 = 3;
const OUTPUT: u32 = 6;
const GET_REPORT: u32 = 9;
const GET_REPORT_REPLY: u32 = 10;
const CREATE2: u32 = 11;
const INPUT2: u32 = 12;
const SET_REPORT: u32 = 13;
const SET_REPORT_REPLY: u32 = 14;

/// The longest event, `UHID_CREATE2`: type, name, phys, uniq, two u16, four u32 and a descriptor of 4096 bytes.
const EVENT_MAX: usize = 4 + 128 + 64 + 64 + 4 + 16 + 4096;

/// What the host knows the device by.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// [`USB`] or [`BLUETOOTH`].
    pub bus: u16,
    /// Vendor and product.
    pub ids: (u16, u16),
    /// What it calls itself.
    pub name: &'a str,
    /// Where it is connected: over Bluetooth the address of the host's adapter.
    pub phys: &'a str,
    /// Serial number: over Bluetooth the device's address.
    pub uniq: &'a str,
}

/// What the host wants of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A feature report by its number.
    Get(u8),
    /// To take a feature report, which begins with its number.
    Set(Vec<u8>),
    /// To take an output report, which begins with its number.
    Output(Vec<u8>),
}

/// What the device answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The report that was asked for; to `Set` it counts as taken.
    Report(Vec<u8>),
    /// An error.
    Error,
    /// Nothing at all.
    Silence,
}

/// An HID device. Dropping it takes it away.
#[derive(Debug)]
pub struct Uhid(Arc<File>);

impl Uhid {
    /// Makes a device of this report descriptor. What the host wants goes to `device` on a thread of its own.
    ///
    /// # Panics
    /// The kernel refuses it.
    pub fn new(
        identity: Identity<'_>,
        descriptor: &[u8],
        device: impl FnMut(Asked) -> Answer + Send + 'static,
    ) -> Self {
        modprobe("uhid");
        modprobe("hid-generic");
        crate::until_exists("/dev/uhid");
        let file = Arc::new(OpenOptions::new().read(true).write(true).open("/dev/uhid").expect("/dev/uhid"));
        let mut event = CREATE2.to_ne_bytes().to_vec();
        for (text, length) in [(identity.name, 128), (identity.phys, 64), (identity.uniq, 64)] {
            event.extend(text.bytes().chain(std::iter::repeat(0)).take(length));
        }
        event.extend(u16::try_from(descriptor.len()).expect("at most 4096 bytes").to_ne_bytes());
        event.extend(identity.bus.to_ne_bytes());
        for number in [u32::from(identity.ids.0), u32::from(identity.ids.1), 0, 0] {
            event.extend(number.to_ne_bytes());
        }
        event.extend(descriptor);
        write(&file, &event);
        let serving = file.clone();
        std::thread::spawn(move || serve(&serving, device));
        Self(file)
    }

    /// Sends an input report, which begins with its number if the device has numbers.
    ///
    /// # Panics
    /// The kernel refuses it.
    pub fn input(&self, report: &[u8]) {
        let length = u16::try_from(report.len()).expect("at most 4096 bytes");
        write(&self.0, &[&INPUT2.to_ne_bytes()[..], &length.to_ne_bytes(), report].concat());
    }
}

impl Drop for Uhid {
    fn drop(&mut self) {
        // The thread that serves it ends with the kernel's UHID_STOP.
        (&*self.0).write_all(&DESTROY.to_ne_bytes()).ok();
    }
}

fn write(mut file: &File, event: &[u8]) {
    assert_eq!(file.write(event).expect("the kernel takes the event"), event.len());
}

fn serve(mut file: &File, mut device: impl FnMut(Asked) -> Answer) {
    let mut event = [0; EVENT_MAX];
    while let Ok(length) = file.read(&mut event) {
        assert!(length >= 4, "an event has a type");
        let number = |at: usize| u32::from_ne_bytes([event[at], event[at + 1], event[at + 2], event[at + 3]]);
        let short = |at: usize| u16::from_ne_bytes([event[at], event[at + 1]]);
        let (id, report) = (number(4).to_ne_bytes(), event[8]);
        let reply = match number(0) {
            STOP => return,
            // struct uhid_output_req: data, size, kind.
            OUTPUT => {
                device(Asked::Output(event[4..4 + usize::from(short(4 + 4096))].to_vec()));
                continue;
            }
            // struct uhid_get_report_req: id, number, kind. The answer: id, error, size, data.
            GET_REPORT => match device(Asked::Get(report)) {
                Answer::Silence => continue,
                Answer::Error => [&GET_REPORT_REPLY.to_ne_bytes()[..], &id, &1_u16.to_ne_bytes(), &[0; 2]].concat(),
                Answer::Report(data) => {
                    let length = u16::try_from(data.len()).expect("at most 4096 bytes");
                    [&GET_REPORT_REPLY.to_ne_bytes()[..], &id, &[0; 2], &length.to_ne_bytes(), &data].concat()
                }
            },
            // struct uhid_set_report_req: id, number, kind, size, data. The answer: id, error.
            SET_REPORT => match device(Asked::Set(event[12..12 + usize::from(short(10))].to_vec())) {
                Answer::Silence => continue,
                answer => {
                    let error = u16::from(answer == Answer::Error);
                    [&SET_REPORT_REPLY.to_ne_bytes()[..], &id, &error.to_ne_bytes()].concat()
                }
            },
            _ => continue,
        };
        // Too late an answer is refused, and nobody waits for it.
        file.write_all(&reply).ok();
    }
}
