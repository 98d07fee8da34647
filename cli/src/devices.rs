//! The driver table, as the commands use it.

use std::sync::LazyLock;

use tresen::{Address, Context, DeviceClass, Drivers, Result};

static DRIVERS: LazyLock<Drivers> = LazyLock::new(Drivers::standard);

/// The protocols that the commands speak.
pub(crate) fn drivers() -> &'static Drivers {
    &DRIVERS
}

/// An address as it is given on the command line, with the usual port of its protocol.
pub(crate) fn address(text: &str) -> Result<Address> {
    Ok(drivers().resolve(&text.parse()?))
}

/// Opens the device at `address`.
pub(crate) async fn open<C: DeviceClass>(address: &Address) -> Result<Box<C::Driver>> {
    drivers().open::<C>(address, Context::new(address.label())).await
}
