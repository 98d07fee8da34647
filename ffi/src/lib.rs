//! The C library of tresen: the commands of a till for any language that can call C.
//!
//! The functions, with their ownership, threads and errors, are those of `include/tresen.h`, which is made of this file;
//! `README.md` has a program, and how .NET and the JVM bind it. The commands are those of [`tresen::api`].

mod answer;
mod events;
mod handles;
#[cfg(feature = "remote")]
mod remote;
mod text;
mod till;

use std::ffi::{CString, c_char};
use std::time::Duration;

use serde_json::Value;

use answer::{Failure, answer, forget};
use handles::Object;
use till::Till;

/// A till, or a follower of its events. It stands for an object of the library and is no pointer: a handle that was
/// closed, or never existed, is refused with TRESEN_STATUS_INVALID, and none is given out twice. 0 is never one.
///
/// Every function may be called from any thread, and with the same handle from several at once.
pub type Handle = u64;

/// What a function answers. More about what is not TRESEN_STATUS_OK says tresen_last_error().
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// The till refused or failed. tresen_last_error() says what happened, whether it had an effect, and what to do.
    Failed = 1,
    /// An argument is wrong: a null pointer, a text that is not UTF-8 or not JSON, a handle that is closed or of the
    /// other kind. Nothing has happened.
    Invalid = 2,
    /// tresen_next_event() only: there was no event in time.
    Timeout = 3,
    /// tresen_next_event() only: there are no more events, because the till or the follower was closed.
    Ended = 4,
    /// A defect of the library. What the call has done is not known; the till of this handle takes no more calls and
    /// can only be closed.
    Panicked = 5,
}

/// The version of the library, such as "0.1.0". The text belongs to the library and lives as long as the program.
#[unsafe(no_mangle)]
pub extern "C" fn tresen_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Opens the till that the configuration file at `config` (a path in UTF-8) describes, with its devices and its
/// database, in this process. Devices that cannot be reached do not prevent it: they connect later.
///
/// `till` receives a handle, or 0. Close it with tresen_close(). Blocks until the database is open.
///
/// Fails if the file is wrong (the error names line, key and allowed values), if the database cannot be used, or if
/// another program has the till open.
///
/// # Safety
/// `config` is null or ends with a zero byte; `till` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tresen_open(config: *const c_char, till: *mut Handle) -> Status {
    answer(|| {
        let till = unsafe { text::out(till, "till", 0) }?;
        let config = unsafe { text::read(config, "config") }?;
        *till = handles::add(Object::Till(Till::open(config)?))?;
        Ok(Status::Ok)
    })
}

/// Connects to a till that runs elsewhere and serves the network: `url` is "wss://HOST:PORT". The same functions then
/// work on its handle, with these differences: the station is that of the identity or token, so that
/// tresen_on_behalf_of() is refused; rights may be missing; one follower at a time. A connection that is lost is made
/// again, and what was not answered is sent again under its key; a till that is away fails a call after 30 s.
///
/// `options` is JSON: {"identity":"FOLDER"} with a folder that `tresen join` has made; or {"token":"…"} with a token of
/// the till, and `url` "ws://127.0.0.1:PORT", at a till on this machine.
///
/// `till` receives a handle, or 0. Close it with tresen_close(). Blocks until the till has greeted, at most about 10 s.
///
/// # Safety
/// The texts are null or end with a zero byte; `till` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tresen_connect(url: *const c_char, options: *const c_char, till: *mut Handle) -> Status {
    answer(|| {
        let till = unsafe { text::out(till, "till", 0) }?;
        let url = unsafe { text::read(url, "url") }?;
        let options = unsafe { text::json(options, "options") }?;
        *till = handles::add(Object::Till(Till::connect(url, options)?))?;
        Ok(Status::Ok)
    })
}

/// Another handle of the same till for calls on behalf of a station, such as "handheld 7": its payments, print jobs,
/// sales and leases are recorded under that name. Close it with tresen_close(), or together with the till.
///
/// `other` receives the handle, or 0. Does not block.
///
/// # Safety
/// `station` is null or ends with a zero byte; `other` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tresen_on_behalf_of(till: Handle, station: *const c_char, other: *mut Handle) -> Status {
    answer(|| {
        let other = unsafe { text::out(other, "other", 0) }?;
        let station = unsafe { text::read(station, "station") }?;
        let made = handles::till(till)?.on_behalf_of(station)?;
        *other = handles::add(Object::Till(made))?;
        Ok(Status::Ok)
    })
}

/// Another handle of the same till for calls that are refused once a lease has ended. `leases` is a JSON list of their
/// keys: [{"target":{"device":{"class":"terminal","name":"bar"}},"token":17}]. Close it with tresen_close(), or together
/// with the till.
///
/// `other` receives the handle, or 0. Does not block.
///
/// # Safety
/// `leases` is null or ends with a zero byte; `other` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tresen_with_leases(till: Handle, leases: *const c_char, other: *mut Handle) -> Status {
    answer(|| {
        let other = unsafe { text::out(other, "other", 0) }?;
        let leases = unsafe { text::json(leases, "leases") }?;
        let leases = serde_json::from_value(leases)
            .map_err(|error| Failure::invalid(format!("`leases` is no list of leases' keys: {error}")))?;
        let made = handles::till(till)?.with_leases(leases);
        *other = handles::add(Object::Till(made))?;
        Ok(Status::Ok)
    })
}

/// Runs a command, and blocks until it is done: each ends by itself, in bounded time. `command` is its name, such as
/// "terminal.pay"; `with` its fields as JSON, null for none. Several commands may run at once, each on its own thread.
///
/// `key` is chosen by the caller, at most 128 bytes, and null for none. It makes repeating the call safe: the same key is
/// the same payment, the same print job; and it names the call to tresen_abort(). At a till in this process it stands in
/// for the key that the command itself takes ("key" of payments, "id" of print jobs), and a second call under a key that
/// is running is refused. At a till that runs elsewhere, such a call is joined; null makes a new key.
///
/// `reply` receives the reply as JSON, or null; the caller owns it and frees it with tresen_free(). A declined card and
/// an empty roll of paper are replies, not failures.
///
/// # Safety
/// The texts are null or end with a zero byte; `reply` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tresen_call(
    till: Handle,
    command: *const c_char,
    with: *const c_char,
    key: *const c_char,
    reply: *mut *mut c_char,
) -> Status {
    answer(|| {
        let reply = unsafe { text::out(reply, "reply", std::ptr::null_mut()) }?;
        let command = unsafe { text::read(command, "command") }?;
        let with = if with.is_null() { Value::Null } else { unsafe { text::json(with, "with") }? };
        let key = if key.is_null() { None } else { Some(unsafe { text::read(key, "key") }?) };
        *reply = text::give(&handles::till(till)?.call(command, with, key)?)?;
        Ok(Status::Ok)
    })
}

/// Asks the transaction that runs under `key` to abort, from any thread. It may still succeed: the reply of its own call
/// tells. `found` receives 1 if a call with that key is running, else 0; it may be null. A payment that waits for its
/// terminal or runs there under a key of its own is aborted with the command "terminal.abort" instead.
///
/// # Safety
/// `key` is null or ends with a zero byte; `found` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tresen_abort(till: Handle, key: *const c_char, found: *mut i32) -> Status {
    answer(|| {
        let key = unsafe { text::read(key, "key") }?;
        let running = handles::till(till)?.abort(key)?;
        if !found.is_null() {
            unsafe { found.write(i32::from(running)) };
        }
        Ok(Status::Ok)
    })
}

/// Follows the till's events from now on. `events` receives a handle for tresen_next_event(), or 0; close it with
/// tresen_close(), or together with the till. `snapshot` receives the state of all devices before the first event, as
/// JSON, or null; the caller frees it with tresen_free(). `snapshot` may be null.
///
/// A follower that falls a few hundred events behind loses the oldest: their "seq" then has a gap. At a till that
/// runs elsewhere, and after a lost connection, {"missed":{"from":…,"to":…}} comes in their place, if need be with the
/// "devices" as they are now.
///
/// # Safety
/// `events` and `snapshot` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tresen_follow(till: Handle, events: *mut Handle, snapshot: *mut *mut c_char) -> Status {
    answer(|| {
        let events = unsafe { text::out(events, "events", 0) }?;
        if !snapshot.is_null() {
            unsafe { snapshot.write(std::ptr::null_mut()) };
        }
        let (follower, devices) = handles::till(till)?.follow()?;
        *events = handles::add(Object::Events(follower))?;
        if !snapshot.is_null() {
            unsafe { snapshot.write(text::give(&devices)?) };
        }
        Ok(Status::Ok)
    })
}

/// Waits for the next event at most `within_ms` milliseconds; 0 takes only one that is there already, and a negative
/// time waits until there is one. Each event is given out once: threads that wait with the same handle share the events.
///
/// `event` receives the event as JSON, or null; the caller frees it with tresen_free().
///
/// Answers TRESEN_STATUS_TIMEOUT if there was none, TRESEN_STATUS_ENDED if there will be none. Closing the handle or the
/// till on another thread ends the wait.
///
/// # Safety
/// `event` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tresen_next_event(events: Handle, within_ms: i64, event: *mut *mut c_char) -> Status {
    answer(|| {
        let event = unsafe { text::out(event, "event", std::ptr::null_mut()) }?;
        let within = u64::try_from(within_ms).ok().map(Duration::from_millis);
        Ok(match handles::events(events)?.next(within)? {
            events::Next::Event(next) => {
                *event = text::give(&next)?;
                Status::Ok
            }
            events::Next::Late => Status::Timeout,
            events::Next::Ended => Status::Ended,
        })
    })
}

/// Closes a handle; it is refused from then on, here as well.
///
/// That of tresen_open(): closes the till, and with it all handles that were made of it. What runs is finished within
/// about `within_ms` milliseconds, or parked; jobs that wait stay in the database. Calls on other threads return; a device
/// that hangs takes 5 s more. That of tresen_connect(): closes the connection; the till goes on, with what it has begun.
/// Others: nothing else is closed, and `within_ms` is not used.
///
/// A till that is not closed before the program ends has lost nothing: it is opened again as after a loss of power.
#[unsafe(no_mangle)]
pub extern "C" fn tresen_close(handle: Handle, within_ms: u32) -> Status {
    answer(|| {
        match handles::remove(handle)? {
            Object::Till(till) => till.close(Duration::from_millis(within_ms.into()))?,
            Object::Events(events) => events.end(),
        }
        Ok(Status::Ok)
    })
}

/// The error of the last function that this thread has called, as JSON, or null if it did not fail:
/// {"kind":"config","effect":"none","retry":"never","device":null,"what":"…","hint":"…","causes":[],"message":"…"}.
/// "message" is the whole as a sentence, "effect" is "none", "partial" or "unknown", "hint" the next step.
///
/// The caller owns the text and frees it with tresen_free(). Neither of these two functions changes the error. Call it on
/// the thread of the failed call: a language that moves its own threads between those of the system has to stay on one.
#[unsafe(no_mangle)]
pub extern "C" fn tresen_last_error() -> *mut c_char {
    answer::last().map_or(std::ptr::null_mut(), CString::into_raw)
}

/// Frees a text that a function of this library has handed over. Null is allowed. A text must be freed once only, and by
/// this function only.
///
/// # Safety
/// `text` is null or comes from this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tresen_free(text: *mut c_char) {
    if !text.is_null() {
        forget(|| drop(unsafe { CString::from_raw(text) }));
    }
}

const VERSION: &std::ffi::CStr =
    match std::ffi::CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no zero byte"),
    };
