//! The simulated OPI terminal: no till may panic it.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use tresen_payment::opi::framing::frame;
use tresen_payment::opi::sim::{Action, Profile, Simulator};

fuzz_target!(|steps: Vec<(u8, Vec<u8>)>| {
    let mut now = Instant::now();
    let mut sim = Simulator::new(Profile { asks: Some("?".into()), ..Profile::default() });
    let mut conns = Vec::new();
    for (what, bytes) in &steps {
        let at = usize::from(what / 8);
        match (what % 8, conns.get(at % conns.len().max(1)).copied()) {
            (0, _) | (_, None) => conns.push(sim.accepted()),
            (1, Some(conn)) => sim.gone(conn, now),
            (2, _) => {
                now += Duration::from_secs(u64::from(*what));
                sim.timeout(now);
            }
            (3, Some(conn)) => sim.input(conn, bytes, now),
            (_, Some(conn)) if bytes.len() < 4096 => sim.input(conn, &frame(bytes), now),
            _ => {}
        }
        while let Some(action) = sim.next_action() {
            if let Action::Dial(conn) = action {
                sim.dialled(conn, what % 2 == 0, now);
                conns.push(conn);
            }
        }
    }
});
