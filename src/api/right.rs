//! What a caller from outside may do: rights, each for all devices or for some.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Right {
    /// Look at devices, jobs, payments, sales and events.
    Watch,
    /// Make and change sales, and hold leases.
    Sell,
    /// Print, reprint and cancel.
    Print,
    /// Open the cash drawer.
    Drawer,
    /// Take scans and command scanners.
    Scan,
    /// See what cameras see.
    Camera,
    /// Take payments at a terminal, abort them and answer its questions.
    Pay,
    /// Give money back.
    Refund,
    /// Decide payments in doubt, and take over leases.
    Settle,
    /// Change devices and configuration, let callers in and revoke them, read the journal and the audit table, back up and
    /// export.
    Configure,
    /// Offer devices of one's own to the till.
    Attach,
}

impl Right {
    /// All rights.
    pub const ALL: [Self; 11] = [
        Self::Watch,
        Self::Sell,
        Self::Print,
        Self::Drawer,
        Self::Scan,
        Self::Camera,
        Self::Pay,
        Self::Refund,
        Self::Settle,
        Self::Configure,
        Self::Attach,
    ];

    /// Its name in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Sell => "sell",
            Self::Print => "print",
            Self::Drawer => "drawer",
            Self::Scan => "scan",
            Self::Camera => "camera",
            Self::Pay => "pay",
            Self::Refund => "refund",
            Self::Settle => "settle",
            Self::Configure => "configure",
            Self::Attach => "attach",
        }
    }

    /// Each use of it is recorded.
    pub fn is_privileged(self) -> bool {
        matches!(self, Self::Drawer | Self::Refund | Self::Settle | Self::Configure | Self::Attach)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rights of one caller. As text: `watch print:bar,kitchen pay:counter`; a right without names is for all devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Grants(Vec<(Right, Devices)>);

/// The devices of a right, by name. A printer's right covers routes of that name too.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Devices {
    All,
    Only(BTreeSet<String>),
}

impl Grants {
    /// Every right for every device: that of a program which links the crate, and of the till's own socket.
    pub fn all() -> Self {
        Self(Right::ALL.iter().map(|right| (*right, Devices::All)).collect())
    }

    /// Whether it may use `right` on `device`; without a device, whether it may use it on all.
    pub fn allow(&self, right: Right, device: Option<&str>) -> bool {
        self.0.iter().filter(|(granted, _)| *granted == right).any(|(_, devices)| match (devices, device) {
            (Devices::All, _) => true,
            (Devices::Only(names), Some(device)) => names.contains(device),
            (Devices::Only(_), None) => false,
        })
    }

    /// Whether it may use `right` on some device.
    pub fn some(&self, right: Right) -> bool {
        self.0.iter().any(|(granted, _)| *granted == right)
    }
}

impl FromStr for Grants {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut grants: Vec<(Right, Devices)> = Vec::new();
        for word in text.split_whitespace() {
            let (name, devices) = match word.split_once(':') {
                None => (word, Devices::All),
                Some((name, names)) => {
                    let names: BTreeSet<_> = names.split(',').map(str::to_owned).collect();
                    if names.contains("") {
                        let what = format!("`{word}` names no device");
                        return Err(Error::new(Kind::Input, what).hint("such as `print:bar,kitchen`"));
                    }
                    (name, Devices::Only(names))
                }
            };
            let right = Right::ALL.into_iter().find(|right| right.as_str() == name).ok_or_else(|| {
                let known: Vec<_> = Right::ALL.iter().map(|right| right.as_str()).collect();
                Error::new(Kind::Input, format!("unknown right `{name}`"))
                    .hint(format!("expected some of {}", known.join(", ")))
            })?;
            match (grants.iter_mut().find(|(granted, _)| *granted == right), devices) {
                (None, devices) => grants.push((right, devices)),
                (Some((_, granted)), Devices::All) => *granted = Devices::All,
                (Some((_, Devices::Only(granted))), Devices::Only(more)) => granted.extend(more),
                (Some((_, Devices::All)), Devices::Only(_)) => {}
            }
        }
        grants.sort_by_key(|(right, _)| *right);
        Ok(Self(grants))
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (right, devices)) in self.0.iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            write!(f, "{space}{right}")?;
            if let Devices::Only(names) = devices {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                write!(f, ":{}", names.join(","))?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Grants {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Grants> for String {
    fn from(grants: Grants) -> Self {
        grants.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_for_all_devices_or_for_those_named() -> Result<()> {
        let grants: Grants = "print:kitchen,bar watch pay:counter print:grill".parse()?;
        assert_eq!(grants.to_string(), "watch print:bar,grill,kitchen pay:counter");
        assert!(grants.allow(Right::Print, Some("bar")));
        assert!(!grants.allow(Right::Print, Some("counter")));
        assert!(!grants.allow(Right::Print, None));
        assert!(grants.some(Right::Print));
        assert!(grants.allow(Right::Watch, None));
        assert!(!grants.allow(Right::Refund, Some("counter")));
        assert_eq!("print:bar print".parse::<Grants>()?.to_string(), "print");
        assert_eq!("print print:bar".parse::<Grants>()?.to_string(), "print");
        Ok(())
    }

    #[test]
    fn what_is_no_right_is_refused_by_name() {
        let error = "watch fly".parse::<Grants>().expect_err("no right");
        assert!(error.to_string().contains("unknown right `fly`"), "{error}");
        assert!("print:".parse::<Grants>().is_err());
        assert!("print:bar,,grill".parse::<Grants>().is_err());
    }

    #[test]
    fn all_rights_survive_json() -> serde_json::Result<()> {
        let all = Grants::all();
        assert_eq!(serde_json::from_str::<Grants>(&serde_json::to_string(&all)?)?, all);
        assert!(Right::ALL.iter().all(|right| all.allow(*right, None)));
        assert!(!Grants::default().some(Right::Watch));
        Ok(())
    }
}
