//! Values to bytes and back.
//!
//! One value after another, without anything between them: [`decode`] takes what it needs from the front of the input.
//! What serde reports, and a panic in a `Serialize` or `Deserialize`, comes back as text; nothing here unwinds.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

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
    guarded(|| ciborium::into_writer(value, &mut *out).map_err(|error| CodecError(error.to_string())))
}

/// Takes one value from the front of `input`.
pub(crate) fn decode<T: DeserializeOwned>(input: &mut &[u8]) -> Result<T, CodecError> {
    guarded(|| ciborium::from_reader(&mut *input).map_err(|error| CodecError(error.to_string())))
}

/// Runs serde with the types of the user, who may panic.
fn guarded<T>(serde: impl FnOnce() -> Result<T, CodecError>) -> Result<T, CodecError> {
    catch_unwind(AssertUnwindSafe(serde))
        .unwrap_or_else(|payload| Err(CodecError(format!("panicked: {}", panic_text(&*payload)))))
}

/// The text of a panic's payload, or what can be said of one that is no text.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a payload that is no text".to_owned()
    }
}
