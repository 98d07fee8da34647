//! A client's certificate in its folder, renewed in time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tresen_hal::{Error, Kind, Result};

use super::authority::is_due;
use super::credentials::Credentials;
use super::memory::lock;
use crate::client::Tls;

/// The credentials in a folder, and what keeps them good: a [`Client`](crate::client::Client) that dials with them renews
/// the certificate in the last third of its life, over its own connection (`session.renew`).
///
/// The key stays the same, and `client.pem` is replaced as a whole. The certificate before it is good for another week, so
/// a client that is killed before the file is written renews it again. A client that is not connected in the last third
/// has to join anew.
pub struct Identity {
    folder: PathBuf,
    now: Mutex<Now>,
}

struct Now {
    credentials: Credentials,
    config: Arc<ClientConfig>,
}

impl Identity {
    /// Reads a folder that [`Credentials::save`] has written. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Credentials::load`].
    pub fn open(folder: &Path) -> Result<Arc<Self>> {
        let credentials = Credentials::load(folder)?;
        let config = credentials.config()?;
        Ok(Arc::new(Self { folder: folder.to_owned(), now: Mutex::new(Now { credentials, config }) }))
    }

    /// The credentials as they are now.
    pub fn credentials(&self) -> Credentials {
        lock(&self.now).credentials.clone()
    }

    /// How a client connects to the till at `url`, with the certificate of the time.
    ///
    /// # Errors
    /// As [`Credentials::dial`].
    pub fn dial(self: &Arc<Self>, url: &str) -> Result<Tls> {
        Ok(self.credentials().dial(url)?.showing(self.clone()))
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        lock(&self.now).config.clone()
    }

    /// The fields of `session.renew`, if it is time for that.
    ///
    /// # Errors
    /// [`Kind::Storage`]: key or certificate are damaged.
    pub(crate) fn due(&self, now: Timestamp) -> Result<Option<Value>> {
        let credentials = self.credentials();
        let due = is_due(credentials.expires()?, now);
        Ok(if due { Some(json!({ "request": credentials.request()? })) } else { None })
    }

    /// Takes over the certificate of the till's reply. Blocks on the disk.
    ///
    /// # Errors
    /// [`Kind::Protocol`]: there is none, or it does not belong to the key. The file cannot be written: then the earlier
    /// certificate stays in use.
    pub(crate) fn renewed(&self, reply: &Value) -> Result<()> {
        let wrong = |what: &str| Error::new(Kind::Protocol, what);
        let certificate = reply["certificate"].as_str().ok_or_else(|| wrong("the till has sent no certificate"))?;
        let before = self.credentials();
        let renewed = before.with_certificate(certificate);
        let renewed =
            renewed.map_err(|error| wrong("the till's certificate does not belong to the key").because(error))?;
        if renewed.expires()? <= before.expires()? {
            return Err(wrong("the till's certificate ends no later than the one before"));
        }
        let config = renewed.config()?;
        renewed.renewed(&self.folder)?;
        tracing::info!(till = renewed.name(), "the client's certificate was renewed");
        *lock(&self.now) = Now { credentials: renewed, config };
        Ok(())
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("folder", &self.folder).finish_non_exhaustive()
    }
}
