//! The results of the comparison with other programs (`benches/peers`), and their presentation: the table of the README and its
//! picture. Both are made from one file of results, and a test checks that they agree with it.

mod picture;
mod results;
mod table;

pub use picture::picture;
pub use results::{Circumstances, Program, Results};
pub use table::{insert, table};

/// A measure of each program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The time of a no-op call.
    RoundTrip,
    /// The rate of no-op calls that are all submitted before the first result is collected.
    Collect,
    /// The rate of no-op calls by `map`.
    Map,
    /// The time of a call with 64 MiB as an argument.
    Large,
    /// The time from the creation of a pool to its first result.
    Start,
}

impl Measure {
    /// All measures, in the order of the table.
    pub const ALL: [Self; 5] =
        [Self::RoundTrip, Self::Collect, Self::Map, Self::Large, Self::Start];

    /// Returns the name in the file of results and in the protocol between the programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundTrip => "round trip",
            Self::Collect => "collect",
            Self::Map => "map",
            Self::Large => "64 MiB",
            Self::Start => "start",
        }
    }

    /// Returns the measure of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Returns the heading in the table.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::RoundTrip => "a call, waited for",
            Self::Collect => "calls submitted, then collected, 2 workers",
            Self::Map => "calls by `map`, 2 workers",
            Self::Large => "64 MiB as an argument",
            Self::Start => "a pool of 2, to its first result",
        }
    }

    /// Whether a greater number is better.
    #[must_use]
    pub fn is_rate(self) -> bool {
        matches!(self, Self::Collect | Self::Map)
    }

    /// Returns the unit of the numbers.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::RoundTrip => "µs",
            Self::Collect | Self::Map => "calls/s",
            Self::Large | Self::Start => "ms",
        }
    }

    /// Formats a number with its unit, in about two digits.
    #[must_use]
    pub fn quantity(self, value: f64) -> String {
        if self.is_rate() {
            return match value {
                1e6.. => format!("{:.1} M/s", value / 1e6),
                1e4.. => format!("{:.0} k/s", value / 1e3),
                _ => format!("{:.1} k/s", value / 1e3),
            };
        }
        let digits = usize::from(value < 10.0);
        format!("{value:.digits$} {}", self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn readme_and_picture_agree_with_stored_results() {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |path: &str| fs::read_to_string(benches.join(path)).expect(path);
        let results = Results::parse(&read("results/peers.tsv")).expect("the stored results");
        let readme = read("../README.md");
        let hint = "run `cargo run -p loky-benches --bin speed`";
        assert!(
            insert(&readme, &table(&results)).expect("the marks") == readme,
            "README.md: {hint}"
        );
        assert!(picture(&results) == read("results/speed.svg"), "speed.svg: {hint}");
    }

    #[test]
    fn quantity_is_rounded_to_few_digits() {
        assert_eq!(Measure::RoundTrip.quantity(4.26), "4.3 µs");
        assert_eq!(Measure::Large.quantity(216.4), "216 ms");
        assert_eq!(Measure::Collect.quantity(3_210.0), "3.2 k/s");
        assert_eq!(Measure::Map.quantity(523_456.0), "523 k/s");
        assert_eq!(Measure::Map.quantity(5_234_567.0), "5.2 M/s");
    }
}
