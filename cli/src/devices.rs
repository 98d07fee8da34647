//! The driver table as used by the commands.

use std::sync::LazyLock;

use tresen::{Address, Context, DeviceClass, Drivers, Result};

static DRIVERS: LazyLock<Drivers> = LazyLock::new(Drivers::standard);

/// The protocols supported by the commands.
pub(crate) fn drivers() -> &'static Drivers {
    &DRIVERS
}

/// Parses an address from the command line and fills in the protocol's default port.
pub(crate) fn address(text: &str) -> Result<Address> {
    Ok(drivers().resolve(&text.parse()?))
}

/// Opens the device at `address`.
pub(crate) async fn open<C: DeviceClass>(address: &Address) -> Result<Box<C::Driver>> {
    drivers().open::<C>(address, Context::new(address.label())).await
}
