//! The server's schema: its SQL, migrations, and what each till sent.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Client;
use tresen_hal::{Error, Kind, Result, Retry};

use super::connect::Target;
use super::failure;
use crate::config::Server;

/// One file per step; never changed once released. The version is the number of steps applied.
const STEPS: [(&str, &str); 3] = [
    ("001_outbox", include_str!("schema/001_outbox.sql")),
    ("002_reference", include_str!("schema/002_reference.sql")),
    ("003_accounts", include_str!("schema/003_accounts.sql")),
];

/// The version of the schema that this library uses.
const VERSION: i32 = STEPS.len() as i32;

/// Everything that [`migrate`] runs on an empty database, for an administrator to read or to run with `psql`.
pub fn sql() -> String {
    let steps = (1..).zip(STEPS).map(|(version, (name, text))| format!("{text}\n{}\n", applied(version, name)));
    format!("BEGIN;\n\n{}COMMIT;\n", steps.collect::<String>())
}

/// Creates or updates the schema; returns the names of the steps applied. The role of the URL must be allowed to create
/// schemas and roles. Nothing is changed unless everything succeeds.
///
/// # Errors
/// [`Kind::Config`]: the schema is newer than this library. Otherwise the server cannot be reached or refuses it.
pub async fn migrate(server: &Server) -> Result<Vec<&'static str>> {
    let target = Target::new(server)?;
    let mut client = target.connect().await?;
    let failed = |error| failure::of_call(&error, &target);
    let change = client.transaction().await.map_err(failed)?;
    // One at a time; the number is "tresen" in ASCII.
    change.batch_execute("SELECT pg_advisory_xact_lock(x'74726573656e'::bigint)").await.map_err(failed)?;
    let there = change.query_one("SELECT to_regclass('tresen.schema_versions') IS NOT NULL", &[]).await;
    let version = match there.map_err(failed)?.get(0) {
        true => {
            let highest = "SELECT coalesce(max(version), 0) FROM tresen.schema_versions";
            change.query_one(highest, &[]).await.map_err(failed)?.get(0)
        }
        false => 0,
    };
    if version > VERSION {
        return Err(newer(version, &target));
    }
    let mut names = Vec::new();
    for (version, (name, text)) in (1..).zip(STEPS).skip(version as usize) {
        change.batch_execute(text).await.map_err(failed)?;
        change.batch_execute(&applied(version, name)).await.map_err(failed)?;
        names.push(name);
    }
    change.commit().await.map_err(failed)?;
    Ok(names)
}

/// What a till has sent, by epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Sent {
    /// The till's id.
    pub till: String,
    /// Its name.
    pub name: String,
    /// The epoch; `None` if it has sent nothing yet.
    pub epoch: Option<i64>,
    /// The last entry before the first gap.
    pub through: Option<i64>,
    /// The number of entries.
    pub entries: i64,
    /// Entries missing before the last one.
    pub missing: i64,
    /// Entries in quarantine.
    pub quarantined: i64,
    /// When the last entry was written.
    pub last_at: Option<Timestamp>,
    /// When the till was last heard.
    pub seen_at: Timestamp,
    /// How many seconds its clock was behind the server's then; negative if it was ahead.
    pub clock_behind: f64,
}

/// What each till has sent, by name: the view `tresen.tills`. The role of the URL must be allowed to read it.
///
/// # Errors
/// The server cannot be reached, or has no schema of this version.
pub async fn sent(server: &Server) -> Result<Vec<Sent>> {
    let target = Target::new(server)?;
    let client = target.connect().await?;
    check(&client, &target).await?;
    let view = "SELECT till, name, epoch, through, entries, missing, quarantined,
        (extract(epoch FROM last_at) * 1000)::bigint, (extract(epoch FROM seen_at) * 1000)::bigint,
        extract(epoch FROM clock_behind)::float8
        FROM tresen.tills ORDER BY name, till, epoch";
    let rows = client.query(view, &[]).await.map_err(|error| failure::of_call(&error, &target))?;
    let time = |millis: i64| Timestamp::from_millisecond(millis).unwrap_or_default();
    Ok(rows
        .iter()
        .map(|row| Sent {
            till: row.get(0),
            name: row.get(1),
            epoch: row.get(2),
            through: row.get(3),
            entries: row.get(4),
            missing: row.get(5),
            quarantined: row.get(6),
            last_at: row.get::<_, Option<i64>>(7).map(time),
            seen_at: time(row.get(8)),
            clock_behind: row.get(9),
        })
        .collect())
}

/// Checks that the server's schema is the one this library uses.
pub(super) async fn check(client: &Client, target: &Target) -> Result<()> {
    let version = client.query_one("SELECT tresen.schema_version()", &[]).await;
    let version: i32 = version.map_err(|error| failure::of_call(&error, target))?.get(0);
    if version > VERSION {
        return Err(newer(version, target));
    }
    if version < VERSION {
        let what = format!("the server's schema has version {version}, this tresen needs {VERSION}");
        let error = Error::new(Kind::Config, what).at(target).with_retry(Retry::AfterOperator);
        return Err(error.hint("run `tresen server migrate`"));
    }
    Ok(())
}

fn newer(version: i32, target: &Target) -> Error {
    let what = format!("the server's schema has version {version}, this tresen supports up to {VERSION}");
    Error::new(Kind::Config, what).at(target).with_retry(Retry::AfterOperator).hint("update tresen")
}

fn applied(version: i32, name: &str) -> String {
    format!("INSERT INTO tresen.schema_versions (version, name) VALUES ({version}, '{name}');")
}
