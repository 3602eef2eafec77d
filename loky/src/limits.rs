//! The limits of the library, each with its reason. Nothing else is here: no code, no state.

use std::time::Duration;

/// The longest body of a frame: more than the memory of today's machines. A header with a larger length is garbage.
pub(crate) const MAX_BODY_BYTES: u64 = 1 << 40;

/// The most descriptors of one frame: what its header can express. Most processes may have fewer open.
pub(crate) const MAX_ATTACHMENTS: usize = u16::MAX as usize;

/// The most descriptors of one write: the kernel's `SCM_MAX_FD`.
pub(crate) const BATCH: usize = 253;

/// The memory that is reserved for an announced body before its bytes arrive. Further memory follows the bytes, so that an
/// announcement alone cannot exhaust it.
pub(crate) const BODY_RESERVE_BYTES: usize = 64 * 1024;

/// The size from which huge pages are requested, each of which saves 511 faults. Smaller vectors mostly get memory that the
/// allocator has used before.
pub(crate) const HUGE_ROOM_BYTES: usize = 4 * 1024 * 1024;

/// The part of shared memory for filling that is backed by huge pages at once. If the program leaves it empty, this is the waste.
pub(crate) const BACKED_BYTES: usize = 256 << 20;

/// The size of one read from a channel. Larger reads were no faster.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// The longest frame that is copied into a common buffer, so that many frames take one system call.
pub(crate) const GATHER_BYTES: usize = 4 * 1024;

/// The most bytes that are read from one captured stream before the others are read.
pub(crate) const READ_TURN_BYTES: usize = 4 * 1024 * 1024;

/// The most reads from the channel of a dead worker: more than any socket buffer holds.
pub(crate) const LAST_READS: usize = 1 << 16;

/// The pause after a write that failed although the channel had room: too many descriptors are in flight, or memory is short.
/// The system reports no end of such a shortage.
pub(crate) const NO_ROOM_PAUSE: Duration = Duration::from_millis(1);

/// The most bytes that are written to one worker at a time, because the pool's lock is held meanwhile.
pub(crate) const WRITE_TURN_BYTES: usize = 1024 * 1024;

/// The slots of a worker, including the one of its running call. A greater depth was no faster: the frames of 64 small calls are
/// one write and one read.
pub(crate) const SLOTS: usize = 64;

/// The prefetch depth, by the run time of recent calls. Above the last row it is 1.
///
/// A prefetched call waits for those before it. So prefetch pays only while this wait is short beside the two wake-ups (10 µs and
/// more) that it saves. The depth of the first row is [`SLOTS`].
pub(crate) const DEPTHS: [(Duration, usize); 4] = [
    (Duration::from_micros(5), 64),
    (Duration::from_micros(20), 16),
    (Duration::from_micros(200), 3),
    (Duration::from_millis(1), 2),
];

/// The run time of a batch: long beside the cost of its dispatch and its answer, and far shorter than a delay that users notice.
pub(crate) const CHUNK_TIME: Duration = Duration::from_micros(50);

/// The most calls of a batch.
pub(crate) const CHUNK_CALLS: usize = 256;

/// A fixed number of calls of a batch, for tests, as [`FORCED_DEPTH`].
pub(crate) const FORCED_CHUNK: Option<usize> = if cfg!(loky_force_prefetch = "one") {
    Some(1)
} else if cfg!(loky_force_prefetch = "max") {
    Some(CHUNK_CALLS)
} else {
    None
};

/// A fixed prefetch depth. The test suite runs with each value of the cfg.
pub(crate) const FORCED_DEPTH: Option<usize> = if cfg!(loky_force_prefetch = "one") {
    Some(2)
} else if cfg!(loky_force_prefetch = "max") {
    Some(SLOTS)
} else {
    None
};

/// The time after which the first call of a starting worker is revoked: many times the usual duration of a start.
pub(crate) const REVOKE_STARTING_AFTER: Duration = Duration::from_millis(100);

/// The time without an answer after which the calls behind the running one are revoked: twice the time within which answers are
/// certain to be read.
pub(crate) const REVOKE_AFTER: Duration = Duration::from_millis(2);

/// The number of calls, each within [`BURST_GAP`] of the previous one, that make a burst. Later calls of a burst are deferred, so
/// that many travel in one batch. A shorter sequence is as likely to be complete.
pub(crate) const BURST_CALLS: u32 = 64;

/// The longest gap between two calls of a burst.
pub(crate) const BURST_GAP: Duration = Duration::from_micros(5);

/// The time after which the pool thread reads answers that no thread waits for. Within this time the submitting thread may come to
/// wait, and then reads the answers itself, which saves a wake-up.
pub(crate) const PICK_UP: Duration = Duration::from_millis(1);

/// The time after which a thread that waits for another worker reads a worker's answers too. It is longer than the time from
/// `submit` to `result`, so that each thread reads its own worker, and shorter than the run time of a full worker.
pub(crate) const NEGLECTED: Duration = Duration::from_micros(50);

/// The most entries of the table of tasks in a handshake.
pub(crate) const MAX_TABLE_ENTRIES: usize = 1 << 20;

/// The longest text (message, location, backtrace) from a worker. The worker truncates longer ones.
pub(crate) const MAX_TEXT_BYTES: usize = 1 << 20;

/// How many of the user's frames the debug text of a panic has: enough for any stack but that of a deep recursion.
pub(crate) const DEBUG_FRAMES: usize = 32;

/// The length, in characters, to which the last line on a dead worker's stderr is cut in an error's message.
pub(crate) const LAST_LINE_CHARS: usize = 200;

/// The most workers of one pool: more processes than most systems allow.
pub(crate) const MAX_WORKERS: usize = 1 << 15;

/// The time limit of a handshake. It is generous, because the start of 300 workers of a large binary takes seconds on a loaded
/// machine.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(60);

/// The number of deaths in a row, before any worker is ready, that breaks the pool. Also the number of ready workers in a row that
/// die before any begins a call, from which replacement is delayed. It is more than a hostile environment kills by chance, and
/// still takes less than a second.
pub(crate) const MAX_UNUSED_DEATHS: u32 = 16;

/// The delay of the next start after repeated deaths of unused workers, or after a failed start.
pub(crate) const RESPAWN_PACE: Duration = Duration::from_millis(100);

/// The number of idle workers that may die with a call at their front, not begun, until the call is resolved. It limits the damage
/// of a call that kills workers before its task begins.
pub(crate) const MAX_DEATHS_AT_FRONT: u32 = 8;

/// The time limit for the exit of a retired worker, exit handlers included.
pub(crate) const LEAVE: Duration = Duration::from_secs(5);

/// The time limit for the exit of a worker that has closed its channel. Closing descriptors is an early step of an exit, before a
/// large address space is freed.
pub(crate) const CLOSED: Duration = Duration::from_secs(1);

/// Without pidfds: the interval of checks for workers that exited without closing their channel.
pub(crate) const REAP_INTERVAL: Duration = Duration::from_millis(50);

/// Without a pidfd of the parent: the interval of checks whether the parent still lives.
pub(crate) const PARENT_INTERVAL: Duration = Duration::from_secs(1);

/// The time limit for a worker that was told to kill itself and its descendants, before the pool kills it.
pub(crate) const KILL_GRACE: Duration = Duration::from_millis(300);

/// The time limit of repeated scans of `/proc` for killed processes, whose exit takes time on a busy machine.
pub(crate) const KILL_SCANS: Duration = Duration::from_secs(1);

/// The wait for one killed process before the next scan.
pub(crate) const KILL_SCAN_PAUSE: Duration = Duration::from_millis(10);

/// The number of last bytes of a captured stream that are kept for each worker.
pub(crate) const CAPTURE_BYTES: usize = 8 * 1024;

/// The least number of calls that a `map` keeps in flight for each worker, by default: a running one, and enough others that a
/// worker never waits for the consumer.
pub(crate) const MAP_CALLS_PER_WORKER: usize = 4;

/// The number of batches that a `map` of short calls keeps in flight for each worker: a running one, a waiting one, and one that
/// the consumer reads or fills.
pub(crate) const MAP_CHUNKS_PER_WORKER: usize = 3;

/// The longest time for which a `map` takes items while an incomplete batch of its own choice, or a finished result, waits. It
/// suffices to encode the small arguments of a batch, and is not noticeable with a slow iterator.
pub(crate) const MAP_GATHER: Duration = Duration::from_micros(100);

/// The capacity that the encoding buffer of a thread keeps for the next call. Longer arguments are not copied out of it.
pub(crate) const ROOM_KEEP_BYTES: usize = 2 * GATHER_BYTES;

/// The capacity that the buffers of a worker for arguments and results keep for the next call.
pub(crate) const ANSWER_KEEP_BYTES: usize = 1024 * 1024;

/// The nesting depth of executors in tasks, unless `LOKY_MAX_DEPTH` is set. The value is Python loky's. A deeper nesting is most
/// likely an endless recursion.
pub(crate) const MAX_DEPTH: u32 = 10;

/// The default idle timeout of the reusable executor. The value is Python loky's: longer than the pauses within one job.
pub(crate) const REUSABLE_IDLE: Duration = Duration::from_secs(10);

/// The default limit of memory growth of a worker. The value is Python loky's, which tripled it because caches of libraries had
/// counted as leaks.
pub(crate) const MEMORY_GROWTH_BYTES: u64 = 300_000_000;

/// The least interval between two memory checks of a worker. A check takes some microseconds.
pub(crate) const MEMORY_LOOK: Duration = Duration::from_secs(1);

/// The stack size of the library's threads. Of the user's code they run only wakers, and callbacks if the system has no thread
/// for these.
pub(crate) const THREAD_STACK_BYTES: usize = 256 * 1024;

/// The most bytes of a kernel file that are read to count CPUs. The table of mounts is the longest: hundreds of KiB with thousands
/// of containers. The cgroup mounts are among its first lines.
pub(crate) const MAX_KERNEL_TEXT_BYTES: usize = 1 << 20;

/// The limit of CPU numbers: Linux supports 8192 CPUs at most.
pub(crate) const MAX_CPUS: usize = 1 << 16;

/// The longest body of a frame that goes through a worker's lane, each slot of which has room for it. Longer ones gain nothing
/// there: they are copied for longer than it takes to send them otherwise.
pub(crate) const SLOT_FRAME_BYTES: usize = 64 * 1024;

/// How long a thread that waits for an answer looks for it before it sleeps, where the worker runs on another CPU and calls
/// are short: about as long as sleeping and being woken takes.
pub(crate) const SPIN: Duration = Duration::from_micros(20);

/// How often the pool's thread looks after lanes on which calls lie: a task may overwrite the words by which each side knows
/// that the other one sleeps, and then nobody is woken. And so long, or up to twice that, a worker has had no call when the memory of
/// the long frames in its lane is given back.
pub(crate) const LANE_WATCH: Duration = Duration::from_secs(1);

/// How many bytes of answers are taken out of a lane under the pool's lock, before others get their turn.
pub(crate) const DRAIN_BYTES: usize = 256 * 1024;

/// The length from which a value travels in a segment beside its call or result. A call with such a value would not fit into the
/// lane, and passing a descriptor costs less than two more copies.
pub(crate) const SEGMENT_BYTES: usize = SLOT_FRAME_BYTES;

/// The most segments with arguments of a pool, and the most with results of all its workers together. Each is a descriptor of this
/// process, which may often have a thousand. Further values use the stream, so a million calls can be queued.
pub(crate) const MAX_SEGMENTS: usize = 64;

/// The divisor of the descriptor limit that also bounds either number of segments.
pub(crate) const SEGMENTS_PART: usize = 16;

/// The most segments with unread or undropped results of one worker.
pub(crate) const MAX_RESULT_SEGMENTS: usize = 8;

/// The number of unused segments that are kept: as many as a map has calls in flight for two workers.
pub(crate) const KEPT_SEGMENTS: usize = 8;

/// The total size of unused segments that are kept: several arrays of a size at which fresh memory is slow.
pub(crate) const KEPT_SEGMENT_BYTES: usize = 256 << 20;

/// The largest ratio of the size of a reused segment to the size of its value.
pub(crate) const SEGMENT_EXCESS: usize = 4;

/// The time for which an unused segment is kept.
pub(crate) const SEGMENT_IDLE: Duration = Duration::from_secs(1);
