//! Messages of the till as a server, in both directions, and a connection that takes in what comes.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use tresen_remote::session::{Input, Session, Step};
use tresen_remote::wire::{Answer, FromClient};

fuzz_target!(|text: &str| {
    _ = Answer::decode(text);
    if let Err((_, error)) = FromClient::decode(text) {
        assert_eq!(error.effect(), tresen_hal::Effect::None);
    }
    let now = Instant::now();
    let step = Session::new(now).handle(now, Input::Text(text));
    // Before anybody was let in, nothing runs.
    assert!(matches!(step, Some(Step::Admit { .. } | Step::Close { .. })), "{step:?}");
});
