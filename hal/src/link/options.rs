//! The option names of all links, including those that this build lacks, so that the error is a missing link and not an
//! unknown option.

pub(super) const TCP: [&str; 5] = ["connect-timeout", "tls", "ca", "fingerprint", "certificate"];
pub(super) const HTTPS: [&str; 4] = ["connect-timeout", "ca", "fingerprint", "certificate"];
pub(super) const SERIAL: [&str; 7] = ["baud", "data", "parity", "stop", "flow", "dtr", "rts"];
pub(super) const USB: [&str; 3] = ["backend", "interface", "port"];
pub(super) const HID: [&str; 4] = ["usage", "interface", "port", "feature"];
pub(super) const EVDEV: [&str; 3] = ["port", "interface", "grab"];
pub(super) const BLE: [&str; 8] = ["service", "write", "notify", "mtu", "response", "pace", "pair", "adapter"];
pub(super) const SPP: [&str; 2] = ["channel", "adapter"];
