//! The encoded arguments of a call or a batch. The pool keeps them until the call is over: another worker may need them.

use std::ops::Deref;
use std::sync::Arc;

use crate::codec::entries;
use crate::codec::{Attachments, EncodedValue};
use crate::limits;

/// Arguments up to this length take no allocation. Two integers fit.
const SHORT_BYTES: usize = 22;

/// Encoded arguments. A program may queue a million calls, so they take as few bytes as they can.
#[derive(Debug)]
pub(crate) enum CallArgs {
    Short {
        length: u8,
        bytes: [u8; SHORT_BYTES],
    },
    /// Short enough to be copied when they are written.
    Copied(Box<[u8]>),
    /// Long: the write shares them.
    Shared(Arc<Vec<u8>>),
    /// With attachments.
    Attached(Arc<EncodedValue>),
    /// The arguments of a batch.
    Chunk(Box<Chunk>),
}

/// The arguments of a batch: calls of one task, an entry each. All entries fit into one slot.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// All parts of a divided batch share these bytes.
    bytes: Arc<Vec<u8>>,
    /// The range of the entries of this part.
    start: usize,
    end: usize,
    /// The number of calls.
    pub(crate) count: u32,
    /// The number of calls at the front whose answers are published. The worker is past them.
    pub(crate) answered: u32,
}

impl Chunk {
    /// The limit for its entries. A slot has room for one more entry then, and for the name of the task.
    pub(crate) const BYTES: usize =
        limits::SLOT_FRAME_BYTES - Self::NAME_BYTES - limits::GATHER_BYTES - entries::HEAD_BYTES;

    /// The room in a slot for the name of the task. Calls of a task with a longer name never form batches.
    pub(crate) const NAME_BYTES: usize = 4 * 1024;

    /// Returns a batch of `count` entries.
    pub(crate) fn new(bytes: Vec<u8>, count: u32) -> Self {
        Self { start: 0, end: bytes.len(), bytes: Arc::new(bytes), count, answered: 0 }
    }

    /// Adds a call. Returns false if there is no room, or the batch was divided.
    pub(crate) fn push(&mut self, args: &[u8]) -> bool {
        let Some(bytes) = Arc::get_mut(&mut self.bytes) else { return false };
        if bytes.len() > Self::BYTES || self.end < bytes.len() {
            return false;
        }
        let start = entries::begin(bytes);
        bytes.extend_from_slice(args);
        entries::finish(bytes, start, false);
        self.end = bytes.len();
        self.count += 1;
        true
    }

    /// Returns the first `count` calls.
    pub(crate) fn head(&self, count: u32) -> Self {
        Self { end: self.start + self.length_of(count), count, ..self.clone() }
    }

    /// Returns the entries.
    pub(crate) fn items(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Returns the calls from the number `first` on.
    pub(crate) fn tail(&self, first: u32) -> Self {
        let start = self.start + self.length_of(first);
        Self { start, count: self.count - first, answered: 0, ..self.clone() }
    }

    /// Returns the length of the first `count` entries.
    fn length_of(&self, count: u32) -> usize {
        entries::length_of(self.items(), count).expect("at most its calls")
    }
}

const _: () = assert!(size_of::<CallArgs>() == 24, "as long as a `Vec`");

impl CallArgs {
    /// Returns no arguments, for a call that needs them no more.
    pub(crate) fn none() -> Self {
        Self::Short { length: 0, bytes: [0; SHORT_BYTES] }
    }

    /// Takes the arguments out of the buffer `room`. It keeps its memory if that costs no copy of a long value.
    pub(crate) fn take_from(room: &mut EncodedValue) -> Self {
        if !room.attachments.is_empty() {
            let attachments = std::mem::take(&mut room.attachments);
            let bytes = match room.bytes.len() > limits::GATHER_BYTES {
                true => std::mem::take(&mut room.bytes),
                // The buffer may have the room of a long value that was moved to a segment.
                false => room.bytes.as_slice().into(),
            };
            room.bytes.clear();
            return Self::Attached(Arc::new(EncodedValue { bytes, attachments }));
        }
        let room = &mut room.bytes;
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

    /// Returns the attachments.
    pub(crate) fn attachments(&self) -> &Attachments {
        static NONE: Attachments = Attachments::new();
        match self {
            Self::Short { .. } | Self::Copied(_) | Self::Shared(_) | Self::Chunk(_) => &NONE,
            Self::Attached(args) => &args.attachments,
        }
    }

    /// Returns whether the call may join a batch.
    pub(crate) fn is_small(&self) -> bool {
        matches!(self, Self::Short { .. } | Self::Copied(_))
    }

    /// Returns the number of calls without a published answer.
    pub(crate) fn count(&self) -> u32 {
        match self {
            Self::Chunk(chunk) => chunk.count - chunk.answered,
            _ => 1,
        }
    }

    /// Returns the arguments as they were encoded.
    pub(crate) fn to_value(&self) -> EncodedValue {
        EncodedValue { bytes: self.to_vec(), attachments: self.attachments().clone() }
    }
}

impl From<EncodedValue> for CallArgs {
    fn from(mut args: EncodedValue) -> Self {
        Self::take_from(&mut args)
    }
}

impl Deref for CallArgs {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::Attached(args) => &args.bytes,
            Self::Chunk(chunk) => chunk.items(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_are_kept() {
        let mut room = EncodedValue::default();
        let lengths = [0, 1, SHORT_BYTES, SHORT_BYTES + 1, limits::GATHER_BYTES];
        for length in lengths.into_iter().chain([limits::GATHER_BYTES + 1]) {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            room.bytes.extend_from_slice(&bytes);
            let args = CallArgs::take_from(&mut room);
            assert_eq!((&*args, args.attachments().is_empty()), (&*bytes, true));
            assert!(room.bytes.is_empty(), "the buffer is empty for the next call");
        }
    }

    #[test]
    fn batch_is_divided_at_its_entries() {
        let mut bytes = Vec::new();
        for text in ["a", "bb", "", "dddd"] {
            let start = entries::begin(&mut bytes);
            bytes.extend_from_slice(text.as_bytes());
            entries::finish(&mut bytes, start, false);
        }
        let first = |chunk: &Chunk| entries::next(chunk.items()).unwrap().0.bytes.to_vec();
        let whole = Chunk::new(bytes, 4);
        let tail = whole.tail(1);
        assert_eq!((tail.count, first(&tail)), (3, b"bb".to_vec()));
        let last = tail.tail(2);
        assert_eq!((last.count, first(&last)), (1, b"dddd".to_vec()));
        let head = tail.head(2);
        assert_eq!((head.count, first(&head), first(&head.tail(1))), (2, b"bb".to_vec(), vec![]));
        assert!(entries::next(head.tail(2).items()).is_none(), "it ends there");
    }

    #[test]
    fn attachments_stay_with_their_arguments() {
        let fd = std::fs::File::open("/dev/null").unwrap().into();
        let value = EncodedValue { bytes: vec![1, 2], attachments: [fd].into_iter().collect() };
        let mut room = value.clone();
        let args = CallArgs::take_from(&mut room);
        assert_eq!((&*args, args.attachments()), (&[1, 2][..], &value.attachments));
        assert_eq!(args.to_value(), value);
        assert_eq!(room, EncodedValue::default(), "the buffer is empty for the next call");
    }
}
