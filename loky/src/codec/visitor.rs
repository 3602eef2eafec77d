//! The user's visitors, wrapped so that our layer covers all nested values.
//!
//! Where serde asks for any value, to buffer or ignore it, our tag is a `Some`, and null is a unit. For serde's buffer returns a
//! unit for requests of a unit or an option, but a `None` only for requests of an option.
//!
//! They must not change any other value that the visitor gets. Tested with the whole module.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

use crate::codec::access::{Elements, Entries, Variants};
use crate::codec::levels::Levels;
use crate::codec::{deserialize, explicit, float};

/// The visitor of anything but an option or an enum.
pub(super) struct Wrapped<V> {
    pub(super) inner: V,
    pub(super) levels: Levels,
    /// This is inside a `Some` that has been given out; a tag would be its.
    pub(super) tag_ahead: bool,
}

impl<V> Wrapped<V> {
    #[inline]
    pub(super) fn new(inner: V, levels: Levels) -> Self {
        Self { inner, levels, tag_ahead: false }
    }
}

macro_rules! visit {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(
            #[inline]
            fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
                self.inner.$method(value)
            }
        )*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Wrapped<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool(bool),
        visit_i64(i64),
        visit_i128(i128),
        visit_u64(u64),
        visit_u128(u128),
        visit_f64(f64),
        visit_char(char),
        visit_str(&str),
        visit_string(String),
        visit_bytes(&[u8]),
        visit_byte_buf(Vec<u8>),
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<V::Value, A::Error> {
        let levels = self.levels.deeper().map_err(A::Error::custom)?;
        let mut elements = Elements::new(elements, levels);
        let value = self.inner.visit_seq(&mut elements)?;
        elements.finish()?;
        Ok(value)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        let levels = self.levels.deeper().map_err(A::Error::custom)?;
        let mut entries = Entries::new(entries, levels);
        let value = self.inner.visit_map(&mut entries)?;
        entries.finish()?;
        Ok(value)
    }

    /// Of its own accord ciborium gives an enum only for a tag.
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        explicit::skip_found_tag(access, BehindTag(self))
    }
}

/// The request for anything once a tag has been found and is gone.
struct BehindTag<V>(Wrapped<V>);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for BehindTag<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let Wrapped { inner, levels, tag_ahead } = self.0;
        if tag_ahead {
            return deserializer.deserialize_any(Wrapped::new(inner, levels));
        }
        let levels = levels.deeper().map_err(D::Error::custom)?;
        inner.visit_some(deserialize::Deserializer::new(deserializer, levels))
    }
}

/// The visitor of an option.
pub(super) struct WrappedOption<V> {
    pub(super) inner: V,
    pub(super) levels: Levels,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for WrappedOption<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let levels = self.levels.deeper().map_err(D::Error::custom)?;
        self.inner.visit_some(deserialize::Deserializer::within_some(deserializer, levels))
    }
}

/// The visitor of an enum.
pub(super) struct WrappedEnum<V> {
    pub(super) inner: V,
    pub(super) levels: Levels,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for WrappedEnum<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let levels = self.levels.deeper().map_err(A::Error::custom)?;
        self.inner.visit_enum(Variants::new(access, levels))
    }
}

/// The visitor of an `f32`.
pub(super) struct WrappedF32<V>(pub(super) V);

impl<'de, V: Visitor<'de>> Visitor<'de> for WrappedF32<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    #[inline]
    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        if value.is_nan() {
            self.0.visit_f32(float::narrow_nan(value))
        } else {
            self.0.visit_f64(value)
        }
    }
}
