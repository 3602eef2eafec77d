//! How deep values may be nested.
//!
//! A level is a call of serde into the next value: the content of a sequence, a map, a struct or an enum (two levels for a
//! variant with several fields), and also that of a `Some` and a newtype, which take no bytes but take stack. Both directions
//! count alike, so a value that can be encoded can be decoded; and ciborium, which counts fewer things and stops at 256,
//! is never the first to stop. The stack that the levels take is limited too, for types that take much of it. The address of a
//! variable is the position in the stack.
//!
//! It must never let an input choose the depth of the stack. Tested with lists, with bytes that nest without end, with
//! types that recurse without taking bytes, and with one that is large, on a thread with the standard 2 MiB of stack.

use std::fmt;

/// Ciborium's own limit, and twice that of `serde_json`. An ordinary type takes 4 to 6 KiB of stack for a level without
/// optimisation and 1 KiB with it.
pub(super) const MOST_LEVELS: u32 = 256;

/// Threads of the standard library have 2 MiB, and the main thread on Windows, where its workers run, has 1 MiB. The
/// rest is for the caller, and for the innermost value.
const MOST_STACK_BYTES: usize = if cfg!(windows) { 512 << 10 } else { 1536 << 10 };

/// The levels and the stack that are left for nested values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels {
    left: u32,
    /// The position in the stack at which the outermost value began.
    began: usize,
}

impl Levels {
    #[inline]
    pub(super) fn outermost() -> Self {
        Self { left: MOST_LEVELS, began: place() }
    }

    /// Goes one level down.
    ///
    /// # Errors
    /// No level is left, or no stack.
    #[inline]
    pub(super) fn deeper(self) -> Result<Self, TooDeep> {
        let left = self.left.checked_sub(1).ok_or(TooDeep::Levels)?;
        if place().abs_diff(self.began) > MOST_STACK_BYTES {
            return Err(TooDeep::Stack);
        }
        Ok(Self { left, ..self })
    }
}

#[inline]
fn place() -> usize {
    let here = 0_u8;
    (&raw const here).addr()
}

/// There is nothing left.
#[derive(Debug)]
pub(super) enum TooDeep {
    Levels,
    Stack,
}

impl fmt::Display for TooDeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Levels => write!(f, "nested deeper than {MOST_LEVELS} levels"),
            Self::Stack => f.write_str("nested too deep for the stack"),
        }
    }
}
