//! What stands at a network address: which protocol answers at which port, and how to address it.
//!
//! The questions are those of the [driver table](crate::Drivers), one connection each, one after the other, since many
//! devices serve one connection at a time. None moves money, registers a till, prints, or leaves a device in another
//! state. The protocols whose usual port it is ask first, then those whose question no printer would print, then TLS and
//! the readable questions; where printers usually listen, nothing readable is asked at all.
//!
//! A till that is connected keeps a terminal that serves one connection busy: then it stays silent. Probe terminals that
//! serve no customer.

mod network;
mod port;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tresen_hal::address::LinkKind;
use tresen_hal::probe::{FOREIGN_PORTS, Foreign};
use tresen_hal::{Address, Error, Kind, Result};

use crate::class::Class;
use crate::drivers::Drivers;
use network::Host;

/// What answers at one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
#[non_exhaustive]
pub enum Answer {
    /// No connection: nothing listens there, or nothing answers.
    Nobody {
        /// Why.
        why: String,
    },
    /// Connections are accepted, and every question stays without an answer.
    Silence,
    /// Connections are closed without an answer.
    HangUp,
    /// A device.
    Device {
        /// Its protocol, as in addresses.
        protocol: String,
        /// Only this protocol answers so. Otherwise it most likely is.
        certain: bool,
        /// Its address, with its options. `…` is for a person to fill in.
        address: String,
    },
    /// A service that speaks TLS and does not say what it is behind that.
    Tls,
    /// A web server: its status line.
    Web {
        /// `HTTP/1.1 400 Bad Request`.
        line: String,
    },
    /// Something else that speaks text: its first line.
    Text {
        /// `SSH-2.0-OpenSSH_9.2p1`.
        line: String,
    },
    /// Something else: its first bytes, in hex.
    Bytes {
        /// `15 03 69`.
        bytes: String,
    },
}

/// One port and what answers there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Probed {
    /// The port.
    pub port: u16,
    /// What answers.
    #[serde(flatten)]
    pub answer: Answer,
    /// The certificate that it shows, if it speaks TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// What was seen.
    pub evidence: Vec<String>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Certificate {
    /// Its SHA-256: the value of the option `fingerprint`.
    pub fingerprint: String,
    /// The common name of its subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
}

/// Limits of a probe.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// How long connecting to a port may take. Default 1.5 s.
    pub connect: Duration,
    /// How long to listen before the first question. Default 300 ms.
    pub greeting: Duration,
    /// How long an answer may take; three times as long at the usual port of the protocol that asks. Default 1.5 s.
    pub answer: Duration,
    /// How long the handshake of TLS may take. Default 4 s: terminals are slow at it.
    pub handshake: Duration,
    /// The pause between two connections to one port, in which a device gets ready for the next. Default 300 ms.
    pub pause: Duration,
    /// How long one port may take in all. Default 30 s.
    pub port: Duration,
    /// Bytes of one answer; what floods more is cut off. Default 16 KiB.
    pub bytes: usize,
}

impl Limits {
    /// For somebody who waits for an error message: about half as long as the default.
    pub fn short() -> Self {
        let (greeting, pause) = (Duration::from_millis(200), Duration::from_millis(200));
        let (answer, handshake) = (Duration::from_millis(700), Duration::from_secs(2));
        Self { greeting, pause, answer, handshake, port: Duration::from_secs(12), ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(1500),
            greeting: Duration::from_millis(300),
            answer: Duration::from_millis(1500),
            handshake: Duration::from_secs(4),
            pause: Duration::from_millis(300),
            port: Duration::from_secs(30),
            bytes: 16 * 1024,
        }
    }
}

/// How one port is asked.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Asked<'a> {
    /// The protocol that was tried in vain just now: it asks last.
    pub failed: Option<&'a str>,
    /// A printer is expected: nothing is asked that it would print.
    pub printer: bool,
}

impl Drivers {
    /// Asks what answers at `port` of `host`, or, without a port, at the usual ports of all protocols in turn.
    /// `progress` is called before each port, and with each result.
    ///
    /// Dropping the call ends the connection at hand.
    ///
    /// # Errors
    /// [`Kind::Address`]: the name cannot be resolved. What answers, or does not, is a result.
    pub async fn probe(
        &self,
        host: &str,
        port: Option<u16>,
        limits: Limits,
        mut progress: impl FnMut(Progress<'_>),
    ) -> Result<Vec<Probed>> {
        let network = Host::resolve(host).await?;
        let ports: Vec<_> = match port {
            Some(port) => vec![port],
            None => self.usual_ports().into_iter().map(|(port, _)| port).collect(),
        };
        let mut all = Vec::new();
        for (at, port) in ports.iter().copied().enumerate() {
            progress(Progress::Asking { port, left: ports.len() - at - 1 });
            let probed = port::probe(self, &network, port, limits, Asked::default()).await;
            progress(Progress::Found(&probed));
            all.push(probed);
        }
        Ok(all)
    }

    /// As [`Drivers::probe`] for one port, by someone who knows what was expected there.
    ///
    /// # Errors
    /// As [`Drivers::probe`].
    pub async fn probe_port(&self, host: &str, port: u16, limits: Limits, asked: Asked<'_>) -> Result<Probed> {
        Ok(port::probe(self, &Host::resolve(host).await?, port, limits, asked).await)
    }

    /// The usual ports of all protocols, in the order of the table, and of the services that tell what a host is; each
    /// with whose it is.
    pub fn usual_ports(&self) -> Vec<(u16, String)> {
        let mut ports: Vec<(u16, String)> = Vec::new();
        let rows =
            self.protocols().flat_map(|p| p.usual_ports().into_iter().map(|(port, _)| (port, p.name().to_owned())));
        for (port, whose) in rows.chain(FOREIGN_PORTS.map(|(port, whose)| (port, whose.to_owned()))) {
            if ports.iter().all(|(known, _)| *known != port) {
                ports.push((port, whose));
            }
        }
        ports
    }

    /// Whether printers usually listen there.
    fn is_printers(&self, port: u16) -> bool {
        let mut printers = self.protocols().filter(|p| p.class() == Class::Printer);
        printers.any(|p| p.usual_ports().iter().any(|(usual, _)| *usual == port))
    }
}

/// How far a probe is.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A port is asked.
    Asking {
        /// Which.
        port: u16,
        /// How many are to be asked after it.
        left: usize,
    },
    /// A port was asked.
    Found(&'a Probed),
}

impl Probed {
    /// Whether somebody answers, in whatever way.
    pub fn is_open(&self) -> bool {
        !matches!(self.answer, Answer::Nobody { .. })
    }

    /// The next step, where there is one.
    pub fn next_step(&self) -> Option<String> {
        Some(match &self.answer {
            Answer::Nobody { .. } => return None,
            Answer::Silence => "another till may be connected (such devices serve one at a time), the device may be \
                 switched to another protocol, or this is none of its ports"
                .into(),
            Answer::HangUp => {
                "another till may be connected, or the device admits only the addresses that are set at it".into()
            }
            Answer::Device { address, .. } if address.contains('…') => {
                "fill in what stands as `…`: it is set at the terminal, and known to whoever set it up".into()
            }
            Answer::Device { address, .. } => format!("try it: tresen info '{address}'"),
            Answer::Tls => {
                "the device expects TLS: add `tls=true` and its fingerprint to the address of its protocol".into()
            }
            Answer::Web { .. } => "a web server is no device; its pages may show the settings of one".into(),
            Answer::Text { .. } | Answer::Bytes { .. } => {
                "if this is a terminal, ask its provider to switch it to ZVT, OPI or nexo, and for the port".into()
            }
        })
    }
}

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.certificate.is_some() { " over TLS" } else { "" };
        match &self.answer {
            Answer::Nobody { why } => f.write_str(why),
            Answer::Silence => f.write_str("accepts connections, but answers nothing"),
            Answer::HangUp => f.write_str("closes the connection"),
            Answer::Device { protocol, certain: true, .. } => write!(f, "{protocol}{tls}"),
            Answer::Device { protocol, .. } => write!(f, "most likely {protocol}{tls}"),
            Answer::Tls => f.write_str("TLS, with something unknown behind it"),
            Answer::Web { line } => write!(f, "a web server{tls}: `{line}`"),
            Answer::Text { line } => write!(f, "something else{tls}: `{line}`"),
            Answer::Bytes { bytes } => write!(f, "something else{tls}: {bytes}"),
        }
    }
}

impl From<Foreign> for Answer {
    fn from(foreign: Foreign) -> Self {
        match foreign {
            Foreign::Tls => Self::Tls,
            Foreign::Web(line) => Self::Web { line },
            Foreign::Ssh(line) | Foreign::Text(line) => Self::Text { line },
            Foreign::Bytes(bytes) => {
                let bytes: Vec<_> = bytes.iter().map(|b| format!("{b:02x}")).collect();
                Self::Bytes { bytes: bytes.join(" ") }
            }
        }
    }
}

/// The address of a device that was recognised.
fn address(
    host: &str,
    port: u16,
    protocol: &crate::Protocol,
    tls: Option<&Certificate>,
    options: &[(&str, String)],
) -> String {
    let (host, port) = (host.to_owned(), Some(port));
    let link = match tls {
        Some(_) if protocol.is_over_tls() => LinkKind::Https { host, port },
        _ => LinkKind::Tcp { host, port },
    };
    let mut text = Address::new(protocol.name(), link).to_string();
    let mut all: Vec<(&str, String)> = options.to_vec();
    if let Some(certificate) = tls {
        if !protocol.is_over_tls() {
            all.push(("tls", "true".into()));
        }
        all.push(("fingerprint", certificate.fingerprint.clone()));
    }
    for (at, (name, value)) in all.iter().enumerate() {
        text += &format!("{}{name}={value}", if at == 0 { '?' } else { '&' });
    }
    text
}

/// Splits `HOST`, `HOST:PORT` and `[V6]:PORT`.
///
/// # Errors
/// [`Kind::Address`]: it is none of these.
pub fn target(text: &str) -> Result<(String, Option<u16>)> {
    let bad = || {
        Error::new(Kind::Address, format!("`{text}` is no HOST or HOST:PORT"))
            .hint("such as 10.0.0.30 or 10.0.0.30:20007")
    };
    // As in an address, whose reader knows brackets and names.
    let address: Address = format!("probe+tcp://{text}").parse().map_err(|_| bad())?;
    match address.link() {
        LinkKind::Tcp { host, port } if address.options().next().is_none() => Ok((host.clone(), *port)),
        _ => Err(bad()),
    }
}
