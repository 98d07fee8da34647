//! 06 00 registration and 06 02 log-off (PA00P015, chapters "Registration", "Log-Off").

use tresen_hal::Currency;

use super::super::text::Charset;
use super::super::{bmp, tlv, wire};
use super::{Password, currency};

/// Who does what: the configuration byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config(pub u8);

impl Config {
    /// The till prints payment receipts.
    pub const PAYMENT_RECEIPTS: u8 = 0x02;
    /// The till prints receipts of administrative functions.
    pub const ADMIN_RECEIPTS: u8 = 0x04;
    /// The terminal sends intermediate status (04 FF).
    pub const INTERMEDIATE_STATUS: u8 = 0x08;
    /// No amount entry at the terminal itself.
    pub const AMOUNT_LOCKED: u8 = 0x10;
    /// No administrative functions at the terminal itself.
    pub const ADMIN_LOCKED: u8 = 0x20;
    /// The terminal sends finished receipts (06 D1 or 06 D3); without it the till composes them.
    pub const PRINT_LINES: u8 = 0x80;

    /// Whether all of `bits` are set.
    pub fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }
}

/// `BE`: the till prints everything, from finished lines, and nothing is started at the terminal.
impl Default for Config {
    fn default() -> Self {
        Self(0xbe)
    }
}

/// What a till says when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The terminal's password.
    pub password: Password,
    /// Who does what.
    pub config: Config,
    /// The currency; needed for a service byte.
    pub currency: Option<Currency>,
    /// BMP 03: bit 0 the terminal's service menu must not be assigned to a key, bit 1 texts in capitals.
    pub service: Option<u8>,
    /// Tag 26: commands that the terminal may send. `None` leaves the TLV container out, and the
    /// terminal then sends none either.
    pub permitted: Option<Vec<[u8; 2]>>,
    /// Tag 14: the character set that the till asks for.
    pub charset: Option<Charset>,
}

impl Registration {
    /// Appends 06 00.
    pub fn encode(&self, out: &mut Vec<u8>) {
        wire::encode(out, 0x06, 0x00, |out| {
            out.extend(self.password.bytes());
            out.push(self.config.0);
            if let Some(currency) = self.currency {
                bmp::encode_bcd(out, u64::from(currency.number()), 2);
                if let Some(service) = self.service {
                    out.extend([0x03, service]);
                }
            }
            if self.permitted.is_none() && self.charset.is_none() {
                return;
            }
            tlv::encode_container(out, |out| {
                if let Some(charset) = self.charset {
                    tlv::encode(out, 0x14, |out| out.push(charset.code()));
                }
                if let Some(permitted) = &self.permitted {
                    tlv::encode(out, 0x26, |out| {
                        for command in permitted {
                            tlv::encode(out, 0x0a, |out| out.extend(command));
                        }
                    });
                }
            });
        });
    }

    /// Reads the data of 06 00. `None` if password or configuration byte are missing.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let password = Password::from_bytes(data)?;
        let config = Config(*data.get(3)?);
        let mut rest = &data[4..];
        let number = match rest {
            // A container without a currency before it: not foreseen, but it is sent.
            [0x06, length, ..] if usize::from(*length) + 2 == rest.len() => None,
            [a, b, ..] => {
                rest = &rest[2..];
                currency(&[*a, *b])
            }
            _ => None,
        };
        let mut new = Self { password, config, currency: number, service: None, permitted: None, charset: None };
        for field in bmp::fields(rest) {
            match field.id {
                0x03 => new.service = field.data.first().copied(),
                0x06 => {
                    let list = tlv::find(field.data, 0x26).unwrap_or_default();
                    let commands = tlv::tags(list).filter(|t| t.tag == 0x0a);
                    new.permitted = Some(commands.filter_map(|t| t.value.try_into().ok()).collect());
                    new.charset = tlv::find(field.data, 0x14).and_then(|v| Charset::from_code(*v.first()?));
                }
                _ => {}
            }
        }
        Some(new)
    }

    /// Whether the terminal may send `command`.
    pub fn permits(&self, command: [u8; 2]) -> bool {
        self.permitted.as_ref().is_some_and(|list| list.contains(&command))
    }
}

/// Appends 06 02, log-off: the terminal can be used by hand again.
pub fn log_off(out: &mut Vec<u8>) {
    wire::encode(out, 0x06, 0x02, |_| {});
}

#[cfg(test)]
mod tests {
    use super::*;

    // As captured in the field: `06 00 10 123456 BE 0978 03 01 06 06 26 04 0A 02 06 D3`.
    const CAPTURE: [u8; 19] = [
        0x06, 0x00, 0x10, 0x12, 0x34, 0x56, 0xbe, 0x09, 0x78, 0x03, 0x01, 0x06, 0x06, 0x26, 0x04, 0x0a, 0x02, 0x06,
        0xd3,
    ];

    fn captured() -> Registration {
        Registration {
            password: "123456".parse().expect("six digits"),
            config: Config(0xbe),
            currency: Some(Currency::EUR),
            service: Some(1),
            permitted: Some(vec![[0x06, 0xd3]]),
            charset: None,
        }
    }

    #[test]
    fn writes_and_reads_the_capture() {
        let mut out = Vec::new();
        captured().encode(&mut out);
        assert_eq!(out, CAPTURE);
        assert_eq!(Registration::parse(&CAPTURE[3..]), Some(captured()));
        assert!(captured().permits([0x06, 0xd3]));
    }

    #[test]
    fn reads_every_prefix_without_harm() {
        for end in 0..16 {
            let read = Registration::parse(&CAPTURE[3..3 + end]);
            assert_eq!(read.is_some(), end >= 4, "{end} bytes");
        }
    }

    #[test]
    fn reads_a_till_without_tlv_and_currency() {
        let bare = Registration::parse(&[0, 0, 0, 0x86]).expect("the least");
        assert_eq!((bare.currency, bare.permitted), (None, None));
        let only_tlv = Registration::parse(&[0, 0, 0, 0x86, 0x06, 0x03, 0x14, 0x01, 0xfe]).expect("a container");
        assert_eq!(only_tlv.charset, Some(Charset::Utf8));
    }
}
