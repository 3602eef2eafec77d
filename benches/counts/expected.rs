//! The stored counts, and the comparison of a new count with them.

use std::fmt;

use loky_benches::Result;

const HEADING: &str = "\
# Instructions of a call. Made by `cargo run --release -p loky-benches --bin counts -- --update`.
";

/// The stored data: the compiler, and the counts by subject and side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    compiler: String,
    counts: Vec<(String, String, u64)>,
}

impl Expected {
    pub(crate) fn new(compiler: String) -> Self {
        Self { compiler, counts: Vec::new() }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let compiler = lines.next().and_then(|line| line.strip_prefix("compiler\t"));
        let mut expected = Self::new(compiler.ok_or("the compiler line is missing")?.to_owned());
        for line in lines {
            let cells: Vec<&str> = line.split('\t').collect();
            let [subject, side, count] = cells[..] else {
                return Err(format!("malformed line: `{line}`").into());
            };
            expected.set(subject, side, count.parse()?);
        }
        Ok(expected)
    }

    pub(crate) fn to_text(&self) -> String {
        let lines =
            self.counts.iter().map(|(subject, side, n)| format!("{subject}\t{side}\t{n}\n"));
        format!("{HEADING}compiler\t{}\n{}", self.compiler, lines.collect::<String>())
    }

    /// Returns the compiler of the counts.
    pub(crate) fn compiler(&self) -> &str {
        &self.compiler
    }

    pub(crate) fn set(&mut self, subject: &str, side: &str, count: u64) {
        self.counts.push((subject.to_owned(), side.to_owned(), count));
    }

    pub(crate) fn of(&self, subject: &str, side: &str) -> Option<u64> {
        let mut counts = self.counts.iter();
        counts.find(|it| (it.0.as_str(), it.1.as_str()) == (subject, side)).map(|it| it.2)
    }
}

/// The comparison of a count with the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The counts are not comparable.
    None,
    /// The difference is within the margin.
    Same,
    /// The count is so much lower that the stored one would hide a later increase.
    Less,
    /// The count is too high.
    More,
}

impl Verdict {
    /// Compares `now` with `stored`, which may differ by `margin` percent. Without a margin the counts are not comparable.
    pub(crate) fn of(stored: u64, now: u64, margin: Option<u64>) -> Self {
        let Some(margin) = margin else { return Self::None };
        match now * 100 {
            now if now > stored * (100 + margin) => Self::More,
            now if now < stored * (100 - margin) => Self::Less,
            _ => Self::Same,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "not compared",
            Self::Same => "as before",
            Self::Less => "less: store it, with --update",
            Self::More => {
                "MORE THAN ALLOWED: fix it, or store it with --update and give the reason"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_counts_parse_back() {
        let mut expected = Expected::new("rustc 1.95.0 for x86_64".to_owned());
        expected.set("round trip", "caller", 8471);
        expected.set("map", "worker", 1504);
        assert_eq!(Expected::parse(&expected.to_text()).expect("its own text"), expected);
        assert_eq!(expected.of("map", "worker"), Some(1504));
        assert_eq!(expected.of("map", "caller"), None);
        for text in ["", "map\tworker\t3\n", "compiler\trustc\nmap\t3\n"] {
            assert!(Expected::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn difference_within_margin_is_same() {
        for (now, verdict) in [
            (1051, Verdict::More),
            (1050, Verdict::Same),
            (950, Verdict::Same),
            (949, Verdict::Less),
        ] {
            assert_eq!(Verdict::of(1000, now, Some(5)), verdict, "{now}");
            assert_eq!(Verdict::of(1000, now, None), Verdict::None);
        }
    }
}
