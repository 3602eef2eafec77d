//! The encoder's layer: forwards to ciborium's serializer, and writes the `Some`s that null would swallow explicitly.
//!
//! A `Some` is only counted at first, since the bytes of most values differ from those of `None`. If the value in it turns out to
//! be null, a tag for each `Some` is written in front of it. Newtypes are transparent, to
//! ciborium and to the count.
//!
//! It must never write other bytes than ciborium for a value that ciborium carries. Tested against ciborium byte by byte.

use serde::ser::{
    self, Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
};

use crate::codec::explicit::{Explicit, TAG_ENUM};
use crate::codec::float;
use crate::codec::levels::Levels;

/// A value that serializes itself through our layer.
pub(super) struct Nested<'a, T: ?Sized> {
    value: &'a T,
    levels: Levels,
}

impl<'a, T: ?Sized> Nested<'a, T> {
    pub(super) fn outermost(value: &'a T) -> Self {
        Self { value, levels: Levels::outermost() }
    }
}

impl<T: ?Sized + Serialize> Serialize for Nested<'_, T> {
    #[inline]
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Serializer { inner: serializer, levels: self.levels, somes: 0 })
    }
}

/// Ciborium's serializer, with its position in the value.
pub(super) struct Serializer<S> {
    inner: S,
    levels: Levels,
    /// The number of `Some`s directly around the value, of which nothing is written yet.
    somes: u32,
}

impl<S: ser::Serializer> Serializer<S> {
    #[inline]
    fn deeper(&self) -> Result<Levels, S::Error> {
        self.levels.deeper().map_err(S::Error::custom)
    }

    /// Writes a value whose bytes alone do not tell that there are `Some`s around it.
    #[inline]
    fn explicit<T: Serialize>(self, value: &T) -> Result<S::Ok, S::Error> {
        Explicit { somes: self.somes, value }.serialize(self.inner)
    }
}

/// Whether ciborium writes an integer of this magnitude with a tag of its own.
fn is_tagged(magnitude: u128) -> bool {
    u64::try_from(magnitude).is_err()
}

/// Refuses a CBOR tag that the value itself writes, since it could be mistaken for ours.
fn refuse_tag<E: Error>(name: &str) -> Result<(), E> {
    if name == TAG_ENUM { Err(E::custom("CBOR tags cannot be carried")) } else { Ok(()) }
}

macro_rules! forward {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(
            #[inline]
            fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
                self.inner.$method(value)
            }
        )*
    };
}

impl<S: ser::Serializer> ser::Serializer for Serializer<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<S::SerializeSeq>;
    type SerializeTuple = Compound<S::SerializeTuple>;
    type SerializeTupleStruct = Compound<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<S::SerializeTupleVariant>;
    type SerializeMap = Compound<S::SerializeMap>;
    type SerializeStruct = Compound<S::SerializeStruct>;
    type SerializeStructVariant = Compound<S::SerializeStructVariant>;

    forward! {
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_f64(f64),
        serialize_char(char),
        serialize_str(&str),
        serialize_bytes(&[u8]),
    }

    fn serialize_i128(self, value: i128) -> Result<S::Ok, S::Error> {
        // CBOR counts the negative integers from -1 downwards.
        let magnitude = if value < 0 { !value } else { value };
        if is_tagged(magnitude.cast_unsigned()) {
            self.explicit(&value)
        } else {
            self.inner.serialize_i128(value)
        }
    }

    fn serialize_u128(self, value: u128) -> Result<S::Ok, S::Error> {
        if is_tagged(value) { self.explicit(&value) } else { self.inner.serialize_u128(value) }
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.inner.serialize_f64(float::widen(value))
    }

    #[inline]
    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.explicit(&())
    }

    #[inline]
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<S::Ok, S::Error> {
        let levels = self.deeper()?;
        value.serialize(Self { inner: self.inner, levels, somes: self.somes + 1 })
    }

    #[inline]
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.explicit(&())
    }

    #[inline]
    fn serialize_unit_struct(self, _name: &'static str) -> Result<S::Ok, S::Error> {
        self.explicit(&())
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.deeper()?;
        self.inner.serialize_unit_variant(name, index, variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let levels = self.deeper()?;
        value.serialize(Self { levels, ..self })
    }

    #[inline]
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        refuse_tag(name)?;
        let levels = self.deeper()?;
        self.inner.serialize_newtype_variant(name, index, variant, &Nested { value, levels })
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let levels = self.deeper()?;
        Ok(Compound { inner: self.inner.serialize_seq(len)?, levels })
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        let levels = self.deeper()?;
        Ok(Compound { inner: self.inner.serialize_tuple(len)?, levels })
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let levels = self.deeper()?;
        Ok(Compound { inner: self.inner.serialize_tuple_struct(name, len)?, levels })
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        refuse_tag(name)?;
        let levels = self.deeper()?.deeper().map_err(S::Error::custom)?;
        Ok(Compound {
            inner: self.inner.serialize_tuple_variant(name, index, variant, len)?,
            levels,
        })
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let levels = self.deeper()?;
        Ok(Compound { inner: self.inner.serialize_map(len)?, levels })
    }

    #[inline]
    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        let levels = self.deeper()?;
        Ok(Compound { inner: self.inner.serialize_struct(name, len)?, levels })
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let levels = self.deeper()?.deeper().map_err(S::Error::custom)?;
        Ok(Compound {
            inner: self.inner.serialize_struct_variant(name, index, variant, len)?,
            levels,
        })
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// A sequence, map, struct or variant that is being written.
pub(super) struct Compound<C> {
    inner: C,
    /// The levels for its content.
    levels: Levels,
}

macro_rules! compound {
    ($($trait:ident: $($method:ident($($name:ident)?)),*;)*) => {
        $(
            impl<C: $trait> $trait for Compound<C> {
                type Ok = C::Ok;
                type Error = C::Error;

                $(
                    #[inline]
                    fn $method<T: ?Sized + Serialize>(
                        &mut self,
                        $($name: &'static str,)?
                        value: &T,
                    ) -> Result<(), C::Error> {
                        self.inner.$method($($name,)? &Nested { value, levels: self.levels })
                    }
                )*

                #[inline]
                fn end(self) -> Result<C::Ok, C::Error> {
                    self.inner.end()
                }
            }
        )*
    };
}

compound! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(key);
    SerializeStructVariant: serialize_field(key);
}
