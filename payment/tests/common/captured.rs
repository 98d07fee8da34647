//! Recordings in memory.

use std::io::Write;
use std::sync::{Arc, Mutex};

/// Where a recording is written. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    /// What was recorded so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("whole").clone()).expect("text")
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The bytes of a capture, both directions one after the other.
pub(crate) fn bytes_of(capture: &str) -> String {
    let hex = |direction: &str| -> Vec<u8> {
        let lines = capture.lines().filter_map(|line| line.split_once(direction).map(|(_, hex)| hex.trim()));
        let digits: Vec<u8> = lines.flat_map(str::bytes).collect();
        digits.chunks_exact(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    format!("{} {}", String::from_utf8_lossy(&hex(" > ")), String::from_utf8_lossy(&hex(" < ")))
}
