use std::time::Duration;

use serde_json::json;
use tresen::Result;
use tresen::hal::discovery::{self, Event, Found, Listing, Source};

use crate::devices;
use crate::out::Out;

/// List connected devices with their addresses, and whether this user may open them
///
/// Listing opens nothing and disturbs no device in use. The protocol in an address is a guess based on
/// device class and manufacturer; `tresen info ADDRESS` asks the device.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Keep running and report devices as they come and go, until Ctrl-C
    #[arg(short, long)]
    watch: bool,

    /// Also search the network for printers, and ask each for its identity
    #[arg(short, long)]
    network: bool,

    /// Also scan for Bluetooth LE devices
    #[arg(short, long)]
    bluetooth: bool,
}

/// How long to listen on the network and for Bluetooth advertisements.
const LISTEN: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let mut watch = args.watch.then(discovery::watch);
    let mut listed = discovery::list().await;
    if args.network || args.bluetooth {
        out.say(format_args!("listening for {} s", LISTEN.as_secs()));
    }
    if args.network {
        network(&mut listed).await;
    }
    if args.bluetooth {
        bluetooth(&mut listed).await;
    }
    for found in listed.found.iter().map(named) {
        out.answer(&found, &found);
    }
    for problem in &listed.problems {
        out.failed(problem);
    }
    if listed.found.is_empty() {
        out.say("no devices found; `tresen list --network` looks for network printers");
    }
    let Some(watch) = &mut watch else { return Ok(()) };
    match watch.source() {
        Source::Look(why) => out
            .say(format_args!("watching; the system sends no notifications ({why}), polling every 2 s; Ctrl-C stops")),
        _ => out.say("watching; Ctrl-C stops"),
    }
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match event {
            Event::Arrived(found) => tell("arrived", '+', &found, *out),
            Event::Left(found) => tell("left", '-', &found, *out),
            other => tell("changed", '~', other.found(), *out),
        }
    }
}

fn tell(what: &str, mark: char, found: &Found, out: Out) {
    let found = named(found);
    out.answer(&json!({ what: found }), format_args!("{mark} {found}"));
}

/// The device with its most likely protocol in the address.
fn named(found: &Found) -> Found {
    devices::drivers().recognised(found.clone())
}

#[cfg(feature = "mdns")]
async fn network(listed: &mut Listing) {
    let network = tresen::find_printers(LISTEN, None).await;
    listed.found.extend(network.found);
    listed.problems.extend(network.problems);
}

#[cfg(not(feature = "mdns"))]
async fn network(listed: &mut Listing) {
    listed.problems.push(missing("network", "mdns"));
}

#[cfg(feature = "ble")]
async fn bluetooth(listed: &mut Listing) {
    match tresen::find_bluetooth(LISTEN).await {
        Ok(found) => listed.found.extend(found),
        Err(error) => listed.problems.push(error),
    }
}

#[cfg(not(feature = "ble"))]
async fn bluetooth(listed: &mut Listing) {
    listed.problems.push(missing("Bluetooth", "ble"));
}

#[cfg(not(all(feature = "mdns", feature = "ble")))]
fn missing(what: &str, feature: &str) -> tresen::Error {
    tresen::Error::new(tresen::Kind::Unsupported, format!("this build has no {what} discovery"))
        .hint(format!("build with `--features {feature}`"))
}
