//! What a till has to know of one ZVT terminal.

use std::time::Duration;

use tresen_hal::Currency;

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
}
