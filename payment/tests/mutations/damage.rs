//! Messages damaged in a few places, from a seed.

/// A generator of pseudo-random numbers (SplitMix64).
pub(crate) struct Numbers(u64);

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

/// Feeds a decoder with damaged messages: 20,000, or as many as `TRESEN_INPUTS` says. `special` are bytes that mean
/// something somewhere.
pub(crate) fn mutate(name: &str, messages: &[Vec<u8>], special: &[u8], decode: impl Fn(&[u8])) {
    let inputs: u64 = std::env::var("TRESEN_INPUTS").map_or(20_000, |count| count.parse().expect("a number"));
    assert!(messages.len() > 3, "{name}: there is something to damage");
    messages.iter().for_each(|message| decode(message));
    let mut numbers = Numbers(7);
    let mut bytes = Vec::new();
    for input in 0..inputs {
        // Now and then what was damaged before is damaged further.
        if input % 4 != 3 {
            bytes.clone_from(&messages[numbers.below(messages.len())]);
        }
        damage(&mut bytes, messages, special, &mut numbers);
        decode(&bytes);
    }
    println!("{name}: {inputs} inputs");
}

fn damage(bytes: &mut Vec<u8>, others: &[Vec<u8>], special: &[u8], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, special[numbers.below(special.len())]),
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
            _ if !bytes.is_empty() => bytes[at] = special[numbers.below(special.len())],
            _ => {}
        }
    }
    bytes.truncate(4096);
}

/// The lines of a file with a message each, without its comments.
pub(crate) fn lines(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}
