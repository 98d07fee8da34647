//! What a till has to know of one OPI terminal.

use std::net::IpAddr;
use std::time::Duration;

use tresen_hal::address::LinkKind;
use tresen_hal::{Address, Currency, Error, Kind, Result};

use super::dialect::{self, Dialect};
use crate::{listening, times};

/// How to talk to one terminal.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Its logical name: the key of its entries in the journal.
    pub name: String,
    /// How it speaks. Default German.
    pub dialect: Dialect,
    /// Where the till listens for the terminal (channel 1): `HOST:PORT`. Without it the terminal's receipts, texts and
    /// questions do not reach the till, and some terminals then refuse to pay. Default none.
    pub listen: Option<String>,
    /// Where the terminal's connections come from, if that is an address: it tells terminals apart that share a
    /// listener.
    pub from: Option<IpAddr>,
    /// `WorkstationID`: this till. Default `1`.
    pub workstation: String,
    /// `POPID`: this terminal, as its configuration names it. Default `001`.
    pub pop: String,
    /// `ApplicationSender`. Default `tresen`.
    pub sender: String,
    /// `LanguageCode` of texts for the cashier. Default none: the terminal's.
    pub language: Option<String>,
    /// The currency of amounts for which the terminal names none. Default euro.
    pub currency: Currency,
    /// What a question with yes and no is answered with if nobody answers it. Default as the dialect: no.
    pub confirm: bool,
    /// How long an answer to a question is waited for: less than the terminal waits. Default 10 s.
    pub confirm_within: Duration,
    /// The terminal may approve less than was asked for: then the payment is [`Payment::Partial`]. Otherwise such an
    /// approval is unknown and says why. Default false.
    ///
    /// [`Payment::Partial`]: crate::Payment::Partial
    pub partial: bool,
    /// `TimedOut` as the terminal's answer to a payment says that nothing was charged. Some of what stands between till
    /// and terminal says it also after it has lost the terminal. Default false: unknown.
    pub timed_out_is_final: bool,
    /// Asks for the terminal's last message before each payment (`RepeatLastMessage`): without it a payment that never
    /// reached the terminal stays unknown. Default true.
    pub ask_before: bool,
    /// Begins and ends a session with the dialect's services. Default true.
    pub login: bool,
    /// How long a transaction may take until its end is unknown. Default 300 s.
    pub limit: Duration,
    /// How long everything else may take. Default 30 s.
    pub answer: Duration,
    /// How long a busy terminal is asked again. Default 180 s.
    pub patience: Duration,
    /// How long after its request a transaction may still run at a terminal that does not show it: only then it counts as
    /// not charged. Default 120 s.
    pub grace: Duration,
    /// How long to wait for receipts after the answer. Default 0: they are added to the journal when they come.
    pub linger: Duration,
}

impl Options {
    /// The defaults, for the terminal with this logical name.
    pub fn new(name: impl Into<String>) -> Self {
        let dialect = dialect::GERMAN;
        Self {
            name: name.into(),
            dialect,
            listen: None,
            from: None,
            workstation: "1".into(),
            pop: "001".into(),
            sender: "tresen".into(),
            language: None,
            currency: Currency::EUR,
            confirm: dialect.confirm,
            confirm_within: Duration::from_secs(10),
            partial: false,
            timed_out_is_final: false,
            ask_before: true,
            login: true,
            limit: Duration::from_secs(300),
            answer: Duration::from_secs(30),
            patience: Duration::from_secs(180),
            grace: Duration::from_secs(120),
            linger: Duration::ZERO,
        }
    }

    /// The address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &[
        "dialect",
        "listen",
        "workstation",
        "pop",
        "sender",
        "language",
        "currency",
        "confirm",
        "confirm-within",
        "partial",
        "timed-out",
        "ask-before",
        "login",
        "limit",
        "answer",
        "patience",
        "grace",
        "linger",
    ];

    /// The options of an address:
    ///
    /// | option | is |
    /// |---|---|
    /// | `dialect` | `german`, `swiss`, `ifsf` |
    /// | `listen` | where the till listens for channel 1: `HOST:PORT`, a port of all interfaces, or `usual`, the dialect's |
    /// | `workstation`, `pop`, `sender` | as the terminal is configured; terminals that share a listener need different ones, unless their addresses differ |
    /// | `language` | `de` |
    /// | `currency` | `CHF` |
    /// | `confirm` | `true`: questions that nobody answers are answered with yes |
    /// | `partial` | `true`: it may approve less than was asked for |
    /// | `timed-out` | `not-charged`, `unknown`: what `TimedOut` says of a payment |
    /// | `ask-before` | `false`: no `RepeatLastMessage` before each payment |
    /// | `login` | `false`: no session |
    /// | `confirm-within`, `limit`, `answer`, `patience`, `grace`, `linger` | seconds, 1 to 3600 (`grace` and `linger` from 0) |
    ///
    /// The terminal is named by its address; a logical name in the journal is for the caller to set.
    ///
    /// # Errors
    /// [`Kind::Address`] names the option. [`Kind::Unsupported`]: OPI connects for each request, so it needs a network.
    pub fn from_address(address: &Address) -> Result<Self> {
        let at = || address.label();
        let LinkKind::Tcp { host, .. } = address.link() else {
            let what = format!("OPI over {} does not exist: it connects for each request", address.link().scheme());
            return Err(Error::new(Kind::Unsupported, what)
                .at(at())
                .hint("connect the terminal by network: opi+tcp://HOST"));
        };
        let wrong = |name: &str, given: &str, allowed: &str| {
            let what = format!("option `{name}={given}`: allowed are {allowed}");
            Error::new(Kind::Address, what).with_option(name).at(at())
        };
        let mut options = Self::new(address.label());
        options.from = host.trim_matches(['[', ']']).parse().ok();
        if let Some(name) = address.option("dialect") {
            let known = Dialect::named(name);
            options.dialect = known.ok_or_else(|| wrong("dialect", name, "german, swiss, ifsf"))?;
            options.confirm = options.dialect.confirm;
        }
        options.listen = match (address.option("listen"), options.dialect.device_port) {
            (None, _) => None,
            (Some("usual"), Some(port)) => Some(format!("0.0.0.0:{port}")),
            (Some(text), _) => match listening::place(text) {
                Some(place) => Some(place),
                None => return Err(wrong("listen", text, "HOST:PORT, a port, or `usual` where the dialect has one")),
            },
        };
        let texts =
            [("workstation", &mut options.workstation), ("pop", &mut options.pop), ("sender", &mut options.sender)];
        for (name, value) in texts {
            if let Some(given) = address.option(name) {
                if given.len() > LONGEST {
                    return Err(wrong(name, given, "up to 32 characters"));
                }
                given.clone_into(value);
            }
        }
        options.language = address.option("language").map(str::to_owned);
        options.currency = address.option_as("currency")?.unwrap_or(options.currency);
        options.confirm = address.option_as("confirm")?.unwrap_or(options.confirm);
        options.partial = address.option_as("partial")?.unwrap_or(options.partial);
        options.ask_before = address.option_as("ask-before")?.unwrap_or(options.ask_before);
        options.login = address.option_as("login")?.unwrap_or(options.login);
        options.timed_out_is_final = match address.option("timed-out") {
            None | Some("unknown") => false,
            Some("not-charged") => true,
            Some(other) => return Err(wrong("timed-out", other, "not-charged, unknown")),
        };
        times::all(
            address,
            [
                ("confirm-within", 1, &mut options.confirm_within),
                ("limit", 1, &mut options.limit),
                ("answer", 1, &mut options.answer),
                ("patience", 1, &mut options.patience),
                ("grace", 0, &mut options.grace),
                ("linger", 0, &mut options.linger),
            ],
        )?;
        Ok(options)
    }
}

/// Bytes of a name.
const LONGEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_can_be_reached_by_an_address() {
        let text = "opi+tcp://10.0.0.9?dialect=swiss&listen=0.0.0.0:4102&workstation=7&pop=002&sender=shop&language=fr\
            &currency=CHF&confirm=true&partial=true&timed-out=not-charged&ask-before=false&login=false&limit=60&answer=5\
            &patience=6&grace=0&linger=2";
        let address: Address = text.parse().expect("an address");
        address.check_options(Options::NAMES).expect("all are listed");
        let options = Options::from_address(&address).expect("right");
        assert_eq!((options.dialect.name, options.listen.as_deref()), ("swiss", Some("0.0.0.0:4102")));
        assert_eq!((&*options.workstation, &*options.pop, &*options.sender), ("7", "002", "shop"));
        assert_eq!((options.language.as_deref(), options.currency.code()), (Some("fr"), "CHF"));
        assert_eq!((options.confirm, options.partial, options.timed_out_is_final), (true, true, true));
        assert_eq!((options.ask_before, options.login), (false, false));
        let seconds = Duration::from_secs;
        assert_eq!((options.limit, options.answer, options.patience), (seconds(60), seconds(5), seconds(6)));
        assert_eq!((options.grace, options.linger), (seconds(0), seconds(2)));
        assert_eq!(options.from, "10.0.0.9".parse().ok());
    }

    #[test]
    fn a_listener_may_be_a_port_or_the_usual_one() {
        let listen = |option: &str| {
            let address: Address = format!("opi+tcp://t?{option}").parse().expect("an address");
            Options::from_address(&address).map(|o| o.listen)
        };
        assert_eq!(listen("listen=usual").expect("right").as_deref(), Some("0.0.0.0:20007"));
        assert_eq!(listen("listen=5000").expect("right").as_deref(), Some("0.0.0.0:5000"));
        assert_eq!(listen("dialect=swiss").expect("right"), None);
        for wrong in ["listen=usual&dialect=ifsf", "listen=:5000", "listen=host", "listen=host:70000"] {
            assert_eq!(listen(wrong).expect_err(wrong).option(), Some("listen"));
        }
    }

    #[test]
    fn names_the_wrong_option_and_refuses_links_without_connections() {
        for (option, name) in [
            ("dialect=french", "dialect"),
            ("timed-out=maybe", "timed-out"),
            ("limit=0", "limit"),
            ("grace=soon", "grace"),
            ("workstation=123456789012345678901234567890123", "workstation"),
        ] {
            let address = format!("opi+tcp://t?{option}").parse().expect("an address");
            let error = Options::from_address(&address).expect_err(option);
            assert_eq!((error.kind(), error.option()), (Kind::Address, Some(name)), "{error}");
        }
        let address = "opi+serial:///dev/ttyUSB0".parse().expect("an address");
        assert_eq!(Options::from_address(&address).expect_err("no network").kind(), Kind::Unsupported);
    }
}
