//! The till's own certificate authority: `<database>.remote/` with `ca.key`, `ca.pem`, `till.key`, `till.pem`.
//!
//! The authority is made when the till is first served and lasts ten years. It signs the till's own certificate (a year,
//! renewed in its last third and whenever the till's names change) and those of its clients (a year). It says nothing about
//! a client's rights: these are in the till's database.
//!
//! X.509 version 3 (RFC 5280), ECDSA on P-256. Left out: revocation lists, because the till itself is the only party that
//! checks its clients' certificates.

mod tls;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tresen_hal::{Error, Kind, Result, Retry, Runtime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files;
use super::secret::{hex, random, sha256};

/// A till's certificate authority, opened. It holds the key in memory.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    till: String,
}

/// The till's certificate and its key.
pub struct Leaf {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// When it ends.
    pub expires: Timestamp,
    names: BTreeSet<String>,
    key: PrivateKeyDer<'static>,
}

/// A certificate that was issued to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate (PEM).
    pub pem: String,
    /// Its SHA-256, in hexadecimal.
    pub fingerprint: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl Authority {
    /// Opens the authority beside the database at `store`, or makes it. `in_use` says whether clients hold certificates of
    /// it: then a missing one is an error. Blocks on the disk.
    ///
    /// # Errors
    /// [`Kind::Storage`]: a file is damaged, or missing while clients are enrolled; the files are left as they are.
    /// [`Kind::Permission`] and others of the file system.
    pub fn open(store: &Path, till: &str, in_use: bool, now: Timestamp) -> Result<Self> {
        let mut folder = store.as_os_str().to_owned();
        folder.push(".remote");
        let folder = PathBuf::from(folder);
        files::folder(&folder)?;
        let (key, pem) = (folder.join("ca.key"), folder.join("ca.pem"));
        match (files::read(&key)?, files::read(&pem)?) {
            (Some(key_text), Some(text)) => Self::read(folder, till, &key_text, text),
            // Without a certificate, the key was never used: a program was killed while it made the authority.
            (_, None) if !in_use => Self::make(folder, till, now),
            (key_text, _) => {
                let missing = if key_text.is_none() { key } else { pem };
                let what = "the file is missing, and clients trust the authority that it belongs to";
                Err(lost(what).at(missing.display()))
            }
        }
    }

    fn make(folder: PathBuf, till: &str, now: Timestamp) -> Result<Self> {
        let key = KeyPair::generate().map_err(unmade)?;
        let mut params = params(now, YEAR * 10)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, format!("tresen till {till}"));
        let certificate = params.self_signed(&key).map_err(unmade)?;
        files::write(&folder.join("ca.key"), key.serialize_pem().as_bytes())?;
        files::write(&folder.join("ca.pem"), certificate.pem().as_bytes())?;
        tracing::info!(folder = %folder.display(), "made the till's certificate authority");
        Self::read(folder, till, &key.serialize_pem(), certificate.pem())
    }

    fn read(folder: PathBuf, till: &str, key: &str, pem: String) -> Result<Self> {
        let damaged = |name: &str| lost("the file is damaged").at(folder.join(name).display());
        // The cause is left out: it may quote the file.
        let key = KeyPair::from_pem(key).map_err(|_| damaged("ca.key"))?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged("ca.pem"))?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| damaged("ca.pem"))?;
        if !parsed.is_ca() || parsed.verify_signature(None).is_err() {
            return Err(damaged("ca.pem"));
        }
        if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return Err(lost("key and certificate do not belong together").at(folder.join("ca.key").display()));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| damaged("ca.pem"))?;
        Ok(Self { folder, issuer, certificate, pem, till: till.to_owned() })
    }

    /// The authority's certificate (PEM).
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the authority's certificate, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        hex(&sha256(&self.certificate))
    }

    /// The till's certificate for these names (host names and IP addresses) besides its own: as stored, or another one if
    /// that ends soon, lacks a name or is damaged. Blocks on the disk.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn leaf(&self, names: &[String], now: Timestamp) -> Result<Leaf> {
        let own = [server_name(&self.till), "localhost".into(), "127.0.0.1".into(), "::1".into()];
        let names: BTreeSet<String> = own.into_iter().chain(names.iter().map(|name| name.to_lowercase())).collect();
        match self.stored_leaf() {
            Some(leaf) if leaf.names.is_superset(&names) && now < leaf.expires - LEAF / 3 => return Ok(leaf),
            _ => {}
        }
        let key = KeyPair::generate().map_err(unmade)?;
        let mut params = params(now, LEAF)?;
        let listed = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>()).map_err(unmade)?;
        params.subject_alt_names = listed.subject_alt_names;
        params.distinguished_name.push(DnType::CommonName, server_name(&self.till));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(unmade)?;
        files::write(&self.folder.join("till.key"), key.serialize_pem().as_bytes())?;
        files::write(&self.folder.join("till.pem"), certificate.pem().as_bytes())?;
        tracing::info!(names = ?names, "made the till's certificate");
        self.stored_leaf().ok_or_else(|| {
            Error::new(Kind::Storage, "the till's certificate cannot be read back").at(self.folder.display())
        })
    }

    /// The leaf in the files, if it is whole and of this authority. Otherwise another one is made: nobody relies on it.
    fn stored_leaf(&self) -> Option<Leaf> {
        let read = |name: &str| files::read(&self.folder.join(name)).ok().flatten();
        let (key, pem) = (KeyPair::from_pem(&read("till.key")?).ok()?, read("till.pem")?);
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
        let (_, authority) = X509Certificate::from_der(&self.certificate).ok()?;
        parsed.verify_signature(Some(authority.public_key())).ok()?;
        let ours = parsed.public_key().raw == rcgen::PublicKeyData::subject_public_key_info(&key);
        let expires = Timestamp::from_second(parsed.validity().not_after.timestamp()).ok().filter(|_| ours)?;
        let names = tls::names(&parsed);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Some(Leaf { certificate: certificate.clone(), expires, names, key })
    }

    /// A client's certificate for the public key of a request (PKCS #10, PEM). Subject and usages are the till's own,
    /// whatever the request asks for.
    ///
    /// # Errors
    /// [`Kind::Input`]: not a request, or its signature is wrong.
    pub fn issue(&self, name: &str, request: &str, now: Timestamp) -> Result<Issued> {
        let wrong = |e: rcgen::Error| Error::new(Kind::Input, "not a certificate request (PKCS #10, PEM)").because(e);
        let request = CertificateSigningRequestParams::from_pem(request).map_err(wrong)?;
        let mut params = params(now, CLIENT)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, format!("tresen till {}", self.till));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&request.public_key, &self.issuer).map_err(wrong)?;
        let expires = Timestamp::from_second((now + CLIENT).as_second()).unwrap_or(now);
        Ok(Issued { pem: certificate.pem(), fingerprint: hex(&sha256(certificate.der())), expires })
    }

    /// TLS for a server with this leaf. Clients may show a certificate of this authority or none; one that is expired, of
    /// another authority or not for clients ends the handshake. Time is that of `runtime`. Sessions are not resumed: each
    /// connection shows its certificate anew.
    ///
    /// # Errors
    /// [`Kind::Config`]: certificate or key cannot be used.
    pub fn tls(&self, leaf: &Leaf, runtime: Arc<dyn Runtime>) -> Result<Arc<rustls::ServerConfig>> {
        tls::server(&self.certificate, leaf, runtime)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Authority").field(&self.folder).finish()
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf").field("names", &self.names).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// The name in a till's certificate that holds at any address: clients that pinned the till's authority ask for it.
pub fn server_name(till: &str) -> String {
    format!("{till}.tresen.internal")
}

/// A client's certificate is renewed in its last third.
pub(super) fn is_due(expires: Timestamp, now: Timestamp) -> bool {
    now >= expires - CLIENT / 3
}

fn params(now: Timestamp, life: SignedDuration) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let time = |at: Timestamp| {
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds)
    };
    // Clocks in a shop differ.
    params.not_before = time(now - DAY);
    params.not_after = time(now + life);
    let mut serial = random::<16>()?;
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn lost(what: &str) -> Error {
    Error::new(Kind::Storage, what).with_retry(Retry::AfterOperator).hint(
        "restore the folder from a backup; or, if it is gone for good, revoke all clients, delete the folder and enrol \
         the clients again",
    )
}

fn unmade(error: rcgen::Error) -> Error {
    Error::new(Kind::Config, "a certificate cannot be made").because(error)
}

const DAY: SignedDuration = SignedDuration::from_hours(24);
const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);
const LEAF: SignedDuration = YEAR;
const CLIENT: SignedDuration = YEAR;

#[cfg(test)]
mod tests;
