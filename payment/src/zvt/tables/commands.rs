//! The commands by class and instruction.

/// Who sends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The till.
    Till,
    /// The terminal.
    Terminal,
    /// Either.
    Both,
}

/// The entry of [`COMMANDS`] with this code; any `84 xx` is a refusal.
pub fn command(code: u16) -> Option<&'static (u16, &'static str, Sender)> {
    let code = if code >> 8 == 0x84 && code != 0x8400 { 0x84ff } else { code };
    COMMANDS.binary_search_by_key(&code, |entry| entry.0).ok().map(|at| &COMMANDS[at])
}

/// Class and instruction, name, and who sends it: PA00P015 13.13, chapter 14. Some terminals send display commands, too.
#[rustfmt::skip]
pub const COMMANDS: &[(u16, &str, Sender)] = {
    use Sender::{Both, Terminal, Till};
    &[
        (0x0401, "set date and time", Terminal),
        (0x040c, "file data request", Terminal),
        (0x040d, "input request", Terminal),
        (0x040e, "menu request", Terminal),
        (0x040f, "status information", Terminal),
        (0x04ff, "intermediate status", Terminal),
        (0x0501, "status enquiry", Till),
        (0x0600, "registration", Till),
        (0x0601, "authorisation", Till),
        (0x0602, "log-off", Till),
        (0x0603, "account balance request", Till),
        (0x0604, "activate card", Till),
        (0x0605, "procurement", Till),
        (0x0609, "prepaid top-up", Till),
        (0x060a, "tax free", Till),
        (0x060c, "tip", Till),
        (0x060f, "completion", Terminal),
        (0x0610, "send turnover totals", Till),
        (0x0612, "print turnover receipts", Till),
        (0x0618, "reset terminal", Till),
        (0x061a, "print system configuration", Till),
        (0x061b, "set or reset terminal id", Till),
        (0x061e, "abort by the terminal", Terminal),
        (0x0620, "repeat receipt", Till),
        (0x0621, "telephonic authorisation", Till),
        (0x0622, "reservation", Till),
        (0x0623, "partial reversal of a reservation", Till),
        (0x0624, "book total", Till),
        (0x0625, "reversal of a reservation", Till),
        (0x0626, "reversal of an external transaction", Till),
        (0x0630, "reversal", Till),
        (0x0631, "refund", Till),
        (0x0650, "end of day", Till),
        (0x0651, "send offline transactions", Till),
        (0x0652, "partial reconciliation", Till),
        (0x0670, "diagnosis", Till),
        (0x0679, "self-test", Till),
        (0x0685, "display text, old form", Till),
        (0x0686, "display text with numeric input, old form", Till),
        (0x0687, "PIN verification, old form", Till),
        (0x0688, "display text with function key, old form", Till),
        (0x0691, "set date and time in the terminal", Till),
        (0x0693, "initialisation", Till),
        (0x0695, "change password", Till),
        (0x06b0, "abort", Till),
        (0x06c0, "read card", Till),
        (0x06c5, "close card session", Till),
        (0x06c6, "send card commands", Till),
        (0x06d0, "menu selection", Both),
        (0x06d1, "print line", Both),
        (0x06d3, "print text block", Both),
        (0x06d8, "dial up", Terminal),
        (0x06d9, "transmit data", Terminal),
        (0x06da, "receive data", Terminal),
        (0x06db, "hang up", Terminal),
        (0x06dd, "transparent mode", Terminal),
        (0x06e0, "display text", Both),
        (0x06e1, "display text with function key", Both),
        (0x06e2, "display text with numeric input", Both),
        (0x06e3, "PIN verification", Till),
        (0x06e4, "blocked-list query", Terminal),
        (0x06e5, "message authentication code", Till),
        (0x06e6, "card poll with authorisation", Till),
        (0x06e7, "display text with encrypted numeric input", Till),
        (0x06f0, "display image", Till),
        (0x06f1, "display image with function key", Till),
        (0x0801, "service mode", Till),
        (0x0802, "switch protocol", Till),
        (0x0803, "configure power management", Till),
        (0x0810, "software update", Till),
        (0x0811, "read file", Till),
        (0x0812, "delete file", Till),
        (0x0813, "change configuration", Till),
        (0x0814, "write file", Till),
        (0x0820, "start OPT action", Till),
        (0x0821, "set OPT time", Till),
        (0x0822, "start OPT pre-initialisation", Till),
        (0x0823, "output OPT data", Till),
        (0x0824, "OPT out of order", Till),
        (0x0830, "select language", Till),
        (0x0840, "change baud rate", Till),
        (0x0850, "activate card reader", Till),
        (0x8000, "positive acknowledgement", Both),
        (0x8400, "positive acknowledgement", Both),
        (0x84ff, "negative acknowledgement", Both),
    ]
};
