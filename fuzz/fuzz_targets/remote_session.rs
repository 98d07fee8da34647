//! A connection of a caller who was let in: one message a line, and the keys of its calls.
#![no_main]

use std::sync::Arc;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use tresen_hal::Effect;
use tresen_remote::session::{Input, Keys, Session, Step};
use tresen_remote::trust::{By, Principal};

fuzz_target!(|text: &str| {
    let now = Instant::now();
    let mut session = Session::new(now);
    let grants = "watch sell print drawer scan camera pay refund settle configure attach".parse().expect("rights");
    let by = By::Token { id: "1".into() };
    let anna = Principal { name: "anna".into(), station: None, grants, expires: None, by };
    session.handle(now, Input::Text("{\"hello\":{\"protocol\":1,\"token\":\"t\"}}"));
    session.admit(Arc::new(anna), None);
    let mut keys = Keys::default();
    for (number, line) in text.lines().enumerate() {
        match session.handle(now, Input::Text(line)) {
            Some(Step::Run(checked, _)) => {
                assert!(checked.key.is_some() || !checked.call.info().changes, "{line}");
                if let Some(keyed) = &checked.key {
                    _ = keys.ask(now, "anna", keyed, number as u64, |_| false, || number);
                }
            }
            Some(Step::Refuse { error, .. } | Step::Close { error: Some(error), .. }) => {
                assert_eq!(error.effect(), Effect::None, "{line}: {error}");
            }
            _ => {}
        }
    }
});
