//! Times in addresses.

use std::time::Duration;

use tresen_hal::{Address, Result};

/// The option `name` in whole seconds, from `least` to 3600; `default` without it.
///
/// # Errors
/// [`tresen_hal::Kind::Address`] names the option.
pub(crate) fn seconds(address: &Address, name: &str, least: u64, default: Duration) -> Result<Duration> {
    match address.option(name).map(str::parse) {
        None => Ok(default),
        Some(Ok(seconds)) if (least..=3600).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err(address.refuse(name, format!("expected {least} to 3600 seconds"))),
    }
}

/// The same for several, each with its least value.
///
/// # Errors
/// As [`seconds`].
pub(crate) fn all<const N: usize>(address: &Address, times: [(&str, u64, &mut Duration); N]) -> Result<()> {
    for (name, least, value) in times {
        *value = seconds(address, name, least, *value)?;
    }
    Ok(())
}
