//! Alternating blocks of a subject and its reference, and their ratios.
//!
//! Other load on the machine affects both blocks of a pair. A ratio is always subject / reference. The [`Unit`] says which
//! direction is better.

use crate::Result;

/// The unit of the number of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds per call: less is better.
    Micros,
    /// Memory in KiB: less is better.
    KibiBytes,
    /// Calls per second: more is better.
    PerSecond,
}

/// The measurement of a row: pairs of blocks.
#[derive(Clone, Debug)]
pub struct Blocks {
    unit: Unit,
    pairs: Vec<Pair>,
    remark: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    subject: f64,
    reference: f64,
}

/// Measures `blocks` pairs of blocks. The subject and the reference are first in turn.
///
/// # Errors
/// The first error of a block.
pub fn interleave(
    unit: Unit,
    blocks: usize,
    mut subject: impl FnMut() -> Result<f64>,
    mut reference: impl FnMut() -> Result<f64>,
) -> Result<Blocks> {
    let mut pairs = Vec::with_capacity(blocks);
    for block in 0..blocks {
        pairs.push(if block.is_multiple_of(2) {
            let subject = subject()?;
            Pair { subject, reference: reference()? }
        } else {
            let reference = reference()?;
            Pair { subject: subject()?, reference }
        });
    }
    Ok(Blocks { unit, pairs, remark: None })
}

impl Blocks {
    /// Returns the unit of the numbers.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Adds a remark to the numbers.
    #[must_use]
    pub fn with_remark(self, remark: Option<String>) -> Self {
        Self { remark, ..self }
    }

    /// Returns how the measurement differs from the name of the row, if it does.
    #[must_use]
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// Returns the median of the subject's blocks.
    #[must_use]
    pub fn subject(&self) -> f64 {
        median(self.subjects())
    }

    /// Returns the median of the reference's blocks.
    #[must_use]
    pub fn reference(&self) -> f64 {
        median(self.references())
    }

    /// Returns the best ratio of a pair, from the view of the subject.
    #[must_use]
    pub fn best_ratio(&self) -> f64 {
        let best = match self.unit {
            Unit::Micros | Unit::KibiBytes => f64::min,
            Unit::PerSecond => f64::max,
        };
        self.ratios().reduce(best).unwrap_or(f64::NAN)
    }

    /// Returns the median of the ratios of the pairs, which is not the ratio of the medians.
    #[must_use]
    pub fn median_ratio(&self) -> f64 {
        median(self.ratios())
    }

    /// Returns the least and the greatest value of the subject's blocks, then of the reference's.
    #[must_use]
    pub fn ranges(&self) -> [(f64, f64); 2] {
        [range(self.subjects()), range(self.references())]
    }

    fn subjects(&self) -> impl Iterator<Item = f64> {
        self.pairs.iter().map(|pair| pair.subject)
    }

    fn references(&self) -> impl Iterator<Item = f64> {
        self.pairs.iter().map(|pair| pair.reference)
    }

    fn ratios(&self) -> impl Iterator<Item = f64> {
        self.pairs.iter().map(|pair| pair.subject / pair.reference)
    }
}

/// Returns the median; of an even number of values the mean of the middle two.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => f64::NAN,
        (middle, 1) => values[middle],
        (middle, _) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(least, most), value| (value.min(least), value.max(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(unit: Unit, subjects: &[f64], references: &[f64]) -> Blocks {
        let (mut subjects, mut references) = (subjects.iter(), references.iter());
        let next = |values: &mut std::slice::Iter<'_, f64>| Ok(*values.next().expect("a block"));
        interleave(unit, subjects.len(), || next(&mut subjects), || next(&mut references))
            .expect("numbers")
    }

    #[test]
    fn unit_decides_best_ratio_but_not_median() {
        let (subjects, references) = ([8.0, 2.0, 9.0], [2.0, 2.0, 3.0]);
        let times = blocks(Unit::Micros, &subjects, &references);
        assert_eq!((times.best_ratio(), times.median_ratio()), (1.0, 3.0));
        let rates = blocks(Unit::PerSecond, &subjects, &references);
        assert_eq!((rates.best_ratio(), rates.median_ratio()), (4.0, 3.0));
        assert_eq!((rates.subject(), rates.reference()), (8.0, 2.0));
        assert_eq!(rates.ranges(), [(2.0, 9.0), (2.0, 3.0)]);
    }

    #[test]
    fn median_of_even_number_is_mean_of_middle_two() {
        assert_eq!(blocks(Unit::Micros, &[1.0, 4.0], &[1.0, 1.0]).median_ratio(), 2.5);
        assert!(blocks(Unit::Micros, &[], &[]).median_ratio().is_nan());
    }

    #[test]
    fn first_block_of_pair_alternates() {
        let order = std::cell::RefCell::new(String::new());
        let note = |side: char| {
            order.borrow_mut().push(side);
            Ok(1.0)
        };
        interleave(Unit::Micros, 3, || note('s'), || note('r')).expect("numbers");
        assert_eq!(order.into_inner(), "srrssr");
    }
}
