//! Whether a caller may make a call, before anything runs.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tresen::api::{self, Grants, Request, Right, Row};
use tresen::{Event, EventKind, Source};
use tresen_hal::{Error, Kind};

use crate::trust::{Audit, Principal};
use crate::wire::KEY;

/// A call that its caller may make.
#[derive(Debug)]
pub struct Checked {
    /// The request's number.
    pub id: u64,
    /// The command.
    pub row: &'static Row,
    /// The command's fields.
    pub with: Value,
    /// The leases that it depends on.
    pub leases: Vec<tresen::lease::Key>,
    /// Its key, if it has one.
    pub key: Option<Keyed>,
    /// What has to be recorded when it is done.
    pub audit: Option<Box<Audit>>,
}

/// The key of a call, and what tells its content from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// The key, as its caller chose it.
    pub key: String,
    /// SHA-256 of command and fields.
    pub digest: [u8; 32],
}

/// Why a call is refused, and what has to be recorded.
#[derive(Debug)]
pub struct Refusal {
    /// The answer.
    pub error: Error,
    /// The record of an attempt to do what the caller may not.
    pub audit: Option<Box<Audit>>,
}

impl From<Error> for Box<Refusal> {
    fn from(error: Error) -> Self {
        Box::new(Refusal { error, audit: None })
    }
}

impl Refusal {
    /// The caller lacks a right.
    pub fn right(
        principal: &Principal,
        address: &str,
        command: &str,
        right: Right,
        device: Option<&str>,
        key: Option<&str>,
    ) -> Box<Self> {
        let needed = device.map_or_else(|| right.to_string(), |device| format!("{right}:{device}"));
        let what = format!("`{}` may not `{command}`: it lacks the right `{needed}`", principal.name);
        let error = Error::new(Kind::Permission, what).hint("the till's owner grants rights when enrolling a caller");
        let audit = Audit {
            principal: Some(principal.name.clone()),
            address: address.to_owned(),
            action: command.to_owned(),
            device: device.map(str::to_owned),
            key: key.map(str::to_owned),
            refused: Some(format!("lacks the right `{needed}`")),
        };
        Box::new(Self { error, audit: Some(Box::new(audit)) })
    }
}

/// Checks a request: the command exists, has a key if it changes something, and its caller has the right.
///
/// # Errors
/// [`Kind::Unsupported`]: unknown command. [`Kind::Input`]: the key is missing or too long, or the request names a
/// caller. [`Kind::Permission`]: the caller lacks the right; this is to be recorded.
pub fn check(principal: &Principal, request: Request, address: &str) -> Result<Checked, Box<Refusal>> {
    let Request { id, command, with, caller, leases, key } = request;
    let row = api::row(&command)?;
    if caller.is_some() {
        let error = Error::new(Kind::Input, "not a request: `caller` is not chosen by the caller over the network");
        return Err(error.hint(format!("calls of this connection are those of `{}`", principal.station())).into());
    }
    let needs = needs(row, &with);
    let device = needs.device.as_deref();
    if let Some(right) = needs.right
        && !principal.grants.allow(right, device)
    {
        return Err(Refusal::right(principal, address, &command, right, device, key.as_deref()));
    }
    match &key {
        None if needs.changes => {
            let error = Error::new(Kind::Input, format!("`{command}` changes something and needs a `key`"));
            return Err(error.hint("choose a new one for each call, and repeat it to repeat the call").into());
        }
        Some(key) if key.is_empty() || key.len() > KEY => {
            let what = format!("`key` has {} bytes; expected 1 to {KEY}", key.len());
            return Err(Error::new(Kind::Input, what).into());
        }
        _ => {}
    }
    let audit = needs.right.filter(|right| right.is_privileged()).map(|_| {
        Box::new(Audit {
            principal: Some(principal.name.clone()),
            address: address.to_owned(),
            action: command.clone(),
            device: needs.device.clone(),
            key: key.clone(),
            refused: None,
        })
    });
    let key = key.map(|key| Keyed { digest: digest(&command, &with), key });
    Ok(Checked { id, row, with, leases, key, audit })
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

/// What tells the content of a call from that of another: object keys are sorted in `Value`, so that their order does
/// not matter.
fn digest(command: &str, with: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((command.len() as u64).to_be_bytes());
    hash.update(command);
    hash.update(with.to_string());
    hash.finalize().into()
}

struct Needs {
    right: Option<Right>,
    device: Option<String>,
    changes: bool,
}

/// What a command needs: everything, until commands say it themselves.
fn needs(_row: &Row, _with: &Value) -> Needs {
    Needs { right: Some(Right::Configure), device: None, changes: true }
}
