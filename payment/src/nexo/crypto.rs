//! What protects a message on its way: AES-256-CBC and HMAC-SHA256 with keys derived from a passphrase, as Adyen's
//! terminals speak it on the local network (Adyen, "Protect local communications", crypto version 1).
//!
//! | step | is |
//! |---|---|
//! | [`Key::derive`] | PBKDF2-HMAC-SHA1 of the passphrase, 4000 rounds: a key to sign, a key to encrypt, a start vector |
//! | [`Key::seal`] | signs the clear message, encrypts it; the start vector is combined with 16 random bytes |
//! | [`Key::open`] | decrypts, then checks the signature |
//!
//! The header that stands in clear beside a sealed message is not signed: compare it with the one inside.

use std::fmt;

use aes::Aes256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;
use tresen_hal::{Error, Kind, Result};

/// A key that till and terminal share. Deriving one takes milliseconds: keep it. `Debug` shows its name only.
#[derive(Clone)]
pub struct Key {
    identifier: String,
    version: u32,
    signing: [u8; 32],
    encryption: [u8; 32],
    start: [u8; 16],
}

/// An encrypted message and what is needed to open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// `NexoBlob`: the encrypted message, in base64.
    pub blob: String,
    /// How it was sealed.
    pub trailer: Trailer,
}

/// `SecurityTrailer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Trailer {
    /// Signature of the clear message, in base64.
    pub hmac: String,
    /// Which of the shared keys.
    pub key_identifier: String,
    /// Which version of that key.
    pub key_version: u32,
    /// 16 random bytes, in base64.
    pub nonce: String,
    /// How keys are derived and messages sealed: 1.
    pub adyen_crypto_version: u32,
}

/// Why a message was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unopened {
    /// It was sealed with another key, or another version of it.
    OtherKey,
    /// It was sealed in a way that is not known here.
    OtherCrypto,
    /// It is broken, or was not sealed with this key. The two are not told apart.
    Invalid,
}

impl Key {
    /// The key with this name and version, from its passphrase.
    ///
    /// # Errors
    /// [`Kind::Config`]: the passphrase is empty, or has characters outside of ASCII, which implementations encode
    /// in different ways.
    pub fn derive(identifier: impl Into<String>, version: u32, passphrase: &str) -> Result<Self> {
        if passphrase.is_empty() || !passphrase.is_ascii() {
            let what = "the passphrase of the terminal's key is empty or has characters other than ASCII";
            return Err(Error::new(Kind::Config, what).hint("set another passphrase at the terminal and here"));
        }
        let mut derived = [0; 80];
        pbkdf2::pbkdf2_hmac::<Sha1>(passphrase.as_bytes(), SALT, ROUNDS, &mut derived);
        let (mut signing, mut encryption, mut start) = ([0; 32], [0; 32], [0; 16]);
        signing.copy_from_slice(&derived[..32]);
        encryption.copy_from_slice(&derived[32..64]);
        start.copy_from_slice(&derived[64..]);
        Ok(Self { identifier: identifier.into(), version, signing, encryption, start })
    }

    /// Encrypts and signs a message. The nonce must be random, and another one for each message.
    pub fn seal(&self, clear: &[u8], nonce: [u8; 16]) -> Sealed {
        let start = self.start_with(&nonce);
        let blob =
            cbc::Encryptor::<Aes256>::new(&self.encryption.into(), &start.into()).encrypt_padded_vec::<Pkcs7>(clear);
        let trailer = Trailer {
            hmac: BASE64.encode(self.signer(clear).finalize().into_bytes()),
            key_identifier: self.identifier.clone(),
            key_version: self.version,
            nonce: BASE64.encode(nonce),
            adyen_crypto_version: CRYPTO,
        };
        Sealed { blob: BASE64.encode(blob), trailer }
    }

    /// Decrypts a message and checks its signature.
    ///
    /// # Errors
    /// It was sealed with something else, or is broken.
    pub fn open(&self, sealed: &Sealed) -> std::result::Result<Vec<u8>, Unopened> {
        let Sealed { blob, trailer } = sealed;
        if trailer.adyen_crypto_version != CRYPTO {
            return Err(Unopened::OtherCrypto);
        }
        if trailer.key_identifier != self.identifier || trailer.key_version != self.version {
            return Err(Unopened::OtherKey);
        }
        let bytes = |text: &str| BASE64.decode(text).map_err(|_| Unopened::Invalid);
        let nonce = <[u8; 16]>::try_from(bytes(&trailer.nonce)?).map_err(|_| Unopened::Invalid)?;
        let start = self.start_with(&nonce);
        let clear = cbc::Decryptor::<Aes256>::new(&self.encryption.into(), &start.into())
            .decrypt_padded_vec::<Pkcs7>(&bytes(blob)?)
            .map_err(|_| Unopened::Invalid)?;
        self.signer(&clear).verify_slice(&bytes(&trailer.hmac)?).map_err(|_| Unopened::Invalid)?;
        Ok(clear)
    }

    /// A key of the same name that opens nothing of this one: for simulators.
    pub(super) fn with_other_secret(&self) -> Self {
        let mut other = self.clone();
        other.encryption[0] ^= 1;
        other.signing[0] ^= 1;
        other
    }

    fn start_with(&self, nonce: &[u8; 16]) -> [u8; 16] {
        std::array::from_fn(|n| self.start[n] ^ nonce[n])
    }

    fn signer(&self, clear: &[u8]) -> Hmac<Sha256> {
        let mut signer = Hmac::<Sha256>::new_from_slice(&self.signing).expect("HMAC takes keys of any length");
        signer.update(clear);
        signer
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, version {})", self.identifier, self.version)
    }
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherKey => "the message is encrypted with another key or another version of the key",
            Self::OtherCrypto => "the message is encrypted in another way",
            Self::Invalid => "the message cannot be decrypted: the passphrases differ, or the message is broken",
        })
    }
}

/// Salt of the derivation.
const SALT: &[u8] = b"AdyenNexoV1Salt";
/// Rounds of the derivation.
const ROUNDS: u32 = 4000;
/// `AdyenCryptoVersion`.
const CRYPTO: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::derive("till", 1, "test123").expect("ASCII")
    }

    /// The beginnings of the three parts, as published for this passphrase.
    #[test]
    fn keys_are_derived_as_terminals_derive_them() {
        let key = key();
        assert_eq!(key.signing[..4], [0x8a, 0x13, 0xd5, 0xbd]);
        assert_eq!(key.encryption[..4], [0xe2, 0x49, 0xe5, 0x2f]);
        assert_eq!(key.start[..4], [0x2f, 0x38, 0x65, 0x6d]);
    }

    /// Sealed by Adyen's own library, `@adyen/api-library` 32.1.0, with a nonce that it drew.
    #[test]
    fn seals_as_the_vendors_library_does_and_opens_what_it_has_sealed() {
        let clear = r#"{"SaleToPOIRequest":{"MessageHeader":{"SaleID":"Käse 1","ServiceID":"0207111104"}}}"#;
        let nonce = "P+d2Y/NBOajef3jDpirEOg==";
        let sealed = Sealed {
            blob: concat!(
                "7CjGo58gXFjvyrPiTVke5iljjmd78mabszvG0Jqld3yUHO1UmCb1eREZ5Y/BB7ynWsDpVcXTw+Gljgt8whZv",
                "mkTnplTTSJ1upxja6sGnNVekWCab8hxcLpUlGNF2qtQ+"
            )
            .into(),
            trailer: Trailer {
                hmac: "M1+nTSE+glngJbiabF7m91Tqs6LjXyUNopEsHl1nV2g=".into(),
                key_identifier: "till".into(),
                key_version: 1,
                nonce: nonce.into(),
                adyen_crypto_version: 1,
            },
        };
        assert_eq!(key().open(&sealed).as_deref(), Ok(clear.as_bytes()));
        let nonce = BASE64.decode(nonce).expect("base64").try_into().expect("16 bytes");
        assert_eq!(key().seal(clear.as_bytes(), nonce), sealed);
    }

    #[test]
    fn a_message_of_another_key_or_with_one_bit_changed_is_not_opened() {
        let (key, nonce) = (key(), [7; 16]);
        let good = key.seal(b"{\"SaleToPOIRequest\":{}}", nonce);
        for other in [Key::derive("till", 2, "test123"), Key::derive("bar", 1, "test123")] {
            assert_eq!(other.expect("ASCII").open(&good), Err(Unopened::OtherKey));
        }
        assert_eq!(Key::derive("till", 1, "test124").expect("ASCII").open(&good), Err(Unopened::Invalid));
        let mut other = good.clone();
        other.trailer.adyen_crypto_version = 0;
        assert_eq!(key.open(&other), Err(Unopened::OtherCrypto));

        type Part = fn(&mut Sealed) -> &mut String;
        let parts: [(&str, Part); 3] = [
            ("blob", |sealed| &mut sealed.blob),
            ("hmac", |sealed| &mut sealed.trailer.hmac),
            ("nonce", |sealed| &mut sealed.trailer.nonce),
        ];
        for (name, part) in parts {
            let bytes = BASE64.decode(part(&mut good.clone())).expect("base64");
            for bit in 0..bytes.len() * 8 {
                let (mut changed, mut bytes) = (good.clone(), bytes.clone());
                bytes[bit / 8] ^= 1 << (bit % 8);
                *part(&mut changed) = BASE64.encode(bytes);
                assert_eq!(key.open(&changed), Err(Unopened::Invalid), "{name}, bit {bit}");
            }
            for wrong in ["", "====", "AAA", "ä", "AAAA"] {
                let mut changed = good.clone();
                *part(&mut changed) = wrong.into();
                assert_eq!(key.open(&changed), Err(Unopened::Invalid), "{name} {wrong:?}");
            }
        }
    }

    #[test]
    fn a_passphrase_that_others_might_encode_differently_is_refused_and_no_key_is_shown() {
        for wrong in ["", "pässwort", "пароль"] {
            assert_eq!(Key::derive("till", 1, wrong).expect_err(wrong).kind(), Kind::Config);
        }
        assert_eq!(format!("{:?}", key()), "Key(till, version 1)");
    }
}
