//! Blocks of a subject and of its reference, measured by turns, and what their ratios say.
//!
//! Whatever else the machine does falls on both blocks of a pair. A ratio is always subject / reference; which direction is
//! better follows from the [`Unit`].

use crate::Result;

/// What a block's number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds for one call: less is better.
    Micros,
    /// Memory in KiB: less is better.
    KibiBytes,
    /// Calls in a second: more is better.
    PerSecond,
}

/// What was measured: pairs of blocks.
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

/// Measures `blocks` blocks of the subject and of the reference by turns; who goes first changes from pair to pair.
///
/// # Errors
/// The first that a block has.
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
    /// What the numbers mean.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// With something to be said beside the numbers.
    #[must_use]
    pub fn with_remark(self, remark: Option<String>) -> Self {
        Self { remark, ..self }
    }

    /// What was measured otherwise than the name of the row says.
    #[must_use]
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// The median of the subject's blocks.
    #[must_use]
    pub fn subject(&self) -> f64 {
        median(self.subjects())
    }

    /// The median of the reference's blocks.
    #[must_use]
    pub fn reference(&self) -> f64 {
        median(self.references())
    }

    /// The ratio of the pair in which the subject did best.
    #[must_use]
    pub fn best_ratio(&self) -> f64 {
        let best = match self.unit {
            Unit::Micros | Unit::KibiBytes => f64::min,
            Unit::PerSecond => f64::max,
        };
        self.ratios().reduce(best).unwrap_or(f64::NAN)
    }

    /// The median of the pairs' ratios, which is not the ratio of the medians.
    #[must_use]
    pub fn median_ratio(&self) -> f64 {
        median(self.ratios())
    }

    /// The least and the most of the subject's blocks, then of the reference's.
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

/// The middle one; of an even number, the mean of the two in the middle.
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
    fn best_depends_on_the_unit_and_the_median_does_not() {
        let (subjects, references) = ([8.0, 2.0, 9.0], [2.0, 2.0, 3.0]);
        let times = blocks(Unit::Micros, &subjects, &references);
        assert_eq!((times.best_ratio(), times.median_ratio()), (1.0, 3.0));
        let rates = blocks(Unit::PerSecond, &subjects, &references);
        assert_eq!((rates.best_ratio(), rates.median_ratio()), (4.0, 3.0));
        assert_eq!((rates.subject(), rates.reference()), (8.0, 2.0));
        assert_eq!(rates.ranges(), [(2.0, 9.0), (2.0, 3.0)]);
    }

    #[test]
    fn a_median_of_an_even_number_lies_between() {
        assert_eq!(blocks(Unit::Micros, &[1.0, 4.0], &[1.0, 1.0]).median_ratio(), 2.5);
        assert!(blocks(Unit::Micros, &[], &[]).median_ratio().is_nan());
    }

    #[test]
    fn who_goes_first_changes() {
        let order = std::cell::RefCell::new(String::new());
        let note = |who: char| {
            order.borrow_mut().push(who);
            Ok(1.0)
        };
        interleave(Unit::Micros, 3, || note('s'), || note('r')).expect("numbers");
        assert_eq!(order.into_inner(), "srrssr");
    }
}
