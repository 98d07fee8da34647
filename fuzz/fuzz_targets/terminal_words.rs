//! Recordings in words, and what answers to a probe: any bytes, in any pieces, on either side.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_hal::Language;
use tresen_hal::link::record::Direction;
use tresen_hal::probe::{Heard, Probe, foreign};
use tresen_hal::trace::Tracer;
use tresen_payment::{probe, trace};

fuzz_target!(|pieces: Vec<(bool, Vec<u8>)>| {
    let tracers: [Box<dyn Tracer>; 5] = [
        Box::new(trace::Zvt::new(Language::English)),
        Box::new(trace::Zvt::of_serial(Language::German)),
        Box::new(trace::Opi::new(Language::German)),
        Box::new(trace::Nexo::new(Language::English)),
        Box::new(trace::PayTec::new(Language::English)),
    ];
    for mut tracer in tracers {
        for (sent, piece) in &pieces {
            tracer.feed(if *sent { Direction::Sent } else { Direction::Received }, piece);
        }
        tracer.finish(Direction::Sent);
        tracer.finish(Direction::Received);
    }
    let probes: [Box<dyn Probe>; 4] =
        [Box::new(probe::Zvt), Box::new(probe::Opi), Box::new(probe::Nexo), Box::new(probe::PayTec)];
    let mut heard = Vec::new();
    let mut replied = [0; 4];
    for (_, piece) in &pieces {
        heard.extend_from_slice(piece);
        for (probe, replied) in probes.iter().zip(&mut replied) {
            if let Heard::Answer { replies, .. } = probe.hear(&heard) {
                // Replies to earlier bytes stay.
                assert!(replies.len() >= *replied);
                *replied = replies.len();
            }
        }
    }
    foreign(&heard);
});
