//! Discovery of devices that are not plugged in: on the network and by Bluetooth.

#[cfg(feature = "mdns")]
use crate::{Class, Context, Drivers, Printers};
#[cfg(any(feature = "mdns", feature = "ble"))]
use tresen_hal::discovery::Found;
#[cfg(feature = "mdns")]
use tresen_hal::{BoxFuture, discovery};

/// Searches for printers on the network for `limit`, by multicast DNS and Epson's broadcast, and queries the identity
/// of each: only those that answer as a printer are reported. Nothing is printed.
///
/// Printers owned by `till` are neither queried nor reported.
#[cfg(feature = "mdns")]
pub async fn find_printers(limit: std::time::Duration, till: Option<&crate::Tresen>) -> discovery::Listing {
    let owned: Vec<_> = till
        .map(|till| {
            let config = till.config();
            let printers = config.devices.iter().filter(|(id, _)| id.class == Class::Printer);
            printers.flat_map(|(_, device)| device.addresses()).map(|a| till.drivers().resolve(&a)).collect()
        })
        .unwrap_or_default();
    let in_use = |address: &tresen_hal::Address| owned.iter().any(|o| o.link() == address.link());
    discovery::network(limit, in_use, ask).await
}

/// A printer reports its manufacturer or model (ESC/POS GS I); other services on port 9100 do not.
#[cfg(feature = "mdns")]
fn ask(mut found: Found) -> BoxFuture<'static, Option<Found>> {
    Box::pin(async move {
        let address = found.address_for("escpos");
        let opened = Drivers::standard().open::<Printers>(&address, Context::new("printer")).await;
        let mut printer = opened.ok()?;
        let identity = printer.identity().await;
        printer.close().await;
        let identity = identity.ok()?;
        let said: Vec<_> = [identity.maker, identity.model].into_iter().flatten().collect();
        if said.is_empty() {
            return None;
        }
        found.protocol = Some("escpos".into());
        found.name = said.join(" ");
        Some(found)
    })
}

/// Scans for Bluetooth LE devices for `limit`; those with a printer's service are reported as `escpos`.
///
/// # Errors
/// No Bluetooth service, no adapter, or no permission; each with a hint.
#[cfg(feature = "ble")]
pub async fn find_bluetooth(limit: std::time::Duration) -> tresen_hal::Result<Vec<Found>> {
    tresen_hal::discovery::ble(limit, None, |_| false).await
}
