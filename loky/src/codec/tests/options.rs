//! `Some` around values whose bytes are those of `None`.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{check, check_plain, check_refused, decoded, encoded};

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Newtype<T>(T);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Sum {
    Unit,
    Newtype(Option<Option<()>>),
    Tuple(Option<()>, Option<Unit>),
    Struct { a: Option<Option<u8>>, b: Option<()> },
}

#[test]
fn each_some_around_null_is_kept() {
    check_plain(None::<Option<Option<()>>>);
    check(Some(None::<Option<()>>));
    check(Some(Some(None::<()>)));
    check(Some(Some(Some(()))));
    assert_eq!(check(Some(Some(()))), [0xcf, 0xcf, 0xf6]);
    check(vec![None, Some(()), None, Some(())]);
    check(vec![None, Some(Unit)]);
    check(Some(PhantomData::<u8>));
    check(Some(Box::new(None::<Box<Option<u8>>>)));
    check(Newtype(Some(Newtype(Newtype(Some(Newtype(())))))));
    check(Some(Newtype(None::<Newtype<Option<()>>>)));
    check(Ok::<_, ()>(Some(())));
    check(Ok::<_, ()>(None::<()>));
    check(Err::<(), _>(Some(Some(Unit))));
    check((Some(()), None::<()>, [Some(None), Some(Some(())), None]));
    check(BTreeMap::from([
        (None, Some(Some(()))),
        (Some(None), None),
        (Some(Some(Unit)), Some(None)),
    ]));
    check(HashMap::from([(Some(()), Some(())), (None, None)]));
}

#[test]
fn enums_in_and_around_options_make_a_round_trip() {
    check_plain(Some(Some(Sum::Unit)));
    check(Some(Sum::Newtype(None)));
    check(Some(Sum::Newtype(Some(None))));
    check(Some(Sum::Newtype(Some(Some(())))));
    check(Sum::Tuple(Some(()), None));
    check(Sum::Tuple(None, Some(Unit)));
    check(Sum::Struct { a: Some(None), b: Some(()) });
    check_plain(Some(Sum::Struct { a: Some(Some(1)), b: None }));
}

#[test]
fn some_around_other_values_takes_no_bytes() {
    check_plain(Some(5));
    check_plain(Some(Some(Some(-5_i64))));
    check_plain(Some(Some(String::new())));
    check_plain(Some(Some(vec![Some(1), None])));
    check_plain(Some(Newtype(Some(Newtype('x')))));
    check_plain(Some(Some(i128::from(u64::MAX))));
    check_plain(Some(Some(-1 - i128::from(u64::MAX))));
}

#[test]
fn integer_tags_of_ciborium_survive_beside_ours() {
    check(Some(u128::MAX));
    check(Some(Some(u128::from(u64::MAX) + 1)));
    check(Some(Some(i128::MIN)));
    check(Some(Some(Some(-2 - i128::from(u64::MAX)))));
    check(vec![Some(None), Some(Some(i128::MAX)), None]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Options { options: Vec<Option<Option<Option<()>>>> },
    Pair(Option<Unit>, Option<Option<bool>>),
    Number(i32),
    Unit,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Internal {
    Options { a: Option<Option<()>>, b: Option<Unit>, c: () },
    Empty,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "content")]
enum Adjacent {
    Newtype(Option<Option<()>>),
    Tuple(Option<()>, Option<()>),
    Struct { a: Option<Option<()>> },
    Unit,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    first: Option<Option<()>>,
    #[serde(flatten)]
    rest: Rest,
    #[serde(flatten)]
    others: BTreeMap<String, Option<Option<()>>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Rest {
    nothing: (),
    unit: Unit,
    option: Option<Option<Option<Unit>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    absent: Option<Option<()>>,
}

/// In types for which serde buffers its input.
#[test]
fn options_survive_buffering() {
    check(Untagged::Options {
        options: vec![None, Some(None), Some(Some(None)), Some(Some(Some(())))],
    });
    check(Untagged::Pair(Some(Unit), Some(None)));
    check(Untagged::Pair(None, Some(Some(true))));
    check_plain(Untagged::Number(-1));
    check_plain(Untagged::Unit);
    check(Some(Some(Untagged::Unit)));
    for (a, b) in [(None, None), (Some(None), Some(Unit)), (Some(Some(())), None)] {
        check(Internal::Options { a, b, c: () });
        check(Adjacent::Newtype(a));
        check(Adjacent::Tuple(a.flatten(), a.map(|_| ())));
        check(Some(Adjacent::Struct { a }));
    }
    check_plain(Internal::Empty);
    check_plain(Some(Adjacent::Unit));
    for option in [None, Some(None), Some(Some(None)), Some(Some(Some(Unit)))] {
        for first in [None, Some(None), Some(Some(()))] {
            let others = [
                ("x", None),
                ("y", Some(None)),
                ("z", first),
                ("long ".repeat(2000).as_str(), first),
            ]
            .map(|(key, value)| (key.to_owned(), value));
            let option = option.as_ref().map(|it| it.as_ref().map(|it| it.as_ref().map(|_| Unit)));
            let rest = Rest { nothing: (), unit: Unit, option, absent: first };
            check(Flat { first, rest, others: others.into() });
        }
    }
}

/// Like the `Value` of a self-describing format.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(it) => it.serialize(serializer),
            Self::Number(it) => it.serialize(serializer),
            Self::Text(it) => it.serialize(serializer),
            Self::List(it) => it.serialize(serializer),
            Self::Map(it) => serializer.collect_map(it.iter().map(|(key, value)| (key, value))),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.cast_signed()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = vec![];
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = vec![];
        while let Some(entry) = map.next_entry()? {
            values.push(entry);
        }
        Ok(Value::Map(values))
    }
}

#[test]
fn self_describing_values_make_a_round_trip() {
    let list = vec![Value::Null, Value::Bool(true), Value::Number(-3), Value::Text("x".to_owned())];
    let map = Value::Map(vec![(Value::Null, Value::List(list)), (Value::Map(vec![]), Value::Null)]);
    check_plain(map.clone());
    check_plain(Some(map.clone()));
    check(Some(Some(Value::Null)));
    check(vec![Some(Value::Null), None, Some(map)]);

    use ciborium::Value as Cbor;
    check_plain(Cbor::Array(vec![Cbor::Null, Cbor::Float(0.5), Cbor::Bytes(vec![1, 2])]));
    check_plain(Cbor::from(u64::MAX));
    check(Some(Some(Cbor::Null)));
    check(vec![
        Some(Cbor::Null),
        None,
        Some(Cbor::Integer(i128::from(u64::MAX).try_into().unwrap())),
    ]);
}

#[test]
fn foreign_tag_is_an_error_of_the_sender() {
    use ciborium::tag::{Captured, Required};
    let message = "CBOR tags cannot be carried";
    check_refused(&ciborium::Value::Tag(15, Box::new(ciborium::Value::Null)), message);
    check_refused(&Some(Required::<_, 15>(())), message);
    check_refused(&[Captured(None, 5)], message);
}

/// A field that the receiver ignores, and a value that it requests without the option around it.
#[test]
fn receiver_of_another_shape_reads_options() {
    #[derive(Serialize)]
    struct Sent {
        unknown: (Option<Option<()>>, Option<u128>, Sum, Value),
        known: u8,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Received {
        known: u8,
    }
    for option in [None, Some(None), Some(Some(()))] {
        let unknown = (option, Some(u128::MAX), Sum::Newtype(option), Value::Null);
        let bytes = encoded(&Sent { unknown, known: 3 }).unwrap();
        assert_eq!(decoded(&bytes), Ok(Received { known: 3 }));
    }
    assert_eq!(decoded(&encoded(&Some(Some(()))).unwrap()), Ok(()));
    assert_eq!(decoded(&encoded(&Some(())).unwrap()), Ok(Some(Value::Null)));
}
