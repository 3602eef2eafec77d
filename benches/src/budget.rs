//! Limits of ratios, for this version and for a later one.

use std::fmt;

use crate::blocks::{Blocks, Unit};

/// The limits for the median ratio of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    now: Option<f64>,
    later: Option<f64>,
}

impl Budget {
    /// No limit: the row only informs.
    pub const NONE: Self = Self { now: None, later: None };

    /// Returns a limit that the row has to meet.
    #[must_use]
    pub const fn now(limit: f64) -> Self {
        Self { now: Some(limit), later: None }
    }

    /// Adds a limit for a later version. Missing it is no failure.
    #[must_use]
    pub const fn later(self, limit: f64) -> Self {
        Self { later: Some(limit), ..self }
    }

    /// Returns whether the row meets the limits.
    #[must_use]
    pub fn verdict(&self, blocks: &Blocks) -> Verdict {
        let median = blocks.median_ratio();
        let is_within = |limit: f64| match blocks.unit() {
            Unit::Micros | Unit::KibiBytes => median <= limit,
            Unit::PerSecond => median >= limit,
        };
        match (self.now.map(is_within), self.later.map(is_within)) {
            (Some(false), _) => Verdict::Missed,
            (_, Some(true)) => Verdict::MetEarly,
            (Some(true), _) => Verdict::Met,
            (None, Some(false)) => Verdict::NotYet,
            (None, None) => Verdict::None,
        }
    }

    /// Returns the limits as text, for numbers of this unit.
    #[must_use]
    pub fn to_text(&self, unit: Unit) -> String {
        let sign = match unit {
            Unit::Micros | Unit::KibiBytes => '≤',
            Unit::PerSecond => '≥',
        };
        match (self.now, self.later) {
            (None, None) => "no budget".to_owned(),
            (Some(now), None) => format!("{sign} {now}×"),
            (None, Some(later)) => format!("later {sign} {later}×"),
            (Some(now), Some(later)) => format!("{sign} {now}×, later {later}×"),
        }
    }
}

/// The result of a row against its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The row has no budget.
    None,
    /// The row is within the limit.
    Met,
    /// The row is already within the limit of the later version.
    MetEarly,
    /// The only limit is for a later version, and the row does not meet it.
    NotYet,
    /// The row is beyond the limit.
    Missed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "–",
            Self::Met => "met",
            Self::MetEarly => "met, later one too",
            Self::NotYet => "not yet",
            Self::Missed => "MISSED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::interleave;

    #[track_caller]
    fn check(unit: Unit, ratio: f64, budget: Budget, text: &str, verdict: Verdict) {
        let blocks = interleave(unit, 5, || Ok(ratio), || Ok(1.0)).expect("numbers");
        assert_eq!((budget.to_text(unit).as_str(), budget.verdict(&blocks)), (text, verdict));
    }

    #[test]
    fn time_above_limit_is_missed() {
        let budget = Budget::now(1.5).later(0.7);
        let text = "≤ 1.5×, later 0.7×";
        check(Unit::Micros, 1.6, budget, text, Verdict::Missed);
        check(Unit::Micros, 1.5, budget, text, Verdict::Met);
        check(Unit::Micros, 0.7, budget, text, Verdict::MetEarly);
    }

    #[test]
    fn rate_below_limit_is_missed() {
        check(Unit::PerSecond, 0.4, Budget::now(0.5), "≥ 0.5×", Verdict::Missed);
        check(Unit::PerSecond, 0.6, Budget::now(0.5), "≥ 0.5×", Verdict::Met);
        let later = Budget::NONE.later(0.4);
        check(Unit::PerSecond, 0.3, later, "later ≥ 0.4×", Verdict::NotYet);
        check(Unit::PerSecond, 0.4, later, "later ≥ 0.4×", Verdict::MetEarly);
        check(Unit::PerSecond, 0.4, Budget::NONE, "no budget", Verdict::None);
    }
}
