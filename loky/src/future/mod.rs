//! The outcome of a call: [`Future`], and waiting for many of them.
//!
//! An *outcome cell* ([`cell`]) is the shared record of one call, or of all calls of one batch. The pool holds its write end,
//! the [`Promise`](promise::Promise). Futures hold a [`CallRef`]: the cell, and for a batch the number of the call. A cell knows
//! no types and no processes: an outcome is bytes or an error, and the future decodes.
//!
//! This module must not know what a pool is: what it needs of one is the trait [`Driver`]. It runs no callback, waker or codec
//! under a lock. Tested in `tests.rs` and `batch_tests.rs` with promises of their own, and in `model.rs` with loom.
//!
//! # States of a cell
//!
//! ```text
//!  single call   Pending ──resolve──▶ Done
//!
//!  batch         Pending ──move tail──▶ Divided ──resolve──▶ Ended
//!                   │                    │   ▲                 ▲
//!                   │                    └───┘ publish,        │
//!                   │                          move tail       │
//!                   └───────────────resolve────────────────────┘
//! ```
//!
//! A batch that runs through goes from *Pending* to *Ended* in one step, as a single call does. It is *divided* when one of its
//! calls runs for long, or is cancelled, or when its worker has run only a part of it. A batch keeps its id and its cell then, and
//! its slot in the worker's page. In the cell of a batch, two numbers divide the calls:
//!
//! ```text
//!   0           answered              end
//!   │ answered  │ pending              │ moved │
//! ```
//!
//! | state   | `answered` | `end`      | calls in between                                       |
//! |---------|------------|------------|--------------------------------------------------------|
//! | Pending | 0          | unlimited  | pending                                                |
//! | Divided | grows      | falls      | pending, at least the call `answered`, which never moves |
//! | Ended   | fixed      | fixed      | have one common outcome `last`, or there are none      |
//!
//! # Transitions
//!
//! | step                | thread                         | locks                        | effect                               |
//! |---------------------|--------------------------------|------------------------------|--------------------------------------|
//! | move tail           | the one that decides to divide | pool, then cell, then new cell | `end` falls; the calls behind it get new cells, and their callbacks and watchers move there |
//! | publish             | the one that hands out         | cell                         | `answered` grows; wakes parked threads, returns the listeners of settled calls, and the watchers of map parts |
//! | resolve             | the one that hands out         | cell                         | writes all missing outcomes; wakes parked threads, returns all listeners |
//! | drop of the promise | any                            | cell                         | resolves with an error, so no waiter is left behind |
//! | read, park, listen  | any                            | cell                         | follows a call that has moved to its new cell |
//!
//! *Deciding* happens under the pool's lock. *Handing out* happens after it, by one thread at a time, in the order of the
//! decisions. Each division decides to publish exactly once, even if no call was answered, since parked threads and polled
//! handles of the moved calls wait for it.
//!
//! # Why each future resolves exactly once
//!
//! 1. A call is in exactly one place. `end` changes and the new cells become visible in one critical section. So for every
//!    reader a call is either below `end` of its cell, or in the new cell.
//! 2. A move goes to cells that no other thread knows yet, so a chain of moves ends, and the lock order from a cell to the newer
//!    one has no circle.
//! 3. Each cell has one promise. `resolve` consumes it. Dropping it resolves too.
//! 4. A publication carries the number of its first call. The cell takes it only if that is `answered`, so a lost publication
//!    never shifts the answers of later calls: these calls then end with an error.
//! 5. A listener is in one list at a time. It leaves the list under the cell's lock: by publish or resolve, which return it to be
//!    notified, or by a move, which puts it into the list of the new cell. A callback that comes later finds the new cell itself,
//!    so callbacks keep their order.
//!
//! # Parked threads
//!
//! A thread that waits for a result does the pool's work meanwhile: [`Driver::wait`] reads from the worker that has the call, so
//! no other thread has to be woken for it. If another thread reads already, the waiting thread *parks* in the cell. It goes on
//! when its call is settled there, at its deadline, or when the pool has it *retry*: ask again whether there is something to do.
//! No wake-up is lost. State and retry counter are protected by the lock that the sleep releases, and a thread reads the counter
//! before it becomes visible to those that increment it.
//!
//! All other ways to wait (callbacks, wakers, [`wait`](wait()), [`as_completed`]) are listeners. They are
//! [announced](Driver::request_background_read) to the pool, whose own thread reads for them.
//!
//! # Where foreign code runs
//!
//! A callback that is added before the outcome runs on the pool's callback thread, in the order of adding. A callback that is
//! added after it runs in the thread that adds it, and the callbacks of a cancelled call run in the thread that cancels. Wakers
//! run in the thread that hands out the outcome.

mod as_completed;
mod batch;
#[cfg(test)]
mod batch_tests;
mod call_ref;
mod cell;
mod driver;
mod handle;
mod listeners;
mod locks;
mod map_part;
#[cfg(test)]
mod model;
mod owner;
mod payload;
mod poll;
mod promise;
#[cfg(test)]
mod tests;
mod wait;
mod watch;

pub use self::as_completed::{AsCompleted, AsCompletedTimeout, as_completed};
pub use self::handle::Future;
pub use self::wait::{ReturnWhen, Waited, wait};

pub(crate) use self::batch::Answers;
pub(crate) use self::cell::OutcomeCell;
pub(crate) use self::driver::{Cancelled, Driver, DriverRef, Unparked, Waiter};
pub(crate) use self::listeners::{Callback, Listeners, run_callbacks};
pub(crate) use self::map_part::{MapPart, PartResult, Results};
pub(crate) use self::owner::check_process;
pub(crate) use self::payload::Outcome;
pub(crate) use self::promise::{Promise, Publication};
pub(crate) use self::watch::{Awaited, Watch};

/// Where the outcome of a call arrives.
pub(crate) type CallRef = call_ref::CallRef<OutcomeCell>;

/// The calls at the end of a batch that have moved to other cells.
pub(crate) type MovedTail = call_ref::MovedTail<OutcomeCell>;
