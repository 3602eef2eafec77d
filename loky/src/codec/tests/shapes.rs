//! All other values of serde, with ciborium's own bytes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize};

use super::{check, check_malformed, check_plain, decoded, encoded};

#[test]
fn integers_make_a_round_trip() {
    for bits in 0..128 {
        let value = 1_i128 << bits;
        for value in [value, value.wrapping_sub(1), !value, value >> 1] {
            check_plain(value);
            check_plain(value.cast_unsigned());
            check_plain(value as i64);
            check_plain(value as u64);
            check_plain(value as i8);
            check_plain((value as u16, value as i32));
        }
    }
}

#[test]
fn floats_keep_all_their_bits() {
    let quiet_and_not =
        [0x7ff8 << 48, 0x7ff0 << 48 | 1, 0xfff4 << 48 | 0x1234, u64::MAX, 0x7ff << 52 | 1 << 29];
    let numbers =
        [0.0, -0.0, 1.5, 0.1, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::INFINITY, 65504.0, 6e-8];
    for bits in quiet_and_not.into_iter().chain(numbers.map(f64::to_bits)) {
        let bytes = encoded(&Some(f64::from_bits(bits))).unwrap();
        assert_eq!(decoded::<f64>(&bytes).map(f64::to_bits), Ok(bits));
    }
    let exponents = (0..=0xff).map(|exponent| exponent << 23);
    let mantissas = [0, 1, 0x1000, 0x2000, 0x3f_ffff, 0x40_0000, 0x40_0001, 0x7f_ffff];
    for bits in exponents.flat_map(|exponent| mantissas.map(|mantissa| exponent | mantissa)) {
        for bits in [bits, bits | 1 << 31] {
            let bytes = encoded(&[f32::from_bits(bits)]).unwrap();
            assert_eq!(decoded::<[f32; 1]>(&bytes).map(|[it]| it.to_bits()), Ok(bits));
        }
    }
    check_plain((0.1_f32, 0.1_f64, -0.0_f32, f32::MIN_POSITIVE / 4.0, Some(f64::INFINITY)));
}

#[test]
fn texts_make_a_round_trip() {
    for text in ["", "x", "ä€😀", &"😀".repeat(3), &"x😀".repeat(20_000)] {
        check_plain(text.to_owned());
        check_plain(text.chars().next());
        check_plain(Some(Box::<str>::from(text)));
    }
    check_plain(['\0', char::MAX, '\u{d7ff}']);
}

/// Byte strings, and a reader that asks for `str` or `bytes` of any length.
#[derive(Debug, PartialEq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, value: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(value.to_owned()))
            }
        }
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

#[test]
fn bytes_make_a_round_trip() {
    for len in [0, 1, 23, 24, 511, 512, 513, 5_000, 100_000] {
        check_plain(Bytes(vec![7; len]));
        check_plain(vec![7_u8; len]);
        let bytes = encoded(&Bytes(vec![7; len])).unwrap();
        assert_eq!(decoded(&bytes), Ok(vec![7_u8; len]));
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Named<T> {
    #[serde(rename = "other name")]
    a: T,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    b: Vec<T>,
    #[serde(skip)]
    c: u8,
    #[serde(with = "unsized_seq")]
    d: Vec<T>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair<T>(T, T);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Empty {}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Sum<T> {
    Unit,
    Newtype(T),
    Tuple(T, T),
    Struct { a: T, b: T },
    NoFields {},
    NoElements(),
}

mod unsized_seq {
    use super::*;

    pub(super) fn serialize<T: Serialize, S: serde::Serializer>(
        values: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        values.iter().try_for_each(|value| seq.serialize_element(value))?;
        seq.end()
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        Vec::deserialize(deserializer)
    }
}

#[test]
fn containers_make_a_round_trip() {
    for b in [vec![], vec![1.5, -2.0]] {
        check_plain(Named { a: 0.5, d: b.clone(), b, c: 0 });
    }
    check(Named { a: Some(None), b: vec![None, Some(Some(()))], c: 0, d: vec![Some(None), None] });
    check_plain(Empty {});
    check_plain(Some(Pair([0_u8; 0], [])));
    check_plain([
        Sum::Unit,
        Sum::Newtype(1),
        Sum::Tuple(2, 3),
        Sum::Struct { a: 4, b: 5 },
        Sum::NoFields {},
    ]);
    check_plain(Sum::<u8>::NoElements());
    check_plain(BTreeMap::from([((1, 'a'), vec![1]), ((2, 'b'), vec![])]));
    check_plain(BTreeMap::from([(vec![Some(1)], Some(2)), (vec![None], None)]));
    check_plain((
        Duration::from_nanos(1_500_000_001),
        PathBuf::from("a/b"),
        IpAddr::from([127, 0, 0, 1]),
    ));
    check_plain(Err::<u8, _>(String::from("no")));
    check_plain((0..10_000).collect::<Vec<u64>>());
}

/// Takes two elements and no more.
#[derive(Debug, PartialEq)]
struct FirstTwo(u8, u8);

impl<'de> Deserialize<'de> for FirstTwo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstTwoVisitor;
        impl<'de> Visitor<'de> for FirstTwoVisitor {
            type Value = FirstTwo;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("two elements")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<FirstTwo, A::Error> {
                let mut next = || seq.next_element().map(Option::unwrap_or_default);
                Ok(FirstTwo(next()?, next()?))
            }
        }
        deserializer.deserialize_seq(FirstTwoVisitor)
    }
}

/// Ciborium alone would go on reading in the middle of the sequence.
#[test]
fn unread_elements_are_an_error() {
    #[derive(Serialize)]
    struct Unsized(#[serde(with = "unsized_seq")] Vec<u8>);

    for n in 0..=2 {
        assert!(decoded::<FirstTwo>(&encoded(&vec![7; n]).unwrap()).is_ok());
        let bytes = encoded(&(Unsized(vec![7; n]), 1)).unwrap();
        assert!(matches!(decoded(&bytes), Ok((FirstTwo(..), 1))));
    }
    let message = "more elements than were asked for";
    check_malformed::<FirstTwo>(&encoded(&[1, 2, 3]).unwrap(), message);
    check_malformed::<(FirstTwo, u8)>(&encoded(&(Unsized(vec![1, 2, 3]), 4)).unwrap(), message);
}

#[test]
fn unread_values_are_an_error() {
    #[derive(Debug)]
    struct Keys;
    impl<'de> Deserialize<'de> for Keys {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(Self)
        }
    }
    impl<'de> Visitor<'de> for Keys {
        type Value = Self;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a map")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
            while map.next_key::<u8>()?.is_some() {}
            Ok(self)
        }
    }
    assert!(decoded::<Keys>(&encoded(&BTreeMap::<u8, u8>::new()).unwrap()).is_ok());
    for map in [BTreeMap::from([(1, 2)]), BTreeMap::from([(1, 2), (3, 4)])] {
        check_malformed::<Keys>(&encoded(&map).unwrap(), "a value was not asked for after its key");
    }
}

#[test]
fn format_is_not_human_readable() {
    struct Probe;
    impl Serialize for Probe {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.is_human_readable().serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Probe {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            assert!(!deserializer.is_human_readable());
            bool::deserialize(deserializer).map(|it| assert!(!it)).map(|()| Self)
        }
    }
    assert!(decoded::<Probe>(&encoded(&Probe).unwrap()).is_ok());
}
