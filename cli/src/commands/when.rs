//! Times on the command line.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tresen::{Clock, Error, Kind, Result, SystemClock};

/// A time as a person writes it: `2026-01-02T08:00:00Z`, `2026-01-02 08:00`, `2026-01-02`, or `90m` for 90 minutes ago.
pub(super) fn when(text: &str) -> Result<Timestamp> {
    at(text, SystemClock.wall(), TimeZone::system())
}

fn at(text: &str, now: Timestamp, zone: TimeZone) -> Result<Timestamp> {
    let wrong = || {
        let what = format!("`{text}` is not a time");
        Error::new(Kind::Input, what).hint("write 2026-01-02, \"2026-01-02 08:00\", or 90m for 90 minutes ago")
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(ago) = text.parse::<SignedDuration>() {
        return now.checked_sub(ago.abs()).map_err(|_| wrong());
    }
    let local = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(Date::into));
    local.and_then(|local| local.to_zoned(zone)).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

/// `3 h 12 min`, `40 s`, `250 ms`
pub(super) fn long(time: std::time::Duration) -> String {
    let (seconds, minutes) = (time.as_secs(), time.as_secs() / 60);
    match minutes {
        0 if seconds == 0 && time.as_millis() == 0 => format!("{} µs", time.as_micros()),
        0 if seconds == 0 => format!("{} ms", time.as_millis()),
        0 => format!("{seconds} s"),
        1..60 => format!("{minutes} min"),
        60..2880 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        let now: Timestamp = "2026-01-02T08:00:00Z".parse().expect("a time");
        let berlin = TimeZone::fixed(jiff::tz::offset(1));
        for (text, wanted) in [
            ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"),
            ("2026-01-01", "2025-12-31T23:00:00Z"),
            ("2026-01-01 12:30", "2026-01-01T11:30:00Z"),
            ("90m", "2026-01-02T06:30:00Z"),
            ("2h", "2026-01-02T06:00:00Z"),
        ] {
            let read = at(text, now, berlin.clone()).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(read.to_string(), wanted, "{text}");
        }
        let error = at("yesterday", now, berlin).expect_err("no time");
        assert!(error.to_string().contains("`yesterday`") && error.to_string().contains("90m"), "{error}");
    }
}
