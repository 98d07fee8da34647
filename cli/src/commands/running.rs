//! The till that a file names: asked over its socket while it runs, otherwise read from its database.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tresen::api::{Client, listing, socket};
use tresen::{Config, Error, JournalEntry, Kind, Listing, Result, SpooledJob, Store, StoredPayment, SystemRuntime};

use crate::devices;
use crate::out::Out;

/// Who answers for a till.
pub(super) enum Till {
    /// The program that has it open.
    Running(Client),
    /// Nobody has it open: its database, read-only.
    Closed(Store),
}

/// Connects to the running till of a database; `None` if no till is running.
///
/// # Errors
/// The socket belongs to another user, the till does not answer, or it has reached its limit of clients.
pub(super) async fn till(store: &Path) -> Result<Option<Client>> {
    match Client::connect(&socket::path(store)).await {
        Ok(client) => Ok(Some(client.on_behalf_of("the command tresen"))),
        // Without Unix sockets there is no till to connect to.
        Err(error) if error.kind() == Kind::NotFound || cfg!(not(unix)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The running till of `store`, or the database. If a till runs but does not answer, that is reported, and the database
/// answers: it can be read all the same.
pub(super) async fn open(store: &Path, out: Out) -> Result<Till> {
    match till(store).await {
        Ok(Some(client)) => return Ok(Till::Running(client)),
        Ok(None) => {}
        Err(error) => out.failed(&error),
    }
    Ok(Till::Closed(Store::open_read_only(store, Arc::new(SystemRuntime::new())).await?))
}

impl Till {
    pub(super) async fn jobs(&self, which: listing::Jobs) -> Result<Listing<SpooledJob>> {
        match self {
            Self::Running(client) => client.call(which).await,
            Self::Closed(store) => which.of(store).await,
        }
    }

    pub(super) async fn payments(&self, which: listing::Payments) -> Result<Listing<StoredPayment>> {
        match self {
            Self::Running(client) => client.call(which).await,
            Self::Closed(store) => which.of(store).await,
        }
    }

    pub(super) async fn journal(&self, which: listing::Journal) -> Result<Listing<JournalEntry>> {
        match self {
            Self::Running(client) => client.call(which).await,
            Self::Closed(store) => which.of(store).await,
        }
    }
}

/// The database of the till that `file` names: `file` itself, or what is set in it.
///
/// # Errors
/// There is no such file, it is neither a configuration nor a database, or the configuration has an error.
pub(super) fn store(file: &Path) -> Result<PathBuf> {
    let mut head = [0; 16];
    let data = std::fs::metadata(file).map_err(|error| Error::file(file, error))?;
    let is_toml = is_toml(file);
    if data.is_dir() {
        return Err(Error::new(Kind::Input, "this is a folder").at(file.display()).hint(NAME));
    }
    if !data.is_file() {
        return Err(Error::new(Kind::Input, "this is a device or a pipe").at(file.display()).hint(NAME));
    }
    if is_toml {
        return Ok(config(file)?.till.store);
    }
    let read = std::fs::File::open(file).and_then(|file| file.take(16).read(&mut head));
    let read = read.map_err(|error| Error::file(file, error))?;
    if head == *SQLITE {
        return Ok(file.to_owned());
    }
    let what = if read == 0 { "the file is empty" } else { "this is neither a till's database nor its configuration" };
    Err(Error::new(Kind::Input, what).at(file.display()).hint(NAME))
}

/// The configuration that `file` is; the defaults for a database.
///
/// # Errors
/// The configuration has an error.
pub(super) fn config(file: &Path) -> Result<Config> {
    if is_toml(file) { Config::check_file(file, devices::drivers())?.into_config() } else { Ok(Config::default()) }
}

fn is_toml(file: &Path) -> bool {
    file.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"))
}

const NAME: &str = "name the till's configuration or database, such as till.toml or till.db";
/// SQLite file format, section 1.3: the first 16 bytes.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";
