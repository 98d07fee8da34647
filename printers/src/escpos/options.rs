//! How a printer is opened, and how long it may take.

use std::time::Duration;

use tresen_hal::{Address, Dots, Error, Kind, Result};

use crate::profile::Profile;

/// How a printer is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// What kind of printer it is; none means: ask it, and else [`Profile::generic_80`].
    pub profile: Option<Profile>,
    /// What it is called in errors.
    pub label: String,
    /// How long it may take.
    pub timing: Timing,
    /// What a copy says at its top.
    pub copy_mark: String,
}

/// How long a printer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Until it answers a question: 1 s.
    pub answer: Duration,
    /// Between two signs of progress while it takes bytes: 20 s.
    pub stall: Duration,
    /// Until it proves a job, counted from its last sign of life: 20 s.
    pub proof: Duration,
    /// Until somebody has put in paper or closed the cover: 120 s.
    pub operator: Duration,
    /// For one job in all, whatever the printer reports meanwhile: 10 min.
    pub job: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { answer: seconds(1), stall: seconds(20), proof: seconds(20), operator: seconds(120), job: seconds(600) }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: None,
            label: "ESC/POS printer".into(),
            timing: Timing::default(),
            copy_mark: " COPY - may have been printed before ".into(),
        }
    }
}

impl Options {
    /// The address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &["profile", "width", "columns"];

    /// Options as an address gives them: `?profile=generic-58mm`, and `width` in dots and `columns`
    /// for paper that no profile has.
    ///
    /// # Errors
    /// [`Kind::Address`]: no such profile, and the error lists them; or no such width.
    pub fn from_address(address: &Address) -> Result<Self> {
        let bad = |what: String| Error::new(Kind::Address, what).at(address.label());
        let named = address.option("profile").map(|name| {
            Profile::named(name).ok_or_else(|| {
                let names = Profile::all().map(|p| p.name.into_owned()).join(", ");
                bad(format!("no profile `{name}`; profiles are {names}"))
            })
        });
        let mut profile = named.transpose()?;
        let width: Option<u32> = address.option_as("width")?;
        let columns: Option<usize> = address.option_as("columns")?;
        if width.is_some_and(|w| !(100..=4096).contains(&w)) || columns.is_some_and(|c| !(8..=256).contains(&c)) {
            return Err(bad("a width is 100 to 4096 dots, columns are 8 to 256".into()));
        }
        if width.is_some() || columns.is_some() {
            let profile = profile.get_or_insert_default();
            if let Some(width) = width {
                profile.width = Dots(width);
                // Font A is 12 dots wide.
                profile.columns = (width / 12) as usize;
            }
            profile.columns = columns.unwrap_or(profile.columns);
        }
        Ok(Self { profile, label: address.label(), ..Self::default() })
    }
}
