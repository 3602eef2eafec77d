//! Circles in a graph of imports.

use std::collections::{BTreeMap, BTreeSet};

/// Returns the sets of files that import each other, directly or through others of the set. Each is sorted.
///
/// These are the strongly connected components of more than one file: a file is in a circle with another if each reaches the
/// other. With a few hundred files, asking that of each pair is fast enough.
pub fn circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (file.as_str(), reached_from(imports, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, others) in &reached {
        let circle: Vec<String> = others
            .iter()
            .filter(|other| reached.get(**other).is_some_and(|it| it.contains(file)))
            .map(|other| (*other).to_owned())
            .collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reached_from<'a>(
    imports: &'a BTreeMap<String, BTreeSet<String>>,
    start: &str,
) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(file) = open.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if reached.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(edges: &[(&str, &str)], expected: &[&[&str]]) {
        let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        assert_eq!(circles(&imports), expected);
    }

    #[test]
    fn files_in_one_direction_have_no_circle() {
        check(&[("a", "b"), ("b", "c"), ("a", "c")], &[]);
    }

    #[test]
    fn circle_has_those_that_reach_each_other_only() {
        check(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")], &[&["b", "c"]]);
        check(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")], &[&["a", "b", "c"]]);
        check(&[("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")], &[&["a", "b"], &["c", "d"]]);
    }
}
