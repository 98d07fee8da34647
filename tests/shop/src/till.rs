//! How the till of a shop is opened, and the protocols over links in memory.

use std::sync::Arc;
use std::time::Duration;

use tresen::hal::Address;
use tresen::hal::address::LinkKind;
use tresen::payment::{Terminal, zvt};
use tresen::printers::{Printer, escpos};
use tresen::scanners::{Scanner, serial};
use tresen::{Drivers, Error, Kind, Plan, Printers, Protocol, Result, Scanners, Terminals, Tresen};

use crate::checkout::receipt;
use crate::mortal::Mortal;
use crate::place::Place;
use crate::server::Distant;
use crate::setup::{Setup, configure};
use crate::world::World;

/// Opens the till on its file and its database, as a program does when it starts.
///
/// # Errors
/// The database cannot be used.
pub async fn open(world: &Arc<World>, seed: u64) -> Result<Tresen> {
    configure(world, Setup::Whole);
    let builder = Tresen::builder().drivers(drivers(world)?).runtime(Mortal::new(seed, world));
    let builder = builder.server(Distant(world.clone()));
    let builder = builder.checkout(|checkout| checkout.compose(receipt).order());
    builder.open(world.folder().join("till.toml")).await
}

/// The library's drivers on links in memory.
fn drivers(world: &Arc<World>) -> Result<Drivers> {
    let mut drivers = Drivers::standard();
    let shop = world.clone();
    drivers.register(
        Protocol::new::<Printers>("shop-printer", move |address| {
            let place = named(&shop.printers, address)?;
            let options = escpos::Options::default();
            let shop = shop.clone();
            Ok(Plan::over(
                address.label(),
                move || place.connect(&shop),
                move |link, context| {
                    let mut options = options.clone();
                    options.runtime = context.runtime;
                    async move { Ok(Box::new(escpos::open(link, options).await?) as Box<dyn Printer>) }
                },
            ))
        })
        .port(9100),
    )?;
    let shop = world.clone();
    let terminal = Protocol::new::<Terminals>("shop-terminal", move |address| {
        let place = named(&shop.terminals, address)?;
        let options = zvt::Options::from_address(address)?;
        let shop = shop.clone();
        let plan = Plan::over(
            address.label(),
            move || place.connect(&shop),
            move |link, context| {
                let mut options = options.clone();
                options.name = context.name.clone();
                async move {
                    let journal = context.journal.ok_or_else(|| Error::new(Kind::Config, "needs a journal"))?;
                    let terminal = zvt::open(link, options, journal, context.runtime).await?;
                    Ok(Box::new(terminal) as Box<dyn Terminal>)
                }
            },
        );
        Ok(plan.within(OPEN_TERMINAL))
    });
    drivers.register(terminal.port(20007).options(|_| zvt::Options::NAMES.to_vec()))?;
    let shop = world.clone();
    let scanner = Protocol::new::<Scanners>("shop-scanner", move |address| {
        let place = named(&shop.scanners, address)?;
        let shop = shop.clone();
        Ok(Plan::over(
            address.label(),
            move || place.connect(&shop),
            |link, context| async move {
                let scanner = serial::open(link, &context.name, serial::Options::default(), context.runtime)?;
                Ok(Box::new(scanner) as Box<dyn Scanner>)
            },
        ))
    });
    drivers.register(scanner.port(4001))?;
    Ok(drivers)
}

fn named<D: tresen::hal::sim::Device + 'static>(places: &[Arc<Place<D>>], address: &Address) -> Result<Arc<Place<D>>> {
    let LinkKind::Tcp { host, .. } = address.link() else {
        return Err(Error::new(Kind::Address, "the shop has links over tcp only"));
    };
    let found = places.iter().find(|place| place.name() == host);
    found.cloned().ok_or_else(|| Error::new(Kind::Address, format!("the shop has no `{host}`")))
}

/// As the library's own row for ZVT has it.
const OPEN_TERMINAL: Duration = Duration::from_secs(200);
