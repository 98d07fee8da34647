//! Options of a serial scanner, and how an address gives them.

use std::time::Duration;

use tresen_hal::{Address, Error, Result};

use super::wire::{Framing, Suffix, USUAL_GAP};

/// How a serial scanner is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// How it frames its codes.
    pub framing: Framing,
    /// The commands that it understands.
    pub commands: Commands,
}

/// Commands that a scanner understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Commands {
    /// None.
    #[default]
    None,
    /// Honeywell's serial trigger: SYN T CR and SYN U CR.
    Honeywell,
}

impl Options {
    /// The address options that [`Options::from_address`] reads.
    pub const NAMES: &[&str] = &["prefix", "suffix", "quiet", "gap", "aim", "code-id", "upc-e", "max", "commands"];

    /// Options as an address gives them.
    ///
    /// | option | values | means | without it |
    /// |---|---|---|---|
    /// | `prefix` | bytes, percent-encoded | what comes before each code | nothing |
    /// | `suffix` | bytes, percent-encoded; `line`; `none` | what comes after each code | `line`: CR, LF, CRLF or TAB |
    /// | `quiet` | milliseconds | the silence after `suffix` that ends a code which may contain it | 50; 0 with bytes as `suffix` |
    /// | `gap` | milliseconds | the silence that ends a code without `suffix` | never; 100 with `suffix=none` |
    /// | `aim` | `true`, `false` | whether `]cm` in front is an AIM identifier | `true` |
    /// | `code-id` | `honeywell`, `zebra`, `datalogic` | the vendor whose code identifiers come in front | none |
    /// | `upc-e` | `8`, `6`, `none` | digits of a UPC-E without identifier ([`UpcE`](super::UpcE)) | ambiguous ones are refused |
    /// | `max` | bytes, 1 to 1048576 | the longest code | 8192 |
    /// | `commands` | `none`, `honeywell` | which commands it understands ([`Commands`]) | `none` |
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Address`] names the option and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let commands = match address.option("commands") {
            None | Some("none") => Commands::None,
            Some("honeywell") => Commands::Honeywell,
            Some(_) => return Err(address.refuse("commands", "expected none or honeywell")),
        };
        Ok(Self { framing: Framing::from_address(address)?, commands })
    }
}

impl Framing {
    /// All of [`Options`] but `commands`.
    pub(crate) fn from_address(address: &Address) -> Result<Self> {
        let usual = Self::default();
        let suffix = match address.option("suffix") {
            None | Some("line") => Suffix::Line,
            Some("none" | "") => Suffix::None,
            Some(bytes) => Suffix::Bytes(bytes.into()),
        };
        let millis = |name| Ok::<_, Error>(address.option_as::<u64>(name)?.map(Duration::from_millis));
        let (gap, quiet) = (millis("gap")?, millis("quiet")?);
        let max = address.option_as("max")?.unwrap_or(usual.max);
        if max == 0 || max > LONGEST {
            return Err(address.refuse("max", format_args!("expected 1 to {LONGEST}")));
        }
        Ok(Self {
            prefix: address.option("prefix").unwrap_or_default().into(),
            quiet: quiet.unwrap_or(if suffix == Suffix::Line { usual.quiet } else { Duration::ZERO }),
            gap: gap.filter(|g| !g.is_zero()).or((suffix == Suffix::None).then_some(USUAL_GAP)),
            suffix,
            aim: address.option_as("aim")?.unwrap_or(usual.aim),
            code_id: address.option_as("code-id")?,
            upc_e: address.option_as("upc-e")?.unwrap_or_default(),
            max,
        })
    }
}

/// The upper bound of `max`, in bytes.
const LONGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::super::code_id::{CodeId, UpcE};
    use super::*;
    use tresen_hal::Kind;

    fn read(options: &str) -> Result<Options> {
        Options::from_address(&format!("scanner+serial:///dev/ttyS0?{options}").parse().expect("an address"))
    }

    #[test]
    fn reads_an_address() {
        assert_eq!(read("baud=9600").expect("good"), Options::default());
        let got = read("prefix=%02&suffix=%03&gap=50&aim=false&max=100&commands=honeywell").expect("good");
        let framing = Framing {
            prefix: vec![2],
            suffix: Suffix::Bytes(vec![3]),
            quiet: Duration::ZERO,
            gap: Some(Duration::from_millis(50)),
            aim: false,
            max: 100,
            ..Framing::default()
        };
        assert_eq!(got, Options { framing, commands: Commands::Honeywell });
        assert_eq!(read("suffix=none").expect("good").framing.gap, Some(USUAL_GAP));
        let got = read("quiet=0&code-id=zebra&upc-e=8").expect("good").framing;
        let expected =
            Framing { quiet: Duration::ZERO, code_id: Some(CodeId::Zebra), upc_e: UpcE::Eight, ..Framing::default() };
        assert_eq!(got, expected);
    }

    #[test]
    fn names_the_option_that_is_wrong() {
        for bad in
            ["gap=soon", "aim=perhaps", "max=0", "max=2000000", "quiet=-1", "code-id=acme", "upc-e=7", "commands=zebra"]
        {
            let error = read(bad).expect_err(bad);
            assert!(error.kind() == Kind::Address && error.to_string().contains(bad), "{error}");
            assert_eq!(error.option(), bad.split('=').next(), "{error}");
        }
        assert!(read("commands=zebra").expect_err("unknown").to_string().contains("honeywell"));
    }

    #[test]
    fn every_name_is_read() {
        for name in Options::NAMES {
            let wrong = read(&format!("{name}=~")).is_err();
            assert!(wrong || matches!(*name, "prefix" | "suffix"), "{name}");
        }
    }
}
