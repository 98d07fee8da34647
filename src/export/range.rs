//! Dates and times of a range.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use tresen_hal::{Error, Kind, Result};

/// The beginning of a date, or the time itself.
pub(super) fn start(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    read(text, zone, Ok)
}

/// The end of a date, or the time itself.
pub(super) fn end(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    read(text, zone, |date| date.tomorrow())
}

fn read(text: &str, zone: &TimeZone, day: impl Fn(Date) -> Result<Date, jiff::Error>) -> Result<Timestamp> {
    let wrong = || {
        let what = format!("`{text}` is not a date or time");
        Error::new(Kind::Input, what).hint("write 2026-01-02, 2026-01-02T14:00 or 2026-01-02T14:00:00Z")
    };
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    // A date without a time is also a time for jiff: midnight.
    let zoned = match text.contains([':', 'T', 't', ' ']) {
        true => text.parse::<DateTime>().and_then(|at| at.to_zoned(zone.clone())),
        false => text.parse::<Date>().and_then(day).and_then(|date| date.to_zoned(zone.clone())),
    };
    zoned.map(|at| at.timestamp()).map_err(|e| wrong().because(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The days of the clock change in Berlin have 23 and 25 hours.
    #[test]
    fn days_and_times_are_those_of_the_zone() {
        let berlin = TimeZone::get("Europe/Berlin").expect("a known zone");
        let from = |text: &str| start(text, &berlin).expect("a time").to_string();
        let to = |text: &str| end(text, &berlin).expect("a time").to_string();
        assert_eq!(
            (from("2026-01-02"), to("2026-01-02")),
            ("2026-01-01T23:00:00Z".into(), "2026-01-02T23:00:00Z".into())
        );
        assert_eq!(
            (from("2026-03-29"), to("2026-03-29")),
            ("2026-03-28T23:00:00Z".into(), "2026-03-29T22:00:00Z".into())
        );
        assert_eq!(
            (from("2026-10-25"), to("2026-10-25")),
            ("2026-10-24T22:00:00Z".into(), "2026-10-25T23:00:00Z".into())
        );
        assert_eq!(
            (from("2026-07-01T14:00"), to("2026-07-01 14:00")),
            ("2026-07-01T12:00:00Z".into(), "2026-07-01T12:00:00Z".into())
        );
        assert_eq!(from("2026-07-01T14:00:00Z"), "2026-07-01T14:00:00Z");
        assert_eq!(from("2026-07-01T14:00:00+05:00"), "2026-07-01T09:00:00Z");
        for wrong in ["", "yesterday", "2026-02-30", "02.01.2026", "2026-01-02T25:00"] {
            let error = start(wrong, &berlin).expect_err(wrong).to_string();
            assert!(error.contains(&format!("`{wrong}` is not a date or time")), "{error}");
        }
    }
}
