//! Connections to one host, for probing.

use std::fmt;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;
use tresen_hal::link::tcp;
use tresen_hal::{BoxFuture, Error, Kind, Link, Result};

use super::Certificate;

/// A link over TLS, and the certificate that the device shows.
pub(super) type Looked = (Box<dyn Link>, Certificate);

/// How ports of a host are reached.
pub(super) trait Network: Send + Sync + fmt::Debug {
    /// The host's name, as it was given.
    fn name(&self) -> &str;
    /// Connects.
    fn connect(&self, port: u16, within: Duration) -> BoxFuture<'_, Result<Box<dyn Link>>>;
    /// Connects with TLS, whatever the certificate. [`Kind::Unsupported`] and [`Kind::Refused`] say that the device
    /// speaks TLS all the same; `None` that this build does not.
    fn look(&self, port: u16, within: Duration) -> BoxFuture<'_, Option<Result<Looked>>>;
}

/// A host on the network.
#[derive(Debug)]
pub(super) struct Host(String);

impl Host {
    /// Checks that the name can be resolved, before every port says that it cannot.
    pub(super) async fn resolve(name: &str) -> Result<Self> {
        let unknown = |why: String| {
            Error::new(Kind::Address, format!("the name `{name}` cannot be resolved: {why}"))
                .hint("check the spelling, or use the device's IP address: its network print-out or menu shows it")
        };
        let found = timeout(LOOKUP, lookup_host((name, 0))).await;
        let found = found.map_err(|_| unknown("no answer within 5 s".into()))?.map_err(|e| unknown(e.to_string()))?;
        found.last().ok_or_else(|| unknown("no address".into()))?;
        Ok(Self(name.to_owned()))
    }
}

impl Network for Host {
    fn name(&self) -> &str {
        &self.0
    }

    fn connect(&self, port: u16, within: Duration) -> BoxFuture<'_, Result<Box<dyn Link>>> {
        Box::pin(async move {
            let link = tcp::connect_within(&self.0, port, within).await?;
            Ok(Box::new(link) as Box<dyn Link>)
        })
    }

    #[cfg(feature = "tls")]
    fn look(&self, port: u16, within: Duration) -> BoxFuture<'_, Option<Result<Looked>>> {
        Box::pin(async move {
            let looked = tresen_hal::link::tls::look(&self.0, port, within).await;
            Some(looked.map(|(link, certificate)| {
                let tresen_hal::link::tls::Certificate { fingerprint, common_name } = certificate;
                (Box::new(link) as Box<dyn Link>, Certificate { fingerprint, common_name })
            }))
        })
    }

    #[cfg(not(feature = "tls"))]
    fn look(&self, _: u16, _: Duration) -> BoxFuture<'_, Option<Result<Looked>>> {
        Box::pin(async { None })
    }
}

/// How long resolving a name may take.
const LOOKUP: Duration = Duration::from_secs(5);
