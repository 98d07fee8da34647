//! TLS for simulated devices, under a certificate made for the occasion.

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tresen::Result;
use tresen::hal::link::Listen;
use tresen::hal::link::tls::{self, Identity};
use tresen::hal::{Error, Kind};

/// Accepts TLS under a certificate with this common name; also the fingerprint that a till has to trust.
pub(super) fn listen(listener: TcpListener, name: &str) -> Result<(impl Listen + use<>, String)> {
    let bad = |e: rcgen::Error| Error::new(Kind::Config, "no certificate can be made").because(e);
    let key = KeyPair::generate().map_err(bad)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).map_err(bad)?.der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|e| Error::new(Kind::Config, e))?;
    let identity = Identity::new(vec![certificate], key);
    let fingerprint = identity.fingerprint().unwrap_or_default();
    Ok((tls::listen(listener, &identity)?, fingerprint))
}
