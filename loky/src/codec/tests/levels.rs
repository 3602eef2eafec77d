//! Deep values: the encoder takes what the decoder takes, and neither overflows the stack.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hint::black_box;
use std::thread;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{check_malformed, check_refused, decoded, encoded};
use crate::codec::levels::MOST_LEVELS;

const TOO_DEEP: &str = "nested deeper than 256 levels";
const TOO_DEEP_FOR_STACK: &str = "nested too deep for the stack";

/// The stack of a thread of the standard library, whatever the environment of the tests sets.
const STACK_BYTES: usize = 2 << 20;

fn on_a_usual_stack(test: impl FnOnce() + Send + 'static) {
    let thread =
        thread::Builder::new().stack_size(STACK_BYTES).spawn(test).expect("a thread starts");
    thread.join().expect("the test passes");
}

/// `grow` puts a value into another one, which takes `levels`.
fn check_deep<T>(start: T, levels: u32, grow: fn(T) -> T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + Send + 'static,
{
    on_a_usual_stack(move || {
        let mut value = start;
        let mut bytes = encoded(&value).expect("is encoded");
        let mut n = 0;
        loop {
            match decoded::<T>(&bytes) {
                Ok(back) => assert_eq!(back, value, "{n} times"),
                // Without optimisation some platforms do not get further.
                Err(error) => return assert!(error.0 == TOO_DEEP_FOR_STACK && n * levels > 64),
            }
            value = grow(value);
            match encoded(&value) {
                Ok(longer) => bytes = longer,
                Err(error) => break assert_eq!(error.0, TOO_DEEP),
            }
            n += 1;
        }
        assert!(
            (MOST_LEVELS - 5..=MOST_LEVELS).contains(&(n * levels)),
            "{n} times {levels} levels"
        );
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct List {
    value: (u64, Option<String>, [u32; 8]),
    next: Option<Box<Self>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Newtype(Box<Self>),
    Tuple(u64, Box<Self>),
    Struct { left: Box<Self>, right: Box<Self> },
    Map(BTreeMap<u8, Self>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nested(Vec<Self>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nothing(Option<Box<Self>>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    List(Vec<Self>),
    Option { option: Option<Box<Self>> },
}

#[test]
fn deepest_encodable_value_can_be_decoded() {
    let list = |next| List { value: (1, None, [0; 8]), next };
    check_deep(list(None), 2, |next| List { value: (1, None, [0; 8]), next: Some(Box::new(next)) });
    check_deep(Tree::Leaf, 1, |tree| Tree::Newtype(Box::new(tree)));
    check_deep(Tree::Leaf, 2, |tree| Tree::Tuple(1, Box::new(tree)));
    check_deep(Tree::Leaf, 2, |right| Tree::Struct {
        left: Box::new(Tree::Leaf),
        right: Box::new(right),
    });
    check_deep(Tree::Leaf, 2, |tree| Tree::Map(BTreeMap::from([(1, tree)])));
    check_deep(Nested(vec![]), 2, |nested| Nested(vec![nested]));
    check_deep(Nothing(None), 2, |nothing| Nothing(Some(Box::new(nothing))));
    check_deep(Untagged::Number(1), 1, |it| Untagged::List(vec![it]));
    check_deep(Untagged::Number(1), 2, |it| Untagged::Option { option: Some(Box::new(it)) });
    check_deep(ciborium::Value::Null, 1, |value| ciborium::Value::Array(vec![value]));
}

#[test]
fn value_that_contains_itself_is_an_error() {
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_some(self)
        }
    }
    on_a_usual_stack(|| check_refused(&Endless, TOO_DEEP));
}

#[test]
fn type_with_large_frames_reaches_stack_limit() {
    #[derive(Debug)]
    struct Large;
    impl Serialize for Large {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            black_box([0_u8; 64 << 10]);
            serializer.serialize_some(self)
        }
    }
    impl<'de> Deserialize<'de> for Large {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            black_box([0_u8; 64 << 10]);
            Option::<Box<Self>>::deserialize(deserializer).map(|_| Self)
        }
    }
    on_a_usual_stack(|| {
        check_refused(&Large, TOO_DEEP_FOR_STACK);
        check_malformed::<Large>(&[5], TOO_DEEP_FOR_STACK);
    });
}

/// Types that recurse without taking any bytes, and bytes that nest without end.
#[test]
fn endless_nesting_without_bytes_is_an_error() {
    #[derive(Debug, Deserialize)]
    struct Never {
        #[expect(dead_code, reason = "there is no such value")]
        never: Box<Self>,
    }
    #[derive(Debug, Deserialize)]
    struct Endless(#[expect(dead_code, reason = "there is no such value")] Box<Self>);

    on_a_usual_stack(|| {
        check_malformed::<Nothing>(&[5], TOO_DEEP);
        check_malformed::<Endless>(&[5], TOO_DEEP);
        check_malformed::<Never>(&b"\xa1\x65never".repeat(1000), TOO_DEEP);
        for byte in 0..=0xff {
            let bytes = vec![byte; 100_000];
            let mut results = vec![
                decoded_front::<Nothing>(&bytes),
                decoded_front::<Nested>(&bytes),
                decoded_front::<Tree>(&bytes),
                decoded_front::<Untagged>(&bytes),
                decoded_front::<ciborium::Value>(&bytes),
                decoded_front::<serde::de::IgnoredAny>(&bytes),
            ];
            results.retain(|it| it == TOO_DEEP);
            let nests = matches!(byte, 0x80..=0xdb);
            assert!(nests || results.len() <= 1, "{byte:02x}: {results:?}");
        }
    });
}

fn decoded_front<T: DeserializeOwned>(mut bytes: &[u8]) -> String {
    crate::codec::decode::<T>(&mut bytes).err().map_or_else(String::new, |error| error.0)
}
