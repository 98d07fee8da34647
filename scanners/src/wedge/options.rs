//! Options of a scanner in keyboard mode, and how an address gives them.

use std::time::Duration;

use tresen_hal::{Address, Result};

use super::layout::Layout;
use crate::serial::{Framing, Suffix};

/// How a scanner in keyboard mode is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its keyboard layout.
    pub layout: Layout,
    /// How it frames its codes, with Enter as CR and Tab as TAB.
    pub framing: Framing,
}

impl Default for Options {
    /// US layout, Enter after each code, AIM identifiers recognised.
    fn default() -> Self {
        let suffix = Suffix::Bytes(b"\r".into());
        let framing = Framing { suffix, quiet: QUIET, gap: Some(GAP), ..Framing::default() };
        Self { layout: Layout::default(), framing }
    }
}

impl Options {
    /// The address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &["layout", "prefix", "suffix", "quiet", "gap", "aim", "code-id", "upc-e", "max"];

    /// Options as an address gives them.
    ///
    /// | option | values | means | without it |
    /// |---|---|---|---|
    /// | `layout` | `us`, `de`, `fr`, `gb`, `ch` | the scanner's keyboard layout | `us` |
    /// | `prefix` | text, percent-encoded | what it types before each code | nothing |
    /// | `suffix` | `enter`, `tab`, `none` | what it types after each code | `enter` |
    /// | `quiet` | milliseconds | the silence after its Enter that ends a code with line breaks in it | 250 |
    /// | `gap` | milliseconds; 0 for never | the silence that ends a code without Enter | 300 |
    /// | `aim` | `true`, `false` | whether `]cm` in front is an AIM identifier | `true` |
    /// | `code-id` | `honeywell`, `zebra`, `datalogic` | the vendor whose code identifiers come in front | none |
    /// | `upc-e` | `8`, `6`, `none` | digits of a UPC-E without identifier ([`UpcE`](crate::serial::UpcE)) | ambiguous ones are refused |
    /// | `max` | bytes, 1 to 1048576 | the longest code | 8192 |
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Address`] names the option and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let suffix = match address.option("suffix") {
            None | Some("enter") => "\r",
            Some("tab") => "\t",
            Some("none") => "none",
            Some(_) => return Err(address.refuse("suffix", "expected enter, tab or none")),
        };
        let layout = address.option_as("layout")?.unwrap_or_default();
        let mut framing = Framing::from_address(&address.clone().with("suffix", suffix))?;
        if address.option("quiet").is_none() {
            framing.quiet = QUIET;
        }
        let given = address.option_as::<u64>("gap")?.map(Duration::from_millis);
        framing.gap = match given {
            None => Some(GAP),
            // Without a suffix nothing else ends a code.
            Some(Duration::ZERO) => (framing.suffix == Suffix::None).then_some(GAP),
            given => given,
        };
        Ok(Self { layout, framing })
    }
}

/// The silence that ends a code without Enter. Keys of one code are about 10 ms apart with Honeywell's scanners, 80 ms
/// with Zebra's and at times 100 ms. This is three times as long, and shorter than the time between two scans.
const GAP: Duration = Duration::from_millis(300);

/// The silence after Enter that ends a code which may contain line breaks: longer than the pause between two keys.
const QUIET: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use tresen_hal::Kind;

    #[test]
    fn reads_an_address() {
        let read = |options: &str| {
            Options::from_address(&format!("scanner+evdev://05e0:1200?{options}").parse().expect("an address"))
        };
        assert_eq!(read("").expect("good"), Options::default());
        let Options { layout, framing } = read("").expect("good");
        assert_eq!((layout, &framing.suffix, framing.gap), (Layout::Us, &Suffix::Bytes(b"\r".into()), Some(GAP)));
        let Options { layout, framing } =
            read("layout=ch&suffix=none&gap=0&prefix=%02&aim=false&max=50").expect("good");
        assert_eq!((layout, &framing.suffix, framing.gap), (Layout::Ch, &Suffix::None, Some(GAP)));
        assert_eq!((framing.prefix, framing.aim, framing.max), (vec![2], false, 50));
        assert_eq!(read("gap=0").expect("good").framing.gap, None);
        for bad in ["layout=qwerty", "suffix=cr", "gap=soon", "max=0"] {
            let error = read(bad).expect_err(bad);
            assert!(error.kind() == Kind::Address && error.to_string().contains(bad), "{error}");
            assert_eq!(error.option(), bad.split('=').next(), "{error}");
        }
    }

    #[test]
    fn every_name_is_read() {
        for name in Options::NAMES {
            let address = format!("scanner+evdev://05e0:1200?{name}=~").parse().expect("an address");
            assert!(Options::from_address(&address).is_err() || *name == "prefix", "{name}");
        }
    }
}
