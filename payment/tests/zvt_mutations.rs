//! Captured messages, damaged in a few places: no decoder may panic.
//!
//! `TRESEN_INPUTS=10000000 cargo test --release --test zvt_mutations` tries as many; the seed makes each run the same.

#[path = "common/decoders.rs"]
mod decoders;

/// A generator of pseudo-random numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn captures() -> Vec<Vec<u8>> {
    let lines = include_str!("../testdata/zvt/captures.txt").lines().filter(|line| !line.starts_with('#'));
    let byte = |hex: &str, at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
    let message = |line: &str| {
        let hex = line.split_once(' ').expect("a number and hex digits").1;
        (0..hex.len()).step_by(2).map(|at| byte(hex, at)).collect()
    };
    lines.map(message).collect()
}

/// Bytes that mean something somewhere: lengths, ids of bitmaps and tags, classes.
const SPECIAL: [u8; 24] = [
    0x00, 0x01, 0x04, 0x05, 0x06, 0x07, 0x0f, 0x1f, 0x22, 0x24, 0x25, 0x27, 0x32, 0x60, 0x7f, 0x80, 0x81, 0x82, 0x83,
    0x84, 0xf0, 0xf9, 0xfe, 0xff,
];

fn damage(bytes: &mut Vec<u8>, others: &[Vec<u8>], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, SPECIAL[numbers.below(SPECIAL.len())]),
            2 => {
                let other = &others[numbers.below(others.len())];
                let (from, to) = (numbers.below(other.len()), numbers.below(other.len()));
                bytes.splice(at..at, other[from.min(to)..from.max(to)].iter().copied());
            }
            3 if !bytes.is_empty() => {
                let end = at + numbers.below(bytes.len() - at);
                bytes.drain(at..end);
            }
            4 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            5 if !bytes.is_empty() => bytes[at] = numbers.next() as u8,
            _ if !bytes.is_empty() => bytes[at] = SPECIAL[numbers.below(SPECIAL.len())],
            _ => {}
        }
    }
    bytes.truncate(4096);
}

#[test]
fn damaged_messages_panic_no_decoder() {
    let inputs: u64 = std::env::var("TRESEN_INPUTS").map_or(20_000, |count| count.parse().expect("a number"));
    let captures = captures();
    let mut numbers = Numbers(7);
    let mut bytes = Vec::new();
    for input in 0..inputs {
        // Now and then what was damaged before is damaged further.
        if input % 4 != 3 {
            bytes.clone_from(&captures[numbers.below(captures.len())]);
        }
        damage(&mut bytes, &captures, &mut numbers);
        decoders::decode(&bytes);
    }
    println!("{inputs} inputs");
}
