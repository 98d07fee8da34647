//! The till's side of a ZVT dialogue: no terminal may panic it or make it send a payment twice.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use tresen_payment::zvt::Timeouts;
use tresen_payment::zvt::framing::Framing;
use tresen_payment::zvt::session::{Flow, Session};

fuzz_target!(|chunks: Vec<(u8, Vec<u8>)>| {
    let mut now = Instant::now();
    let mut framing = Framing::tcp();
    let mut session = Session::new(Timeouts::default());
    let payment = vec![0x06, 0x01, 0x0a, 0x04, 0, 0, 0, 0, 0x03, 0x50, 0x49, 0x09, 0x78];
    assert!(session.start(payment.clone(), Flow::Completed, now));
    let mut sent = 0;
    for (what, bytes) in &chunks {
        match what % 8 {
            0 => {
                now += Duration::from_secs(u64::from(*what));
                session.handle_timeout(now);
            }
            1 => _ = session.abort(now),
            2 => session.refuse(0x9a, now),
            _ => {
                framing.feed(bytes);
                loop {
                    match framing.next_apdu() {
                        Ok(Some(apdu)) => session.handle_input(apdu, now),
                        Ok(None) => break,
                        Err(invalid) => {
                            session.handle_invalid(invalid, now);
                            break;
                        }
                    }
                }
            }
        }
        while let Some(message) = session.poll_transmit() {
            sent += usize::from(message == payment);
        }
        while session.poll_event().is_some() {
            session.confirm(now);
        }
    }
    assert!(sent <= 1);
});
