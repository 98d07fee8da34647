//! How long the texts of others may be: they go into events, which the till keeps and sends to all who follow.

use tresen_hal::Error;

/// Cuts a text to [`TEXT`] bytes.
pub(super) fn text(mut text: String) -> String {
    if text.len() > TEXT {
        text.truncate(text.floor_char_boundary(TEXT));
        text.push('…');
    }
    text
}

/// Cuts the texts of an error. Kind, effect and retry stay.
pub(super) fn error(error: Error) -> Error {
    let causes = error.causes();
    let texts = [Some(error.what()), error.next_step(), error.device(), error.option()].into_iter().flatten();
    if texts.chain(causes.iter().map(String::as_str)).all(|text| text.len() <= TEXT) && causes.len() <= CAUSES {
        return error;
    }
    let cut = |long: &str| text(long.to_owned());
    let mut short = Error::new(error.kind(), cut(error.what())).with_effect(error.effect()).with_retry(error.retry());
    if let Some(hint) = error.next_step() {
        short = short.hint(cut(hint));
    }
    if let Some(device) = error.device() {
        short = short.at(cut(device));
    }
    match causes.first() {
        Some(cause) => short.because(cut(cause)),
        None => short,
    }
}

/// Maximum length of a text of an attached device, in bytes; what is longer is cut.
pub const TEXT: usize = 1_000;
/// Maximum length of a message that a device tells unasked, in bytes. The longest code has 7,089 digits (QR, version 40).
pub const NOTICE: usize = 64 << 10;
/// How many causes an error may have.
const CAUSES: usize = 8;

#[cfg(test)]
mod tests {
    use tresen_hal::{Effect, Kind, Retry};

    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(text("x".repeat(TEXT)).len(), TEXT);
        let cut = text(format!("x{}", "ä".repeat(TEXT)));
        assert_eq!(cut.chars().count(), 1 + (TEXT - 1) / 2 + 1);
        assert!(cut.ends_with("ä…"), "{cut}");
    }

    #[test]
    fn an_error_keeps_what_it_means() {
        let long = "x".repeat(1 << 20);
        let whole = Error::new(Kind::Busy, &*long).with_effect(Effect::Unknown).with_retry(Retry::AfterOperator);
        let whole = whole.at("belt").hint(&*long).because(Error::new(Kind::Io, &*long).because("the last"));
        let short = error(whole);
        assert_eq!((short.kind(), short.effect(), short.retry()), (Kind::Busy, Effect::Unknown, Retry::AfterOperator));
        assert_eq!(short.device(), Some("belt"));
        assert!(format!("{short:#}").len() < 5 * TEXT);
        let plain = Error::new(Kind::Io, "no paper").because("cause");
        assert_eq!(format!("{:#}", error(plain.clone())), format!("{plain:#}"));
    }
}
