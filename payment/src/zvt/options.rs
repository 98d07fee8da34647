//! What a till has to know of one ZVT terminal.

use std::time::Duration;

use tresen_hal::address::LinkKind;
use tresen_hal::{Address, Currency, Error, Kind, Language, Result};

use super::commands::Password;
use super::commands::registration::Config;
use super::recovery::Commit;
use super::serial::Timing;
use super::session::Timeouts;
use super::text::Charset;
use super::transport::Framed;
use crate::times;

/// How a reservation is booked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Booking {
    /// 06 23 with what is released of it, zero if all is booked. So tills have been seen to book.
    #[default]
    PartialReversal,
    /// 06 24 with what is booked. Its layout is unproven; for terminals that take 06 23 for nothing but a release.
    Total,
}

/// How to talk to one terminal.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Its logical name: the key of its entries in the journal.
    pub name: String,
    /// Its password. Default `000000`.
    pub password: Password,
    /// The currency to register with. Default euro.
    pub currency: Currency,
    /// Who prints and who may start what. Default `BE`.
    pub config: Config,
    /// The service byte of the registration. Default 01.
    pub service: u8,
    /// Receipts come as text blocks (06 D3) where the terminal can, else line by line. Default true.
    pub text_blocks: bool,
    /// The terminal may show texts at the till and ask it for inputs during a payment: 06 E0, 06 E2 and 04 0D are
    /// permitted at registration. Sent without that they are answered all the same. Default false.
    pub dialogue: bool,
    /// The character set of the terminal's texts. It is asked for at registration; if the terminal answers
    /// with another one that counts, and without an answer this one does, since some terminals send ISO
    /// 8859-1 unasked. Default none: code page 437.
    pub charset: Option<Charset>,
    /// The language of texts for the cashier: states, reasons, advice. The terminal's own words come as it writes them.
    /// Default none: English, or what the till is configured with.
    pub language: Option<Language>,
    /// How APDUs are framed on the link. Default as over TCP, by their length.
    pub framing: Framed,
    /// T3, T4, and how long a transaction may take.
    pub timeouts: Timeouts,
    /// How long to wait for a busy terminal when registering and recovering. Default 180 s.
    pub patience: Duration,
    /// What the terminal does with an approval that is not acknowledged, if that is known for sure. Default
    /// unknown: then what it shows decides alone.
    pub commit: Option<Commit>,
    /// Only this till starts transactions at this terminal: no other till, and no person at its keys. Only then
    /// a payment whose approval was not heard can be settled as charged: if the terminal's last transaction has
    /// the receipt number after the previous one, and amount, currency, kind and time fit. Default false.
    pub exclusive: bool,
    /// The terminal may approve less than was asked for, such as what is left on a card: then the payment is
    /// [`Payment::Partial`](crate::Payment::Partial). Otherwise such an approval is unknown and says why, and
    /// the terminal should be configured not to give any. Default false.
    pub partial: bool,
    /// Asks for the last transaction right before each payment (06 20 without printing): without it a lost
    /// payment stays unknown, and a repeated approval is known by the journal alone. For terminals that
    /// print a copy each time. Default true.
    pub ask_before: bool,
    /// How long to wait before the second look that "not charged" needs: a terminal may go on with a
    /// customer and say that it is idle. Default 10 s.
    pub grace: Duration,
    /// How a reservation is booked. Default by partial reversal, 06 23.
    pub booking: Booking,
    /// Sends the last receipt number along (tag 1F1F). Only for terminals that know it. Default false.
    pub mirror: bool,
    /// Result codes with which this terminal says that it has no last receipt. Default none, since the
    /// specification names none: such a terminal's very first payment then cannot be found missing.
    pub nothing_stored: Vec<u8>,
}

impl Options {
    /// The defaults, for the terminal with this logical name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: Password::default(),
            currency: Currency::EUR,
            config: Config::default(),
            service: 0x01,
            text_blocks: true,
            dialogue: false,
            charset: None,
            language: None,
            framing: Framed::ByLength,
            timeouts: Timeouts::default(),
            patience: Duration::from_secs(180),
            commit: None,
            exclusive: false,
            partial: false,
            ask_before: true,
            grace: Duration::from_secs(10),
            booking: Booking::default(),
            mirror: false,
            nothing_stored: Vec::new(),
        }
    }

    /// The commands that the terminal may send, for tag 26 of the registration; none if it needs no such list.
    pub(super) fn permitted(&self) -> Option<Vec<[u8; 2]>> {
        let blocks = self.text_blocks.then_some([0x06, 0xd3]);
        let dialogue = [[0x04, 0x0d], [0x06, 0xe0], [0x06, 0xe2]].into_iter().filter(|_| self.dialogue);
        let permitted: Vec<[u8; 2]> = blocks.into_iter().chain(dialogue).collect();
        (!permitted.is_empty()).then_some(permitted)
    }

    /// The till asks for receipts, and in a form that it can take.
    pub(super) fn hands_over_receipts(&self) -> bool {
        let (receipts, lines) = (Config::PAYMENT_RECEIPTS, Config::PRINT_LINES);
        self.config.has(receipts) && (self.text_blocks || self.config.has(lines))
    }

    /// The address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &[
        "password",
        "currency",
        "mirror",
        "booking",
        "commit",
        "nothing-stored",
        "exclusive",
        "partial",
        "ask-before",
        "grace",
        "framing",
        "t1",
        "t2",
        "t3",
        "t4",
        "answer",
        "limit",
        "patience",
        "config",
        "service",
        "text-blocks",
        "dialogue",
        "charset",
        "language",
    ];

    /// The options of an address:
    ///
    /// | option | is |
    /// |---|---|
    /// | `password` | six digits |
    /// | `currency` | `CHF` |
    /// | `exclusive` | `true`: this till alone uses the terminal |
    /// | `partial` | `true`: it may approve less than was asked for |
    /// | `commit` | `reverses`, `keeps`: what becomes of an approval that is not acknowledged |
    /// | `booking` | `partial-reversal`, `total`: how a reservation is booked |
    /// | `mirror` | `true`: tag 1F1F |
    /// | `nothing-stored` | a result code, 0 to 255 |
    /// | `ask-before` | `false`: no 06 20 before each payment |
    /// | `framing` | `serial`: DLE STX … DLE ETX CRC, as serial and Bluetooth ports have it by default, also for those behind a converter to the network; `tcp`: by length |
    /// | `t1` | milliseconds between two characters of a serial frame, 20 to 10000; 200, or 1000 over a network |
    /// | `t2` | seconds for the answer to a serial frame, 1 to 60; 5 |
    /// | `grace`, `t3`, `t4`, `answer`, `limit`, `patience` | seconds, 1 to 3600 (`grace` from 0); `answer` is [`Timeouts::enquiry`], `limit` [`Timeouts::limit`] |
    /// | `config`, `service` | a byte in hex: `BE` |
    /// | `text-blocks` | `false`: receipts line by line |
    /// | `dialogue` | `true`: the terminal may ask the till for inputs |
    /// | `charset` | `ascii`, `cp437`, `utf-8`, `iso-8859-1`, `iso-8859-15` |
    /// | `language` | `en`, `de`: of texts for the cashier |
    ///
    /// The terminal is named by its address; a logical name in the journal is for the caller to set.
    ///
    /// # Errors
    /// [`Kind::Address`] names the option; a wrong password does not stand in it.
    /// [`Kind::Unsupported`]: a link that no ZVT terminal has.
    pub fn from_address(address: &Address) -> Result<Self> {
        let at = || address.label();
        let link = address.link();
        if !matches!(link, LinkKind::Serial { .. } | LinkKind::Spp { .. } | LinkKind::Replay { .. })
            && link.server().is_none()
        {
            return Err(Error::new(Kind::Unsupported, format!("ZVT over {} is not supported", link.scheme()))
                .at(at())
                .hint("write zvt+tcp://HOST, zvt+tls://HOST or zvt+serial:///dev/ttyUSB0"));
        }
        let mut options = Self::new(address.label());
        if let Some(password) = address.option("password") {
            let parsed = password.parse::<Password>();
            options.password = parsed.map_err(|e| Error::new(Kind::Address, e.what()).at(at()))?;
        }
        let wrong = |name: &str, given: &str, allowed: &str| {
            Error::new(Kind::Address, format!("option `{name}={given}`: allowed are {allowed}")).at(at())
        };
        let byte = |name: &str, default: u8| match address.option(name) {
            None => Ok(default),
            Some(text) if text.len() == 2 => {
                u8::from_str_radix(text, 16).map_err(|_| wrong(name, text, "two hex digits, such as BE"))
            }
            Some(text) => Err(wrong(name, text, "two hex digits, such as BE")),
        };
        options.currency = address.option_as("currency")?.unwrap_or(options.currency);
        options.mirror = address.option_as("mirror")?.unwrap_or(options.mirror);
        options.exclusive = address.option_as("exclusive")?.unwrap_or(options.exclusive);
        options.partial = address.option_as("partial")?.unwrap_or(options.partial);
        options.ask_before = address.option_as("ask-before")?.unwrap_or(options.ask_before);
        options.text_blocks = address.option_as("text-blocks")?.unwrap_or(options.text_blocks);
        options.dialogue = address.option_as("dialogue")?.unwrap_or(options.dialogue);
        options.framing = framing(address)?;
        times::all(
            address,
            [
                ("grace", 0, &mut options.grace),
                ("patience", 1, &mut options.patience),
                ("t3", 1, &mut options.timeouts.t3),
                ("t4", 1, &mut options.timeouts.t4),
                ("answer", 1, &mut options.timeouts.enquiry),
                ("limit", 1, &mut options.timeouts.limit),
            ],
        )?;
        options.config = Config(byte("config", options.config.0)?);
        options.service = byte("service", options.service)?;
        options.commit = match address.option("commit") {
            None => None,
            Some("reverses") => Some(Commit::Reverses),
            Some("keeps") => Some(Commit::Keeps),
            Some(other) => return Err(wrong("commit", other, "reverses, keeps")),
        };
        options.booking = match address.option("booking") {
            None => options.booking,
            Some("partial-reversal") => Booking::PartialReversal,
            Some("total") => Booking::Total,
            Some(other) => return Err(wrong("booking", other, "partial-reversal, total")),
        };
        options.charset = match address.option("charset") {
            None => None,
            Some(name) => {
                let known = name.parse::<Charset>();
                Some(known.map_err(|_| wrong("charset", name, "ascii, cp437, utf-8, iso-8859-1, iso-8859-15"))?)
            }
        };
        options.language = match address.option("language") {
            None => None,
            Some(code) => Some(code.parse().map_err(|_| wrong("language", code, "en, de"))?),
        };
        options.nothing_stored = address.option_as("nothing-stored")?.into_iter().collect();
        Ok(options)
    }
}

/// The options `framing`, `t1` and `t2`.
pub(super) fn framing(address: &Address) -> Result<Framed> {
    let serial = match address.option("framing") {
        None => matches!(address.link(), LinkKind::Serial { .. } | LinkKind::Spp { .. }),
        Some("serial") => true,
        Some("tcp") => false,
        Some(_) => return Err(address.refuse("framing", "expected serial or tcp")),
    };
    if !serial {
        let useless = ["t1", "t2"].into_iter().find(|name| address.option(name).is_some());
        return match useless {
            Some(name) => Err(address.refuse(name, "has no effect without serial frames").hint("add `framing=serial`")),
            None => Ok(Framed::ByLength),
        };
    }
    let mut timing = if address.link().server().is_some() { Timing::over_network() } else { Timing::default() };
    match address.option_as::<u64>("t1") {
        Ok(None) => {}
        Ok(Some(ms)) if (20..=10_000).contains(&ms) => timing.t1 = Duration::from_millis(ms),
        _ => return Err(address.refuse("t1", "expected 20 to 10000 milliseconds")),
    }
    match address.option_as::<u64>("t2") {
        Ok(None) => {}
        Ok(Some(seconds)) if (1..=60).contains(&seconds) => timing.t2 = Duration::from_secs(seconds),
        _ => return Err(address.refuse("t2", "expected 1 to 60 seconds")),
    }
    Ok(Framed::Serial(timing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_options_of_an_address() {
        let text = "zvt+tcp://t?password=123456&currency=CHF&mirror=true&commit=keeps&nothing-stored=102";
        let options = Options::from_address(&text.parse().expect("an address")).expect("right");
        assert_eq!(options.password.bytes(), [0x12, 0x34, 0x56]);
        assert_eq!((options.currency.code(), options.mirror, options.commit), ("CHF", true, Some(Commit::Keeps)));
        assert_eq!((options.nothing_stored, options.name.as_str()), (vec![102], "zvt+tcp://t"));
    }

    #[test]
    fn every_option_can_be_reached_by_an_address() {
        let text = "zvt+tcp://t?exclusive=true&partial=true&ask-before=false&grace=0&t3=8&t4=60&answer=20&patience=30&config=AE\
            &service=03&booking=total&text-blocks=false&dialogue=true&charset=iso-8859-15&language=de&limit=600&framing=serial&t1=300&t2=4";
        let address: Address = text.parse().expect("an address");
        address.check_options(Options::NAMES).expect("all are listed");
        let options = Options::from_address(&address).expect("right");
        let seconds = Duration::from_secs;
        let timeouts = Timeouts { t3: seconds(8), t4: seconds(60), enquiry: seconds(20), limit: seconds(600) };
        assert_eq!((options.exclusive, options.partial), (true, true));
        assert_eq!((options.ask_before, options.text_blocks), (false, false));
        assert_eq!(options.permitted(), Some(vec![[0x04, 0x0d], [0x06, 0xe0], [0x06, 0xe2]]));
        assert_eq!((options.timeouts, options.grace, options.patience), (timeouts, seconds(0), seconds(30)));
        assert_eq!((options.config, options.service), (Config(0xae), 3));
        assert_eq!((options.charset, options.booking), (Some(Charset::Iso8859(15)), Booking::Total));
        assert_eq!(options.language, Some(Language::German));
    }

    #[test]
    fn a_serial_port_has_serial_frames_unless_the_address_says_otherwise() {
        let framing = |text: &str| Options::from_address(&text.parse().expect(text)).map(|options| options.framing);
        let line = |t1, t2| {
            let mut timing = Timing::default();
            (timing.t1, timing.t2) = (Duration::from_millis(t1), Duration::from_secs(t2));
            Framed::Serial(timing)
        };
        for (text, want) in [
            ("zvt+tcp://t", Framed::ByLength),
            ("zvt+serial:///dev/ttyUSB0", line(200, 5)),
            ("zvt+spp://00:11:22:33:44:55", line(200, 5)),
            ("zvt+serial:///dev/ttyUSB0?t1=50&t2=2", line(50, 2)),
            ("zvt+serial:///dev/ttyACM0?framing=tcp", Framed::ByLength),
            ("zvt+tcp://converter:4001?framing=serial", line(1000, 5)),
        ] {
            assert_eq!(framing(text).expect(text), want, "{text}");
        }
        for (text, part) in [
            ("zvt+tcp://t?framing=usb", "serial or tcp"),
            ("zvt+tcp://t?t2=3", "framing=serial"),
            ("zvt+serial:///dev/x?t1=5", "20 to 10000 milliseconds"),
            ("zvt+serial:///dev/x?t2=0", "1 to 60 seconds"),
        ] {
            let error = framing(text).expect_err(text);
            assert!(error.to_string().contains(part), "{error}");
        }
        let error = framing("zvt+usb://04b8:0e15").expect_err("no such terminal");
        assert_eq!(error.kind(), Kind::Unsupported);
    }

    #[test]
    fn names_a_wrong_option_but_no_password() {
        for (option, part) in [
            ("password=12345x", "six digits"),
            ("currency=Mark", "EUR"),
            ("mirror=maybe", "mirror"),
            ("commit=perhaps", "reverses, keeps"),
            ("booking=half", "partial-reversal, total"),
            ("nothing-stored=999", "nothing-stored"),
            ("t3=0", "1 to 3600 seconds"),
            ("grace=soon", "0 to 3600 seconds"),
            ("config=BEE", "two hex digits"),
            ("charset=ebcdic", "utf-8"),
            ("language=fr", "en, de"),
        ] {
            let address = format!("zvt+tcp://t?{option}").parse().expect("an address");
            let error = Options::from_address(&address).expect_err(option).to_string();
            assert!(error.contains(part) && !error.contains("12345x"), "{error}");
        }
    }
}
