//! Plain old data: types of which any bytes are a valid value. Only these may lie in memory that another process has filled.
//!
//! # Safety
//! Only this file implements [`Pod`], for types without padding, references and invalid bit patterns. So any bytes of the right
//! number and alignment are values, and values are initialised bytes.
#![allow(unsafe_code, reason = "rustc cannot check which types are plain bytes")]

use std::{ptr, slice};

use super::huge_pages;

/// Plain old data: numbers, and arrays of them. Any bytes are a valid value.
///
/// The elements of a `SharedSlice` implement this trait. It is sealed: only the library implements it. With the feature `bytemuck`
/// every type that implements `bytemuck::Pod`, which can be derived, implements it too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an element of shared memory",
    label = "not a plain number or an array of plain numbers",
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
// SAFETY: bytemuck requires these properties and more.
unsafe impl<T: bytemuck::Pod> sealed::Sealed for T {}

#[cfg(not(feature = "bytemuck"))]
mod numbers {
    use super::sealed::Sealed;

    macro_rules! numbers {
        ($($number:ty)*) => {$(
            // SAFETY: a number has no padding, and any bytes are a number.
            unsafe impl Sealed for $number {}
        )*};
    }
    numbers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }

    // SAFETY: the elements follow each other without padding.
    unsafe impl<T: Sealed, const N: usize> Sealed for [T; N] {}
}

/// A number, or a nested array of numbers: the types that are [`Pod`] with any features.
#[expect(unnameable_types, reason = "no user needs its name")]
pub trait Numeric: Pod {
    /// The kind of the numbers.
    const NUMBER: Number;
}

/// A kind of number. Within a kind, equal bytes are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(unnameable_types, reason = "no user needs its name")]
pub struct Number {
    /// The first letter of the type names.
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

/// Returns the bytes of a slice.
pub(crate) fn bytes_of<T: Pod>(values: &[T]) -> &[u8] {
    // SAFETY: no byte of a `Pod` is padding, so all are initialised; the length is that of the slice in bytes.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Copies `count` values from bytes of any alignment.
///
/// # Panics
/// If the length of the bytes is not that of `count` values.
pub(crate) fn from_bytes<T: Pod>(bytes: &[u8], count: usize) -> Vec<T> {
    assert_eq!(count.checked_mul(size_of::<T>()), Some(bytes.len()), "as many bytes as values");
    let mut values = Vec::<T>::with_capacity(count);
    huge_pages::prefer(&mut values);
    // SAFETY: the new vector has capacity for `count` values, which have the length of the bytes.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), values.as_mut_ptr().cast(), bytes.len()) };
    // SAFETY: `count` values were just filled, and any bytes are a `Pod`.
    unsafe { values.set_len(count) };
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_are_native_bytes() {
        assert_eq!(bytes_of::<f64>(&[]), []);
        assert_eq!(bytes_of(&[1_u8, 2]), [1, 2]);
        assert_eq!(bytes_of(&[[0x0201_u16.to_le(), 0x0403_u16.to_le()]]), [1, 2, 3, 4]);
        assert_eq!(bytes_of(&[-1_i128]), [0xff; 16]);
    }

    #[test]
    fn from_bytes_accepts_any_alignment() {
        let values = [1.5_f64, -0.0, f64::NEG_INFINITY];
        for shift in 0..8 {
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(bytes_of(&values));
            assert_eq!(from_bytes::<f64>(&bytes[shift..], 3), values, "{shift}");
        }
        assert_eq!(from_bytes::<[u8; 2]>(&[1, 2, 3, 4], 2), [[1, 2], [3, 4]]);
        assert_eq!(from_bytes::<u64>(&[], 0), []);
        assert_eq!(from_bytes::<[u8; 0]>(&[], 3), [[]; 3], "three empty values");
    }

    #[test]
    #[should_panic(expected = "as many bytes as values")]
    fn from_bytes_with_wrong_count_panics() {
        let _ = from_bytes::<u64>(&[0; 16], 1 << 61 | 2);
    }

    #[test]
    fn array_has_the_kind_of_its_numbers() {
        assert_eq!(<[[f32; 3]; 0]>::NUMBER, Number { letter: b'f', bytes: 4 });
        assert_eq!(i128::NUMBER, Number { letter: b'i', bytes: 16 });
        assert_ne!(u32::NUMBER, i32::NUMBER);
    }
}
