//! What the command line asks for.

use std::time::Duration;

use crate::Result;
use crate::placement::Placement;

/// How one uses it.
const USAGE: &str = "options: [--quick] [--placement unpinned|same-core|two-cores|hogs] [ROW…]";

/// What to measure, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much work a row is.
    pub effort: Effort,
    /// In each of which the rows are measured.
    pub placements: Vec<Placement>,
    /// Parts of names; empty for all rows.
    rows: Vec<String>,
}

/// How much work a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Blocks of subject and reference of a row that takes `block_time` for each.
    pub blocks: usize,
    /// How long such a block is.
    pub block_time: Duration,
    /// Blocks of a row that makes a number of calls in each.
    pub long_blocks: usize,
    /// How many calls are submitted, then collected.
    pub n_collected: usize,
    /// How many items are mapped, at most: no more than `map_time` is enough for.
    pub n_mapped: usize,
    /// See `n_mapped`.
    pub map_time: Duration,
    /// Blocks of a row of one large argument.
    pub large_blocks: usize,
}

impl Effort {
    /// What the budget speaks of.
    const FULL: Self = Self {
        blocks: 21,
        block_time: Duration::from_millis(100),
        long_blocks: 7,
        n_collected: 100_000,
        n_mapped: 1_000_000,
        map_time: Duration::from_millis(500),
        large_blocks: 5,
    };

    /// A first look.
    const QUICK: Self = Self {
        blocks: 5,
        block_time: Duration::from_millis(20),
        long_blocks: 5,
        n_collected: 10_000,
        n_mapped: 100_000,
        map_time: Duration::from_millis(100),
        large_blocks: 1, // One of less would fit into caches, and into memory that is not fresh.
    };
}

impl Options {
    /// Those that the arguments of the program, without its name, ask for.
    ///
    /// # Errors
    /// An argument is unknown.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options =
            Self { effort: Effort::FULL, placements: Placement::ALL.to_vec(), rows: Vec::new() };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => {} // cargo says this to every bench.
                "--quick" => options.effort = Effort::QUICK,
                "--placement" => {
                    let name = args.next().unwrap_or_default();
                    let found = Placement::ALL.into_iter().find(|it| it.name() == name);
                    let placement =
                        found.ok_or_else(|| format!("no placement `{name}`; {USAGE}"))?;
                    options.placements = vec![placement];
                }
                _ if arg.starts_with('-') => {
                    return Err(format!("no option `{arg}`; {USAGE}").into());
                }
                _ => options.rows.push(arg),
            }
        }
        Ok(options)
    }

    /// Whether the row of this name is asked for.
    #[must_use]
    pub fn asks_for(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|part| row.contains(part.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_is_everything_everywhere() {
        let options = parse("--bench").expect("no options");
        assert_eq!(options.effort, Effort::FULL);
        assert_eq!(options.placements, Placement::ALL);
        assert!(options.asks_for("round trip"));
    }

    #[test]
    fn rows_and_placements_are_chosen() {
        let options = parse("--quick map trip --placement same-core").expect("options");
        assert_eq!(options.effort, Effort::QUICK);
        assert_eq!(options.placements, [Placement::SameCore]);
        assert!(options.asks_for("round trip") && !options.asks_for("four callers"));
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for line in ["--slow", "--placement moon", "--placement"] {
            let error = parse(line).expect_err(line).to_string();
            assert!(error.contains("options: "), "{error}");
        }
    }
}
