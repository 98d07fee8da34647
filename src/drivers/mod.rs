//! The driver table: the protocols, and how an address becomes a driver.
//!
//! Configurations, the manager, discovery and the commands use the same table. Vendors add rows with
//! [`Drivers::register`], or pass a [`Plan`] where no address describes the device: see `examples/own_driver.rs`.

mod plan;
mod protocol;
mod standard;

pub(crate) use standard::OPEN_TERMINAL;

use tresen_hal::address::LinkKind;
use tresen_hal::discovery::Found;
use tresen_hal::link::{self, record::Redactor};
use tresen_hal::{Address, Error, Kind, Language, Result, trace};
use tresen_payment::profiles::{self, Profile};

pub use plan::{Context, Plan};
pub use protocol::Protocol;

use crate::class::Class;
use crate::manager::DeviceClass;

/// The protocols supported by a till.
///
/// ```
/// # async fn ask() -> tresen::Result<()> {
/// use tresen::{Context, Drivers, Printers};
///
/// let address = "escpos+tcp://10.0.0.20".parse()?;
/// let mut printer = Drivers::standard().open::<Printers>(&address, Context::new("bar")).await?;
/// println!("{:?}", printer.identity().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Drivers(Vec<Protocol>);

impl Default for Drivers {
    fn default() -> Self {
        Self::standard()
    }
}

impl Drivers {
    /// The protocols of this crate: `escpos`, `zvt`, `opi`, `scanner`, `camera`.
    pub fn standard() -> Self {
        Self(standard::protocols())
    }

    /// Adds a protocol.
    ///
    /// # Errors
    /// [`Kind::Config`]: its name is taken, by whatever class, or cannot stand in an address.
    pub fn register(&mut self, protocol: Protocol) -> Result<()> {
        let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let name = protocol.name();
        if name.is_empty() || !name.bytes().all(is_part) {
            let what = format!("`{name}` is not a valid protocol name");
            return Err(Error::new(Kind::Config, what).hint("use lowercase letters, digits and hyphens"));
        }
        // One name has one class: an address says no more than the name.
        if let Some(taken) = self.0.iter().find(|p| p.name() == name) {
            let what = format!("there is a protocol `{name}` already, for {}", taken.class().section());
            return Err(Error::new(Kind::Config, what));
        }
        self.0.push(protocol);
        Ok(())
    }

    /// All protocols.
    pub fn protocols(&self) -> impl Iterator<Item = &Protocol> {
        self.0.iter()
    }

    /// A protocol of a class, by name.
    pub fn protocol(&self, class: Class, name: &str) -> Option<&Protocol> {
        self.0.iter().find(|p| p.class() == class && p.name() == name)
    }

    /// The class of the devices at an address.
    ///
    /// # Errors
    /// [`Kind::Address`]: unknown protocol.
    pub fn class_of(&self, address: &Address) -> Result<Class> {
        let named = self.0.iter().find(|p| p.name() == address.protocol());
        named.map(Protocol::class).ok_or_else(|| {
            let known: Vec<_> = self.0.iter().map(Protocol::name).collect();
            let error = Error::new(Kind::Address, format!("unknown protocol `{}`", address.protocol()));
            error.at(address.label()).hint(format!("expected one of {}", known.join(", ")))
        })
    }

    /// The address with the port of its profile, or the default one of its protocol, if it has none.
    #[must_use]
    pub fn resolve(&self, address: &Address) -> Address {
        let of_profile = self.profile(address).ok().flatten().and_then(|profile| profile.port());
        let address = &of_profile.map_or_else(|| address.clone(), |port| address.clone().or_port(port));
        let usual = self.0.iter().find(|p| p.name() == address.protocol()).and_then(|p| p.usual_port(address));
        usual.map_or_else(|| address.clone(), |port| address.clone().or_port(port))
    }

    /// Checks everything about an address that can be checked without its device: protocol, link, options and their
    /// values.
    ///
    /// # Errors
    /// Names the address, the option and the allowed values.
    pub fn check(&self, class: Class, address: &Address) -> Result<()> {
        self.expect(class, address)?.check(self, address)
    }

    /// The plan that opens the device at an address.
    ///
    /// # Errors
    /// As [`Drivers::check`].
    pub fn plan<C: DeviceClass>(&self, address: &Address) -> Result<Plan<C::Driver>> {
        let protocol = self.expect(C::CLASS, address)?;
        let Some(profile) = self.profile(address)? else { return self.planned::<C>(protocol, address) };
        self.planned::<C>(protocol, &profile.apply(address)?).map_err(|error| match error.option() {
            Some(option) if address.option(option).is_none() && profile.options.contains_key(option) => {
                let what = format!("profile `{}`: {}", profile.name, error.what());
                Error::new(error.kind(), what).with_option(profiles::OPTION).at(address.label())
            }
            _ => error,
        })
    }

    /// The plan of an address whose profile is filled in.
    fn planned<C: DeviceClass>(&self, protocol: &Protocol, address: &Address) -> Result<Plan<C::Driver>> {
        let address = &self.resolve(address);
        // A recording takes the options of the recorded device.
        let meant = standard::meant(address);
        let known = protocol.options_over(meant.link()).into_iter().chain(C::OPTIONS.iter().copied());
        let (known, of_link): (Vec<_>, Vec<_>) = (known.collect(), link::options(address.link()).collect());
        if let Some(both) = known.iter().find(|option| of_link.contains(option)) {
            let what = format!("option `{both}` of `{}` is also one of its link", protocol.name());
            return Err(Error::new(Kind::Config, what).at(address.label()).hint("give the protocol's another name"));
        }
        let known = [known, of_link].concat();
        address.check_options(&known)?;
        let parsed = protocol.parse::<C>(address);
        let plan = parsed.unwrap_or_else(|| Err(Error::new(Kind::Config, "the protocol belongs to another class")))?;
        if plan.uses_link() && !carries_bytes(address.link()) {
            return Err(not_reached(C::CLASS, address));
        }
        link::check(address)?;
        Ok(plan)
    }

    /// Opens the device at an address once; a till reopens it as needed.
    ///
    /// # Errors
    /// As [`Drivers::check`] and [`Plan::open`].
    pub async fn open<C: DeviceClass>(&self, address: &Address, context: Context) -> Result<Box<C::Driver>> {
        self.plan::<C>(address)?.open(context).await
    }

    /// The redactor for recordings of this protocol; one per link.
    pub fn redactor(&self, address: &Address) -> Box<dyn Redactor> {
        let protocol = self.0.iter().find(|p| p.name() == address.protocol());
        protocol.map_or_else(|| Box::new(link::record::Plain) as _, |protocol| protocol.new_redactor(address))
    }

    /// What makes words of the traffic with the device at `label`, as the first line of a recording has it: one per link.
    /// Protocols without words, and labels that are no address, are shown as bytes.
    pub fn tracer(&self, label: &str, language: Language) -> Box<dyn trace::Tracer> {
        let address = label.parse::<Address>().ok();
        let row = address.as_ref().and_then(|address| self.0.iter().find(|p| p.name() == address.protocol()));
        match (row, &address) {
            (Some(row), Some(address)) => row.new_tracer(address.link(), language),
            _ => Box::new(trace::Bytes),
        }
    }

    /// A plan from elsewhere, with the redactor of the protocol that its address names, if it has none of its own.
    pub(crate) fn redacted<C: DeviceClass>(&self, plan: Plan<C::Driver>) -> Plan<C::Driver> {
        let Some(address) = plan.address().cloned() else { return plan };
        match self.protocol(C::CLASS, address.protocol()) {
            Some(protocol) => protocol.redacted(plan, &address),
            None => plan,
        }
    }

    /// A found device with the protocol that it most likely speaks.
    #[must_use]
    pub fn recognised(&self, mut found: Found) -> Found {
        if found.protocol.is_none() {
            found.protocol = self.0.iter().find(|p| p.may_be(&found)).map(|p| p.name().to_owned());
        }
        found
    }

    /// The profile that a terminal's address names, unless its protocol has such an option of its own.
    fn profile(&self, address: &Address) -> Result<Option<Profile>> {
        let Some(name) = address.option(profiles::OPTION) else { return Ok(None) };
        let protocol = self.protocol(Class::Terminal, address.protocol());
        let fills = protocol.is_some_and(|p| !p.options_over(address.link()).contains(&profiles::OPTION));
        if !fills {
            return Ok(None);
        }
        let named = profiles::named(name).map_err(|error| error.with_option(profiles::OPTION).at(address.label()))?;
        Ok(Some(named))
    }

    fn expect(&self, class: Class, address: &Address) -> Result<&Protocol> {
        self.protocol(class, address.protocol()).ok_or_else(|| {
            let known: Vec<_> = self.0.iter().filter(|p| p.class() == class).map(Protocol::name).collect();
            let section = class.section();
            Error::new(Kind::Address, format!("{section} do not support `{}`", address.protocol()))
                .hint(format!("protocols of {section}: {}", known.join(", ")))
        })
    }
}

/// Whether a link carries bytes in both directions; other links have readers of their own.
fn carries_bytes(link: &LinkKind) -> bool {
    !matches!(link, LinkKind::File { .. } | LinkKind::V4l2 { .. } | LinkKind::Url(_))
}

fn not_reached(class: Class, address: &Address) -> Error {
    let what = format!("{} do not support `{}` links", class.section(), address.link().scheme());
    Error::new(Kind::Address, what)
}

#[cfg(test)]
mod tests;
