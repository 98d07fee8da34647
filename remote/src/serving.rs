//! A till that serves as its configuration says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tresen::Tresen;
use tresen_hal::{Effect, Error, Kind, Result, Retry};

use crate::server::{Limits, Options, Server};
use crate::trust::{self, Trust};

/// A till that serves: [`serve`]. Dropping it ends the server without waiting.
#[derive(Debug)]
pub struct Serving {
    server: Server,
    trust: Arc<Trust>,
    addresses: Vec<String>,
}

/// Serves a till as the section `[remote]` of its configuration says: over TLS with a certificate of the till's own
/// authority, and on this machine over plain HTTP if configured. Who may call is decided by enrolment: see
/// [`trust`](crate::trust).
///
/// ```no_run
/// # async fn run() -> tresen::Result<()> {
/// use std::time::Duration;
///
/// let till = tresen::Tresen::open("till.toml").await?;
/// let serving = tresen_remote::serve(&till).await?;
/// println!("{:?}", serving.addresses());
/// // … until the program ends:
/// serving.close(Duration::from_secs(30)).await;
/// till.close(Duration::from_secs(10)).await
/// # }
/// ```
///
/// # Errors
/// [`Kind::Config`]: the configuration has no such section. [`Kind::Busy`]: another program listens there. Otherwise as
/// [`Trust::open`].
pub async fn serve(till: &Tresen) -> Result<Serving> {
    let config = till.config();
    let Some(remote) = &config.remote else {
        let error = Error::new(Kind::Config, "the configuration has no section `[remote]`: the till is not served");
        return Err(error.hint("add it; an empty one serves this machine only"));
    };
    let tls = listen(remote.listen).await?;
    let plain = match remote.plain {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let trust = Trust::open(till, &remote.names).await?;
    let options = Options {
        tls: Some((tls, trust.tls())),
        plain,
        origins: remote.origins.clone(),
        names: remote.names.clone(),
        routes: trust::routes(trust.clone()).merge(crate::web::routes()),
        limits: Limits::from(remote),
    };
    let server = Server::start(till, Arc::new(trust.gate()), options)?;
    let addresses = server.tls().map(|at| addresses(at, &remote.names)).unwrap_or_default();
    trust.reachable_at(addresses.iter().cloned());
    Ok(Serving { server, trust, addresses })
}

impl Serving {
    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Who is trusted.
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// Where the till can be reached over TLS: `wss://till-1.local:7443`. The names of its configuration come first.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Ends in an orderly way: [`Server::close`].
    pub async fn close(&self, within: Duration) {
        self.server.close(within).await;
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    use std::io::ErrorKind as K;
    TcpListener::bind(address).await.map_err(|error| {
        let (kind, what, hint) = match error.kind() {
            K::AddrInUse => (Kind::Busy, "another program listens there", "does another till serve here?"),
            K::AddrNotAvailable => (Kind::Config, "this machine has no such address", "see `[remote]`"),
            K::PermissionDenied => (Kind::Permission, "this user may not listen there", "choose a port above 1023"),
            _ => (Kind::Io, "cannot listen there", "see `[remote]`"),
        };
        let error = Error::new(kind, what).with_effect(Effect::None).with_retry(Retry::AfterOperator).because(error);
        error.at(address).hint(hint)
    })
}

/// The addresses of a server that listens at `at`.
fn addresses(at: SocketAddr, names: &[String]) -> Vec<String> {
    let port = at.port();
    let mut hosts: Vec<String> = names.to_vec();
    if at.ip().is_unspecified() {
        let own = if_addrs::get_if_addrs().unwrap_or_default();
        let own = own.iter().filter(|own| !own.is_link_local() && !own.is_loopback()).map(if_addrs::Interface::ip);
        hosts.extend(own.map(|ip| SocketAddr::new(ip, port).to_string()).map(without_port));
    } else {
        hosts.push(without_port(at.to_string()));
    }
    hosts.iter().map(|host| format!("wss://{host}:{port}")).collect()
}

fn without_port(address: String) -> String {
    address.rsplit_once(':').map_or(address.clone(), |(host, _)| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_before_addresses_and_ipv6_is_in_brackets() {
        let at = |text: &str| text.parse().expect("an address");
        assert_eq!(
            addresses(at("127.0.0.1:7443"), &["till-1.local".into()]),
            ["wss://till-1.local:7443", "wss://127.0.0.1:7443"]
        );
        assert_eq!(addresses(at("[::1]:7443"), &[]), ["wss://[::1]:7443"]);
    }
}
