//! The encoded arguments of a call, as they are kept until it is over: they may have to be written again, to another worker.

use std::ops::Deref;
use std::sync::Arc;

use crate::limits;

/// Arguments up to this length take no allocation. Two numbers fit.
const SHORT_BYTES: usize = 22;

/// Encoded arguments. Of a million calls that are queued each has these, so no byte is more than it needs.
#[derive(Debug)]
pub(crate) enum CallArgs {
    Short {
        length: u8,
        bytes: [u8; SHORT_BYTES],
    },
    /// Short enough to be copied into what is written.
    Copied(Box<[u8]>),
    /// So long that what is written shares them.
    Shared(Arc<Vec<u8>>),
}

const _: () = assert!(size_of::<CallArgs>() == 24, "as long as a `Vec`");

impl CallArgs {
    /// Takes all that is in `room`, which stays what it is, as far as that costs no copy of what is long.
    pub(crate) fn take_from(room: &mut Vec<u8>) -> Self {
        if room.len() > limits::GATHER_BYTES {
            return Self::Shared(Arc::new(std::mem::take(room)));
        }
        let args = match u8::try_from(room.len()) {
            Ok(length) if room.len() <= SHORT_BYTES => {
                let mut bytes = [0; SHORT_BYTES];
                bytes[..room.len()].copy_from_slice(room);
                Self::Short { length, bytes }
            }
            _ => Self::Copied((**room).into()),
        };
        room.clear();
        args
    }
}

impl From<Vec<u8>> for CallArgs {
    fn from(mut bytes: Vec<u8>) -> Self {
        Self::take_from(&mut bytes)
    }
}

impl Deref for CallArgs {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_stay_as_they_are() {
        let mut room = Vec::new();
        let lengths = [0, 1, SHORT_BYTES, SHORT_BYTES + 1, limits::GATHER_BYTES];
        for length in lengths.into_iter().chain([limits::GATHER_BYTES + 1]) {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            room.extend_from_slice(&bytes);
            assert_eq!(*CallArgs::take_from(&mut room), bytes);
            assert!(room.is_empty(), "nothing is left for the next call");
        }
    }
}
