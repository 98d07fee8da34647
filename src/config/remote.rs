//! Remote access: `[remote]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Fault, Path};
use super::read::Reader;
use super::values::quoted;

/// Where the till can be reached over the network: values only, which the crate `tresen-remote` acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remote {
    /// Where it listens for TLS; default `127.0.0.1:7443`, which other machines cannot reach.
    pub listen: SocketAddr,
    /// Where it listens for plain HTTP, for pages on this machine; a loopback address.
    pub plain: Option<SocketAddr>,
    /// Further names in the till's certificate, besides those of the machine.
    pub names: Vec<String>,
    /// The origins of web pages that may call, besides the till's own: `https://kiosk.example`.
    pub origins: Vec<String>,
    /// How many connections it has at a time, all together: default [`Remote::CONNECTIONS`].
    pub connections: usize,
    /// How many of them may be strangers', who were not let in yet; fewer than all. Default [`Remote::STRANGERS`].
    pub strangers: usize,
    /// How many connections of strangers one address may have: default [`Remote::STRANGERS_OF_ONE_ADDRESS`].
    pub strangers_of_one_address: usize,
    /// How many connections one caller may have: default [`Remote::CONNECTIONS_OF_ONE_CALLER`].
    pub connections_of_one_caller: usize,
    /// How many days the audit table goes back: default [`Remote::AUDIT_DAYS`], within [`Remote::AUDIT_RANGE`].
    pub audit_days: u32,
}

impl Default for Remote {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)),
            plain: None,
            names: Vec::new(),
            origins: Vec::new(),
            connections: Self::CONNECTIONS,
            strangers: Self::STRANGERS,
            strangers_of_one_address: Self::STRANGERS_OF_ONE_ADDRESS,
            connections_of_one_caller: Self::CONNECTIONS_OF_ONE_CALLER,
            audit_days: Self::AUDIT_DAYS,
        }
    }
}

const KEYS: [&str; 9] =
    ["listen", "plain", "names", "origins", ALL, STRANGERS, OF_ONE_ADDRESS, OF_ONE_CALLER, AUDIT_DAYS];
const ALL: &str = "connections";
const STRANGERS: &str = "strangers";
const OF_ONE_ADDRESS: &str = "strangers-of-one-address";
const OF_ONE_CALLER: &str = "connections-of-one-caller";
const AUDIT_DAYS: &str = "audit-days";

impl Reader {
    pub(super) fn remote(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(path, value, "`[remote]`") else { return };
        let mut remote = Remote::default();
        for (key, value) in table {
            let path = path.key(key.get_ref());
            match &**key.get_ref() {
                "listen" => remote.listen = self.socket(&path, value).unwrap_or(remote.listen),
                "plain" => remote.plain = self.socket(&path, value),
                "names" => remote.names = self.texts(&path, value).into_iter().map(|(_, text)| text).collect(),
                "origins" => remote.origins = self.texts(&path, value).into_iter().map(|(_, text)| text).collect(),
                ALL => remote.connections = self.count(&path, value).unwrap_or(remote.connections),
                STRANGERS => remote.strangers = self.count(&path, value).unwrap_or(remote.strangers),
                OF_ONE_ADDRESS => {
                    let of_one = self.count(&path, value);
                    remote.strangers_of_one_address = of_one.unwrap_or(remote.strangers_of_one_address);
                }
                OF_ONE_CALLER => {
                    let of_one = self.count(&path, value);
                    remote.connections_of_one_caller = of_one.unwrap_or(remote.connections_of_one_caller);
                }
                AUDIT_DAYS => {
                    // Too many days for the type are too many for the check.
                    let days = self.count(&path, value).map(|days| u32::try_from(days).unwrap_or(u32::MAX));
                    remote.audit_days = days.unwrap_or(remote.audit_days);
                }
                _ => self.fault(Fault::error(path, format!("unknown key; expected one of {}", quoted(&KEYS)))),
            }
        }
        self.config.remote = Some(remote);
    }

    fn socket(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<SocketAddr> {
        let text = self.filled(path, value)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                let fault = Fault::error(path.clone(), format!("`{text}` is not an IP address with a port"));
                self.fault(fault.hint("such as \"127.0.0.1:7443\", or \"0.0.0.0:7443\" for every network"));
                None
            }
        }
    }
}

impl Remote {
    /// Connections, unless configured.
    pub const CONNECTIONS: usize = 1_000;
    /// Connections whose callers were not let in yet, unless configured.
    pub const STRANGERS: usize = 64;
    /// Of them, those from one address, unless configured.
    pub const STRANGERS_OF_ONE_ADDRESS: usize = 8;
    /// Connections of one caller, unless configured.
    pub const CONNECTIONS_OF_ONE_CALLER: usize = 32;
    /// Days that the audit table goes back, unless configured. PCI DSS 4.0, 10.5.1, asks for twelve months.
    pub const AUDIT_DAYS: u32 = 400;
    /// How many days it may go back: the three months that PCI DSS 4.0, 10.5.1, wants at hand, to a hundred years.
    pub const AUDIT_RANGE: RangeInclusive<u32> = 90..=36_500;

    /// Everything wrong with it.
    pub(super) fn check(&self, faults: &mut Vec<Fault>) {
        let path = Path::of(&["remote"]);
        if let Some(plain) = self.plain.filter(|plain| !plain.ip().is_loopback()) {
            let what = format!("{plain} is reachable from other machines, and plain HTTP is not encrypted");
            faults.push(Fault::error(path.key("plain"), what).hint("use a loopback address, such as 127.0.0.1:7480"));
        }
        if self.plain.is_some_and(|plain| plain == self.listen && plain.port() != 0) {
            faults.push(Fault::error(path.key("plain"), "is the same address as `listen`"));
        }
        for (i, name) in self.names.iter().enumerate() {
            let dns = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
            if name.is_empty() || !(name.chars().all(dns) || name.parse::<std::net::IpAddr>().is_ok()) {
                let what = format!("`{name}` is neither a host name nor an IP address");
                faults.push(Fault::error(path.key("names").index(i), what));
            }
        }
        for (i, origin) in self.origins.iter().enumerate() {
            if !is_origin(origin) {
                let what = format!("`{origin}` is not the origin of a page");
                let fault = Fault::error(path.key("origins").index(i), what);
                faults.push(fault.hint("scheme, host and port only, such as https://kiosk.example"));
            }
        }
        self.check_connections(&path, faults);
        if !Self::AUDIT_RANGE.contains(&self.audit_days) {
            let (least, most) = (Self::AUDIT_RANGE.start(), Self::AUDIT_RANGE.end());
            let what = format!("expected a number of days from {least} to {most}; found {}", self.audit_days);
            faults.push(Fault::error(path.key(AUDIT_DAYS), what));
        }
    }

    fn check_connections(&self, path: &Path, faults: &mut Vec<Fault>) {
        let (all, strangers) = (self.connections, self.strangers);
        for (key, count) in [
            (ALL, all),
            (STRANGERS, strangers),
            (OF_ONE_ADDRESS, self.strangers_of_one_address),
            (OF_ONE_CALLER, self.connections_of_one_caller),
        ] {
            let (whole, of) = if key == OF_ONE_ADDRESS { (STRANGERS, strangers) } else { (ALL, all) };
            let path = path.key(key);
            if count == 0 {
                faults.push(Fault::error(path, "expected a number from 1 on; found 0"));
            } else if key == STRANGERS && count >= of && of > 0 {
                let what = format!("{count} strangers leave no room for callers: `{whole}` is {of}");
                faults.push(Fault::error(path, what).hint(format!("set it below `{whole}`")));
            } else if count > of && of > 0 {
                let what = format!("{count} is more than all of them: `{whole}` is {of}");
                faults.push(Fault::error(path, what).hint(format!("set it to `{whole}` at most")));
            }
        }
    }
}

/// Whether it is an origin as browsers write it: RFC 6454, section 6.2.
fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(host))
}

/// The port of the till as a server.
const PORT: u16 = 7443;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::drivers::Drivers;

    fn problems(text: &str) -> Vec<String> {
        let checked = Config::check_text(text, "till.toml", &Drivers::standard());
        checked.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_the_section_there_is_no_remote_access_and_an_empty_one_is_loopback() {
        let config = |text| Config::parse(text, "till.toml", &Drivers::standard()).map(|config| config.remote);
        assert_eq!(config("").ok().flatten(), None);
        let remote = config("[remote]\n").ok().flatten().expect("a section");
        assert_eq!((remote.listen.to_string().as_str(), remote.plain), ("127.0.0.1:7443", None));
    }

    #[test]
    fn what_is_wrong_names_its_key() {
        let text = "[remote]\nlisten = \"7443\"\nplain = \"0.0.0.0:80\"\nnames = [\"a b\"]\n\
                    origins = [\"https://kiosk.example/shop\", \"kiosk\"]\nport = 1\n";
        let problems = problems(text);
        for key in ["remote.listen", "remote.plain", "remote.names", "remote.origins", "remote.port"] {
            assert!(problems.iter().any(|problem| problem.contains(key)), "{key}: {problems:?}");
        }
        assert_eq!(problems.len(), 6, "{problems:?}");
    }

    #[test]
    fn numbers_of_connections_are_read_and_have_defaults() {
        let remote = |text: &str| {
            let config = Config::parse(&format!("[remote]\n{text}"), "till.toml", &Drivers::standard());
            let remote = config.expect(text).remote.expect("a section");
            let Remote { connections, strangers, strangers_of_one_address, connections_of_one_caller, .. } = remote;
            [connections, strangers, strangers_of_one_address, connections_of_one_caller]
        };
        assert_eq!(remote(""), [1_000, 64, 8, 32]);
        let all =
            "connections = 200\nstrangers = 20\nstrangers-of-one-address = 20\nconnections-of-one-caller = 0x0A\n";
        assert_eq!(remote(all), [200, 20, 20, 10]);
    }

    #[test]
    fn numbers_of_connections_that_cannot_be_kept_are_refused() {
        for (text, key, said) in [
            ("connections = 0", "connections", "from 1 on; found 0"),
            ("strangers = 0", "strangers", "from 1 on; found 0"),
            ("strangers-of-one-address = 0", "strangers-of-one-address", "from 1 on; found 0"),
            ("connections-of-one-caller = 0", "connections-of-one-caller", "from 1 on; found 0"),
            ("connections = -1", "connections", "from 1 on; found the number -1"),
            ("connections = '50'", "connections", "from 1 on; found the text"),
            ("connections = 64", "strangers", "64 strangers leave no room for callers: `connections` is 64"),
            ("strangers = 1000", "strangers", "`connections` is 1000"),
            ("strangers = 7", "strangers-of-one-address", "8 is more than all of them: `strangers` is 7"),
            ("connections-of-one-caller = 1001", "connections-of-one-caller", "`connections` is 1000"),
        ] {
            let problems = problems(&format!("[remote]\n{text}\n"));
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].contains(&format!("key `remote.{key}`: ")), "{text}: {problems:?}");
            assert!(problems[0].contains(said), "{text}: {problems:?}");
        }
        // Also of a configuration built in code.
        let mut config = Config { remote: Some(Remote { strangers: 0, ..Remote::default() }), ..Config::default() };
        let error = config.validate(&Drivers::standard()).expect_err("no room for strangers");
        assert!(error.what().contains("remote.strangers"), "{error}");
        config.remote = Some(Remote::default());
        config.validate(&Drivers::standard()).expect("right");
    }

    #[test]
    fn the_audit_table_goes_back_three_months_at_least() {
        let days = |text: &str| {
            let config = Config::parse(&format!("[remote]\n{text}"), "till.toml", &Drivers::standard());
            config.expect(text).remote.expect("a section").audit_days
        };
        assert_eq!((days(""), days("audit-days = 90\n"), days("audit-days = 3650\n")), (400, 90, 3650));
        for (text, said) in [
            ("audit-days = 0", "from 90 to 36500; found 0"),
            ("audit-days = 89", "from 90 to 36500; found 89"),
            ("audit-days = 36501", "from 90 to 36500; found 36501"),
            ("audit-days = 5000000000", "from 90 to 36500"),
            ("audit-days = '400d'", "found the text"),
        ] {
            let problems = problems(&format!("[remote]\n{text}\n"));
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].contains("key `remote.audit-days`: ") && problems[0].contains(said), "{problems:?}");
        }
    }

    #[test]
    fn an_origin_is_what_browsers_send() {
        for good in ["https://kiosk.example", "http://localhost:8080", "http://[::1]:80"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["", "https://", "kiosk.example", "https://Kiosk.example", "https://k/", "null", "*"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
