//! USB devices made of the kernel's own gadget functions, plugged into an emulated host controller:
//! configfs on dummy_hcd, <https://docs.kernel.org/usb/gadget_configfs.html>.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::{modprobe, run, until};

const ROOT: &str = "/sys/kernel/config/usb_gadget";

/// Host controllers, each a bus of its own with one port.
const PORTS: usize = 4;

/// A keyboard's report descriptor: HID 1.11, appendix B.1.
pub const KEYBOARD: &[u8] = &[
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95,
    0x08, 0x81, 0x02, 0x95, 0x01, 0x75, 0x08, 0x81, 0x03, 0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05,
    0x91, 0x02, 0x95, 0x01, 0x75, 0x03, 0x91, 0x03, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x25, 0x65, 0x05, 0x07, 0x19,
    0x00, 0x29, 0x65, 0x81, 0x00, 0xc0,
];

/// A bar code scanner of the HID Point of Sale Usage Tables 1.02, page 0x8C: report 2 is a length, three
/// bytes of AIM symbology identifier and 56 of data, 61 bytes with its number.
pub const POS_SCANNER: &[u8] = &[
    0x05, 0x8c, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x12, 0xa1, 0x02, 0x85, 0x02, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08,
    0x95, 0x01, 0x05, 0x01, 0x09, 0x3b, 0x81, 0x02, 0x05, 0x8c, 0x09, 0xfb, 0x09, 0xfc, 0x09, 0xfd, 0x95, 0x03, 0x81,
    0x02, 0x09, 0xfe, 0x95, 0x38, 0x82, 0x02, 0x01, 0xc0, 0xc0,
];

/// A USB device that can be plugged in and pulled. Dropping it takes it apart.
#[derive(Debug)]
pub struct Gadget {
    dir: PathBuf,
    port: usize,
}

impl Gadget {
    /// A device without functions. `port` is 0 to 3; [`Gadget::place`] says where that is on the host.
    pub fn new(name: &str, port: usize, (vendor, product): (u16, u16), serial: &str) -> Self {
        prepare();
        let dir = Path::new(ROOT).join(name);
        fs::create_dir(&dir).expect("no gadget of this name yet");
        let gadget = Self { dir, port };
        gadget.write("idVendor", format!("{vendor:#06x}"));
        gadget.write("idProduct", format!("{product:#06x}"));
        gadget.write("bcdUSB", "0x0200");
        gadget.make("strings/0x409");
        gadget.write("strings/0x409/manufacturer", "tresen");
        gadget.write("strings/0x409/product", name);
        gadget.write("strings/0x409/serialnumber", serial);
        gadget.make("configs/c.1/strings/0x409");
        gadget
    }

    /// Adds a printer; the host side is the printer class, ours is /dev/g_printer0.
    #[must_use]
    pub fn printer(self, device_id: &str) -> Self {
        self.make("functions/printer.p");
        // f_printer counts the text alone where the length of the device id counts itself too, and so
        // loses the last two bytes: pad.
        self.write("functions/printer.p/pnp_string", format!("{device_id}  "));
        self.write("functions/printer.p/q_len", "10");
        self.enable("printer.p")
    }

    /// Adds a serial port: /dev/ttyACM* on the host, /dev/ttyGS0 here.
    #[must_use]
    pub fn acm(self) -> Self {
        self.make("functions/acm.a");
        self.enable("acm.a")
    }

    /// Adds an HID device: /dev/hidraw* on the host, [`Gadget::hid_node`] here.
    #[must_use]
    pub fn hid(self, name: &str, descriptor: &[u8], report: usize) -> Self {
        let function = format!("hid.{name}");
        self.make(&format!("functions/{function}"));
        self.write(&format!("functions/{function}/report_length"), report.to_string());
        self.write(&format!("functions/{function}/report_desc"), descriptor);
        self.enable(&function)
    }

    /// Adds a function that a program implements: FunctionFS, mounted at `at`.
    #[must_use]
    pub fn ffs(self, name: &str, at: &Path) -> Self {
        self.make(&format!("functions/ffs.{name}"));
        fs::create_dir_all(at).expect("a mount point");
        run(&format!("mount -t functionfs {name} {}", at.display()));
        self.enable(&format!("ffs.{name}"))
    }

    /// Where our end of an HID function is: `/dev/hidg0`.
    pub fn hid_node(&self, name: &str) -> PathBuf {
        let numbers = fs::read_to_string(self.dir.join(format!("functions/hid.{name}/dev"))).expect("an HID function");
        format!("/dev/hidg{}", numbers.trim().rsplit(':').next().expect("major:minor")).into()
    }

    /// The port on the host as /sys names it: `1-1`.
    pub fn place(&self) -> String {
        let controller = format!("/sys/devices/platform/dummy_hcd.{}", self.port);
        let bus = fs::read_dir(controller)
            .expect("dummy_hcd")
            .flatten()
            .find_map(|entry| entry.file_name().to_string_lossy().strip_prefix("usb").map(str::to_owned));
        format!("{}-1", bus.expect("a root hub"))
    }

    /// Plugs it in; returns at once.
    pub fn plug(&self) {
        self.write("UDC", format!("dummy_udc.{}", self.port));
    }

    /// Plugs it in and waits until the host has its interfaces.
    pub fn plug_and_wait(&self) {
        self.plug();
        let place = self.place();
        crate::until_exists(format!("/sys/bus/usb/devices/{place}/{place}:1.0/bInterfaceClass"));
    }

    /// Pulls it, if it is plugged in.
    pub fn unplug(&self) {
        let controller = fs::read_to_string(self.dir.join("UDC")).expect("a gadget");
        if !controller.trim().is_empty() {
            self.write("UDC", "\n");
        }
    }

    /// Pulls it and waits until the host knows.
    pub fn unplug_and_wait(&self) {
        self.unplug();
        let place = format!("/sys/bus/usb/devices/{}", self.place());
        until("the device to go", || !Path::new(&place).exists());
    }

    /// Gives it another serial number, to be seen at the next plugging in.
    pub fn set_serial(&self, serial: &str) {
        self.write("strings/0x409/serialnumber", serial);
    }

    fn make(&self, path: &str) {
        fs::create_dir_all(self.dir.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    fn write(&self, path: &str, value: impl AsRef<[u8]>) {
        fs::write(self.dir.join(path), value).unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    fn enable(self, function: &str) -> Self {
        let (from, to) = (self.dir.join("functions").join(function), self.dir.join("configs/c.1").join(function));
        std::os::unix::fs::symlink(from, to).expect("a new function");
        self
    }
}

impl Drop for Gadget {
    /// configfs wants everything removed in the reverse order of its making.
    fn drop(&mut self) {
        fs::write(self.dir.join("UDC"), "\n").ok();
        let children = |folder: &str| fs::read_dir(self.dir.join(folder)).into_iter().flatten().flatten();
        for entry in children("configs/c.1") {
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                fs::remove_file(entry.path()).ok();
            }
        }
        fs::remove_dir(self.dir.join("configs/c.1/strings/0x409")).ok();
        fs::remove_dir(self.dir.join("configs/c.1")).ok();
        for entry in children("functions") {
            fs::remove_dir(entry.path()).ok();
        }
        fs::remove_dir(self.dir.join("strings/0x409")).ok();
        fs::remove_dir(&self.dir).ok();
    }
}

fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        assert!(std::env::var_os("LAB_VM").is_some(), "this test needs the lab's virtual machine: run tests/lab/run");
        modprobe(&format!("dummy_hcd num={PORTS} is_high_speed=1"));
        modprobe("libcomposite");
        run("mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config");
    });
}
