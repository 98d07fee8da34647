//! Whether a caller may make a call, before anything runs.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tresen::api::sale::CIRCUMSTANCES;
use tresen::api::{Call, Grants, Request, Right};
use tresen::{Event, EventKind, Source};
use tresen_hal::{Error, Kind, Result};

use crate::trust::Principal;
use crate::wire::KEY;

/// A call that is well-formed. Whether its caller has the rights is up to the till, which may have to look at its
/// database: [`Call::permit`].
#[derive(Debug)]
pub struct Checked {
    /// The request's number.
    pub id: u64,
    /// The command.
    pub call: Call,
    /// The leases that it depends on.
    pub leases: Vec<tresen::lease::Key>,
    /// Its key, if it has one.
    pub key: Option<Keyed>,
    /// The till recognises its key also after a restart.
    pub durable: bool,
}

/// The key of a call, and what tells its content from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// The key, as its caller chose it.
    pub key: String,
    /// SHA-256 of command and fields; of a durable call without [`CIRCUMSTANCES`].
    pub digest: [u8; 32],
}

/// Checks a request: the command and its fields exist, and it has a key if it changes something. A durable key that is
/// absent is `OWNER/KEY` from then on ([`Principal::owner`]).
///
/// # Errors
/// [`Kind::Unsupported`]: unknown command. [`Kind::Input`]: wrong fields, the key is missing or too long, or the request
/// names a caller.
pub fn check(principal: &Principal, request: Request) -> Result<Checked> {
    let Request { id, command, with, caller, leases, key } = request;
    if caller.is_some() {
        let error = Error::new(Kind::Input, "not a request: `caller` is not chosen by the caller over the network");
        return Err(error.hint(format!("calls of this connection are those of `{}`", principal.station())));
    }
    let mut call = Call::read(&command, with.clone())?;
    let digest = digest(&command, &if call.key_slot().is_some() { content(with) } else { with });
    match &key {
        None if call.info().changes => {
            let error = Error::new(Kind::Input, format!("`{command}` changes something and needs a `key`"));
            return Err(error.hint("choose a new one for each call, and repeat it to repeat the call"));
        }
        Some(key) if key.is_empty() || key.len() > KEY => {
            let what = format!("`key` has {} bytes; expected 1 to {KEY}", key.len());
            return Err(Error::new(Kind::Input, what));
        }
        _ => {}
    }
    let durable = match (call.key_slot(), &key) {
        (Some(slot), Some(key)) => {
            slot.get_or_insert_with(|| format!("{}/{key}", principal.owner()));
            true
        }
        _ => false,
    };
    // What neither changes anything nor waits is asked anew: its reply need not be kept.
    let key = key.filter(|_| call.info().changes || call.info().waits);
    Ok(Checked { id, call, leases, key: key.map(|key| Keyed { key, digest }), durable })
}

/// Checks that a durable key which the caller named is not one that another caller was given. Any other is free for callers
/// to agree on.
///
/// # Errors
/// [`Kind::Permission`]: it is.
pub fn owns(principal: &Principal, call: &mut Call) -> Result<()> {
    let command = call.info().name;
    let Some(Some(named)) = call.key_slot() else { return Ok(()) };
    if named.split_once('/').is_none_or(|(owner, _)| owner == principal.owner()) {
        return Ok(());
    }
    let error = Error::new(Kind::Permission, format!("`{command}`: the key `{named}` belongs to another caller"));
    Err(error.hint("leave it out, or choose one without a slash"))
}

/// Whether a caller may see an event: of the devices that it may watch, and scans only with the right to take them.
pub fn visible(grants: &Grants, event: &Event) -> bool {
    let device = match &event.source {
        Source::Device(device) => Some(device.name.as_str()),
        Source::Route(route) => Some(route.as_str()),
        _ => None,
    };
    let scan = matches!(event.kind, EventKind::Scanned(_) | EventKind::ScanLost(_));
    grants.allow(Right::Watch, device) && (!scan || grants.allow(Right::Scan, device))
}

/// What a call with a durable key says apart from its circumstances, as the till compares it under that key.
fn content(mut with: Value) -> Value {
    if let Some(fields) = with.as_object_mut() {
        fields.retain(|name, _| !CIRCUMSTANCES.contains(&name.as_str()));
    }
    with
}

/// What tells the content of a call from that of another: object keys are sorted in `Value`, so that their order does
/// not matter.
fn digest(command: &str, with: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((command.len() as u64).to_be_bytes());
    hash.update(command);
    hash.update(with.to_string());
    hash.finalize().into()
}
