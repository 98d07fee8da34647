//! What a client keeps of its till: a folder with `client.pem` (key and certificate), `ca.pem` and `till.json`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result, Retry};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::server_name;
use super::files;
use crate::client::Tls;

/// A client's certificate and key, and the authority of its till. `Debug` does not show the key.
#[derive(Clone)]
pub struct Credentials {
    about: About,
    /// The till's authority (PEM).
    authority: String,
    /// Key and certificate (PEM).
    client: String,
}

/// `till.json`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    /// The till's id.
    till: String,
    /// The till's name.
    name: String,
    /// Where it was reached.
    url: String,
    /// The client's name at the till.
    you: String,
}

impl Credentials {
    pub(super) fn new(till: [&str; 3], you: &str, authority: &str, key: &str, certificate: &str) -> Self {
        let [till, name, url] = till.map(str::to_owned);
        let about = About { till, name, url, you: you.to_owned() };
        Self { about, authority: authority.to_owned(), client: format!("{key}{certificate}") }
    }

    /// Reads a folder that [`Credentials::save`] has written. Blocks on the disk.
    ///
    /// # Errors
    /// [`Kind::NotFound`]: a file is missing. [`Kind::Storage`]: a file is damaged.
    pub fn load(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            let missing = Error::new(Kind::NotFound, "this client has not joined a till, or not entirely");
            let missing = missing.at(path.display()).with_retry(Retry::AfterOperator);
            files::read(&path)?.ok_or_else(|| missing.hint("run `tresen join` with a new code"))
        };
        let about = serde_json::from_str(&read("till.json")?)
            .map_err(|_| Error::new(Kind::Storage, "is damaged").at(folder.join("till.json").display()))?;
        let credentials = Self { about, authority: read("ca.pem")?, client: read("client.pem")? };
        credentials.config().map_err(|error| error.at(folder.display()))?;
        Ok(credentials)
    }

    /// Writes a folder, accessible to its owner only. `till.json` comes last: without it the folder is not complete.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// The folder cannot be written. [`Kind::Input`]: it holds the credentials for a till already.
    pub fn save(&self, folder: &Path) -> Result<()> {
        files::folder(folder)?;
        let about = folder.join("till.json");
        if files::read(&about)?.is_some() {
            let error = Error::new(Kind::Input, "the folder holds the credentials for a till already");
            return Err(error.at(folder.display()).hint("choose another folder, or delete this one"));
        }
        self.renewed(folder)?;
        files::write(&folder.join("ca.pem"), self.authority.as_bytes())?;
        let text = serde_json::to_string_pretty(&self.about)
            .map_err(|e| Error::new(Kind::Input, "cannot be written as JSON").because(e))?;
        files::write(&about, text.as_bytes())
    }

    /// Writes key and certificate anew, after [`Credentials::with_certificate`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn renewed(&self, folder: &Path) -> Result<()> {
        files::write(&folder.join("client.pem"), self.client.as_bytes())
    }

    /// The client's name at the till.
    pub fn you(&self) -> &str {
        &self.about.you
    }

    /// The till's id.
    pub fn till(&self) -> &str {
        &self.about.till
    }

    /// The till's name.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// The till's address, `wss://HOST:PORT`, as it was when the client joined.
    pub fn url(&self) -> &str {
        &self.about.url
    }

    /// How a client connects to the till at `url`. The till is known by its authority and its id, whatever its address is.
    ///
    /// # Errors
    /// [`Kind::Address`]: not `wss://HOST:PORT`. [`Kind::Storage`]: certificate or key are damaged.
    pub fn dial(&self, url: &str) -> Result<Tls> {
        Tls::named(url, &server_name(&self.about.till), self.config()?)
    }

    /// TLS with the till's authority and the client's certificate.
    ///
    /// # Errors
    /// [`Kind::Storage`]: certificate or key are damaged.
    pub fn config(&self) -> Result<Arc<ClientConfig>> {
        // The cause is left out: it may quote the key.
        let damaged = || Error::new(Kind::Storage, "the client's key or a certificate is damaged");
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.as_bytes()).map_err(|_| damaged())?;
        roots.add(authority).map_err(|_| damaged())?;
        let key = PrivateKeyDer::from_pem_slice(self.client.as_bytes()).map_err(|_| damaged())?;
        let certificate = CertificateDer::from_pem_slice(self.client.as_bytes()).map_err(|_| damaged())?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| damaged())?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .map_err(|_| damaged())?;
        Ok(Arc::new(config))
    }

    /// The request with which `session.renew` gets another certificate for the client's key (PKCS #10, PEM).
    ///
    /// # Errors
    /// [`Kind::Storage`]: the key is damaged.
    pub fn request(&self) -> Result<String> {
        let damaged = |_| Error::new(Kind::Storage, "the client's key is damaged");
        let key = rcgen::KeyPair::from_pem(&self.client).map_err(damaged)?;
        request(&key)
    }

    /// The same with the certificate that `session.renew` has answered.
    ///
    /// # Errors
    /// [`Kind::Storage`]: certificate and key do not belong together.
    pub fn with_certificate(&self, certificate: &str) -> Result<Self> {
        let key = rcgen::KeyPair::from_pem(&self.client);
        let key = key.map_err(|_| Error::new(Kind::Storage, "the client's key is damaged"))?;
        let renewed = Self { client: format!("{}{certificate}", key.serialize_pem()), ..self.clone() };
        renewed.config()?;
        Ok(renewed)
    }

    /// When the certificate ends.
    ///
    /// # Errors
    /// [`Kind::Storage`]: the certificate is damaged.
    pub fn expires(&self) -> Result<Timestamp> {
        let damaged = || Error::new(Kind::Storage, "the client's certificate is damaged");
        let der = CertificateDer::from_pem_slice(self.client.as_bytes()).map_err(|_| damaged())?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| damaged())?;
        Timestamp::from_second(certificate.validity().not_after.timestamp()).map_err(|_| damaged())
    }

    /// The folder beside a database or a configuration that holds the credentials: `till.db.client`.
    pub fn folder(beside: &Path) -> PathBuf {
        let mut name = beside.as_os_str().to_owned();
        name.push(".client");
        name.into()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Credentials").field(&self.about).finish()
    }
}

/// A certificate request for this key. The till chooses the subject.
pub(super) fn request(key: &rcgen::KeyPair) -> Result<String> {
    let failed = |e: rcgen::Error| Error::new(Kind::Config, "a certificate request cannot be made").because(e);
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(key).and_then(|request| request.pem()).map_err(failed)
}
