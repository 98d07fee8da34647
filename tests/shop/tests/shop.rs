//! Short runs of a shop by the seed. More and longer ones: `cargo run --release -p tresen-shop -- --help`.

use tresen_shop::{Plan, run};

/// As many as pass in a few seconds; `TRESEN_SEEDS=500` runs more, `TRESEN_FROM=1000` others.
#[test]
fn a_shop_holds_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (from, count) = (number("TRESEN_FROM").unwrap_or(1), number("TRESEN_SEEDS").unwrap_or(SEEDS));
    let (mut failed, mut counts) = (Vec::new(), std::collections::BTreeMap::<_, u64>::new());
    for seed in from..from + count {
        let run = run(seed, &Plan::short());
        run.counts.iter().for_each(|(what, n)| *counts.entry(*what).or_default() += n);
        if run.violation.is_some() {
            println!("{run}\n");
            failed.push(seed);
        }
    }
    assert!(count < SEEDS || counts.contains_key("remote handhelds"), "no handheld was a client of the server");
    println!("{count} shops from seed {from}: {counts:?}");
    assert!(failed.is_empty(), "{} of {count} shops failed, by these seeds: {failed:?}", failed.len());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    if !cfg!(tokio_unstable) {
        panic!("RUSTFLAGS replace `.cargo/config.toml`: add `--cfg tokio_unstable` to them");
    }
    is_repeated(7);
}

/// A till, and handhelds that are clients of its server.
#[test]
fn the_same_seed_gives_the_same_run_with_remote_handhelds() {
    let run = is_repeated(REMOTE);
    let count = |what| run.counts.get(what).copied().unwrap_or_default();
    assert!(count("remote handhelds") > 0 && count("events heard by handhelds") > 20, "{:?}", run.counts);
    assert!(count("lives") > 0, "the till did not die while they were connected");
}

fn is_repeated(seed: u64) -> tresen_shop::Run {
    let (first, second) = (run(seed, &Plan::short()), run(seed, &Plan::short()));
    let differs = first.lines.iter().zip(&second.lines).position(|(a, b)| a != b);
    if let Some(at) = differs {
        let lines = |run: &tresen_shop::Run| run.lines[at.saturating_sub(5)..=at].join("\n");
        panic!("seed {seed}, line {at}:\n{}\n\nthen\n{}", lines(&first), lines(&second));
    }
    assert_eq!(first.digest, second.digest, "seed {seed}");
    assert!(first.lines.len() > 200, "seed {seed}: hardly anything happened");
    first
}

/// One run in full: `TRESEN_SEED=4711 cargo test --workspace --test shop one_seed -- --nocapture`; with `TRESEN_TRACE=1`
/// every byte and event of it.
#[test]
fn one_seed() {
    let seed = std::env::var("TRESEN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let run = run(seed, &Plan::short());
    if std::env::var_os("TRESEN_TRACE").is_some() {
        run.lines.iter().for_each(|line| println!("{line}"));
    }
    assert!(run.violation.is_none(), "{run}");
}

const SEEDS: u64 = 6;
/// A seed with remote handhelds.
const REMOTE: u64 = 1;
