//! The server that takes in the till's journal: `[server]`.

use std::fmt;
use std::path::{Path as File, PathBuf};

use toml::Spanned;
use toml::de::DeValue;
use tresen_hal::Amount;

use super::problem::{Fault, Path};
use super::read::Reader;
use super::values::quoted;

/// The server that takes in the till's journal, and holds reference tables and customers' accounts.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// Where it is: `postgres://ROLE@HOST/DATABASE`. Needs the feature `postgres`. Left out if the program brings its
    /// own server: [`Builder::server`](crate::Builder::server).
    pub url: Option<String>,
    /// A file with the password, otherwise in the environment variable `PGPASSWORD` or the URL.
    pub password_file: Option<PathBuf>,
    /// A file with the authorities (PEM) that may have signed the server's certificate. Connections other than to this
    /// machine need it: they use TLS, and the certificate must name the host.
    pub ca: Option<PathBuf>,
    /// The most that one account may owe in local mode; without it, accounts need the server.
    pub account_limit: Option<Amount>,
    /// The reference tables that come down at the start of each service.
    pub reference: Vec<String>,
}

const KEYS: [&str; 5] = ["url", "password-file", "ca", "account-limit", "reference"];

impl fmt::Debug for Server {
    /// Without the URL, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("account_limit", &self.account_limit)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Reads the section; after `[till]`, whose currency it uses.
    pub(super) fn server(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(path, value, "`[server]`") else { return };
        let mut server = Server::default();
        for (key, value) in table {
            let path = path.key(key.get_ref());
            match &**key.get_ref() {
                "url" => server.url = self.filled(&path, value),
                "password-file" => server.password_file = self.filled(&path, value).map(Into::into),
                "ca" => server.ca = self.filled(&path, value).map(Into::into),
                "account-limit" => {
                    let Some(text) = self.filled(&path, value) else { continue };
                    match Amount::parse(&text, self.config.till.currency) {
                        Ok(limit) if limit.minor() >= 0 => server.account_limit = Some(limit),
                        Ok(_) => self.fault(Fault::error(path, "must not be negative")),
                        Err(error) => self.fault(Fault::because(path, &error)),
                    }
                }
                "reference" => {
                    server.reference = self.texts(&path, value).into_iter().map(|(_, text)| text).collect();
                }
                _ => self.fault(Fault::error(path, format!("unknown key; expected one of {}", quoted(&KEYS)))),
            }
        }
        self.config.server = Some(server);
    }
}

impl Server {
    /// A server at this URL.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }

    /// Makes file names relative to `folder`.
    pub(super) fn relative_to(&mut self, folder: &File) {
        for file in [&mut self.password_file, &mut self.ca].into_iter().flatten() {
            *file = folder.join(&*file);
        }
    }

    /// Everything wrong with it, apart from files that are missing.
    pub(super) fn check(&self, faults: &mut Vec<Fault>) {
        let path = Path::of(&["server"]);
        if let Some(url) = &self.url
            && let Err(error) = crate::sync::check_url(url, self.ca.is_some())
        {
            faults.push(Fault::because(path.key("url"), &error));
        }
        for (i, table) in self.reference.iter().enumerate() {
            if table.trim().is_empty() {
                faults.push(Fault::error(path.key("reference").index(i), "must not be empty"));
            } else if self.reference[..i].contains(table) {
                faults.push(Fault::warning(path.key("reference").index(i), format!("`{table}` is listed twice")));
            }
        }
    }

    /// The files that it names and that are missing.
    pub(super) fn missing(&self) -> impl Iterator<Item = Fault> {
        let files = [("password-file", &self.password_file), ("ca", &self.ca)];
        let missing = files.into_iter().filter_map(|(key, file)| {
            let file = file.as_ref().filter(|file| !file.is_file())?;
            let what = format!("file {} does not exist", file.display());
            Some(Fault::error(Path::of(&["server", key]), what))
        });
        missing.collect::<Vec<_>>().into_iter()
    }
}
