//! Values to bytes and back.
//!
//! Values follow each other without separators: [`decode`] takes one value from the front of the input. An error of serde, and a
//! panic in a `Serialize` or `Deserialize`, is returned as text; no function here unwinds.
//!
//! The bytes are CBOR, written and read by `ciborium`. CBOR as serde uses it writes `None`, `()` and a unit struct alike
//! as null, and `Some(x)` as `x`; so `Some(None)` and `Some(())` would silently come back as `None`. A thin layer around
//! ciborium's serializer and deserializer repairs that:
//!
//! | file | |
//! |---|---|
//! | [`serialize`] | forwards to ciborium, counts the `Some`s around a value, and writes them explicitly where null follows |
//! | [`deserialize`], [`visitor`], [`access`] | forward to ciborium, and read an explicit `Some` wherever one may be |
//! | [`explicit`] | the explicit `Some`: a CBOR tag in front of the value |
//! | [`float`] | signalling NaNs of 32 bits, which a cast would change |
//! | [`levels`] | the limit of nesting |
//! | [`attachments`] | descriptors that travel beside the bytes, attached and found by the values themselves |
//! | [`entries`] | several encoded values in a row, separable without decoding |
//! | [`value_codec`] | the encoder and decoder of one type, as a value |
//! | [`bulk`] | the exception to CBOR: a vector of numbers that is a whole argument or result, copied from memory |
//! | [`out_of_line`] | large values: in a segment beside the bytes |
//!
//! All other values have exactly the bytes of ciborium alone.
//!
//! It must never return another value than the one that went in: an unsupported value is an error, at the sender if the sender
//! can detect it. For no input may it panic, overflow the stack, or allocate for a length that the input only claims.
//!
//! Values that are errors:
//! - values that are nested too deeply;
//! - CBOR tags that a value itself writes, through ciborium's `tag` types;
//! - `i128` and `u128` where serde buffers its input: in untagged and internally tagged enums, and beside `flatten`;
//! - sequences and maps of which a `Deserialize` takes less than its `Serialize` wrote;
//! - names of fields and variants, and keys beside `flatten`, of more than 64 KiB;
//! - null for a visitor of any value that has `visit_none` but not `visit_unit`.
//!
//! Serde's own buffer is out of its reach: there a signalling NaN in an `f32` becomes a quiet one, and a
//! `struct N(Option<Box<N>>)` recurses without end on bytes that its `Serialize` cannot have written.
//!
//! Tested in `tests/`: values of every shape make a round trip, ordinary ones are compared with plain ciborium byte by byte, and the
//! decoder gets random, cut and mutated bytes.

mod access;
pub(crate) mod attachments;
mod bulk;
mod deserialize;
pub(crate) mod entries;
mod explicit;
mod float;
mod levels;
mod out_of_line;
mod serialize;
#[cfg(test)]
mod tests;
mod value_codec;
mod visitor;

use std::fmt;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::attachments::{Attachments, EncodedValue};
pub use self::bulk::{BulkProbe, BySerde};
pub use self::value_codec::{
    Argument, FallibleOutput, Output, ValueCodec, argument, fallible_output, output,
};
pub(crate) use self::value_codec::{at_end, refused};

use self::deserialize::Lossless;
use self::levels::TooDeep;
use self::serialize::Nested;
use crate::unwind;

/// The reason why a value could not be encoded or decoded, in serde's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(pub(crate) String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Appends `value` to `out`. After an error the appended bytes are meaningless.
pub(crate) fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    guarded(|| {
        ciborium::into_writer(&Nested::outermost(value), &mut *out).map_err(CodecError::from)
    })
}

/// Takes one value from the front of `input`.
pub(crate) fn decode<T: DeserializeOwned>(input: &mut &[u8]) -> Result<T, CodecError> {
    guarded(|| {
        let mut small = [0; SMALL_SCRATCH_BYTES];
        let mut large;
        let scratch = if input.len() <= SMALL_SCRATCH_BYTES {
            &mut small[..]
        } else {
            large = vec![0; input.len().min(LARGE_SCRATCH_BYTES)];
            &mut large[..]
        };
        let Lossless(value) = ciborium::de::from_reader_with_buffer(&mut *input, scratch)?;
        Ok(value)
    })
}

/// The buffer for short inputs, on the stack. Ciborium reads text and bytes through a buffer, and a field's name must fit into it.
const SMALL_SCRATCH_BYTES: usize = 128;

/// The longest buffer for longer inputs. It is as long as the input, up to this.
const LARGE_SCRATCH_BYTES: usize = 64 << 10;

/// Runs serde with the user's types, whose code may panic.
fn guarded<T>(serde: impl FnOnce() -> Result<T, CodecError>) -> Result<T, CodecError> {
    unwind::guarded(serde).unwrap_or_else(|text| Err(CodecError(format!("panicked: {text}"))))
}

// Ciborium's `Display` prints the `Debug` form; these conversions extract the message.

impl From<ciborium::ser::Error<io::Error>> for CodecError {
    fn from(error: ciborium::ser::Error<io::Error>) -> Self {
        use ciborium::ser::Error;

        Self(match error {
            Error::Value(message) => message,
            Error::Io(error) => error.to_string(),
        })
    }
}

impl From<ciborium::de::Error<io::Error>> for CodecError {
    fn from(error: ciborium::de::Error<io::Error>) -> Self {
        use ciborium::de::Error;

        Self(match error {
            Error::Semantic(None, message) => message,
            Error::Semantic(Some(offset), message) => format!("{message} at byte {offset}"),
            Error::Syntax(offset) => format!("malformed at byte {offset}"),
            Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                "the bytes end too early".to_owned()
            }
            Error::Io(error) => error.to_string(),
            Error::RecursionLimitExceeded => TooDeep::Levels.to_string(),
        })
    }
}
