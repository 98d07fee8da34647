//! How ESC/POS printers are recognised: `DLE EOT 1` requests the status, and prints nothing (Epson, "DLE EOT").

use tresen_hal::probe::{Heard, Probe as Recognise, Question, Sighting};

use super::wire;

/// Recognises printers that speak ESC/POS.
#[derive(Debug, Clone, Copy, Default)]
pub struct Probe;

impl Recognise for Probe {
    fn question(&self, _: &str) -> Question {
        let mut question = Vec::new();
        wire::realtime_status(1, &mut question);
        Question::new(question)
    }

    fn hear(&self, heard: &[u8]) -> Heard {
        match heard {
            [] => Heard::Part,
            // Bits 0 and 7 clear, bits 1 and 4 set; bit 3: offline.
            [status] if status & 0b1001_0011 == 0b0001_0010 => {
                let online = if status & 0b1000 == 0 { "online" } else { "offline" };
                let sighting = Sighting::certain(format!("it answers `DLE EOT 1` like an ESC/POS printer, {online}"));
                Heard::Answer { sighting, replies: Vec::new(), over: true }
            }
            _ => Heard::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_of_status_is_a_printer() {
        assert_eq!(Probe.question("printer").bytes, [0x10, 0x04, 0x01]);
        for (status, printer) in [(0x12, true), (0x1a, true), (0x16, true), (0x00, false), (0x80, false), (0x13, false)]
        {
            assert_eq!(matches!(Probe.hear(&[status]), Heard::Answer { .. }), printer, "{status:02x}");
        }
        assert_eq!(Probe.hear(&[0x12, 0x12, 0x12]), Heard::Other);
    }
}
