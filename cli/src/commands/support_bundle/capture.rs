//! Recordings in a bundle: when how much went in which direction, and nothing of the content but command codes.

use std::fmt::Write;
use std::path::Path;

/// How many of the last chunks are shown.
const LAST: usize = 200;
/// The longest recording that is read, in bytes.
const LONGEST: u64 = 64 << 20;

/// What a recording says of the traffic.
pub(super) fn summary(path: &Path) -> String {
    match std::fs::metadata(path) {
        Ok(data) if data.len() > LONGEST => return format!("{} bytes: too long to be read\n", data.len()),
        Ok(_) => {}
        Err(error) => return format!("cannot be read: {error}\n"),
    }
    match std::fs::read_to_string(path) {
        Ok(text) => of(&text),
        Err(error) => format!("cannot be read: {error}\n"),
    }
}

fn of(text: &str) -> String {
    let mut lines = text.lines();
    let Some(label) = lines.next().and_then(|line| line.strip_prefix("tresen-capture 1 ")) else {
        return "is not a recording\n".to_owned();
    };
    // Options, and with them passwords, come after a question mark.
    let label = label.split('?').next().unwrap_or_default();
    let is_terminal = label.starts_with("zvt");
    let is_printer = label.starts_with("escpos");
    let chunks: Vec<_> = lines.collect();
    let mut shown = format!("of {label}, {} lines", chunks.len());
    let skipped = chunks.len().saturating_sub(LAST);
    writeln!(shown, "{}", if skipped > 0 { format!(", the last {LAST}:") } else { ":".to_owned() }).ok();
    for chunk in &chunks[skipped..] {
        let mut parts = chunk.split(' ');
        let (at, direction, hex) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
        let (Some(at), Some(direction)) = (at.filter(|at| at.parse::<f64>().is_ok()), direction) else { continue };
        let length = hex.len() / 2;
        let what = match direction {
            ">" | "<" if is_terminal => code(hex).map_or(String::new(), |name| format!("  {name}")),
            // Real-time status: a byte, or four of automatic status.
            "<" if is_printer && length <= 4 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => format!("  {hex}"),
            ">" | "<" => String::new(),
            "!" => {
                writeln!(shown, "  {at} end").ok();
                continue;
            }
            _ => continue,
        };
        writeln!(shown, "  {at} {direction} {length} bytes{what}").ok();
    }
    shown
}

/// The name of the ZVT command that a chunk begins with (PA00P015, "List of commands"). Other bytes are not shown.
fn code(hex: &str) -> Option<&'static str> {
    Some(match hex.get(..4)? {
        "0401" => "04 01 display",
        "040d" => "04 0d timeout",
        "040f" => "04 0f status information",
        "04ff" => "04 ff intermediate status",
        "0501" => "05 01 status enquiry",
        "0600" => "06 00 registration",
        "0601" => "06 01 authorisation",
        "0602" => "06 02 log-off",
        "060f" => "06 0f completion",
        "061e" => "06 1e abort",
        "0620" => "06 20 repeat receipt",
        "0630" => "06 30 reversal",
        "0631" => "06 31 refund",
        "0650" => "06 50 end of day",
        "0670" => "06 70 diagnosis",
        "06b0" => "06 b0 abort",
        "06d1" => "06 d1 print line",
        "06d3" => "06 d3 print text block",
        "06e0" => "06 e0 display text",
        "8000" => "80 00 positive acknowledgement",
        other if other.starts_with("84") => "84 xx negative acknowledgement",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_told_by_lengths_and_commands() {
        let text = "tresen-capture 1 zvt+tcp://10.0.0.30:20007?password=739154\n0.000000 > 06000373915400\n\
            0.004211 < 800000\n0.100000 < 34313131\n9.120333 !\n";
        let shown = of(text);
        assert_eq!(
            shown,
            "of zvt+tcp://10.0.0.30:20007, 4 lines:\n  0.000000 > 7 bytes  06 00 registration\n  0.004211 < 3 bytes  \
             80 00 positive acknowledgement\n  0.100000 < 4 bytes\n  9.120333 end\n"
        );
        let shown = of("tresen-capture 1 escpos+tcp://10.0.0.20:9100\n0.1 > 4d617820\n0.2 < 12\nsecret line\n");
        assert_eq!(shown, "of escpos+tcp://10.0.0.20:9100, 3 lines:\n  0.1 > 4 bytes\n  0.2 < 1 bytes  12\n");
        assert_eq!(of("Max Mustermann\n"), "is not a recording\n");
    }
}
