//! The decoder's layer: forwards to ciborium's deserializer, and reads the explicit `Some`s.
//!
//! An option is null, or [our tag](crate::codec::explicit) and a value, or any other value. Ciborium looks past tags for
//! all requests but two: that for an option, and that for any value. So when a `Some` is returned, the tag in front of its value is
//! left in the input until one of these two requests comes.
//!
//! Each returned `Some` must count as a level, since it may take no bytes. Tested with the whole
//! module.

use serde::de::{self, Deserialize, DeserializeSeed, Error, Visitor};

use crate::codec::explicit;
use crate::codec::levels::Levels;
use crate::codec::visitor::{Wrapped, WrappedEnum, WrappedF32, WrappedOption};

/// A value that deserializes itself through our layer.
pub(super) struct Lossless<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lossless<T> {
    #[inline]
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(Deserializer::new(deserializer, Levels::outermost())).map(Self)
    }
}

/// Ciborium's deserializer, with its position in the value.
pub(super) struct Deserializer<D> {
    inner: D,
    levels: Levels,
    /// This is inside a `Some`, and its tag, if there is one, has not been read.
    tag_ahead: bool,
}

impl<D> Deserializer<D> {
    #[inline]
    pub(super) fn new(inner: D, levels: Levels) -> Self {
        Self { inner, levels, tag_ahead: false }
    }

    #[inline]
    pub(super) fn within_some(inner: D, levels: Levels) -> Self {
        Self { inner, levels, tag_ahead: true }
    }
}

macro_rules! forward {
    ($($method:ident to $target:ident($($name:ident: $type:ty),*)),* $(,)?) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
                self.inner.$target($($name,)* visitor)
            }
        )*
    };
}

macro_rules! wrap {
    ($($method:ident to $target:ident($($name:ident: $type:ty),*)),* $(,)?) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
                self.inner.$target($($name,)* Wrapped::new(visitor, self.levels))
            }
        )*
    };
}

impl<'de, D: de::Deserializer<'de>> de::Deserializer<'de> for Deserializer<D> {
    type Error = D::Error;

    forward! {
        deserialize_bool to deserialize_bool(),
        deserialize_i8 to deserialize_i8(),
        deserialize_i16 to deserialize_i16(),
        deserialize_i32 to deserialize_i32(),
        deserialize_i64 to deserialize_i64(),
        deserialize_i128 to deserialize_i128(),
        deserialize_u8 to deserialize_u8(),
        deserialize_u16 to deserialize_u16(),
        deserialize_u32 to deserialize_u32(),
        deserialize_u64 to deserialize_u64(),
        deserialize_u128 to deserialize_u128(),
        deserialize_f64 to deserialize_f64(),
        deserialize_char to deserialize_char(),
        // Ciborium's `str` must fit into the scratch buffer.
        deserialize_str to deserialize_string(),
        deserialize_string to deserialize_string(),
        deserialize_identifier to deserialize_identifier(),
        deserialize_unit to deserialize_unit(),
        deserialize_unit_struct to deserialize_unit_struct(name: &'static str),
    }

    wrap! {
        // So must its `bytes`.
        deserialize_bytes to deserialize_byte_buf(),
        deserialize_byte_buf to deserialize_byte_buf(),
        deserialize_seq to deserialize_seq(),
        deserialize_tuple to deserialize_tuple(len: usize),
        deserialize_tuple_struct to deserialize_tuple_struct(name: &'static str, len: usize),
        deserialize_map to deserialize_map(),
        deserialize_struct to deserialize_struct(name: &'static str, fields: &'static [&'static str]),
    }

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = Wrapped { tag_ahead: self.tag_ahead, ..Wrapped::new(visitor, self.levels) };
        self.inner.deserialize_any(visitor)
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_any(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = WrappedOption { inner: visitor, levels: self.levels };
        if self.tag_ahead {
            explicit::skip_tag(self.inner, OptionBehindTag(visitor))
        } else {
            self.inner.deserialize_option(visitor)
        }
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = WrappedEnum { inner: visitor, levels: self.levels };
        self.inner.deserialize_enum(name, variants, visitor)
    }

    #[inline]
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_f64(WrappedF32(visitor))
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let levels = self.levels.deeper().map_err(D::Error::custom)?;
        visitor.visit_newtype_struct(Self { levels, ..self })
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// The request for an option once the tag of the `Some` around it is gone.
struct OptionBehindTag<V>(WrappedOption<V>);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for OptionBehindTag<V> {
    type Value = V::Value;

    #[inline]
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_option(self.0)
    }
}
