//! The command line of the bench.

use std::time::Duration;

use crate::Result;
use crate::placement::Placement;

/// The usage text.
const USAGE: &str = "options: [--quick] [--placement unpinned|same-core|two-cores|hogs] [ROW…]";

/// The rows and placements to measure, and the effort for each.
#[derive(Clone, Debug)]
pub struct Options {
    /// The effort for each row.
    pub effort: Effort,
    /// The placements in which the rows are measured.
    pub placements: Vec<Placement>,
    /// Parts of row names; empty for all rows.
    rows: Vec<String>,
}

/// The effort for one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Pairs of blocks in a row whose blocks take `block_time`.
    pub blocks: usize,
    /// The duration of such a block.
    pub block_time: Duration,
    /// Pairs of blocks in a row whose blocks make a number of calls.
    pub long_blocks: usize,
    /// The number of calls that are submitted, then collected.
    pub n_collected: usize,
    /// The maximum number of items of a map, which is lower if `map_time` does not suffice.
    pub n_mapped: usize,
    /// The time for a map, see `n_mapped`.
    pub map_time: Duration,
    /// Pairs of blocks in a row with one large argument.
    pub large_blocks: usize,
}

impl Effort {
    /// The effort on which the budget is based.
    const FULL: Self = Self {
        blocks: 21,
        block_time: Duration::from_millis(100),
        long_blocks: 7,
        n_collected: 100_000,
        n_mapped: 1_000_000,
        map_time: Duration::from_millis(500),
        large_blocks: 5,
    };

    /// The effort for a first look.
    const QUICK: Self = Self {
        blocks: 5,
        block_time: Duration::from_millis(20),
        long_blocks: 5,
        n_collected: 10_000,
        n_mapped: 100_000,
        map_time: Duration::from_millis(100),
        large_blocks: 1, // A smaller argument would fit into caches, and into memory that is not fresh.
    };
}

impl Options {
    /// Parses the arguments of the program, without its name.
    ///
    /// # Errors
    /// An argument is unknown.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options =
            Self { effort: Effort::FULL, placements: Placement::ALL.to_vec(), rows: Vec::new() };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => {} // cargo passes this to every bench.
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

    /// Whether the row of this name is to be measured.
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
    fn no_options_select_all_rows_and_placements() {
        let options = parse("--bench").expect("no options");
        assert_eq!(options.effort, Effort::FULL);
        assert_eq!(options.placements, Placement::ALL);
        assert!(options.asks_for("round trip"));
    }

    #[test]
    fn options_select_rows_and_placements() {
        let options = parse("--quick map trip --placement same-core").expect("options");
        assert_eq!(options.effort, Effort::QUICK);
        assert_eq!(options.placements, [Placement::SameCore]);
        assert!(options.asks_for("round trip") && !options.asks_for("four callers"));
    }

    #[test]
    fn unknown_option_is_an_error() {
        for line in ["--slow", "--placement moon", "--placement"] {
            let error = parse(line).expect_err(line).to_string();
            assert!(error.contains("options: "), "{error}");
        }
    }
}
