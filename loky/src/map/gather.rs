//! Encodes the calls of a chunk, and puts those that may travel together into batches.

use crate::codec::{EncodedValue, entries};
use crate::error::Error;
use crate::executor::{EncodedCall, encode_into};
use crate::limits;
use crate::segments::Segments;
use crate::task::Task;
use crate::wire::args::{CallArgs, Chunk};

/// See the module's documentation.
pub(super) struct Gathering {
    /// How many calls a batch has at most. With 1 there are no batches.
    most: usize,
    /// Batches and single calls, in the order of the items.
    pieces: Vec<EncodedCall>,
    /// The entries of the batch that is being filled.
    open: EncodedValue,
    n_open: u32,
    /// How many items were added.
    len: usize,
}

impl Gathering {
    pub(super) fn new(task: &str, most: usize) -> Self {
        let most = if task.len() < Chunk::NAME_BYTES { most } else { 1 };
        Self { most, pieces: Vec::new(), open: EncodedValue::default(), n_open: 0, len: 0 }
    }

    /// How many items were added.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a call that fails with this error.
    pub(super) fn fail(&mut self, error: Error) {
        self.push(Err(error));
    }

    /// Encodes and adds a call. A call with attachments or many bytes joins no batch.
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
        if encoded.is_err() || self.most == 1 || !is_small {
            let bytes = self.open.bytes.split_off(start + entries::HEAD_BYTES);
            let attachments = std::mem::take(&mut self.open.attachments);
            self.open.bytes.truncate(start);
            let mut alone = EncodedValue { bytes, attachments };
            return self.push(encoded.map(|()| CallArgs::take_from(&mut alone)));
        }
        entries::finish(&mut self.open.bytes, start, false);
        self.len += 1;
        self.n_open += 1;
        if self.open.bytes.len() > Chunk::BYTES || self.n_open as usize == self.most {
            self.close();
        }
    }

    fn push(&mut self, call: EncodedCall) {
        self.close();
        self.len += 1;
        self.pieces.push(call);
    }

    /// Completes the batch that is being filled.
    fn close(&mut self) {
        if self.n_open > 0 {
            let room = Vec::with_capacity(self.open.bytes.len());
            let bytes = std::mem::replace(&mut self.open.bytes, room);
            let count = std::mem::take(&mut self.n_open);
            self.pieces.push(Ok(CallArgs::Chunk(Box::new(Chunk::new(bytes, count)))));
        }
    }

    /// Returns all batches and single calls.
    pub(super) fn finish(mut self) -> Vec<EncodedCall> {
        self.close();
        self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::refused;

    /// How many calls each piece has: 0 for one that fails.
    fn counts(gathering: Gathering) -> Vec<u32> {
        let pieces = gathering.finish().into_iter();
        pieces.map(|piece| piece.map_or(0, |args| args.count())).collect()
    }

    fn gathering(most: usize, n_calls: usize) -> Gathering {
        let mut gathering = Gathering::new("task", most);
        (0..n_calls).for_each(|_| gathering.encode(refused::<(), ()>(), &(), None));
        assert_eq!(gathering.len(), n_calls);
        gathering
    }

    #[test]
    fn full_batch_is_closed() {
        assert_eq!(counts(gathering(1, 3)), [1, 1, 1]);
        assert_eq!(counts(gathering(4, 9)), [4, 4, 1]);
        assert_eq!(counts(gathering(4, 0)), []);
        let long_name = "x".repeat(Chunk::NAME_BYTES);
        assert_eq!(Gathering::new(&long_name, 4).most, 1, "there is no room for it");
    }

    #[test]
    fn failed_call_goes_alone_and_in_its_place() {
        let mut gathering = gathering(4, 2);
        gathering.fail(Error::new(crate::ErrorKind::NotATask, "no task"));
        gathering.encode(refused::<(), ()>(), &(), None);
        assert_eq!((gathering.len(), counts(gathering)), (4, vec![2, 0, 1]));
    }
}
