//! What a till has to know of one nexo terminal.

use std::fmt;
use std::time::Duration;

use tresen_hal::{Address, Error, Kind, Result};

use super::crypto::Key;
use crate::{listening, times};

/// How to talk to one terminal.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Its logical name: the key of its entries in the journal.
    pub name: String,
    /// `POIID`: model and serial number, as it stands on the terminal: `V400m-123456789`.
    pub poi: String,
    /// `SaleID`: this till, by a name that no other till of the terminal has. Default `tresen`.
    pub sale: String,
    /// Host and port for the requests' `host` field.
    pub host: String,
    /// What seals the messages. `None` sends them in clear, which only terminals for tests accept.
    pub key: Option<Key>,
    /// The terminal may approve less than was asked for: then the payment is [`Payment::Partial`]. Otherwise such an
    /// approval is unknown and says why. Default false.
    ///
    /// [`Payment::Partial`]: crate::Payment::Partial
    pub partial: bool,
    /// The terminal asks for a tip, which is charged besides the amount. Otherwise an approval of more than the amount is
    /// unknown and says why. Default false.
    pub tip: bool,
    /// The till prints the receipts; a terminal with a printer prints none. Default true.
    pub receipts: bool,
    /// Where the till listens for what the terminal tells while a transaction runs: `HOST:PORT`, over HTTP. The
    /// terminal's settings name this place under "Display URLs". Without it the till hears of nothing but the end.
    /// Default none.
    pub listen: Option<String>,
    /// How long a transaction may take until its end is unknown. A terminal gives a customer 120 s. Default 180 s.
    pub limit: Duration,
    /// How long everything else may take. Default 30 s.
    pub answer: Duration,
    /// How long a transaction that still runs is asked about in a recovery. Default 180 s.
    pub patience: Duration,
    /// How long after its request a transaction may be missing at the terminal without counting as not charged: the
    /// request may be on its way. Default 30 s.
    pub grace: Duration,
}

impl Options {
    /// The defaults, for the terminal with this logical name and `POIID`, in clear.
    pub fn new(name: impl Into<String>, poi: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            poi: poi.into(),
            sale: "tresen".into(),
            host: "terminal:8443".into(),
            key: None,
            partial: false,
            tip: false,
            receipts: true,
            listen: None,
            limit: Duration::from_secs(180),
            answer: Duration::from_secs(30),
            patience: Duration::from_secs(180),
            grace: Duration::from_secs(30),
        }
    }

    /// The address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &[
        "poi",
        "sale",
        "key",
        "version",
        "passphrase",
        "encryption",
        "partial",
        "tip",
        "receipts",
        "listen",
        "limit",
        "answer",
        "patience",
        "grace",
    ];

    /// The options of an address:
    ///
    /// | option | is |
    /// |---|---|
    /// | `poi` | `V400m-123456789`; needed |
    /// | `sale` | this till's name at the terminal |
    /// | `key`, `version`, `passphrase` | identifier, version (1) and passphrase of the key that is set at the terminal; needed |
    /// | `encryption` | `false`: in clear, without these three; for terminals for tests only |
    /// | `partial` | `true`: it may approve less than was asked for |
    /// | `tip` | `true`: the terminal asks for a tip, which the till's sale books |
    /// | `receipts` | `till`, `terminal`: who prints |
    /// | `listen` | where the till listens for the terminal: `HOST:PORT`, or a port of all interfaces |
    /// | `limit`, `answer`, `patience`, `grace` | seconds, 1 to 3600 (`grace` from 0) |
    ///
    /// The terminal is named by its address; a logical name in the journal is for the caller to set.
    ///
    /// # Errors
    /// [`Kind::Address`] names the option, and never says the passphrase. [`Kind::Unsupported`]: nexo connects for each
    /// request, so it needs a network.
    pub fn from_address(address: &Address) -> Result<Self> {
        let at = || address.label();
        let Some((host, port)) = address.link().server() else {
            let what = format!("nexo over {} does not exist: it is HTTP over TLS", address.link().scheme());
            let hint = "connect the terminal by network: nexo+https://HOST";
            return Err(Error::new(Kind::Unsupported, what).at(at()).hint(hint));
        };
        let missing = |name: &str, hint: &str| {
            let what = format!("option `{name}` is missing");
            Error::new(Kind::Address, what).with_option(name).at(at()).hint(hint)
        };
        let named = |name: &str, longest: usize| match address.option(name) {
            Some(text) if text.is_empty() || text.len() > longest || !text.bytes().all(|b| b.is_ascii_graphic()) => {
                Err(address.refuse(name, format!("expected 1 to {longest} characters of ASCII without blanks")))
            }
            other => Ok(other.map(str::to_owned)),
        };
        let poi = named("poi", 32)?;
        let poi = poi.ok_or_else(|| missing("poi", "its model and serial number, such as poi=V400m-123456789"))?;
        let mut options = Self::new(address.label(), poi);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        options.host = port.map_or(host.clone(), |port| format!("{host}:{port}"));
        options.sale = named("sale", 16)?.unwrap_or(options.sale);
        let sealed = address.option_as("encryption")?.unwrap_or(true);
        let secrets = ["key", "version", "passphrase"];
        options.key = if sealed {
            let hint = "as they are set at the terminal: key=NAME&version=1&passphrase=…";
            let identifier = named("key", 64)?.ok_or_else(|| missing("key", hint))?;
            let passphrase = address.option("passphrase").ok_or_else(|| missing("passphrase", hint))?;
            let version = address.option_as("version")?.unwrap_or(1);
            let wrong = |e: Error| {
                let error = Error::new(Kind::Address, format!("option `passphrase`: {}", e.what()));
                error.with_option("passphrase").at(at())
            };
            Some(Key::derive(identifier, version, passphrase).map_err(wrong)?)
        } else if let Some(name) = secrets.into_iter().find(|name| address.option(name).is_some()) {
            let what = format!("option `{name}` has no effect with `encryption=false`");
            return Err(Error::new(Kind::Address, what).with_option(name).at(at()).hint("leave one of them out"));
        } else {
            None
        };
        options.partial = address.option_as("partial")?.unwrap_or(options.partial);
        options.tip = address.option_as("tip")?.unwrap_or(options.tip);
        options.receipts = match address.option("receipts") {
            None | Some("till") => true,
            Some("terminal") => false,
            Some(_) => return Err(address.refuse("receipts", "expected till or terminal")),
        };
        options.listen = match address.option("listen") {
            None => None,
            Some(text) => match listening::place(text) {
                Some(place) => Some(place),
                None => return Err(address.refuse("listen", "expected HOST:PORT or a port")),
            },
        };
        times::all(
            address,
            [
                ("limit", 1, &mut options.limit),
                ("answer", 1, &mut options.answer),
                ("patience", 1, &mut options.patience),
                ("grace", 0, &mut options.grace),
            ],
        )?;
        Ok(options)
    }

    /// The address with the names that the terminal's certificate may have, if its authority is given and no names are:
    /// Adyen's terminals have `POIID.test.terminal.adyen.com`, `legacy-terminal-certificate.test.terminal.adyen.com`, or
    /// the same with `live`.
    #[must_use]
    pub fn named_by(&self, address: Address) -> Address {
        if address.option("ca").is_none() || address.option("certificate").is_some() {
            return address;
        }
        let names = [&*self.poi, "legacy-terminal-certificate"]
            .map(|name| format!("{name}.test.terminal.adyen.com,{name}.live.terminal.adyen.com"));
        address.with("certificate", names.join(","))
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("name", &self.name)
            .field("poi", &self.poi)
            .field("sale", &self.sale)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Options> {
        let address: Address = format!("nexo+https://10.0.0.9:8443?{query}").parse().expect("an address");
        address.check_options(Options::NAMES).expect("all are listed");
        Options::from_address(&address)
    }

    const KEY: &str = "poi=V400m-1&key=shop&passphrase=test123";

    #[test]
    fn every_option_can_be_reached_by_an_address() {
        let options = read(&format!(
            "{KEY}&sale=till-1&version=3&partial=true&tip=true&receipts=terminal&listen=8080&limit=60&answer=5&patience=6&grace=0"
        ));
        let options = options.expect("right");
        assert_eq!((&*options.poi, &*options.sale, &*options.host), ("V400m-1", "till-1", "10.0.0.9:8443"));
        assert_eq!(format!("{:?}", options.key), "Some(Key(shop, version 3))");
        assert_eq!((options.partial, options.tip, options.receipts), (true, true, false));
        assert_eq!(options.listen.as_deref(), Some("0.0.0.0:8080"));
        let seconds = Duration::from_secs;
        assert_eq!((options.limit, options.answer), (seconds(60), seconds(5)));
        assert_eq!((options.patience, options.grace), (seconds(6), seconds(0)));
        assert!(!format!("{options:?}").contains("test123"));
        assert!(read("poi=V400m-1&encryption=false").expect("in clear").key.is_none());
        let address: Address = "nexo+tcp://[::1]?poi=a&encryption=false".parse().expect("an address");
        assert_eq!(Options::from_address(&address).expect("right").host, "[::1]");
    }

    #[test]
    fn names_the_wrong_option_and_says_no_passphrase() {
        for (query, name) in [
            ("key=shop&passphrase=test123", "poi"),
            ("poi=V400m-1&passphrase=test123", "key"),
            ("poi=V400m-1&key=shop", "passphrase"),
            ("poi=V400m-1&key=shop&passphrase=", "passphrase"),
            ("poi=V400m-1&key=shop&passphrase=t%C3%A4st123", "passphrase"),
            ("poi=V400m-1&encryption=false&passphrase=test123", "passphrase"),
            ("poi=V400m%201&encryption=false", "poi"),
            ("poi=V400m-1&encryption=no", "encryption"),
            (&format!("{KEY}&version=one"), "version"),
            (&format!("{KEY}&sale=12345678901234567"), "sale"),
            (&format!("{KEY}&receipts=me"), "receipts"),
            (&format!("{KEY}&listen=host"), "listen"),
            (&format!("{KEY}&limit=0"), "limit"),
            (&format!("{KEY}&grace=soon"), "grace"),
        ] {
            let error = read(query).expect_err(query);
            assert_eq!((error.kind(), error.option()), (Kind::Address, Some(name)), "{error}");
            assert!(!format!("{error:#} {error:?}").contains("st123"), "{error}");
        }
        let serial = "nexo+serial:///dev/ttyUSB0?poi=a".parse().expect("an address");
        assert_eq!(Options::from_address(&serial).expect_err("no network").kind(), Kind::Unsupported);
    }

    #[test]
    fn a_certificate_may_name_the_terminal_instead_of_the_host() {
        let options = read(KEY).expect("right");
        let names = |query: &str| {
            let address: Address = format!("nexo+https://t?{query}").parse().expect("an address");
            options.named_by(address).option("certificate").map(str::to_owned)
        };
        let all = "V400m-1.test.terminal.adyen.com,V400m-1.live.terminal.adyen.com,\
                   legacy-terminal-certificate.test.terminal.adyen.com,legacy-terminal-certificate.live.terminal.adyen.com";
        assert_eq!(names("ca=/x").as_deref(), Some(all));
        assert_eq!(names("ca=/x&certificate=a").as_deref(), Some("a"));
        assert_eq!(names("fingerprint=00"), None);
    }
}
