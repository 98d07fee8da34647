//! How a client reaches its till.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tresen_hal::{BoxFuture, Effect, Error, Kind, Result};

use crate::trust::Identity;

/// A connection to a till.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Opens connections to one till, again and again.
pub trait Dial: Send + Sync + 'static {
    /// Opens a connection. The client waits for at most 5 s.
    ///
    /// # Errors
    /// The till cannot be reached; or, with [`Kind::Permission`], it does not let the client in.
    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Stream>>>;

    /// The till's host name and port, as in its address.
    fn host(&self) -> &str;

    /// The certificate that the client shows, if the client is to renew it in time.
    fn identity(&self) -> Option<Arc<Identity>> {
        None
    }
}

/// TLS over TCP.
#[derive(Debug)]
pub struct Tls {
    host: String,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    /// Whose certificate is shown instead.
    identity: Option<Arc<Identity>>,
}

impl Tls {
    /// To the till at `wss://HOST:PORT`. `config` says which authority has to have signed the till's certificate, and has
    /// the client's own.
    ///
    /// # Errors
    /// [`Kind::Address`]: not such an address.
    pub fn new(url: &str, config: Arc<ClientConfig>) -> Result<Self> {
        let host = host(url, "wss://")?;
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self::named(url, &name, config)
    }

    /// As [`Tls::new`], with the name that the till's certificate has to be for, whatever the till's address is.
    ///
    /// # Errors
    /// [`Kind::Address`]: not such an address, or not such a name.
    pub fn named(url: &str, name: &str, config: Arc<ClientConfig>) -> Result<Self> {
        let host = host(url, "wss://")?;
        let wrong = |e| Error::new(Kind::Address, format!("`{name}` is not a host name")).because(e);
        let name = ServerName::try_from(name.to_owned()).map_err(wrong)?;
        Ok(Self { host, name, config, identity: None })
    }

    /// Shows the certificate that this identity has at the time.
    pub(crate) fn showing(self, identity: Arc<Identity>) -> Self {
        Self { identity: Some(identity), ..self }
    }
}

impl Dial for Tls {
    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = connect(&self.host).await?;
            let config = self.identity.as_ref().map_or_else(|| self.config.clone(), |identity| identity.config());
            let tls = TlsConnector::from(config).connect(self.name.clone(), stream).await;
            let stream = tls.map_err(|error| match error.kind() {
                // What rustls has refused, or an alert of the till.
                std::io::ErrorKind::InvalidData => {
                    let error = Error::new(Kind::Permission, "TLS with the till has failed").because(error);
                    error.with_effect(Effect::None).hint("was this client enrolled at this till?")
                }
                // The link was lost on the way: that says nothing about who may call.
                _ => Error::from(error).with_effect(Effect::None).at(&self.host),
            })?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn identity(&self) -> Option<Arc<Identity>> {
        self.identity.clone()
    }
}

/// TCP without TLS, on this machine.
#[derive(Debug)]
pub struct Plain(String);

impl Plain {
    /// To the till at `ws://127.0.0.1:PORT`.
    ///
    /// # Errors
    /// [`Kind::Address`]: not such an address, or one of another machine.
    pub fn new(url: &str) -> Result<Self> {
        let host = host(url, "ws://")?;
        let name = host.rsplit_once(':').map_or("", |(name, _)| name).trim_matches(['[', ']']);
        if name != "localhost" && !name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()) {
            let error = Error::new(Kind::Address, format!("`{url}` is another machine, and not encrypted"));
            return Err(error.hint("use wss://"));
        }
        Ok(Self(host))
    }
}

impl Dial for Plain {
    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(connect(&self.0).await?) as Box<dyn Stream>) })
    }

    fn host(&self) -> &str {
        &self.0
    }
}

async fn connect(host: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(host).await.map_err(|e| Error::from(e).with_effect(Effect::None).at(host))?;
    stream.set_nodelay(true).ok();
    Ok(stream)
}

fn host(url: &str, scheme: &str) -> Result<String> {
    let wrong = || Error::new(Kind::Address, format!("`{url}` is not an address like {scheme}till-1.local:7443"));
    let host = url.strip_prefix(scheme).ok_or_else(wrong)?.trim_end_matches('/');
    let port = host.rsplit_once(':').and_then(|(name, port)| (!name.is_empty()).then(|| port.parse::<u16>().ok())?);
    port.ok_or_else(wrong)?;
    if host.contains(['/', '?', '#', '@', ' ']) {
        return Err(wrong());
    }
    Ok(host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_scheme_host_and_port() {
        for good in ["ws://127.0.0.1:7480", "ws://localhost:1/", "ws://[::1]:7480"] {
            assert!(Plain::new(good).is_ok(), "{good}");
        }
        for bad in ["ws://10.0.0.1:7480", "wss://127.0.0.1:7480", "ws://127.0.0.1", "ws://:1", "ws://localhost:1/x"] {
            assert_eq!(Plain::new(bad).expect_err(bad).kind(), Kind::Address);
        }
    }
}
