//! The till's side of an OPI request: no terminal may panic it, make it send its request twice, or take another's
//! answer.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use tresen_payment::opi::framing::frame;
use tresen_payment::opi::session::{Event, Session};
use tresen_payment::opi::wire::{Family, Request};
use tresen_payment::opi::xml::Encoding;

fuzz_target!(|chunks: Vec<(u8, Vec<u8>)>| {
    let mut now = Instant::now();
    let request = Request::new(Family::Card, "CardPayment", "123456789");
    let mut session = Session::new(&request, Encoding::Utf8, Duration::from_secs(300), now);
    let (mut sent, mut ended) = (0, 0);
    for (what, bytes) in &chunks {
        match what % 6 {
            0 => {
                now += Duration::from_secs(u64::from(*what));
                session.handle_timeout(now);
            }
            1 => session.abort(&Request::new(Family::Card, "AbortRequest", "5")),
            2 => session.hurry(Duration::from_secs(5), now),
            3 => session.handle_input(bytes, now),
            _ => session.handle_input(&frame(bytes), now),
        }
        while let Some(message) = session.poll_transmit() {
            sent += usize::from(String::from_utf8_lossy(&message).contains("CardPayment"));
        }
        while let Some(event) = session.poll_event() {
            assert_eq!(ended, 0, "nothing follows the end");
            match event {
                Event::Answer(response) => {
                    assert_eq!(response.header.request_id, "123456789");
                    ended += 1;
                }
                Event::NoOpi(_) | Event::TimedOut => ended += 1,
                _ => {}
            }
        }
    }
    assert!(sent <= 1);
});
