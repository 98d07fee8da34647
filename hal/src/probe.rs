//! What answers at a port: harmless questions, and what the answers say.
//!
//! A protocol implements [`Probe`]; a driver table asks. A question must be one that neither moves money nor changes the
//! state of any device that may hear it, including devices of other protocols: each is asked on a connection of its own,
//! and [`Question::printable`] keeps readable questions from ports where a printer would print them.

use std::fmt;
use std::time::Duration;

/// How one protocol is recognised. Sans-IO: it makes a question of bytes and reads the answer.
pub trait Probe: Send + Sync + fmt::Debug {
    /// The question to a device at `host`, which protocols with host names need.
    fn question(&self, host: &str) -> Question;

    /// What all bytes heard so far say. Takes any bytes: those of other protocols, and an answer that is not complete.
    fn hear(&self, heard: &[u8]) -> Heard;

    /// Options that the address of such a device at `port` needs besides.
    fn options_at(&self, port: u16) -> Vec<(&'static str, String)> {
        let _ = port;
        Vec::new()
    }

    /// What the common name of a TLS certificate says.
    fn certificate(&self, common_name: &str) -> Option<Sighting> {
        let _ = common_name;
        None
    }
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// A printer that hears it would print it.
    pub printable: bool,
    /// How long such a device may take to speak unasked, if it does; waited for at its own port only.
    pub speaks_within: Option<Duration>,
}

impl Question {
    /// These bytes, which no printer prints, to a device that does not speak unasked.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), printable: false, speaks_within: None }
    }

    /// The same, of bytes that a printer would print.
    #[must_use]
    pub fn printable(self) -> Self {
        Self { printable: true, ..self }
    }
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It is none of this protocol.
    Other,
    /// It is none of this protocol, but may be one that was asked wrongly, such as a web server's refusal: its own
    /// question will tell.
    Ask,
    /// It may be one; more has to come.
    Part,
    /// It is one.
    Answer {
        /// What it tells.
        sighting: Sighting,
        /// All replies that the bytes so far demand, so that the dialogue ends in order; those to earlier bytes first.
        replies: Vec<u8>,
        /// The dialogue has ended.
        over: bool,
    },
}

/// A device, as far as it was recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Only this protocol answers so. Otherwise it most likely is.
    pub certain: bool,
    /// What was seen, in words.
    pub evidence: Vec<String>,
    /// Options that its address needs; a value `…` is for a person to fill in.
    pub options: Vec<(&'static str, String)>,
}

impl Sighting {
    /// A certain one.
    pub fn certain(evidence: impl Into<String>) -> Self {
        Self { certain: true, evidence: vec![evidence.into()], options: Vec::new() }
    }

    /// A likely one.
    pub fn likely(evidence: impl Into<String>) -> Self {
        Self { certain: false, ..Self::certain(evidence) }
    }

    /// The same with an option of its address.
    #[must_use]
    pub fn option(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.options.push((name, value.into()));
        self
    }
}

/// A service that is no device of a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreign {
    /// It expects TLS.
    Tls,
    /// A web server: its status line.
    Web(String),
    /// A login by SSH: its greeting.
    Ssh(String),
    /// Readable text: its first line.
    Text(String),
    /// Anything else: its first bytes.
    Bytes(Vec<u8>),
}

/// The ports of services that tell what a host is, with their names: RFC 6335's registry.
pub const FOREIGN_PORTS: [(u16, &str); 3] = [(80, "web"), (443, "web over TLS"), (22, "SSH")];

/// What a service is by its first bytes.
pub fn foreign(heard: &[u8]) -> Foreign {
    // RFC 8446, 5.1: type 20 to 23, version 3.0 to 3.4, at most 2^14 + 256 bytes. Another protocol's `15 03 69` is none.
    if let [0x14..=0x17, 0x03, 0x00..=0x04, 0x00..=0x41, ..] = heard {
        return Foreign::Tls;
    }
    match readable(heard).or_else(|| readable(counted(heard)?)) {
        Some(line) if line.starts_with("HTTP/") => Foreign::Web(line),
        Some(line) if line.starts_with("SSH-") => Foreign::Ssh(line),
        Some(line) => Foreign::Text(line),
        None => Foreign::Bytes(heard[..heard.len().min(16)].to_vec()),
    }
}

/// The first line, if it is readable: at most 60 characters of it.
fn readable(heard: &[u8]) -> Option<String> {
    let line = heard.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let readable = line.len() >= 3 && line.iter().all(|b| (0x20..0x7f).contains(b));
    readable.then(|| String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned())
}

/// What follows a length of four or two bytes, big-endian, that fits.
fn counted(heard: &[u8]) -> Option<&[u8]> {
    let long = heard.split_first_chunk::<4>().map(|(length, rest)| (u32::from_be_bytes(*length) as usize, rest));
    let short = heard.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest));
    long.into_iter().chain(short).find(|(length, rest)| *length == rest.len()).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_known_by_their_first_bytes() {
        assert_eq!(foreign(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46]), Foreign::Tls, "an alert: RFC 8446, 6");
        let web = foreign(b"HTTP/1.1 400 Bad Request\r\nServer: x");
        assert_eq!(web, Foreign::Web("HTTP/1.1 400 Bad Request".into()));
        assert_eq!(foreign(b"SSH-2.0-OpenSSH_9.2p1\r\n"), Foreign::Ssh("SSH-2.0-OpenSSH_9.2p1".into()));
        assert_eq!(foreign(&[0xff, 0xfb, 0x01]), Foreign::Bytes(vec![0xff, 0xfb, 0x01]), "RFC 854: IAC WILL ECHO");
        assert_eq!(foreign(&[]), Foreign::Bytes(vec![]));
    }

    /// Terminals with another protocol, as tills have met them: Portalum.Zvt issues 42 (an Ingenico Move 3500) and 33
    /// (a Yomani, serial number replaced).
    #[test]
    fn terminals_of_other_protocols_are_no_tls_and_tell_their_text() {
        assert_eq!(foreign(&[0x15, 0x03, 0x69]), Foreign::Bytes(vec![0x15, 0x03, 0x69]));
        let text = b"VER|APP 19.46.69|MODEL Yomani 2|SERIAL 0001|1";
        let greeting = [&(text.len() as u32).to_be_bytes()[..], text].concat();
        assert_eq!(foreign(&greeting), Foreign::Text(String::from_utf8_lossy(text).into_owned()));
    }
}
