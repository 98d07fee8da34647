//! Next steps for a person when the system denies access to a device.

/// The udev rule that opens a USB device to local users and to the group `plugdev`.
///
/// ```
/// assert_eq!(
///     tresen_hal::link::permission::usb_rule(0x04b8, 0x0e15),
///     r#"SUBSYSTEM=="usb", ATTR{idVendor}=="04b8", ATTR{idProduct}=="0e15", GROUP="plugdev", MODE="0660", TAG+="uaccess""#
/// );
/// ```
pub fn usb_rule(vendor: u16, product: u16) -> String {
    format!(
        r#"SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor:04x}", ATTR{{idProduct}}=="{product:04x}", GROUP="plugdev", MODE="0660", TAG+="uaccess""#
    )
}

/// The udev rule that opens a device's hidraw node to local users and to the group `plugdev`.
pub fn hid_rule(vendor: u16, product: u16) -> String {
    format!(
        r#"SUBSYSTEM=="hidraw", ATTRS{{idVendor}}=="{vendor:04x}", ATTRS{{idProduct}}=="{product:04x}", GROUP="plugdev", MODE="0660", TAG+="uaccess""#
    )
}

/// The udev rule that opens a keyboard's or keyboard scanner's event nodes, and only these, to local users and to
/// the group `plugdev`. It matches the input device's own ids, so it also works over Bluetooth.
pub fn input_rule(vendor: u16, product: u16) -> String {
    format!(
        r#"SUBSYSTEM=="input", KERNEL=="event*", ATTRS{{id/vendor}}=="{vendor:04x}", ATTRS{{id/product}}=="{product:04x}", GROUP="plugdev", MODE="0660", TAG+="uaccess""#
    )
}

/// The next step when [`input_rule`] is missing; mentions the group that opens every keyboard as the worse choice.
pub fn input_step(vendor: u16, product: u16) -> String {
    let rule = step(&input_rule(vendor, product));
    format!("{rule} (the group `input` would do too, but lets the user read what is typed on every keyboard)")
}

/// The next step when `rule` is missing, as a clause for [`crate::Error::hint`].
pub fn step(rule: &str) -> String {
    if cfg!(target_os = "linux") {
        format!(
            "put this line into /etc/udev/rules.d/60-tresen.rules, run `sudo udevadm control --reload`, and plug the device in again: {rule}"
        )
    } else if cfg!(windows) {
        "Windows lends a USB device to programs only with the WinUSB driver: install it with Zadig, or use the device's own port".to_owned()
    } else {
        "another program or the system's own driver holds the device".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_the_device() {
        assert_eq!(
            hid_rule(0x05e0, 0x1900),
            r#"SUBSYSTEM=="hidraw", ATTRS{idVendor}=="05e0", ATTRS{idProduct}=="1900", GROUP="plugdev", MODE="0660", TAG+="uaccess""#
        );
        let rule = r#"SUBSYSTEM=="input", KERNEL=="event*", ATTRS{id/vendor}=="05e0", ATTRS{id/product}=="1200", GROUP="plugdev", MODE="0660", TAG+="uaccess""#;
        assert_eq!(input_rule(0x05e0, 0x1200), rule);
        if cfg!(target_os = "linux") {
            assert!(input_step(0x05e0, 0x1200).contains(rule));
            assert!(step(&usb_rule(1, 2)).contains(r#"ATTR{idVendor}=="0001""#));
        }
    }
}
