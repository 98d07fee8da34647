//! Durations in a histogram of fixed size: buckets that grow with the value, so that its quantiles are exact to 1/16.

use std::time::Duration;

/// Buckets per power of two.
const STEPS: u32 = 8;
/// Powers of two above the first [`STEPS`] microseconds: up to 2^35 µs, nine hours.
const POWERS: u32 = 32;
const BUCKETS: usize = (STEPS * (POWERS + 1)) as usize;

/// Durations from one microsecond to hours, in about a kilobyte.
#[derive(Clone)]
pub(crate) struct Histogram {
    buckets: Box<[u32; BUCKETS]>,
    count: u64,
    sum: u64,
    last: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), count: 0, sum: 0, last: 0, max: 0 }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = &mut self.buckets[bucket(micros)];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
        self.sum = self.sum.saturating_add(micros);
        self.last = micros;
        self.max = self.max.max(micros);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn last(&self) -> Duration {
        Duration::from_micros(self.last)
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    pub(crate) fn mean(&self) -> Duration {
        Duration::from_micros(self.sum.checked_div(self.count).unwrap_or_default())
    }

    /// The duration that `percent` of all do not exceed, rounded up to the end of its bucket.
    pub(crate) fn quantile(&self, percent: u64) -> Duration {
        let total: u64 = self.buckets.iter().map(|n| u64::from(*n)).sum();
        let wanted = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, n) in self.buckets.iter().enumerate() {
            seen += u64::from(*n);
            if seen >= wanted {
                return Duration::from_micros(end(bucket).min(self.max));
            }
        }
        Duration::ZERO
    }
}

fn bucket(micros: u64) -> usize {
    let steps = u64::from(STEPS);
    if micros < steps {
        return micros as usize;
    }
    // The highest bit chooses the power of two, the bits below it the step.
    let power = micros.ilog2() - STEPS.ilog2();
    let step = (micros >> power) - steps;
    (u64::from(power + 1) * steps + step).min(BUCKETS as u64 - 1) as usize
}

/// The greatest value of a bucket.
fn end(bucket: usize) -> u64 {
    let (steps, bucket) = (u64::from(STEPS), bucket as u64);
    if bucket < steps {
        return bucket;
    }
    let power = bucket / steps - 1;
    ((bucket % steps + steps + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_bucket_that_ends_at_or_closely_above_it() {
        for micros in (0..5000).chain((12..35).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let at = bucket(micros);
            assert!(end(at) >= micros, "{micros}");
            assert!(at == 0 || end(at - 1) < micros, "{micros}");
            assert!(end(at) - micros <= micros / u64::from(STEPS), "{micros} to {}", end(at));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_a_thousand_calls() {
        let mut all = Histogram::default();
        assert_eq!((all.quantile(99), all.mean()), (Duration::ZERO, Duration::ZERO));
        for n in 1..=1000 {
            all.add(Duration::from_millis(n));
        }
        let near = |got: Duration, wanted: u64| {
            let (got, wanted) = (got.as_micros() as u64, wanted * 1000);
            assert!(got >= wanted && got - wanted <= wanted / u64::from(STEPS), "{got} is not {wanted}");
        };
        near(all.quantile(50), 500);
        near(all.quantile(99), 990);
        assert_eq!((all.quantile(100), all.max()), (Duration::from_secs(1), Duration::from_secs(1)));
        assert_eq!(
            (all.count(), all.last(), all.mean()),
            (1000, Duration::from_secs(1), Duration::from_micros(500_500))
        );
    }
}
