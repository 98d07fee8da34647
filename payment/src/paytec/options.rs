//! What a till has to know of one PayTec terminal.

use std::time::Duration;

use tresen_hal::address::LinkKind;
use tresen_hal::{Address, Error, Kind, Result};

use super::serial;
use crate::times;

/// How to talk to one terminal.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Its logical name: the key of its entries in the journal.
    pub name: String,
    /// Lines come in the frames of a serial line. Default as the link; false.
    pub serial: bool,
    /// Speed of the serial line. Default 115200.
    pub baud: u32,
    /// `TrmLng`: the terminal's language: `de`, `fr`, `it`, `en`. Default none: its own.
    pub language: Option<String>,
    /// `PrinterWidth`: characters of a receipt's line. Default 40.
    pub width: u16,
    /// `POSID`: the till's name for the terminal's books. Default `tresen`.
    pub pos: String,
    /// Texts for the customer also come to the till (`UseExternalDisplay`). Default false.
    pub display: bool,
    /// The terminal may approve less than was asked for: then the payment is [`Payment::Partial`]. Otherwise such an
    /// approval is rolled back. Default false.
    ///
    /// [`Payment::Partial`]: crate::Payment::Partial
    pub partial: bool,
    /// The terminal undoes each approval that is not confirmed, also after a lost link: somebody knows that for sure. The
    /// vendor says so of confirmations, and not of links. Default false: such a payment stays unknown.
    pub reverses: bool,
    /// How long a transaction may take until it is aborted, and after that [`Options::answer`] later unknown. Default
    /// 180 s.
    pub limit: Duration,
    /// How long everything else may take. Default 30 s.
    pub answer: Duration,
    /// How long configuration, initialisation and the end of the day may take. Default 120 s.
    pub admin: Duration,
    /// How long a busy terminal is asked again. Default 180 s.
    pub patience: Duration,
    /// How long to wait before the second look that "not charged" needs. Default 10 s.
    pub grace: Duration,
    /// How long to wait for the next part of a receipt before it is asked for. Default 3 s.
    pub linger: Duration,
}

impl Options {
    /// The defaults, for the terminal with this logical name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            serial: false,
            baud: serial::BAUD,
            language: None,
            width: 40,
            pos: "tresen".into(),
            display: false,
            partial: false,
            reverses: false,
            limit: Duration::from_secs(180),
            answer: Duration::from_secs(30),
            admin: Duration::from_secs(120),
            patience: Duration::from_secs(180),
            grace: Duration::from_secs(10),
            linger: Duration::from_secs(3),
        }
    }

    /// The address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &[
        "language", "width", "pos", "display", "partial", "commit", "limit", "answer", "admin", "patience", "grace",
        "linger",
    ];

    /// The options of an address:
    ///
    /// | option | is |
    /// |---|---|
    /// | `language` | `de`, `fr`, `it`, `en` |
    /// | `width` | characters of a receipt's line, 20 to 80 |
    /// | `pos` | the till's name, up to 32 characters |
    /// | `display` | `true`: texts for the customer also come to the till |
    /// | `partial` | `true`: it may approve less than was asked for |
    /// | `commit` | `reverses`: it is known to undo what is not confirmed; `unknown` |
    /// | `limit`, `answer`, `admin`, `patience`, `grace`, `linger` | seconds, 1 to 3600 (`grace` and `linger` from 0) |
    ///
    /// The terminal is named by its address; a logical name in the journal is for the caller to set.
    ///
    /// # Errors
    /// [`Kind::Address`] names the option. [`Kind::Unsupported`]: a link that the terminals do not have.
    pub fn from_address(address: &Address) -> Result<Self> {
        let at = || address.label();
        let mut options = Self::new(address.label());
        match address.link() {
            LinkKind::Tcp { .. } | LinkKind::Tls { .. } | LinkKind::Replay { .. } => {}
            LinkKind::Serial { .. } => options.serial = true,
            other => {
                let what = format!("PayTec's terminals have no `{}` link that is supported", other.scheme());
                return Err(Error::new(Kind::Unsupported, what)
                    .at(at())
                    .hint("connect the terminal by network: paytec+tcp://HOST; the vendor's cloud is not supported"));
            }
        }
        let wrong = |name: &str, given: &str, allowed: &str| {
            let what = format!("option `{name}={given}`: allowed are {allowed}");
            Error::new(Kind::Address, what).with_option(name).at(at())
        };
        options.baud = address.option_as("baud")?.unwrap_or(options.baud);
        options.language = match address.option("language") {
            None => None,
            Some(known @ ("de" | "fr" | "it" | "en")) => Some(known.to_owned()),
            Some(other) => return Err(wrong("language", other, "de, fr, it, en")),
        };
        if let Some(text) = address.option("width") {
            let width = text.parse().ok().filter(|width| (20..=80).contains(width));
            options.width = width.ok_or_else(|| wrong("width", text, "20 to 80"))?;
        }
        if let Some(text) = address.option("pos") {
            if text.is_empty() || text.len() > LONGEST {
                return Err(wrong("pos", text, "1 to 32 characters"));
            }
            text.clone_into(&mut options.pos);
        }
        options.display = address.option_as("display")?.unwrap_or(options.display);
        options.partial = address.option_as("partial")?.unwrap_or(options.partial);
        options.reverses = match address.option("commit") {
            None | Some("unknown") => false,
            Some("reverses") => true,
            Some(other) => return Err(wrong("commit", other, "reverses, unknown")),
        };
        times::all(
            address,
            [
                ("limit", 1, &mut options.limit),
                ("answer", 1, &mut options.answer),
                ("admin", 1, &mut options.admin),
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
        let text = "paytec+tcp://10.0.0.9?language=fr&width=34&pos=K7&display=true&partial=true&commit=reverses&limit=60\
            &answer=5&admin=90&patience=6&grace=0&linger=2";
        let address: Address = text.parse().expect("an address");
        address.check_options(Options::NAMES).expect("all are listed");
        let options = Options::from_address(&address).expect("right");
        assert_eq!((options.language.as_deref(), options.width, &*options.pos), (Some("fr"), 34, "K7"));
        assert_eq!((options.display, options.partial, options.reverses), (true, true, true));
        let seconds = Duration::from_secs;
        assert_eq!((options.limit, options.answer, options.admin), (seconds(60), seconds(5), seconds(90)));
        assert_eq!((options.patience, options.grace, options.linger), (seconds(6), seconds(0), seconds(2)));
        assert!(!options.serial);
        for tls in ["paytec+tls://10.0.0.9:18307?fingerprint=00", "paytec+tcp://10.0.0.9?tls=true"] {
            assert!(!Options::from_address(&tls.parse().expect("an address")).expect("through a tunnel").serial);
        }
        let serial = "paytec+serial:///dev/ttyUSB0?baud=9600".parse().expect("an address");
        let serial = Options::from_address(&serial).expect("right");
        assert!(serial.serial && serial.baud == 9600);
    }

    #[test]
    fn names_the_wrong_option_and_refuses_links_that_the_terminals_do_not_have() {
        for (option, name) in [
            ("language=rm", "language"),
            ("width=200", "width"),
            ("pos=", "pos"),
            ("commit=maybe", "commit"),
            ("limit=0", "limit"),
            ("grace=soon", "grace"),
        ] {
            let address = format!("paytec+tcp://t?{option}").parse().expect("an address");
            let error = Options::from_address(&address).expect_err(option);
            assert_eq!((error.kind(), error.option()), (Kind::Address, Some(name)), "{error}");
        }
        for address in ["paytec+https://t", "paytec+spp://00:11:22:33:44:55"] {
            let address = address.parse().expect("an address");
            assert_eq!(Options::from_address(&address).expect_err("no such link").kind(), Kind::Unsupported);
        }
    }
}
