//! The objects that handles stand for. A number is given out once, so that no handle ever means another object.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Handle;
use crate::answer::Failure;
use crate::events::Follower;
use crate::till::Till;

/// What a handle stands for.
#[derive(Clone)]
pub(crate) enum Object {
    Till(Till),
    Events(Arc<Follower>),
}

#[derive(Default)]
struct Table {
    last: Handle,
    objects: BTreeMap<Handle, Object>,
}

/// A new handle.
pub(crate) fn add(object: Object) -> Result<Handle, Failure> {
    let mut table = table();
    // Its till may have been closed since the caller looked it up: then nothing would ever remove this one.
    if object.is_derived() && !table.objects.values().any(|other| other.owns(&object)) {
        return Err(unknown());
    }
    table.last += 1;
    let handle = table.last;
    table.objects.insert(handle, object);
    Ok(handle)
}

/// The till of a handle.
pub(crate) fn till(handle: Handle) -> Result<Till, Failure> {
    match table().objects.get(&handle) {
        Some(Object::Till(till)) => Ok(till.clone()),
        Some(Object::Events(_)) => Err(Failure::invalid("this is the handle of a follower; a till's is expected")),
        None => Err(unknown()),
    }
}

/// The follower of a handle.
pub(crate) fn events(handle: Handle) -> Result<Arc<Follower>, Failure> {
    match table().objects.get(&handle) {
        Some(Object::Events(events)) => Ok(events.clone()),
        Some(Object::Till(_)) => Err(Failure::invalid("this is the handle of a till; a follower's is expected")),
        None => Err(unknown()),
    }
}

/// Ends a handle. With that of a till end all that were made of it.
pub(crate) fn remove(handle: Handle) -> Result<Object, Failure> {
    let (object, derived) = {
        let mut table = table();
        let object = table.objects.remove(&handle).ok_or_else(unknown)?;
        let derived: Vec<_> = table.objects.extract_if(.., |_, other| object.owns(other)).collect();
        (object, derived)
    };
    for (_, object) in derived {
        if let Object::Events(events) = object {
            events.end();
        }
    }
    Ok(object)
}

impl Object {
    /// Whether it was made of another handle.
    fn is_derived(&self) -> bool {
        match self {
            Self::Till(till) => till.is_derived(),
            Self::Events(_) => true,
        }
    }

    /// Whether closing this one closes `other`.
    fn owns(&self, other: &Self) -> bool {
        let Self::Till(till) = self else { return false };
        !till.is_derived()
            && match other {
                Self::Till(other) => till.shares(other.core()),
                Self::Events(events) => till.shares(events.core()),
            }
    }
}

fn unknown() -> Failure {
    Failure::invalid("no such handle; was it closed?")
}

fn table() -> MutexGuard<'static, Table> {
    // It is never left half-changed: a panic within only comes from a failed allocation.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

static TABLE: Mutex<Table> = Mutex::new(Table { last: 0, objects: BTreeMap::new() });
