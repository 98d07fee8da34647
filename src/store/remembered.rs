//! What each device could do when it was last connected, for a till that starts while a device is away.

use std::collections::BTreeMap;

use super::cached::Cached;
use rusqlite::params;
use tresen_hal::Result;

use super::{Store, from_json, json};
use crate::class::{Class, DeviceId};
use crate::manager::DeviceCapabilities;

/// The table, part of the first migration.
pub(super) const SCHEMA: &str = "
    -- What each device could do when it was last connected; `device` such as terminals.counter.
    CREATE TABLE capabilities (
        device        TEXT PRIMARY KEY,
        at            TEXT NOT NULL,
        body          TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Capabilities as last told by a device.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) capabilities: DeviceCapabilities,
}

impl Store {
    /// Writes what a device can do.
    pub(crate) async fn remember(&self, device: &DeviceId, capabilities: &DeviceCapabilities) -> Result<()> {
        let (device, body, at) = (column(device), json(capabilities)?, self.now());
        self.write(move |db| {
            db.run(
                "INSERT INTO capabilities (device, at, body) VALUES (?1, ?2, ?3)
                 ON CONFLICT (device) DO UPDATE SET at = excluded.at, body = excluded.body",
                params![device, at, body],
            )?;
            Ok(())
        })
        .await
    }

    /// What the devices could do. What another version has written and this one cannot read is left out.
    pub(crate) async fn remembered(&self) -> Result<BTreeMap<DeviceId, Remembered>> {
        self.read(|db| {
            let mut all = db.prepare_cached("SELECT device, body FROM capabilities ORDER BY device")?;
            let mut rows = all.query([])?;
            let mut remembered = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let (device, body): (String, String) = (row.get(0)?, row.get(1)?);
                let known = device
                    .split_once('.')
                    .and_then(|(section, name)| Some(DeviceId::new(Class::of_section(section)?, name)));
                if let (Some(device), Ok(capabilities)) = (known, from_json(&body)) {
                    remembered.insert(device, Remembered { capabilities });
                }
            }
            Ok(remembered)
        })
        .await
    }
}

/// `terminals.counter`
fn column(device: &DeviceId) -> String {
    format!("{}.{}", device.class.section(), device.name)
}
