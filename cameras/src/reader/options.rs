//! How a [`Reader`](super::Reader) decodes, and how an address says so.

use std::time::Duration;

use tresen_hal::{Address, Error, Result};

use crate::decode::{Format, Hints};

/// How a [`Reader`](super::Reader) decodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What to look for. The effort is that of every second frame, the others get a quick look.
    pub hints: Hints,
    /// In how many frames within [`Options::window`] an EAN, UPC or DataBar must be seen before it is believed: a
    /// misread one can have a right check digit. 1 believes at once. Of a picture from a file, one is enough if it
    /// was read without enhancing the picture, or in two enhanced ones alike.
    pub frames: u8,
    /// See [`Options::frames`].
    pub window: Duration,
    /// After how long a decoder counts as hanging.
    pub stuck: Duration,
}

impl Default for Options {
    /// Retail formats with 40 ms for the thorough look, two agreeing frames within a second.
    fn default() -> Self {
        Self {
            hints: Hints::retail().with_budget(Duration::from_millis(40)),
            frames: 2,
            window: Duration::from_secs(1),
            stuck: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// The address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &["codes", "frames"];

    /// Options as an address gives them.
    ///
    /// | option | values | means | without it |
    /// |---|---|---|---|
    /// | `codes` | `ean-13,qr,pdf-417` …, `retail`, `all` | the kinds of codes to look for | `retail` |
    /// | `frames` | 1 to 10 | see [`Options::frames`] | 2 |
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Address`] names the option and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let usual = Self::default();
        let frames = address.option_as("frames")?.unwrap_or(usual.frames);
        if !(1..=10).contains(&frames) {
            return Err(address.refuse("frames", "allowed are 1 to 10"));
        }
        let formats = match address.option("codes") {
            None | Some("retail") => Format::RETAIL.to_vec(),
            Some("all") => Format::ALL.to_vec(),
            Some(names) => names
                .split(',')
                .map(|name| name.trim().parse().map_err(|e: Error| address.refuse("codes", e.what())))
                .collect::<Result<_>>()?,
        };
        let hints = Hints { formats, ..usual.hints };
        Ok(Self { hints, frames, ..usual })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tresen_hal::Kind;

    #[test]
    fn reads_an_address() {
        let read =
            |options: &str| Options::from_address(&format!("camera+file:///x?{options}").parse().expect(options));
        assert_eq!(read("fps=5").expect("none of these"), Options::default());
        let options = read("codes=pdf-417,%20itf&frames=3").expect("good");
        assert_eq!((options.hints.formats, options.frames), (vec![Format::Pdf417, Format::Itf], 3));
        assert_eq!(read("codes=all").expect("good").hints.formats, Format::ALL);
        for bad in ["codes=ean13", "frames=0", "frames=many"] {
            let error = read(bad).expect_err(bad);
            assert!(error.kind() == Kind::Address && error.to_string().contains(bad), "{error}");
        }
    }
}
