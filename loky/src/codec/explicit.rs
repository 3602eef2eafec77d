//! The explicit `Some`: a CBOR tag in front of the value.
//!
//! It is written only where the value begins with null, which alone would read as `None`, or with another CBOR tag (that of an
//! integer beyond 64 bits), which could not be put back after a look for ours. `Some(Some(()))` is the tag twice
//! and null.
//!
//! Ciborium takes and gives tags by way of an enum with a reserved name, whose variants say whether there is one. No
//! other code may write that enum: [`Serializer`](crate::codec::serialize::Serializer) prevents it. Tested with the
//! whole module.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::ser::{Serialize, SerializeTupleVariant, Serializer};

/// The names that ciborium reserves.
pub(super) const TAG_ENUM: &str = "@@TAG@@";
const TAGGED: &str = "@@TAGGED@@";
const UNTAGGED: &str = "@@UNTAGGED@@";

/// The tag. It is unassigned and takes one byte. Only processes of this program read these bytes.
const SOME: u64 = 15;

/// `value` behind as many tags as there are `somes`.
pub(super) struct Explicit<'a, T> {
    pub(super) somes: u32,
    pub(super) value: &'a T,
}

impl<T: Serialize> Serialize for Explicit<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(somes) = self.somes.checked_sub(1) else {
            return self.value.serialize(serializer);
        };
        let mut tagged = serializer.serialize_tuple_variant(TAG_ENUM, 0, TAGGED, 2)?;
        tagged.serialize_field(&SOME)?;
        tagged.serialize_field(&Explicit { somes, value: self.value })?;
        tagged.end()
    }
}

/// Takes the tag, if there is one, and passes the value after it to `seed`.
#[inline]
pub(super) fn skip_tag<'de, D, T>(deserializer: D, seed: T) -> Result<T::Value, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeSeed<'de>,
{
    deserializer.deserialize_enum(TAG_ENUM, &[UNTAGGED, TAGGED], TagVisitor(seed))
}

/// Like [`skip_tag`], where ciborium has already found a tag.
pub(super) fn skip_found_tag<'de, A, T>(access: A, seed: T) -> Result<T::Value, A::Error>
where
    A: EnumAccess<'de>,
    T: DeserializeSeed<'de>,
{
    TagVisitor(seed).visit_enum(access)
}

struct TagVisitor<T>(T);

impl<'de, T: DeserializeSeed<'de>> Visitor<'de> for TagVisitor<T> {
    type Value = T::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with or without a tag")
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<T::Value, A::Error> {
        let (IsTagged(tagged), variant) = access.variant()?;
        if tagged { variant.tuple_variant(2, self) } else { variant.newtype_variant_seed(self.0) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<T::Value, A::Error> {
        let tag: u64 =
            pair.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &"a tag"))?;
        if tag != SOME {
            return Err(de::Error::invalid_value(
                Unexpected::Other("CBOR tag"),
                &"a value without it",
            ));
        }
        pair.next_element_seed(self.0)?
            .ok_or_else(|| de::Error::invalid_length(1, &"a tag and a value"))
    }
}

struct IsTagged(bool);

impl<'de> Deserialize<'de> for IsTagged {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(IsTaggedVisitor)
    }
}

struct IsTaggedVisitor;

impl Visitor<'_> for IsTaggedVisitor {
    type Value = IsTagged;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whether there is a tag")
    }

    #[inline]
    fn visit_str<E: de::Error>(self, variant: &str) -> Result<IsTagged, E> {
        Ok(IsTagged(variant == TAGGED))
    }
}
