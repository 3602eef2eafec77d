//! The access to elements, entries and variants for a visitor: ciborium's, with our layer around each value.
//!
//! A visitor that leaves elements or values unread would leave ciborium in the middle of the input, and the next value would be
//! misread: that is an error here. A length from the input must never become a capacity as it is. Tested with
//! visitors that stop early, and with lengths far beyond the input.

use serde::de::{
    DeserializeSeed, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use crate::codec::deserialize::Deserializer;
use crate::codec::levels::Levels;
use crate::codec::visitor::Wrapped;

/// The limit of a length hint. Serde's own types reserve 1 MiB at most for any hint, but others may trust it.
const MOST_HINTED: usize = 1 << 20;

/// The user's seed, which will get our deserializer.
struct Within<T> {
    seed: T,
    levels: Levels,
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Within<T> {
    type Value = T::Value;

    #[inline]
    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<T::Value, D::Error> {
        self.seed.deserialize(Deserializer::new(deserializer, self.levels))
    }
}

/// The elements of a sequence.
pub(super) struct Elements<A> {
    inner: A,
    levels: Levels,
    ended: bool,
}

impl<'de, A: SeqAccess<'de>> Elements<A> {
    #[inline]
    pub(super) fn new(inner: A, levels: Levels) -> Self {
        Self { inner, levels, ended: false }
    }

    /// Returns an error unless the visitor has taken all.
    #[inline]
    pub(super) fn finish(self) -> Result<(), A::Error> {
        if self.ended || self.inner.size_hint() == Some(0) { Ok(()) } else { self.take_end() }
    }

    /// A function of its own, so that the compiler keeps the usual path compact.
    #[cold]
    fn take_end(mut self) -> Result<(), A::Error> {
        match self.inner.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::custom("more elements than were asked for")),
        }
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        if self.ended {
            return Ok(None);
        }
        let element = self.inner.next_element_seed(Within { seed, levels: self.levels })?;
        self.ended = element.is_none();
        Ok(element)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint().map(|hint| hint.min(MOST_HINTED))
    }
}

/// The entries of a map or of a struct.
pub(super) struct Entries<A> {
    inner: A,
    levels: Levels,
    ended: bool,
    /// Whether a key was taken, and its value was not.
    owes_value: bool,
}

impl<'de, A: MapAccess<'de>> Entries<A> {
    #[inline]
    pub(super) fn new(inner: A, levels: Levels) -> Self {
        Self { inner, levels, ended: false, owes_value: false }
    }

    /// Returns an error unless the visitor has taken all.
    #[inline]
    pub(super) fn finish(self) -> Result<(), A::Error> {
        self.owes_no_value()?;
        if self.ended || self.inner.size_hint() == Some(0) { Ok(()) } else { self.take_end() }
    }

    #[inline]
    fn owes_no_value(&self) -> Result<(), A::Error> {
        if self.owes_value {
            Err(A::Error::custom("a value was not asked for after its key"))
        } else {
            Ok(())
        }
    }

    /// A function of its own, so that the compiler keeps the usual path compact.
    #[cold]
    fn take_end(mut self) -> Result<(), A::Error> {
        match self.inner.next_key::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::custom("more entries than were asked for")),
        }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.owes_no_value()?;
        if self.ended {
            return Ok(None);
        }
        let key = self.inner.next_key_seed(Within { seed, levels: self.levels })?;
        self.ended = key.is_none();
        self.owes_value = key.is_some();
        Ok(key)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.owes_value = false;
        self.inner.next_value_seed(Within { seed, levels: self.levels })
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint().map(|hint| hint.min(MOST_HINTED))
    }
}

/// An enum, before and after its variant has been read.
pub(super) struct Variants<A> {
    inner: A,
    levels: Levels,
}

impl<A> Variants<A> {
    #[inline]
    pub(super) fn new(inner: A, levels: Levels) -> Self {
        Self { inner, levels }
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Variants<A> {
    type Error = A::Error;
    type Variant = Variants<A::Variant>;

    #[inline]
    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self::Variant), A::Error> {
        let levels = self.levels;
        let (name, variant) = self.inner.variant_seed(Within { seed, levels })?;
        Ok((name, Variants { inner: variant, levels }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variants<A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.newtype_variant_seed(Within { seed, levels: self.levels })
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Wrapped::new(visitor, self.levels))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Wrapped::new(visitor, self.levels))
    }
}
