//! The outcome of a call as futures share it: the encoded result with its attachments, or the error.

use std::ops::Deref;
use std::sync::Arc;

use crate::codec::{Attachments, EncodedValue};
use crate::error::Error;

/// What a call came back with: the encoded result, or why there is none.
pub(crate) type Outcome = Result<Payload, Error>;

/// Results up to this length lie in the cell itself, which saves an allocation for each. Two numbers fit.
const SHORT_BYTES: usize = 22;

/// An encoded result. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Short {
        length: u8,
        bytes: [u8; SHORT_BYTES],
    },
    Shared(Arc<Vec<u8>>),
    /// The descriptors stay open until the last handle of the result is gone.
    Attached(Arc<EncodedValue>),
}

impl Payload {
    fn short(payload: &[u8]) -> Option<Self> {
        let length = u8::try_from(payload.len()).ok().filter(|_| payload.len() <= SHORT_BYTES)?;
        let mut bytes = [0; SHORT_BYTES];
        bytes[..payload.len()].copy_from_slice(payload);
        Some(Self::Short { length, bytes })
    }

    /// The descriptors that came with the bytes.
    pub(crate) fn attachments(&self) -> &Attachments {
        static NONE: Attachments = Attachments::new();
        match self {
            Self::Short { .. } | Self::Shared(_) => &NONE,
            Self::Attached(value) => &value.attachments,
        }
    }
}

impl From<EncodedValue> for Payload {
    fn from(value: EncodedValue) -> Self {
        match value.attachments.is_empty() {
            true => value.bytes.into(),
            false => Self::Attached(Arc::new(value)),
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(payload: Vec<u8>) -> Self {
        Self::short(&payload).unwrap_or_else(|| Self::Shared(Arc::new(payload)))
    }
}

impl From<&[u8]> for Payload {
    fn from(payload: &[u8]) -> Self {
        Self::short(payload).unwrap_or_else(|| Self::Shared(Arc::new(payload.to_vec())))
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Shared(bytes) => bytes,
            Self::Attached(value) => &value.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_of_any_length_returns_its_bytes() {
        for length in [0, 1, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 1000] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            assert_eq!(*Payload::from(bytes.clone()), bytes);
        }
    }
}
