//! Values that are nothing but their bytes: what may lie in memory that another process has filled.
//!
//! # Safety
//! [`Pod`] is implemented here and nowhere else: for types without padding, references and invalid bit patterns. So bytes of
//! the right number and alignment are values, whoever has written them, and values are bytes.
#![allow(unsafe_code, reason = "which types are plain bytes is a promise that rustc cannot check")]

use std::slice;

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

/// What a slice consists of.
pub(crate) fn bytes_of<T: Pod>(values: &[T]) -> &[u8] {
    // SAFETY: no byte of a `Pod` is padding, so all are initialised; the length is that of the same memory.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
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
}
