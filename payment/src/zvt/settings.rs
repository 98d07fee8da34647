//! What a till has to know of one ZVT terminal.

use std::time::Duration;

use tresen_hal::{Address, Currency, Error, Kind, Result};

use super::commands::Password;
use super::commands::registration::Config;
use super::recovery::Commit;
use super::session::Timeouts;
use super::text::Charset;

/// How to talk to one terminal.
#[derive(Debug, Clone)]
pub struct Settings {
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
    /// The character set to ask for; used only if the terminal echoes it. Default none, code page 437.
    pub charset: Option<Charset>,
    /// T3 and T4.
    pub timeouts: Timeouts,
    /// How long to wait for a busy terminal when registering and recovering. Default 180 s.
    pub patience: Duration,
    /// What the terminal does with an approval that is not acknowledged, if that is known for sure. Default
    /// unknown: then what it shows decides alone.
    pub commit: Option<Commit>,
    /// Sends the last receipt number along (tag 1F1F). Only for terminals that know it. Default false.
    pub mirror: bool,
    /// Result codes with which this terminal says that it has no last receipt. Default none, since the
    /// specification names none: such a terminal's very first payment then cannot be found missing.
    pub nothing_stored: Vec<u8>,
}

impl Settings {
    /// The defaults, for the terminal with this logical name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: Password::default(),
            currency: Currency::EUR,
            config: Config::default(),
            service: 0x01,
            text_blocks: true,
            charset: None,
            timeouts: Timeouts::default(),
            patience: Duration::from_secs(180),
            commit: None,
            mirror: false,
            nothing_stored: Vec::new(),
        }
    }

    /// The address options that [`Settings::from_address`] reads.
    pub const OPTIONS: [&str; 5] = ["password", "currency", "mirror", "commit", "nothing-stored"];

    /// The settings of an address: `password` (six digits), `currency` (`CHF`), `mirror` (`true`), `commit`
    /// (`reverses`, `keeps`), `nothing-stored` (a result code, 0 to 255). The terminal is named by its
    /// address; a logical name in the journal is for the caller to set.
    ///
    /// # Errors
    /// [`Kind::Address`] names the option; a wrong password does not stand in it.
    pub fn from_address(address: &Address) -> Result<Self> {
        let mut settings = Self::new(address.label());
        if let Some(password) = address.option("password") {
            let parsed = password.parse::<Password>();
            settings.password = parsed.map_err(|e| Error::new(Kind::Address, e.what()).at(address.label()))?;
        }
        settings.currency = address.option_as("currency")?.unwrap_or(settings.currency);
        settings.mirror = address.option_as("mirror")?.unwrap_or(settings.mirror);
        settings.commit = match address.option("commit") {
            None => None,
            Some("reverses") => Some(Commit::Reverses),
            Some("keeps") => Some(Commit::Keeps),
            Some(other) => {
                let why = format!("option `commit={other}`: allowed are reverses, keeps");
                return Err(Error::new(Kind::Address, why).at(address.label()));
            }
        };
        settings.nothing_stored = address.option_as("nothing-stored")?.into_iter().collect();
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_options_of_an_address() {
        let text = "zvt+tcp://t?password=123456&currency=CHF&mirror=true&commit=keeps&nothing-stored=102";
        let settings = Settings::from_address(&text.parse().expect("an address")).expect("right");
        assert_eq!(settings.password.bytes(), [0x12, 0x34, 0x56]);
        assert_eq!((settings.currency.code(), settings.mirror, settings.commit), ("CHF", true, Some(Commit::Keeps)));
        assert_eq!((settings.nothing_stored, settings.name.as_str()), (vec![102], "zvt+tcp://t:20007"));
    }

    #[test]
    fn names_a_wrong_option_but_no_password() {
        for (option, part) in [
            ("password=12345x", "six digits"),
            ("currency=Mark", "EUR"),
            ("mirror=maybe", "mirror"),
            ("commit=perhaps", "reverses, keeps"),
            ("nothing-stored=999", "nothing-stored"),
        ] {
            let address = format!("zvt+tcp://t?{option}").parse().expect("an address");
            let error = Settings::from_address(&address).expect_err(option).to_string();
            assert!(error.contains(part) && !error.contains("12345x"), "{error}");
        }
    }
}
