//! Remote access: `[remote]`.

use std::net::{Ipv4Addr, SocketAddr};

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Fault, Path};
use super::read::{Reader, quoted};

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
}

impl Default for Remote {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        Self { listen, plain: None, names: Vec::new(), origins: Vec::new() }
    }
}

const KEYS: [&str; 4] = ["listen", "plain", "names", "origins"];

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
    fn an_origin_is_what_browsers_send() {
        for good in ["https://kiosk.example", "http://localhost:8080", "http://[::1]:80"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["", "https://", "kiosk.example", "https://Kiosk.example", "https://k/", "null", "*"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
