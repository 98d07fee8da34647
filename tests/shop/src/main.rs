//! Runs shops by their seeds, in release: `cargo run --release -p tresen-shop -- --seeds 200`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tresen_shop::{Plan, Run, run};

const USAGE: &str = "\
usage: tresen-shop [--seeds N] [--from N] [--jobs N] [--day | --short | --queues] [--first]
       tresen-shop --seed N [--day | --short | --queues] [--trace]

  --seeds N   how many seeds, default 20
  --from N    the first of them, default 1
  --jobs N    how many at the same time, default as many as there are processors
  --day       a day of 16 hours with 2,000 sales instead of 20 minutes
  --short     4 minutes, as `cargo test` runs them
  --queues    2 hours without faults: 22 handhelds queue for 3 terminals, and how long they wait
  --first     end at the first seed that fails
  --seed N    one seed, twice, and whether both runs are the same
  --trace     print every line of it
";

struct Arguments {
    plan: Plan,
    seeds: u64,
    from: u64,
    jobs: usize,
    first: bool,
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(what) => {
            eprint!("{what}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let held = match arguments.seed {
        Some(seed) => one(seed, &arguments.plan),
        None => many(&arguments),
    };
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn arguments() -> Result<Arguments, String> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut told = Arguments { plan: Plan::default(), seeds: 20, from: 1, jobs, first: false, seed: None };
    let mut trace = false;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64, String> {
            let number = words.next().ok_or_else(|| format!("{word} wants a number"))?;
            number.parse().map_err(|_| format!("{word} wants a number, not `{number}`"))
        };
        match &*word {
            "--seeds" => told.seeds = number()?,
            "--from" => told.from = number()?,
            "--jobs" => told.jobs = number()?.max(1) as usize,
            "--seed" => told.seed = Some(number()?),
            "--day" => told.plan = Plan::day(),
            "--short" => told.plan = Plan::short(),
            "--queues" => told.plan = Plan::queues(),
            "--first" => told.first = true,
            "--trace" => trace = true,
            "--help" => return Err("Runs shops by their seeds.".into()),
            _ => return Err(format!("unknown option `{word}`")),
        }
    }
    told.plan.keeps_lines = trace;
    Ok(told)
}

fn one(seed: u64, plan: &Plan) -> bool {
    let (first, second) = (run(seed, plan), run(seed, plan));
    if plan.keeps_lines {
        first.lines.iter().for_each(|line| println!("{line}"));
    }
    println!("{first}");
    if first.digest != second.digest {
        println!("the second run of the same seed differs: {:?}, then {:?}", first.digest, second.digest);
    }
    first.violation.is_none() && first.digest == second.digest
}

fn many(arguments: &Arguments) -> bool {
    let (next, stopped) = (AtomicU64::new(arguments.from), AtomicBool::new(false));
    let end = arguments.from + arguments.seeds;
    let sum = Mutex::new(Sum::default());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| {
                while !stopped.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    // A till that panics is a defect like any other.
                    let run = std::panic::catch_unwind(|| run(seed, &arguments.plan));
                    let mut sum = sum.lock().expect("no holder of this lock panics");
                    match run {
                        Ok(run) => sum.add(&run),
                        Err(_) => {
                            println!("seed {seed}: something panicked, as told above");
                            sum.failed.push(seed);
                        }
                    }
                    if arguments.first && !sum.failed.is_empty() {
                        stopped.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let sum = sum.into_inner().expect("no holder of this lock panics");
    sum.print(began.elapsed());
    sum.failed.is_empty()
}

/// What all runs came to.
#[derive(Default)]
struct Sum {
    runs: u64,
    took: Duration,
    counts: BTreeMap<&'static str, u64>,
    /// How long handhelds waited for a terminal: on average, and at most; by seed and handheld.
    waits: Vec<(Duration, Duration)>,
    failed: Vec<u64>,
}

impl Sum {
    fn add(&mut self, run: &Run) {
        self.runs += 1;
        self.took += run.took;
        run.counts.iter().for_each(|(what, n)| *self.counts.entry(what).or_default() += n);
        let averages = run.waits.values().filter_map(|waits| {
            let sum: Duration = waits.iter().sum();
            Some((sum / waits.len() as u32, *waits.iter().max()?))
        });
        self.waits.extend(averages);
        if run.violation.is_some() {
            println!("{run}\n");
            self.failed.push(run.seed);
        }
    }

    fn print(&self, real: Duration) {
        let count = |what| self.counts.get(what).copied().unwrap_or_default();
        let (hours, minutes) = (self.took.as_secs_f64() / 3600.0, real.as_secs_f64() / 60.0);
        println!(
            "{} shops in {:.0} s: {} sales, {} faults, {} deaths of the till, {} checks, {hours:.0} virtual hours, {:.0} \
             virtual hours per minute",
            self.runs,
            real.as_secs_f64(),
            count("sales"),
            count("faults"),
            count("lives"),
            count("checks"),
            hours / minutes.max(f64::MIN_POSITIVE),
        );
        println!("{:?}", self.counts);
        let averages = || self.waits.iter().map(|(average, _)| *average);
        if let (Some(shortest), Some(longest)) = (averages().min(), averages().max()) {
            let most = self.waits.iter().map(|(_, most)| *most).max().unwrap_or_default();
            println!(
                "waiting for a terminal: {} handhelds, on average between {shortest:.1?} and {longest:.1?} each, {most:.1?} \
                 at most",
                self.waits.len()
            );
        }
        if !self.failed.is_empty() {
            let mut failed = self.failed.clone();
            failed.sort_unstable();
            println!("{} failed, by these seeds: {failed:?}", failed.len());
        }
    }
}
