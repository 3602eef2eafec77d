//! The file of results: lines of cells, separated by tabs. The first cell is the kind of the line.

use super::Measure;
use crate::Result;
use crate::blocks::median;

const HEADING: &str = "\
# loky beside others, made by `cargo run --release --manifest-path benches/peers/Cargo.toml`; benches/README.md says how.
# result\tmeasure\tprogram\tunit\tbest\tmedian
";

/// The machine and the date of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Year, month, day.
    pub date: String,
    /// CPUs and system.
    pub machine: String,
    /// The load average before and after the comparison.
    pub load: String,
    /// The number of blocks for each program and measure.
    pub n_blocks: usize,
}

/// A compared program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
}

/// The results of all programs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    circumstances: Circumstances,
    programs: Vec<Program>,
    entries: Vec<Entry>,
}

/// The result of one program for one measure.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    measure: Measure,
    program: String,
    best: f64,
    median: f64,
}

impl Results {
    /// Creates an empty set of results.
    #[must_use]
    pub fn new(circumstances: Circumstances, programs: Vec<Program>) -> Self {
        Self { circumstances, programs, entries: Vec::new() }
    }

    /// Adds the blocks of a program.
    pub fn add(&mut self, measure: Measure, program: &str, blocks: &[f64]) {
        let better = if measure.is_rate() { f64::max } else { f64::min };
        self.entries.push(Entry {
            measure,
            program: program.to_owned(),
            best: blocks.iter().copied().reduce(better).unwrap_or(f64::NAN),
            median: median(blocks.iter().copied()),
        });
    }

    /// Returns the machine and the date.
    #[must_use]
    pub fn circumstances(&self) -> &Circumstances {
        &self.circumstances
    }

    /// Returns the compared programs.
    #[must_use]
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Returns best and median of a program; `None` if it does not support the measure.
    #[must_use]
    pub fn of(&self, measure: Measure, program: &Program) -> Option<(f64, f64)> {
        let is_it = |it: &&Entry| it.measure == measure && it.program == program.name;
        self.entries.iter().find(is_it).map(|it| (it.best, it.median))
    }

    /// Parses a file of results.
    ///
    /// # Errors
    /// A line is malformed.
    pub fn parse(text: &str) -> Result<Self> {
        let mut results = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let cells: Vec<&str> = line.split('\t').collect();
            match cells[..] {
                ["date", date] => date.clone_into(&mut results.circumstances.date),
                ["machine", machine] => machine.clone_into(&mut results.circumstances.machine),
                ["load", load] => load.clone_into(&mut results.circumstances.load),
                ["blocks", n_blocks] => results.circumstances.n_blocks = n_blocks.parse()?,
                ["program", name, version] => {
                    results.programs.push(Program { name: name.into(), version: version.into() });
                }
                ["result", measure, program, _unit, best, median] => results.entries.push(Entry {
                    measure: Measure::named(measure)
                        .ok_or_else(|| format!("no measure `{measure}`"))?,
                    program: program.to_owned(),
                    best: best.parse()?,
                    median: median.parse()?,
                }),
                _ => return Err(format!("no line of results: `{line}`").into()),
            }
        }
        Ok(results)
    }

    /// Returns the text of the file of results.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Circumstances { date, machine, load, n_blocks } = &self.circumstances;
        let mut text = HEADING.to_owned();
        text += &format!("date\t{date}\nmachine\t{machine}\nload\t{load}\nblocks\t{n_blocks}\n");
        for Program { name, version } in &self.programs {
            text += &format!("program\t{name}\t{version}\n");
        }
        for Entry { measure, program, best, median } in &self.entries {
            let (name, unit) = (measure.name(), measure.unit());
            text += &format!("result\t{name}\t{program}\t{unit}\t{best:.3}\t{median:.3}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_results_parse_back() {
        let circumstances = Circumstances {
            date: "2026-11-25".into(),
            machine: "2 CPUs, Linux".into(),
            load: "0.1 before, 1.9 after".into(),
            n_blocks: 3,
        };
        let program = Program { name: "loky".into(), version: "0.1.0".into() };
        let mut results = Results::new(circumstances, vec![program.clone()]);
        results.add(Measure::RoundTrip, "loky", &[4.0, 3.0, 5.5]);
        results.add(Measure::Map, "loky", &[2e6, 3e6, 1e6]);
        assert_eq!(results.of(Measure::RoundTrip, &program), Some((3.0, 4.0)));
        assert_eq!(results.of(Measure::Map, &program), Some((3e6, 2e6)));
        assert_eq!(results.of(Measure::Start, &program), None);
        assert_eq!(Results::parse(&results.to_text()).expect("its own text"), results);
        for text in ["result\tmap\n", "result\tfly\tloky\tms\t1\t2\n", "blocks\tmany\n"] {
            assert!(Results::parse(text).is_err(), "{text}");
        }
    }
}
