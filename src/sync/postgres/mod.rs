//! PostgreSQL 14 or later as the server.
//!
//! The till calls the functions of the schema `tresen`, each with one JSON argument, in one statement and thus one
//! transaction. Its role may call them and nothing else. `tresen server migrate URL` creates or updates the schema.
//!
//! Connections other than to this machine use TLS: the certificate must be signed by an authority in `ca` and name the
//! host. `sslmode=disable` in the URL does without, for a network that nobody else can enter. The password is never
//! logged.
//!
//! The server stores text without U+0000, which PostgreSQL cannot store; it is replaced by U+FFFD there.

mod connect;
mod failure;
mod schema;

use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use tresen_hal::{BoxFuture, Effect, Error, Kind, Result};

use super::upstream::{Balance, Booked, Booking, Hello, Pushed, Reserved, Table, Upstream, Welcome};
use crate::config::Server;
use crate::manager::lock;
use crate::store::{Hash, OutboxEntry};
use connect::Target;

pub use schema::{Sent, migrate, sent, sql};

/// A PostgreSQL server. Connects at the first call, and again after each error.
pub struct Postgres {
    target: Target,
    client: Mutex<Option<Arc<Client>>>,
    /// Held while connecting.
    connecting: tokio::sync::Mutex<()>,
}

impl Postgres {
    /// The server of a configuration; nothing is connected yet.
    ///
    /// # Errors
    /// [`Kind::Config`]: the URL or the authorities cannot be used.
    pub fn new(server: &Server) -> Result<Self> {
        let target = Target::new(server)?;
        Ok(Self { target, client: Mutex::default(), connecting: tokio::sync::Mutex::default() })
    }

    /// The connection. A failure to connect has no effect.
    async fn client(&self) -> Result<Arc<Client>> {
        let open = || lock(&self.client).clone().filter(|client| !client.is_closed());
        if let Some(client) = open() {
            return Ok(client);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(client) = open() {
            return Ok(client);
        }
        let client = self.target.connect().await?;
        schema::check(&client, &self.target).await?;
        let client = Arc::new(client);
        *lock(&self.client) = Some(client.clone());
        Ok(client)
    }

    /// Calls a function of the schema.
    async fn call<T: DeserializeOwned>(&self, function: &str, argument: &impl Serialize) -> Result<T> {
        let mut argument = serde_json::to_value(argument).map_err(|e| unreadable("cannot be sent").because(e))?;
        storable(&mut argument);
        let client = self.client().await?;
        // A caller who does not wait any longer leaves an answer behind that nobody reads.
        let mut connection = Connection { server: self, failed: true };
        let statement = format!("SELECT tresen.{function}($1::text::jsonb)::text");
        let answer = client.query_typed(&statement, &[(&argument.to_string(), Type::TEXT)]).await;
        let rows = answer.map_err(|error| failure::of_call(&error, &self.target))?;
        connection.failed = false;
        let text = rows.first().and_then(|row| row.try_get::<_, Option<String>>(0).ok()).flatten();
        serde_json::from_str(text.as_deref().unwrap_or("null")).map_err(|e| {
            // The function may be a vendor's own.
            unreadable(&format!("the answer of tresen.{function} cannot be read")).at(&self.target).because(e)
        })
    }
}

/// Drops the connection unless the call has succeeded.
struct Connection<'a> {
    server: &'a Postgres,
    failed: bool,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        if self.failed {
            *lock(&self.server.client) = None;
        }
    }
}

impl Upstream for Postgres {
    fn hello<'a>(&'a self, hello: &'a Hello) -> BoxFuture<'a, Result<Welcome>> {
        Box::pin(self.call("hello", hello))
    }

    fn hash_at<'a>(&'a self, till: &'a str, epoch: i64, seq: i64) -> BoxFuture<'a, Result<Option<Hash>>> {
        Box::pin(async move { self.call("hash_at", &json!({ "till": till, "epoch": epoch, "seq": seq })).await })
    }

    fn push<'a>(&'a self, till: &'a str, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Result<Pushed>> {
        Box::pin(async move {
            let entries: Vec<_> = entries.iter().map(entry).collect();
            self.call("push", &json!({ "till": till, "entries": entries })).await
        })
    }

    fn reference<'a>(&'a self, table: &'a str, known: Option<i64>) -> BoxFuture<'a, Result<Option<Table>>> {
        Box::pin(async move {
            let answer: Value = self.call("reference_rows", &json!({ "table": table, "known": known })).await?;
            if answer.get("missing").is_some() {
                let error = Error::new(Kind::Config, format!("the server has no reference table `{table}`"));
                return Err(error.at(&self.target).hint("insert its rows into tresen.reference"));
            }
            serde_json::from_value(answer).map_err(|e| unreadable("the reference table cannot be read").because(e))
        })
    }

    fn balances(&self) -> BoxFuture<'_, Result<Vec<Balance>>> {
        Box::pin(self.call("balances", &()))
    }

    fn reserve<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Reserved>> {
        Box::pin(self.call("reserve", booking))
    }

    fn decide<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.call("decide", booking))
    }

    fn book<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Booked>> {
        Box::pin(self.call("book", booking))
    }

    fn release<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.call::<Value>("release", booking).await.map(drop) })
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Postgres").field(&format_args!("{}", self.target)).finish()
    }
}

/// Checks a URL; `ca` whether authorities are configured.
pub(crate) fn check_url(url: &str, ca: bool) -> Result<()> {
    connect::parse(url, ca).map(drop)
}

/// An entry as the server's function takes it. A body that is not JSON goes as text: it must not stop the others.
fn entry(entry: &OutboxEntry) -> Value {
    let body = serde_json::from_str(&entry.body).unwrap_or_else(|_| Value::from(entry.body.as_str()));
    json!({
        "epoch": entry.epoch, "seq": entry.seq, "at": entry.at, "kind": entry.kind, "key": entry.key, "body": body,
        "station": entry.origin.station, "source": entry.origin.source, "operator": entry.origin.operator,
        "hash": entry.hash,
    })
}

/// Replaces the one character that PostgreSQL cannot store.
fn storable(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(values) => values.iter_mut().for_each(storable),
        Value::Object(fields) => {
            if fields.keys().any(|key| key.contains('\0')) {
                let renamed = std::mem::take(fields).into_iter();
                *fields = renamed.map(|(key, value)| (key.replace('\0', "\u{fffd}"), value)).collect();
            }
            fields.values_mut().for_each(storable);
        }
        _ => {}
    }
}

fn unreadable(what: &str) -> Error {
    Error::new(Kind::Protocol, what).with_effect(Effect::Unknown)
}
