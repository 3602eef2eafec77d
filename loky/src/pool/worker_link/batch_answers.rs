//! The answers of a batch, and how far its worker is with it.
//!
//! What a worker has begun of a batch is known by its batch word ([`slots`](crate::transport::slots)).

use std::time::Duration;

use super::Link;
use crate::id::{CallId, Ticket};
use crate::limits;
use crate::pool::fault::Fault;
use crate::pool::outcome::RawAnswers;
use crate::transport::slots::Items;
use crate::transport::slots::table::Progress;
use crate::wire::message::RESULTS;

impl Link {
    /// Whether the worker has come to the end of a batch of `count` calls, whose answers are about to be fetched. (Of one that
    /// has ended early the last answer may take longer to come.)
    pub(in crate::pool) fn is_through(&mut self, ticket: Ticket, count: u32) -> bool {
        self.slots.progress(ticket) == Ok(Progress::Finished)
            && self.slots.items(ticket).is_ok_and(|items| items.begun >= count)
    }

    /// Whether the worker has begun this call of a batch. If the page is corrupt, it has.
    pub(in crate::pool) fn has_begun_item(&mut self, ticket: Ticket, number: u32) -> bool {
        self.slots.items(ticket).map_or(true, |items| items.begun > number)
    }

    /// The answers of a batch that the worker has come to the end of.
    pub(super) fn batch_answers(
        &mut self,
        ticket: Ticket,
        kind: u8,
        length: usize,
    ) -> Result<Box<RawAnswers>, Fault> {
        let Items { begun, limit } = self.slots.items(ticket)?;
        if kind != RESULTS || begun != limit || begun == 0 {
            return Err(Fault("what lies in its lane is no answer of a batch"));
        }
        let mut bytes = Vec::new();
        self.lane.read_answers(ticket, length, &mut bytes);
        RawAnswers::parse(bytes, begun)
    }

    /// The answers of the calls before the last that the worker has begun.
    fn answers_before_last(&mut self, ticket: Ticket) -> Result<Box<RawAnswers>, Fault> {
        let Items { begun, .. } = self.slots.items(ticket)?;
        let mut bytes = Vec::new();
        if begun > 1 {
            self.lane.read_answers(ticket, limits::SLOT_FRAME_BYTES, &mut bytes);
        }
        RawAnswers::parse(bytes, begun.saturating_sub(1))
    }

    /// Leaves to the worker what it has begun of a batch, and one call at least. Returns the answers of all but the last of these
    /// calls, and how many calls the batch is left.
    pub(in crate::pool) fn cut(&mut self, ticket: Ticket) -> Result<(Box<RawAnswers>, u32), Fault> {
        let Items { limit, .. } = self.slots.cut(ticket)?;
        Ok((self.answers_before_last(ticket)?, limit))
    }

    /// The worker has answered a call over the stream: which call, how long it ran, and the answers of the calls before it, if
    /// it is the last one that the worker has run of a batch.
    pub(in crate::pool) fn answered_on_stream(
        &mut self,
        ticket: Ticket,
    ) -> Result<(CallId, Duration, Option<Box<RawAnswers>>), Fault> {
        let before = match self.slots.is_chunk(ticket) {
            true => Some(self.answers_before_last(ticket)?),
            false => None,
        };
        let (call, ran) = self.slots.answered(ticket)?;
        self.note_answer();
        Ok((call, ran, before))
    }
}
