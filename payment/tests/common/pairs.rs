//! Pairs of faults: a sample that is the same each time, or all of them with `TRESEN_SWEEP=all`.

/// Two faults in one life of a terminal.
pub(crate) struct Pair {
    pub(crate) number: usize,
    /// Which life.
    pub(crate) life: usize,
    /// What happens, and at which message.
    pub(crate) faults: [(usize, usize); 2],
}

/// Pairs of `ways` that a terminal can err at one of its `messages`, in one of `lives`: `some` of them, or all. In which
/// order two faults are announced matters at the same message only.
pub(crate) fn pairs(lives: usize, ways: usize, messages: usize, some: usize) -> impl Iterator<Item = Pair> {
    let sites = ways * messages;
    let total = lives * sites * sites;
    let pair = move |number: usize| {
        let (life, rest) = (number % lives, number / lives);
        let fault = |site: usize| (site / messages, site % messages);
        Pair { number, life, faults: [fault(rest % sites), fault(rest / sites)] }
    };
    let counts = move |Pair { faults: [first, second], .. }: &Pair| first <= second || first.1 == second.1;
    let all = std::env::var("TRESEN_SWEEP").is_ok_and(|sweep| sweep == "all");
    let numbers: Box<dyn Iterator<Item = usize>> = if all {
        Box::new(0..total)
    } else {
        // Knuth's multiplicative generator.
        let next = |n: &usize| {
            let next = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some(next & (usize::MAX >> 1))
        };
        Box::new(std::iter::successors(Some(2026), next).map(move |n| (n >> 20) % total))
    };
    numbers.map(pair).filter(counts).take(if all { usize::MAX } else { some }).inspect(move |pair| {
        if pair.number.is_multiple_of(100_000) {
            println!("pair {} of {total}", pair.number);
        }
    })
}
