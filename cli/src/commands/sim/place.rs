//! Where a simulated terminal listens: a port, with TLS or without.

use tresen::Result;
use tresen::hal::link::Listen;

use super::bind;

/// Listens at `HOST:PORT`, or with TLS at `tls://HOST:PORT`. Also the address by which a till reaches it.
pub(super) async fn listen(protocol: &str, place: &str) -> Result<(Box<dyn Listen>, String)> {
    let Some(place) = place.strip_prefix("tls://") else {
        let listener = bind(place).await?;
        let at = listener.local_addr()?;
        return Ok((Box::new(listener), format!("{protocol}+tcp://{at}")));
    };
    let listener = bind(place).await?;
    let at = listener.local_addr()?;
    let (listener, fingerprint) = secured(listener)?;
    Ok((listener, format!("{protocol}+tls://{at}?fingerprint={fingerprint}")))
}

#[cfg(feature = "tls")]
fn secured(listener: tokio::net::TcpListener) -> Result<(Box<dyn Listen>, String)> {
    let (listener, fingerprint) = super::certificate::listen(listener, "terminal")?;
    Ok((Box::new(listener), fingerprint))
}

#[cfg(not(feature = "tls"))]
fn secured(_: tokio::net::TcpListener) -> Result<(Box<dyn Listen>, String)> {
    use tresen::hal::{Error, Kind};
    Err(Error::new(Kind::Unsupported, "this build has no TLS").hint("build with feature `tls`"))
}
