//! Every value makes a round trip; no input does harm.

mod hostile;
mod levels;
mod options;
mod shapes;

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, decode, encode};

fn encoded<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes).map(|()| bytes)
}

/// Decodes the one value in `bytes`.
#[track_caller]
fn decoded<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, CodecError> {
    let value = decode(&mut bytes)?;
    assert_eq!(bytes, b"", "bytes are left over");
    Ok(value)
}

/// A value in every place that a value can have inside another one.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Place<T> {
    Newtype(T),
    Tuple(u8, T),
    Struct { before: (), value: T, after: Option<u8> },
    Elements(Vec<T>),
    Entries(Vec<Entry<T>>),
    Some(Option<T>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Entry<T>(T, Option<Option<T>>);

/// A round trip: alone, with another value after it, and inside of others. Returns the bytes of the value alone.
#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) -> Vec<u8> {
    let bytes = encoded(&value).expect("is encoded");
    assert_eq!(decoded::<T>(&bytes).as_ref(), Ok(&value), "{bytes:02x?}");

    let mut both = bytes.clone();
    encode(&"next", &mut both).expect("is encoded");
    let mut rest = &both[..];
    assert_eq!(decode::<T>(&mut rest).as_ref(), Ok(&value));
    assert_eq!(decoded::<String>(rest).as_deref(), Ok("next"));

    let places = encoded(&[
        Place::Newtype(&value),
        Place::Tuple(1, &value),
        Place::Struct { before: (), value: &value, after: None },
        Place::Elements(vec![&value, &value]),
        Place::Entries(vec![Entry(&value, Some(Some(&value)))]),
        Place::Some(Some(&value)),
    ]);
    let places: Vec<Place<T>> = decoded(&places.expect("is encoded")).expect("is decoded");
    let values = places.iter().flat_map(|place| match place {
        Place::Newtype(it) | Place::Tuple(1, it) | Place::Some(Some(it)) => vec![it],
        Place::Struct { before: (), value, after: None } => vec![value],
        Place::Elements(elements) => elements.iter().collect(),
        Place::Entries(entries) => entries
            .iter()
            .flat_map(|Entry(key, it)| [Some(key), it.iter().flatten().next()])
            .flatten()
            .collect(),
        _ => vec![],
    });
    assert_eq!(values.collect::<Vec<_>>(), [&value; 8]);
    bytes
}

/// Like [`check`], for a value that ciborium alone carries: the bytes are equal.
#[track_caller]
fn check_plain<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let mut plain = Vec::new();
    ciborium::into_writer(&value, &mut plain).expect("ciborium encodes it");
    assert_eq!(check(value), plain);
}

/// The encoder refuses the value with this message.
#[track_caller]
fn check_refused(value: &impl Serialize, message: &str) {
    assert_eq!(encoded(value), Err(CodecError(message.to_owned())));
}

/// The decoder refuses the bytes with this message.
#[track_caller]
fn check_malformed<T: DeserializeOwned + Debug>(mut bytes: &[u8], message: &str) {
    assert_eq!(decode::<T>(&mut bytes).map(|_| ()), Err(CodecError(message.to_owned())));
}
