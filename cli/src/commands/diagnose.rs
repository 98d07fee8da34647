//! Identifies the service at a network address that does not answer as expected.
//!
//! A guess, based on what the service sends unprompted and on two harmless queries: `DLE EOT 1` requests the status of
//! an ESC/POS printer (Epson, "DLE EOT"), `05 01` that of a ZVT terminal (ZVT 13.13, Status Enquiry). A printer ignores
//! the control characters of the latter, so nothing is ever printed. TLS is tried only where no printer is expected,
//! because a printer would print the handshake.

use std::time::Duration;

use tokio::time::timeout;
use tresen::hal::address::LinkKind;
use tresen::hal::link::tcp;
use tresen::hal::{Error, Kind, Link};
use tresen::{Address, Class, Result};

use crate::devices;

/// Adds to `error` what seems to answer at `address`, if that is more specific than the error.
pub(super) async fn diagnosed(address: &Address, error: Error) -> Error {
    let talked = matches!(error.kind(), Kind::Protocol | Kind::Timeout | Kind::Closed | Kind::Busy | Kind::Unsupported);
    if !talked || !matches!(address.link(), LinkKind::Tcp { .. }) {
        return error;
    }
    match guess(address).await.hint(address, &error) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What the service at the address turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// A second connection cannot be established.
    Nobody,
    /// The connection is accepted, but nothing is sent.
    Silence,
    /// The connection is closed immediately.
    HangUp,
    Printer,
    Terminal,
    /// TLS, with the advice for it.
    Tls(String),
    /// Readable text; holds its first line.
    Text(String),
    /// Anything else; holds its first bytes.
    Bytes(Vec<u8>),
}

impl Answer {
    /// In words, as `an ESC/POS printer`.
    pub(super) fn named(&self) -> String {
        match self {
            Self::Printer => "an ESC/POS printer answers".into(),
            Self::Terminal => "a ZVT payment terminal answers".into(),
            Self::Tls(_) => "it expects TLS".into(),
            Self::Text(line) => format!("it says `{line}`"),
            Self::Bytes(bytes) => format!("it says {}", hex(bytes)),
            Self::Nobody => "nobody answers".into(),
            Self::Silence => "nothing answers".into(),
            Self::HangUp => "it hangs up".into(),
        }
    }

    fn hint(&self, address: &Address, error: &Error) -> Option<String> {
        let printer = is_of(address, Class::Printer);
        let plain = if is_tls(address) { " without TLS" } else { "" };
        Some(match self {
            Self::Nobody => return None,
            Self::Printer if printer && !is_tls(address) => return None,
            Self::Terminal if is_of(address, Class::Terminal) && !is_tls(address) => return None,
            Self::Printer if printer => "the printer answers without TLS: remove `tls=true`".into(),
            Self::Terminal if is_of(address, Class::Terminal) => {
                "the terminal answers without TLS: remove `tls=true`".into()
            }
            Self::Printer => format!("an ESC/POS printer answers{plain} at this address; is it the right one?"),
            Self::Terminal => format!("a ZVT payment terminal answers{plain} at this address; is it the right one?"),
            Self::Tls(hint) => hint.clone(),
            Self::Text(line) if line.starts_with("HTTP/") => {
                format!("a web server answers{plain} on this port: `{line}`; check the port")
            }
            Self::Text(line) if line.starts_with("SSH-") => {
                format!("something else answers{plain} on this port: a login by SSH, `{line}`; check the port")
            }
            Self::Text(line) => format!("something else answers{plain} on this port: `{line}`; check the port"),
            Self::Bytes(bytes) => {
                format!("something unknown answers{plain} on this port: {}; check the port", hex(bytes))
            }
            // The printer drivers report these two cases with better hints.
            Self::Silence | Self::HangUp if printer && error.next_step().is_some() => return None,
            Self::Silence => "the port accepts the connection but nothing answers: another till may be connected \
                              (devices serve one at a time), or the port is wrong"
                .into(),
            Self::HangUp => {
                "the device closes the connection: another till may be connected (devices serve one at a time), \
                             or it expects TLS (`tls=true`)"
                    .into()
            }
        })
    }
}

/// How long to wait for a greeting, and for a reply.
const GREETING: Duration = Duration::from_millis(400);
const ANSWER: Duration = Duration::from_millis(1000);
const CONNECT: Duration = Duration::from_secs(3);

/// DLE EOT 1: transmit real-time status.
pub(super) const PRINTER: &[u8] = &[0x10, 0x04, 0x01];
/// 05 01: status enquiry without a password, so that no password can be wrong; sent twice, because a TLS server stays
/// silent until it has the five bytes of a record header.
const TERMINAL: &[u8] = &[0x05, 0x01, 0x00, 0x05, 0x01, 0x00];

/// Whether the device at `address` is one of `class`.
fn is_of(address: &Address, class: Class) -> bool {
    devices::drivers().class_of(address).is_ok_and(|found| found == class)
}

async fn guess(address: &Address) -> Answer {
    let LinkKind::Tcp { host, port: Some(port) } = address.link() else { return Answer::Nobody };
    // The protocol that is not expected goes first: the expected one has just failed.
    let answer = guess_at(host, *port, !is_of(address, Class::Printer)).await;
    if !matches!(answer, Answer::Silence | Answer::HangUp) {
        return answer;
    }
    tls(address, host, *port).await.map_or(answer, Answer::Tls)
}

/// Who answers at a port, without TLS; asked like a printer first, or like a terminal.
pub(super) async fn guess_at(host: &str, port: u16, printer_first: bool) -> Answer {
    let mut found = Answer::Silence;
    for question in if printer_first { [PRINTER, TERMINAL] } else { [TERMINAL, PRINTER] } {
        match ask(host, port, question).await {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => return name(&bytes),
            Err(error) if error.kind() == Kind::Closed => found = Answer::HangUp,
            Err(_) => return Answer::Nobody,
        }
    }
    found
}

/// What is received unprompted or in reply to `question`, on a separate connection; may be empty.
async fn ask(host: &str, port: u16, question: &[u8]) -> Result<Vec<u8>> {
    let link = tcp::connect_within(host, port, CONNECT).await?;
    let mut heard = Vec::new();
    let mut ended = listen(&link, GREETING, &mut heard).await;
    if heard.is_empty() && ended.is_ok() {
        ended = link.send(question).await;
        if ended.is_ok() {
            ended = listen(&link, ANSWER, &mut heard).await;
        }
    }
    link.close().await;
    if heard.is_empty() { ended.map(|()| heard) } else { Ok(heard) }
}

async fn listen(link: &impl Link, within: Duration, heard: &mut Vec<u8>) -> Result<()> {
    match timeout(within, link.recv(heard)).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

pub(super) fn name(bytes: &[u8]) -> Answer {
    match bytes {
        // A TLS record: alert or handshake, version 3.x.
        [0x15 | 0x16, 0x03, ..] => Answer::Tls("the device expects TLS: add `tls=true`".into()),
        // An ESC/POS real-time status: bits 0 and 7 clear, bits 1 and 4 set.
        [status] if status & 0b1001_0011 == 0b0001_0010 => Answer::Printer,
        // ZVT: positive and negative acknowledgement, completion, abort, status.
        [0x80, 0x00, ..] | [0x84, _, 0x00, ..] | [0x06, 0x0f | 0x1e, ..] | [0x04, 0x0f | 0xff, ..] => Answer::Terminal,
        _ => {
            let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
            let readable = line.len() >= 3 && line.iter().all(|b| (0x20..0x7f).contains(b));
            match readable {
                true => Answer::Text(String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned()),
                false => Answer::Bytes(bytes[..bytes.len().min(16)].to_vec()),
            }
        }
    }
}

/// The advice about TLS, if the device expects TLS although the address does not enable it.
#[cfg(feature = "tls")]
async fn tls(address: &Address, host: &str, port: u16) -> Option<String> {
    use tresen::hal::link::tls::{Trust, connect};
    if is_of(address, Class::Printer) || is_tls(address) {
        return None;
    }
    let error = connect(host, port, CONNECT, Trust::Nobody).await.err().filter(|e| e.kind() == Kind::Refused)?;
    error.next_step().filter(|hint| hint.contains("fingerprint="))?;
    Some(format!("the device expects TLS: add `tls=true`. {}; {}", error.what(), error.next_step().unwrap_or_default()))
}

#[cfg(not(feature = "tls"))]
async fn tls(_: &Address, _: &str, _: u16) -> Option<String> {
    None
}

fn is_tls(address: &Address) -> bool {
    address.option("tls") == Some("true")
}

/// `15 03 01`
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replies as in the manuals: Epson's DLE EOT, ZVT's acknowledgements, RFC 8446's records.
    #[test]
    fn services_are_known_by_their_first_bytes() {
        assert_eq!(name(&[0x12]), Answer::Printer);
        assert_eq!(name(&[0x1a]), Answer::Printer, "offline");
        assert_eq!(name(&[0x80, 0x00, 0x00]), Answer::Terminal);
        assert_eq!(name(&[0x84, 0x83, 0x00]), Answer::Terminal);
        assert_eq!(name(&[0x06, 0x0f, 0x00]), Answer::Terminal);
        assert!(matches!(name(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46]), Answer::Tls(_)));
        assert_eq!(name(b"HTTP/1.1 400 Bad Request\r\nServer: x"), Answer::Text("HTTP/1.1 400 Bad Request".into()));
        assert_eq!(name(b"SSH-2.0-OpenSSH_9.2p1\r\n"), Answer::Text("SSH-2.0-OpenSSH_9.2p1".into()));
        assert_eq!(name(&[0xff, 0xfb, 0x01]), Answer::Bytes(vec![0xff, 0xfb, 0x01]));
    }
}
