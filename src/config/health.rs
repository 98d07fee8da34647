//! The section `[health]`: when alerts are raised.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Fault, Path};
use super::read::Reader;
use super::values::quoted;

const KEYS: [&str; 3] = ["disk-low", "clock-off", "look-every"];

impl Reader {
    pub(super) fn health(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(path, value, "`[health]`") else { return };
        for (key, value) in table {
            let path = path.key(key.get_ref());
            let key = &**key.get_ref();
            if !KEYS.contains(&key) {
                self.fault(Fault::error(path, format!("unknown key; expected one of {}", quoted(&KEYS))));
                continue;
            }
            if key == "disk-low" {
                let Some(text) = self.text(&path, value) else { continue };
                let Some(bytes) = size(&text) else {
                    let what = format!("expected a size such as \"500 MB\"; found `{text}`");
                    self.fault(Fault::error(path, what));
                    continue;
                };
                self.config.health.disk_low = bytes;
                continue;
            }
            let Some(time) = self.duration(&path, value) else { continue };
            let limits = &mut self.config.health;
            match key {
                "clock-off" => limits.clock_off = time,
                _ if time < LEAST => self.fault(Fault::error(path, "expected at least 1s")),
                _ => limits.look_every = time,
            }
        }
    }
}

/// `500 MB`, `2 GiB`
fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit: u64 = match unit.trim() {
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Looking more often would only cost.
const LEAST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::Config;
    use crate::drivers::Drivers;

    #[test]
    fn limits_are_sizes_and_times_with_units() {
        let text = "[health]\ndisk-low = \"2 GiB\"\nclock-off = \"1h 30m\"\n";
        let config = Config::parse(text, "till.toml", &Drivers::standard()).expect("right");
        assert_eq!(config.health.disk_low, 2 << 30);
        assert_eq!(config.health.clock_off, Duration::from_secs(5400));
        assert_eq!(config.health.look_every, Duration::from_secs(60), "the default");
    }

    #[test]
    fn a_limit_without_a_unit_is_refused_at_its_line() {
        for (line, said) in [
            ("disk-low = \"500\"", "\"500 MB\""),
            ("disk-low = 500", "text in quotes"),
            ("clock-off = \"2 parsecs\"", "\"3m\""),
            ("clock-off = \"-2m\"", "\"3m\""),
            ("look-every = \"10ms\"", "at least 1s"),
            ("disk-high = \"1 GB\"", "`disk-low`"),
        ] {
            let text = format!("[health]\n{line}\n");
            let checked = Config::check_text(&text, "till.toml", &Drivers::standard());
            let [problem] = checked.problems.as_slice() else { panic!("{line}: {:?}", checked.problems) };
            assert_eq!(problem.line, Some(2), "{line}");
            assert!(problem.to_string().contains(said), "{problem}");
        }
    }
}
