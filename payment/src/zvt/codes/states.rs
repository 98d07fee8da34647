//! The intermediate status codes (04 FF) in words.

use tresen_hal::Language;

/// The code and that it is at the same time asked to take the card out: 41 to 5D say so of 01 to 1D, 66 and 67 of 26
/// and 27.
pub(super) fn with_card(code: u8) -> Option<u8> {
    match code {
        0x4a | 0x4b => None,
        0x41..=0x5d | 0x66 | 0x67 => Some(code - 0x40),
        _ => None,
    }
}

/// The words of a code of [`STATES`].
pub(super) fn state(code: u8, language: Language) -> Option<&'static str> {
    let at = STATES.binary_search_by_key(&code, |state| state.0).ok()?;
    Some(language.pick(STATES[at].1, STATES[at].2))
}

/// Code, English, German, by number. A code that only adds "take the card out" to another one is left out.
#[rustfmt::skip]
pub const STATES: &[(u8, &str, &str)] = &[
    (0x00, "waiting for the amount to be confirmed", "wartet auf die Bestätigung des Betrags"),
    (0x01, "please look at the PIN pad", "bitte die Anzeige des PIN-Pads beachten"),
    (0x02, "please look at the PIN pad", "bitte die Anzeige des PIN-Pads beachten"),
    (0x03, "not accepted", "Vorgang nicht möglich"),
    (0x04, "waiting for the network operator", "wartet auf den Netzbetreiber"),
    (0x05, "sending an automatic reversal", "sendet ein automatisches Storno"),
    (0x06, "sending stored bookings", "sendet gespeicherte Buchungen"),
    (0x07, "card not admitted", "Karte nicht zugelassen"),
    (0x08, "unknown card", "Karte unbekannt"),
    (0x09, "the card has expired", "Karte abgelaufen"),
    (0x0a, "insert the card", "Karte einstecken"),
    (0x0b, "remove the card", "Karte entnehmen"),
    (0x0c, "the card cannot be read", "Karte nicht lesbar"),
    (0x0d, "processing error", "Vorgang abgebrochen"),
    (0x0e, "please wait", "bitte warten"),
    (0x0f, "the terminal closes its day", "das Terminal führt den Kassenschnitt aus"),
    (0x10, "invalid card", "Karte ungültig"),
    (0x11, "showing the balance", "Anzeige des Guthabens"),
    (0x12, "system fault", "Systemfehler"),
    (0x13, "payment not possible", "Zahlung nicht möglich"),
    (0x14, "not enough credit", "Guthaben reicht nicht"),
    (0x15, "wrong PIN", "PIN falsch"),
    (0x16, "limit not sufficient", "Limit reicht nicht"),
    (0x17, "please wait", "bitte warten"),
    (0x18, "too many wrong PINs", "PIN zu oft falsch"),
    (0x19, "the card's data is wrong", "Kartendaten falsch"),
    (0x1a, "service mode", "Servicemodus"),
    (0x1b, "approved, please fill up", "genehmigt, bitte tanken"),
    (0x1c, "approved, please take the goods", "genehmigt, bitte Ware entnehmen"),
    (0x1d, "declined", "abgelehnt"),
    (0x26, "waiting for the mobile number", "wartet auf die Mobilfunknummer"),
    (0x27, "waiting for the mobile number again", "wartet auf die Wiederholung der Mobilfunknummer"),
    (0x28, "choosing the currency", "Auswahl der Währung"),
    (0x29, "choosing the language", "Auswahl der Sprache"),
    (0x2a, "insert the card to load it", "zum Laden Karte einstecken"),
    (0x2b, "emergency transaction", "Offline-Notbetrieb"),
    (0x2c, "choosing the application", "Auswahl der Anwendung"),
    (0x4a, "remove the card", "Karte entnehmen"),
    (0x4b, "remove the card", "Karte entnehmen"),
    (0x5e, "the contactless card was read", "die kontaktlose Karte wurde gelesen"),
    (0x68, "a customer card was inserted", "eine Kundenkarte wurde eingesteckt"),
    (0x69, "choose the currency of the card or of the shop", "Währung der Karte oder des Geschäfts wählen"),
    (0x6a, "a digit of the PIN was entered", "eine Ziffer der PIN wurde eingegeben"),
    (0x6b, "a digit of the PIN was entered; it can be confirmed", "eine Ziffer der PIN wurde eingegeben; sie kann bestätigt werden"),
    (0x6c, "the last digit of the PIN was deleted", "die letzte Ziffer der PIN wurde gelöscht"),
    (0x6d, "the PIN was entered", "die PIN wurde eingegeben"),
    (0xc7, "waiting for the mileage", "wartet auf den Kilometerstand"),
    (0xc8, "waiting for the cashier", "wartet auf den Kassierer"),
    (0xc9, "the terminal runs a diagnosis", "das Terminal führt eine Diagnose aus"),
    (0xca, "the terminal initialises itself", "das Terminal initialisiert sich"),
    (0xcb, "the merchant journal is full", "Händlerjournal voll"),
    (0xcc, "no direct debit, a PIN is needed", "Lastschrift nicht möglich, PIN nötig"),
    (0xd2, "dialling the network operator", "Verbindung zum Netzbetreiber wird hergestellt"),
    (0xd3, "connected to the network operator", "Verbindung zum Netzbetreiber besteht"),
    (0xe0, "waiting for the choice of the application", "wartet auf die Auswahl der Anwendung"),
    (0xe1, "waiting for the choice of the language", "wartet auf die Auswahl der Sprache"),
    (0xe2, "asks for the cleaning card", "verlangt die Reinigungskarte"),
    (0xf1, "offline", "offline"),
    (0xf2, "online", "online"),
    (0xf3, "offline transaction", "Offline-Transaktion"),
    (0xff, "working", "in Arbeit"),
];
