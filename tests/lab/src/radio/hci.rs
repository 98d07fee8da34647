//! A controller commanded directly, past its host: a link ends at once, which BlueZ does with a courtesy of 2 s.
//! Core 5.4, Vol 4, Part E.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// 0x13, Remote User Terminated Connection (Vol 1, Part F, 2.19): the device says goodbye.
pub const GOODBYE: u8 = 0x13;
/// 0x08, Connection Timeout (2.8): the device has not been heard for as long as both agreed on.
pub const TIMEOUT: u8 = 0x08;

/// Ends the one connection of `controller`; that of `peer`, its other end, reports `reason`. 7.1.6, Disconnect.
/// Says when the peer's host has seen it.
///
/// # Panics
/// There is not one connection, or it does not end.
pub(super) fn disconnect(controller: &str, peer: &str, reason: u8) -> Instant {
    let handles = connections(controller);
    let [handle] = handles[..] else { panic!("{controller} has the connections {handles:?}, and not one") };
    let [low, high] = handle.to_le_bytes();
    let mut command = command(controller, 0x01, 0x0006, &[low, high, reason]);
    crate::until("the end of the connection", || connections(peer).is_empty());
    let end = Instant::now();
    assert!(command.wait().expect("hcitool").success(), "{controller} refuses to disconnect");
    end
}

/// Handles of the connections that the kernel has on `controller`: devices named `hci1:42`.
pub(super) fn connections(controller: &str) -> Vec<u16> {
    let devices = std::fs::read_dir("/sys/class/bluetooth").expect("Bluetooth");
    let names = devices.flatten().filter_map(|device| device.file_name().into_string().ok());
    let handles = names.filter_map(|n| n.strip_prefix(controller)?.strip_prefix(':')?.parse().ok());
    handles.collect()
}

fn command(controller: &str, group: u8, command: u16, parameters: &[u8]) -> Child {
    let hex = |n: u16| format!("{n:#04x}");
    let parameters = parameters.iter().map(|&p| hex(p.into()));
    let mut hcitool = Command::new("hcitool");
    hcitool.args(["-i", controller, "cmd", &hex(group.into()), &hex(command)]).args(parameters);
    hcitool.stdout(Stdio::null()).spawn().expect("hcitool, of BlueZ")
}
