//! Renders bytes and receipts, without a dialogue.

use super::interpreter::{Interpreter, Step};
use super::{Sheet, Unsupported};
use crate::document::{Kick, Receipt};
use crate::escpos::wire;
use crate::printer::DrawerPin;
use crate::profile::Profile;

/// What a file of bytes prints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rendered {
    /// The sheets: the latest 1,000, and at most 32 m of them.
    pub sheets: Vec<Sheet>,
    /// How many earlier sheets were discarded.
    pub discarded: u64,
    /// Drawer pulses, including those in real time (`DLE DC4`); the first 1,000.
    pub kicks: Vec<Kick>,
    /// What was not printed as a real printer would print it: the first 1,000 entries.
    pub unsupported: Vec<Unsupported>,
    /// How many more entries there were.
    pub unlisted: u64,
}

impl Rendered {
    /// All sheets as one, up to 8 m.
    pub fn roll(&self) -> Sheet {
        roll(&self.sheets)
    }
}

/// Renders a stream of bytes.
///
/// The real-time command that clears the buffers (`DLE DC4` function 8) is listed and not executed: what it clears
/// depends on when it arrives.
pub fn render(bytes: &[u8], profile: &Profile) -> Rendered {
    let mut interpreter = Interpreter::new(profile.clone());
    let mut pulses = bytes.windows(5).enumerate().filter_map(|(at, w)| Some((at + w.len(), pulse(w)?))).peekable();
    let mut at = 0;
    while let Step::Done(count, _) = interpreter.step(&bytes[at..]) {
        at += count;
        // Executed wherever they occur, even inside the data of another command.
        while let Some((_, kick)) = pulses.next_if(|(end, _)| *end <= at) {
            interpreter.kick(kick.pin, kick.on_ms, kick.off_ms);
        }
    }
    pulses.for_each(|(_, kick)| interpreter.kick(kick.pin, kick.on_ms, kick.off_ms));
    interpreter.finish(&bytes[at..]);
    Rendered {
        discarded: interpreter.pile.discarded(),
        sheets: interpreter.pile.take(),
        kicks: interpreter.kicks,
        unlisted: interpreter.unsupported.unlisted(),
        unsupported: interpreter.unsupported.take(),
    }
}

/// Renders a receipt as a printer of this profile would print it.
pub fn preview(receipt: &Receipt, profile: &Profile) -> Rendered {
    render(&wire::encode(receipt, profile), profile)
}

pub(super) fn roll(sheets: &[Sheet]) -> Sheet {
    let width = sheets.first().map_or(0, |s| s.dots().width());
    sheets.iter().fold(Sheet::new(width), |mut roll, sheet| {
        roll.append(sheet);
        roll
    })
}

/// DLE DC4, function 1: a drawer pulse in real time, on and off for `t` × 100 ms each.
pub(super) fn pulse(command: &[u8]) -> Option<Kick> {
    let &[0x10, 0x14, 1, pin @ (0 | 1), t @ 1..=8] = command else { return None };
    let pin = if pin == 0 { DrawerPin::Two } else { DrawerPin::Five };
    let ms = 100 * u16::from(t);
    Some(Kick { pin, on_ms: ms, off_ms: ms })
}
