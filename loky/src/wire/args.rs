//! The encoded arguments of a call, or of the calls of a chunk, as they are kept until it is over: they may have to be written
//! again, to another worker.

use std::ops::Deref;
use std::sync::Arc;

use crate::codec::entries;
use crate::codec::{Attachments, EncodedValue};
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
    /// With what travels beside them.
    Attached(Arc<EncodedValue>),
    /// Those of several calls.
    Chunk(Box<Chunk>),
}

/// The arguments of calls of one task that travel together: an entry each, all of which fit into a letter.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// What one chunk becomes when it is divided shares them.
    bytes: Arc<Vec<u8>>,
    /// Where in them its own are.
    start: usize,
    end: usize,
    /// How many calls it has.
    pub(crate) count: u32,
}

impl Chunk {
    /// How many bytes its entries may take, so that there is room in a letter for one more, and the name of the task.
    pub(crate) const BYTES: usize =
        limits::LETTER_BYTES - Self::NAME_BYTES - limits::GATHER_BYTES - entries::HEAD_BYTES;

    /// What it leaves of a letter for the name of its task. One whose name is longer comes in single calls.
    pub(crate) const NAME_BYTES: usize = 4 * 1024;

    /// So many entries.
    pub(crate) fn new(bytes: Vec<u8>, count: u32) -> Self {
        Self { start: 0, end: bytes.len(), bytes: Arc::new(bytes), count }
    }

    /// One more call. False if there is no room for it, or if the bytes are not its own alone.
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

    /// So many of its calls, from the first.
    pub(crate) fn head(&self, count: u32) -> Self {
        Self { end: self.start + self.length_of(count), count, ..self.clone() }
    }

    /// The entries.
    pub(crate) fn items(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Those of its calls from this one on.
    pub(crate) fn tail(&self, first: u32) -> Self {
        let start = self.start + self.length_of(first);
        Self { start, count: self.count - first, ..self.clone() }
    }

    /// This one of its calls.
    pub(crate) fn one(&self, number: u32) -> Self {
        self.tail(number).head(1)
    }

    /// How long the first entries are, so many.
    fn length_of(&self, count: u32) -> usize {
        entries::length_of(self.items(), count).expect("so many are there")
    }
}

const _: () = assert!(size_of::<CallArgs>() == 24, "as long as a `Vec`");

impl CallArgs {
    /// Of a call that needs none any more.
    pub(crate) fn none() -> Self {
        Self::Short { length: 0, bytes: [0; SHORT_BYTES] }
    }

    /// Takes all that is in `room`, which stays what it is, as far as that costs no copy of what is long.
    pub(crate) fn take_from(room: &mut EncodedValue) -> Self {
        if !room.attachments.is_empty() {
            let attachments = std::mem::take(&mut room.attachments);
            let bytes = match room.bytes.len() > limits::GATHER_BYTES {
                true => std::mem::take(&mut room.bytes),
                // The room may have been that of a long value, which lies elsewhere.
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

    /// What travels beside them.
    pub(crate) fn attachments(&self) -> &Attachments {
        static NONE: Attachments = Attachments::new();
        match self {
            Self::Short { .. } | Self::Copied(_) | Self::Shared(_) | Self::Chunk(_) => &NONE,
            Self::Attached(args) => &args.attachments,
        }
    }

    /// Whether others may travel with them.
    pub(crate) fn is_small(&self) -> bool {
        matches!(self, Self::Short { .. } | Self::Copied(_))
    }

    /// Of how many calls they are.
    pub(crate) fn count(&self) -> u32 {
        match self {
            Self::Chunk(chunk) => chunk.count,
            _ => 1,
        }
    }

    /// The same as they were encoded.
    pub(crate) fn to_parcel(&self) -> EncodedValue {
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
    fn bytes_of_any_length_stay_as_they_are() {
        let mut room = EncodedValue::default();
        let lengths = [0, 1, SHORT_BYTES, SHORT_BYTES + 1, limits::GATHER_BYTES];
        for length in lengths.into_iter().chain([limits::GATHER_BYTES + 1]) {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            room.bytes.extend_from_slice(&bytes);
            let args = CallArgs::take_from(&mut room);
            assert_eq!((&*args, args.attachments().is_empty()), (&*bytes, true));
            assert!(room.bytes.is_empty(), "nothing is left for the next call");
        }
    }

    #[test]
    fn a_chunk_is_divided_at_its_entries() {
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
        let one = tail.one(1);
        assert_eq!((one.count, first(&one)), (1, vec![]));
        let head = tail.head(2);
        assert_eq!((head.count, first(&head), first(&head.tail(1))), (2, b"bb".to_vec(), vec![]));
        assert!(entries::next(head.tail(2).items()).is_none(), "it ends there");
    }

    #[test]
    fn what_travels_beside_them_stays_with_them() {
        let fd = std::fs::File::open("/dev/null").unwrap().into();
        let parcel = EncodedValue { bytes: vec![1, 2], attachments: [fd].into_iter().collect() };
        let mut room = parcel.clone();
        let args = CallArgs::take_from(&mut room);
        assert_eq!((&*args, args.attachments()), (&[1, 2][..], &parcel.attachments));
        assert_eq!(args.to_parcel(), parcel);
        assert_eq!(room, EncodedValue::default(), "nothing is left for the next call");
    }
}
