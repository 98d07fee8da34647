//! How a simulated printer misbehaves.

use std::collections::VecDeque;
use std::time::Duration;

/// How a virtual printer misbehaves. Change it at any time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// The paper ends after so many more lines (24 dots of an image are a line).
    pub paper_out_after_lines: Option<u32>,
    /// The connection ends after so many bytes of it.
    pub hang_up_after_bytes: Option<usize>,
    /// It answers nothing and reports nothing.
    pub mute: bool,
    /// It does not return process ids.
    pub no_process_id: bool,
    /// It does not answer `GS r`.
    pub no_transmit_status: bool,
    /// It answers only the first and the fourth real-time status, as cheap ones do.
    pub few_statuses: bool,
    /// It does not report by itself.
    pub no_automatic_status: bool,
    /// It does not know `DLE DC4` function 8.
    pub no_clear: bool,
    /// It does not say who it is.
    pub no_identity: bool,
    /// Its answers come this much later.
    pub late: Duration,
    /// What happens to the next things that it says, one after the other; `None` is nothing.
    pub mishaps: VecDeque<Option<Mishap>>,
    /// It serves somebody else: it takes the connection, reads nothing and says nothing.
    pub held: bool,
    /// How it is reached: this many bytes a second, through a buffer before the printer, as behind a serial
    /// server or on Bluetooth.
    pub line: Option<Line>,
}

/// What happens to one thing that a virtual printer says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mishap {
    /// It comes later, and so does everything behind it.
    Late(Duration),
    /// It comes later, and what is said meanwhile overtakes it.
    Overtaken(Duration),
    /// Its first byte is lost.
    FirstByteLost,
    /// All of it is lost.
    Lost,
    /// Something else comes instead.
    Instead(Vec<u8>),
}

/// A slow line before a virtual printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// 960 is a serial port of 9600 baud.
    pub bytes_per_second: u32,
    /// Bytes that are taken from the host before they have passed the line.
    pub buffer: usize,
}
