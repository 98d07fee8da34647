//! Random secrets, and what is made of them. They come from the system, never from a till's seeded runtime.

use hmac::{Hmac, KeyInit, Mac};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use tresen_hal::{Error, Kind, Result};

/// Random bytes fit for secrets.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let failed = |_| Error::new(Kind::Io, "the system has no random numbers");
    SystemRandom::new().fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// HMAC-SHA-256 over parts whose lengths are fixed.
pub(super) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    mac(key, parts).finalize().into_bytes().into()
}

/// Whether `proof` is [`hmac`] of the parts, in constant time.
pub(super) fn is_hmac(key: &[u8; 32], parts: &[&[u8]], proof: &[u8]) -> bool {
    mac(key, parts).verify_slice(proof).is_ok()
}

/// The key that a one-time code stands for: PBKDF2-HMAC-SHA-256, RFC 8018, section 5.2.
pub(super) fn key_of(code: &[u8], salt: &[u8]) -> [u8; 32] {
    pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(code, salt, ROUNDS)
}

/// Lowercase hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal text of exactly that length.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| (pair[at] as char).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(bytes)
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// How often the code is hashed: a recorded proof is not worth guessing within the code's ten minutes.
const ROUNDS: u32 = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, section 4.3 (test case 2, key and data shorter than the block).
    #[test]
    fn a_proof_is_hmac_sha_256_of_its_parts_in_order() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        // HMAC pads a short key with zeros, so that this key is that of the RFC.
        assert_eq!(hex(&hmac(&key, &[b"what do ya want ", b"for nothing?"])), expected);
        let proof: [u8; 32] = unhex(expected).expect("hex");
        assert!(is_hmac(&key, &[b"what do ya want for nothing?"], &proof));
        assert!(!is_hmac(&key, &[b"what do ya want for nothing!"], &proof));
        assert!(!is_hmac(&key, &[b"what do ya want for nothing?"], &proof[..31]));
        assert!(!is_hmac(&key, &[b"what do ya want for nothing?"], &[]));
    }

    #[test]
    fn hexadecimal_of_another_length_is_refused() {
        assert_eq!(unhex::<2>("0aFf"), Some([0x0a, 0xff]));
        assert!(["", "0a", "0aff0", "0aff00", "0äf"].iter().all(|text| unhex::<2>(text).is_none()));
    }
}
