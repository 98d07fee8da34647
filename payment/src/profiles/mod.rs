//! What is known of families of terminals, as data: a file each, with a source for every statement.
//!
//! `zvt+tcp://10.0.0.30?profile=feig-cvend` fills in the options that the address does not state; the address wins.
//! `profile=FILE.toml` reads a file of one's own, of the same form:
//!
//! ```toml
//! title = "Our terminals"
//! protocol = "zvt"
//! models = ["Desk/3500"]
//!
//! [options]
//! port = { value = "22000", source = "the terminal's menu, 2026-03-02" }
//!
//! [[facts]]
//! about = "receipts"
//! says = "The terminal prints the merchant's copy."
//! source = "the provider's letter of 2026-02-11"
//! ```
//!
//! What no source says is in no file. Facts are for people; nothing depends on them.

mod near;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use tresen_hal::{Address, Error, Kind, Result};

/// What is known of one family of terminals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Profile {
    /// Its name in addresses.
    pub name: String,
    /// Whose terminals they are, and which protocol they speak.
    pub title: String,
    /// The protocol, as in addresses.
    pub protocol: String,
    /// Models that the sources name.
    pub models: Vec<String>,
    /// Options of addresses, and `port`.
    pub options: BTreeMap<String, Statement>,
    /// What a person should know.
    pub facts: Vec<Fact>,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Statement {
    /// The value, as in an address.
    pub value: String,
    /// Where it comes from.
    pub source: String,
}

/// Something that no option says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Fact {
    /// What it is about.
    pub about: About,
    /// A sentence.
    pub says: String,
    /// Where it comes from.
    pub source: String,
}

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum About {
    /// Where the terminal listens.
    Port,
    /// TLS and certificates.
    Tls,
    /// How connections are made and end.
    Connection,
    /// How long something takes.
    Timers,
    /// Who prints, and in what form receipts come.
    Receipts,
    /// Data that the terminal sends or wants.
    Tags,
    /// The character set of its texts.
    CharacterSet,
    /// What becomes of an approval that is not acknowledged.
    AutoReversal,
    /// What it can and cannot do.
    Capabilities,
    /// How a lost payment is found out about.
    Recovery,
}

/// A profile as it stands in its file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    protocol: String,
    models: Vec<String>,
    options: BTreeMap<String, Statement>,
    #[serde(default)]
    facts: Vec<Fact>,
}

/// The profiles of this crate, by name.
pub fn all() -> &'static [Profile] {
    static ALL: LazyLock<Vec<Profile>> = LazyLock::new(|| {
        let parsed = FILES.iter().map(|(name, text)| Profile::parse(name, text).expect("a test reads all of them"));
        parsed.collect()
    });
    &ALL
}

/// The profile of a name, or in a file: what ends with `.toml`. Reading a file blocks on the disk.
///
/// # Errors
/// [`Kind::NotFound`]: an unknown name, with those near it; [`Kind::Config`]: the file is no profile.
pub fn named(name: &str) -> Result<Profile> {
    if name.ends_with(".toml") {
        let text = std::fs::read_to_string(name).map_err(|e| Error::file(Path::new(name), e))?;
        return Profile::parse(name, &text);
    }
    all().iter().find(|profile| profile.name == name).cloned().ok_or_else(|| {
        let names = all().iter().map(|profile| profile.name.as_str());
        let near = near::near(name, names.clone());
        let hint = match near.as_slice() {
            [] => format!("expected one of {}, or a file: FILE.toml", names.collect::<Vec<_>>().join(", ")),
            near => format!("did you mean {}? `tresen info --profiles` lists all", near.join(" or ")),
        };
        Error::new(Kind::NotFound, format!("unknown profile `{name}`")).hint(hint)
    })
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// [`Kind::Config`] names the line: an unknown key, a missing one, a statement without a source.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let bad = |why: String| Error::new(Kind::Config, format!("profile `{name}`: {why}"));
        let file: File = toml::from_str(text).map_err(|e| bad(e.to_string().trim().to_owned()))?;
        let File { title, protocol, models, options, facts } = file;
        let unsourced = options
            .iter()
            .find(|(_, statement)| statement.source.trim().is_empty())
            .map(|(option, _)| format!("option `{option}` has no source"))
            .or_else(|| {
                facts
                    .iter()
                    .find(|fact| fact.source.trim().is_empty())
                    .map(|fact| format!("`{}` has no source", fact.says))
            });
        if let Some(why) = unsourced {
            return Err(bad(why));
        }
        if options.get("port").is_some_and(|port| port.value.parse::<u16>().is_err()) {
            return Err(bad("option `port` is no port".into()));
        }
        if options.contains_key("profile") {
            return Err(bad("a profile cannot name another".into()));
        }
        Ok(Self { name: name.to_owned(), title, protocol, models, options, facts })
    }

    /// Its port, if it states one.
    pub fn port(&self) -> Option<u16> {
        self.options.get("port")?.value.parse().ok()
    }

    /// Whether a device that speaks `protocol` at `port` is most likely of this family.
    pub fn fits(&self, protocol: &str, port: u16) -> bool {
        self.protocol == protocol && self.port() == Some(port)
    }

    /// The address with the options and the port that it does not state, and without the option `profile`.
    ///
    /// # Errors
    /// [`Kind::Address`]: the profile is of another protocol.
    pub fn apply(&self, address: &Address) -> Result<Address> {
        if address.protocol() != self.protocol {
            let what = format!("profile `{}` is of `{}` terminals", self.name, self.protocol);
            return Err(Error::new(Kind::Address, what).with_option(OPTION).at(address.label()));
        }
        let mut link = Address::new(address.protocol(), address.link().clone());
        if let Some(port) = self.port() {
            link = link.or_port(port);
        }
        let stated = self.options.iter().filter(|(name, _)| name.as_str() != "port");
        let filled = stated.fold(link, |address, (name, statement)| address.with(name, &statement.value));
        Ok(address
            .options()
            .filter(|(name, _)| *name != OPTION)
            .fold(filled, |filled, (name, value)| filled.with(name, value)))
    }
}

/// The option of an address that names a profile.
pub const OPTION: &str = "profile";

const FILES: &[(&str, &str)] = &[
    ("adyen", include_str!("data/adyen.toml")),
    ("card-complete", include_str!("data/card-complete.toml")),
    ("ccv", include_str!("data/ccv.toml")),
    ("clover-flex", include_str!("data/clover-flex.toml")),
    ("feig-cvend", include_str!("data/feig-cvend.toml")),
    ("feig-cvend-tls", include_str!("data/feig-cvend-tls.toml")),
    ("global-payments", include_str!("data/global-payments.toml")),
    ("hobex", include_str!("data/hobex.toml")),
    ("ingenico", include_str!("data/ingenico.toml")),
    ("nexi-switzerland", include_str!("data/nexi-switzerland.toml")),
    ("nexi-switzerland-unattended", include_str!("data/nexi-switzerland-unattended.toml")),
    ("opi-germany", include_str!("data/opi-germany.toml")),
    ("verifone-vx820", include_str!("data/verifone-vx820.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{nexo, opi, zvt};

    #[test]
    fn every_file_is_read_and_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/profiles/data");
        let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut names: Vec<_> =
            files.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(all().iter().map(|profile| profile.name.clone()).collect::<Vec<_>>(), names, "by name");
    }

    #[test]
    fn every_statement_names_where_it_comes_from() {
        for profile in all() {
            let sources = profile.options.values().map(|statement| &statement.source);
            for source in sources.chain(profile.facts.iter().map(|fact| &fact.source)) {
                assert!(source.starts_with("http"), "{}: {source}", profile.name);
            }
            assert!(!profile.options.is_empty() || !profile.facts.is_empty(), "{} says nothing", profile.name);
            assert!(profile.facts.iter().all(|fact| fact.says.ends_with('.')), "{}", profile.name);
        }
    }

    #[test]
    fn each_protocol_accepts_its_profiles() {
        for profile in all() {
            let needed = if profile.protocol == "nexo" { "&poi=V400m-1&key=a&passphrase=b" } else { "" };
            let text = format!("{}+tcp://terminal?profile={}{needed}", profile.protocol, profile.name);
            let address = profile.apply(&text.parse().expect("an address")).expect("its protocol");
            let (names, parsed): (&[&str], Result<()>) = match profile.protocol.as_str() {
                "zvt" => (zvt::Options::NAMES, zvt::Options::from_address(&address).map(drop)),
                "opi" => (opi::Options::NAMES, opi::Options::from_address(&address).map(drop)),
                "nexo" => (nexo::Options::NAMES, nexo::Options::from_address(&address).map(drop)),
                other => panic!("{}: unknown protocol {other}", profile.name),
            };
            parsed.unwrap_or_else(|error| panic!("{}: {error}", profile.name));
            let known: Vec<_> = names.iter().copied().chain(tresen_hal::link::options(address.link())).collect();
            address.check_options(&known).unwrap_or_else(|error| panic!("{}: {error}", profile.name));
        }
    }

    #[test]
    fn the_address_wins() {
        let profile = named("feig-cvend").expect("known");
        let filled = |text: &str| profile.apply(&text.parse().expect("an address")).expect("ZVT").to_string();
        assert_eq!(filled("zvt+tcp://t?profile=feig-cvend"), "zvt+tcp://t:22000?charset=iso-8859-1");
        let own = "zvt+tcp://t:20007?charset=utf-8&profile=feig-cvend&t3=8";
        assert_eq!(filled(own), "zvt+tcp://t:20007?charset=utf-8&t3=8");
        let error = profile.apply(&"opi+tcp://t?profile=feig-cvend".parse().expect("an address")).expect_err("OPI");
        assert_eq!(error.option(), Some("profile"));
    }

    #[test]
    fn a_mistyped_name_is_answered_with_near_ones() {
        let error = named("feig-cvnd").expect_err("mistyped").to_string();
        assert!(error.contains("did you mean feig-cvend"), "{error}");
        let error = named("qqqqqqqqqqqq").expect_err("unknown").to_string();
        assert!(error.contains("hobex") && error.contains("FILE.toml"), "{error}");
    }

    #[test]
    fn a_file_of_ones_own_must_be_whole() {
        let good = "title = 'a'\nprotocol = 'zvt'\nmodels = []\n[options]\nport = { value = '1', source = 'menu' }\n";
        assert_eq!(Profile::parse("own", good).expect("whole").port(), Some(1));
        for (wrong, why) in [
            (good.replace("models = []", "models = []\ncolour = 'red'"), "colour"),
            (good.replace("'menu'", "' '"), "no source"),
            (good.replace(", source = 'menu'", ""), "source"),
            (good.replace("'1'", "'70000'"), "no port"),
            (good.replace("port =", "profile ="), "another"),
            (good.replace("title = 'a'\n", ""), "title"),
            (format!("{good}[[facts]]\nabout = 'weather'\nsays = 'x.'\nsource = 'y'\n"), "weather"),
        ] {
            let error = Profile::parse("own", &wrong).expect_err(why).to_string();
            assert!(error.contains(why) && error.contains("profile `own`"), "{why}: {error}");
        }
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
        std::fs::write(file.path(), good).expect("written");
        assert_eq!(named(file.path().to_str().expect("text")).expect("read").title, "a");
        assert!(named("/no/such/profile.toml").expect_err("missing").to_string().contains("/no/such"));
    }
}
