//! Texts of the caller, and texts for it.

use std::ffi::{CStr, CString, c_char};

use serde_json::Value;

use crate::answer::Failure;

/// The caller's text.
///
/// # Safety
/// `text` is null or ends with a zero byte, and stays as it is for the lifetime `'a`.
pub(crate) unsafe fn read<'a>(text: *const c_char, name: &str) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::invalid(format!("`{name}` is null")));
    }
    let text = unsafe { CStr::from_ptr(text) }.to_str();
    text.map_err(|error| Failure::invalid(format!("`{name}` is not UTF-8: {error}")))
}

/// The caller's JSON.
///
/// # Safety
/// As [`read`].
pub(crate) unsafe fn json(text: *const c_char, name: &str) -> Result<Value, Failure> {
    let text = unsafe { read(text, name) }?;
    serde_json::from_str(text).map_err(|error| Failure::invalid(format!("`{name}` is not JSON: {error}")))
}

/// The caller's place for a result, set to `none`.
///
/// # Safety
/// `place` is null or can be written during the lifetime `'a`.
pub(crate) unsafe fn out<'a, T>(place: *mut T, name: &str, none: T) -> Result<&'a mut T, Failure> {
    if place.is_null() {
        return Err(Failure::invalid(format!("`{name}` is null")));
    }
    unsafe { place.write(none) };
    Ok(unsafe { &mut *place })
}

/// JSON that the caller owns from now on. It contains no zero byte: JSON escapes it.
pub(crate) fn give(value: &Value) -> Result<*mut c_char, Failure> {
    let text = CString::new(value.to_string()).map_err(|_| Failure::panicked("a reply contains a zero byte"))?;
    Ok(text.into_raw())
}
