//! English texts.

use super::Texts;

pub(super) static TEXTS: Texts = Texts {
    mark: '.',
    receipt: "Receipt",
    subtotal: "Subtotal",
    tip: "Tip",
    total: "Total",
    rate: "VAT",
    net: "Net",
    tax: "Tax",
    gross: "Gross",
    card: "Paid by card",
    cash: "Cash",
    account: "Account",
    given: "Given",
    change: "Change",
    refunded: "Refunded to card",
    gives_back: "Refund of",
    unsigned: "Fiscal device out of order",
    copy: "COPY - may have been printed before",
    copy_of: "COPY",
    terminal: "Terminal",
    kitchen: "Kitchen",
    date: "%Y-%m-%d %H:%M",
    order: "Order",
    cancelled: "CANCELLED",
    sheet: |n, of| format!("Copy {n} of {of}"),
    instead_of: |on, meant_for| format!("Printed on {on} instead of {meant_for}"),
};
