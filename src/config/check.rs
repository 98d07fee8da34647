//! What a configuration must fulfil beyond being readable.

use std::collections::BTreeMap;
use std::path::Path as File;

use tresen_hal::address::LinkKind;
use tresen_hal::{Address, Error};

use super::problem::{Fault, Path};
use super::{Checked, Config, Device, OptionValue, applied, read};

/// Everything that is wrong with a text; with `folder`, that of its file, also whether its store can be there.
pub(super) fn all(text: &str, name: &str, folder: Option<&File>) -> Checked {
    let read::Read { mut config, places, mut faults } = match read::text(text, name) {
        Ok(read) => read,
        Err(problems) => return Checked { config: Config::default(), problems },
    };
    let unreadable: Vec<Path> = faults.iter().map(|f| f.path.clone()).collect();
    // What could not be read is not missing as well.
    let known =
        |fault: &Fault| unreadable.iter().any(|path| path.starts_with(&fault.path) || fault.path.starts_with(path));
    faults.extend(self::config(&config).into_iter().filter(|fault| !known(fault)));
    if let Some(folder) = folder {
        config.till.store = folder.join(&config.till.store);
        faults.extend(store(&config.till.store));
    }
    let mut problems: Vec<_> = faults.into_iter().map(|fault| places.locate(fault)).collect();
    problems.sort_by_key(|p| (p.line, p.column));
    Checked { config, problems }
}

/// Everything that is wrong with a configuration in hand.
pub(super) fn config(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (class, devices) in config.classes() {
        for (name, device) in devices {
            let path = Path::of(&[class, name]);
            if name.trim().is_empty() {
                faults.push(Fault::error(path.clone(), "the name must not be empty"));
            }
            self::device(class, &path, device, &mut faults);
        }
    }
    shared(config, &mut faults);
    for (route, printers) in &config.routes {
        self::route(config, route, printers, &mut faults);
    }
    for (i, template) in config.in_store.iter().enumerate() {
        if let Err(error) = template.parse::<tresen_scanners::instore::Template>() {
            faults.push(Fault::error(Path::of(&["in-store"]).index(i), error.to_string()));
        }
    }
    faults
}

fn device(class: &str, path: &Path, device: &Device, faults: &mut Vec<Fault>) {
    if device.address.is_empty() {
        faults.push(Fault::error(path.key("address"), "the list of addresses is empty"));
    }
    let many = device.address.len() > 1;
    for (i, address) in device.address.iter().enumerate() {
        let at = if many { path.key("address").index(i) } else { path.key("address") };
        let mut options = device.options.clone();
        while let Err(error) = check(class, address, &options) {
            let Some(option) = culprit(class, address, &options, &error) else {
                faults.push(Fault::because(at.clone(), &error));
                break;
            };
            options.remove(&option);
            let fault = Fault::because(path.key(&option), &error);
            // Said once, also if it holds for several addresses.
            if faults.iter().all(|f| f.path != fault.path) {
                faults.push(fault);
            }
        }
        if device.address[..i].iter().any(|before| before.link() == address.link()) {
            faults.push(Fault::warning(at, format!("{} stands here twice", address.label())));
        }
    }
}

fn check(class: &str, address: &Address, options: &BTreeMap<String, OptionValue>) -> Result<(), Error> {
    crate::manager::check_address(class, &applied(address, options))
}

/// The option of `options` that `error` is about: the one that it names, else the one without which it is another
/// error, or none.
fn culprit(class: &str, address: &Address, options: &BTreeMap<String, OptionValue>, error: &Error) -> Option<String> {
    if let Some(named) = error.option() {
        return options.contains_key(named).then(|| named.to_owned()).filter(|_| address.option(named).is_none());
    }
    let mut rest = options.clone();
    options.keys().filter(|name| address.option(name).is_none()).find_map(|name| {
        rest.remove(name);
        let same = check(class, address, &rest).is_err_and(|e| e.what() == error.what());
        (!same).then(|| name.clone())
    })
}

/// Devices that would take a connection, or a name, from each other.
fn shared(config: &Config, faults: &mut Vec<Fault>) {
    let mut holders: Vec<(&LinkKind, String)> = Vec::new();
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for (class, devices) in config.classes() {
        for (name, device) in devices {
            let path = Path::of(&[class, name]);
            if let Some(other) = names.insert(name, class) {
                let what = format!("`{name}` is also the name of one of the {other}");
                faults.push(
                    Fault::warning(path.clone(), what).hint("events are easier to tell apart if names are unique"),
                );
            }
            for (i, address) in device.address.iter().enumerate() {
                let link = address.link();
                // Files and recordings are read, not held.
                if matches!(link, LinkKind::File { .. } | LinkKind::Replay { .. } | LinkKind::Url(_)) {
                    continue;
                }
                let here = path.to_string();
                match holders.iter().find(|(held, by)| *held == link && *by != here) {
                    Some((_, other)) => {
                        let at = path.key("address");
                        let at = if device.address.len() > 1 { at.index(i) } else { at };
                        let what = format!("{} is also an address of `{other}`", address.label());
                        let hint = "a device serves one name: use that name for both, or a route";
                        faults.push(Fault::error(at, what).hint(hint));
                    }
                    None => holders.push((link, here)),
                }
            }
        }
    }
}

fn route(config: &Config, route: &str, printers: &[String], faults: &mut Vec<Fault>) {
    let path = Path::of(&["routes", route]);
    let known = || match config.printers.is_empty() {
        true => "no printer is configured".to_owned(),
        false => format!("printers are: {}", config.printers.keys().cloned().collect::<Vec<_>>().join(", ")),
    };
    if route.trim().is_empty() {
        faults.push(Fault::error(path.clone(), "the name must not be empty"));
    }
    if printers.is_empty() {
        faults.push(Fault::error(path.clone(), "the list of printers is empty").hint(known()));
    }
    for (i, printer) in printers.iter().enumerate() {
        if !config.printers.contains_key(printer) {
            faults.push(Fault::error(path.index(i), format!("there is no printer `{printer}`")).hint(known()));
        } else if printers[..i].contains(printer) {
            faults.push(Fault::warning(path.index(i), format!("`{printer}` stands here twice")));
        }
    }
    if config.printers.contains_key(route) && !printers.iter().any(|p| p == route) {
        let what =
            format!("receipts for the printer `{route}` go elsewhere: the route of that name does not contain it");
        faults.push(Fault::warning(path, what));
    }
}

/// Whether the store can be a file there.
fn store(store: &File) -> Option<Fault> {
    let path = Path::of(&["till", "store"]);
    if store.is_dir() {
        let what = format!("{} is a folder", store.display());
        return Some(Fault::error(path, what).hint("name a file, such as till.db"));
    }
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.is_dir()).then(|| Fault::error(path, format!("there is no folder {}", folder.display())).hint("create it"))
}
