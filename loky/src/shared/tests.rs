use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::fs::File;
use std::os::fd::OwnedFd;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

use super::*;
use crate::codec::{CodecError, EncodedValue, Output, output};

fn encoded<T: Output>(value: &T) -> EncodedValue {
    let mut parcel = EncodedValue::default();
    output().encode(value, &mut parcel, None).unwrap();
    parcel
}

fn decoded<T: Output>(parcel: &EncodedValue) -> Result<T, CodecError> {
    output().decode_all(&parcel.bytes, &parcel.attachments)
}

#[track_caller]
fn travels<T: Output + PartialEq + Debug>(value: &T, n_attachments: u16) {
    let parcel = encoded(value);
    assert_eq!(parcel.attachments.count(), n_attachments);
    assert_eq!(&decoded::<T>(&parcel).unwrap(), value);
}

fn shared<T: Pod>(values: &[T]) -> SharedSlice<T> {
    SharedSlice::from_slice(values).unwrap()
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Picture {
    name: String,
    points: SharedSlice<[f32; 2]>,
    #[serde(flatten)]
    more: BTreeMap<String, SharedBytes>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Numbers(SharedSlice<f64>),
    Bytes(SharedBytes),
    Nothing(Option<SharedBytes>),
}

#[test]
fn it_travels_inside_of_anything() {
    let bytes = shared(&[1_u8, 2, 3]);
    travels(&bytes, 1);
    travels(&SharedBytes::from_vec(vec![7; 100_000]).unwrap(), 1);
    travels(&shared::<u8>(&[]), 1);
    travels(&shared(&[u128::MAX, 1]), 1);
    travels(&shared(&[[[1_i16; 3]; 2]; 5]), 1);
    travels(&vec![bytes.clone(), shared(&[9])], 2);
    travels(&Some(Some(bytes.clone())), 1);
    travels(&None::<SharedBytes>, 0);
    travels(&(bytes.clone(), shared(&[-0.0_f64]), Ok::<_, String>(bytes.clone())), 2);
    travels(&HashMap::from([(1, bytes.clone()), (2, shared(&[]))]), 2);
    let more = BTreeMap::from([("raw".to_owned(), bytes.clone())]);
    let points = shared(&[[0.5_f32, 1.0]]);
    travels(&Picture { name: "a".to_owned(), points, more }, 2);
    travels(&[Either::Bytes(bytes), Either::Numbers(shared(&[1.5])), Either::Nothing(None)], 2);
}

#[test]
fn one_that_is_there_twice_travels_once_and_on() {
    let bytes = shared(&[1_u8, 2, 3]);
    let parcel = encoded(&(bytes.clone(), vec![bytes.clone(), shared(&[4])], bytes));
    assert_eq!(parcel.attachments.count(), 2);
    let there: (SharedBytes, Vec<SharedBytes>, SharedBytes) = decoded(&parcel).unwrap();
    let back = encoded(&there);
    assert_eq!(back.attachments.count(), 2, "they are still the same");
}

#[test]
fn any_number_travels() {
    let bytes = shared(&[1_u8]);
    let many: Vec<_> = (0..300_u32).map(|i| shared(&[i])).collect();
    travels(&many, 300);
    travels(&vec![bytes; 10_000], 1);
}

#[test]
fn what_cannot_be_is_an_error() {
    fn refused<T: Output + Debug>(value: &impl Serialize, fds: Vec<OwnedFd>) -> String {
        let mut bytes = Vec::new();
        crate::codec::encode(value, &mut bytes).unwrap();
        let attachments = fds.into_iter().collect();
        decoded::<T>(&EncodedValue { bytes, attachments }).unwrap_err().0
    }
    #[derive(Serialize)]
    struct Forged {
        attachment: u32,
        bytes: u64,
        of: &'static str,
    }
    let forged = |attachment, bytes, of| Forged { attachment, bytes, of };
    let memory = || {
        let ours = shared(&[0_u8; 16]);
        vec![ours.segment().fd().try_clone().unwrap()]
    };
    type Floats = SharedSlice<f64>;
    assert_eq!(
        refused::<Floats>(&forged(1, 16, "f64"), memory()),
        "shared memory number 1, where 1 came"
    );
    assert_eq!(
        refused::<Floats>(&forged(0, 16, "u8"), memory()),
        "shared memory of `u8`, not of `f64`"
    );
    for (length, what) in [(15, "15 bytes"), (8, "another length"), (1 << 40, "another length")] {
        let error = refused::<Floats>(&forged(0, length, "f64"), memory());
        assert!(error.contains(what), "{error}");
    }
    let file = vec![File::open("/proc/self/exe").unwrap().into()];
    let error = refused::<Floats>(&forged(0, 16, "f64"), file);
    assert!(error.contains("something else than frozen memory"), "{error}");
}

#[test]
fn it_travels_with_calls_only() {
    let mut bytes = Vec::new();
    let error = crate::codec::encode(&shared(&[1_u8]), &mut bytes).unwrap_err();
    assert!(error.0.contains("as argument or result of a call only"), "{error}");
    let parcel = encoded(&shared(&[1_u8]));
    let error = crate::codec::decode::<SharedBytes>(&mut &parcel.bytes[..]).unwrap_err();
    assert!(error.0.contains("as argument or result of a call only"), "{error}");
}

/// Takes others along that its bytes do not mention.
struct Stowaways(Vec<SharedBytes>);

impl Serialize for Stowaways {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut elsewhere = Vec::new();
        crate::codec::encode(&self.0, &mut elsewhere).map_err(serde::ser::Error::custom)?;
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Stowaways {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self(Vec::new()))
    }
}

#[test]
fn there_are_never_more_than_the_bytes_can_bring() {
    let many = |n| Stowaways((0..n).map(|_| shared(&[])).collect());
    assert_eq!(encoded(&many(253)).attachments.count(), 253);
    let error = output().encode(&many(254), &mut EncodedValue::default(), None).unwrap_err();
    assert!(error.0.contains("does not mention"), "{error}");
}

#[test]
fn handles_are_what_they_seem() {
    fn check<T: Send + Sync + Clone + Serialize + DeserializeOwned + AsRef<[u8]>>() {}
    check::<SharedBytes>();
    let (a, b) = (shared(&[1_u8, 2]), shared(&[1_u8, 2]));
    assert_eq!(a, b);
    assert_ne!(a, shared(&[1_u8]));
    assert_eq!(format!("{a:?}"), "[1, 2]");
    assert_eq!(HashMap::from([(a, 1)])[&b], 1);
    assert_eq!((&b).into_iter().sum::<u8>(), 3);
    assert_eq!(*shared(&[1_u32]).clone(), [1]);
}

#[test]
fn more_than_there_can_be_is_an_error() {
    for n in [usize::MAX, usize::MAX / 8, 1 << 60] {
        let error = SharedSliceMut::<u64>::zeroed(n).unwrap_err();
        assert!(error.is_io(), "{error:?}");
    }
}

#[cfg(feature = "bytemuck")]
#[test]
fn what_is_plain_data_for_bytemuck_is_so_here() {
    use std::num::Wrapping;
    travels(&shared(&[[Wrapping(1_u32)]; 3]), 1);
}
