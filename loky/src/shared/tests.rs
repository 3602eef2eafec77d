use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::fs::File;
use std::os::fd::OwnedFd;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

use super::*;
use crate::codec::{CodecError, EncodedValue, Output, output};

fn encoded<T: Output>(value: &T) -> EncodedValue {
    let mut out = EncodedValue::default();
    output().encode(value, &mut out, None).unwrap();
    out
}

fn decoded<T: Output>(value: &EncodedValue) -> Result<T, CodecError> {
    output().decode_all(&value.bytes, &value.attachments)
}

#[track_caller]
fn travels<T: Output + PartialEq + Debug>(value: &T, n_attachments: u16) {
    let there = encoded(value);
    assert_eq!(there.attachments.count(), n_attachments);
    assert_eq!(&decoded::<T>(&there).unwrap(), value);
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
fn handles_travel_inside_any_value() {
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
fn repeated_handle_travels_once() {
    let bytes = shared(&[1_u8, 2, 3]);
    let there = encoded(&(bytes.clone(), vec![bytes.clone(), shared(&[4])], bytes));
    assert_eq!(there.attachments.count(), 2);
    let value: (SharedBytes, Vec<SharedBytes>, SharedBytes) = decoded(&there).unwrap();
    let back = encoded(&value);
    assert_eq!(back.attachments.count(), 2, "one descriptor for each memory");
}

#[test]
fn any_number_of_handles_travels() {
    let bytes = shared(&[1_u8]);
    let many: Vec<_> = (0..300_u32).map(|i| shared(&[i])).collect();
    travels(&many, 300);
    travels(&vec![bytes; 10_000], 1);
}

#[test]
fn forged_reference_is_an_error() {
    fn error_of<T: Output + Debug>(value: &impl Serialize, fds: Vec<OwnedFd>) -> String {
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
        error_of::<Floats>(&forged(1, 16, "f64"), memory()),
        "shared memory number 1, where 1 came"
    );
    assert_eq!(
        error_of::<Floats>(&forged(0, 16, "u8"), memory()),
        "shared memory of `u8`, not of `f64`"
    );
    for (length, what) in [(15, "15 bytes"), (8, "wrong length"), (1 << 40, "wrong length")] {
        let error = error_of::<Floats>(&forged(0, length, "f64"), memory());
        assert!(error.contains(what), "{error}");
    }
    let file = vec![File::open("/proc/self/exe").unwrap().into()];
    let error = error_of::<Floats>(&forged(0, 16, "f64"), file);
    assert!(error.contains("is not frozen memory"), "{error}");
}

#[test]
fn handle_outside_of_a_call_is_an_error() {
    let mut bytes = Vec::new();
    let error = crate::codec::encode(&shared(&[1_u8]), &mut bytes).unwrap_err();
    assert!(error.0.contains("as argument or result of a call only"), "{error}");
    let there = encoded(&shared(&[1_u8]));
    let error = crate::codec::decode::<SharedBytes>(&mut &there.bytes[..]).unwrap_err();
    assert!(error.0.contains("as argument or result of a call only"), "{error}");
}

/// Attaches shared memory that its bytes do not mention.
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
fn more_attachments_than_bytes_name_are_an_error() {
    let many = |n| Stowaways((0..n).map(|_| shared(&[])).collect());
    assert_eq!(encoded(&many(253)).attachments.count(), 253);
    let error = output().encode(&many(254), &mut EncodedValue::default(), None).unwrap_err();
    assert!(error.0.contains("does not mention"), "{error}");
}

#[test]
fn handle_behaves_as_arc_of_slice() {
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
fn size_beyond_address_space_is_an_error() {
    for n in [usize::MAX, usize::MAX / 8, 1 << 60] {
        let error = SharedSliceMut::<u64>::zeroed(n).unwrap_err();
        assert!(error.is_io(), "{error:?}");
    }
}

#[cfg(feature = "bytemuck")]
#[test]
fn bytemuck_pod_is_pod() {
    use std::num::Wrapping;
    travels(&shared(&[[Wrapping(1_u32)]; 3]), 1);
}
