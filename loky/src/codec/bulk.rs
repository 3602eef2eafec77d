//! Vectors of numbers, copied from memory as a whole instead of number by number through serde.
//!
//! ```text
//!        0      1        2      3       4               8               16
//!  value │ mark │ letter │ bytes │ place │ element bytes │ element count │ elements …         where `place` is `INLINE`
//!                └─ of a number ─┘                                        │ attachment │       where it is `SEGMENT`
//!                                         head: little-endian; elements: in this machine's order
//! ```
//!
//! Many elements go into a segment, if one is available ([`out_of_line`]): copied there once, and from there into the receiver's
//! vector.
//!
//! The [`ValueCodec`] of a type decides: a `Vec` of [`Numeric`] elements travels in bulk, if it is a whole argument or result.
//! [`BulkProbe`] tells such types from others. Two programs that disagree on a type get an error, since the head names the type of
//! the numbers, and no CBOR begins with the mark.
//!
//! It must never change a bit, or allocate for more elements than there are bytes. Tested beside the code, and in calls by the
//! package `tests`.

use std::any::type_name;
use std::marker::PhantomData;

use super::{Attachments, CodecError, EncodedValue, ValueCodec, out_of_line};
use crate::segments::Segments;
use crate::sys::huge_pages;
use crate::sys::pod::{self, Number, Numeric};

/// Tells the macro whether values of `T` travel in bulk, by the constant `__LOKY_BULK`. There are two constants of that name: rustc
/// takes the inherent one, which only vectors of numbers have, before that of the trait [`BySerde`].
#[doc(hidden)]
#[derive(Debug)]
pub struct BulkProbe<T>(PhantomData<T>);

impl<T: Numeric> BulkProbe<Vec<T>> {
    /// In bulk.
    pub const __LOKY_BULK: Option<ValueCodec<Vec<T>>> =
        Some(ValueCodec::of(|values, out, segments| encode(values, out, segments), decode));
}

/// All types that do not travel in bulk. It has no bound, so that a type without serde's traits gives one error, elsewhere.
#[doc(hidden)]
pub trait BySerde<T> {
    /// Not in bulk.
    const __LOKY_BULK: Option<ValueCodec<T>> = None;
}

impl<T> BySerde<T> for BulkProbe<T> {}

/// No CBOR begins with this byte.
const MARK: u8 = 0xfe;

/// The elements follow.
const INLINE: u8 = 0;

/// The number of the attachment with the elements follows.
const SEGMENT: u8 = 1;

/// The first half of the head: the type of the elements, and their place.
fn kind<T: Numeric>(place: u8) -> [u8; 8] {
    let Number { letter, bytes } = T::NUMBER;
    // The lower half of a larger size suffices to tell types apart.
    let [a, b, c, d] = (size_of::<T>() as u32).to_le_bytes();
    [MARK, letter, bytes, place, a, b, c, d]
}

fn head<T: Numeric>(place: u8, count: usize) -> [[u8; 8]; 2] {
    [kind::<T>(place), (count as u64).to_le_bytes()]
}

fn encode<T: Numeric>(
    values: &[T],
    out: &mut EncodedValue,
    segments: Option<&Segments>,
) -> Result<(), CodecError> {
    let elements = pod::bytes_of(values);
    if let Some(attachment) = out_of_line::put(elements, &mut out.attachments, segments) {
        out.bytes.extend_from_slice(head::<T>(SEGMENT, values.len()).as_flattened());
        out.bytes.extend_from_slice(&attachment.to_le_bytes());
        return Ok(());
    }
    let (head, out) = (head::<T>(INLINE, values.len()), &mut out.bytes);
    // Reserved at once: growing twice would copy the earlier arguments twice, which may be large.
    out.reserve(size_of_val(&head) + elements.len());
    huge_pages::prefer(out);
    out.extend_from_slice(head.as_flattened());
    out.extend_from_slice(elements);
    Ok(())
}

fn decode<T: Numeric>(input: &mut &[u8], attachments: &Attachments) -> Result<Vec<T>, CodecError> {
    let (found, rest) = input.split_first_chunk().ok_or_else(too_early)?;
    let is_in_segment = *found == kind::<T>(SEGMENT);
    if !is_in_segment && *found != kind::<T>(INLINE) {
        return Err(CodecError(format!("no vector of `{}`", type_name::<T>())));
    }
    let (count, rest) = rest.split_first_chunk().ok_or_else(too_early)?;
    let count = usize::try_from(u64::from_le_bytes(*count)).map_err(|_| too_early())?;
    if is_in_segment {
        let (attachment, rest) = rest.split_first_chunk().ok_or_else(too_early)?;
        *input = rest;
        let mut values = Vec::new();
        out_of_line::take(u32::from_le_bytes(*attachment), count, attachments, &mut values)?;
        return Ok(values);
    }
    let length = count.checked_mul(size_of::<T>()).ok_or_else(too_early)?;
    let (elements, rest) = rest.split_at_checked(length).ok_or_else(too_early)?;
    *input = rest;
    Ok(pod::from_bytes(elements, count))
}

/// Worded like the error of serde.
fn too_early() -> CodecError {
    CodecError("the bytes end too early".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    use crate::codec::argument;

    /// The codec of a type, as the macro chooses it.
    macro_rules! codec {
        ($of:ty) => {
            argument::<$of>().or_rather(BulkProbe::<$of>::__LOKY_BULK)
        };
    }

    fn encoded<T: Numeric>(values: &[T]) -> Vec<u8> {
        let mut out = EncodedValue::default();
        encode(values, &mut out, None).expect("is encoded");
        out.bytes
    }

    /// With nothing beside the bytes.
    fn decode<T: Numeric>(input: &mut &[u8]) -> Result<Vec<T>, CodecError> {
        super::decode(input, &Attachments::new())
    }

    /// There and back, bit by bit, at every alignment; with another one behind it; and not if any of it is missing.
    #[track_caller]
    fn check<T: Numeric + Debug>(some: [T; 3]) {
        for length in [0, 1, 2, 3, 1000] {
            let values: Vec<T> = some.into_iter().cycle().take(length).collect();
            let bytes = encoded(&values);
            for shift in 0..16 {
                let shifted = [vec![0; shift], bytes.clone(), encoded(&some)].concat();
                let mut rest = &shifted[shift..];
                for expected in [&values, &some.to_vec()] {
                    let decoded = decode::<T>(&mut rest).expect("is decoded");
                    assert_eq!(pod::bytes_of(&decoded), pod::bytes_of(expected));
                }
                assert!(rest.is_empty());
            }
            for end in (0..bytes.len()).rev().take(40).chain(0..16) {
                let error = decode::<T>(&mut &bytes[..end]).expect_err("it is cut");
                assert_eq!(error, too_early());
            }
        }
    }

    #[test]
    fn all_numbers_make_a_round_trip() {
        macro_rules! whole {
            ($($number:ty)*) => { $(check::<$number>([0, <$number>::MIN, <$number>::MAX]);)* };
        }
        whole!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);
        check([-0.0, f32::from_bits(0x7fa0_0001), f32::from_bits(0xffc0_1234)]);
        check([f64::MIN_POSITIVE, f64::from_bits(0x7ff0_0000_0000_0001), -f64::NAN]);
        check([[[1_u16; 2]; 40], [[2; 2]; 40], [[3; 2]; 40]]);
    }

    #[test]
    fn empty_vectors_make_a_round_trip() {
        let bytes = encoded(&[[0_u64; 0]; 5]);
        assert_eq!(bytes.len(), 16);
        assert_eq!(decode::<[u64; 0]>(&mut &bytes[..]), Ok(vec![[]; 5]));
    }

    #[test]
    fn claimed_element_count_is_an_error() {
        for count in [2, 3, 1 << 32, u64::MAX / 8, u64::MAX / 8 + 2, 1 << 61 | 1, u64::MAX] {
            let mut bytes = encoded(&[7_u64]);
            bytes[8..16].copy_from_slice(&count.to_le_bytes());
            assert_eq!(decode::<u64>(&mut &bytes[..]), Err(too_early()), "{count}");
        }
    }

    #[test]
    fn vector_of_another_type_is_an_error() {
        let refused = |of: &str| CodecError(format!("no vector of `{of}`"));
        let bytes = encoded(&[1_u32, 2, 3, 4]);
        assert_eq!(decode::<i32>(&mut &bytes[..]), Err(refused("i32")));
        assert_eq!(decode::<f32>(&mut &bytes[..]), Err(refused("f32")));
        assert_eq!(decode::<u64>(&mut &bytes[..]), Err(refused("u64")));
        assert_eq!(decode::<[u32; 2]>(&mut &bytes[..]), Err(refused("[u32; 2]")));
        assert_eq!(decode::<u8>(&mut &b"\x81\x01 no mark"[..]), Err(refused("u8")));
        crate::codec::decode::<Vec<u32>>(&mut &bytes[..]).expect_err("it is no CBOR");
        crate::codec::decode::<ciborium::Value>(&mut &bytes[..]).expect_err("it is no CBOR");
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        let bytes = encoded(&[[1_u16, 2, 3]; 9]);
        for _ in 0..10_000 {
            let mut bytes = bytes.clone();
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
            bytes.truncate(random.usize(..bytes.len() + 1));
            if let Ok(values) = decode::<[u16; 3]>(&mut &bytes[..]) {
                assert!(size_of_val(&values[..]) + 16 <= bytes.len());
            }
        }
    }

    #[test]
    fn only_vectors_of_numbers_are_bulk() {
        type Samples = Vec<f64>;
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct Own(u8);

        const fn is_bulk<T>(codec: Option<ValueCodec<T>>) -> bool {
            codec.is_some()
        }
        assert!(is_bulk(BulkProbe::<Vec<u8>>::__LOKY_BULK));
        assert!(is_bulk(BulkProbe::<Samples>::__LOKY_BULK));
        assert!(is_bulk(BulkProbe::<Vec<[[i8; 2]; 3]>>::__LOKY_BULK));
        assert!(!is_bulk(BulkProbe::<Vec<bool>>::__LOKY_BULK));
        assert!(!is_bulk(BulkProbe::<Vec<Own>>::__LOKY_BULK));
        assert!(!is_bulk(BulkProbe::<Option<Vec<u8>>>::__LOKY_BULK));
        assert!(!is_bulk(BulkProbe::<Vec<Vec<u8>>>::__LOKY_BULK));
        assert!(!is_bulk(BulkProbe::<Vec<std::rc::Rc<u8>>>::__LOKY_BULK), "it asks for nothing");

        let mut out = EncodedValue::default();
        codec!(Samples).encode(&vec![1.5], &mut out, None).expect("is encoded");
        codec!(Vec<Own>).encode(&vec![Own(1)], &mut out, None).expect("is encoded");
        assert_eq!(out.bytes, [&encoded(&[1.5])[..], &[0x81, 1]].concat());
        let (mut rest, attachments) = (&out.bytes[..], &out.attachments);
        assert_eq!(codec!(Samples).decode(&mut rest, attachments), Ok(vec![1.5]));
        assert_eq!(codec!(Vec<Own>).decode_all(rest, attachments), Ok(vec![Own(1)]));
    }
}
