//! The accepted calls that have no outcome yet: the one place of the pool that says which worker has a call, and which
//! threads wait for it.
//!
//! The scheduler, a value of its own, keeps its own record of where each call is. The pool sets the location here when it performs
//! the scheduler's action: when it dispatches the call, and when it takes it back.

use std::sync::Arc;

use super::effects::Sleeper;
use crate::calls::{CallIds, CallMap};
use crate::future::{CallRef, DriverRef, MovedTail, OutcomeCell, Promise, Publication};
use crate::id::{CallId, Ticket, WorkerId};
use crate::wire::args::{CallArgs, Chunk};

/// The worker that has a call, and the slot of its page.
pub(super) type Location = (WorkerId, Ticket);

/// A call without an outcome. A batch is one call here.
pub(super) struct PendingCall {
    promise: Promise,
    args: CallArgs,
    location: Option<Location>,
    /// How many threads are parked on it.
    parked: u32,
    /// The waiting thread that sleeps until a worker answers it.
    sleeper: Option<Sleeper>,
    /// Whether its outcome is to be told in another way than to a waiting thread: to a callback, a waker, a watcher.
    has_listener: bool,
}

impl PendingCall {
    pub(super) fn task(&self) -> &'static str {
        self.promise.task()
    }

    pub(super) fn args(&self) -> &CallArgs {
        &self.args
    }

    pub(super) fn location(&self) -> Option<Location> {
        self.location
    }

    /// Its slot in the page of this worker, if that has it.
    pub(super) fn ticket_at(&self, worker: WorkerId) -> Option<Ticket> {
        self.location.filter(|(at, _)| *at == worker).map(|(_, ticket)| ticket)
    }

    pub(super) fn has_listener(&self) -> bool {
        self.has_listener
    }

    /// Whether the call with this number has left a batch: its answer is on its way to the cell, or it is in another batch.
    pub(super) fn is_settled(&self, number: Option<u32>) -> bool {
        match (&self.args, number) {
            (CallArgs::Chunk(batch), Some(number)) => {
                !(batch.answered..batch.count).contains(&number)
            }
            _ => false,
        }
    }

    /// Has the threads that are parked on it look whether there is something to read now.
    pub(super) fn unpark_to_retry(&self) {
        if self.parked > 0 {
            self.promise.unpark_to_retry();
        }
    }

    /// The call was given to a worker.
    pub(super) fn dispatched(&mut self, worker: WorkerId, ticket: Ticket) {
        self.location = Some((worker, ticket));
    }

    /// The call was taken back from its worker. Returns the thread that sleeps there for it.
    pub(super) fn taken_back(&mut self) -> Option<Sleeper> {
        self.location = None;
        self.sleeper.take()
    }
}

/// The rest of a call that is over.
pub(super) struct RemovedCall {
    pub(super) promise: Promise,
    pub(super) args: CallArgs,
    pub(super) sleeper: Option<Sleeper>,
}

/// The next reader of a worker.
pub(super) enum NextReader<'a> {
    /// A thread that is parked on this call.
    Parked(&'a PendingCall),
    /// The pool thread, since a listener is to be told.
    PoolThread,
    NoThread,
}

/// The calls that a division has moved.
#[derive(Default)]
pub(super) struct Moved {
    /// The new batches, each with the number of its calls.
    pub(super) batches: Vec<(CallId, u32)>,
    /// The new batches that have got listeners.
    pub(super) listened: Vec<CallId>,
}

/// All accepted calls without an outcome.
#[derive(Default)]
pub(super) struct CallTable {
    ids: CallIds,
    calls: CallMap<PendingCall>,
    /// How many of them are batches.
    batches: usize,
    /// How many threads are parked. Mostly none, as with the next one.
    parked: usize,
    /// How many calls have a listener.
    listened: usize,
}

impl CallTable {
    /// Enters a new call of `task`.
    pub(super) fn accept(
        &mut self,
        task: &'static str,
        args: CallArgs,
        driver: &DriverRef,
    ) -> (CallId, Arc<OutcomeCell>) {
        let call = self.ids.next_batch(args.count());
        (call, self.insert(call, task, args, driver))
    }

    fn insert(
        &mut self,
        call: CallId,
        task: &'static str,
        args: CallArgs,
        driver: &DriverRef,
    ) -> Arc<OutcomeCell> {
        let (promise, cell) = Promise::new(task, driver, call);
        self.batches += usize::from(matches!(args, CallArgs::Chunk(_)));
        let pending = PendingCall {
            promise,
            args,
            location: None,
            parked: 0,
            sleeper: None,
            has_listener: false,
        };
        self.calls.insert(call, pending);
        cell
    }

    /// Moves the calls of a batch from `end` on to new cells: first to `ended`, the cell of calls that are over, and the others to
    /// new batches of at most `most` calls. The caller publishes or ends the batch before the lock is released.
    pub(super) fn move_tail(
        &mut self,
        call: CallId,
        end: u32,
        ended: Option<(Arc<OutcomeCell>, u32)>,
        most: u32,
    ) -> Moved {
        let mut moved = Moved::default();
        let Some(pending) = self.calls.get_mut(&call) else { return moved };
        let (CallArgs::Chunk(batch), Some(driver)) = (&mut pending.args, pending.promise.driver())
        else {
            return moved;
        };
        if end >= batch.count {
            return moved;
        }
        let task = pending.promise.task();
        let mut first = end + ended.as_ref().map_or(0, |(_, count)| *count);
        let mut left = (first < batch.count).then(|| batch.tail(first));
        **batch = batch.head(end);
        let mut cells: MovedTail = ended.into_iter().collect();
        while let Some(batch) = left {
            let count = batch.count.min(most);
            let part = self.ids.part(call, first);
            let args = CallArgs::Chunk(Box::new(batch.head(count)));
            cells.push((self.insert(part, task, args, &driver), count));
            moved.batches.push((part, count));
            first += count;
            left = (count < batch.count).then(|| batch.tail(count));
        }
        if let Some(pending) = self.calls.get(&call) {
            moved.listened = pending.promise.move_tail(end, cells);
        }
        moved
    }

    /// The next `count` calls of a batch are answered. Returns the obligation to publish that, and the thread that sleeps for a
    /// call of the batch: for one of these, or one that has moved, or one that is pending.
    pub(super) fn note_answered(
        &mut self,
        call: CallId,
        count: u32,
    ) -> Option<(Publication, Option<Sleeper>)> {
        let pending = self.calls.get_mut(&call)?;
        if let CallArgs::Chunk(batch) = &mut pending.args {
            batch.answered += count;
        }
        Some((pending.promise.publication(), pending.sleeper.take()))
    }

    /// The promise and the cell of calls that leave a batch because they are over. They are never entered here.
    pub(super) fn promise_at_once(&mut self, of: CallId) -> Option<(Promise, Arc<OutcomeCell>)> {
        let batch = self.calls.get(&of)?;
        let (task, driver) = (batch.task(), batch.promise.driver()?);
        let call = self.ids.next();
        let ends = Promise::new(task, &driver, call);
        self.ids.release(call);
        Some(ends)
    }

    pub(super) fn get(&self, call: CallId) -> Option<&PendingCall> {
        self.calls.get(&call)
    }

    pub(super) fn get_mut(&mut self, call: CallId) -> Option<&mut PendingCall> {
        self.calls.get_mut(&call)
    }

    /// Which worker has the call, and where.
    pub(super) fn location(&self, call: CallId) -> Option<Location> {
        self.calls.get(&call)?.location
    }

    /// The batch that this call is, if that worker has it; and its slot there.
    pub(super) fn batch_at(&self, worker: WorkerId, call: CallId) -> Option<(Ticket, &Chunk)> {
        let pending = self.calls.get(&call)?;
        match &pending.args {
            CallArgs::Chunk(batch) => Some((pending.ticket_at(worker)?, batch)),
            _ => None,
        }
    }

    /// The call is over.
    pub(super) fn remove(&mut self, call: CallId) -> Option<RemovedCall> {
        let PendingCall { promise, args, sleeper, has_listener, .. } = self.calls.remove(&call)?;
        self.ids.release(call);
        self.batches -= usize::from(matches!(args, CallArgs::Chunk(_)));
        self.listened -= usize::from(has_listener);
        Some(RemovedCall { promise, args, sleeper })
    }

    /// Takes out all calls, at the end of the pool. Threads that are parked on them still count as parked until each has gone on.
    pub(super) fn take_all(&mut self) -> CallMap<PendingCall> {
        (self.batches, self.listened) = (0, 0);
        std::mem::take(&mut self.calls)
    }

    /// Adds a call to a batch that waits, if it is of this `task`, has fewer than `most` calls, and room in its bytes.
    pub(super) fn join(
        &mut self,
        batch: CallId,
        task: &'static str,
        args: &CallArgs,
        most: usize,
    ) -> Option<CallRef> {
        let pending = self.calls.get_mut(&batch)?;
        let CallArgs::Chunk(chunk) = &mut pending.args else { return None };
        let number = chunk.count;
        if !std::ptr::eq(pending.promise.task(), task)
            || number as usize >= most
            || !self.ids.extend(batch, number)
            || !chunk.push(args)
        {
            return None;
        }
        Some(CallRef { cell: Arc::clone(pending.promise.cell()?), number: Some(number) })
    }

    /// Whether any of them is a batch.
    pub(super) fn has_batches(&self) -> bool {
        self.batches > 0
    }

    /// Whether any has a listener.
    pub(super) fn has_listeners(&self) -> bool {
        self.listened > 0
    }

    /// Whether an answer is wanted without being read: by a parked thread, or a listener.
    pub(super) fn is_anybody_told(&self) -> bool {
        self.parked > 0 || self.listened > 0
    }

    /// The call has a listener from now on. Returns the worker that has the call.
    pub(super) fn add_listener(&mut self, call: CallId) -> Option<WorkerId> {
        let pending = self.calls.get_mut(&call)?;
        self.listened += usize::from(!pending.has_listener);
        pending.has_listener = true;
        pending.location.map(|(worker, _)| worker)
    }

    /// A waiting thread is about to park on the call.
    pub(super) fn park(&mut self, call: CallId) {
        self.parked += 1;
        if let Some(pending) = self.calls.get_mut(&call) {
            pending.parked += 1;
        }
    }

    /// The thread that was parked on the call goes on. The call may be over.
    pub(super) fn unpark(&mut self, call: CallId) {
        self.parked -= 1;
        if let Some(pending) = self.calls.get_mut(&call) {
            pending.parked -= 1;
        }
    }

    /// A waiting thread is about to sleep until a worker answers the call.
    pub(super) fn note_sleeper(&mut self, call: CallId, sleeper: Sleeper) {
        if let Some(pending) = self.calls.get_mut(&call) {
            pending.sleeper = Some(sleeper);
        }
    }

    /// A waiting thread sleeps no more, if `is_its_own` says of the sleeper that is noted, and of where the call lies now, that it
    /// is that thread.
    pub(super) fn forget_sleeper(
        &mut self,
        call: CallId,
        is_its_own: impl FnOnce(&Sleeper, Option<WorkerId>) -> bool,
    ) {
        if let Some(pending) = self.calls.get_mut(&call) {
            let worker = pending.location.map(|(worker, _)| worker);
            pending.sleeper.take_if(|sleeper| is_its_own(sleeper, worker));
        }
    }

    /// Which thread is to read from the worker that has these calls.
    pub(super) fn next_reader(&self, calls: impl Iterator<Item = CallId>) -> NextReader<'_> {
        let mut has_listener = false;
        for pending in calls.filter_map(|call| self.calls.get(&call)) {
            if pending.parked > 0 {
                return NextReader::Parked(pending);
            }
            has_listener |= pending.has_listener;
        }
        if has_listener { NextReader::PoolThread } else { NextReader::NoThread }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;
    use crate::pool::Pool;

    fn driver() -> DriverRef {
        DriverRef::new(Weak::<Pool>::new())
    }

    const TASK: &str = "krate::task";

    #[test]
    fn take_back_clears_location_and_returns_sleeper() {
        let mut table = CallTable::default();
        let (call, _cell) = table.accept(TASK, CallArgs::none(), &driver());
        assert_eq!(table.location(call), None);
        let ticket = Ticket(7);
        table.get_mut(call).unwrap().dispatched(WorkerId(1), ticket);
        assert_eq!(table.location(call), Some((WorkerId(1), ticket)));
        let pending = table.get(call).unwrap();
        assert_eq!(pending.ticket_at(WorkerId(1)), Some(ticket));
        assert_eq!(pending.ticket_at(WorkerId(2)), None);
        let wake = Arc::new(crate::sys::wake::Wake::new().unwrap());
        table.note_sleeper(call, Sleeper::InPoll(wake));
        assert!(table.get_mut(call).unwrap().taken_back().is_some());
        assert_eq!(table.location(call), None);
        assert!(table.remove(call).is_some_and(|removed| removed.sleeper.is_none()));
    }

    #[test]
    fn listeners_and_parked_threads_are_counted_until_their_calls_are_over() {
        let mut table = CallTable::default();
        let (call, _cell) = table.accept(TASK, CallArgs::none(), &driver());
        assert!(!table.is_anybody_told());
        assert_eq!((table.add_listener(call), table.add_listener(call)), (None, None));
        assert!(table.has_listeners());
        assert!(matches!(table.next_reader([call].into_iter()), NextReader::PoolThread));
        table.park(call);
        assert!(matches!(table.next_reader([call].into_iter()), NextReader::Parked(_)));
        drop(table.remove(call));
        assert!(!table.has_listeners() && table.is_anybody_told());
        table.unpark(call);
        assert!(!table.is_anybody_told());
        assert!(matches!(table.next_reader([call].into_iter()), NextReader::NoThread));
    }

    #[test]
    fn thread_that_was_parked_goes_on_after_all_calls_were_taken() {
        let mut table = CallTable::default();
        let (call, _cell) = table.accept(TASK, CallArgs::none(), &driver());
        table.park(call);
        table.add_listener(call);
        drop(table.take_all());
        assert!(!table.has_listeners() && table.is_anybody_told());
        table.unpark(call);
        assert!(!table.is_anybody_told());
    }

    #[test]
    fn call_joins_a_batch_of_its_task_until_that_is_full() {
        let mut table = CallTable::default();
        let args = CallArgs::none();
        let mut batch = Chunk::new(Vec::new(), 0);
        assert!(batch.push(&args) && !table.has_batches());
        let (batch, _cell) = table.accept(TASK, CallArgs::Chunk(Box::new(batch)), &driver());
        assert!(table.has_batches());
        assert_eq!(table.join(batch, TASK, &args, 3).and_then(|call| call.number), Some(1));
        assert_eq!(table.join(batch, TASK, &args, 3).and_then(|call| call.number), Some(2));
        assert!(table.join(batch, TASK, &args, 3).is_none(), "it is full");
        assert!(table.join(batch, "krate::other", &args, 9).is_none());
        let (other, _cell) = table.accept(TASK, CallArgs::none(), &driver());
        assert!(table.join(batch, TASK, &args, 9).is_none(), "the next number is the other's");
        assert!(table.join(other, TASK, &args, 9).is_none(), "it is no batch");
        drop(table.remove(batch));
        assert!(!table.has_batches());
    }
}
