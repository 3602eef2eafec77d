//! Values that are nothing but their bytes: what may lie in memory that another process has filled.
//!
//! # Safety
//! [`Pod`] is implemented here and nowhere else: for types without padding, references and invalid bit patterns. So bytes of
//! the right number and alignment are values, whoever has written them, and values are bytes.
#![allow(unsafe_code, reason = "which types are plain bytes is a promise that rustc cannot check")]

use std::{ptr, slice};

use super::huge_pages;

/// Plain old data: numbers, and arrays of them. Any bytes are a value of it, and it has no others.
///
/// What can be an element of a `SharedSlice`. The library's own: it cannot be implemented
/// elsewhere. With the feature `bytemuck` it is what `bytemuck` has as `Pod`, which can be derived.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an element of shared memory",
    label = "is no plain number, or array of them",
    note = "help: the feature `bytemuck` of `loky` allows types that derive `bytemuck::Pod`"
)]
pub trait Pod: sealed::Sealed + Copy + 'static {}

#[diagnostic::do_not_recommend]
impl<T: sealed::Sealed + Copy + 'static> Pod for T {}

mod sealed {
    /// # Safety
    /// Any bytes are a value; no padding.
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub unsafe trait Sealed {}
}

#[cfg(feature = "bytemuck")]
// SAFETY: bytemuck asks for the same, and more.
unsafe impl<T: bytemuck::Pod> sealed::Sealed for T {}

#[cfg(not(feature = "bytemuck"))]
mod numbers {
    use super::sealed::Sealed;

    macro_rules! numbers {
        ($($number:ty)*) => {$(
            // SAFETY: a number: all its bytes count, and all bytes are one.
            unsafe impl Sealed for $number {}
        )*};
    }
    numbers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }

    // SAFETY: one element behind the other, with nothing between them.
    unsafe impl<T: Sealed, const N: usize> Sealed for [T; N] {}
}

/// A number, or an array of them, of such arrays too: what is [`Pod`] whichever features are on.
#[expect(unnameable_types, reason = "nobody outside has a use for its name")]
pub trait Numeric: Pod {
    /// What the numbers are.
    const NUMBER: Number;
}

/// A kind of number. Those of the same kind have the same values for the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(unnameable_types, reason = "nobody outside has a use for its name")]
pub struct Number {
    /// As the names of the types begin.
    pub(crate) letter: u8,
    pub(crate) bytes: u8,
}

macro_rules! numeric {
    ($($letter:literal: $($number:ty)*;)*) => {$($(
        impl Numeric for $number {
            const NUMBER: Number = Number { letter: $letter, bytes: size_of::<Self>() as u8 };
        }
    )*)*};
}
numeric! {
    b'u': u8 u16 u32 u64 u128 usize;
    b'i': i8 i16 i32 i64 i128 isize;
    b'f': f32 f64;
}

impl<T: Numeric, const N: usize> Numeric for [T; N]
where
    Self: Pod,
{
    const NUMBER: Number = T::NUMBER;
}

/// What a slice consists of.
pub(crate) fn bytes_of<T: Pod>(values: &[T]) -> &[u8] {
    // SAFETY: no byte of a `Pod` is padding, so all are initialised; the length is that of the same memory.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// So many values, with these bytes, which have no alignment. The one copy is into memory of their own.
///
/// # Panics
/// The bytes are of another number of values.
pub(crate) fn from_bytes<T: Pod>(bytes: &[u8], count: usize) -> Vec<T> {
    assert_eq!(count.checked_mul(size_of::<T>()), Some(bytes.len()), "as many bytes as values");
    let mut values = Vec::<T>::with_capacity(count);
    huge_pages::prefer(&mut values);
    // SAFETY: there is room for `count` values, which are so many bytes, in memory that nobody else has.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), values.as_mut_ptr().cast(), bytes.len()) };
    // SAFETY: so many were just filled, and any bytes are a `Pod`.
    unsafe { values.set_len(count) };
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_their_bytes() {
        assert_eq!(bytes_of::<f64>(&[]), []);
        assert_eq!(bytes_of(&[1_u8, 2]), [1, 2]);
        assert_eq!(bytes_of(&[[0x0201_u16.to_le(), 0x0403_u16.to_le()]]), [1, 2, 3, 4]);
        assert_eq!(bytes_of(&[-1_i128]), [0xff; 16]);
    }

    #[test]
    fn bytes_at_any_address_are_values() {
        let values = [1.5_f64, -0.0, f64::NEG_INFINITY];
        for shift in 0..8 {
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(bytes_of(&values));
            assert_eq!(from_bytes::<f64>(&bytes[shift..], 3), values, "{shift}");
        }
        assert_eq!(from_bytes::<[u8; 2]>(&[1, 2, 3, 4], 2), [[1, 2], [3, 4]]);
        assert_eq!(from_bytes::<u64>(&[], 0), []);
        assert_eq!(from_bytes::<[u8; 0]>(&[], 3), [[]; 3], "nothing, three times");
    }

    #[test]
    #[should_panic(expected = "as many bytes as values")]
    fn a_number_of_values_that_is_not_that_of_the_bytes() {
        let _ = from_bytes::<u64>(&[0; 16], 1 << 61 | 2);
    }

    #[test]
    fn an_array_is_as_numeric_as_its_numbers() {
        assert_eq!(<[[f32; 3]; 0]>::NUMBER, Number { letter: b'f', bytes: 4 });
        assert_eq!(i128::NUMBER, Number { letter: b'i', bytes: 16 });
        assert_ne!(u32::NUMBER, i32::NUMBER);
    }
}
