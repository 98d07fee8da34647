//! Where the server is, and how to connect to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tresen_hal::{Error, Kind, Result};

use super::failure;
use crate::config::Server;

/// A server to connect to. Displayed without its password.
pub(super) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    password_file: Option<PathBuf>,
}

impl Target {
    pub(super) fn new(server: &Server) -> Result<Self> {
        let url = server.url.as_deref().unwrap_or_default();
        let config = parse(url, server.ca.is_some())?;
        let tls = match &server.ca {
            Some(file) => Some(trusting(file)?),
            None => None,
        };
        Ok(Self { config, tls, password_file: server.password_file.clone() })
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// With [`Effect::None`](tresen_hal::Effect::None), and what to do.
    pub(super) async fn connect(&self) -> Result<Client> {
        let mut config = self.config.clone();
        if let Some(password) = self.password()? {
            config.password(password);
        }
        let failed = |error| failure::of_connect(&error, self);
        // The connection ends with its client.
        match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await.map_err(failed)?;
                tokio::spawn(connection);
                Ok(client)
            }
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                tokio::spawn(connection);
                Ok(client)
            }
        }
    }

    /// The role that logs in.
    pub(super) fn role(&self) -> &str {
        self.config.get_user().unwrap_or("")
    }

    pub(super) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_else(|| self.role())
    }

    /// The password, unless it is in the URL or none is needed. Read each time, so that it can be changed.
    fn password(&self) -> Result<Option<String>> {
        let Some(file) = &self.password_file else {
            let missing = self.config.get_password().is_none();
            return Ok(std::env::var("PGPASSWORD").ok().filter(|_| missing));
        };
        let text = std::fs::read_to_string(file).map_err(|e| Error::file(file, e))?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".into(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        write!(f, "postgres://{}@{host}:{port}/{}", self.role(), self.database())
    }
}

/// Reads a URL and decides about TLS; `ca` whether authorities are configured. Messages never quote the URL, which may
/// contain a password.
///
/// # Errors
/// [`Kind::Config`].
pub(super) fn parse(url: &str, ca: bool) -> Result<Config> {
    let bad = |what: String| Error::new(Kind::Config, what).hint("write it like postgres://till@10.0.0.2/tresen");
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(bad("expected a URL that begins with `postgres://`".into()));
    }
    let mut config: Config = url.parse().map_err(|_| bad("the URL of the server cannot be read".into()))?;
    if config.get_user().is_none_or(str::is_empty) {
        return Err(bad("the URL of the server names no role".into()));
    }
    let plain = config.get_ssl_mode() == SslMode::Disable;
    if !ca && !plain && !config.get_hosts().iter().all(is_local) {
        let error = Error::new(Kind::Config, "the server is on another machine, and its certificate cannot be checked");
        return Err(error.hint(
            "set `ca` to the file with the authority that signed it; or add `?sslmode=disable` to the URL if nobody \
             else can enter the network",
        ));
    }
    if ca && plain {
        return Err(
            Error::new(Kind::Config, "`sslmode=disable` and `ca` exclude each other").hint("leave one of them out")
        );
    }
    config
        .ssl_mode(if ca { SslMode::Require } else { SslMode::Disable })
        .application_name("tresen")
        .connect_timeout(CONNECT)
        .keepalives_idle(IDLE)
        .tcp_user_timeout(IDLE);
    Ok(config)
}

/// Whether a host is this machine.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) if name.eq_ignore_ascii_case("localhost") => true,
        Host::Tcp(name) => name.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// TLS 1.2 and 1.3 with certificates that these authorities have signed for the host.
fn trusting(file: &std::path::Path) -> Result<MakeRustlsConnect> {
    let bad = |what: String| Error::new(Kind::Config, what).at(file.display()).with_option("ca");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| bad(e.to_string()))? {
        let added = certificate.map_err(|e| e.to_string()).and_then(|it| roots.add(it).map_err(|e| e.to_string()));
        added.map_err(bad)?;
    }
    if roots.is_empty() {
        return Err(bad("the file contains no certificate".into()));
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Kind::Unsupported, "no supported TLS version").because(e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Longest wait for the connection itself.
const CONNECT: Duration = Duration::from_secs(5);
/// After this long without an answer, the system checks the connection, or gives it up.
const IDLE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_reached_without_tls_unless_the_url_says_so() {
        for url in
            ["postgres://till@127.0.0.1/shop", "postgresql://till@localhost:5433/shop", "postgres://till@[::1]/x"]
        {
            assert_eq!(parse(url, false).expect(url).get_ssl_mode(), SslMode::Disable, "{url}");
            assert_eq!(parse(url, true).expect(url).get_ssl_mode(), SslMode::Require, "{url}");
        }
        let remote = "postgres://till:secret@10.0.0.2/shop";
        let error = parse(remote, false).expect_err("no authority");
        assert!(error.next_step().is_some_and(|hint| hint.contains("`ca`")), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(parse(remote, true).expect("checked").get_ssl_mode(), SslMode::Require);
        let plain = format!("{remote}?sslmode=disable");
        assert_eq!(parse(&plain, false).expect("trusted").get_ssl_mode(), SslMode::Disable);
        parse(&plain, true).expect_err("contradiction");
    }

    #[test]
    fn a_url_that_cannot_be_used_is_not_quoted() {
        for url in ["", "mysql://till:secret@h/x", "postgres://till:secret@h:port/x", "postgres://:secret@localhost/x"]
        {
            let error = parse(url, false).expect_err(url);
            assert_eq!(error.kind(), Kind::Config);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let server = Server::at("postgres://till:secret@localhost:5433/shop");
        let target = Target::new(&server).expect("right");
        assert_eq!(target.to_string(), "postgres://till@localhost:5433/shop");
        assert!(!format!("{server:?}").contains("secret"));
    }
}
