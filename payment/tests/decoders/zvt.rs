//! Every decoder of ZVT's messages: none may panic, whatever the bytes. Shared with the fuzz target `zvt_messages`.

use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_payment::Language;
use tresen_payment::zvt::commands::completion::{Abort, Registered};
use tresen_payment::zvt::commands::display::{self, Prompt};
use tresen_payment::zvt::commands::enquiry::State;
use tresen_payment::zvt::commands::intermediate::Intermediate;
use tresen_payment::zvt::commands::print::{Block, Line};
use tresen_payment::zvt::commands::registration::Registration;
use tresen_payment::zvt::commands::status_info::StatusInfo;
use tresen_payment::zvt::commands::totals::SingleAmounts;
use tresen_payment::zvt::{Charset, Redactor, framing::Framing, tlv};

/// Reads the bytes as a stream of messages, each by every decoder, and masks them.
pub(crate) fn decode(bytes: &[u8]) {
    let mut framing = Framing::tcp();
    framing.feed(bytes);
    while let Ok(Some(apdu)) = framing.next_apdu() {
        decode_data(apdu.code(), apdu.data);
    }
    // However it is split, the masked stream has the length of the other.
    let mut redactor = Redactor::default();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut masked = redactor.feed(Direction::Received, first);
    masked.extend(redactor.feed(Direction::Received, second));
    masked.extend(redactor.finish(Direction::Received));
    assert_eq!(masked.len(), bytes.len());
}

fn decode_data(code: u16, data: &[u8]) {
    let info = StatusInfo::parse(data);
    for field in info.fields() {
        SingleAmounts::parse(field.data).iter().flat_map(SingleAmounts::cards).for_each(drop);
    }
    let _ = (info.minor(), info.currency(), info.masked_pan(), info.trace(), info.card_kind());
    let _ = (info.network_card_type(), info.aid(), info.entry(), info.cvm(), info.age());
    let _ = (info.at(jiff::civil::date(2026, 1, 1)), info.merchant_id(), info.authorisation());
    tlv::tags(data).for_each(drop);
    let _ = (State::parse(data), Registered::parse(data), Registration::parse(data));
    let charset = Charset::from_code(data.first().copied().unwrap_or_default()).unwrap_or_default();
    let _ = (info.text(charset), info.card_name(charset), Abort::parse(data).text(charset));
    let _ = Intermediate::parse(data).text(charset, Language::German);
    let _ = Line::parse(data).lines(charset);
    Block::parse(data).lines(charset).for_each(drop);
    let _ = (display::text(code, data, charset), Prompt::parse(code, data), display::entered(data));
}
