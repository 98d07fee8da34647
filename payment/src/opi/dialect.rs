//! The dialects of OPI, as data.
//!
//! O.P.I. (Germany), the ep2 terminals of Switzerland and IFSF's POS-to-EPS interface share messages and framing. They
//! differ in ports, in the names of the services, and in how a transaction is aborted and named.

use super::wire::Family;
use super::xml::Encoding;

/// How one family of terminals speaks OPI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Its name in addresses.
    pub name: &'static str,
    /// Where these facts come from.
    pub source: &'static str,
    /// The port of channel 0, at the terminal.
    pub port: u16,
    /// The port of channel 1, at the till, where there is a usual one.
    pub device_port: Option<u16>,
    /// The encoding of what the till sends; both are read.
    pub encoding: Encoding,
    /// The service that begins a session.
    pub login: &'static str,
    /// The service that ends it.
    pub logoff: &'static str,
    /// The service that tells how the terminal is.
    pub status: &'static str,
    /// The service that closes the day.
    pub end_of_day: &'static str,
    /// The service that tells the turnover and leaves the day open, where it is known.
    pub totals: Option<&'static str>,
    /// The service by which the terminal calls its host, where it is known.
    pub diagnosis: Option<&'static str>,
    /// The service that initialises the terminal, where it is known.
    pub initialisation: Option<&'static str>,
    /// How a running transaction is aborted.
    pub abort: Abort,
    /// How a reversal names the transaction.
    pub naming: Naming,
    /// What a question with yes and no is answered with, if nobody decides: `false` signs nothing.
    pub confirm: bool,
}

/// How a running transaction is aborted: `AbortRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort {
    /// The service that the request belongs to.
    pub family: Family,
    /// It goes over the connection of the transaction, and not over a second one.
    pub same_connection: bool,
}

/// How a reversal names the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By its trace number.
    Stan,
    /// By trace number, terminal id, batch and time.
    Full,
}

/// O.P.I., as Thales and others speak it in Germany.
pub const GERMAN: Dialect = Dialect {
    name: "german",
    source: "tillhub/payment-engine-android (ports, login, reversal by STAN, closure); the services of abort, totals and initialisation are unproven",
    port: 20002,
    device_port: Some(20007),
    encoding: Encoding::Utf8,
    login: "Login",
    logoff: "Logoff",
    status: "Diagnosis",
    end_of_day: "ReconciliationWithClosure",
    totals: Some("Reconciliation"),
    diagnosis: Some("Diagnosis"),
    initialisation: Some("Initialisation"),
    abort: Abort { family: Family::Card, same_connection: false },
    naming: Naming::Stan,
    confirm: false,
};

/// The ep2 terminals of Switzerland.
pub const SWISS: Dialect = Dialect {
    name: "swiss",
    source: "field facts: ports and names of the services; no public capture is known, so their use is unproven",
    port: 4100,
    device_port: Some(4102),
    encoding: Encoding::Utf8,
    login: "ActivateTerminal",
    logoff: "DeactivateTerminal",
    status: "GetStatus",
    end_of_day: "CloseDay",
    totals: None,
    diagnosis: None,
    initialisation: None,
    abort: Abort { family: Family::Card, same_connection: true },
    naming: Naming::Stan,
    confirm: false,
};

/// IFSF POS to EPS, and terminals that speak it as it stands, such as CCV's.
pub const IFSF: Dialect = Dialect {
    name: "ifsf",
    source: "OXterm (reversal with STAN, TerminalBatch, TerminalID; ISO-8859-1), CCV's app2pay (Login, Logoff); the rest is unproven",
    port: 20002,
    device_port: None,
    encoding: Encoding::Latin1,
    login: "Login",
    logoff: "Logoff",
    status: "Diagnosis",
    end_of_day: "ReconciliationWithClosure",
    totals: Some("Reconciliation"),
    diagnosis: Some("Diagnosis"),
    initialisation: Some("Initialisation"),
    abort: Abort { family: Family::Card, same_connection: false },
    naming: Naming::Full,
    confirm: false,
};

/// All dialects.
pub const ALL: [&Dialect; 3] = [&GERMAN, &SWISS, &IFSF];

impl Dialect {
    /// The dialect of this name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|dialect| dialect.name == name).copied()
    }
}
