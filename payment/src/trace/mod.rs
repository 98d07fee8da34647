//! The dialogues of terminals in words, in English and German: `tresen trace`, and the traces of simulators.
//!
//! Every tracer masks card data by the redactor of its protocol before it reads a message, and whatever still looks like
//! a card number in a finished line.

mod nexo;
mod opi;
mod paytec;
mod zvt;
mod zvt_words;

pub use nexo::Nexo;
pub use opi::Opi;
pub use paytec::PayTec;
pub use zvt::Zvt;

use tresen_hal::Language;
use tresen_hal::trace::Told;

/// Masks runs of digits that may be a card number, whatever they are, in every line.
fn veiled(told: Told) -> Told {
    Told { title: veil(&told.title), details: told.details.iter().map(|line| veil(line)).collect() }
}

/// A line without runs of 13 or more digits, with separators between them or without.
fn veil(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    let mut masked = chars.clone();
    let mut run: Vec<usize> = Vec::new();
    for at in 0..=chars.len() {
        match chars.get(at) {
            Some(c) if c.is_ascii_digit() => run.push(at),
            Some(' ' | '-' | '.' | '/' | '_' | '\u{a0}') => {}
            _ => {
                if run.len() >= LEAST {
                    run.iter().for_each(|at| masked[*at] = '*');
                }
                run.clear();
            }
        }
    }
    masked.into_iter().collect()
}

/// `12 bytes of a message that is not complete`
fn incomplete(count: usize, language: Language) -> Vec<Told> {
    let told = language.pick("bytes of a message that is not complete", "Bytes einer unvollständigen Nachricht");
    if count == 0 { Vec::new() } else { vec![Told::new(format!("{count} {told}"))] }
}

/// `01 7f`, and no more than a line of it.
fn shown(bytes: &[u8]) -> String {
    let shown: Vec<_> = bytes.iter().take(48).map(|b| format!("{b:02X}")).collect();
    let more = if bytes.len() > 48 { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

/// Digits that a card number has at least.
const LEAST: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_of_digits_do_not_show() {
        assert_eq!(veil("a 4111 1111 1111 1111 b"), "a **** **** **** **** b");
        assert_eq!(veil("4111-1111-1111-1 and 12345"), "****-****-****-* and 12345");
        assert_eq!(veil("2026-01-02T07:59:01, 12.50 EUR"), "2026-01-02T07:59:01, 12.50 EUR");
    }
}
