//! The server's side, for simulators: a certificate of one's own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{Fingerprint, Tls, sha256};
use crate::link::connect::{Incoming, Listen};
use crate::link::tcp;
use crate::{BoxFuture, Error, Kind, Result};

/// A certificate with its chain, and its private key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// The device's own certificate comes first.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self { chain, key }
    }

    /// SHA-256 of the device's own certificate, as the option `fingerprint` takes it.
    pub fn fingerprint(&self) -> Option<String> {
        self.chain.first().map(|own| Fingerprint(sha256(own)).to_string())
    }

    /// Reads both from PEM files. Blocks on the disk.
    ///
    /// # Errors
    /// [`Kind::Config`]: a file cannot be read, or holds none.
    pub fn read(chain: &Path, key: &Path) -> Result<Self> {
        let bad = |file: &Path| {
            let what = "the file holds no certificate or key in PEM";
            let file = file.display().to_string();
            move |e| Error::new(Kind::Config, what).because(e).at(file)
        };
        let all = CertificateDer::pem_file_iter(chain).map_err(bad(chain))?;
        let chain = all.collect::<std::result::Result<_, _>>().map_err(bad(chain))?;
        Ok(Self::new(chain, PrivateKeyDer::from_pem_file(key).map_err(bad(key))?))
    }
}

/// Takes TLS connections. Handshakes run beside each other; dropping this ends those that have not finished.
#[derive(Debug)]
pub struct Listener {
    at: SocketAddr,
    shaken: Mutex<mpsc::Receiver<Incoming>>,
    task: JoinHandle<()>,
}

/// Serves TLS 1.2 and 1.3 on `listener`.
///
/// # Errors
/// [`Kind::Config`]: key and certificate do not belong together. The listener has no address.
pub fn listen(listener: TcpListener, identity: &Identity) -> Result<Listener> {
    let wrong = |e| Error::new(Kind::Config, "the certificate cannot be used").because(e);
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_no_client_auth()
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(wrong)?;
    let at = listener.local_addr()?;
    let (to, shaken) = mpsc::channel(1);
    let task = tokio::spawn(shake(listener, TlsAcceptor::from(Arc::new(config)), to));
    Ok(Listener { at, shaken: Mutex::new(shaken), task })
}

async fn shake(listener: TcpListener, acceptor: TlsAcceptor, to: mpsc::Sender<Incoming>) {
    let mut shaking = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = shaking.join_next(), if !shaking.is_empty() => {}
            accepted = listener.accept(), if shaking.len() < MOST => {
                let Ok((stream, from)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let (acceptor, to) = (acceptor.clone(), to.clone());
                shaking.spawn(async move {
                    tcp::prepare(&stream).ok();
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let link = Box::new(Tls::over(stream));
                            to.send(Incoming { link, from: Some(from.ip()) }).await.ok();
                        }
                        Ok(Err(error)) => tracing::debug!(%error, %from, "no TLS handshake"),
                        Err(_) => tracing::debug!(%from, "no TLS handshake in time"),
                    }
                });
            }
        }
    }
}

impl Listener {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listen for Listener {
    fn accept(&self) -> BoxFuture<'_, Result<Incoming>> {
        Box::pin(async move {
            let ended = || Error::new(Kind::Closed, "nobody listens any more");
            self.shaken.lock().await.recv().await.ok_or_else(ended)
        })
    }
}

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes beside each other.
const MOST: usize = 64;
