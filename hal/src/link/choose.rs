//! Resolves an address to one of the devices that are plugged in. If several match, the error lists them.

use crate::address::UsbId;
use crate::{Error, Kind, Result};

/// What choosing needs to know about a device that is plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) vendor: u16,
    pub(crate) product: u16,
    pub(crate) serial: Option<String>,
    /// Its bus and ports: `1-1.4`.
    pub(crate) port: String,
    /// Its own name; may be empty.
    pub(crate) name: String,
}

#[cfg(target_os = "linux")]
impl Candidate {
    /// Whether both are interfaces of the same device. Bluetooth devices all have the port of this computer's adapter,
    /// so only their addresses distinguish them.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.vendor, self.product, &self.port) == (other.vendor, other.product, &other.port)
            && (self.serial == other.serial || self.serial.is_none() || other.serial.is_none())
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.product)?;
        match &self.serial {
            Some(serial) => write!(f, "/{serial}")?,
            None => f.write_str(" without serial number")?,
        }
        write!(f, " at port {}", self.port)
    }
}

/// The index of the one candidate that matches `id` and, if given, `port`.
///
/// # Errors
/// [`Kind::NotFound`] names what is present instead; [`Kind::Address`] lists the candidates if several match.
pub(crate) fn choose(candidates: &[Candidate], id: &UsbId, port: Option<&str>) -> Result<usize> {
    let alike = |c: &Candidate| c.vendor == id.vendor && c.product == id.product;
    let fits = |c: &Candidate| {
        alike(c) && (id.serial.is_none() || id.serial == c.serial) && port.is_none_or(|port| port == c.port)
    };
    let fitting: Vec<usize> = (0..candidates.len()).filter(|&i| fits(&candidates[i])).collect();
    match fitting[..] {
        [one] => Ok(one),
        [] => {
            let others: Vec<String> = candidates.iter().filter(|c| alike(c)).map(Candidate::to_string).collect();
            let error = Error::new(Kind::NotFound, "no such device");
            Err(if others.is_empty() {
                error.hint("is it plugged in and switched on? `tresen list` shows what is there")
            } else {
                error.hint(format!("present instead: {}", others.join(" and ")))
            })
        }
        _ => {
            let names: Vec<String> = fitting.iter().map(|&i| candidates[i].to_string()).collect();
            let error = Error::new(
                Kind::Address,
                format!("the address matches {} devices: {}", names.len(), names.join(" and ")),
            );
            let serials: Vec<_> = fitting.iter().filter_map(|&i| candidates[i].serial.as_ref()).collect();
            let distinct = serials.iter().collect::<std::collections::BTreeSet<_>>().len() == fitting.len();
            Err(error.hint(if distinct {
                "add the serial number to the address: VVVV:PPPP/SERIAL".to_owned()
            } else {
                format!("name the port in the address: ?port={}", candidates[fitting[0]].port)
            }))
        }
    }
}

/// As [`choose`], among nodes, several of which may belong to one device.
///
/// # Errors
/// As [`choose`].
#[cfg(target_os = "linux")]
pub(crate) fn choose_among<'a>(
    nodes: impl Iterator<Item = &'a Candidate>,
    id: &UsbId,
    port: Option<&str>,
) -> Result<Candidate> {
    let mut devices: Vec<Candidate> = Vec::new();
    for node in nodes {
        if !devices.iter().any(|device| device.is(node)) {
            devices.push(node.clone());
        }
    }
    let chosen = choose(&devices, id, port)?;
    Ok(devices.swap_remove(chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printer(serial: Option<&str>, port: &str) -> Candidate {
        Candidate {
            vendor: 0x04b8,
            product: 0x0202,
            serial: serial.map(str::to_owned),
            port: port.into(),
            name: "TM-T88V".into(),
        }
    }

    fn id(serial: Option<&str>) -> UsbId {
        UsbId { vendor: 0x04b8, product: 0x0202, serial: serial.map(str::to_owned) }
    }

    #[test]
    fn takes_the_only_one_and_the_named_one() {
        let two = [printer(Some("A"), "1-1"), printer(Some("B"), "1-2")];
        assert_eq!(choose(&two[..1], &id(None), None).expect("the only one"), 0);
        assert_eq!(choose(&two, &id(Some("B")), None).expect("by serial number"), 1);
        assert_eq!(choose(&two, &id(None), Some("1-2")).expect("by port"), 1);
    }

    #[test]
    fn never_takes_the_first_of_two() {
        let error = choose(&[printer(Some("A"), "1-1"), printer(Some("B"), "1-2")], &id(None), None)
            .expect_err("two fit")
            .to_string();
        assert!(error.contains("04b8:0202/A at port 1-1 and 04b8:0202/B at port 1-2"), "{error}");
        assert!(error.contains("add the serial number"), "{error}");
        for serial in [None, Some("SAME")] {
            let twins = [printer(serial, "1-1"), printer(serial, "1-2")];
            let error = choose(&twins, &id(serial), None).expect_err("two fit");
            assert_eq!(error.kind(), Kind::Address);
            assert!(error.to_string().contains("?port=1-1"), "{error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_nodes_of_one_device_are_one() {
        let chosen = |nodes: &[Candidate], serial| choose_among(nodes.iter(), &id(serial), None);
        let one = printer(Some("A"), "1-1");
        assert_eq!(chosen(&[one.clone(), one.clone()], None).expect("one device"), one);
        // Over Bluetooth the port is the adapter's address.
        let adapter = "00:1a:7d:da:71:13";
        let twins = [printer(Some("AA:01"), adapter), printer(Some("AA:02"), adapter)];
        assert_eq!(chosen(&twins, None).expect_err("two").kind(), Kind::Address);
        assert_eq!(chosen(&twins, Some("AA:02")).expect("by its address"), twins[1]);
    }

    #[test]
    fn names_what_is_present_instead() {
        let error = choose(&[printer(Some("A"), "1-1")], &id(Some("B")), None).expect_err("another one");
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.to_string().contains("present instead: 04b8:0202/A at port 1-1"), "{error}");
        let error = choose(&[], &id(None), None).expect_err("nothing");
        assert!(error.to_string().contains("plugged in"), "{error}");
    }
}
