//! German texts.

use super::Texts;

pub(super) static TEXTS: Texts = Texts {
    mark: ',',
    receipt: "Beleg",
    subtotal: "Zwischensumme",
    tip: "Trinkgeld",
    total: "Summe",
    rate: "MwSt",
    net: "Netto",
    tax: "Steuer",
    gross: "Brutto",
    card: "Kartenzahlung",
    cash: "Bar",
    account: "Konto",
    given: "Gegeben",
    change: "Rückgeld",
    refunded: "Kartengutschrift",
    gives_back: "Erstattung zu",
    unsigned: "Sicherheitseinrichtung ausgefallen",
    copy: "KOPIE - eventuell schon gedruckt",
    copy_of: "KOPIE",
    terminal: "Terminal",
    kitchen: "Küche",
    date: "%d.%m.%Y %H:%M",
    order: "Bestellung",
    cancelled: "STORNO",
    sheet: |n, of| format!("Ausfertigung {n} von {of}"),
    instead_of: |on, meant_for| format!("Gedruckt auf {on} statt auf {meant_for}"),
};
