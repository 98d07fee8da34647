//! What the simulated terminal says: its messages and its receipts.

use std::time::Duration;

use jiff::civil::DateTime;
use tresen_hal::Amount;

use super::super::bmp::{encode_bcd, encode_ll};
use super::super::commands::display;
use super::super::commands::enquiry::State;
use super::super::commands::print::{self, Slip};
use super::super::commands::registration::{Config, Registration};
use super::super::commands::{completion, encode_amount, encode_currency, encode_digits, intermediate as status};
use super::super::text::Charset;
use super::super::{tlv, wire};
use super::Profile;
use super::profile::Asks;
use super::{Kind, Transaction};
use crate::host::Length;

pub(super) fn done() -> Vec<u8> {
    let mut out = Vec::new();
    completion::completion(&mut out, |_| {});
    out
}

pub(super) fn abort(code: u8) -> Vec<u8> {
    let mut out = Vec::new();
    completion::abort(&mut out, code);
    out
}

pub(super) fn declined(code: u8) -> Vec<u8> {
    let mut out = Vec::new();
    wire::encode(&mut out, 0x04, 0x0f, |out| out.extend([0x27, code]));
    out
}

/// 06 E0 to the till.
pub(super) fn shown(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    display::show(&mut out, text, Duration::from_secs(5), Charset::default());
    out
}

pub(super) fn asked(asks: &Asks) -> Vec<u8> {
    let mut out = Vec::new();
    match asks {
        Asks::Digits { text, min, max } => {
            let length = Length::new((*min).into(), (*max).into());
            display::ask(&mut out, text, length, Duration::from_secs(30), Charset::default());
        }
        Asks::Input(text) => wire::encode(&mut out, 0x04, 0x0d, |out| {
            tlv::encode_container(out, |out| {
                tlv::encode(out, 0x24, |out| tlv::encode(out, 0x07, |out| out.extend(Charset::default().encode(text))));
            });
        }),
    }
    out
}

/// The completion of 06 E2 with what was entered.
pub(super) fn input(digits: &str) -> Vec<u8> {
    let mut out = Vec::new();
    completion::completion(&mut out, |out| out.extend(display::answer(digits.as_bytes())));
    out
}

pub(super) fn intermediate(code: u8) -> Vec<u8> {
    let mut out = Vec::new();
    status::encode(&mut out, code, None);
    out
}

pub(super) fn state(profile: &Profile, status: u8) -> Vec<u8> {
    let state = State { software: Some(profile.software.clone()), status: Some(status), ..State::default() };
    let mut out = Vec::new();
    completion::completion(&mut out, |out| state.encode(out));
    out
}

pub(super) fn registered(profile: &Profile, registration: &Registration) -> Vec<u8> {
    let mut out = Vec::new();
    completion::completion(&mut out, |out| {
        out.extend([0x19, 0x00, 0x29]);
        encode_digits(out, &profile.terminal_id, 4);
        if let Some(currency) = registration.currency {
            encode_currency(out, currency);
        }
        if let Some(charset) = registration.charset {
            tlv::encode_container(out, |out| tlv::encode(out, 0x14, |out| out.push(charset.code())));
        }
    });
    out
}

/// The BMPs of a 04 0F.
pub(super) fn result(
    profile: &Profile,
    transaction: &Transaction,
    original_trace: Option<u32>,
    time: Option<DateTime>,
) -> Vec<u8> {
    let mut out = vec![0x27, transaction.code];
    encode_amount(&mut out, transaction.amount);
    encode_currency(&mut out, transaction.amount.currency());
    out.push(0x0b);
    encode_bcd(&mut out, u64::from(transaction.trace), 3);
    if let Some(original) = original_trace {
        out.push(0x37);
        encode_bcd(&mut out, u64::from(original), 3);
    }
    if let Some(at) = time {
        out.push(0x0c);
        for part in [at.hour(), at.minute(), at.second()] {
            encode_bcd(&mut out, part.unsigned_abs().into(), 1);
        }
        out.push(0x0d);
        for part in [at.month(), at.day()] {
            encode_bcd(&mut out, part.unsigned_abs().into(), 1);
        }
    }
    out.push(0x29);
    encode_digits(&mut out, &profile.terminal_id, 4);
    out.push(0x87);
    encode_bcd(&mut out, u64::from(transaction.receipt), 2);
    encode_ll(&mut out, 0x22, &PAN);
    out.push(0x2a);
    let mut merchant = [b' '; 15];
    for (to, byte) in merchant.iter_mut().zip(Charset::Ascii.encode(&profile.merchant_id)) {
        *to = byte;
    }
    out.extend(merchant);
    out.push(0x3b);
    out.extend(format!("{:08}", transaction.trace).bytes().take(8));
    // 05 is girocard.
    out.extend([0x8a, 0x05]);
    encode_ll(&mut out, 0x8b, &[&Charset::default().encode(&profile.card_name)[..], &[0]].concat());
    out
}

/// The 04 0F of a card that was read.
pub(super) fn card(profile: &Profile) -> Vec<u8> {
    let mut out = Vec::new();
    wire::encode(&mut out, 0x04, 0x0f, |out| {
        out.extend([0x27, 0x00]);
        encode_ll(out, 0x22, &PAN);
        out.extend([0x8a, 0x05]);
        encode_ll(out, 0x8b, &[&Charset::default().encode(&profile.card_name)[..], &[0]].concat());
    });
    out
}

/// 67259000******0123: a made-up number, masked as terminals do.
const PAN: [u8; 9] = [0x67, 0x25, 0x90, 0x00, 0xee, 0xee, 0xee, 0x01, 0x23];

/// The 04 0F of a turnover; `amounts` is the data of its BMP 60, if it has one.
pub(super) fn totals(minor: i64, amounts: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::encode(&mut out, 0x04, 0x0f, |out| {
        out.extend([0x27, 0x00]);
        encode_amount(out, Amount::eur(minor));
        if !amounts.is_empty() {
            // LLLVAR: at most 99 bytes here.
            out.extend([0x60, 0xf0, 0xf0 | (amounts.len() / 10) as u8, 0xf0 | (amounts.len() % 10) as u8]);
            out.extend(amounts);
        }
    });
    out
}

/// The merchant's and the customer's slip of a transaction.
pub(super) fn receipts(
    profile: &Profile,
    registration: Option<&Registration>,
    transaction: &Transaction,
) -> Vec<Vec<u8>> {
    let lines = |slip| {
        let title = match transaction.kind {
            Kind::Payment => "Kartenzahlung",
            Kind::Reversal(_) => "Storno",
            Kind::Refund => "Gutschrift",
            Kind::Reservation => "Reservierung",
            Kind::Booking(_) => "Buchung einer Reservierung",
            Kind::Release(_) => "Storno einer Reservierung",
            Kind::Tip(_) => "Trinkgeld",
            Kind::TopUp => "Aufladung",
        };
        let whose = if slip == Slip::Merchant { "Händlerbeleg" } else { "Kundenbeleg" };
        vec![
            whose.to_owned(),
            title.to_owned(),
            profile.card_name.clone(),
            format!("Betrag {} {}", transaction.amount.number(','), transaction.amount.currency()),
            format!("Terminal {}", profile.terminal_id),
            format!("Beleg-Nr. {:04}  TA-Nr. {:06}", transaction.receipt, transaction.trace),
            if transaction.code == 0 { "Zahlung erfolgt" } else { "Vorgang nicht erfolgt" }.to_owned(),
        ]
    };
    [Slip::Merchant, Slip::Customer].into_iter().flat_map(|s| slip(registration, s, &lines(s))).collect()
}

pub(super) fn day_receipt(profile: &Profile, count: usize, minor: i64) -> Vec<String> {
    let total = Amount::eur(minor);
    vec![
        "Kassenschnitt".into(),
        format!("Terminal {}", profile.terminal_id),
        format!("Anzahl {count}"),
        format!("Gesamt {} {}", total.number(','), total.currency()),
    ]
}

/// A slip in the form that the till permits: one block, or line by line, or not at all.
pub(super) fn slip(registration: Option<&Registration>, slip: Slip, lines: &[String]) -> Vec<Vec<u8>> {
    let Some(registration) = registration else { return Vec::new() };
    let charset = registration.charset.unwrap_or_default();
    if registration.permits([0x06, 0xd3]) {
        let mut out = Vec::new();
        print::block(&mut out, slip, charset, lines);
        return vec![out];
    }
    if !registration.config.has(Config::PRINT_LINES) {
        return Vec::new();
    }
    let last = lines.len().saturating_sub(1);
    let line = |(at, text): (usize, &String)| {
        let mut out = Vec::new();
        print::line(&mut out, if at == last { 0x81 } else { 0x00 }, &charset.encode(text));
        out
    };
    lines.iter().enumerate().map(line).collect()
}
