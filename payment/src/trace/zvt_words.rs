//! ZVT's commands, fields and tags by name: in English as in [`tables`], in German here.

use tresen_hal::Language;

use crate::zvt::tables;

/// A command by class and instruction; `None` if it is not known.
pub(super) fn command(code: u16, language: Language) -> Option<&'static str> {
    let english = tables::command(code).map(|(_, name, _)| *name);
    Some(language.pick(english?, named(COMMANDS, code).or(english)?))
}

/// A BMP by its id.
pub(super) fn field(id: u8, language: Language) -> &'static str {
    let english = tables::bmp(id).map_or("field", |entry| entry.name);
    language.pick(english, named(FIELDS, id).unwrap_or(english))
}

/// A tag of a TLV container.
pub(super) fn tag(tag: u32, language: Language) -> &'static str {
    let english = tables::tag(tag).map_or("tag", |entry| entry.name);
    language.pick(english, named(TAGS, tag).unwrap_or(english))
}

fn named<T: Copy + PartialEq>(names: &[(T, &'static str)], id: T) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}

const COMMANDS: &[(u16, &str)] = &[
    (0x0401, "Datum und Uhrzeit der Kasse setzen"),
    (0x040c, "Dateidaten anfordern"),
    (0x040d, "Eingabe anfordern"),
    (0x040e, "Menü anfordern"),
    (0x040f, "Statusinformation"),
    (0x04ff, "Zwischenstatus"),
    (0x0501, "Statusabfrage"),
    (0x0600, "Anmeldung"),
    (0x0601, "Autorisierung"),
    (0x0602, "Abmeldung"),
    (0x0603, "Kontostand abfragen"),
    (0x0604, "Karte aktivieren"),
    (0x0609, "Prepaid-Karte aufladen"),
    (0x060c, "Trinkgeld"),
    (0x060f, "Abschluss"),
    (0x0610, "Umsätze senden"),
    (0x0612, "Umsatzbelege drucken"),
    (0x0618, "Terminal zurücksetzen"),
    (0x061a, "Systemkonfiguration drucken"),
    (0x061b, "Terminal-ID setzen"),
    (0x061e, "Abbruch"),
    (0x0620, "Belegwiederholung"),
    (0x0621, "telefonische Autorisierung"),
    (0x0622, "Reservierung"),
    (0x0623, "Teilstorno einer Reservierung"),
    (0x0624, "Reservierung buchen"),
    (0x0625, "Storno einer Reservierung"),
    (0x0630, "Storno"),
    (0x0631, "Gutschrift"),
    (0x0650, "Kassenschnitt"),
    (0x0651, "Offline-Umsätze senden"),
    (0x0670, "Diagnose"),
    (0x0679, "Selbsttest"),
    (0x0691, "Datum und Uhrzeit des Terminals setzen"),
    (0x0693, "Initialisierung"),
    (0x0695, "Passwort ändern"),
    (0x06b0, "Abbruch durch die Kasse"),
    (0x06c0, "Karte lesen"),
    (0x06c5, "Kartensitzung beenden"),
    (0x06d0, "Menü mit Grafik"),
    (0x06d1, "Zeile drucken"),
    (0x06d3, "Textblock drucken"),
    (0x06e0, "Text anzeigen"),
    (0x06e1, "Text mit Funktionstasten anzeigen"),
    (0x06e2, "Text mit Zifferneingabe anzeigen"),
    (0x06e3, "PIN-Prüfung"),
    (0x0801, "Servicemodus aktivieren"),
    (0x0802, "Protokoll wechseln"),
    (0x0810, "Software-Update"),
    (0x0813, "Konfiguration ändern"),
    (0x0814, "Datei schreiben"),
    (0x0830, "Sprache wählen"),
];

const FIELDS: &[(u8, &str)] = &[
    (0x01, "Zeitlimit"),
    (0x02, "max. Statusinformationen"),
    (0x03, "Service-Byte"),
    (0x04, "Betrag"),
    (0x05, "Zapfsäule"),
    (0x06, "TLV-Container"),
    (0x0b, "Trace-Nummer"),
    (0x0c, "Uhrzeit"),
    (0x0d, "Datum"),
    (0x0e, "Verfallsdatum"),
    (0x17, "Kartenfolgenummer"),
    (0x19, "Status oder Zahlungsart"),
    (0x22, "Kartennummer"),
    (0x23, "Spur 2"),
    (0x24, "Spur 3"),
    (0x27, "Ergebnis"),
    (0x29, "Terminal-ID"),
    (0x2a, "VU-Nummer"),
    (0x2d, "Spur 1"),
    (0x2e, "Chipdaten"),
    (0x37, "ursprüngliche Trace-Nummer"),
    (0x3a, "Kartenprüfziffern"),
    (0x3b, "Autorisierungsmerkmal"),
    (0x3c, "Zusatztext"),
    (0x3d, "Passwort"),
    (0x49, "Währung"),
    (0x60, "Summen"),
    (0x87, "Belegnummer"),
    (0x88, "Umsatznummer"),
    (0x8a, "Kartentyp"),
    (0x8b, "Kartenname"),
    (0x8c, "Kartentyp des Netzbetreibers"),
    (0x9a, "GeldKarte-Satz"),
    (0xa0, "Ergebnis des Hosts"),
    (0xa7, "Chipdaten, EF_ID"),
    (0xaa, "Datum"),
    (0xba, "Autorisierungsparameter"),
    (0xf1, "Textzeile"),
    (0xf2, "Textzeile"),
    (0xf3, "Textzeile"),
    (0xf4, "Textzeile"),
    (0xf5, "Textzeile"),
    (0xf6, "Textzeile"),
    (0xf7, "Textzeile"),
    (0xf8, "Textzeile"),
];

const TAGS: &[(u32, &str)] = &[
    (0x07, "Textzeile"),
    (0x09, "Zeilenattribut"),
    (0x0a, "Kommando"),
    (0x12, "Zeilenzahl"),
    (0x14, "Zeichensatz"),
    (0x1a, "längste APDU"),
    (0x24, "Texte"),
    (0x25, "Belegtext"),
    (0x26, "erlaubte Kommandos"),
    (0x27, "unterstützte Zeichensätze"),
    (0x2d, "Hardware"),
    (0x40, "EMV-Konfiguration"),
    (0x41, "Kartentyp"),
    (0x43, "Anwendungs-ID"),
    (0x44, "Zusatzdaten"),
    (0x46, "EMV-Druckdaten, Kunde"),
    (0x47, "EMV-Druckdaten, Händler"),
    (0x60, "Anwendung"),
    (0x1f04, "Belegparameter"),
    (0x1f07, "Belegart"),
    (0x1f0b, "Höchstbetrag"),
    (0x1f10, "Karteninhaberprüfung"),
    (0x1f12, "Kartentechnologie"),
    (0x1f14, "Kartenkennung"),
    (0x1f16, "erweiterter Fehlercode"),
    (0x1f17, "erweiterter Fehlertext"),
    (0x1f1f, "letzte Belegnummer"),
    (0x1f2b, "Trace-Nummer"),
    (0x1f37, "Beleginformation"),
    (0x1f6b, "zu prüfendes Alter"),
    (0x1f6c, "Altersprüfung"),
    (0x1f73, "Nachrichtenfolge"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_german_name_is_of_something_in_the_tables() {
        assert!(COMMANDS.iter().all(|(code, _)| tables::command(*code).is_some()));
        assert!(FIELDS.iter().all(|(id, _)| tables::bmp(*id).is_some()));
        assert!(TAGS.iter().all(|(tag, _)| tables::tag(*tag).is_some()));
    }
}
