//! Names that were probably meant.

/// The names that need few changes to become `name`, the nearest first; at most three.
pub(super) fn near<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<_> = all.map(|known| (distance(name, known), known)).collect();
    near.retain(|(distance, known)| *distance <= 2 || *distance <= known.len() / 3 || begins(known, name));
    near.sort_unstable();
    near.into_iter().take(3).map(|(_, known)| known).collect()
}

fn begins(known: &str, name: &str) -> bool {
    name.len() >= 3 && (known.starts_with(name) || name.starts_with(known))
}

/// Insertions, deletions and replacements between two texts (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted() {
        for (a, b, changes) in
            [("", "abc", 3), ("abc", "", 3), ("hobex", "hobex", 0), ("hobx", "hobex", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), changes, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_comes_first() {
        let all = ["adyen", "ccv", "hobex", "nexi-switzerland", "nexi-switzerland-unattended"];
        assert_eq!(near("nexi", all.into_iter()), ["nexi-switzerland", "nexi-switzerland-unattended"]);
        assert_eq!(near("adyn", all.into_iter()), ["adyen"]);
        assert!(near("worldline", all.into_iter()).is_empty());
    }
}
