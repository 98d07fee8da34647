//! The checksum of a serial frame: CRC-16/KERMIT (polynomial 0x1021 reflected, 0x8408; initial value 0; no final XOR).

/// The checksum of `bytes`.
pub(super) fn crc(bytes: impl IntoIterator<Item = u8>) -> u16 {
    bytes.into_iter().fold(0, |crc, byte| (crc >> 8) ^ TABLE[usize::from((crc as u8) ^ byte)])
}

const TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut value, mut bit) = (at as u16, 0);
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0x8408 } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the catalogue of parametrised CRC algorithms (reveng), CRC-16/KERMIT.
    #[test]
    fn has_the_catalogues_check_value() {
        assert_eq!(crc(*b"123456789"), 0x2189);
        assert_eq!(crc([]), 0);
    }
}
