//! Metrics by the `metrics` facade, feature `metrics`; without it these functions do nothing.
//!
//! Every metric has the label `till`, the till's name; those of devices have `class` and `device`.
//!
//! | name | kind | more labels | |
//! |---|---|---|---|
//! | `tresen_device_connected` | gauge | | 1 while it is connected, otherwise 0 |
//! | `tresen_device_attempts_total` | counter | | attempts to open it |
//! | `tresen_device_errors_total` | counter | `kind` | errors of the device |
//! | `tresen_call_seconds` | histogram | `call` | how long the device took for a call |
//! | `tresen_calls_failed_total` | counter | `call` | calls that failed |
//! | `tresen_events_total` | counter | `event` | events of the devices (without `class` and `device`) |
//! | `tresen_clock_offset_seconds` | gauge | | seconds that a terminal's clock is ahead |
//! | `tresen_print_queue` | gauge | `route` | print jobs that wait or are being printed |
//! | `tresen_print_queue_oldest_seconds` | gauge | `route` | how long the oldest has been waiting |
//! | `tresen_payments_open` | gauge | `terminal` | payments that are not decided |
//! | `tresen_commit_seconds` | histogram | | how long a write to the database took, up to the disk |
//! | `tresen_storage_errors_total` | counter | | writes that failed |
//! | `tresen_store_bytes` | gauge | | size of the database |
//! | `tresen_disk_free_bytes` | gauge | | space left on its disk |
//! | `tresen_outbox` | gauge | | journal entries that the server has not acknowledged |

#[cfg(feature = "metrics")]
pub(crate) use on::*;

#[cfg(not(feature = "metrics"))]
pub(crate) use off::*;

#[cfg(feature = "metrics")]
mod on {
    use std::time::Duration;

    use metrics::{counter, gauge, histogram};
    use tresen_hal::Kind;

    use crate::class::DeviceId;

    /// Calls a metrics macro with the labels of a device.
    macro_rules! of {
        ($metric:ident, $name:literal, $till:expr, $device:expr $(, $label:literal => $value:expr)*) => {
            $metric!($name, "till" => $till.to_owned(), "class" => $device.class.name(),
                "device" => $device.name.clone() $(, $label => $value)*)
        };
    }

    pub(crate) fn connected(till: &str, device: &DeviceId, now: bool) {
        of!(gauge, "tresen_device_connected", till, device).set(if now { 1.0 } else { 0.0 });
    }

    pub(crate) fn attempt(till: &str, device: &DeviceId) {
        of!(counter, "tresen_device_attempts_total", till, device).increment(1);
    }

    pub(crate) fn error(till: &str, device: &DeviceId, kind: Kind) {
        let kind = format!("{kind:?}").to_lowercase();
        of!(counter, "tresen_device_errors_total", till, device, "kind" => kind).increment(1);
    }

    pub(crate) fn called(till: &str, device: &DeviceId, call: &'static str, took: Duration, failed: bool) {
        of!(histogram, "tresen_call_seconds", till, device, "call" => call).record(took);
        if failed {
            of!(counter, "tresen_calls_failed_total", till, device, "call" => call).increment(1);
        }
    }

    pub(crate) fn event(till: &str, event: &'static str) {
        counter!("tresen_events_total", "till" => till.to_owned(), "event" => event).increment(1);
    }

    pub(crate) fn clock(till: &str, device: &DeviceId, seconds: i64) {
        of!(gauge, "tresen_clock_offset_seconds", till, device).set(seconds as f64);
    }

    pub(crate) fn commit(till: &str, took: Duration, failed: bool) {
        histogram!("tresen_commit_seconds", "till" => till.to_owned()).record(took);
        if failed {
            counter!("tresen_storage_errors_total", "till" => till.to_owned()).increment(1);
        }
    }

    pub(crate) fn queue(till: &str, route: &str, jobs: u64, oldest: Duration) {
        let (till, route) = (till.to_owned(), route.to_owned());
        gauge!("tresen_print_queue", "till" => till.clone(), "route" => route.clone()).set(jobs as f64);
        gauge!("tresen_print_queue_oldest_seconds", "till" => till, "route" => route).set(oldest);
    }

    pub(crate) fn payments(till: &str, terminal: &str, open: u64) {
        let (till, terminal) = (till.to_owned(), terminal.to_owned());
        gauge!("tresen_payments_open", "till" => till, "terminal" => terminal).set(open as f64);
    }

    pub(crate) fn store(till: &str, size: u64, free: Option<u64>) {
        gauge!("tresen_store_bytes", "till" => till.to_owned()).set(size as f64);
        if let Some(free) = free {
            gauge!("tresen_disk_free_bytes", "till" => till.to_owned()).set(free as f64);
        }
    }

    pub(crate) fn outbox(till: &str, waiting: u64) {
        gauge!("tresen_outbox", "till" => till.to_owned()).set(waiting as f64);
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use std::time::Duration;

    use tresen_hal::Kind;

    use crate::class::DeviceId;

    pub(crate) fn connected(_: &str, _: &DeviceId, _: bool) {}
    pub(crate) fn attempt(_: &str, _: &DeviceId) {}
    pub(crate) fn error(_: &str, _: &DeviceId, _: Kind) {}
    pub(crate) fn called(_: &str, _: &DeviceId, _: &'static str, _: Duration, _: bool) {}
    pub(crate) fn event(_: &str, _: &'static str) {}
    pub(crate) fn clock(_: &str, _: &DeviceId, _: i64) {}
    pub(crate) fn commit(_: &str, _: Duration, _: bool) {}
    pub(crate) fn queue(_: &str, _: &str, _: u64, _: Duration) {}
    pub(crate) fn payments(_: &str, _: &str, _: u64) {}
    pub(crate) fn store(_: &str, _: u64, _: Option<u64>) {}
    pub(crate) fn outbox(_: &str, _: u64) {}
}
