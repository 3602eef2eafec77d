//! Bytes that no encoder wrote: the result is an error or some value, never harm.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::panic;

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{check_malformed, check_refused, decoded, encoded};
use crate::codec::{CodecError, decode};
use fastrand::Rng;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct All {
    number: i64,
    big: Option<i128>,
    text: String,
    options: Vec<Option<Option<()>>>,
    map: BTreeMap<Vec<u8>, Sum>,
    float: (f32, f64, char),
    nested: Option<Box<Self>>,
    untagged: Untagged,
    value: ciborium::Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Sum {
    Unit,
    Newtype(Option<u8>),
    Tuple(bool, u16),
    Struct { a: (), b: Box<Self> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Flat {
        a: Option<Option<bool>>,
        #[serde(flatten)]
        rest: HashMap<String, Self>,
    },
    List(Vec<Self>),
    Text(String),
    Float(f64),
    Nothing,
}

fn all() -> All {
    let list = Untagged::List(vec![
        Untagged::Text("x".to_owned()),
        Untagged::Float(0.1),
        Untagged::Nothing,
    ]);
    let all = All {
        number: -70_000,
        big: Some(i128::MIN),
        text: "some text".to_owned(),
        options: vec![None, Some(None), Some(Some(()))],
        map: [
            Sum::Unit,
            Sum::Newtype(None),
            Sum::Tuple(true, 7),
            Sum::Struct { a: (), b: Box::new(Sum::Unit) },
        ]
        .into_iter()
        .enumerate()
        .map(|(n, sum)| (vec![7; n], sum))
        .collect(),
        float: (0.1, f64::MAX, 'ä'),
        nested: None,
        untagged: Untagged::Flat { a: Some(None), rest: [("b".to_owned(), list)].into() },
        value: ciborium::Value::Array(vec![
            ciborium::Value::Bytes(vec![1, 2]),
            ciborium::Value::Null,
        ]),
    };
    All { nested: Some(Box::new(all.clone())), ..all }
}

/// Decodes into all kinds of types. An error is as good as a value, a panic is not.
#[track_caller]
fn check_harmless(bytes: &[u8]) {
    fn into<T: for<'de> Deserialize<'de>>(mut bytes: &[u8]) -> Option<CodecError> {
        decode::<T>(&mut bytes).err()
    }
    let errors = [
        into::<All>(bytes),
        into::<Sum>(bytes),
        into::<Untagged>(bytes),
        into::<ciborium::Value>(bytes),
        into::<IgnoredAny>(bytes),
        into::<Vec<Option<Option<u128>>>>(bytes),
        into::<BTreeMap<Option<char>, f32>>(bytes),
        into::<(String, (), Option<()>)>(bytes),
    ];
    for CodecError(error) in errors.into_iter().flatten() {
        assert!(!error.starts_with("panicked"), "{error}: {bytes:02x?}");
    }
}

#[test]
fn random_bytes_are_harmless() {
    let mut random = Rng::with_seed(0x1071);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
        check_harmless(&bytes);
    }
}

#[test]
fn cut_and_mutated_bytes_are_harmless() {
    let valid = encoded(&all()).expect("is encoded");
    assert_eq!(decoded(&valid), Ok(all()));
    for len in 0..valid.len() {
        check_harmless(&valid[..len]);
        check_malformed::<All>(&valid[..len], "the bytes end too early");
    }
    let mut random = Rng::with_seed(0x2142);
    for _ in 0..10_000 {
        let mut bytes = valid.clone();
        for _ in 0..=random.usize(..4) {
            let at = random.usize(..bytes.len());
            match random.usize(..4) {
                0 => bytes[at] = random.u8(..),
                1 => bytes[at] ^= 1 << random.usize(..8),
                2 => bytes.insert(at, random.u8(..)),
                _ => drop(bytes.remove(at)),
            }
        }
        check_harmless(&bytes);
    }
}

/// All headers of one to three bytes, followed by nothing, nulls and small numbers.
#[test]
fn short_headers_are_harmless() {
    for first in 0..=0xff {
        check_harmless(&[first]);
        for second in 0..=0xff {
            check_harmless(&[first, second]);
            check_harmless(&[first, second, 0xf6, 0xf6, 0xff]);
        }
    }
    for half in 0..=u16::MAX {
        let [high, low] = half.to_be_bytes();
        let value: ciborium::Value = decoded(&[0xf9, high, low]).expect("is a float");
        assert!(value.is_float());
    }
}

/// Trusts a length hint.
#[derive(Debug)]
struct Trusting(#[expect(dead_code, reason = "only its capacity counts")] Vec<u64>);

impl<'de> Deserialize<'de> for Trusting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TrustingVisitor;
        impl<'de> Visitor<'de> for TrustingVisitor {
            type Value = Trusting;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Trusting, A::Error> {
                let mut list = Vec::with_capacity(seq.size_hint().unwrap_or(0));
                while let Some(element) = seq.next_element()? {
                    list.push(element);
                }
                Ok(Trusting(list))
            }
        }
        deserializer.deserialize_seq(TrustingVisitor)
    }
}

/// A capacity for these lengths would be a panic or an abort.
#[test]
fn length_far_beyond_input_is_an_error() {
    let early = "the bytes end too early";
    for major in [0x5b, 0x7b, 0x9b, 0xbb] {
        for len in [1_u64 << 31, 1 << 40, 1 << 60, u64::MAX] {
            let bytes = [&[major][..], &len.to_be_bytes(), &[1; 10]].concat();
            check_harmless(&bytes);
            match major {
                0x5b => check_malformed::<Vec<u8>>(&bytes, early),
                0x7b => check_malformed::<String>(&bytes, early),
                0x9b => {
                    check_malformed::<Trusting>(&bytes, early);
                    check_malformed::<Vec<u64>>(&bytes, early);
                }
                _ => {
                    check_malformed::<Vec<(u64, u64)>>(&bytes, "invalid type: map, expected array")
                }
            }
        }
    }
}

#[test]
fn errors_are_in_plain_words() {
    check_malformed::<u8>(&[], "the bytes end too early");
    check_malformed::<u8>(&[0x1c], "malformed at byte 0");
    check_malformed::<(u8, String)>(&[0x82, 0x01, 0x61, 0xff], "malformed at byte 2");
    check_malformed::<(u8, bool)>(&[0x82, 0x01, 0x01], "expected bool at byte 2");
    check_malformed::<u8>(&[0x19, 0x01, 0x00], "invalid value: integer `256`, expected u8");
    check_malformed::<Option<Option<u8>>>(
        &[0xc0, 0x01],
        "invalid value: CBOR tag, expected a value without it",
    );
    check_malformed::<(u8, u8)>(&[0x83, 1, 2, 3], "more elements than were asked for");
    check_malformed::<[u8; 3]>(&[0x82, 1, 2], "invalid length 2, expected an array of length 3");

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "is not read")]
    struct Field {
        field: u8,
    }
    check_malformed::<Field>(&[0xa0], "missing field `field`");
}

#[test]
fn error_and_panic_of_user_code_are_errors() {
    #[derive(Debug)]
    struct Bad;
    impl Serialize for Bad {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("bad value"))
        }
    }
    impl<'de> Deserialize<'de> for Bad {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("bad bytes"))
        }
    }
    #[derive(Debug)]
    struct Worse;
    impl Serialize for Worse {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic::resume_unwind(Box::new("worse value"))
        }
    }
    impl<'de> Deserialize<'de> for Worse {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic::resume_unwind(Box::new("worse bytes".to_owned()))
        }
    }
    check_refused(&(1, Some(Bad)), "bad value");
    check_malformed::<(u8, Option<Bad>)>(&[0x82, 1, 1], "bad bytes");
    check_refused(&(1, Some(Worse)), "panicked: worse value");
    check_malformed::<(u8, Option<Worse>)>(&[0x82, 1, 1], "panicked: worse bytes");
}

/// Serde's buffer has no such integers: they are errors, never changed.
#[test]
fn integers_of_128_bits_in_buffers_are_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Big {
        Signed(i128),
        Unsigned { value: Option<u128> },
    }
    for value in [Big::Signed(i128::MIN), Big::Signed(5), Big::Unsigned { value: Some(u128::MAX) }]
    {
        assert!(decoded::<Big>(&encoded(&value).unwrap()).is_err());
    }
}
