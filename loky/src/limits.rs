//! Every bound of the library, each with its reason.

use std::time::Duration;

/// The longest body of a frame. More than any machine's memory that this runs on today; a header that claims more is
/// rubbish, not a message.
pub(crate) const MAX_BODY_BYTES: u64 = 1 << 40;

/// How many descriptors may come with one frame: as many as its header can say. A process may have fewer at a time, mostly.
pub(crate) const MAX_ATTACHMENTS: usize = u16::MAX as usize;

/// How many descriptors go with one write: the kernel's `SCM_MAX_FD`.
pub(crate) const BATCH: usize = 253;

/// How much of a claimed body is reserved before its bytes have arrived: a peer gets memory for what it sends, not for
/// what it announces.
pub(crate) const BODY_RESERVE_BYTES: usize = 64 * 1024;

/// From this much room on huge pages are asked for, each of which saves 511 faults. Shorter vectors mostly lie in memory that
/// the allocator has had before.
pub(crate) const HUGE_ROOM_BYTES: usize = 4 * 1024 * 1024;

/// How much of shared memory that a program is to fill is there from the beginning, in huge pages. If it then leaves it empty
/// that is what it loses.
pub(crate) const BACKED_BYTES: usize = 256 << 20;

/// One read from a channel: the size from which on larger reads were no faster.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Frames up to this length are copied together, so that many of them take one system call.
pub(crate) const GATHER_BYTES: usize = 4 * 1024;

/// How many bytes of a captured stream are read before others get their turn.
pub(crate) const READ_TURN_BYTES: usize = 4 * 1024 * 1024;

/// How often a dead worker's channel is read: more than any socket's buffer holds.
pub(crate) const LAST_READS: usize = 1 << 16;

/// How long until something is written again that the system had no room for, though the channel had: too many descriptors
/// that nobody has received yet, or no memory. Nothing tells when that has changed.
pub(crate) const NO_ROOM_PAUSE: Duration = Duration::from_millis(1);

/// How many bytes are written to one worker in one go, since the pool's lock is held meanwhile.
pub(crate) const WRITE_TURN_BYTES: usize = 1024 * 1024;

/// How many calls may lie with one worker, the one that it runs included. The depth from which on more brought nothing: the
/// frames of so many small calls are one write and one read.
pub(crate) const SLOTS: usize = 64;

/// How many calls a worker gets at most, by how long calls have run of late; the last row holds beyond. What lies behind a
/// call waits for it, so calls are given ahead only where the wait is short beside the two wake-ups (10 µs and more) that it
/// saves. Below the first row's time the depth is the one of [`SLOTS`].
pub(crate) const DEPTHS: [(Duration, usize); 4] = [
    (Duration::from_micros(5), 64),
    (Duration::from_micros(20), 16),
    (Duration::from_micros(200), 3),
    (Duration::from_millis(1), 2),
];

/// How long the calls of a chunk take together: so much longer than to give and to fetch one that this does not matter, and so
/// much shorter than people notice that it does not matter who waits for it.
pub(crate) const CHUNK_TIME: Duration = Duration::from_micros(50);

/// The most calls of a chunk.
pub(crate) const CHUNK_CALLS: usize = 256;

/// The size of chunks whatever the calls take: for the suite, as [`FORCED_DEPTH`].
pub(crate) const FORCED_CHUNK: Option<usize> = if cfg!(loky_force_prefetch = "one") {
    Some(1)
} else if cfg!(loky_force_prefetch = "max") {
    Some(CHUNK_CALLS)
} else {
    None
};

/// The depth whatever the calls take: for the suite, which is run with each.
pub(crate) const FORCED_DEPTH: Option<usize> = if cfg!(loky_force_prefetch = "one") {
    Some(2)
} else if cfg!(loky_force_prefetch = "max") {
    Some(SLOTS)
} else {
    None
};

/// How long a call may lie with a worker that is starting, until it is taken back for others to run: many times what a start
/// takes where nothing is in its way.
pub(crate) const REVOKE_STARTING_AFTER: Duration = Duration::from_millis(100);

/// How long a worker may be without an answer until the calls that lie behind the one that it runs are taken back, for others
/// to run. Twice the time in which somebody reads its answers for certain.
pub(crate) const REVOKE_AFTER: Duration = Duration::from_millis(2);

/// So many calls that are submitted in a row, no further apart than that, are a burst: the next ones are held back until many can
/// travel together. Fewer are as likely to be all that there is.
pub(crate) const BURST_CALLS: u32 = 64;
pub(crate) const BURST_GAP: Duration = Duration::from_micros(5);

/// How long a worker's answers may lie unread when nobody waits for them, until the pool's own thread reads them. So long a
/// thread that has submitted may take to come and wait: then it reads them itself, which saves a wake-up.
pub(crate) const PICK_UP: Duration = Duration::from_millis(1);

/// How long a worker's answers may lie unread until a thread that waits for another worker reads them along. Longer than it
/// takes from `submit` to `result`, so that this thread's worker is not taken by others that wait; shorter than a worker
/// takes for what it has.
pub(crate) const NEGLECTED: Duration = Duration::from_micros(50);

/// The longest table of task names that a handshake may carry.
pub(crate) const MAX_TABLE_ENTRIES: usize = 1 << 20;

/// The longest text (message, location, backtrace) that is taken from a worker. Longer ones are cut there.
pub(crate) const MAX_TEXT_BYTES: usize = 1 << 20;

/// How many of the user's frames the debug text of a panic has: enough for any stack but that of a deep recursion.
pub(crate) const DEBUG_FRAMES: usize = 32;

/// The length, in characters, to which the last line on a dead worker's stderr is cut in an error's message.
pub(crate) const LAST_LINE_CHARS: usize = 200;

/// The most workers of one pool: more processes than most systems allow at all.
pub(crate) const MAX_WORKERS: usize = 1 << 15;

/// How long a started process may take to say hello. Generous: a loaded machine that starts 300 workers of a large binary
/// takes seconds.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(60);

/// How many workers may die in a row before one is ready, until the pool gives up; and how many that were ready may die before
/// one began a call, until they are replaced at a pace. More than the workers that
/// an unlucky (or unkind) environment kills while they start, and still less than a second of trying.
pub(crate) const MAX_UNUSED_DEATHS: u32 = 16;

/// How long to wait before the next start when workers come up but die unused, or when the system refuses to start one.
pub(crate) const RESPAWN_PACE: Duration = Duration::from_millis(100);

/// How many workers may die with a call at the front of what they have, but not begun, until the call is given up. It bounds
/// what a call can do that kills workers before its task begins.
pub(crate) const MAX_DEATHS_AT_FRONT: u32 = 8;

/// How long a worker may take to leave when asked, exit handlers included, before it is killed.
pub(crate) const LEAVE: Duration = Duration::from_secs(5);

/// How long a worker that closed its channel may take to be gone. Closing is the kernel's first step of an exit, and
/// taking down a large address space comes after it.
pub(crate) const CLOSED: Duration = Duration::from_secs(1);

/// Where the kernel gives no pidfds: how often workers are looked at whose death the channel does not show.
pub(crate) const REAP_INTERVAL: Duration = Duration::from_millis(50);

/// Where a worker has no pidfd of its parent: how often it looks whether the parent is still there.
pub(crate) const PARENT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a worker that is told to end at once, with all that it has started, may take before it is killed from outside.
pub(crate) const KILL_GRACE: Duration = Duration::from_millis(300);

/// How long `/proc` is scanned again and again for processes that are to be dead. They are killed by then; it is their dying
/// that takes time, on a machine that is busy.
pub(crate) const KILL_SCANS: Duration = Duration::from_secs(1);

/// How long to wait for one of them before the next scan.
pub(crate) const KILL_SCAN_PAUSE: Duration = Duration::from_millis(10);

/// The last bytes of a captured stream that are kept for each worker.
pub(crate) const CAPTURE_BYTES: usize = 8 * 1024;

/// How many calls a `map` keeps in flight for each worker at least, unless it is told otherwise: one that runs, and enough
/// behind it that a worker never waits for the consumer.
pub(crate) const MAP_CALLS_PER_WORKER: usize = 4;

/// How many chunks a `map` keeps in flight for each worker where calls are so short that they are given in chunks: one that
/// runs, one behind it, and one that the consumer has or fills.
pub(crate) const MAP_CHUNKS_PER_WORKER: usize = 3;

/// How long a `map` takes items without pause while something waits for that: the calls of a chunk whose size it chose
/// itself, or results that could be yielded. Longer than it takes to encode so many small arguments, and too short to be
/// noticed where the iterable is slow.
pub(crate) const MAP_GATHER: Duration = Duration::from_micros(100);

/// How much of the room in which a thread encodes arguments it keeps for the next call. Longer ones are not copied out of it.
pub(crate) const ROOM_KEEP_BYTES: usize = 2 * GATHER_BYTES;

/// How much of the room for large arguments, and for a large result, a worker keeps for the next ones.
pub(crate) const ANSWER_KEEP_BYTES: usize = 1024 * 1024;

/// How deep executors may be nested in tasks, unless `LOKY_MAX_DEPTH` says otherwise. Python loky's figure: what is deeper
/// is a task that calls itself without end.
pub(crate) const MAX_DEPTH: u32 = 10;

/// How long the reusable executor's workers may have nothing to do until they leave, unless it is told otherwise. Python
/// loky's figure: longer than a program pauses between two parts of one job.
pub(crate) const REUSABLE_IDLE: Duration = Duration::from_secs(10);

/// By how much a worker's memory may grow, unless a pool is told otherwise. Python loky's figure, which it raised from a third
/// of it since caches of libraries were taken for leaks.
pub(crate) const MEMORY_GROWTH_BYTES: u64 = 300_000_000;

/// How often a worker looks at its memory at most. To look takes some microseconds.
pub(crate) const MEMORY_LOOK: Duration = Duration::from_secs(1);

/// The stack of the library's own threads, which run no code of the user but wakers (and callbacks, where the system gives no
/// thread for these).
pub(crate) const THREAD_STACK_BYTES: usize = 256 * 1024;

/// How much of a file of the kernel is read to count CPUs. The table of mounts is the long one: where thousands of containers
/// run it has hundreds of KiB, and those of the cgroups are among its first lines.
pub(crate) const MAX_KERNEL_TEXT_BYTES: usize = 1 << 20;

/// The numbers of CPUs are below this: Linux can be built for 8192 at most.
pub(crate) const MAX_CPUS: usize = 1 << 16;

/// The longest body of a frame that goes through a worker's lane, each slot of which has room for it. Longer ones gain nothing
/// there: they are copied for longer than it takes to send them otherwise.
pub(crate) const LETTER_BYTES: usize = 64 * 1024;

/// How long a thread that waits for an answer looks for it before it sleeps, where the worker runs on another CPU and calls
/// are short: about as long as sleeping and being woken takes.
pub(crate) const SPIN: Duration = Duration::from_micros(20);

/// How often the pool's thread looks after lanes on which calls lie: a task may overwrite the words by which each side knows
/// that the other one sleeps, and then nobody is woken. And so long, or up to twice that, a worker has had no call when the memory of
/// the long letters in its lane is given back.
pub(crate) const LANE_WATCH: Duration = Duration::from_secs(1);

/// How many bytes of answers are taken out of a lane under the pool's lock, before others get their turn.
pub(crate) const DRAIN_BYTES: usize = 256 * 1024;

/// From this length on a value goes in a segment beside its call or result. A call with it would not fit into a letter, and to
/// pass a descriptor costs less than to copy this twice more.
pub(crate) const SEGMENT_BYTES: usize = LETTER_BYTES;

/// How many segments with arguments a pool has at a time, and with results its workers together: each is a descriptor of this
/// process, which may have a thousand or so. What comes beyond goes the way of shorter values, so a million calls can be queued.
pub(crate) const MAX_SEGMENTS: usize = 64;

/// The part of the descriptors that this process may have at most for either.
pub(crate) const SEGMENTS_PART: usize = 16;

/// How many results of one worker lie in segments at a time, until they were read and dropped.
pub(crate) const MAX_RESULT_SEGMENTS: usize = 8;

/// How many segments are kept for the next values: as many calls as a map has in flight for two workers.
pub(crate) const KEPT_SEGMENTS: usize = 8;

/// How many bytes of memory the segments have that are kept: some arrays of a size at which fresh memory takes long.
pub(crate) const KEPT_SEGMENT_BYTES: usize = 256 << 20;

/// How many times as large as it need be a segment may be that is used again.
pub(crate) const SEGMENT_EXCESS: usize = 4;

/// How long a segment that nobody uses is kept.
pub(crate) const SEGMENT_IDLE: Duration = Duration::from_secs(1);
