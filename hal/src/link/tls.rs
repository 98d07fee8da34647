//! TLS 1.2 and 1.3 over TCP, for printers and terminals that support it; rustls with ring.
//!
//! Options in an address: `tls=true`, unless it is one over `tls` or `https`, and one of
//! - `fingerprint=` SHA-256 of the device's certificate, 64 hex digits, colons allowed. For the
//!   self-signed certificates that devices come with; host name and dates are not checked.
//! - `ca=` file with the authorities (PEM) that may have signed it. The certificate must then name the
//!   host of the address and be valid today. Where devices have names that the network does not know,
//!   `certificate=NAME,…` says which names it may have instead of the host's: as an alternative name, or as the
//!   common name of its subject.
//!
//! With neither, connecting fails and names the device's fingerprint, for a person to compare with the device's own
//! screen or printout. Public authorities are not trusted, since they do not sign devices on a shop's network.
//!
//! Left out: client certificates, certificates of X.509 version 1.

mod name;
mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, io};

use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::TlsStream;

use super::duplex::Duplex;
use super::tcp::{self, CLOSE_TIMEOUT};
use crate::{Address, BoxFuture, Effect, Error, Kind, Link, Result};
use name::common_name;

pub use server::{Identity, Listener, listen};

/// Which certificates to trust.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The one certificate with this SHA-256.
    Fingerprint([u8; 32]),
    /// Any certificate that one of these authorities has signed for the host.
    Authorities(Arc<RootCertStore>),
    /// Any certificate that one of these authorities has signed for one of these names.
    Named(Arc<RootCertStore>, Vec<String>),
    /// None yet: connecting fails and names the device's fingerprint.
    Nobody,
}

/// The options `fingerprint`, `ca` and `certificate` of an address, before a file is read.
#[derive(Debug, Clone)]
pub enum Source {
    /// The one certificate with this SHA-256.
    Fingerprint([u8; 32]),
    /// The authorities in this file, and the names that they may have signed instead of the host's.
    File(String, Option<Vec<String>>),
    /// Neither was given.
    Nobody,
}

impl Source {
    /// Reads the options `fingerprint`, `ca` and `certificate`; opens no file.
    ///
    /// # Errors
    /// [`Kind::Address`] if they are invalid or both are given.
    pub fn from_address(address: &Address) -> Result<Self> {
        let names = address.option("certificate").map(|names| names.split(',').map(str::to_owned).collect::<Vec<_>>());
        if names.as_ref().is_some_and(|names| names.iter().any(String::is_empty)) {
            return Err(address.refuse("certificate", "expected names with commas between them"));
        }
        if names.is_some() && address.option("ca").is_none() {
            let error = Error::new(Kind::Address, "option `certificate` has no effect without `ca`");
            return Err(error.with_option("certificate").at(address.label()).hint("add `ca=FILE`"));
        }
        match (address.option("fingerprint"), address.option("ca")) {
            (Some(_), Some(_)) => {
                let error = Error::new(Kind::Address, "options `ca` and `fingerprint` are mutually exclusive");
                Err(error.with_option("fingerprint").at(address.label()).hint("leave one of them out"))
            }
            (Some(hex), None) => parse_fingerprint(hex)
                .map(Self::Fingerprint)
                .ok_or_else(|| address.refuse("fingerprint", "expected a SHA-256, 64 hex digits")),
            (None, Some("")) => Err(address.refuse("ca", "name a file")),
            (None, Some(file)) => Ok(Self::File(file.to_owned(), names)),
            (None, None) => Ok(Self::Nobody),
        }
    }

    /// Reads the file, if one is given. Blocks on the disk.
    ///
    /// # Errors
    /// [`Kind::Address`] with option `ca`: the file is missing, or holds no certificate.
    pub fn read(&self) -> Result<Trust> {
        match self {
            Self::Fingerprint(print) => Ok(Trust::Fingerprint(*print)),
            Self::File(file, None) => authorities(file).map(|roots| Trust::Authorities(Arc::new(roots))),
            Self::File(file, Some(names)) => {
                authorities(file).map(|roots| Trust::Named(Arc::new(roots), names.clone()))
            }
            Self::Nobody => Ok(Trust::Nobody),
        }
    }
}

fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|&b| b != b':').collect();
    let mut out = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |d: u8| (d as char).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(out)
}

fn authorities(file: &str) -> Result<RootCertStore> {
    let bad = |what: String| Error::new(Kind::Address, format!("option `ca={file}`: {what}")).with_option("ca");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| bad(e.to_string()))? {
        let certificate = certificate.map_err(|e| bad(e.to_string()))?;
        roots.add(certificate).map_err(|e| bad(e.to_string()))?;
    }
    if roots.is_empty() { Err(bad("the file holds no certificate".to_owned())) } else { Ok(roots) }
}

/// An open TLS connection.
#[derive(Debug)]
pub struct Tls {
    /// Locked for one poll at a time, which never blocks.
    stream: Mutex<TlsStream<TcpStream>>,
}

impl Tls {
    pub(super) fn over(stream: impl Into<TlsStream<TcpStream>>) -> Self {
        Self { stream: Mutex::new(stream.into()) }
    }
}

/// Connects and performs the handshake, each within `limit`.
///
/// # Errors
/// As [`tcp::connect`]; [`Kind::Refused`] if the certificate is not trusted, with the fingerprint it
/// has; [`Kind::Protocol`] if the device does not speak TLS, [`Kind::Unsupported`] if none of the versions and methods
/// supported here.
pub async fn connect(host: &str, port: u16, limit: Duration, trust: Trust) -> Result<Tls> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = match trust {
        Trust::Fingerprint(print) => Check::Fingerprint(Some(print)),
        Trust::Nobody => Check::Fingerprint(None),
        Trust::Named(roots, names) => Check::Named(roots, names),
        Trust::Authorities(roots) => Check::Signed(
            WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|e| Error::new(Kind::Config, "invalid certificate authorities").because(e))?,
        ),
    };
    shake(host, port, limit, trust).await.map(|(link, _)| link)
}

/// The certificate that a device shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its SHA-256, in lowercase hex: the value of the option `fingerprint`.
    pub fingerprint: String,
    /// The common name of its subject, if it has one.
    pub common_name: Option<String>,
}

/// Connects as [`connect`] does, whatever certificate the device shows, to find out what it is. Nobody vouches for the
/// device: nothing that is secret or moves money may be sent over this link.
///
/// # Errors
/// As [`connect`], except that no certificate is refused.
pub async fn look(host: &str, port: u16, limit: Duration) -> Result<(Tls, Certificate)> {
    let (link, shown) = shake(host, port, limit, Check::Any).await?;
    let shown = shown.ok_or_else(|| Error::new(Kind::Protocol, "the device showed no certificate"))?;
    Ok((link, Certificate { fingerprint: Fingerprint(shown.sha256).to_string(), common_name: shown.common_name }))
}

/// Connects and performs the handshake: the link, and the certificate that was shown.
async fn shake(host: &str, port: u16, limit: Duration, trust: Check) -> Result<(Tls, Option<Shown>)> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|e| Error::new(Kind::Address, format!("`{host}` cannot be the name in a certificate")).because(e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(Verifier { algorithms, trust, shown: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Kind::Unsupported, "no supported TLS version").because(e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_no_client_auth();

    let stream = tcp::stream(host, port, limit).await?;
    tcp::prepare(&stream)?;
    let shaken = tokio::time::timeout(limit, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    match shaken {
        Ok(Ok(stream)) => Ok((Tls::over(stream), verifier.shown())),
        Ok(Err(error)) => Err(explain(error, &verifier)),
        Err(_) => Err(Error::new(Kind::Timeout, format!("no TLS handshake within {} s", limit.as_secs_f32()))
            .with_effect(Effect::None)
            .hint("does the device speak TLS on this port? try it without `tls=true`")),
    }
}

fn explain(error: io::Error, verifier: &Verifier) -> Error {
    let cause = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    let shown = verifier.shown().map(|shown| Fingerprint(shown.sha256));
    match (cause, shown) {
        (Some(rustls::Error::InvalidCertificate(_)), Some(shown)) => {
            let what = format!("the device's certificate is not trusted; its SHA-256 is {shown}");
            let error = Error::new(Kind::Refused, what).because(error).with_retry(crate::Retry::AfterOperator);
            error.hint(format!(
                "if that is what the device itself shows or prints, add the option `fingerprint={shown}`; if not, \
                 something else answers on this address"
            ))
        }
        (Some(rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_)), _) => {
            Error::new(Kind::Unsupported, "the device speaks TLS, but accepts nothing that is supported here")
                .because(error)
                .with_effect(Effect::None)
                .hint("TLS 1.2 and 1.3 without a certificate of the till are supported: check the device's settings")
        }
        (Some(_), _) => Error::new(Kind::Protocol, "the TLS handshake failed")
            .because(error)
            .with_effect(Effect::None)
            .hint("does the device speak TLS 1.2 or 1.3 on this port? try it without `tls=true`"),
        (None, _) => tcp::lost(error).with_effect(Effect::None),
    }
}

fn sha256(certificate: &[u8]) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, certificate);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

struct Fingerprint([u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    trust: Check,
    /// The device's certificate.
    shown: Mutex<Option<Shown>>,
}

#[derive(Debug, Clone)]
struct Shown {
    sha256: [u8; 32],
    common_name: Option<String>,
}

impl Verifier {
    fn shown(&self) -> Option<Shown> {
        self.shown.lock().expect("no holder of this lock panics").clone()
    }
}

#[derive(Debug)]
enum Check {
    /// Any certificate: see [`look`].
    Any,
    Fingerprint(Option<[u8; 32]>),
    Signed(Arc<WebPkiServerVerifier>),
    Named(Arc<RootCertStore>, Vec<String>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        device: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = sha256(device);
        *self.shown.lock().expect("no holder of this lock panics") =
            Some(Shown { sha256: shown, common_name: common_name(device) });
        match &self.trust {
            Check::Any => Ok(ServerCertVerified::assertion()),
            Check::Fingerprint(Some(expected)) if *expected == shown => Ok(ServerCertVerified::assertion()),
            Check::Fingerprint(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
            Check::Signed(verifier) => verifier.verify_server_cert(device, chain, name, ocsp, now),
            Check::Named(roots, names) => {
                let certificate = ParsedCertificate::try_from(device)?;
                verify_server_cert_signed_by_trust_anchor(&certificate, roots, chain, now, self.algorithms.all)?;
                let own = common_name(device);
                let vouched = names.iter().any(|name| {
                    own.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name))
                        || ServerName::try_from(name.as_str())
                            .is_ok_and(|n| verify_server_name(&certificate, &n).is_ok())
                });
                if vouched {
                    Ok(ServerCertVerified::assertion())
                } else {
                    Err(CertificateError::NotValidForName.into())
                }
            }
        }
    }

    // In either case the device has to prove that it holds the certificate's key.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Link for Tls {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut stream = Duplex(&self.stream);
            stream.write_all(bytes).await.map_err(tcp::lost)?;
            stream.flush().await.map_err(tcp::lost)
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        let closed = || Error::new(Kind::Closed, "the device closed the connection");
        Box::pin(async move { Duplex(&self.stream).recv(into, closed, tcp::lost).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // As on plain TCP, read what is left, or the kernel resets the connection.
            let drained = async {
                let mut rest = Vec::new();
                if Duplex(&self.stream).shutdown().await.is_ok() {
                    while self.recv(&mut rest).await.is_ok() {
                        rest.clear();
                    }
                }
            };
            tokio::time::timeout(CLOSE_TIMEOUT, drained).await.ok();
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// A device that echoes, on one connection after the other.
    struct Device {
        port: u16,
        /// The fingerprint of its certificate, as OpenSSL prints it.
        fingerprint: String,
        /// A file with the certificate of the authority that signed it.
        ca: tempfile::NamedTempFile,
    }

    async fn device() -> Device {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("signed");
        let key = KeyPair::generate().expect("a key");
        let names = ["127.0.0.1".to_owned(), "printer.test".to_owned()];
        let certificate =
            CertificateParams::new(names).expect("names").signed_by(&key, &authority).expect("signed").der().clone();
        let ca = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&ca, authority.pem()).expect("written");
        let fingerprint = printed(&certificate);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a certificate with its key");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let (mut from, mut to) = tokio::io::split(stream);
                    tokio::io::copy(&mut from, &mut to).await.ok();
                    to.shutdown().await.ok();
                }
            }
        });
        Device { port, fingerprint, ca }
    }

    /// A SHA-256 as `openssl x509 -fingerprint -sha256` prints it.
    fn printed(der: &[u8]) -> String {
        let pairs: Vec<_> = digest::digest(&digest::SHA256, der).as_ref().iter().map(|b| format!("{b:02X}")).collect();
        pairs.join(":")
    }

    async fn open(port: u16, query: &str) -> Result<Box<dyn Link>> {
        let address: Address = format!("escpos+tcp://127.0.0.1:{port}?tls=true{query}").parse().expect("address");
        crate::link::open(&address).await
    }

    #[tokio::test]
    async fn talks_to_a_device_it_trusts_by_fingerprint_or_authority() {
        let device = device().await;
        let ca = device.ca.path().display();
        for query in [format!("&fingerprint={}", device.fingerprint), format!("&ca={ca}")] {
            let link = open(device.port, &query).await.expect("trusted");
            let job: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
            let back = async {
                let mut got = Vec::new();
                while got.len() < job.len() {
                    link.recv(&mut got).await.expect("open");
                }
                got
            };
            let (sent, back) = tokio::join!(link.send(&job), back);
            sent.expect("open");
            assert!(back == job, "{query}");
            link.close().await;
        }
    }

    /// The SHA-256 of "abc": FIPS 180-2, appendix B.1.
    #[test]
    fn reads_a_fingerprint_as_openssl_prints_it() {
        let abc = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";
        assert_eq!(printed(b"abc"), abc);
        let expected: [u8; 32] = digest::digest(&digest::SHA256, b"abc").as_ref().try_into().expect("32 bytes");
        assert_eq!(parse_fingerprint(abc), Some(expected));
        assert_eq!(parse_fingerprint(&abc.replace(':', "").to_lowercase()), Some(expected));
        assert_eq!(parse_fingerprint(&abc[..93]), None);
    }

    #[tokio::test]
    async fn names_the_fingerprint_of_a_device_it_does_not_trust() {
        let device = device().await;
        let print = device.fingerprint.replace(':', "").to_lowercase();
        for query in [String::new(), format!("&fingerprint={}", "00".repeat(32))] {
            let error = open(device.port, &query).await.expect_err("not trusted");
            assert_eq!((error.kind(), error.effect()), (Kind::Refused, Effect::None));
            assert!(error.to_string().contains(&format!("fingerprint={print}")), "{error}");
        }
    }

    #[tokio::test]
    async fn a_certificate_can_be_looked_at_before_it_is_trusted() {
        let device = device().await;
        let (link, shown) = look("127.0.0.1", device.port, Duration::from_secs(5)).await.expect("TLS");
        assert_eq!(shown.fingerprint, device.fingerprint.replace(':', "").to_lowercase());
        link.send(b"who are you").await.expect("open");
        let mut back = Vec::new();
        link.recv(&mut back).await.expect("echoed");
        assert!(b"who are you".starts_with(&back[..]));
    }

    #[tokio::test]
    async fn an_authority_vouches_for_the_named_host_only() {
        let device = device().await;
        let roots = authorities(device.ca.path().to_str().expect("UTF-8")).expect("authorities");
        let trust = Trust::Authorities(Arc::new(roots));
        // "localhost" resolves to the device, but its certificate names 127.0.0.1 and printer.test.
        let error = connect("localhost", device.port, Duration::from_secs(5), trust).await.expect_err("another name");
        assert_eq!(error.kind(), Kind::Refused, "{error}");
    }

    /// Payment terminals whose certificates name the device, not its place on the network.
    #[tokio::test]
    async fn an_authority_may_vouch_for_another_name_than_the_hosts() {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("signed");
        let ca = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&ca, authority.pem()).expect("written");
        // The name stands in the subject only, or among the alternative names only.
        for alternative in [false, true] {
            let key = KeyPair::generate().expect("a key");
            let (name, other) = ("M400-42.test.example", "somebody");
            let names = if alternative { vec![name.to_owned()] } else { Vec::new() };
            let mut params = CertificateParams::new(names).expect("names");
            params.distinguished_name.push(DnType::OrganizationName, "Körner & Co");
            params.distinguished_name.push(DnType::CommonName, if alternative { other } else { name });
            let certificate = params.signed_by(&key, &authority).expect("signed").der().clone();
            let identity =
                Identity::new(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8"));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let listener = listen(listener, &identity).expect("a certificate with its key");
            let port = listener.local_addr().port();
            tokio::spawn(async move {
                while let Ok(incoming) = crate::link::Listen::accept(&listener).await {
                    let mut got = Vec::new();
                    if incoming.link.recv(&mut got).await.is_ok() {
                        incoming.link.send(&got).await.ok();
                    }
                }
            });
            let open = async |names: &str| {
                let text = format!("nexo+https://127.0.0.1:{port}?ca={}{names}", ca.path().display());
                crate::link::open(&text.parse().expect("an address")).await
            };
            let link = open("&certificate=other.test,m400-42.TEST.example").await.expect("one of the names");
            link.send(b"hello").await.expect("open");
            let mut back = Vec::new();
            while back.len() < 5 {
                link.recv(&mut back).await.expect("open");
            }
            assert_eq!(back, b"hello");
            for wrong in ["", "&certificate=M400-43.test.example", "&certificate=test.example", "&certificate=Körner"]
            {
                let error = open(wrong).await.expect_err(wrong);
                assert_eq!((error.kind(), error.effect()), (Kind::Refused, Effect::None), "{wrong}: {error}");
            }
            let stranger = device().await;
            let untrusted =
                format!("nexo+https://127.0.0.1:{port}?certificate={name}&ca={}", stranger.ca.path().display());
            let error =
                crate::link::open(&untrusted.parse().expect("an address")).await.expect_err("not its authority");
            assert_eq!(error.kind(), Kind::Refused, "{error}");
        }
    }

    #[tokio::test]
    async fn a_device_without_tls_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a host");
            stream.write_all(b"\x10\x00\x00\x0f no TLS here").await.expect("open");
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.ok();
        });
        let error = open(port, "").await.expect_err("no TLS");
        assert_eq!((error.kind(), error.effect()), (Kind::Protocol, Effect::None), "{error}");
        assert!(error.to_string().contains("without `tls=true`"), "{error}");
    }

    #[tokio::test]
    async fn refuses_options_it_cannot_use() {
        for query in ["&fingerprint=6D:0B", "&fingerprint=zz", "&ca=/no/such/file.pem", "&ca=/x&fingerprint=00"] {
            let error = open(1, query).await.expect_err(query);
            assert_eq!(error.kind(), Kind::Address, "{query}: {error}");
        }
    }
}
