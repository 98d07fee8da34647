//! Checks of a configuration beyond its syntax.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path as File;
use std::time::Duration;

use tresen_hal::address::LinkKind;
use tresen_hal::{Address, Error, Result};

use super::place::place as place_of;
use super::problem::{Fault, Path};
use super::{Checked, Config, Device, OptionValue, applied, read};
use crate::class::{Class, DeviceId};
use crate::drivers::Drivers;

/// Everything wrong with a text; with `folder`, that of its file, also whether its store can be created there.
pub(super) fn all(text: &str, name: &str, folder: Option<&File>, drivers: &Drivers) -> Checked {
    let read::Read { mut config, places, mut faults } = match read::text(text, name) {
        Ok(read) => read,
        Err(problems) => return Checked { config: Config::default(), problems },
    };
    for device in config.devices.values_mut() {
        let Device { address: addresses, options, .. } = device;
        for address in addresses {
            // The usual port may depend on options, wherever they stand.
            let (_, port) = drivers.resolve(&applied(address, options)).link().server().unwrap_or_default();
            *address = port.map_or_else(|| address.clone(), |port| address.clone().or_port(port));
        }
    }
    let unreadable: Vec<Path> = faults.iter().map(|f| f.path.clone()).collect();
    // A key that could not be read is not reported as missing as well.
    let known =
        |fault: &Fault| unreadable.iter().any(|path| path.starts_with(&fault.path) || fault.path.starts_with(path));
    faults.extend(self::config(&config, drivers).into_iter().filter(|fault| !known(fault)));
    if let Some(folder) = folder {
        config.till.store = folder.join(&config.till.store);
        faults.extend(store(&config.till.store));
        if let Some(server) = &mut config.server {
            server.relative_to(folder);
            faults.extend(server.missing());
        }
    }
    let mut problems: Vec<_> = faults.into_iter().map(|fault| places.locate(fault)).collect();
    problems.sort_by_key(|p| (p.line, p.column));
    Checked { config, problems }
}

/// Everything wrong with a configuration built in code.
pub(super) fn config(config: &Config, drivers: &Drivers) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (id, device) in &config.devices {
        let path = place(id);
        if id.name.trim().is_empty() {
            faults.push(Fault::error(path.clone(), "the name must not be empty"));
        }
        if let Some(station) = &device.from {
            super::expected::check(config, id, device, station, &path, &mut faults);
            continue;
        }
        let check = |address: &Address, options: &Options| drivers.check(id.class, &applied(address, options));
        self::device(&check, &path, device, &mut faults);
    }
    shared(config, drivers, &mut faults);
    if let Some(server) = &config.server {
        server.check(&mut faults);
    }
    if let Some(remote) = &config.remote {
        remote.check(&mut faults);
    }
    super::stations::check(config, &mut faults);
    super::routes::check(config, &mut faults);
    if !LEASES.contains(&config.till.lease) {
        faults.push(Fault::error(Path::of(&["till", "lease"]), "expected a duration between 1 s and 24 h"));
    }
    for (i, template) in config.in_store.iter().enumerate() {
        if let Err(error) = template.parse::<tresen_scanners::instore::Template>() {
            faults.push(Fault::error(Path::of(&["in-store"]).index(i), error.to_string()));
        }
    }
    faults
}

/// How long a lease may last unless it is renewed.
const LEASES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// The options of a device.
type Options = BTreeMap<String, OptionValue>;

/// The path of a device.
fn place(id: &DeviceId) -> Path {
    Path::of(&[id.class.section(), &id.name])
}

fn device(check: &dyn Fn(&Address, &Options) -> Result<()>, path: &Path, device: &Device, faults: &mut Vec<Fault>) {
    if device.address.is_empty() {
        faults.push(Fault::error(path.key("address"), "the list of addresses is empty"));
    }
    let many = device.address.len() > 1;
    for (i, address) in device.address.iter().enumerate() {
        let at = if many { path.key("address").index(i) } else { path.key("address") };
        let mut options = device.options.clone();
        while let Err(error) = check(address, &options) {
            let Some(option) = culprit(check, address, &options, &error) else {
                faults.push(Fault::because(at.clone(), &error));
                break;
            };
            options.remove(&option);
            let fault = Fault::because(path.key(&option), &error);
            // Reported once, even if it applies to several addresses.
            if faults.iter().all(|f| f.path != fault.path) {
                faults.push(fault);
            }
        }
        if device.address[..i].iter().any(|before| before.link() == address.link()) {
            faults.push(Fault::warning(at, format!("{} is listed twice", address.label())));
        }
    }
}

/// The option of `options` that caused `error`: the one it names, otherwise the one without which the error changes, if
/// any.
fn culprit(
    check: &dyn Fn(&Address, &Options) -> Result<()>,
    address: &Address,
    options: &Options,
    error: &Error,
) -> Option<String> {
    if let Some(named) = error.option() {
        return options.contains_key(named).then(|| named.to_owned()).filter(|_| address.option(named).is_none());
    }
    let mut rest = options.clone();
    options.keys().filter(|name| address.option(name).is_none()).find_map(|name| {
        rest.remove(name);
        let same = check(address, &rest).is_err_and(|e| e.what() == error.what());
        (!same).then(|| name.clone())
    })
}

/// Warns about devices that share an address or a name.
fn shared(config: &Config, drivers: &Drivers, faults: &mut Vec<Fault>) {
    let mut holders: Vec<(LinkKind, String)> = Vec::new();
    let mut names: BTreeMap<&str, Class> = BTreeMap::new();
    for (id, device) in &config.devices {
        let (path, name) = (place(id), &id.name);
        if let Some(other) = names.insert(name, id.class) {
            let what = format!("`{name}` is also the name of one of the {}", other.section());
            faults.push(Fault::warning(path.clone(), what).hint("events are easier to tell apart if names are unique"));
        }
        for (i, address) in device.address.iter().enumerate() {
            let Some(link) = place_of(drivers.resolve(address).link()) else { continue };
            let here = path.to_string();
            match holders.iter().find(|(held, by)| *held == link && *by != here) {
                Some((_, other)) => {
                    let at = path.key("address");
                    let at = if device.address.len() > 1 { at.index(i) } else { at };
                    let what = format!("{} is also an address of `{other}`", address.label());
                    let hint = "a device can have one name only: use one device for both, or a route";
                    faults.push(Fault::error(at, what).hint(hint));
                }
                None => holders.push((link, here)),
            }
        }
    }
}

/// Checks whether the store can be a file at that path.
fn store(store: &File) -> Option<Fault> {
    let path = Path::of(&["till", "store"]);
    if store.is_dir() {
        let what = format!("{} is a folder", store.display());
        return Some(Fault::error(path, what).hint("name a file, such as till.db"));
    }
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.is_dir())
        .then(|| Fault::error(path, format!("folder {} does not exist", folder.display())).hint("create it"))
}
