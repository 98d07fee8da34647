//! Devices that a station's program offers from outside: `[printers."belt.7"]` with `from = "handheld 7"`.
//!
//! They have no address. The till has them from the start, away until they are offered: routes, stations, leases and the
//! spool can rely on them.

use super::problem::{Fault, Path};
use super::{Config, Device};
use crate::class::DeviceId;

/// Checks a device that is expected from `station`, which is empty if it could not be read.
pub(super) fn check(
    config: &Config,
    id: &DeviceId,
    device: &Device,
    station: &str,
    path: &Path,
    faults: &mut Vec<Fault>,
) {
    let wrong = |key: &str| Fault::error(path.key(key), "does not apply to a device with `from`");
    if !device.address.is_empty() {
        faults.push(wrong("address").hint("remove one of the two: `from` is a handheld's own device"));
    }
    for option in device.options.keys() {
        faults.push(wrong(option).hint("options of the device stand in the handheld's configuration"));
    }
    if station.is_empty() {
        return;
    }
    if config.remote.is_none() {
        let fault = Fault::error(path.key("from"), "nobody can offer it: the till is not served");
        faults.push(fault.hint("add the section `[remote]`"));
    }
    let settings = config.stations.get(station).cloned().unwrap_or_default();
    let suffix = settings.suffix(station).unwrap_or(station);
    let named = id.name.strip_suffix(suffix).and_then(|name| name.strip_suffix('.'));
    if named.is_none_or(str::is_empty) {
        let what = format!("`{station}` offers its devices as `NAME.{suffix}`, never as `{}`", id.name);
        let fault = Fault::error(path.clone(), what);
        faults.push(fault.hint("change the name, or set `suffix` of the station under `[stations]`"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::drivers::Drivers;

    const BELT: &str = "[remote]\n[printers.'belt.7']\nfrom = 'handheld 7'\n";

    fn problems(text: &str) -> Vec<String> {
        let checked = Config::check_text(text, "till.toml", &Drivers::standard());
        checked.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn routes_and_stations_may_rely_on_it() {
        let text = format!(
            "{BELT}[printers.bar]\naddress = 'escpos+tcp://10.0.0.20'\n[stations.'handheld 7']\nprinter = 'belt.7'\n\
             [routes.receipt]\nprinters = ['belt.7', 'bar']\nown = true\n"
        );
        assert_eq!(problems(&text), [""; 0]);
        let config = Config::parse(&text, "till.toml", &Drivers::standard()).expect("right");
        assert_eq!(config.printers_for("receipt", None), ["belt.7", "bar"]);
        let belt = config.device(Class::Printer, "belt.7").expect("configured");
        assert_eq!((belt.from.as_deref(), belt.addresses().len()), (Some("handheld 7"), 0));
    }

    #[test]
    fn its_name_has_the_suffix_of_its_station() {
        let suffixed = "[remote]\n[printers.'belt.x']\nfrom = 'handheld 7'\n[stations.'handheld 7']\nsuffix = 'x'\n";
        assert_eq!(problems(suffixed), [""; 0]);
        for name in ["belt", "belt.8", ".7", "belt7"] {
            let problems = problems(&format!("[remote]\n[printers.'{name}']\nfrom = 'handheld 7'\n"));
            assert_eq!(problems.len(), 1, "{name}: {problems:?}");
            assert!(problems[0].contains("NAME.7"), "{problems:?}");
        }
    }

    #[test]
    fn what_is_wrong_names_its_key() {
        for (text, key, part) in [
            (BELT.replace("[remote]\n", ""), "from", "[remote]"),
            (format!("{BELT}address = 'escpos+tcp://10.0.0.20'\n"), "address", "`from`"),
            (format!("{BELT}baud = 9600\n"), "baud", "handheld's configuration"),
            (BELT.replace("'handheld 7'", "''"), "from", "must not be empty"),
            (BELT.replace("'handheld 7'", "7"), "from", "expected text"),
            (BELT.replace("from", "form"), "address", "is missing; found only `form`; add one, such as address ="),
            (BELT.replace("from = 'handheld 7'", ""), "address", "is missing; add one"),
        ] {
            let problems = problems(&text);
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].contains(key) && problems[0].contains(part), "{text}: {problems:?}");
        }
    }
}
