//! Converts the kernel's events to chunks: `struct input_event` of linux/input.h, and
//! <https://docs.kernel.org/input/event-codes.html> for `EV_SYN`.

/// Length of the kernel's `struct input_event`: two longs of time, then type, code and value.
pub(super) const KERNELS: usize = 2 * size_of::<libc::c_ulong>() + OURS;
/// Length of an event in a chunk: type, code and value.
const OURS: usize = 8;
/// `EV_SYN`, `SYN_REPORT`: the end of a packet.
const REPORT: [u8; OURS] = [0; OURS];
/// `EV_SYN`, `SYN_DROPPED`: events were lost.
const DROPPED: [u8; OURS] = [0, 0, 3, 0, 0, 0, 0, 0];
/// The most bytes to buffer, about sixty codes. On overflow all are dropped, as in the kernel.
const KEPT_MAX: usize = 8192 * OURS;

/// Events that have not been received yet.
#[derive(Debug, Default)]
pub(super) struct Packets(Vec<u8>);

impl Packets {
    /// Takes the result of one read(2): whole events in native byte order.
    pub(super) fn push(&mut self, read: &[u8]) {
        for event in read.chunks_exact(KERNELS) {
            let [.., t0, t1, c0, c1, v0, v1, v2, v3] = *event else { continue };
            if self.0.len() >= KEPT_MAX {
                self.0.clear();
                self.0.extend(DROPPED);
            }
            self.0.extend(u16::from_ne_bytes([t0, t1]).to_le_bytes());
            self.0.extend(u16::from_ne_bytes([c0, c1]).to_le_bytes());
            self.0.extend(i32::from_ne_bytes([v0, v1, v2, v3]).to_le_bytes());
        }
    }

    /// Appends the next complete packet to `into` and returns its length; `None` if there is none yet.
    pub(super) fn pop(&mut self, into: &mut Vec<u8>) -> Option<usize> {
        let end = self.0.chunks_exact(OURS).position(|event| event == REPORT)?;
        let length = (end + 1) * OURS;
        into.extend(self.0.drain(..length));
        Some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event as the kernel writes it, at some time.
    fn kernels(kind: u16, code: u16, value: i32) -> Vec<u8> {
        let time = [0x5a; KERNELS - OURS];
        [&time[..], &kind.to_ne_bytes(), &code.to_ne_bytes(), &value.to_ne_bytes()].concat()
    }

    fn popped(packets: &mut Packets) -> Option<Vec<u8>> {
        let mut chunk = Vec::new();
        let length = packets.pop(&mut chunk)?;
        assert_eq!(length, chunk.len());
        Some(chunk)
    }

    // linux/input-event-codes.h: EV_KEY 1, EV_MSC 4, MSC_SCAN 4, KEY_A 30. HID Usage Tables, page 7: `a` is 4.
    #[test]
    fn a_chunk_ends_with_the_report_wherever_the_reads_end() {
        let press = [
            kernels(4, 4, 0x0007_0004),
            kernels(1, 30, 1),
            kernels(0, 0, 0),
            kernels(1, 30, 0),
            kernels(0, 3, 0),
            kernels(0, 0, 0),
        ];
        for split in 0..=press.len() {
            let mut packets = Packets::default();
            packets.push(&press[..split].concat());
            let mut chunks: Vec<_> = std::iter::from_fn(|| popped(&mut packets)).collect();
            packets.push(&press[split..].concat());
            chunks.extend(std::iter::from_fn(|| popped(&mut packets)));
            let down = [4, 0, 4, 0, 4, 0, 7, 0, 1, 0, 30, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let lost = [1, 0, 30, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            assert_eq!(chunks, [down, lost], "split after {split}");
        }
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_said_to_be() {
        let mut packets = Packets::default();
        for _ in 0..2 * KEPT_MAX / OURS {
            packets.push(&[kernels(1, 30, 2), kernels(0, 0, 0)].concat());
            assert!(packets.0.len() <= KEPT_MAX);
        }
        let chunk = popped(&mut packets).expect("a packet");
        assert_eq!((&chunk[..OURS], &chunk[chunk.len() - OURS..]), (&DROPPED[..], &REPORT[..]));
        let rest: Vec<_> = std::iter::from_fn(|| popped(&mut packets)).collect();
        assert!(!rest.is_empty() && rest.iter().all(|chunk| chunk.len() == 2 * OURS));
    }

    proptest::proptest! {
        #[test]
        fn no_read_panics_and_packets_are_whole(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let mut packets = Packets::default();
            packets.push(&bytes);
            while let Some(chunk) = popped(&mut packets) {
                proptest::prop_assert_eq!(chunk.len() % OURS, 0);
                proptest::prop_assert!(chunk.ends_with(&REPORT));
            }
        }
    }
}
