//! TLS 1.2 and 1.3 for the till, with client certificates that are asked for and not required.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};
use tresen_hal::{Error, Kind, Result, Runtime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use super::Leaf;

pub(super) fn server(
    authority: &CertificateDer<'static>,
    leaf: &Leaf,
    runtime: Arc<dyn Runtime>,
) -> Result<Arc<ServerConfig>> {
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(Kind::Config, "the till's certificate cannot be used").because(e)
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(|e| failed(e.into()))?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| failed(e.into()))?;
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(Wall(runtime)))
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(e.into()))?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![leaf.certificate.clone()], leaf.key.clone_key())
        .map_err(|e| failed(e.into()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The names of a certificate: host names and addresses.
pub(super) fn names(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let listed = certificate.subject_alternative_name().ok().flatten();
    let listed = listed.iter().flat_map(|names| &names.value.general_names);
    let named = listed.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(IpAddr::from(v4).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|v6| IpAddr::from(v6).to_string()),
        },
        _ => None,
    });
    named.collect()
}

/// The time of the injected runtime, for checking certificates.
struct Wall(Arc<dyn Runtime>);

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.wall().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wall")
    }
}
