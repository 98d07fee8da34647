//! A USB printer that this process plays itself, down to the control requests: FunctionFS,
//! <https://docs.kernel.org/usb/functionfs.html> and linux/usb/functionfs.h. It can stall, refuse to take
//! bytes and send empty packets, which the kernel's printer gadget cannot.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::Gadget;

/// What the printer does and has seen; shared with its threads.
#[derive(Debug, Default)]
pub struct Script {
    /// All bytes taken from the bulk OUT endpoint.
    pub printed: Vec<u8>,
    /// Stalls the bulk OUT endpoint after so many more bytes.
    pub stall_out_after: Option<usize>,
    /// Takes nothing while set: the host sees NAK.
    pub deaf: bool,
    /// Answer to GET_PORT_STATUS.
    pub status: u8,
    /// SOFT_RESETs seen.
    pub resets: usize,
    /// Stalls seen through to their clearing by the host's next byte.
    pub stalls: usize,
}

/// The printer. Dropping it takes it apart.
#[derive(Debug)]
pub struct FfsPrinter {
    gadget: Option<Gadget>,
    dir: PathBuf,
    script: Arc<(Mutex<Script>, Condvar)>,
}

impl FfsPrinter {
    /// A printer of these ids on host port `port`, plugged in.
    ///
    /// # Panics
    /// FunctionFS does not do as it says.
    pub fn new(port: usize, ids: (u16, u16), serial: &str, device_id: &str) -> Self {
        let dir = Path::new("/run/ffs").join(serial);
        let gadget = Gadget::new(&format!("ffs-{serial}"), port, ids, serial).ffs(serial, &dir);
        let script = Arc::new((Mutex::new(Script { status: 0x18, ..Script::default() }), Condvar::new()));
        let open = |name: &str| OpenOptions::new().read(true).write(true).open(dir.join(name)).expect("an endpoint");
        let mut control = open("ep0");
        control.write_all(&descriptors()).expect("descriptors as the kernel wants them");
        control.write_all(&strings()).expect("strings as the kernel wants them");
        let out = open("ep1");
        let id = device_id.to_owned();
        let shared = script.clone();
        thread::spawn(move || answer_requests(control, &id, &shared));
        let shared = script.clone();
        thread::spawn(move || take_bytes(out, &shared));
        gadget.plug_and_wait();
        Self { gadget: Some(gadget), dir, script }
    }

    /// Looks at the script or changes it.
    pub fn with<T>(&self, operate: impl FnOnce(&mut Script) -> T) -> T {
        let done = operate(&mut self.script.0.lock().expect("no holder panics"));
        self.script.1.notify_all();
        done
    }

    /// Sends from the bulk IN endpoint; an empty slice is a zero-length packet. Waits until the host
    /// has taken it.
    ///
    /// # Panics
    /// The endpoint fails.
    pub fn say(&self, bytes: &[u8]) {
        let mut endpoint = OpenOptions::new().read(true).write(true).open(self.dir.join("ep2")).expect("an endpoint");
        assert_eq!(endpoint.write(bytes).expect("the host reads"), bytes.len());
    }

    /// Stalls the bulk IN endpoint until the host clears it.
    ///
    /// # Panics
    /// The endpoint fails.
    pub fn stall_in(&self) {
        let mut endpoint = OpenOptions::new().read(true).write(true).open(self.dir.join("ep2")).expect("an endpoint");
        // Reading where one writes halts the endpoint.
        endpoint.read(&mut [0]).expect_err("a halt");
    }

    /// The device, to pull and put back.
    pub fn gadget(&self) -> &Gadget {
        self.gadget.as_ref().expect("there until dropped")
    }
}

impl Drop for FfsPrinter {
    fn drop(&mut self) {
        self.with(|script| script.deaf = false);
        drop(self.gadget.take());
        // The threads' endpoints fail once the function is gone; the mount can go when they are closed.
        std::process::Command::new("umount").arg("-l").arg(&self.dir).status().ok();
    }
}

fn take_bytes(mut out: File, shared: &(Mutex<Script>, Condvar)) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let free = shared.1.wait_while(shared.0.lock().expect("no holder panics"), |script| script.deaf);
        drop(free.expect("no holder panics"));
        match out.read(&mut buffer) {
            Ok(read) => {
                let mut script = shared.0.lock().expect("no holder panics");
                script.printed.extend_from_slice(&buffer[..read]);
                if let Some(left) = script.stall_out_after {
                    script.stall_out_after = left.checked_sub(read).filter(|left| *left > 0);
                    if script.stall_out_after.is_none() {
                        script.stalls += 1;
                        drop(script);
                        // Writing where one reads halts the endpoint. Only this thread can do it: a pending
                        // read would keep the endpoint's lock.
                        out.write(&[]).expect_err("a halt");
                    }
                }
            }
            // Gone for good.
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => return,
            // Unplugged: the next read waits for the next plugging in.
            Err(_) => thread::yield_now(),
        }
    }
}

fn answer_requests(mut control: File, device_id: &str, shared: &(Mutex<Script>, Condvar)) {
    let length = u16::try_from(device_id.len() + 2).expect("a short device id").to_be_bytes();
    let id = [&length[..], device_id.as_bytes()].concat();
    loop {
        // struct usb_functionfs_event: a setup packet, the event's type, three bytes of padding.
        let mut event = [0; 12];
        if control.read_exact(&mut event).is_err() {
            return;
        }
        let [kind, request, .., low, high, _type, _, _, _] = event;
        if event[8] != 4 {
            continue;
        }
        let wanted = usize::from(u16::from_le_bytes([low, high]));
        let done = match (kind, request) {
            (0xa1, 0) => control.write(&id[..wanted.min(id.len())]),
            (0xa1, 1) => control.write(&[shared.0.lock().expect("no holder panics").status]),
            (0x21, 2) => {
                shared.0.lock().expect("no holder panics").resets += 1;
                control.read(&mut [])
            }
            // The wrong direction stalls.
            (kind, _) if kind & 0x80 != 0 => control.read(&mut []),
            _ => control.write(&[]),
        };
        // EL2HLT: stalled as asked.
        done.ok();
    }
}

/// struct usb_functionfs_descs_head_v2 with full and high speed: a bidirectional printer.
fn descriptors() -> Vec<u8> {
    let speed = |packet: u16| {
        let mut all = vec![9, 4, 0, 0, 2, 7, 1, 2, 1];
        for address in [0x01, 0x82] {
            all.extend([7, 5, address, 2]);
            all.extend(packet.to_le_bytes());
            all.push(0);
        }
        all
    };
    let (full, high) = (speed(64), speed(512));
    let length = 20 + full.len() + high.len();
    // Magic 3, flags 1 and 2: full and high speed; three descriptors each.
    let head = [3, u32::try_from(length).expect("short"), 3, 3, 3];
    [head.iter().flat_map(|word| word.to_le_bytes()).collect(), full, high].concat()
}

/// struct usb_functionfs_strings_head: one string in US English.
fn strings() -> Vec<u8> {
    let text = b"printer\0";
    let head = [2, u32::try_from(16 + 2 + text.len()).expect("short"), 1, 1];
    let mut all: Vec<u8> = head.iter().flat_map(|word| word.to_le_bytes()).collect();
    all.extend(0x409_u16.to_le_bytes());
    all.extend(text);
    all
}
