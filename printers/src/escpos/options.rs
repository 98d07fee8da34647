//! How a printer is opened, and how long it may take.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tresen_hal::{Address, Dots, Error, Kind, Known, Result, Runtime, SystemRuntime};

use crate::profile::Profile;

/// How a printer is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The printer's profile; `None` means: ask the printer for its model, and fall back to [`Profile::generic_80`].
    pub profile: Option<Profile>,
    /// Where this printer differs from its profile.
    pub overrides: Overrides,
    /// How this printer proves a job; `None` means: find out.
    pub proof: Option<ProofBy>,
    /// The printer's name in errors.
    pub label: String,
    /// Time limits.
    pub timing: Timing,
    /// The line at the top of a copy.
    pub copy_mark: String,
    /// Draws the random number that keeps the job numbers of this connection apart from those of others.
    pub runtime: Arc<dyn Runtime>,
}

/// Capabilities of one printer that override its profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Answers status requests. `false` is for printers that cannot answer: their jobs are accepted at best, even while
    /// another host holds the printer.
    pub status: Option<bool>,
    /// Prints QR codes natively; otherwise they are drawn.
    pub qr: Option<bool>,
    /// Prints barcodes natively; otherwise they are drawn.
    pub barcodes: Option<bool>,
    /// Has a cutter; otherwise paper is fed to the tear bar.
    pub cutter: Option<bool>,
    /// Has a drawer port.
    pub drawer: Option<bool>,
    /// Opens the drawer in real time (`DLE DC4`, function 1).
    pub urgent_drawer: Option<bool>,
    /// Starts in Kanji mode, which has to be cancelled (`FS .`).
    pub cancel_kanji: Option<bool>,
}

/// How a printer proves that a job is on paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofBy {
    /// The job's number comes back: `GS ( H`. In addresses `number`.
    Number,
    /// A status request queued behind the job is answered: `GS r`. In addresses `buffer`.
    Buffer,
    /// Not at all: jobs end as accepted. In addresses `none`.
    None,
}

impl FromStr for ProofBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "number" => Ok(Self::Number),
            "buffer" => Ok(Self::Buffer),
            "none" => Ok(Self::None),
            other => Err(format!("unknown proof `{other}`; expected number, buffer or none")),
        }
    }
}

/// How long a printer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// To answer a request: 1 s. A printer that was slower before is given twice its time, at most 3 s.
    pub answer: Duration,
    /// To take 4096 bytes, whatever it reports meanwhile: 20 s.
    pub stall: Duration,
    /// To prove a job, counted from its last reply: 20 s.
    pub proof: Duration,
    /// For a person to put in paper or close the cover: 120 s.
    pub operator: Duration,
    /// For a whole job, whatever the printer reports meanwhile: 10 min.
    pub job: Duration,
    /// For any other call: 30 s.
    pub call: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            answer: seconds(1),
            stall: seconds(20),
            proof: seconds(20),
            operator: seconds(120),
            job: seconds(600),
            call: seconds(30),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: None,
            overrides: Overrides::default(),
            proof: None,
            label: "ESC/POS printer".into(),
            timing: Timing::default(),
            copy_mark: " COPY - may have been printed before ".into(),
            runtime: Arc::new(SystemRuntime::new()),
        }
    }
}

impl Options {
    /// The names of the address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &[
        "profile",
        "width",
        "columns",
        "status",
        "proof",
        "qr",
        "barcodes",
        "cutter",
        "drawer",
        "urgent-drawer",
        "cancel-kanji",
    ];

    /// Reads options from an address.
    ///
    /// | option | values | means |
    /// |---|---|---|
    /// | `profile` | `generic-58mm` … | the printer's profile, instead of asking for its model |
    /// | `width`, `columns` | dots, characters | a width that no profile has |
    /// | `status` | `no` | the link is one-way or the printer cannot answer: print blindly |
    /// | `proof` | `number`, `buffer`, `none` | how it proves a job ([`ProofBy`]), instead of finding out |
    /// | `qr`, `barcodes` | `yes`, `no` | whether it prints them natively; otherwise they are drawn |
    /// | `cutter`, `drawer` | `yes`, `no` | whether it has one |
    /// | `urgent-drawer` | `yes`, `no` | whether it opens the drawer in real time, even without paper |
    /// | `cancel-kanji` | `yes`, `no` | whether it starts in Kanji mode, as printers sold in China do |
    ///
    /// # Errors
    /// [`Kind::Address`]: an unknown profile, for which the error lists all, or an invalid value.
    pub fn from_address(address: &Address) -> Result<Self> {
        let bad = |what: String| Error::new(Kind::Address, what).at(address.label());
        let named = address.option("profile").map(|name| {
            Profile::named(name).ok_or_else(|| {
                let names = Profile::all().map(|p| p.name.into_owned()).join(", ");
                bad(format!("unknown profile `{name}`; expected one of {names}"))
            })
        });
        let mut profile = named.transpose()?;
        let width: Option<u32> = address.option_as("width")?;
        let columns: Option<usize> = address.option_as("columns")?;
        if width.is_some_and(|w| !(100..=4096).contains(&w)) || columns.is_some_and(|c| !(8..=256).contains(&c)) {
            return Err(bad("`width` takes 100 to 4096 dots, `columns` 8 to 256 characters".into()));
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
        let yes = |name: &str| match address.option(name) {
            None => Ok(None),
            Some("yes" | "true") => Ok(Some(true)),
            Some("no" | "false") => Ok(Some(false)),
            Some(other) => Err(bad(format!("`{name}={other}`: expected yes or no"))),
        };
        let overrides = Overrides {
            status: yes("status")?,
            qr: yes("qr")?,
            barcodes: yes("barcodes")?,
            cutter: yes("cutter")?,
            drawer: yes("drawer")?,
            urgent_drawer: yes("urgent-drawer")?,
            cancel_kanji: yes("cancel-kanji")?,
        };
        let proof = address.option("proof").map(str::parse).transpose().map_err(bad)?;
        Ok(Self { profile, overrides, proof, label: address.label(), ..Self::default() })
    }

    /// `profile` with this printer's overrides.
    pub fn apply(&self, mut profile: Profile) -> Profile {
        let set = |known: &mut Known, over: Option<bool>| *known = over.map_or(*known, Known::from);
        let Overrides { status, qr, barcodes, cutter, drawer, urgent_drawer, cancel_kanji } = self.overrides;
        set(&mut profile.status, status);
        set(&mut profile.qr, qr);
        set(&mut profile.barcodes, barcodes);
        set(&mut profile.cutter, cutter);
        set(&mut profile.drawer, drawer);
        set(&mut profile.urgent_drawer, urgent_drawer);
        profile.cancel_kanji = cancel_kanji.unwrap_or(profile.cancel_kanji);
        profile
    }
}
