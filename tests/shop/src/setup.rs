//! What the configuration of the shop says: its file, and the same as a table that the invariants compare paper with.

use crate::world::{LEASE, World};

/// What the configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setup {
    /// Everything.
    Whole,
    /// The printer at the stove is gone, and its routes print at the back.
    NoStove,
    /// The receipt's route has its printers the other way round.
    Swapped,
    /// The terminal at the bar is gone.
    NoBar,
}

/// A print route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub name: &'static str,
    /// Its printers in order.
    pub printers: Vec<&'static str>,
    /// The groups of lines whose kitchen tickets it prints.
    pub groups: &'static [&'static str],
    /// A handheld's own printer comes first.
    pub own: bool,
    /// How often it prints each job.
    pub copies: i64,
    /// When an earlier printer takes over again.
    fail_back: &'static str,
}

/// The groups of what handhelds sell.
pub const GROUPS: [&str; 3] = ["kitchen", "bar", "grill"];

/// The routes of a setup.
pub fn routes(setup: Setup) -> Vec<Route> {
    let has_stove = setup != Setup::NoStove;
    let usual = |name, printers: &[&'static str]| {
        let printers = printers.iter().copied().filter(|name| has_stove || *name != "stove").collect();
        Route { name, printers, groups: &[], own: false, copies: 1, fail_back: "at-once" }
    };
    let receipt = if setup == Setup::Swapped { ["back", "front"] } else { ["front", "back"] };
    vec![
        Route { own: true, ..usual("receipt", &receipt) },
        Route { copies: 2, ..usual("bons", &["stove", "back"]) },
        // What is grilled is called out at the pass as well.
        Route { groups: &["kitchen", "grill"], fail_back: "30s", ..usual("pass", &["stove", "back"]) },
        Route { groups: &["bar"], fail_back: "when-empty", ..usual("drinks", &["front", "back"]) },
        Route { groups: &["grill"], copies: 2, ..usual("grill", &["back", "stove"]) },
    ]
}

/// The routes that print the kitchen tickets of a group; none of what has no group.
pub fn routes_of(group: &str) -> Vec<&'static str> {
    let all = routes(Setup::Whole).into_iter().filter(|route| route.groups.contains(&group));
    all.map(|route| route.name).collect()
}

/// The printers of a route in the order in which they are tried for a station; a printer is a route of its own name.
pub fn lane(world: &World, setup: Setup, route: &str, station: Option<&str>) -> Vec<String> {
    let Some(route) = routes(setup).into_iter().find(|known| known.name == route) else {
        return vec![route.to_owned()];
    };
    let own = station.filter(|_| route.own).and_then(|station| world.own_printer(station));
    own.into_iter().chain(route.printers.into_iter().map(str::to_owned)).collect()
}

/// Writes the configuration file.
pub fn configure(world: &World, setup: Setup) {
    world.notebook().setups.insert(setup);
    let mut text = "[till]\nname = \"Corner shop\"\nstore = \"till.db\"\n".to_owned();
    // A socket is the kernel's, which no seed repeats.
    text += "socket = false\n";
    text += &format!("lease = \"{}s\"\ntell-after = \"{}s\"\n", LEASE.as_secs(), TELL_AFTER.as_secs());
    text += "[server]\naccount-limit = \"20.00\"\n";
    let mut device = |section: &str, address: &str| text += &format!("[{section}]\naddress = '{address}'\n");
    for place in &world.printers {
        let name = place.name();
        if setup != Setup::NoStove || name != "stove" {
            device(&format!("printers.{name}"), &format!("shop-printer+tcp://{name}"));
        }
    }
    for place in &world.terminals {
        let name = place.name();
        let options = match name {
            "counter" => "?commit=keeps&exclusive=true&partial=true",
            "terrace" => "?commit=keeps&partial=true",
            _ => "",
        };
        if setup != Setup::NoBar || name != "bar" {
            device(&format!("terminals.{name}"), &format!("shop-terminal+tcp://{name}{options}"));
        }
    }
    // No protocol tells what the contract of this one excludes.
    if world.terminals.iter().any(|place| place.name() == "terrace") {
        text += "[terminals.terrace.can]\nrefund = false\nreversal = false\n";
    }
    let mut device = |section: &str, address: &str| text += &format!("[{section}]\naddress = '{address}'\n");
    for place in &world.scanners {
        device(&format!("scanners.{}", place.name()), &format!("shop-scanner+tcp://{}", place.name()));
    }
    for radio in &world.radios {
        if let Some(printer) = world.own_printer(radio.name()) {
            text += &format!("[stations.\"{}\"]\nprinter = \"{printer}\"\n", radio.name());
        }
    }
    for Route { name, printers, groups, own, copies, fail_back } in routes(setup) {
        text += &format!("[routes.{name}]\nprinters = {printers:?}\ncopies = {copies}\nfail-back = \"{fail_back}\"\n");
        text += &format!("own = {own}\n");
        if !groups.is_empty() {
            text += &format!("groups = {groups:?}\n");
        }
    }
    std::fs::write(world.folder().join("till.toml"), text).expect("the temporary folder can be written");
}

/// After this time a person is told of a payment that is not decided.
pub const TELL_AFTER: std::time::Duration = std::time::Duration::from_secs(180);
