//! The result codes in words, with what to do about them.

use tresen_hal::Language;

/// A result code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultCode {
    /// Its number.
    pub code: u8,
    english: &'static str,
    german: &'static str,
    /// What to do about it.
    pub advice: Option<Advice>,
}

impl ResultCode {
    /// It in words.
    pub fn text(&self, language: Language) -> &'static str {
        language.pick(self.english, self.german)
    }
}

/// What somebody at the counter can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each says it in words")]
pub enum Advice {
    OtherCard,
    ReadAgain,
    UseChip,
    CloseDay,
    Diagnosis,
    Initialise,
    Register,
    Wait,
    Network,
    Service,
    Operator,
    Settings,
    Amount,
    Currency,
    TakeCard,
    Paper,
    CheckReceipt,
    Again,
}

impl Advice {
    /// The advice as a sentence.
    pub fn text(self, language: Language) -> &'static str {
        let (english, german) = match self {
            Self::OtherCard => {
                ("Ask for another card or another way of paying.", "Andere Karte oder Zahlungsart wählen.")
            }
            Self::ReadAgain => ("Read the card again.", "Karte noch einmal lesen."),
            Self::UseChip => ("Insert the card into the chip reader.", "Karte in den Chipleser stecken."),
            Self::CloseDay => ("Close the terminal's day.", "Kassenschnitt am Terminal ausführen."),
            Self::Diagnosis => ("Run a diagnosis at the terminal.", "Diagnose am Terminal ausführen."),
            Self::Initialise => ("Initialise the terminal.", "Terminal initialisieren."),
            Self::Register => ("Log in to the terminal again.", "Neu am Terminal anmelden."),
            Self::Wait => ("Wait and try again.", "Warten und noch einmal versuchen."),
            Self::Network => ("Check the terminal's network connection.", "Netzverbindung des Terminals prüfen."),
            Self::Service => ("Call the service of the terminal's supplier.", "Service des Terminallieferanten rufen."),
            Self::Operator => ("Call the network operator.", "Netzbetreiber anrufen."),
            Self::Settings => {
                ("Check the settings of till and terminal.", "Einstellungen von Kasse und Terminal prüfen.")
            }
            Self::Amount => ("Check the amount.", "Betrag prüfen."),
            Self::Currency => ("Check the currency.", "Währung prüfen."),
            Self::TakeCard => ("Take the card out of the terminal.", "Karte aus dem Terminal nehmen."),
            Self::Paper => ("Check the printer's paper.", "Papier des Druckers prüfen."),
            Self::CheckReceipt => ("Check the receipt number.", "Belegnummer prüfen."),
            Self::Again => ("Try again.", "Noch einmal versuchen."),
        };
        language.pick(english, german)
    }
}

const fn row(code: u8, english: &'static str, german: &'static str, advice: Option<Advice>) -> ResultCode {
    ResultCode { code, english, german, advice }
}

/// The result codes of the terminal, by number. 01 to 63 are the network operator's own.
#[rustfmt::skip]
pub const RESULTS: &[ResultCode] = {
    use Advice::*;
    &[
        row(0x00, "no error", "kein Fehler", None),
        row(0x64, "the card cannot be read", "die Karte ist nicht lesbar", Some(ReadAgain)),
        row(0x65, "no card data: neither track nor chip found", "keine Kartendaten: weder Spur noch Chip gefunden", Some(ReadAgain)),
        row(0x66, "processing error", "Fehler bei der Verarbeitung", Some(Again)),
        row(0x67, "not allowed for debit cards", "für Debitkarten nicht zulässig", Some(OtherCard)),
        row(0x68, "not allowed for credit and fuel cards", "für Kredit- und Tankkarten nicht zulässig", Some(OtherCard)),
        row(0x6a, "the turnover storage is full, close the day first", "der Umsatzspeicher ist voll, erst den Tag abschließen", Some(CloseDay)),
        row(0x6b, "the terminal is not registered", "die Kasse ist am Terminal nicht angemeldet", Some(Register)),
        row(0x6c, "aborted by key or timeout", "abgebrochen durch Taste oder Zeitablauf", Some(Again)),
        row(0x6e, "the card is blocked", "die Karte ist gesperrt", Some(OtherCard)),
        row(0x6f, "wrong currency", "falsche Währung", Some(Currency)),
        row(0x71, "not enough credit on the card", "das Guthaben der Karte reicht nicht", Some(OtherCard)),
        row(0x72, "the card's chip is faulty", "der Chip der Karte ist fehlerhaft", Some(OtherCard)),
        row(0x73, "the card's data is wrong", "die Kartendaten sind fehlerhaft", Some(OtherCard)),
        row(0x74, "the terminal's key engine is exhausted", "die Schlüssel des Terminals sind verbraucht", Some(Service)),
        row(0x75, "the text is not authentic", "der Text ist nicht authentisch", Some(Settings)),
        row(0x76, "the card is not on the list of permitted cards", "die Karte steht nicht auf der Liste zulässiger Karten", Some(OtherCard)),
        row(0x77, "the day cannot be closed now", "der Kassenschnitt ist jetzt nicht möglich", Some(Wait)),
        row(0x78, "the card has expired", "die Karte ist abgelaufen", Some(OtherCard)),
        row(0x79, "the card is not valid yet", "die Karte ist noch nicht gültig", Some(OtherCard)),
        row(0x7a, "unknown card", "unbekannte Karte", Some(OtherCard)),
        row(0x7b, "the magnetic stripe may not be used instead of the chip", "statt des Chips darf der Magnetstreifen nicht benutzt werden", Some(UseChip)),
        row(0x7c, "the magnetic stripe may not be used instead of the chip", "statt des Chips darf der Magnetstreifen nicht benutzt werden", Some(UseChip)),
        row(0x7d, "the terminal's communication module does not answer", "das Kommunikationsmodul des Terminals antwortet nicht", Some(Service)),
        row(0x7e, "the magnetic stripe may not be used instead of the chip", "statt des Chips darf der Magnetstreifen nicht benutzt werden", Some(UseChip)),
        row(0x83, "the terminal cannot do this", "das Terminal kann das nicht", Some(Settings)),
        row(0x85, "a key is missing in the terminal", "im Terminal fehlt ein Schlüssel", Some(Service)),
        row(0x89, "the PIN pad is faulty", "das PIN-Pad ist defekt", Some(Service)),
        row(0x9a, "the terminal reports a protocol error", "das Terminal meldet einen Protokollfehler", Some(Settings)),
        row(0x9b, "the terminal could not reach the network operator", "das Terminal hat den Netzbetreiber nicht erreicht", Some(Network)),
        row(0x9c, "the terminal is busy", "das Terminal ist beschäftigt", Some(Wait)),
        row(0xa0, "the receiver is not ready", "der Empfänger ist nicht bereit", Some(Wait)),
        row(0xa1, "the remote station does not answer", "die Gegenstelle antwortet nicht", Some(Network)),
        row(0xa3, "no connection to the network operator", "keine Verbindung zum Netzbetreiber", Some(Network)),
        row(0xa4, "stored-value cards cannot be submitted", "Geldkarten-Umsätze können nicht eingereicht werden", Some(Operator)),
        row(0xa5, "not allowed by card security rules", "nach den Sicherheitsregeln für Karten nicht zulässig", Some(Operator)),
        row(0xb1, "the terminal's memory is full", "der Speicher des Terminals ist voll", Some(CloseDay)),
        row(0xb2, "the merchant journal is full", "das Händlerjournal ist voll", Some(CloseDay)),
        row(0xb4, "already reversed", "bereits storniert", Some(CheckReceipt)),
        row(0xb5, "a reversal is not possible", "ein Storno ist nicht möglich", Some(CheckReceipt)),
        row(0xb7, "the pre-authorisation does not fit, or the amount is too high", "die Reservierung passt nicht, oder der Betrag ist zu hoch", Some(Amount)),
        row(0xb8, "the pre-authorisation failed", "die Reservierung ist fehlgeschlagen", Some(CheckReceipt)),
        row(0xbf, "the power supply is too low", "die Versorgungsspannung ist zu niedrig", Some(Service)),
        row(0xc0, "the card lock is faulty", "die Kartenverriegelung ist defekt", Some(Service)),
        row(0xc1, "the merchant card is locked", "die Händlerkarte ist gesperrt", Some(Operator)),
        row(0xc2, "the terminal needs a diagnosis", "das Terminal braucht eine Diagnose", Some(Diagnosis)),
        row(0xc3, "the amount is above the maximum", "der Betrag übersteigt den Höchstbetrag", Some(Amount)),
        row(0xc4, "the card profile is invalid and must be loaded anew", "das Kartenprofil ist ungültig und muss neu geladen werden", Some(Initialise)),
        row(0xc5, "this way of paying is not supported", "diese Zahlungsart wird nicht unterstützt", Some(OtherCard)),
        row(0xc6, "this currency is not supported", "diese Währung wird nicht unterstützt", Some(Currency)),
        row(0xc8, "the amount is too small", "der Betrag ist zu klein", Some(Amount)),
        row(0xc9, "the maximum amount is too small", "der Höchstbetrag ist zu klein", Some(Amount)),
        row(0xcb, "only allowed in euro", "nur in Euro zulässig", Some(Currency)),
        row(0xcc, "the printer is not ready", "der Drucker ist nicht bereit", Some(Paper)),
        row(0xcd, "cashback is not possible", "Bargeldauszahlung ist nicht möglich", None),
        row(0xd2, "not allowed for service cards", "für Servicekarten nicht zulässig", Some(OtherCard)),
        row(0xdc, "a card is in the terminal", "im Terminal steckt eine Karte", Some(TakeCard)),
        row(0xdd, "the card could not be ejected", "die Karte konnte nicht ausgeworfen werden", Some(TakeCard)),
        row(0xde, "the card could not be drawn in", "die Karte konnte nicht eingezogen werden", Some(ReadAgain)),
        row(0xdf, "the terminal is out of order", "das Terminal ist außer Betrieb", Some(Service)),
        row(0xe0, "remote maintenance is active", "die Fernwartung ist aktiv", Some(Wait)),
        row(0xe2, "the card reader is faulty", "der Kartenleser ist defekt", Some(Service)),
        row(0xe3, "the shutter is closed", "der Verschluss des Kartenlesers ist zu", Some(Service)),
        row(0xe4, "the terminal must be activated", "das Terminal muss aktiviert werden", Some(Operator)),
        row(0xe7, "a group of goods is unknown", "eine Warengruppe ist unbekannt", Some(Settings)),
        row(0xe8, "no table of goods is loaded", "es ist keine Warengruppentabelle geladen", Some(Initialise)),
        row(0xe9, "the restriction code is not permitted", "der Restriktionscode ist nicht zulässig", Some(OtherCard)),
        row(0xea, "the card code is not permitted", "der Kartencode ist nicht zulässig", Some(Diagnosis)),
        row(0xeb, "the PIN algorithm is unknown", "der PIN-Algorithmus ist unbekannt", Some(OtherCard)),
        row(0xec, "PIN processing is not possible", "die PIN-Verarbeitung ist nicht möglich", Some(Service)),
        row(0xed, "the PIN pad is faulty", "das PIN-Pad ist defekt", Some(Service)),
        row(0xf0, "a day's closing is still open", "ein Kassenschnitt ist noch offen", Some(CloseDay)),
        row(0xf1, "offline error of the debit scheme", "Offline-Fehler des Debitverfahrens", Some(Again)),
        row(0xf5, "the terminal must be personalised", "das Terminal muss personalisiert werden", Some(Service)),
        row(0xf6, "the terminal must be personalised", "das Terminal muss personalisiert werden", Some(Service)),
        row(0xfa, "offline transactions could not be submitted", "Offline-Umsätze konnten nicht eingereicht werden", Some(CloseDay)),
        row(0xfb, "the turnover data is faulty", "der Umsatzdatensatz ist fehlerhaft", Some(Service)),
        row(0xfc, "a part of the terminal is missing or faulty", "ein Gerät des Terminals fehlt oder ist defekt", Some(Service)),
        row(0xfd, "the baud rate is not supported", "die Baudrate wird nicht unterstützt", Some(Settings)),
        row(0xfe, "unknown register", "unbekanntes Register", Some(Settings)),
        row(0xff, "system error", "Systemfehler", Some(Service)),
    ]
};
