//! What `tresen doctor` finds out about USB devices: who may open them, which program has them, and a scanner in keyboard
//! mode. `tests/lab/run` builds the command and names it in `LAB_TRESEN`.
#![cfg(target_os = "linux")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tresen_hal::address::UsbId;
use tresen_hal::link::usb::{self, Settings};
use tresen_lab::{Gadget, KEYBOARD, modprobe, run, until, within};

const DEVICE_ID: &str = "MFG:EPSON;CMD:ESC/POS;MDL:TM-m30;CLS:PRINTER;";
/// Epson.
const PRINTER: (u16, u16) = (0x04b8, 0x0202);
/// Symbol, a scanner in keyboard mode.
const SCANNER: (u16, u16) = (0x05e0, 0x1200);

/// The doctor about `address`, as root or as `nobody`: it fails, and what it tells holds all parts.
#[track_caller]
fn fails(address: &str, nobody: bool, parts: &[&str]) {
    let program = std::env::var_os("LAB_TRESEN").expect("tests/lab/run names the command");
    let mut doctor = Command::new(program);
    doctor.args(["--json", "doctor", address]).current_dir("/");
    if nobody {
        doctor.uid(65_534).gid(65_534);
    }
    let done = doctor.output().expect("runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&done.stderr));
    for part in parts {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_printer_that_this_user_may_not_open_names_the_udev_rule() {
    let gadget = Gadget::new("denied", 0, PRINTER, "D1").printer(DEVICE_ID);
    gadget.plug_and_wait();
    run("chmod 0600 /dev/bus/usb/*/*");
    let rule = r#"ATTR{idVendor}==\"04b8\", ATTR{idProduct}==\"0202\""#;
    fails("escpos+usb://04b8:0202/D1", true, &[rule, "/etc/udev/rules.d/60-tresen.rules", "udevadm control --reload"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_printer_that_another_program_has_names_that_program() {
    let gadget = Gadget::new("held", 0, PRINTER, "D2").printer(DEVICE_ID);
    gadget.plug_and_wait();
    run("chmod 0666 /dev/bus/usb/*/*");
    let id = UsbId { vendor: PRINTER.0, product: PRINTER.1, serial: Some("D2".into()) };
    let link = within("opening", usb::open(&id, &Settings::default())).await.expect("it is there");
    let this = format!("pid {} (", std::process::id());
    fails("escpos+usb://04b8:0202/D2", false, &[&this, "has it open", "end that program"]);
    // Nobody learns that of a program of root.
    fails("escpos+usb://04b8:0202/D2", true, &["a program of another user has it open", "sudo"]);
    drop(link);
}

/// Event nodes of the USB device at this port.
fn events(port: &str) -> Vec<PathBuf> {
    let of_port = |class: &Path| {
        std::fs::canonicalize(class).is_ok_and(|p| p.display().to_string().contains(&format!("/{port}/")))
    };
    let all = std::fs::read_dir("/sys/class/input").into_iter().flatten().flatten().map(|entry| entry.path());
    let events = all.filter(|class| class.display().to_string().contains("/event") && of_port(class));
    events.map(|class| Path::new("/dev/input").join(class.file_name().expect("a name"))).collect()
}

/// Configured as a serial or HID scanner; what is plugged in types like a keyboard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_in_keyboard_mode_is_recognised_whatever_mode_was_meant() {
    for module in ["usbhid", "hid-generic", "evdev", "cdc_acm"] {
        modprobe(module);
    }
    let gadget = Gadget::new("keys", 0, SCANNER, "D3").hid("keys", KEYBOARD, 8);
    gadget.plug_and_wait();
    until("the event node", || events(&gadget.place()).len() == 1);
    for meant in ["scanner+serial:///dev/ttyACM0", "scanner+hid://05e0:1900/D3"] {
        fails(meant, false, &["is in keyboard mode", "HID POS or serial (COM port) mode", "05e0:1200"]);
    }
    // The right mode, and no right to it.
    run("chmod 0600 /dev/input/event*");
    let rule = r#"ATTRS{id/vendor}==\"05e0\", ATTRS{id/product}==\"1200\""#;
    fails("scanner+evdev://05e0:1200/D3", true, &[rule, "every keyboard"]);
}
