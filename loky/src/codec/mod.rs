//! Values to bytes and back.
//!
//! One value after another, without anything between them: [`decode`] takes what it needs from the front of the input.
//! What serde reports, and a panic in a `Serialize` or `Deserialize`, comes back as text; nothing here unwinds.
//!
//! The bytes are CBOR, written and read by `ciborium`. CBOR as serde uses it writes `None`, `()` and a unit struct alike
//! as null, and `Some(x)` as `x`; so `Some(None)` and `Some(())` would come back as `None`, and nobody would know. A
//! thin layer around ciborium's serializer and deserializer repairs that:
//!
//! | file | |
//! |---|---|
//! | [`serialize`] | forwards to ciborium, counts the `Some`s around a value, and writes them out where null follows |
//! | [`deserialize`], [`visitor`], [`access`] | forward to ciborium, and read a written `Some` wherever one may lie |
//! | [`explicit`] | the written `Some`: a CBOR tag in front of the value |
//! | [`float`] | signalling NaNs of 32 bits, which a cast would change |
//! | [`levels`] | how deep values may be nested |
//! | [`attachments`] | what travels beside the bytes, left there and found there by the values themselves |
//! | [`entries`] | several encoded values in a row, to be taken apart without decoding them |
//! | [`witness`] | the proof that a type can travel, as a value |
//! | [`bulk`] | what is not CBOR: a vector of numbers that is a whole argument or result, as it lies in memory |
//! | [`out_of_line`] | what is long: in a segment beside the bytes |
//!
//! All other values that serde writes have the very bytes that ciborium alone gives them.
//!
//! What it must never do: give back another value than the one that went in (what it cannot carry is an error, and at
//! the sender if the sender can know it); and, whatever the bytes are, panic, overflow the stack, or allocate by a
//! length that they only claim.
//!
//! What it does not carry, with an error:
//! - values nested too deep;
//! - CBOR tags that a value writes itself, through ciborium's `tag` types;
//! - `i128` and `u128` where serde buffers what it reads (in untagged and internally tagged enums, and beside
//!   `flatten`);
//! - sequences and maps of which a `Deserialize` takes less than its `Serialize` wrote;
//! - names of fields and variants, and keys beside `flatten`, of more than 64 KiB;
//! - null to a visitor that asked for whatever comes and knows `visit_none` but not `visit_unit`.
//!
//! Out of its reach is what serde does with its own buffer: there a signalling NaN in an `f32` becomes a quiet one, and a
//! `struct N(Option<Box<N>>)` recurses without end on bytes that its `Serialize` cannot have written.
//!
//! How it is tested: values of every shape that serde knows go there and back, ordinary ones are compared with plain
//! ciborium byte by byte, and the decoder gets random, cut and mutated bytes.

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
mod visitor;
mod witness;

use std::fmt;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::attachments::{Attachments, EncodedValue};
pub use self::bulk::{BulkProbe, BySerde};
pub use self::witness::{
    Argument, FallibleOutput, Output, ValueCodec, argument, fallible_output, output,
};
pub(crate) use self::witness::{at_end, refused};

use self::deserialize::Lossless;
use self::levels::TooDeep;
use self::serialize::Nested;
use crate::unwind;

/// Why a value could not be encoded or decoded, in serde's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(pub(crate) String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Appends `value` to `out`. After an error what was appended is rubbish.
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

/// Ciborium reads text and bytes through a buffer, and a field's name must fit into it. On the stack, so small.
const SMALL_SCRATCH_BYTES: usize = 128;

/// The same for longer inputs: as long as they are, up to here.
const LARGE_SCRATCH_BYTES: usize = 64 << 10;

/// Runs serde with the types of the user, who may panic.
fn guarded<T>(serde: impl FnOnce() -> Result<T, CodecError>) -> Result<T, CodecError> {
    unwind::guarded(serde).unwrap_or_else(|text| Err(CodecError(format!("panicked: {text}"))))
}

// Ciborium's `Display` prints the `Debug` form; these take the message out of it.

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
