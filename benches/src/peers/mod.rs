//! What came out of the comparison with other programs (`benches/peers`), and how it is shown: the README's table and its
//! picture. All that is shown comes from one file of results, and a test holds them together.

mod picture;
mod results;
mod table;

pub use picture::picture;
pub use results::{Circumstances, Program, Results};
pub use table::{insert, table};

/// What is measured of each program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// A no-op call that is waited for.
    RoundTrip,
    /// Many no-op calls, all submitted before any result is asked for.
    Collect,
    /// Many no-op calls by `map`.
    Map,
    /// 64 MiB as an argument.
    Large,
    /// A new pool, until its first result.
    Start,
}

impl Measure {
    /// All of them, as they are shown.
    pub const ALL: [Self; 5] =
        [Self::RoundTrip, Self::Collect, Self::Map, Self::Large, Self::Start];

    /// Its name, in the file of results and between the programs.
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

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// What it is, for who reads the table.
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

    /// Whether a greater number is a better one.
    #[must_use]
    pub fn is_rate(self) -> bool {
        matches!(self, Self::Collect | Self::Map)
    }

    /// What its numbers count.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::RoundTrip => "µs",
            Self::Collect | Self::Map => "calls/s",
            Self::Large | Self::Start => "ms",
        }
    }

    /// A number of it with its unit: two digits of it, or more where that is shorter.
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
    fn the_readme_and_the_picture_show_the_stored_results() {
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
    fn quantities_are_short() {
        assert_eq!(Measure::RoundTrip.quantity(4.26), "4.3 µs");
        assert_eq!(Measure::Large.quantity(216.4), "216 ms");
        assert_eq!(Measure::Collect.quantity(3_210.0), "3.2 k/s");
        assert_eq!(Measure::Map.quantity(523_456.0), "523 k/s");
        assert_eq!(Measure::Map.quantity(5_234_567.0), "5.2 M/s");
    }
}
