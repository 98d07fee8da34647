//! How a simulated printer misbehaves.

use std::collections::VecDeque;
use std::time::Duration;

/// How a simulated printer misbehaves. May be changed at any time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// The paper ends after this many more lines (24 dots of an image are a line).
    pub paper_out_after_lines: Option<u32>,
    /// It closes the connection after this many bytes.
    pub hang_up_after_bytes: Option<usize>,
    /// It answers nothing and reports nothing.
    pub mute: bool,
    /// It does not return process ids.
    pub no_process_id: bool,
    /// It does not answer `GS r`.
    pub no_transmit_status: bool,
    /// It answers only `DLE EOT` 1 and 4, as cheap printers do.
    pub few_statuses: bool,
    /// It does not support Automatic Status Back.
    pub no_automatic_status: bool,
    /// It does not support `DLE DC4` function 8.
    pub no_clear: bool,
    /// It does not answer `GS I`.
    pub no_identity: bool,
    /// Its replies are delayed by this much.
    pub late: Duration,
    /// What happens to its next replies, one by one; `None` leaves a reply alone.
    pub mishaps: VecDeque<Option<Mishap>>,
    /// It serves another host: it accepts the connection, but neither reads nor replies.
    pub held: bool,
    /// A slow line in front of it, as behind a serial server or over Bluetooth.
    pub line: Option<Line>,
}

/// What happens to a reply of a simulated printer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mishap {
    /// It is late, and so is everything behind it.
    Late(Duration),
    /// It is late, and later replies overtake it.
    Overtaken(Duration),
    /// Its first byte is lost.
    FirstByteLost,
    /// It is lost.
    Lost,
    /// It is replaced by other bytes.
    Instead(Vec<u8>),
}

/// A slow line with a buffer, in front of a simulated printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Speed; 960 is a serial port at 9600 baud.
    pub bytes_per_second: u32,
    /// How many bytes the buffer takes from the host ahead of the line.
    pub buffer: usize,
}
