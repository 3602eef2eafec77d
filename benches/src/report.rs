//! The table: one row per measurement, in columns of fixed width, so that each row can be printed when it is done.

use std::fmt;

use crate::blocks::{Blocks, Unit};
use crate::budget::{Budget, Verdict};
use crate::placement::Placement;

/// Returns the first line of the table.
#[must_use]
pub fn heading() -> String {
    columns(["placement", "row", "subject", "reference", "best", "median", "budget", "verdict"])
}

/// Returns the line of one row, followed by a line for each remark.
#[must_use]
pub fn line(placement: Placement, row: &str, blocks: &Blocks, budget: &Budget) -> String {
    let ratio = |value: f64| format!("{value:.2}×");
    let mut line = columns([
        placement.name(),
        row,
        &quantity(blocks.unit(), blocks.subject()),
        &quantity(blocks.unit(), blocks.reference()),
        &ratio(blocks.best_ratio()),
        &ratio(blocks.median_ratio()),
        &budget.to_text(blocks.unit()),
        &budget.verdict(blocks).to_string(),
    ]);
    for remark in [blocks.remark().map(str::to_owned), unsteadiness(blocks)].into_iter().flatten() {
        line += &format!("\n{:<10}   {remark}", "");
    }
    line
}

/// The factor between the blocks of one side from which a median says little.
const UNSTEADY: f64 = 2.0;

/// Returns a remark if the blocks of a side differ much. The usual cause is that the system moved processes between CPUs: waking
/// an idle CPU takes several times as long as a message on one CPU.
fn unsteadiness(blocks: &Blocks) -> Option<String> {
    let ranges = blocks.ranges();
    if ranges.iter().all(|(least, most)| *most < least * UNSTEADY) {
        return None;
    }
    let [subject, reference] = ranges.map(|(least, most)| {
        format!("{} to {}", quantity(blocks.unit(), least), quantity(blocks.unit(), most))
    });
    Some(format!("unsteady: subject {subject}, reference {reference}"))
}

/// Counts the rows by their verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    met: usize,
    missed: usize,
    not_yet: usize,
    without: usize,
}

impl Tally {
    /// Counts a row.
    pub fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Met | Verdict::MetEarly => &mut self.met,
            Verdict::Missed => &mut self.missed,
            Verdict::NotYet => &mut self.not_yet,
            Verdict::None => &mut self.without,
        } += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { met, missed, not_yet, without } = self;
        write!(f, "{met} met, {missed} missed, {not_yet} not yet, {without} without a budget")
    }
}

fn columns(cells: [&str; 8]) -> String {
    let [placement, row, subject, reference, best, median, budget, verdict] = cells;
    format!(
        "{placement:<10} {row:<22} {subject:>11} {reference:>11} {best:>8} {median:>8}  {budget:<18} {verdict}"
    )
}

/// Formats a number with its unit and at least three digits.
fn quantity(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Micros if value < 1e4 => format!("{value:.1} µs"),
        Unit::Micros => format!("{:.1} ms", value / 1e3),
        Unit::KibiBytes => format!("{value:.0} KiB"),
        Unit::PerSecond if value < 1e6 => format!("{:.1} k/s", value / 1e3),
        Unit::PerSecond => format!("{:.2} M/s", value / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::interleave;

    #[test]
    fn lines_align_with_heading() {
        let blocks = interleave(Unit::Micros, 5, || Ok(12.4), || Ok(4.0)).expect("numbers");
        let budget = Budget::now(1.5).later(0.7);
        let line = line(Placement::Unpinned, "round trip", &blocks, &budget);
        let words: Vec<&str> = line.split_whitespace().collect();
        let wanted = "unpinned round trip 12.4 µs 4.0 µs 3.10× 3.10× ≤ 1.5×, later 0.7× MISSED";
        assert_eq!(words.join(" "), wanted);
        let before = |text: &str, word: &str| {
            text.split_once(word).expect("the word is there").0.chars().count()
        };
        assert_eq!(before(&heading(), "best") + 4, before(&line, "3.10×") + 5);
        assert_eq!(before(&heading(), "verdict"), before(&line, "MISSED"));
    }

    #[test]
    fn tally_counts_verdicts() {
        let mut tally = Tally::default();
        for verdict in [Verdict::Met, Verdict::MetEarly, Verdict::Missed, Verdict::NotYet] {
            tally.count(verdict);
        }
        assert_eq!(tally.to_string(), "2 met, 1 missed, 1 not yet, 0 without a budget");
    }

    #[test]
    fn remarks_follow_their_row() {
        let mut subjects = [2.0, 1.0, 1.0, 1.0, 1.0].into_iter();
        let next = || Ok(subjects.next().expect("a block"));
        let blocks = interleave(Unit::Micros, 5, next, || Ok(4.0)).expect("numbers");
        let blocks = blocks.with_remark(Some("fewer calls".to_owned()));
        let text = line(Placement::Unpinned, "row", &blocks, &Budget::NONE);
        let remarks: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
        let unsteady = "unsteady: subject 1.0 µs to 2.0 µs, reference 4.0 µs to 4.0 µs";
        assert_eq!(remarks, ["fewer calls", unsteady]);
    }

    #[test]
    fn large_numbers_get_larger_units() {
        assert_eq!(quantity(Unit::Micros, 9_999.0), "9999.0 µs");
        assert_eq!(quantity(Unit::Micros, 12_345.0), "12.3 ms");
        assert_eq!(quantity(Unit::KibiBytes, 1_164.0), "1164 KiB");
        assert_eq!(quantity(Unit::PerSecond, 12_345.0), "12.3 k/s");
        assert_eq!(quantity(Unit::PerSecond, 12_345_678.0), "12.35 M/s");
    }
}
