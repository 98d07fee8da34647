//! Bluetooth LE devices within reach. A scan listens; it connects to nothing.

use std::time::Duration;

use btleplug::api::{AddressType, Central as _, Peripheral as _, PeripheralProperties};

use super::{DeviceKind, Found, Identity};
use crate::address::LinkKind;
use crate::link::ble::central::{self, CALL_TIMEOUT, Scan, Session, call};
use crate::link::ble::services::KNOWN;
use crate::{Address, Result};

/// Listens for `limit` (5 s finds most devices) on the adapter of this name (`hci1`), or the first that is switched on.
/// Reports devices with a name or a known printer service, the nearest first, except those for which `in_use` returns
/// `true`; it is asked with the protocol `printer`.
///
/// # Errors
/// [`crate::Kind::NotFound`] without a system bus, Bluetooth service or adapter; [`crate::Kind::Permission`]. Each
/// with the next step.
pub async fn ble(limit: Duration, adapter: Option<&str>, in_use: impl Fn(&Address) -> bool) -> Result<Vec<Found>> {
    let session = central::session().await?;
    let listening = listen(session.clone(), limit, adapter.map(str::to_owned));
    let mut near = session.run(listening).await?;
    near.retain(|(_, found)| !in_use(&found.address_for("printer")));
    near.sort_by_key(|(strength, _)| std::cmp::Reverse(*strength));
    Ok(near.into_iter().map(|(_, found)| found).collect())
}

/// A device and its signal strength.
async fn listen(session: Session, limit: Duration, adapter: Option<String>) -> Result<Vec<(i16, Found)>> {
    let adapter = central::adapter(&session, adapter.as_deref()).await?;
    let known: Vec<_> = call("listing the devices", adapter.peripherals()).await?.iter().map(|p| p.id()).collect();
    let _scan = Scan::start(&adapter).await?;
    tokio::time::sleep(limit).await;
    let mut near = Vec::new();
    for device in call("listing the devices", adapter.peripherals()).await? {
        let Ok(Ok(Some(properties))) = tokio::time::timeout(CALL_TIMEOUT, device.properties()).await else { continue };
        // A remembered device has no signal strength; but some controllers never report any.
        if properties.rssi.is_none() && known.contains(&device.id()) {
            continue;
        }
        if let Some(found) = describe(&central::name_of(&device), &properties) {
            near.push((properties.rssi.unwrap_or(i16::MIN), found));
        }
    }
    Ok(near)
}

fn describe(device: &str, properties: &PeripheralProperties) -> Option<Found> {
    let known = KNOWN.iter().any(|k| properties.services.contains(&k.service));
    let name = properties.advertisement_name.clone().unwrap_or_default();
    if name.is_empty() && !known {
        return None;
    }
    let about = if known { "Bluetooth LE printer" } else { "Bluetooth LE device" };
    let mut found = Found::new(LinkKind::Ble { device: device.to_owned() }, about);
    found.kind = known.then_some(DeviceKind::ReceiptPrinter);
    found.name = name;
    if is_lasting(device, properties.address_type) {
        found.identities.push(Identity::Mac(device.to_owned()));
    }
    Some(found)
}

/// Public addresses stay, and random ones whose two highest bits are set (Core 5.4, Vol 6, Part B,
/// 1.3.2.1); the other random ones change every few minutes.
fn is_lasting(device: &str, kind: Option<AddressType>) -> bool {
    let highest = device.get(..2).filter(|_| device.len() == 17).and_then(|byte| u8::from_str_radix(byte, 16).ok());
    match (highest, kind) {
        (None, _) => false,
        (Some(_), Some(AddressType::Public)) => true,
        (Some(byte), _) => byte >= 0xc0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_printers_from_beacons() {
        let with = |name: Option<&str>, service: Option<usize>| PeripheralProperties {
            advertisement_name: name.map(str::to_owned),
            services: service.map(|n| KNOWN[n].service).into_iter().collect(),
            address_type: Some(AddressType::Public),
            ..PeripheralProperties::default()
        };
        let device = "AA:BB:CC:DD:EE:FF";
        assert!(describe(device, &with(None, None)).is_none(), "a beacon");
        let printer = describe(device, &with(Some("Printer001"), Some(0))).expect("a printer");
        assert_eq!(printer.to_string(), "?+ble://AA:BB:CC:DD:EE:FF  Bluetooth LE printer Printer001");
        assert_eq!(printer.identities, [Identity::Mac(device.into())]);
        let other = describe(device, &with(Some("Scale"), None)).expect("named");
        assert_eq!((printer.kind, other.kind), (Some(DeviceKind::ReceiptPrinter), None));
    }

    #[test]
    fn only_lasting_addresses_identify() {
        use AddressType::{Public, Random};
        assert!(is_lasting("00:11:22:33:44:55", Some(Public)));
        assert!(is_lasting("C0:11:22:33:44:55", Some(Random)));
        assert!(!is_lasting("40:11:22:33:44:55", Some(Random)));
        assert!(!is_lasting("12345678-aaaa-bbbb-cccc-1234567890ab", None));
    }

    #[tokio::test]
    async fn without_bluetooth_it_says_what_to_do() {
        let error = ble(Duration::from_millis(10), Some("hci99"), |_| false).await.expect_err("no such adapter");
        assert!(matches!(error.kind(), crate::Kind::NotFound | crate::Kind::Permission), "{error}");
    }
}
