//! A client joins a till by a one-time code: the other end of enrolment.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tresen::remote::OneTimeCode;
use tresen_hal::{Effect, Error, Kind, Result, Runtime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::server_name;
use super::credentials::{Credentials, request};
use super::enrolment::{Candidate, Enrolled, Offer};
use super::memory::lock;
use super::secret::{random, unhex};
use crate::client::{Dial, Tls};

/// Joins the till at `url` (`wss://HOST:PORT`) by a one-time code, and returns the client's certificate and key, and the
/// till's authority. Takes a second or so; at most about 20 s. Nothing is written: [`Credentials::save`].
///
/// The client trusts nobody until the till has proved that it knows the code. Dropping the future may leave a client
/// enrolled at the till that has no certificate; the till's user revokes it.
///
/// # Errors
/// [`Kind::Permission`]: the till did not accept the code, or what answers is not the till that has shown it; in both
/// cases somebody may be between the two. [`Kind::Address`]: not such an address. Otherwise the till cannot be reached.
pub async fn join(url: &str, code: &OneTimeCode, runtime: &Arc<dyn Runtime>) -> Result<Credentials> {
    let seen = Arc::new(Witness::new());
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Kind::Unsupported, "no supported TLS version").because(e))?
        .dangerous()
        .with_custom_certificate_verifier(seen.clone())
        .with_no_client_auth();
    let dial = Tls::new(url, Arc::new(config))?;
    let late = |_| Error::new(Kind::Timeout, "the till does not answer").with_effect(Effect::None).at(url);
    let connect = async || {
        let stream = timeout(PATIENCE, dial.dial()).await.map_err(late)??;
        let (to, connection) = handshake(TokioIo::new(stream)).await.map_err(lost)?;
        tokio::spawn(async move { connection.await.ok() });
        Ok::<_, Error>(to)
    };

    let offer: Offer = send(&mut connect().await?, dial.host(), Method::GET, String::new()).await?;
    let salt = unhex::<32>(&offer.salt).ok_or_else(|| Error::new(Kind::Protocol, "the till's salt is not 32 bytes"))?;
    let (secret, nonce) = (code.clone(), random()?);
    let candidate = runtime.run_blocking(move || Candidate::new(secret.as_bytes(), &salt, nonce)).await?;
    let key = rcgen::KeyPair::generate().map_err(|e| Error::new(Kind::Config, "no key can be made").because(e))?;
    // The key takes its time, and a till does not wait: another connection. What is proved is the certificate seen there.
    let mut to = connect().await?;
    let leaf = seen.certificate().ok_or_else(|| Error::new(Kind::Protocol, "the till showed no certificate"))?;
    let ask = candidate.ask(&leaf, &request(&key)?)?;
    let ask =
        serde_json::to_string(&ask).map_err(|e| Error::new(Kind::Input, "cannot be written as JSON").because(e))?;
    let mut tries = 0;
    let enrolled: Enrolled = loop {
        match send(&mut to, dial.host(), Method::POST, ask.clone()).await {
            // Somebody else's attempt was in the same second.
            Err(error) if error.kind() == Kind::Busy && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(SECOND).await;
            }
            answered => break answered?,
        }
    };

    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| not_the_till());
    let (authority, certificate) = (der(&enrolled.authority)?, der(&enrolled.certificate)?);
    if !candidate.is_till(&authority, &certificate, &enrolled.proof) {
        return Err(not_the_till());
    }
    let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| not_the_till())?;
    if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
        return Err(not_the_till());
    }
    let now = Duration::from_secs(u64::try_from(runtime.wall().as_second()).unwrap_or(0));
    signed(&authority, &leaf, &server_name(&offer.till), UnixTime::since_unix_epoch(now))?;
    let till = [offer.till.as_str(), &offer.name, url];
    Ok(Credentials::new(till, &enrolled.name, &enrolled.authority, &key.serialize_pem(), &enrolled.certificate))
}

/// Whether the certificate that was seen is the till's, under the authority that the till has proved.
fn signed(authority: &CertificateDer<'static>, leaf: &CertificateDer<'_>, name: &str, now: UnixTime) -> Result<()> {
    let wrong = |e: Box<dyn std::error::Error + Send + Sync>| not_the_till().because(e);
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(|e| wrong(e.into()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|e| wrong(e.into()))?;
    let name = ServerName::try_from(name.to_owned()).map_err(|e| wrong(e.into()))?;
    verifier.verify_server_cert(leaf, &[], &name, &[], now).map_err(|e| wrong(e.into()))?;
    Ok(())
}

async fn send<T: DeserializeOwned>(to: &mut SendRequest<Body>, host: &str, method: Method, body: String) -> Result<T> {
    let request = Request::builder().method(method).uri("/v1/enrol").header(header::HOST, host);
    let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body));
    let request = request.map_err(|e| Error::new(Kind::Address, "not a host name").because(e))?;
    let late = |_| Error::new(Kind::Timeout, "the till does not answer");
    let answer = timeout(PATIENCE, async {
        let answer = to.send_request(request).await.map_err(lost)?;
        let status = answer.status();
        let body = axum::body::to_bytes(Body::new(answer.into_body()), ANSWER).await;
        Ok::<_, Error>((status, body.map_err(|e| Error::new(Kind::Closed, "the connection was lost").because(e))?))
    });
    let (status, body) = answer.await.map_err(late)??;
    let unreadable = |_| {
        let error = Error::new(Kind::Protocol, format!("what answers is not a till: status {status}"));
        error.with_effect(Effect::None).hint("is the address right, and is the till served by `tresen serve`?")
    };
    if status == StatusCode::OK {
        return serde_json::from_slice(&body).map_err(unreadable);
    }
    Err(serde_json::from_slice::<Error>(&body).map_err(unreadable)?)
}

fn lost(error: hyper::Error) -> Error {
    Error::new(Kind::Closed, "the connection to the till was lost").because(error)
}

fn not_the_till() -> Error {
    let error =
        Error::new(Kind::Permission, "what answers does not know the code: it is not the till that has shown it");
    error.hint("check the address; if it is right, somebody is between this device and the till")
}

/// Accepts any certificate and remembers it: whose it is, the code shows later. That the other end has its key is
/// checked here.
struct Witness {
    algorithms: WebPkiSupportedAlgorithms,
    seen: Mutex<Option<CertificateDer<'static>>>,
}

impl Witness {
    fn new() -> Self {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        Self { algorithms, seen: Mutex::default() }
    }

    fn certificate(&self) -> Option<CertificateDer<'static>> {
        lock(&self.seen).clone()
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *lock(&self.seen) = Some(leaf.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_millis(1_100);
/// How often it asks again when the till takes no attempt.
const TRIES: u32 = 5;
/// Maximum length of an answer, in bytes.
const ANSWER: usize = 64 << 10;
