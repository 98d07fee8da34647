//! BER-TLV as ZVT uses it inside BMP 06 (PA00P015, chapter "TLV container"): tags of one to three
//! bytes, lengths of one to three bytes, big-endian.

/// How deep containers may lie in each other.
pub const MAX_DEPTH: usize = 8;

/// One tag with its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The tag as the manual writes it: `0x1f07`.
    pub tag: u32,
    /// Its value is a sequence of further tags.
    pub constructed: bool,
    /// What it holds.
    pub value: &'a [u8],
}

impl std::fmt::Debug for Tlv<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x} with {} bytes", self.tag, self.value.len())
    }
}

/// The tags of one level. Stops at the first that cannot be read; [`Tags::rest`] tells where.
#[derive(Clone)]
pub struct Tags<'a> {
    all: &'a [u8],
    at: usize,
}

/// Reads the tags of one level.
pub fn tags(bytes: &[u8]) -> Tags<'_> {
    Tags { all: bytes, at: 0 }
}

impl<'a> Tags<'a> {
    /// What has not been read, with its offset: all of it before the end, none if all was valid.
    pub fn rest(&self) -> Option<(usize, &'a [u8])> {
        (self.at < self.all.len()).then(|| (self.at, &self.all[self.at..]))
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tlv<'a>;
    fn next(&mut self) -> Option<Tlv<'a>> {
        let bytes = &self.all[self.at..];
        let (tag, tag_length) = read_tag(bytes)?;
        let (length, length_length) = read_length(&bytes[tag_length..])?;
        let start = tag_length + length_length;
        let value = bytes.get(start..start.checked_add(length)?)?;
        self.at += start + length;
        Some(Tlv { tag, constructed: bytes[0] & 0x20 != 0, value })
    }
}

/// The value of the first `tag` at any depth.
pub fn find(bytes: &[u8], tag: u32) -> Option<&[u8]> {
    find_within(bytes, tag, MAX_DEPTH)
}

fn find_within(bytes: &[u8], tag: u32, depth: usize) -> Option<&[u8]> {
    tags(bytes).find_map(|t| match t {
        t if t.tag == tag => Some(t.value),
        t if t.constructed && depth > 1 => find_within(t.value, tag, depth - 1),
        _ => None,
    })
}

fn read_tag(bytes: &[u8]) -> Option<(u32, usize)> {
    let first = *bytes.first()?;
    if first & 0x1f != 0x1f {
        return Some((u32::from(first), 1));
    }
    let second = *bytes.get(1)?;
    let two = u32::from(first) << 8 | u32::from(second);
    if second & 0x80 == 0 {
        return Some((two, 2));
    }
    let third = *bytes.get(2)?;
    (third & 0x80 == 0).then_some((two << 8 | u32::from(third), 3))
}

/// A BER length: up to 127 as it is, `81 n`, `82 hi lo`. Returns the length and how many bytes it took.
pub(super) fn read_length(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes {
        [n @ 0..=0x7f, ..] => Some((usize::from(*n), 1)),
        [0x81, n, ..] => Some((usize::from(*n), 2)),
        [0x82, hi, lo, ..] => Some((usize::from(u16::from_be_bytes([*hi, *lo])), 3)),
        _ => None,
    }
}

/// Appends a tag whose value `body` appends. Values beyond 65535 bytes are cut off.
pub fn encode(out: &mut Vec<u8>, tag: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let bytes = tag.to_be_bytes();
    let skip = bytes.iter().take(3).take_while(|b| **b == 0).count();
    out.extend(&bytes[skip..]);
    encode_value(out, body);
}

/// Appends BMP 06 with a container that `body` appends.
pub fn encode_container(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(0x06);
    encode_value(out, body);
}

fn encode_value(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    body(out);
    out.truncate(start + 0xffff);
    let length = out.len() - start;
    let [hi, lo] = (length as u16).to_be_bytes();
    match length {
        0..=0x7f => out.insert(start, lo),
        0x80..=0xff => {
            out.splice(start..start, [0x81, lo]);
        }
        _ => {
            out.splice(start..start, [0x82, hi, lo]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Field capture of a registration: permitted commands, 06 D3.
    const PERMITTED: [u8; 6] = [0x26, 0x04, 0x0a, 0x02, 0x06, 0xd3];

    #[test]
    fn reads_nested_tags() {
        let top: Vec<_> = tags(&PERMITTED).collect();
        assert_eq!(top, [Tlv { tag: 0x26, constructed: true, value: &PERMITTED[2..] }]);
        assert_eq!(find(&PERMITTED, 0x0a), Some(&[0x06, 0xd3][..]));
        assert_eq!(find(&PERMITTED, 0x0b), None);
        assert_eq!(find(&[0x1f, 0x07, 0x01, 0x02], 0x1f07), Some(&[2][..]));
    }

    #[test]
    fn a_truncated_value_is_the_rest() {
        let bytes = [0x1f, 0x07, 0x01, 0x02, 0x25, 0x82, 0x04, 0x55, 0x07];
        let mut tags = tags(&bytes);
        assert_eq!(tags.next().map(|t| t.tag), Some(0x1f07));
        assert_eq!(tags.next(), None);
        assert_eq!(tags.rest(), Some((4, &bytes[4..])));
        for wrong in [
            &[0x1f][..],
            &[0x1f, 0x87],
            &[0x25, 0x83, 0, 0, 1, 0],
            &[0x25, 0x80],
            &[0x25, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(super::tags(wrong).next(), None, "{wrong:02x?}");
        }
    }

    #[test]
    fn writes_each_length_form() {
        for (length, header) in
            [(0, vec![0]), (0x7f, vec![0x7f]), (0x80, vec![0x81, 0x80]), (0x455, vec![0x82, 4, 0x55])]
        {
            let mut out = Vec::new();
            encode(&mut out, 0x25, |o| o.extend(vec![7; length]));
            assert_eq!(out[1..=header.len()], header);
            assert_eq!(tags(&out).next().expect("a tag").value.len(), length);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let mut bytes = vec![0x0a, 0x00];
        for _ in 0..MAX_DEPTH {
            let inner = std::mem::take(&mut bytes);
            encode(&mut bytes, 0x25, |o| o.extend(inner));
        }
        assert_eq!(find(&bytes, 0x0a), None, "one too deep");
        assert_eq!(find(&bytes[2..], 0x0a), Some(&[][..]));
    }
}
