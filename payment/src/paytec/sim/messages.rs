//! What the simulated terminal says: its messages and its receipts.

use jiff::civil::DateTime;
use serde_json::{Value, json};

use super::super::codes::receipt::{COPY, FIRST, MORE, TRANSACTION};
use super::super::codes::result;
use super::super::wire::{
    Activation, Connected, ErrorNotification, Figure, Message, Receipt, Report, Status, TransactionResponse,
};
use super::{Kind, Ledger, Profile, Simulator, State, Transaction};

pub(super) fn connected(sim: &Simulator) -> Message {
    Message::ConnectResponse(Connected {
        trm_id: Some(sim.profile.terminal_id.clone()),
        trm_lng: Some("de".into()),
        ifd_serial_num: Some("SIM00001".into()),
        software_version: Some(sim.profile.software),
        pe_seq_cnt: Some(sim.period),
        act_seq_cnt: Some(sim.shift),
    })
}

pub(super) fn status(bits: i64) -> Message {
    let e_sig_ind = Some(0);
    Message::StatusResponse(Status {
        trm_status: Some(bits),
        trm_lng: Some("de".into()),
        e_sig_ind,
        ..Status::default()
    })
}

pub(super) fn activated(sim: &Simulator) -> Message {
    let last = sim.ledger.entries().last().map_or(u32::from(sim.profile.numbers_from), |entry| entry.trace);
    Message::ActivationResponse(Activation {
        trm_id: Some(sim.profile.terminal_id.clone()),
        trm_type: Some(22),
        trm_lng: Some("de".into()),
        pe_seq_cnt: Some(sim.period),
        act_seq_cnt: Some(sim.shift),
        trx_seq_cnt: Some(last.into()),
        trx_functions: Some(sim.profile.functions),
        currencies: sim.profile.currencies.clone(),
        brands: vec![sim.profile.brand.clone()],
        mct_id: Some(sim.profile.merchant_id.clone()),
    })
}

pub(super) fn error(words: &str) -> Message {
    Message::ErrorNotification(ErrorNotification {
        error_code: Some(-1),
        error_source: Some("EFT".into()),
        error_description: Some(words.to_owned()),
    })
}

/// A transaction that was not approved.
pub(super) fn ended(profile: &Profile, trx_result: i64, extended: i64, number: Option<u32>) -> TransactionResponse {
    TransactionResponse {
        trx_result: Some(trx_result),
        trx_result_extended: Some(extended),
        trm_id: Some(profile.terminal_id.clone()),
        trx_seq_cnt: number.map(i64::from),
        attendant_text: (trx_result == result::DECLINED).then(|| format!("Abgelehnt {}", profile.card_number)),
        voice_phone: (trx_result == result::REFERRED).then(|| "0800 111 222".to_owned()),
        ..TransactionResponse::default()
    }
}

/// An approval.
pub(super) fn approved(
    profile: &Profile,
    ledger: &Ledger,
    entry: &Transaction,
    time: Option<DateTime>,
) -> TransactionResponse {
    let original = match entry.kind {
        Kind::Reversal(of) => Some(i64::from(ledger.entries()[of].trace)),
        _ => None,
    };
    TransactionResponse {
        trx_result: Some(result::APPROVED),
        trx_result_extended: Some(0),
        trm_id: Some(profile.terminal_id.clone()),
        trx_seq_cnt: Some(entry.trace.into()),
        trx_seq_cnt_ori: original,
        trx_ref_num: Some(number_at_acquirer(entry)),
        acq_id: Some(ACQUIRER.to_string()),
        amt_auth: Some(entry.amount.minor()),
        trx_curr_c: Some(entry.amount.currency().number().into()),
        trx_date: time.map(|at| at.strftime("%y%m%d").to_string()),
        trx_time: time.map(|at| at.strftime("%H%M%S").to_string()),
        auth_c: Some("A1B2C3".into()),
        brand: Some(profile.brand.clone()),
        app_pan_prt_attendant: Some(profile.card_number.clone()),
        app_pan_prt_cardholder: Some(profile.card_number.clone()),
        ..TransactionResponse::default()
    }
}

/// Every transaction's acquirer: `AcqID`.
pub(super) const ACQUIRER: i64 = 2;

/// A transaction's number there: `TrxRefNum`.
pub(super) fn number_at_acquirer(entry: &Transaction) -> String {
    format!("7{:08}", entry.trace)
}

/// The merchant's and the customer's receipt of a transaction.
pub(super) fn receipts(profile: &Profile, entry: &Transaction) -> Vec<Message> {
    [TRANSACTION, COPY]
        .into_iter()
        .flat_map(|kind| receipt(profile, kind, &receipt_text(profile, kind, entry)))
        .collect()
}

pub(super) fn receipt_text(profile: &Profile, kind: i64, entry: &Transaction) -> String {
    let title = match entry.kind {
        Kind::Payment => "Buchung",
        Kind::Reversal(_) => "Storno",
        Kind::Refund => "Gutschrift",
        Kind::Reservation => "Reservation",
        Kind::Booking(_) => "Buchung Reservation",
        Kind::Release(_) => "Annullation Reservation",
        Kind::Tip(_) => "Trinkgeld",
        Kind::TopUp => "Aufladung",
    };
    let whose = if kind == TRANSACTION { "Händler" } else { "Kunde" };
    let Profile { brand, card_number, terminal_id, .. } = profile;
    let (amount, number) = (entry.amount, entry.trace);
    format!(
        "{whose}\n{title}\n{brand}\n{card_number}\nTrm-Id: {terminal_id}\nTrx. Seq-Cnt: {number}\nTotal-EFT {}: {}\n",
        amount.currency(),
        amount.number('.'),
    )
}

/// A receipt, in parts if the terminal does so.
pub(super) fn receipt(profile: &Profile, kind: i64, text: &str) -> Vec<Message> {
    let part = |flags, text: &str| {
        let text = (!text.is_empty()).then(|| text.to_owned());
        Message::ReceiptResponse(Receipt { receipt_type: Some(kind), receipt_flags: Some(flags), receipt_text: text })
    };
    if !profile.splits_receipts {
        return vec![part(FIRST, text)];
    }
    // In the middle of a line.
    let half = (text.len() / 2..).find(|at| text.is_char_boundary(*at)).expect("the end is one");
    vec![part(FIRST | MORE, &text[..half]), part(0, &text[half..])]
}

/// The turnover, in parts if the terminal does so.
pub(super) fn report(profile: &Profile, ledger: &Ledger, kind: i64) -> Vec<Message> {
    let mut figures = Vec::new();
    for currency in &profile.currencies {
        let here = |entry: &&Transaction| i64::from(entry.amount.currency().number()) == *currency && !entry.closed;
        let stands = |wanted: fn(Kind) -> bool| {
            let entries = ledger.entries().iter().filter(here);
            // A payment that was reversed counts as a payment, and its reversal against it.
            let counts =
                entries.filter(|e| wanted(e.kind) && matches!(e.state, State::Stored | State::Reversed) && e.code == 0);
            counts.fold((0, 0), |(count, sum), entry| (count + 1, sum + entry.amount.minor()))
        };
        let kinds = [
            (0, stands(|kind| matches!(kind, Kind::Payment | Kind::Booking(_)))),
            (1, stands(|kind| kind == Kind::Refund)),
            (2, stands(|kind| matches!(kind, Kind::Reversal(_)))),
        ];
        figures.extend(kinds.into_iter().filter(|(_, (count, _))| *count > 0).map(|(counter, (count, sum))| Figure {
            brand: Some(profile.brand.clone()),
            financial_counter_type: Some(counter),
            trx_curr_c: Some(*currency),
            trx_count: Some(count),
            total_amount: Some(sum),
        }));
    }
    let part = |flags, financial_report| {
        Message::ReportResponse(Report { report_type: Some(kind), report_flags: Some(flags), financial_report })
    };
    if !profile.splits_receipts || figures.len() < 2 {
        return vec![part(0, figures)];
    }
    let rest = figures.split_off(1);
    vec![part(MORE, figures), part(0, rest)]
}

/// The line of a message, as this terminal writes it: with fields that no till knows.
pub(super) fn line(profile: &Profile, message: &Message) -> Vec<u8> {
    let mut value = serde_json::to_value(message).expect("messages have text keys only");
    if let Some(response) = value.get_mut("TransactionResponse").and_then(Value::as_object_mut) {
        response.insert("AppPAN".into(), json!(profile.card_number));
        response.insert("AuthReslt".into(), json!(0));
        response.insert("NewInThisVersion".into(), json!({ "Nested": [profile.card_number, null, 1.5] }));
    }
    if profile.numbers_as_text {
        as_text(&mut value);
    }
    let mut line = serde_json::to_vec(&value).expect("it is JSON");
    line.push(b'\n');
    line
}

fn as_text(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Array(values) => values.iter_mut().for_each(as_text),
        Value::Object(fields) => fields.values_mut().for_each(as_text),
        _ => {}
    }
}
