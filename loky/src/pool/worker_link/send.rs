//! Sending to a worker: calls through the lane, or over the stream where they are too long for that; orders, which are no calls.
//!
//! Nothing here blocks. What the stream has no room for stays in the outbox, and its rest is written by the pool thread.

use super::{Link, Phase};
use crate::id::{CallId, Ticket};
use crate::limits;
use crate::transport::slots::PageCorrupt;
use crate::wire::args::CallArgs;
use crate::wire::frame;
use crate::wire::message;

impl Link {
    /// Gives the worker a call, which it comes to know of by the next [`flush`](Self::flush).
    pub(in crate::pool) fn give(
        &mut self,
        call: CallId,
        task: &str,
        args: &CallArgs,
    ) -> Result<Ticket, PageCorrupt> {
        if self.is_page_corrupt {
            return Err(PageCorrupt);
        }
        let ticket = self.slots.take(call)?;
        if let CallArgs::Chunk(batch) = args {
            self.slots.set_items(ticket, batch.count);
        }
        self.is_unused = false;
        if !self.uses_lane || !self.write_into_slot(ticket, task, args) {
            self.outbox.push(ticket, task, args);
        }
        self.slots.publish(ticket);
        Ok(ticket)
    }

    /// Writes a call into the lane. False if it is too long for that, or has descriptors.
    fn write_into_slot(&mut self, ticket: Ticket, task: &str, args: &CallArgs) -> bool {
        if args.len() > limits::SLOT_FRAME_BYTES || !args.attachments().is_empty() {
            self.lane.write_on_stream(ticket);
            return false;
        }
        let room = &mut self.room;
        room.clear();
        if let CallArgs::Chunk(batch) = args {
            message::put_chunk(room, ticket, task, batch.items());
        } else {
            message::begin_call(room, ticket, task, args.len());
            room.extend_from_slice(args);
        }
        self.lane.write(ticket, frame::parts(room))
    }

    /// Writes what was given to the worker, as far as there is room, and wakes the worker if it sleeps.
    pub(in crate::pool) fn flush(&mut self) {
        // An error means that the worker is gone, which is seen where it is read from.
        let _ = self.outbox.flush();
        if !self.uses_lane {
            return;
        }
        if self.has_order {
            // Again and again until all is there: what has begun the worker waits for.
            self.has_order = self.is_congested();
            self.lane.order();
        } else {
            self.lane.wake_worker();
        }
    }

    /// Has the worker look at the stream for something that is no call.
    pub(super) fn order(&mut self) {
        self.has_order = true;
        self.flush();
    }

    /// Gives the worker the initializer, which is sent by the next [`flush`](Self::flush).
    pub(in crate::pool) fn give_initializer(&mut self, task: &'static str, args: &CallArgs) {
        self.phase = Phase::Initializing;
        self.outbox.push(Ticket::INITIALIZER, task, args);
        self.has_order = true;
    }

    /// Has the worker know that this process has lost the descriptors of a result: or the worker would keep their memory. It is
    /// sent by the next [`flush`](Self::flush).
    pub(in crate::pool) fn give_not_received(&mut self, ticket: Ticket) {
        self.outbox.push_not_received(ticket);
        self.has_order = true;
    }

    /// Whether the channel has taken less than there is.
    pub(in crate::pool) fn is_congested(&self) -> bool {
        self.outbox.is_waiting()
    }

    /// Whether the system had no room for what is to be sent, though the channel had. No event tells when that has changed.
    pub(in crate::pool) fn is_held_up(&self) -> bool {
        self.outbox.is_held_up()
    }
}
