//! One row of the driver table.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tresen_hal::address::LinkKind;
use tresen_hal::discovery::Found;
use tresen_hal::link::{self, record::Redactor};
use tresen_hal::probe::Probe;
use tresen_hal::trace;
use tresen_hal::{Address, Language, Result};

use super::Drivers;
use super::plan::{Plan, RedactorMaker};
use crate::class::Class;
use crate::manager::DeviceClass;

type Parse<D> = Box<dyn Fn(&Address) -> Result<Plan<D>> + Send + Sync>;
type Port = Arc<dyn Fn(&Address) -> Option<u16> + Send + Sync>;
type Options = Arc<dyn Fn(&LinkKind) -> Vec<&'static str> + Send + Sync>;
type TracerMaker = fn(&LinkKind, Language) -> Box<dyn trace::Tracer>;
type RedactorBy = Arc<dyn Fn(&Address) -> Box<dyn Redactor> + Send + Sync>;
type Check = Arc<dyn Fn(&Drivers, &Address) -> Result<()> + Send + Sync>;

/// A protocol: the part of an address before the `+`, and how such an address becomes a driver.
///
/// ```
/// use tresen::printers::{Printer, escpos};
/// use tresen::{Plan, Printers, Protocol};
///
/// let acme = Protocol::new::<Printers>("acme", |address| {
///     Ok(Plan::at(address, |link, _context| async move {
///         // A custom driver goes here.
///         Ok(Box::new(escpos::open(link, escpos::Options::default()).await?) as Box<dyn Printer>)
///     }))
/// });
/// let acme = acme.port(4711).options(|_link| vec!["speed"]);
/// assert_eq!(acme.class(), tresen::Class::Printer);
/// ```
#[derive(Clone)]
pub struct Protocol {
    name: String,
    class: Class,
    port: Port,
    options: Options,
    redactor: RedactorBy,
    finds: fn(&Found) -> bool,
    /// Further usual ports; the flag says whether they speak TLS.
    other_ports: Vec<(u16, bool)>,
    probe: Option<Arc<dyn Probe>>,
    over_tls: bool,
    tracer: TracerMaker,
    /// A [`Parse`] for the driver trait of the class.
    parse: Arc<dyn Any + Send + Sync>,
    check: Check,
}

impl Protocol {
    /// The protocol `name`: lowercase letters, digits and hyphens. `parse` checks everything about an address that can
    /// be checked without the device; the plan it returns opens the device.
    pub fn new<C: DeviceClass>(
        name: impl Into<String>,
        parse: impl Fn(&Address) -> Result<Plan<C::Driver>> + Send + Sync + 'static,
    ) -> Self {
        let parse: Parse<C::Driver> = Box::new(parse);
        Self {
            name: name.into(),
            class: C::CLASS,
            port: Arc::new(|_| None),
            options: Arc::new(|_| Vec::new()),
            redactor: Arc::new(|_| Box::new(link::record::Plain)),
            finds: |_| false,
            other_ports: Vec::new(),
            probe: None,
            over_tls: false,
            tracer: |_, _| Box::new(trace::Bytes),
            parse: Arc::new(parse),
            check: Arc::new(|drivers, address| drivers.plan::<C>(address).map(drop)),
        }
    }

    /// The default TCP port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.port_by(move |_| port)
    }

    /// The default TCP port, where it depends on the options of an address.
    #[must_use]
    pub fn port_by(self, port: impl Fn(&Address) -> u16 + Send + Sync + 'static) -> Self {
        Self { port: Arc::new(move |address| Some(port(address))), ..self }
    }

    /// The options allowed for an address on the given link, besides those of the link itself.
    #[must_use]
    pub fn options(mut self, options: impl Fn(&LinkKind) -> Vec<&'static str> + Send + Sync + 'static) -> Self {
        self.options = Arc::new(options);
        self
    }

    /// Creates the redactor that masks card data and passwords in a recording; one per link.
    #[must_use]
    pub fn redactor(self, redactor: impl Fn() -> Box<dyn Redactor> + Send + Sync + 'static) -> Self {
        self.redactor_by(move |_| redactor())
    }

    /// The same, where it depends on the link or the options of an address.
    #[must_use]
    pub fn redactor_by(mut self, redactor: impl Fn(&Address) -> Box<dyn Redactor> + Send + Sync + 'static) -> Self {
        self.redactor = Arc::new(redactor);
        self
    }

    /// Makes words of the traffic of such a link; one per link. It masks card data and passwords itself.
    #[must_use]
    pub fn tracer(self, tracer: fn(&LinkKind, Language) -> Box<dyn trace::Tracer>) -> Self {
        Self { tracer, ..self }
    }

    /// Decides from discovery data whether a device most likely uses this protocol.
    #[must_use]
    pub fn finds(mut self, finds: fn(&Found) -> bool) -> Self {
        self.finds = finds;
        self
    }

    /// Further TCP ports at which such devices usually listen, in plain and with TLS.
    #[must_use]
    pub fn other_ports(mut self, plain: &[u16], tls: &[u16]) -> Self {
        let (plain, tls) = (plain.iter().map(|port| (*port, false)), tls.iter().map(|port| (*port, true)));
        self.other_ports = plain.chain(tls).collect();
        self
    }

    /// Its default port speaks TLS: its addresses are `https`.
    #[must_use]
    pub fn over_tls(self) -> Self {
        Self { over_tls: true, ..self }
    }

    /// How such a device is recognised at a port: see [`Drivers::probe`].
    #[must_use]
    pub fn probe(self, probe: impl Probe + 'static) -> Self {
        Self { probe: Some(Arc::new(probe)), ..self }
    }

    /// Its name, as used in addresses.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The class of its devices.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The default TCP port of this address.
    pub fn usual_port(&self, address: &Address) -> Option<u16> {
        (self.port)(address)
    }

    /// Its options on this link, besides those of the link itself.
    pub fn options_over(&self, link: &LinkKind) -> Vec<&'static str> {
        (self.options)(link)
    }

    /// The TCP ports at which such devices usually listen, the default one first; the flag says whether they speak TLS.
    pub fn usual_ports(&self) -> Vec<(u16, bool)> {
        let plain = Address::new(&*self.name, LinkKind::Tcp { host: "host".into(), port: None });
        let default = self.usual_port(&plain).map(|port| (port, self.over_tls));
        default.into_iter().chain(self.other_ports.iter().copied()).collect()
    }

    pub(crate) fn recogniser(&self) -> Option<&Arc<dyn Probe>> {
        self.probe.as_ref()
    }

    /// Whether its default port speaks TLS.
    pub(crate) fn is_over_tls(&self) -> bool {
        self.over_tls
    }

    pub(super) fn parse<C: DeviceClass>(&self, address: &Address) -> Option<Result<Plan<C::Driver>>> {
        let parse = self.parse.downcast_ref::<Parse<C::Driver>>()?;
        Some(parse(address).map(|plan| self.redacted(plan, address)))
    }

    /// A plan with the redactor of this protocol, if it has none of its own.
    pub(super) fn redacted<D: ?Sized + 'static>(&self, plan: Plan<D>, address: &Address) -> Plan<D> {
        let (redactor, address) = (self.redactor.clone(), address.clone());
        let redactor: RedactorMaker = Arc::new(move || redactor(&address));
        plan.redacted(&redactor)
    }

    pub(super) fn check(&self, drivers: &Drivers, address: &Address) -> Result<()> {
        (self.check)(drivers, address)
    }

    pub(super) fn new_redactor(&self, address: &Address) -> Box<dyn Redactor> {
        (self.redactor)(address)
    }

    pub(super) fn new_tracer(&self, link: &LinkKind, language: Language) -> Box<dyn trace::Tracer> {
        (self.tracer)(link, language)
    }

    pub(super) fn may_be(&self, found: &Found) -> bool {
        (self.finds)(found)
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protocol").field("name", &self.name).field("class", &self.class).finish_non_exhaustive()
    }
}
