//! Calls that a map is about to submit, put together in chunks as they are encoded.

use crate::codec::{EncodedValue, entries};
use crate::error::Error;
use crate::executor::{EncodedCall, encode_into};
use crate::limits;
use crate::segments::Segments;
use crate::task::Task;
use crate::wire::args::{CallArgs, Chunk};

/// See the module's documentation.
pub(super) struct Gathering {
    /// How many calls a chunk has at most. With 1 there are none.
    chunk: usize,
    /// Chunks and single calls, in the order of the items.
    pieces: Vec<EncodedCall>,
    /// The chunk that is being filled.
    open: EncodedValue,
    n_open: u32,
    /// How many items were taken.
    len: usize,
}

impl Gathering {
    pub(super) fn new(task: &str, chunk: usize) -> Self {
        let chunk = if task.len() < Chunk::NAME_BYTES { chunk } else { 1 };
        Self { chunk, pieces: Vec::new(), open: EncodedValue::default(), n_open: 0, len: 0 }
    }

    /// How many items it has.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A call that cannot be made.
    pub(super) fn refuse(&mut self, error: Error) {
        self.push(Err(error));
    }

    /// Encodes a call. If it has something beside its bytes, or very many of them, it is none of a chunk.
    pub(super) fn encode<Args, R>(
        &mut self,
        task: Task<Args, R>,
        args: &Args,
        segments: Option<&Segments>,
    ) {
        let start = entries::begin(&mut self.open.bytes);
        let encoded = encode_into(task, args, &mut self.open, segments);
        let length = self.open.bytes.len() - start;
        let is_small = length <= limits::GATHER_BYTES && self.open.attachments.is_empty();
        if encoded.is_err() || self.chunk == 1 || !is_small {
            let bytes = self.open.bytes.split_off(start + entries::HEAD_BYTES);
            let attachments = std::mem::take(&mut self.open.attachments);
            self.open.bytes.truncate(start);
            let mut alone = EncodedValue { bytes, attachments };
            return self.push(encoded.map(|()| CallArgs::take_from(&mut alone)));
        }
        entries::finish(&mut self.open.bytes, start, false);
        self.len += 1;
        self.n_open += 1;
        if self.open.bytes.len() > Chunk::BYTES || self.n_open as usize == self.chunk {
            self.close();
        }
    }

    fn push(&mut self, call: EncodedCall) {
        self.close();
        self.len += 1;
        self.pieces.push(call);
    }

    /// The chunk that is being filled is one.
    fn close(&mut self) {
        if self.n_open > 0 {
            let room = Vec::with_capacity(self.open.bytes.len());
            let bytes = std::mem::replace(&mut self.open.bytes, room);
            let count = std::mem::take(&mut self.n_open);
            self.pieces.push(Ok(CallArgs::Chunk(Box::new(Chunk::new(bytes, count)))));
        }
    }

    /// All of it.
    pub(super) fn finish(mut self) -> Vec<EncodedCall> {
        self.close();
        self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::refused;

    /// How many calls each piece has; 0: it is refused.
    fn counts(gathering: Gathering) -> Vec<u32> {
        let pieces = gathering.finish().into_iter();
        pieces.map(|piece| piece.map_or(0, |args| args.count())).collect()
    }

    fn gathering(chunk: usize, n_calls: usize) -> Gathering {
        let mut gathering = Gathering::new("task", chunk);
        (0..n_calls).for_each(|_| gathering.encode(refused::<(), ()>(), &(), None));
        assert_eq!(gathering.len(), n_calls);
        gathering
    }

    #[test]
    fn so_many_calls_are_a_chunk() {
        assert_eq!(counts(gathering(1, 3)), [1, 1, 1]);
        assert_eq!(counts(gathering(4, 9)), [4, 4, 1]);
        assert_eq!(counts(gathering(4, 0)), []);
        let long_name = "x".repeat(Chunk::NAME_BYTES);
        assert_eq!(Gathering::new(&long_name, 4).chunk, 1, "there is no room for it");
    }

    #[test]
    fn what_cannot_be_called_goes_alone_and_in_its_place() {
        let mut gathering = gathering(4, 2);
        gathering.refuse(Error::new(crate::ErrorKind::NotATask, "no task"));
        gathering.encode(refused::<(), ()>(), &(), None);
        assert_eq!((gathering.len(), counts(gathering)), (4, vec![2, 0, 1]));
    }
}
