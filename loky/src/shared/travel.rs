//! The serde form of shared memory: the number of its attachment, its length, and the type of its elements.

use std::any::type_name;
use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use super::{Pod, SharedSlice};
use crate::codec::attachments::{attach, attached};
use crate::sys::hint;
use crate::sys::segment::Segment;

/// The record that takes the place of shared memory in the bytes of a value.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename = "SharedSlice")]
struct Reference<'a> {
    attachment: u32,
    bytes: u64,
    /// The type of the elements.
    of: Cow<'a, str>,
}

impl<T: Pod> Serialize for SharedSlice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let attachment = attach(self.segment().fd()).map_err(S::Error::custom)?;
        let (bytes, of) = (size_of_val(&**self) as u64, type_name::<T>().into());
        Reference { attachment, bytes, of }.serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for SharedSlice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Reference { attachment, bytes, of } = Reference::deserialize(deserializer)?;
        let expected = type_name::<T>();
        if of != expected {
            return Err(D::Error::custom(format!("shared memory of `{of}`, not of `{expected}`")));
        }
        let length = usize::try_from(bytes).ok().filter(|bytes| bytes % size_of::<T>() == 0);
        let Some(length) = length else {
            return Err(D::Error::custom(format!(
                "{bytes} bytes of shared memory of `{expected}`"
            )));
        };
        let fd = attached(attachment).map_err(D::Error::custom)?;
        let segment = Segment::open(fd, length);
        let segment =
            segment.map_err(|error| D::Error::custom(format!("{error}{}", hint(&error))))?;
        Ok(Self::from_segment(segment))
    }
}
