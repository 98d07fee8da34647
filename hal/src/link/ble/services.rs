//! Chooses the characteristics of a Bluetooth LE device that carry its bytes, by known services or by properties.
//!
//! Sources: the first two rows are in WebBluetoothReceiptPrinter's `src/main.js`, the second also in
//! Microchip's Transparent UART; the rest is from third-party applications only. AE30 is left
//! out, because those printers speak another protocol.

use std::collections::BTreeSet;

use btleplug::api::{CharPropFlags, Characteristic, Service};
use uuid::Uuid;

use crate::{Error, Kind, Result, Retry};

/// A known printer service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The service.
    pub service: Uuid,
    /// The characteristic to write to; `None` leaves the choice to the properties.
    pub write: Option<Uuid>,
    /// The characteristic that notifies; `None` leaves the choice to the properties.
    pub notify: Option<Uuid>,
}

/// The known services, those with better sources first.
pub const KNOWN: [Known; 5] = [
    Known { service: short(0x18f0), write: Some(short(0x2af1)), notify: Some(short(0x2af0)) },
    Known {
        service: Uuid::from_u128(0x49535343_fe7d_4ae5_8fa9_9fafd205e455),
        write: Some(Uuid::from_u128(0x49535343_8841_43f4_a8d4_ecbe34729bb3)),
        notify: Some(Uuid::from_u128(0x49535343_1e4d_4bd9_ba61_23c647249616)),
    },
    Known { service: short(0xff00), write: Some(short(0xff02)), notify: None },
    Known { service: short(0xffe0), write: Some(short(0xffe1)), notify: None },
    Known { service: Uuid::from_u128(0xe7810a71_73ae_499d_8c15_faa9aef0c3f2), write: None, notify: None },
];

/// A 16-bit UUID on the Bluetooth base UUID.
const fn short(uuid: u16) -> Uuid {
    Uuid::from_u128((uuid as u128) << 96 | 0x0000_0000_0000_1000_8000_0080_5f9b_34fb)
}

/// Reads `18F0`, `000018F0` or a full UUID.
pub(super) fn parse(text: &str) -> Option<Uuid> {
    match text.len() {
        4 | 8 => u32::from_str_radix(text, 16).ok().map(|n| Uuid::from_u128((n as u128) << 96 | short(0).as_u128())),
        _ => Uuid::try_parse(text).ok(),
    }
}

/// The choice in the address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) service: Option<Uuid>,
    pub(super) write: Option<Uuid>,
    pub(super) notify: Option<Uuid>,
}

/// The characteristics to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) write: Characteristic,
    /// `None` if the device cannot answer.
    pub(super) notify: Option<Characteristic>,
}

pub(super) const WRITABLE: CharPropFlags = CharPropFlags::WRITE.union(CharPropFlags::WRITE_WITHOUT_RESPONSE);
const NOTIFYING: CharPropFlags = CharPropFlags::NOTIFY.union(CharPropFlags::INDICATE);

/// Chooses among the services of the device.
///
/// # Errors
/// [`Kind::Unsupported`] lists the services of the device and names the options for the choice.
pub(super) fn choose(offered: &BTreeSet<Service>, wanted: &Wanted) -> Result<Chosen> {
    let refuse = |why: String| {
        Error::new(Kind::Unsupported, format!("{why}; the device offers {}", list(offered)))
            .with_retry(Retry::Never)
            .hint("choose with the options `service`, `write` and `notify`")
    };
    let known = match (wanted.service, wanted.write) {
        (Some(service), _) => {
            KNOWN.into_iter().find(|k| k.service == service).unwrap_or(Known { service, write: None, notify: None })
        }
        (None, Some(write)) => {
            let holder = offered.iter().find(|s| s.characteristics.iter().any(|c| c.uuid == write));
            let service = holder.ok_or_else(|| refuse(format!("no characteristic {write}")))?.uuid;
            Known { service, write: None, notify: None }
        }
        (None, None) => KNOWN
            .into_iter()
            .find(|k| offered.iter().any(|s| s.uuid == k.service))
            .ok_or_else(|| refuse("none of the known printer services".to_owned()))?,
    };
    let service = offered
        .iter()
        .find(|s| s.uuid == known.service)
        .ok_or_else(|| refuse(format!("no service {}", known.service)))?;
    let write = pick(service, wanted.write, known.write, WRITABLE)
        .map_err(|why| refuse(format!("service {}: {why} to write to", service.uuid)))?
        .ok_or_else(|| refuse(format!("service {}: nothing to write to", service.uuid)))?;
    let notify = pick(service, wanted.notify, known.notify, NOTIFYING)
        .map_err(|why| refuse(format!("service {}: {why} that notify", service.uuid)))?;
    Ok(Chosen { write, notify })
}

/// The requested characteristic, or else the known one, or else the only one with these properties.
fn pick(
    service: &Service,
    wanted: Option<Uuid>,
    known: Option<Uuid>,
    properties: CharPropFlags,
) -> Result<Option<Characteristic>, String> {
    let able: Vec<&Characteristic> =
        service.characteristics.iter().filter(|c| c.properties.intersects(properties)).collect();
    if let Some(uuid) = wanted {
        return match able.iter().find(|c| c.uuid == uuid) {
            Some(&c) => Ok(Some(c.clone())),
            None => Err(format!("{uuid} is not one of those")),
        };
    }
    if let Some(&c) = known.and_then(|uuid| able.iter().find(|c| c.uuid == uuid)) {
        return Ok(Some(c.clone()));
    }
    match able.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).clone())),
        several => Err(format!("there are {} characteristics", several.len())),
    }
}

fn list(offered: &BTreeSet<Service>) -> String {
    let services = offered.iter().map(|s| {
        let characteristics: Vec<String> = s
            .characteristics
            .iter()
            .map(|c| {
                let names = c.properties.iter_names().map(|(name, _)| name.to_lowercase());
                format!("{} ({})", c.uuid, names.collect::<Vec<_>>().join(", "))
            })
            .collect();
        format!("{} with {}", s.uuid, characteristics.join(", "))
    });
    let services: Vec<String> = services.collect();
    if services.is_empty() { "no service".to_owned() } else { services.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: CharPropFlags = CharPropFlags::WRITE;
    const C: CharPropFlags = CharPropFlags::WRITE_WITHOUT_RESPONSE;
    const N: CharPropFlags = CharPropFlags::NOTIFY;
    const R: CharPropFlags = CharPropFlags::READ;

    fn service(uuid: &str, characteristics: &[(&str, CharPropFlags)]) -> Service {
        let service_uuid = parse(uuid).expect("a UUID");
        let characteristics = characteristics.iter().map(|&(uuid, properties)| Characteristic {
            uuid: parse(uuid).expect("a UUID"),
            service_uuid,
            properties,
            descriptors: BTreeSet::new(),
        });
        Service { uuid: service_uuid, primary: true, characteristics: characteristics.collect() }
    }

    fn chosen(offered: &[Service], wanted: &Wanted) -> Result<(Uuid, Option<Uuid>)> {
        choose(&offered.iter().cloned().collect(), wanted).map(|c| (c.write.uuid, c.notify.map(|n| n.uuid)))
    }

    #[test]
    fn reads_uuids_as_people_write_them() {
        let long = "000018f0-0000-1000-8000-00805f9b34fb";
        for text in ["18F0", "18f0", "000018F0", long] {
            assert_eq!(parse(text).expect(text).to_string(), long);
        }
        for text in ["", "18", "18FG", "18F0-", "000018f0-0000"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn finds_the_known_services() {
        let generic = service("1801", &[("2a05", CharPropFlags::INDICATE)]);
        for (printer, write, notify) in [
            (service("18f0", &[("2af0", N), ("2af1", W | C)]), "2af1", Some("2af0")),
            (service("ff00", &[("ff01", N), ("ff02", C), ("ff03", N | W)]), "ff02", None),
            (service("ffe0", &[("ffe1", N | C)]), "ffe1", Some("ffe1")),
            (
                service("e7810a71-73ae-499d-8c15-faa9aef0c3f2", &[("bef8d6c9-9c21-4c9e-b632-bd58c1009f9f", C | N)]),
                "bef8d6c9-9c21-4c9e-b632-bd58c1009f9f",
                Some("bef8d6c9-9c21-4c9e-b632-bd58c1009f9f"),
            ),
        ] {
            let got = chosen(&[generic.clone(), printer.clone()], &Wanted::default());
            match notify {
                Some(notify) => assert_eq!(got.expect(write), (parse(write).expect("w"), parse(notify))),
                // Two notify: the properties do not decide.
                None => assert!(got.expect_err("two notify").to_string().contains("there are 2 characteristics")),
            }
        }
    }

    #[test]
    fn the_properties_decide_where_the_known_characteristic_cannot() {
        // 2AF1 is read-only here; the only writable one is another.
        let odd = service("18f0", &[("2af1", R), ("2af2", C), ("2af0", R)]);
        assert_eq!(chosen(&[odd], &Wanted::default()).expect("one"), (parse("2af2").expect("w"), None));
    }

    #[test]
    fn the_address_decides_first() {
        let two =
            [service("18f0", &[("2af1", C), ("2af0", N)]), service("abcd", &[("0001", C), ("0002", C), ("0003", N)])];
        let wanted = Wanted { service: parse("abcd"), write: parse("0002"), notify: None };
        assert_eq!(chosen(&two, &wanted).expect("one"), (parse("0002").expect("w"), parse("0003")));
        let wanted = Wanted { write: parse("0001"), ..Wanted::default() };
        assert_eq!(chosen(&two, &wanted).expect("its service is found").0, parse("0001").expect("w"));
    }

    #[test]
    fn lists_what_there_is_when_it_cannot_choose() {
        let offered = [service("abcd", &[("0001", C), ("0002", W)])];
        for wanted in [
            Wanted::default(),
            Wanted { service: parse("abcd"), ..Wanted::default() },
            Wanted { service: parse("18f0"), ..Wanted::default() },
            Wanted { write: parse("0009"), ..Wanted::default() },
        ] {
            let error = chosen(&offered, &wanted).expect_err("no choice");
            let text = error.to_string();
            assert_eq!(error.kind(), Kind::Unsupported);
            assert!(text.contains("0000abcd") && text.contains("(write)") && text.contains("`service`"), "{text}");
        }
        let text = chosen(&[], &Wanted::default()).expect_err("nothing").to_string();
        assert!(text.contains("offers no service"), "{text}");
    }
}
