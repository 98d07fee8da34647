//! 06 0F completion and 06 1E abort (PA00P015, chapters of these names).

use tresen_hal::{Currency, Known};

use super::super::text::Charset;
use super::super::{bmp, tlv, wire};
use super::currency;

/// What the 06 0F after a registration says of the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registered {
    /// BMP 19, the status byte: bit 0 initialisation, bit 1 diagnosis, bit 2 end-of-day needed.
    pub status: Option<u8>,
    /// BMP 29.
    pub terminal_id: Option<String>,
    /// BMP 49.
    pub currency: Option<Currency>,
    /// The character set that the terminal echoed: tag 14, in some editions 27.
    pub charset: Option<Charset>,
    /// Tag 26: the commands that the terminal takes. A list without 06 01 is what the till permitted, said
    /// back, and none.
    pub commands: Option<Vec<[u8; 2]>>,
}

impl Registered {
    /// Whether the terminal takes this command, if it lists what it takes.
    pub fn takes(&self, command: [u8; 2]) -> Known {
        self.commands.as_ref().map_or(Known::Unknown, |all| all.contains(&command).into())
    }

    /// Reads the data of that completion.
    pub fn parse(data: &[u8]) -> Self {
        let mut new = Self::default();
        for field in bmp::fields(data) {
            match field.id {
                0x19 => new.status = field.data.first().copied(),
                0x29 => new.terminal_id = Some(bmp::Bcd(field.data).to_string()),
                0x49 => new.currency = currency(field.data),
                0x06 => {
                    let echoed = tlv::find(field.data, 0x14).or_else(|| tlv::find(field.data, 0x27));
                    new.charset = echoed.and_then(|v| Charset::from_code(*v.first()?));
                    let list = tlv::find(field.data, 0x26).unwrap_or_default();
                    let listed = tlv::tags(list).filter(|t| t.tag == 0x0a);
                    let commands: Vec<[u8; 2]> = listed.filter_map(|t| t.value.try_into().ok()).collect();
                    new.commands = Some(commands).filter(|all| all.contains(&[0x06, 0x01]));
                }
                _ => {}
            }
        }
        new
    }
}

/// Appends 06 0F with the data that `body` appends.
pub fn completion(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    wire::encode(out, 0x06, 0x0f, body);
}

/// What an abort of the terminal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort<'a> {
    /// The result code; `None` if it was empty.
    pub code: Option<u8>,
    text: Option<&'a [u8]>,
}

impl<'a> Abort<'a> {
    /// Reads the data of 06 1E: `code [BMPs]`.
    pub fn parse(data: &'a [u8]) -> Self {
        let rest = data.get(1..).unwrap_or_default();
        let container = bmp::fields(rest).find(|f| f.id == 0x06).map(|f| f.data);
        Self { code: data.first().copied(), text: container.and_then(|c| tlv::find(c, 0x1f17)) }
    }

    /// The terminal's own words (tag 1F17), if it sent any.
    pub fn text(&self, charset: Charset) -> Option<String> {
        self.text.map(|t| charset.shown(t)).filter(|t| !t.is_empty())
    }
}

/// Appends 06 1E with a result code.
pub fn abort(out: &mut Vec<u8>, code: u8) {
    wire::encode(out, 0x06, 0x1e, |out| out.push(code));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_registration_completes_with() {
        let data = [0x19, 0x02, 0x29, 0x60, 0, 0, 0x01, 0x49, 0x09, 0x78, 0x06, 0x03, 0x14, 0x01, 0xfe];
        let got = Registered::parse(&data);
        assert_eq!((got.status, got.terminal_id.as_deref()), (Some(2), Some("60000001")));
        assert_eq!((got.currency, got.charset), (Some(Currency::EUR), Some(Charset::Utf8)));
        let other = Registered::parse(&[0x06, 0x03, 0x27, 0x01, 0x0f]);
        assert_eq!(other.charset, Some(Charset::Iso8859(15)), "tag 27");
        assert_eq!(Registered::parse(&[]), Registered::default());
    }

    #[test]
    fn a_terminal_that_lists_its_commands_takes_no_others() {
        // 06 TLV: tag 26 with a tag 0A for each command; here 06 01, 06 30.
        let listed = Registered::parse(&[0x06, 0x0a, 0x26, 0x08, 0x0a, 0x02, 0x06, 0x01, 0x0a, 0x02, 0x06, 0x30]);
        assert_eq!((listed.takes([0x06, 0x30]), listed.takes([0x06, 0x31])), (Known::Yes, Known::No));
        // What the till permitted, said back.
        let echoed = Registered::parse(&[0x06, 0x06, 0x26, 0x04, 0x0a, 0x02, 0x06, 0xd3]);
        assert_eq!((echoed.takes([0x06, 0x31]), Registered::default().takes([0x06, 0x31])), Default::default());
    }

    #[test]
    fn reads_an_abort_and_its_text() {
        assert_eq!(Abort::parse(&[0x6c]).code, Some(0x6c));
        assert_eq!(Abort::parse(&[]).code, None);
        let words = [0xff, 0x06, 0x06, 0x1f, 0x17, 0x03, b'H', b'e', b'y'];
        assert_eq!(Abort::parse(&words).text(Charset::Cp437).as_deref(), Some("Hey"));
    }
}
