//! The bytes of a result, and what came beside them, which futures share.

use std::ops::Deref;
use std::sync::Arc;

use crate::codec::{Attachments, EncodedValue};

/// Results up to this length lie in the slot itself, which saves an allocation for each. Two numbers fit.
const SHORT_BYTES: usize = 22;

/// An encoded result. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Short {
        length: u8,
        bytes: [u8; SHORT_BYTES],
    },
    Shared(Arc<Vec<u8>>),
    /// Descriptors are kept as long as somebody may ask for the result.
    Attached(Arc<EncodedValue>),
}

impl Payload {
    fn short(payload: &[u8]) -> Option<Self> {
        let length = u8::try_from(payload.len()).ok().filter(|_| payload.len() <= SHORT_BYTES)?;
        let mut bytes = [0; SHORT_BYTES];
        bytes[..payload.len()].copy_from_slice(payload);
        Some(Self::Short { length, bytes })
    }

    /// What came beside the bytes.
    pub(crate) fn attachments(&self) -> &Attachments {
        static NONE: Attachments = Attachments::new();
        match self {
            Self::Short { .. } | Self::Shared(_) => &NONE,
            Self::Attached(parcel) => &parcel.attachments,
        }
    }
}

impl From<EncodedValue> for Payload {
    fn from(parcel: EncodedValue) -> Self {
        match parcel.attachments.is_empty() {
            true => parcel.bytes.into(),
            false => Self::Attached(Arc::new(parcel)),
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
            Self::Attached(parcel) => &parcel.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_stay_as_they_are() {
        for length in [0, 1, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 1000] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            assert_eq!(*Payload::from(bytes.clone()), bytes);
        }
    }
}
